//! Makes JPEGs of raw pictures, by libjpeg-turbo.

use turbojpeg::{Compressor, Image, PixelFormat as TurboFormat, Subsamp, YuvPlanesImage, compressed_buf_len};

use super::planes::{Order, Planes};
use crate::config::{PixelFormat, Quality};

/// How the pixels of a raw picture lie in a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    /// Luma and chroma in turn, 4:2:2.
    Packed(Order),
    /// Planes, 4:2:0.
    Planar,
    /// Luma alone.
    Grey,
    /// Red, green and blue in turn.
    Rgb(TurboFormat),
}

impl Layout {
    /// `None` for what is encoded already.
    pub(super) fn of(format: PixelFormat) -> Option<Self> {
        match format {
            PixelFormat::Mjpeg | PixelFormat::Jpeg => None,
            PixelFormat::Grey => Some(Self::Grey),
            PixelFormat::Yu12 => Some(Self::Planar),
            PixelFormat::Yuyv => Some(Self::Packed(Order::YUYV)),
            PixelFormat::Uyvy => Some(Self::Packed(Order::UYVY)),
            PixelFormat::Rgb24 => Some(Self::Rgb(TurboFormat::RGB)),
            PixelFormat::Bgr24 => Some(Self::Rgb(TurboFormat::BGR)),
        }
    }
}

/// Encodes the pictures of one mode. All of its memory is taken once.
pub(super) struct Encoder {
    layout: Layout,
    width: usize,
    height: usize,
    compressor: Compressor,
    quality: Quality,
    planes: Planes,
    /// Room for the largest JPEG there can be. Only the pages that JPEGs reach are ever in memory.
    jpeg: Vec<u8>,
}

/// Why there is no JPEG.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    /// The driver gave fewer bytes than the picture has.
    #[error("{bytes} bytes are no whole picture, {expected} are")]
    Torn { bytes: usize, expected: usize },
    #[error(transparent)]
    Encoder(#[from] turbojpeg::Error),
}

impl Encoder {
    /// An encoder of pictures of this layout and size (even numbers).
    ///
    /// # Errors
    /// If there is no memory left.
    pub(super) fn new(layout: Layout, (width, height): (u32, u32)) -> Result<Self, turbojpeg::Error> {
        let (width, height) = (width as usize, height as usize);
        let room = compressed_buf_len(width, height, Subsamp::None)?;
        let quality = Quality::default();
        let mut compressor = Compressor::new()?;
        compressor.set_quality(quality.percent().into())?;
        Ok(Self {
            layout,
            width,
            height,
            compressor,
            quality,
            planes: Planes::default(),
            jpeg: vec![0; room],
        })
    }

    /// Encodes from now on at `quality`.
    pub(super) fn set_quality(&mut self, quality: Quality) -> Result<(), EncodeError> {
        if self.quality != quality {
            self.compressor.set_quality(quality.percent().into())?;
            self.quality = quality;
        }
        Ok(())
    }

    /// The JPEG of a driver's buffer.
    pub(super) fn encode(&mut self, buffer: &[u8]) -> Result<&[u8], EncodeError> {
        let (width, height) = (self.width, self.height);
        let length = match self.layout {
            Layout::Packed(order) => {
                let stride = stride(buffer.len(), 2 * width, height)?;
                self.planes.unpack(buffer, stride, width, height, order);
                self.compress_planes(Subsamp::Sub2x1)?
            }
            Layout::Planar => {
                whole(buffer.len(), width * height + 2 * (width / 2 * (height / 2)))?;
                self.planes.stretch(buffer, width, height);
                self.compress_planes(Subsamp::Sub2x2)?
            }
            Layout::Grey => {
                let stride = stride(buffer.len(), width, height)?;
                self.planes.grey(buffer, stride, width, height);
                let format = TurboFormat::GRAY;
                let image = Image { pixels: &self.planes.y[..], width, pitch: width, height, format };
                self.compressor.set_subsamp(Subsamp::Gray)?;
                self.compressor.compress_to_slice(image, &mut self.jpeg)?
            }
            Layout::Rgb(format) => {
                let pitch = stride(buffer.len(), 3 * width, height)?;
                let image = Image { pixels: buffer, width, pitch, height, format };
                self.compressor.set_subsamp(Subsamp::Sub2x2)?;
                self.compressor.compress_to_slice(image, &mut self.jpeg)?
            }
        };
        Ok(&self.jpeg[..length])
    }

    fn compress_planes(&mut self, subsamp: Subsamp) -> Result<usize, turbojpeg::Error> {
        let image = YuvPlanesImage {
            y_plane: &self.planes.y[..],
            u_plane: &self.planes.cb[..],
            v_plane: &self.planes.cr[..],
            width: self.width,
            height: self.height,
            y_stride: self.width,
            u_stride: self.width / 2,
            v_stride: self.width / 2,
            subsamp,
        };
        self.compressor.compress_yuv_planes_to_slice(&image, &mut self.jpeg)
    }
}

/// The length of a row in a buffer of `bytes` bytes. Drivers may pad rows, and V4L2 tells by how much; rscam keeps it
/// to itself, but a buffer that is a whole number of longer rows gives it away.
fn stride(bytes: usize, row: usize, height: usize) -> Result<usize, EncodeError> {
    whole(bytes, row * height)?;
    Ok(if bytes.is_multiple_of(height) { bytes / height } else { row })
}

fn whole(bytes: usize, expected: usize) -> Result<(), EncodeError> {
    if bytes < expected { Err(EncodeError::Torn { bytes, expected }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    const SIZE: (u32, u32) = (64, 32);

    fn encoder(format: PixelFormat) -> Encoder {
        Encoder::new(Layout::of(format).unwrap(), SIZE).unwrap()
    }

    /// A blue-green ramp, as a driver would give it.
    fn buffer(format: PixelFormat) -> Vec<u8> {
        let (width, height) = SIZE;
        let luma = |x: u32| (40 + 2 * x) as u8;
        let pixels = (0..height).flat_map(|_| 0..width);
        let (cb, cr) = (150, 100);
        match format {
            PixelFormat::Grey => pixels.map(luma).collect(),
            PixelFormat::Yu12 => {
                let chroma = (width * height / 4) as usize;
                pixels.map(luma).chain([cb].repeat(chroma)).chain([cr].repeat(chroma)).collect()
            }
            PixelFormat::Yuyv => pixels.flat_map(|x| [luma(x), if x % 2 == 0 { cb } else { cr }]).collect(),
            PixelFormat::Uyvy => pixels.flat_map(|x| [if x % 2 == 0 { cb } else { cr }, luma(x)]).collect(),
            _ => {
                let swap = format == PixelFormat::Bgr24;
                let colour = |x| {
                    let [r, g, b] = rgb(luma(x), cb, cr);
                    if swap { [b, g, r] } else { [r, g, b] }
                };
                pixels.flat_map(colour).collect()
            }
        }
    }

    /// BT.601, limited range.
    fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let y = (f64::from(y) - 16.0) * 255.0 / 219.0;
        let (cb, cr) = ((f64::from(cb) - 128.0) * 255.0 / 224.0, (f64::from(cr) - 128.0) * 255.0 / 224.0);
        [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
            .map(|c| c.round().clamp(0.0, 255.0) as u8)
    }

    fn decoded(jpeg: &[u8]) -> RgbImage {
        image::load_from_memory(jpeg).unwrap().into_rgb8()
    }

    #[test]
    fn every_raw_format_keeps_its_colours() {
        for format in PixelFormat::ALL.into_iter().filter(|format| !format.is_jpeg()) {
            let mut encoder = encoder(format);
            encoder.set_quality(Quality::new(95).unwrap()).unwrap();
            let picture = decoded(encoder.encode(&buffer(format)).unwrap());
            assert_eq!(picture.dimensions(), SIZE);
            for x in [4, 31, 60] {
                let grey = format == PixelFormat::Grey;
                let expected =
                    if grey { rgb(40 + 2 * x as u8, 128, 128) } else { rgb(40 + 2 * x as u8, 150, 100) };
                let found = picture.get_pixel(x, 16).0;
                assert!(
                    found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6),
                    "{format} at {x}: {found:?}, not {expected:?}"
                );
            }
        }
    }

    #[test]
    fn rows_may_be_padded_and_a_buffer_longer_than_its_picture() {
        let packed = buffer(PixelFormat::Yuyv);
        let mut encoder = encoder(PixelFormat::Yuyv);
        let plain = encoder.encode(&packed).unwrap().to_vec();
        let padded: Vec<u8> = packed.chunks(128).flat_map(|row| [row, &[0; 64]].concat()).collect();
        assert_eq!(encoder.encode(&padded).unwrap(), plain);
        let longer = [packed.as_slice(), &[0; 7]].concat();
        assert_eq!(encoder.encode(&longer).unwrap(), plain);
    }

    #[test]
    fn a_buffer_that_is_too_short_is_torn() {
        for format in PixelFormat::ALL.into_iter().filter(|format| !format.is_jpeg()) {
            let mut encoder = encoder(format);
            let whole = buffer(format);
            assert!(
                matches!(encoder.encode(&whole[..whole.len() - 1]), Err(EncodeError::Torn { .. })),
                "{format}"
            );
            assert!(matches!(encoder.encode(b""), Err(EncodeError::Torn { .. })), "{format}");
        }
    }

    #[test]
    fn quality_is_what_it_is_set_to_and_memory_stays_where_it_is() {
        let mut encoder = encoder(PixelFormat::Rgb24);
        let mut noise = 1u32;
        let buffer: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .take(buffer(PixelFormat::Rgb24).len())
        .collect();
        let mut encode = |quality| {
            encoder.set_quality(Quality::new(quality).unwrap()).unwrap();
            let jpeg = encoder.encode(&buffer).unwrap();
            (jpeg.len(), jpeg.as_ptr())
        };
        let (fine, place) = encode(100);
        let (coarse, _) = encode(20);
        assert!(coarse * 3 < fine);
        assert_eq!(encode(100), (fine, place));
    }
}
