//! `teiten-agent cost`: what a picture costs that is encoded here.

use std::time::{Duration, Instant};

use super::encoder::{Encoder, Layout};
use crate::config::{PictureSize, PixelFormat, Quality};

/// The time that encoding one picture takes, the mean of `pictures` of them; `None` of a format that the camera
/// encodes.
///
/// # Errors
/// If there is no memory left.
pub fn encoding_cost(
    format: PixelFormat,
    size: PictureSize,
    pictures: u32,
) -> anyhow::Result<Option<Duration>> {
    let Some(layout) = Layout::of(format) else { return Ok(None) };
    let mut encoder = Encoder::new(layout, (size.width(), size.height()))?;
    encoder.set_quality(Quality::default())?;
    let buffer = picture(format, size);
    let started = Instant::now();
    for _ in 0..pictures {
        encoder.encode(&buffer)?;
    }
    Ok(Some(started.elapsed() / pictures.max(1)))
}

/// A slope with the noise of a sensor on it, the same each time, as a driver would give it.
fn picture(format: PixelFormat, size: PictureSize) -> Vec<u8> {
    let bytes_per_pixel = match format {
        PixelFormat::Rgb24 | PixelFormat::Bgr24 => 3,
        _ => 2,
    };
    let row = bytes_per_pixel * size.width() as usize;
    let mut noise = 1u32;
    (0..row * size.height() as usize)
        .map(|at| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (40 + at % row * 160 / row) as u8 + (noise >> 28) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_raw_format_has_a_cost_and_a_jpeg_has_none() {
        for format in PixelFormat::ALL {
            let cost = encoding_cost(format, PictureSize::default(), 1).unwrap();
            assert_eq!(cost.is_none(), format.is_jpeg(), "{format}");
        }
    }
}
