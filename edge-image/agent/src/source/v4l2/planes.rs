//! Raw pictures as planes of luma and chroma, as JPEG wants them (JFIF: BT.601, full range).
//!
//! Cameras give limited range (luma 16 to 235, chroma 16 to 240), which V4L2 takes for granted in all Y'CbCr formats
//! but JPEG; it is stretched on the way. There is no detour by RGB.

/// The planes of one picture after another, in the same memory.
#[derive(Debug, Default)]
pub(super) struct Planes {
    pub(super) y: Vec<u8>,
    pub(super) cb: Vec<u8>,
    pub(super) cr: Vec<u8>,
}

/// Where luma and chroma are in the four bytes of two pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    y: [usize; 2],
    cb: usize,
    cr: usize,
}

impl Order {
    pub(super) const YUYV: Self = Self { y: [0, 2], cb: 1, cr: 3 };
    pub(super) const UYVY: Self = Self { y: [1, 3], cb: 0, cr: 2 };
}

impl Planes {
    /// Takes up a picture whose pixels share chroma by twos, in rows of `stride` bytes.
    pub(super) fn unpack(&mut self, packed: &[u8], stride: usize, width: usize, height: usize, order: Order) {
        self.resize(width * height, width / 2 * height);
        let rows = packed.chunks(stride).zip(self.y.chunks_exact_mut(width));
        let chroma = self.cb.chunks_exact_mut(width / 2).zip(self.cr.chunks_exact_mut(width / 2));
        for ((row, y), (cb, cr)) in rows.zip(chroma) {
            let pairs = row[..2 * width].chunks_exact(4).zip(y.chunks_exact_mut(2));
            for ((pair, y), (cb, cr)) in pairs.zip(cb.iter_mut().zip(cr)) {
                y[0] = full_luma(pair[order.y[0]]);
                y[1] = full_luma(pair[order.y[1]]);
                *cb = full_chroma(pair[order.cb]);
                *cr = full_chroma(pair[order.cr]);
            }
        }
    }

    /// Takes up a picture that is in planes already, chroma with half of the columns and rows.
    pub(super) fn stretch(&mut self, planar: &[u8], width: usize, height: usize) {
        let (luma, chroma) = (width * height, width / 2 * (height / 2));
        self.resize(luma, chroma);
        let (y, rest) = planar.split_at(luma);
        let (cb, rest) = rest.split_at(chroma);
        copy(y, &mut self.y, full_luma);
        copy(cb, &mut self.cb, full_chroma);
        copy(&rest[..chroma], &mut self.cr, full_chroma);
    }

    /// Takes up a picture without colour, in rows of `stride` bytes.
    pub(super) fn grey(&mut self, luma: &[u8], stride: usize, width: usize, height: usize) {
        self.resize(width * height, 0);
        for (row, y) in luma.chunks(stride).zip(self.y.chunks_exact_mut(width)) {
            copy(&row[..width], y, full_luma);
        }
    }

    fn resize(&mut self, luma: usize, chroma: usize) {
        self.y.resize(luma, 0);
        self.cb.resize(chroma, 0);
        self.cr.resize(chroma, 0);
    }
}

fn copy(from: &[u8], to: &mut [u8], full: impl Fn(u8) -> u8) {
    for (from, to) in from.iter().zip(to) {
        *to = full(*from);
    }
}

/// 16 to 235 as 0 to 255.
fn full_luma(y: u8) -> u8 {
    let above_black = u16::from(y.clamp(16, 235) - 16);
    // 255/219 in 256ths; the largest sum is 65,390.
    ((above_black * 298 + 128) >> 8) as u8
}

/// 16 to 240 as 0 to 255, around 128.
fn full_chroma(c: u8) -> u8 {
    let from_grey = i16::from(c.clamp(16, 240)) - 128;
    // 255/224 in 256ths; the sums are within ±32,720.
    (((from_grey * 291 + 128) >> 8) + 128).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_range_is_stretched_to_full_range() {
        assert_eq!([0, 16, 235, 255].map(full_luma), [0, 0, 255, 255]);
        assert_eq!([0, 16, 128, 240, 255].map(full_chroma), [1, 1, 128, 255, 255]);
        for value in 16..=235u8 {
            let exact = f64::from(value - 16) * 255.0 / 219.0;
            assert!((f64::from(full_luma(value)) - exact).abs() < 1.0, "luma {value}");
        }
        for value in 16..=240u8 {
            let exact = (f64::from(value) - 128.0) * 255.0 / 224.0 + 128.0;
            assert!((f64::from(full_chroma(value)) - exact).abs() <= 1.0, "chroma {value}");
        }
    }

    #[test]
    fn packed_pixels_are_taken_apart_without_the_padding_of_rows() {
        let mut planes = Planes::default();
        let rows = [
            [16, 16, 235, 240, 0xEE, 0xEE].as_slice(),
            &[235, 128, 16, 128], // The last row need not be padded.
        ];
        planes.unpack(&rows.concat(), 6, 2, 2, Order::YUYV);
        assert_eq!(
            (&planes.y[..], &planes.cb[..], &planes.cr[..]),
            (&[0, 255, 255, 0][..], &[1, 128][..], &[255, 128][..])
        );
        planes.unpack(&[128, 16, 240, 235], 4, 2, 1, Order::UYVY);
        assert_eq!((&planes.y[..], &planes.cb[..], &planes.cr[..]), (&[0, 255][..], &[128][..], &[255][..]));
    }

    #[test]
    fn planes_are_taken_up_as_they_are() {
        let mut planes = Planes::default();
        planes.stretch(&[16, 235, 16, 235, 128, 240], 2, 2);
        assert_eq!(
            (&planes.y[..], &planes.cb[..], &planes.cr[..]),
            (&[0, 255, 0, 255][..], &[128][..], &[255][..])
        );
        planes.grey(&[16, 0xEE, 235, 0xEE], 2, 1, 2);
        assert_eq!((&planes.y[..], planes.cb.len()), (&[0, 255][..], 0));
    }
}
