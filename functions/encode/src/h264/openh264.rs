//! OpenH264 by its own interface: the safe wrapper offers neither CABAC nor a fixed QP.

use std::{ffi::c_int, ptr::NonNull};

use openh264_sys2::{
    self as wels, ISVCEncoder, ISVCEncoderVtbl, SEncParamExt, SFrameBSInfo, SSourcePicture, source::APILoader,
};

use super::{Encoder, EncoderError, colour, nal};
use crate::{
    picture::{Picture, Plane, Size},
    settings::Qp,
};

/// What the encoder is told about the frame rate. It only decides the level, which must be the same for every
/// batch of a camera (it is in the init section); the true times are the container's.
const FRAME_RATE: u8 = 30;

/// An OpenH264 encoder.
pub(super) struct OpenH264 {
    encoder: NonNull<ISVCEncoder>,
    size: Size,
    /// Pictures encoded so far.
    pictures: i64,
    // 7 kB that every call fills anew.
    output: Box<SFrameBSInfo>,
}

impl Drop for OpenH264 {
    fn drop(&mut self) {
        // SAFETY: the encoder is live and not used again; what was not initialized may be uninitialized too.
        unsafe {
            if let Some(uninitialize) = self.methods().Uninitialize {
                uninitialize(self.encoder.as_ptr());
            }
            APILoader::WelsDestroySVCEncoder(self.encoder.as_ptr());
        }
    }
}

impl OpenH264 {
    /// An encoder for pictures of `size` at `qp`.
    pub(super) fn new(size: Size, qp: Qp) -> Result<Self, EncoderError> {
        let mut encoder = std::ptr::null_mut();
        // SAFETY: the argument is a place for a pointer.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(&raw mut encoder) };
        let encoder = NonNull::new(encoder).ok_or_else(|| error("creation", code))?;
        let this = Self { encoder, size, pictures: 0, output: Box::default() };
        this.initialize(qp)?;
        Ok(this)
    }

    fn methods(&self) -> &ISVCEncoderVtbl {
        // SAFETY: a live encoder begins with a pointer to its table of methods, which is static.
        unsafe { &**self.encoder.as_ptr() }
    }

    fn initialize(&self, qp: Qp) -> Result<(), EncoderError> {
        let methods = self.methods();
        let mut quiet = wels::WELS_LOG_QUIET;
        let mut parameters = SEncParamExt::default();
        // SAFETY: the encoder is live and the arguments are of the types that the methods name.
        unsafe {
            method(methods.SetOption)(
                self.encoder.as_ptr(),
                wels::ENCODER_OPTION_TRACE_LEVEL,
                (&raw mut quiet).cast(),
            );
            let code = method(methods.GetDefaultParams)(self.encoder.as_ptr(), &raw mut parameters);
            ok("defaults", code)?;
            configure(&mut parameters, self.size, qp);
            ok("initialization", method(methods.InitializeExt)(self.encoder.as_ptr(), &raw const parameters))
        }
    }
}

fn configure(parameters: &mut SEncParamExt, size: Size, qp: Qp) {
    let (width, height) = (c_int::from(size.width()), c_int::from(size.height()));
    parameters.iUsageType = wels::CAMERA_VIDEO_REAL_TIME;
    parameters.iComplexityMode = wels::LOW_COMPLEXITY;
    parameters.iPicWidth = width;
    parameters.iPicHeight = height;
    parameters.fMaxFrameRate = f32::from(FRAME_RATE);
    // Every picture at one QP (the layer's, below), and none skipped: a surveillance camera's picture must not
    // get worse when something happens in it.
    parameters.iRCMode = wels::RC_OFF_MODE;
    parameters.bEnableFrameSkip = false;
    // One IDR picture, the first, and one reference, the picture before.
    parameters.uiIntraPeriod = 0;
    parameters.bEnableSceneChangeDetect = false;
    parameters.iNumRefFrame = 1;
    parameters.bEnableLongTermReference = false;
    parameters.eSpsPpsIdStrategy = wels::CONSTANT_ID;
    parameters.iTemporalLayerNum = 1;
    parameters.iSpatialLayerNum = 1;
    parameters.iEntropyCodingModeFlag = 1;
    parameters.iMultipleThreadIdc = 1;
    parameters.bEnableDenoise = false;
    parameters.bEnableAdaptiveQuant = false;
    // It would freeze what moves little, which may be what the camera is there for.
    parameters.bEnableBackgroundDetection = false;

    let layer = &mut parameters.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = f32::from(FRAME_RATE);
    layer.iDLayerQp = c_int::from(qp.get());
    layer.uiProfileIdc = wels::PRO_MAIN;
    layer.sSliceArgument.uiSliceMode = wels::SM_SINGLE_SLICE;
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = 5; // unspecified
    layer.bFullRange = true;
    layer.bColorDescriptionPresent = true;
    layer.uiColorPrimaries = colour::PRIMARIES;
    layer.uiTransferCharacteristics = colour::TRANSFER;
    layer.uiColorMatrix = colour::MATRIX;
}

impl Encoder for OpenH264 {
    fn encode(&mut self, picture: &Picture, stream: &mut Vec<u8>) -> Result<(), EncoderError> {
        picture.assert_complete(self.size);
        let [y, cb, cr] = &picture.planes;
        let pointer = |plane: &Plane| plane.samples.as_ptr().cast_mut();
        let source = SSourcePicture {
            iColorFormat: wels::videoFormatI420,
            iStride: [y.stride as c_int, cb.stride as c_int, cr.stride as c_int, 0],
            pData: [pointer(y), pointer(cb), pointer(cr), std::ptr::null_mut()],
            iPicWidth: c_int::from(self.size.width()),
            iPicHeight: c_int::from(self.size.height()),
            uiTimeStamp: self.pictures * 1000 / i64::from(FRAME_RATE),
            ..SSourcePicture::default()
        };
        let encode = method(self.methods().EncodeFrame);
        // SAFETY: the encoder is live and initialized; the planes are as large as stated and are only read.
        let code = unsafe { encode(self.encoder.as_ptr(), &raw const source, &raw mut *self.output) };
        ok("encoding", code)?;
        self.pictures += 1;
        let before = stream.len();
        self.take_output(stream);
        if stream.len() == before {
            // Frame skipping is off, so there is always a picture.
            return Err(error("encoding", self.output.eFrameType));
        }
        Ok(())
    }
}

impl OpenH264 {
    /// Appends the NAL units of the last call, each of which begins with a start code of 4 bytes.
    fn take_output(&self, stream: &mut Vec<u8>) {
        let layers = &self.output.sLayerInfo[..self.output.iLayerNum as usize];
        for layer in layers {
            // SAFETY: a layer has as many lengths as units, and its buffer has as many bytes as the lengths
            // add up to; both live until the next call.
            let mut units = unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, layer.iNalCount as usize);
                let bytes = lengths.iter().map(|length| *length as usize).sum();
                let buffer = std::slice::from_raw_parts(layer.pBsBuf, bytes);
                lengths.iter().scan(buffer, |rest, length| rest.split_off(..*length as usize))
            };
            units.by_ref().for_each(|unit| nal::push(&unit[nal::PREFIX_BYTES..], stream));
        }
    }
}

fn method<Method>(method: Option<Method>) -> Method {
    method.expect("an encoder has every method")
}

fn error(step: &'static str, code: impl Into<i64>) -> EncoderError {
    EncoderError { encoder: "OpenH264", step, code: code.into() }
}

fn ok(step: &'static str, code: c_int) -> Result<(), EncoderError> {
    if code == 0 { Ok(()) } else { Err(error(step, code)) }
}
