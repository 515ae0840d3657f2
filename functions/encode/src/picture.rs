//! A picture as the encoders take it: full-range BT.601 in three planes, 4:2:0, both sides even. The planes
//! come as the JPEG has them (ITU-T T.871 §6.2 is full-range BT.601 too), so nothing is converted; only chroma
//! of another resolution is folded.

use image::{GrayImage, imageops};

/// The size of a picture, in luma samples: even, and within what an encoder takes. The default is that of no
/// picture at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// The shortest side, in samples: one macroblock.
    pub const SIDE_MIN: u32 = 16;
    /// The longest side, in samples.
    pub const SIDE_MAX: u32 = 4096;
    /// The largest area, in macroblocks of 16 by 16: that of H.264 level 5.1 (ISO/IEC 14496-10 Table A-1).
    pub const MACROBLOCKS_MAX: u32 = 36_864;

    /// The size of the picture in a JPEG of `width` by `height`: an odd last column or row is left out. `None`
    /// if it is too small or too large.
    pub fn of_jpeg(width: u32, height: u32) -> Option<Self> {
        let side = Self::SIDE_MIN..=Self::SIDE_MAX;
        let macroblocks = || width.div_ceil(16) * height.div_ceil(16);
        let encodable =
            side.contains(&width) && side.contains(&height) && macroblocks() <= Self::MACROBLOCKS_MAX;
        // Both are at most 4096.
        encodable.then_some(Self { width: (width & !1) as u16, height: (height & !1) as u16 })
    }

    /// Columns of luma.
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Rows of luma.
    pub const fn height(self) -> u16 {
        self.height
    }

    /// Columns and rows of a plane: 0 is luma, the others are chroma.
    const fn of_plane(self, plane: usize) -> (usize, usize) {
        let shift = (plane > 0) as u16;
        ((self.width >> shift) as usize, (self.height >> shift) as usize)
    }
}

/// One plane: rows of `stride` samples, of which those to the right of the picture mean nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plane {
    /// The samples; at least `stride` for each row.
    pub samples: Vec<u8>,
    /// The distance from a row to the next, in samples.
    pub stride: usize,
}

impl Plane {
    /// Makes room for `rows` of `stride` samples, of which nothing can be said.
    pub fn reserve(&mut self, stride: usize, rows: usize) {
        self.stride = stride;
        if self.samples.len() < stride * rows {
            // The allocator's zeros, which cost nothing until they are overwritten.
            self.samples = vec![0; stride * rows];
        }
    }

    /// The first `columns` samples of a row.
    pub fn row(&self, row: usize, columns: usize) -> &[u8] {
        &self.samples[row * self.stride..][..columns]
    }
}

/// Y, Cb and Cr. The default is an empty one, to be decoded into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// The size.
    pub size: Size,
    /// Y at full size, then Cb and Cr at half of it both ways.
    pub planes: [Plane; 3],
}

/// How many luma columns, and rows, one chroma sample stands for: 1, 2 or 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChromaStep {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

impl ChromaStep {
    /// 4:2:0.
    pub const HALF: Self = Self { columns: 2, rows: 2 };
}

impl Picture {
    /// Asserts that this is a picture of `size` and that all of it is there: encoders in C look no further.
    ///
    /// # Panics
    /// If it is not.
    pub fn assert_complete(&self, size: Size) {
        assert_eq!(self.size, size, "an encoder takes pictures of one size");
        for (i, plane) in self.planes.iter().enumerate() {
            let (columns, rows) = size.of_plane(i);
            assert!(
                plane.stride >= columns && plane.samples.len() >= plane.stride * rows,
                "plane {i} is short"
            );
        }
    }

    /// Makes both chroma planes mid-grey: the picture of a JPEG without colour.
    pub fn clear_chroma(&mut self) {
        let (columns, rows) = self.size.of_plane(1);
        for plane in &mut self.planes[1..] {
            plane.reserve(columns, rows);
            plane.samples.fill(128);
        }
    }

    /// Fills a chroma plane from one of another resolution: the mean where it is finer, repeated where it is
    /// coarser.
    pub fn fold_chroma(&mut self, plane: usize, from: &Plane, step: ChromaStep) {
        let (columns, rows) = self.size.of_plane(plane);
        let columns_from = (columns * 2).div_ceil(step.columns);
        let to = &mut self.planes[plane];
        to.reserve(columns, rows);
        for (row, out) in to.samples.chunks_exact_mut(columns).take(rows).enumerate() {
            let above = row * 2 / step.rows;
            let below = (row * 2 + 1) / step.rows;
            fold_row(from.row(above, columns_from), from.row(below, columns_from), step.columns, out);
        }
    }

    /// This picture at another size.
    pub fn scaled(&self, size: Size) -> Self {
        let planes = std::array::from_fn(|plane| {
            let (columns_from, rows_from) = self.size.of_plane(plane);
            let (columns, rows) = size.of_plane(plane);
            let from = GrayImage::from_fn(columns_from as u32, rows_from as u32, |x, y| {
                image::Luma([self.planes[plane].samples[y as usize * self.planes[plane].stride + x as usize]])
            });
            let to = imageops::resize(&from, columns as u32, rows as u32, imageops::FilterType::Triangle);
            Plane { samples: to.into_raw(), stride: columns }
        });
        Self { size, planes }
    }
}

/// One row of 4:2:0 chroma from the two rows that it stands for, rounded to nearest.
fn fold_row(above: &[u8], below: &[u8], step_columns: usize, out: &mut [u8]) {
    let mean = |a: u8, b: u8| u16::midpoint(u16::from(a), u16::from(b) + 1) as u8;
    match step_columns {
        1 => {
            let pairs = above.chunks_exact(2).zip(below.chunks_exact(2));
            for (out, (a, b)) in out.iter_mut().zip(pairs) {
                let sum: u16 = [a[0], a[1], b[0], b[1]].into_iter().map(u16::from).sum();
                *out = ((sum + 2) / 4) as u8;
            }
        }
        2 => {
            for (out, (a, b)) in out.iter_mut().zip(above.iter().zip(below)) {
                *out = mean(*a, *b);
            }
        }
        _ => {
            for (column, out) in out.iter_mut().enumerate() {
                *out = mean(above[column * 2 / step_columns], below[column * 2 / step_columns]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size::of_jpeg(width, height).unwrap()
    }

    #[test]
    fn sizes_are_even_and_bounded() {
        assert_eq!(size(17, 33), Size { width: 16, height: 32 });
        assert_eq!(size(4096, 2304), Size { width: 4096, height: 2304 });
        for (width, height) in [(15, 480), (640, 15), (4097, 16), (4096, 2305), (u32::MAX, u32::MAX), (0, 0)]
        {
            assert_eq!(Size::of_jpeg(width, height), None, "{width}x{height}");
        }
    }

    #[test]
    fn chroma_of_every_resolution_is_folded_to_half() {
        // A ramp of 32 luma columns and 16 rows, sampled by each step; every sample is its own column and row.
        for (columns, rows) in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)] {
            let stride = 32 / columns + 3;
            let mut from = Plane::default();
            from.reserve(stride, 16 / rows);
            for y in 0..16 / rows {
                for x in 0..32 / columns {
                    from.samples[y * stride + x] = (x * columns * 4 + y * rows * 2) as u8;
                }
            }
            let mut picture = Picture { size: size(32, 16), ..Picture::default() };
            picture.fold_chroma(1, &from, ChromaStep { columns, rows });
            for y in 0..8 {
                for x in 0..16 {
                    let column = if columns == 1 { x * 8 + 2 } else { x * 2 / columns * columns * 4 };
                    let row = if rows == 1 { y * 4 + 1 } else { y * 2 / rows * rows * 2 };
                    let folded = usize::from(picture.planes[1].row(y, 16)[x]);
                    assert_eq!(folded, column + row, "step {columns}x{rows}, sample {x},{y}");
                }
            }
        }
    }

    #[test]
    fn a_scaled_picture_has_the_new_size_and_the_old_colour() {
        let mut picture = Picture { size: size(64, 48), ..Picture::default() };
        for (plane, value) in [(0, 90), (1, 60), (2, 200)] {
            picture.planes[plane].reserve(80, 48);
            picture.planes[plane].samples.fill(value);
        }
        let scaled = picture.scaled(size(40, 80));
        assert_eq!(scaled.planes[0], Plane { samples: vec![90; 40 * 80], stride: 40 });
        assert_eq!(scaled.planes[1], Plane { samples: vec![60; 20 * 40], stride: 20 });
        assert_eq!(scaled.planes[2], Plane { samples: vec![200; 20 * 40], stride: 20 });
    }
}
