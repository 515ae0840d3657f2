//! The whole way from a batch to a segment: a pure function of the batch and the settings.

use std::{sync::mpsc, thread};

use bytes::Bytes;
use teiten_footage::{
    Batch, CameraId, ContentHash, Frame, FrameId, InitKey, MotionMap, Pictures, SegmentKey, Window,
    limits::WINDOW_FRAMES_MAX,
};

use crate::{
    fmp4::{self, Sample},
    h264::{self, Encoder, EncoderError, nal},
    jpeg::{Decoder, FrameError},
    motion::Meter,
    picture::{Picture, Size},
    settings::{Qp, Settings},
    timing,
};

/// A segment and what it needs to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The window that the segment covers.
    pub window: Window,
    /// The init section: equal for equal picture size and settings.
    pub init: Bytes,
    /// The segment.
    pub segment: Bytes,
    /// What is in the segment: the frames of the batch but for [`Encoded::dropped`].
    pub pictures: Pictures,
    /// What moves in it.
    pub motion: MotionMap,
    /// How many frames are in the segment.
    pub frames_count: usize,
    /// The settings' QP, or a coarser one where a picture was too noisy for the encoder.
    pub qp: Qp,
    /// The frames that are not.
    pub dropped: Vec<Dropped>,
}

/// A frame that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Which.
    pub id: FrameId,
    /// Why.
    pub why: FrameError,
}

/// Why a batch makes no segment. It never will: nothing here depends on anything but the batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No frame could be decoded.
    #[error("none of the {count} frames of window {window} can be decoded; the last, {id}: {why}", id = last.id, why = last.why)]
    NothingToShow {
        /// The window.
        window: Window,
        /// How many frames the batch has.
        count: usize,
        /// The last of them.
        last: Dropped,
    },
    /// More frames than a window may have.
    #[error("window {window} has {count} frames, more than {WINDOW_FRAMES_MAX}")]
    TooManyFrames {
        /// The window.
        window: Window,
        /// How many frames the batch has.
        count: usize,
    },
    /// The window has no media sequence number.
    #[error("window {window} is before 2020, when media sequence numbers begin")]
    TooEarly {
        /// The window.
        window: Window,
    },
    /// The encoder failed, at the coarsest QP too.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
}

impl Encoded {
    /// The key of the init section.
    pub fn init_key(&self, camera: CameraId) -> InitKey {
        InitKey { camera, hash: ContentHash::of(&self.init) }
    }

    /// The key of the segment.
    pub fn segment_key(&self, camera: CameraId) -> SegmentKey {
        let init = ContentHash::of(&self.init);
        SegmentKey { camera, window: self.window, init, pictures: self.pictures }
    }
}

/// Encodes a batch. Frames that cannot be decoded are left out and named; if frames differ in size, they take
/// that of the last one that can be decoded. Where the encoder has no room for pictures of nothing but noise,
/// they are encoded more coarsely.
pub fn encode(batch: &Batch, settings: &Settings) -> Result<Encoded, EncodeError> {
    let mut settings = *settings;
    loop {
        match (encode_at(batch, &settings), settings.qp.coarser()) {
            (Err(EncodeError::Encoder(_)), Some(qp)) => settings.qp = qp,
            (result, _) => return result,
        }
    }
}

fn encode_at(batch: &Batch, settings: &Settings) -> Result<Encoded, EncodeError> {
    let (window, frames) = (batch.window(), batch.frames());
    if frames.len() > WINDOW_FRAMES_MAX {
        return Err(EncodeError::TooManyFrames { window, count: frames.len() });
    }
    let sequence = window.media_sequence().ok_or(EncodeError::TooEarly { window })?;
    let mut source = Source::new(window, frames)?;
    let meter = Meter::new(window, frames.len());
    let mut segment = Segment::new(h264::encoder(source.size, settings)?, meter);
    let mut add = |frame: &Frame, decoded: Result<&Picture, FrameError>| segment.add(frame, decoded);
    if settings.decode_ahead && frames.len() > 1 {
        decode_ahead(&mut source, frames, &mut add)?;
    } else {
        let mut picture = Picture::default();
        for frame in frames {
            let decoded = source.decode(frame, &mut picture);
            add(frame, decoded.map(|()| &picture))?;
        }
    }
    segment.finish(window, sequence, source.size, settings.qp)
}

/// Decodes the frames on a thread of their own, one picture ahead of `add`.
fn decode_ahead(
    source: &mut Source,
    frames: &[Frame],
    add: &mut impl FnMut(&Frame, Result<&Picture, FrameError>) -> Result<(), EncoderError>,
) -> Result<(), EncoderError> {
    let (decoded_sender, decoded_receiver) = mpsc::sync_channel(1);
    let (free_sender, free_receiver) = mpsc::channel();
    let pictures = [Picture::default(), Picture::default()];
    thread::scope(move |scope| {
        scope.spawn(move || {
            let free = pictures.into_iter().chain(free_receiver);
            for (frame, mut picture) in frames.iter().zip(free) {
                let decoded = source.decode(frame, &mut picture);
                if decoded_sender.send((frame, decoded, picture)).is_err() {
                    return; // the encoder failed
                }
            }
        });
        for (frame, decoded, picture) in decoded_receiver {
            add(frame, decoded.map(|()| &picture))?;
            // The decoder does not wait for a picture after the last frame.
            let _ = free_sender.send(picture);
        }
        Ok(())
    })
}

/// Frames to pictures of one size.
struct Source {
    decoder: Decoder,
    size: Size,
}

impl Source {
    /// Fails if no frame can be decoded.
    fn new(window: Window, frames: &[Frame]) -> Result<Self, EncodeError> {
        let mut decoder = Decoder::new();
        let size = common_size(&mut decoder, frames).map_err(|last| EncodeError::NothingToShow {
            window,
            count: frames.len(),
            last,
        })?;
        Ok(Self { decoder, size })
    }

    fn decode(&mut self, frame: &Frame, picture: &mut Picture) -> Result<(), FrameError> {
        self.decoder.decode(&frame.jpeg, picture)?;
        if picture.size != self.size {
            *picture = picture.scaled(self.size);
        }
        Ok(())
    }
}

/// The size of the last frame that can be decoded. A look at the headers is enough as long as they agree.
fn common_size(decoder: &mut Decoder, frames: &[Frame]) -> Result<Size, Dropped> {
    let mut sizes =
        frames.iter().filter_map(|frame| decoder.header(&frame.jpeg).ok()).map(|header| header.size);
    if let Some(size) = sizes.next()
        && sizes.all(|other| other == size)
    {
        return Ok(size);
    }
    let mut last = None;
    for frame in frames.iter().rev() {
        let mut picture = Picture::default();
        match decoder.decode(&frame.jpeg, &mut picture) {
            Ok(()) => return Ok(picture.size),
            Err(why) => last = last.or(Some(Dropped { id: frame.id, why })),
        }
    }
    Err(last.expect("a batch has frames"))
}

/// A segment in the making.
struct Segment {
    encoder: Box<dyn Encoder>,
    meter: Meter,
    stream: Vec<u8>,
    sizes: Vec<u32>,
    frames: Vec<Frame>,
    dropped: Vec<Dropped>,
}

impl Segment {
    fn new(encoder: Box<dyn Encoder>, meter: Meter) -> Self {
        let (sizes, frames, dropped) = (Vec::new(), Vec::new(), Vec::new());
        Self { encoder, meter, stream: Vec::new(), sizes, frames, dropped }
    }

    fn add(&mut self, frame: &Frame, decoded: Result<&Picture, FrameError>) -> Result<(), EncoderError> {
        match decoded {
            Ok(picture) => {
                self.meter.look(self.frames.len() + self.dropped.len(), picture);
                let before = self.stream.len();
                self.encoder.encode(picture, &mut self.stream)?;
                let size = self.stream.len() - before;
                self.sizes.push(u32::try_from(size).expect("an access unit is far smaller than 4 GB"));
                self.frames.push(frame.clone());
            }
            Err(why) => self.dropped.push(Dropped { id: frame.id, why }),
        }
        Ok(())
    }

    fn finish(self, window: Window, sequence: u64, size: Size, qp: Qp) -> Result<Encoded, EncodeError> {
        let Self { encoder: _, meter, stream, sizes, frames, dropped } = self;
        let captured: Vec<_> = frames.iter().map(|frame| frame.captured).collect();
        let frames_count = frames.len();
        let Ok(shown) = Batch::new(window, frames) else {
            let count = dropped.len();
            let last = dropped.into_iter().next_back().expect("a batch has frames, shown or dropped");
            return Err(EncodeError::NothingToShow { window, count, last });
        };
        let parameter_set =
            |kind| nal::units(&stream).find(|unit| nal::kind(unit) == kind).unwrap_or_default();
        let init = fmp4::init(size, parameter_set(nal::SPS), parameter_set(nal::PPS));
        let samples: Vec<Sample> = timing::durations(window, &captured)
            .into_iter()
            .zip(sizes)
            .map(|(duration_ticks, size_bytes)| Sample { duration_ticks, size_bytes })
            .collect();
        let motion = meter.finish();
        let (segment, keyframe_bytes) =
            fmp4::segment(window.start().ticks(), sequence, &motion, &samples, &stream);
        let pictures = Pictures { frames: shown.frames_hash(), keyframe_bytes };
        Ok(Encoded { window, init, segment, pictures, motion, frames_count, qp, dropped })
    }
}
