//! x264, through a few C functions (`x264.c`): its parameters are a structure of another layout in each of its
//! versions, so only a C compiler with the installed header can fill it in.

use std::{
    ffi::{c_int, c_void},
    ptr::NonNull,
};

use super::{Encoder, EncoderError, colour, nal};
use crate::{
    picture::{Picture, Size},
    settings::Qp,
};

unsafe extern "C" {
    fn teiten_x264_open(width: c_int, height: c_int, crf: c_int, colour: *const u8) -> *mut c_void;
    fn teiten_x264_encode(
        encoder: *mut c_void,
        number: i64,
        planes: *const *const u8,
        strides: *const c_int,
        payload: *mut *const u8,
    ) -> c_int;
    fn teiten_x264_close(encoder: *mut c_void);
}

/// `nal_unit_type` of supplemental information: x264 introduces itself in 700 bytes of it.
const SEI: u8 = 6;

/// An x264 encoder.
pub(super) struct X264 {
    encoder: NonNull<c_void>,
    size: Size,
    /// Pictures encoded so far.
    pictures: i64,
}

impl Drop for X264 {
    fn drop(&mut self) {
        // SAFETY: the encoder is live and not used again.
        unsafe { teiten_x264_close(self.encoder.as_ptr()) }
    }
}

impl X264 {
    /// An encoder for pictures of `size`, with `qp` as its constant rate factor.
    pub(super) fn new(size: Size, qp: Qp) -> Result<Self, EncoderError> {
        let colour = [colour::PRIMARIES, colour::TRANSFER, colour::MATRIX];
        // SAFETY: the function reads three bytes.
        let encoder = unsafe {
            teiten_x264_open(size.width().into(), size.height().into(), qp.get().into(), colour.as_ptr())
        };
        let encoder = NonNull::new(encoder).ok_or(error("creation", 0))?;
        Ok(Self { encoder, size, pictures: 0 })
    }
}

impl Encoder for X264 {
    fn encode(&mut self, picture: &Picture, stream: &mut Vec<u8>) -> Result<(), EncoderError> {
        picture.assert_complete(self.size);
        let planes = picture.planes.each_ref().map(|plane| plane.samples.as_ptr());
        let strides = picture.planes.each_ref().map(|plane| plane.stride as c_int);
        let mut payload = std::ptr::null();
        // SAFETY: the encoder is live; the planes are as large as its pictures and are only read.
        let length = unsafe {
            teiten_x264_encode(
                self.encoder.as_ptr(),
                self.pictures,
                planes.as_ptr(),
                strides.as_ptr(),
                &raw mut payload,
            )
        };
        if length <= 0 {
            // Without lookahead and B-pictures each call gives an access unit.
            return Err(error("encoding", length));
        }
        self.pictures += 1;
        // SAFETY: x264 wrote `length` bytes there, and keeps them until the next call.
        let access_unit = unsafe { std::slice::from_raw_parts(payload, length as usize) };
        nal::units(access_unit)
            .filter(|unit| nal::kind(unit) != SEI)
            .for_each(|unit| nal::push(unit, stream));
        Ok(())
    }
}

fn error(step: &'static str, code: c_int) -> EncoderError {
    EncoderError { encoder: "x264", step, code: code.into() }
}
