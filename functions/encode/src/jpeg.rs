//! Decodes a JPEG (ITU-T T.81) to planes, without leaving its colour space. This is libjpeg-turbo's own
//! interface: the safe wrapper takes every warning for an error, and cameras give cause for harmless ones.

use std::{
    ffi::{CStr, c_int, c_void},
    ptr::NonNull,
};

use turbojpeg::raw as tj;

use crate::picture::{ChromaStep, Picture, Plane, Size};

/// Scans of a progressive JPEG that are decoded at most: encoders write about 10, a hostile file thousands.
const SCANS_MAX: c_int = 64;

/// Memory that libjpeg-turbo may take, in MB: the coefficients of a progressive JPEG of the largest size.
const MEMORY_MAX_MB: c_int = 128;

/// Why a frame cannot be in a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is damaged, or no JPEG.
    #[error("the JPEG is corrupt: {why}")]
    Corrupt {
        /// What the decoder says.
        why: String,
    },
    /// It is too small or too large.
    #[error(
        "{width}x{height} cannot be encoded: sides are {min} to {max} samples, areas at most {area} macroblocks",
        min = Size::SIDE_MIN, max = Size::SIDE_MAX, area = Size::MACROBLOCKS_MAX
    )]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// It has a colour space or a sampling that cameras do not have.
    #[error("the JPEG is neither YCbCr nor greyscale, or has an unusual sampling of chroma")]
    Colour,
}

/// What a JPEG's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The size of its picture.
    pub size: Size,
    columns: c_int,
    rows: c_int,
    subsampling: c_int,
}

impl Header {
    /// That of the picture decoded at one `by`th of its size; `None` if that is too small.
    fn shrunk(self, by: c_int) -> Option<Self> {
        let (columns, rows) = ((self.columns + by - 1) / by, (self.rows + by - 1) / by);
        let size = Size::of_jpeg(columns as u32, rows as u32)?;
        Some(Self { size, columns, rows, ..self })
    }

    /// How its chroma is sampled; `None` if it has none.
    fn chroma(self) -> Result<Option<ChromaStep>, FrameError> {
        let (columns, rows) = match self.subsampling {
            tj::TJSAMP_TJSAMP_GRAY => return Ok(None),
            tj::TJSAMP_TJSAMP_444 => (1, 1),
            tj::TJSAMP_TJSAMP_422 => (2, 1),
            tj::TJSAMP_TJSAMP_420 => (2, 2),
            tj::TJSAMP_TJSAMP_440 => (1, 2),
            tj::TJSAMP_TJSAMP_411 => (4, 1),
            tj::TJSAMP_TJSAMP_441 => (1, 4),
            _ => return Err(FrameError::Colour),
        };
        Ok(Some(ChromaStep { columns, rows }))
    }

    /// Columns and rows that the decoder writes to a plane.
    fn plane(self, plane: c_int) -> (usize, usize) {
        // SAFETY: pure functions of their arguments.
        let (columns, rows) = unsafe {
            (
                tj::tj3YUVPlaneWidth(plane, self.columns, self.subsampling),
                tj::tj3YUVPlaneHeight(plane, self.rows, self.subsampling),
            )
        };
        // They fail (0) only on a size or a sampling that has no header.
        (columns as usize, rows as usize)
    }
}

/// Decodes one JPEG after another, with the same buffers.
#[derive(Debug)]
pub struct Decoder {
    handle: Handle,
    /// Chroma before it is folded.
    chroma: [Plane; 2],
}

/// A TurboJPEG instance.
#[derive(Debug)]
struct Handle(NonNull<c_void>);

// SAFETY: an instance has no ties to the thread that made it. The last message is the thread's, but it is read
// right after the call that caused it.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the instance is live and not used again.
        unsafe { tj::tj3Destroy(self.as_ptr()) }
    }
}

impl Handle {
    fn as_ptr(&self) -> tj::tjhandle {
        self.0.as_ptr()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder.
    ///
    /// # Panics
    /// If there is no memory left for one.
    pub fn new() -> Self {
        // SAFETY: tj3Init has no preconditions.
        let handle = unsafe { tj::tj3Init(tj::TJINIT_TJINIT_DECOMPRESS as c_int) };
        let handle = NonNull::new(handle).expect("a JPEG decoder takes a few kilobytes");
        let this = Self { handle: Handle(handle), chroma: Default::default() };
        for (parameter, value) in
            [(tj::TJPARAM_TJPARAM_SCANLIMIT, SCANS_MAX), (tj::TJPARAM_TJPARAM_MAXMEMORY, MEMORY_MAX_MB)]
        {
            // SAFETY: the handle is live.
            let status = unsafe { tj::tj3Set(this.handle.as_ptr(), parameter as c_int, value) };
            assert_eq!(status, 0, "the limits of a JPEG decoder can be set");
        }
        this
    }

    /// Reads the header.
    pub fn header(&mut self, jpeg: &[u8]) -> Result<Header, FrameError> {
        // SAFETY: the handle is live, the bytes are readable.
        let status =
            unsafe { tj::tj3DecompressHeader(self.handle.as_ptr(), jpeg.as_ptr(), jpeg.len() as tj::size_t) };
        if let Err(error) = self.check(status) {
            // TurboJPEG leaves a header that it failed on half read, and would go on there with the next.
            *self = Self { chroma: std::mem::take(&mut self.chroma), ..Self::new() };
            return Err(error);
        }
        let get = |parameter: tj::TJPARAM| {
            // SAFETY: the handle is live.
            unsafe { tj::tj3Get(self.handle.as_ptr(), parameter as c_int) }
        };
        let (columns, rows) = (get(tj::TJPARAM_TJPARAM_JPEGWIDTH), get(tj::TJPARAM_TJPARAM_JPEGHEIGHT));
        // Both are positive.
        let (width, height) = (columns as u32, rows as u32);
        let size = Size::of_jpeg(width, height).ok_or(FrameError::Size { width, height })?;
        let colour_space = get(tj::TJPARAM_TJPARAM_COLORSPACE) as tj::TJCS;
        if ![tj::TJCS_TJCS_YCbCr, tj::TJCS_TJCS_GRAY].contains(&colour_space) {
            return Err(FrameError::Colour);
        }
        Ok(Header { size, columns, rows, subsampling: get(tj::TJPARAM_TJPARAM_SUBSAMP) })
    }

    /// Decodes a JPEG into `picture`, which takes its size.
    pub fn decode(&mut self, jpeg: &[u8], picture: &mut Picture) -> Result<(), FrameError> {
        let header = self.header(jpeg)?;
        self.decode_shrunk(jpeg, picture, header, 1)
    }

    /// Decodes a JPEG at an eighth, a quarter, half or all of its size: the smallest with this width. What is left out
    /// is not computed.
    pub fn decode_from_width(
        &mut self,
        jpeg: &[u8],
        picture: &mut Picture,
        width: u16,
    ) -> Result<(), FrameError> {
        let header = self.header(jpeg)?;
        let shrunk = [8, 4, 2].into_iter().find_map(|by| {
            let shrunk = header.shrunk(by)?;
            (shrunk.size.width() >= width).then_some((shrunk, by))
        });
        let (header, by) = shrunk.unwrap_or((header, 1));
        self.decode_shrunk(jpeg, picture, header, by)
    }

    /// Decodes a JPEG at one `by`th of its size, as `header` has it.
    fn decode_shrunk(
        &mut self,
        jpeg: &[u8],
        picture: &mut Picture,
        header: Header,
        by: c_int,
    ) -> Result<(), FrameError> {
        // SAFETY: the handle is live.
        let status = unsafe {
            tj::tj3SetScalingFactor(self.handle.as_ptr(), tj::tjscalingfactor { num: 1, denom: by })
        };
        assert_eq!(status, 0, "these sizes are among those that libjpeg-turbo decodes at");
        let chroma = header.chroma()?;
        picture.size = header.size;
        let (stride, rows) = header.plane(0);
        picture.planes[0].reserve(stride, rows);
        let fold = chroma.filter(|step| *step != ChromaStep::HALF);
        if chroma.is_some() {
            let (stride, rows) = header.plane(1);
            let planes = if fold.is_some() { &mut self.chroma[..] } else { &mut picture.planes[1..] };
            planes.iter_mut().for_each(|plane| plane.reserve(stride, rows));
        }

        let [y, cb, cr] = &mut picture.planes;
        let [cb, cr] = if fold.is_some() { self.chroma.each_mut() } else { [cb, cr] };
        let mut pointers = [y.samples.as_mut_ptr(), cb.samples.as_mut_ptr(), cr.samples.as_mut_ptr()];
        let mut strides = [y.stride as c_int, cb.stride as c_int, cr.stride as c_int];
        // SAFETY: the handle is live, the bytes are readable, and each plane has room for what TurboJPEG says
        // that it writes for this size and sampling. It reads the header again, of the same bytes.
        let status = unsafe {
            tj::tj3DecompressToYUVPlanes8(
                self.handle.as_ptr(),
                jpeg.as_ptr(),
                jpeg.len() as tj::size_t,
                pointers.as_mut_ptr(),
                strides.as_mut_ptr(),
            )
        };
        self.check(status)?;

        match (chroma, fold) {
            (None, _) => picture.clear_chroma(),
            (_, Some(step)) => {
                for (plane, from) in self.chroma.iter().enumerate() {
                    picture.fold_chroma(plane + 1, from, step);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Turns a status into an error, unless it is a warning that does not touch the picture.
    fn check(&self, status: c_int) -> Result<(), FrameError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the handle is live; the message lives until the thread's next call and is copied here.
        let (code, message) = unsafe {
            let message = CStr::from_ptr(tj::tj3GetErrorStr(self.handle.as_ptr()));
            (tj::tj3GetErrorCode(self.handle.as_ptr()), message.to_string_lossy())
        };
        if code == tj::TJERR_TJERR_WARNING as c_int && is_harmless(&message) {
            return Ok(());
        }
        Err(FrameError::Corrupt { why: message.into_owned() })
    }
}

/// Whether a warning of libjpeg-turbo's (jerror.h) leaves the picture whole. Bytes too many before a marker
/// are padding that some cameras write; before a restart marker (0xd0 to 0xd7) they are torn picture data. Only
/// the first warning of a JPEG is told: where padding comes before the picture, damage in it goes unseen.
fn is_harmless(warning: &str) -> bool {
    let padding = warning
        .strip_prefix("Corrupt JPEG data: ")
        .and_then(|warning| warning.split_once(" extraneous bytes before marker 0x"))
        .and_then(|(_count, marker)| u8::from_str_radix(marker, 16).ok());
    match padding {
        Some(marker) => !(0xd0..=0xd7).contains(&marker),
        None => warning.starts_with("Warning: unknown JFIF revision number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_padding_and_version_numbers_are_harmless() {
        for (warning, harmless) in [
            ("Corrupt JPEG data: 3 extraneous bytes before marker 0xd9", true),
            ("Corrupt JPEG data: 3 extraneous bytes before marker 0xdb", true),
            ("Corrupt JPEG data: 3 extraneous bytes before marker 0xd3", false),
            ("Corrupt JPEG data: premature end of data segment", false),
            ("Corrupt JPEG data: bad Huffman code", false),
            ("Premature end of JPEG file", false),
            ("Warning: unknown JFIF revision number 2.01", true),
        ] {
            assert_eq!(is_harmless(warning), harmless, "{warning}");
        }
    }
}
