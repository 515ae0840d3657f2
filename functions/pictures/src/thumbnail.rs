//! A frame, small.

use teiten_encode::{
    jpeg::{Decoder, FrameError},
    picture::{Picture, Size},
};

/// Columns of a poster.
const POSTER_WIDTH: u16 = 640;

/// A frame at the size of a sheet's thumbnails: the whole of it, whatever its shape is. The decoder leaves out what
/// will not be seen.
pub(crate) fn thumbnail(
    decoder: &mut Decoder,
    jpeg: &[u8],
    width: u16,
    height: u16,
) -> Result<Picture, FrameError> {
    let mut picture = Picture::default();
    decoder.decode_from_width(jpeg, &mut picture, width)?;
    let size = Size::of_jpeg(width.into(), height.into());
    Ok(picture.scaled(size.expect("thumbnails are of a size that pictures have")))
}

/// The height of thumbnails of frames like this one: even, and between a tenth of the width and `height_max`.
pub(crate) fn height(
    decoder: &mut Decoder,
    jpeg: &[u8],
    width: u16,
    height_max: u16,
) -> Result<u16, FrameError> {
    let size = decoder.header(jpeg)?.size;
    let height = u32::from(width) * u32::from(size.height()) / u32::from(size.width());
    Ok(height.clamp(u32::from(width) / 10, height_max.into()) as u16 & !1)
}

/// A frame as a poster: 640 columns, or fewer if it has fewer.
pub(crate) fn poster(decoder: &mut Decoder, jpeg: &[u8]) -> Result<Picture, FrameError> {
    let size = decoder.header(jpeg)?.size;
    if size.width() <= POSTER_WIDTH {
        let mut picture = Picture::default();
        decoder.decode(jpeg, &mut picture)?;
        return Ok(picture);
    }
    let height = height(decoder, jpeg, POSTER_WIDTH, 4 * POSTER_WIDTH)?;
    thumbnail(decoder, jpeg, POSTER_WIDTH, height)
}
