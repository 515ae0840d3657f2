//! The clock in a test picture that a program can read: 48 black and white squares ("cells"), in two rows of
//! 24, at the bottom left.
//!
//! In a picture `width` by `height` pixels:
//! - a cell is `c` pixels wide and high: `width / 40` rounded down to a multiple of 8, at least 8 (16 for 640);
//! - cell `i`, 0 to 47, has its top left corner at `x = c * (1 + i % 24)`, `y = height - 3c + c * (i / 24)`;
//! - cell 0 is white and cell 1 is black: half-way between their lumas is the threshold for all others;
//! - cells 2 to 45 are the capture time in whole milliseconds since the Unix epoch, 44 bits, most significant
//!   first; white is 1;
//! - cells 46 and 47 are the number of ones among these 44 bits, modulo 4, most significant first.
//!
//! Cells lie on the grid of JPEG's blocks and the flat colour of a cell outlives strong compression. A reader
//! should average a few pixels around a cell's middle.

use teiten_footage::Timestamp;

/// Cells in a picture.
pub const CELLS: u32 = 48;
/// Cells in a row.
pub const CELLS_PER_ROW: u32 = 24;
/// Bits of the time.
pub const TIME_BITS: u32 = 44;
/// The least difference between the lumas of the white and the black reference cell, of 255.
pub const CONTRAST_MIN: u32 = 64;

/// The side of a cell in pixels, for a picture `width` pixels wide.
pub fn cell_size(width: u32) -> u32 {
    ((width / 40) & !7).max(8)
}

/// The top left corner of cell `index` (below [`CELLS`]), in pixels.
pub fn cell_corner(width: u32, height: u32, index: u32) -> (u32, u32) {
    let size = cell_size(width);
    let (column, row) = (index % CELLS_PER_ROW, index / CELLS_PER_ROW);
    (size * (1 + column), height.saturating_sub(3 * size) + size * row)
}

/// Which cells are white when the clock shows `time`, rounded down to the millisecond.
pub(super) fn cells(time: Timestamp) -> [bool; CELLS as usize] {
    let millis = time.unix_millis();
    let check = millis.count_ones() % 4;
    std::array::from_fn(|index| match index as u32 {
        0 => true,
        1 => false,
        bit @ 2..46 => (millis >> (TIME_BITS - 1 - (bit - 2))) & 1 == 1,
        bit => (check >> (CELLS - 1 - bit)) & 1 == 1,
    })
}

/// Reads the clock out of a picture `width` by `height` pixels whose luma (0 to 255) at (x, y) is `luma(x, y)`.
/// `None` if there is no clock, or it cannot be read without doubt.
pub fn read_clock(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Option<Timestamp> {
    let size = cell_size(width);
    if width < size * (CELLS_PER_ROW + 2) || height < 4 * size {
        return None;
    }
    let cell = |index: u32| -> u32 {
        let (left, top) = cell_corner(width, height, index);
        let nearby = [size * 3 / 8, size / 2, size * 5 / 8];
        let sum: u32 = nearby
            .iter()
            .flat_map(|dy| nearby.iter().map(move |dx| (dx, dy)))
            .map(|(dx, dy)| u32::from(luma(left + dx, top + dy)))
            .sum();
        sum / 9
    };
    let (white, black) = (cell(0), cell(1));
    if white < black + CONTRAST_MIN {
        return None;
    }
    let threshold = (white + black) / 2;
    let number = |cells: std::ops::Range<u32>| {
        cells.fold(0u64, |bits, index| bits << 1 | u64::from(cell(index) > threshold))
    };
    let millis = number(2..46);
    let check = number(46..48);
    (u64::from(millis.count_ones() % 4) == check).then(|| Timestamp::from_unix_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(time: Timestamp, width: u32, height: u32) -> Vec<u8> {
        let mut luma = vec![90u8; (width * height) as usize];
        let size = cell_size(width);
        for (index, white) in (0..).zip(cells(time)) {
            let (left, top) = cell_corner(width, height, index);
            for y in top..top + size {
                for x in left..left + size {
                    luma[(y * width + x) as usize] = if white { 235 } else { 16 };
                }
            }
        }
        luma
    }

    fn read(luma: &[u8], width: u32, height: u32) -> Option<Timestamp> {
        read_clock(width, height, |x, y| luma[(y * width + x) as usize])
    }

    /// Golden: players and tests in other languages read this.
    #[test]
    fn the_cells_are_as_documented() {
        let time = Timestamp::from_unix_micros(1_795_406_701_234_567);
        let cells: String = cells(time).iter().map(|white| if *white { '1' } else { '0' }).collect();
        assert_eq!(cells, ["10", "00011010001000000110100101000010001010110010", "11"].concat());
        assert_eq!((cell_size(640), cell_size(320), cell_size(1920)), (16, 8, 48));
        assert_eq!(cell_corner(640, 480, 0), (16, 432));
        assert_eq!(cell_corner(640, 480, 47), (384, 448));
    }

    #[test]
    fn a_clock_reads_back_to_the_millisecond() {
        for (width, height) in [(640, 480), (320, 180), (1280, 720), (1920, 1080), (3840, 2160)] {
            let time = Timestamp::from_unix_micros(1_795_406_701_234_567);
            let luma = picture(time, width, height);
            assert_eq!(read(&luma, width, height), Some(Timestamp::from_unix_millis(1_795_406_701_234)));
        }
    }

    #[test]
    fn a_picture_without_a_clock_reads_as_nothing() {
        for luma in [0, 90, 255] {
            assert_eq!(read_clock(640, 480, |_, _| luma), None);
        }
        assert_eq!(read_clock(100, 100, |_, _| 0), None);
        assert_eq!(read_clock(0, 0, |_, _| 0), None);
    }

    #[test]
    fn one_wrong_cell_is_noticed() {
        let (width, height) = (640, 480);
        let good = picture(Timestamp::from_unix_millis(1_795_406_701_234), width, height);
        for index in 2..CELLS {
            let mut luma = good.clone();
            let (left, top) = cell_corner(width, height, index);
            for y in top..top + 16 {
                for x in left..left + 16 {
                    let at = (y * width + x) as usize;
                    luma[at] = 255 - luma[at];
                }
            }
            assert_eq!(read(&luma, width, height), None, "cell {index}");
        }
    }
}
