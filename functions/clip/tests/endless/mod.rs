//! Footage without an end, which is made up as it is read.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, header};
use mp4_atom::{Encode as _, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};
use teiten_bucket::{Bucket, BucketError, Condition, ETag, Headers, Listed, MemoryBucket, Object, Put};
use teiten_clip::Clip;
use teiten_encode::encode;
use teiten_footage::{
    Batch, BootId, CameraId, ContentHash, Frame, FrameId, Pictures, SegmentKey, Timestamp, Window,
    WindowLength,
};
use teiten_host::{Asked, Responder as _, Response};
use turbojpeg::{Compressor, Subsamp, YuvImage, yuv_pixels_len};

/// Samples of a window. No two windows show theirs equally long.
pub(crate) const SAMPLES: u32 = 15;
/// The size of a keyframe, and of what is not one unless that is said.
pub(crate) const KEYFRAME: u32 = 60;
pub(crate) const OTHER: u32 = 40;

/// A camera with footage of every second from `first` on.
#[derive(Debug)]
pub(crate) struct Endless {
    init: ContentHash,
    inits: MemoryBucket,
    camera: CameraId,
    /// The size of what is not a keyframe.
    pub(crate) other_bytes: u32,
}

pub(crate) fn second(time: Timestamp) -> Window {
    Window::containing(time, WindowLength::DEFAULT)
}

/// How long a sample of a window is shown.
pub(crate) fn ticks(window: Window, sample: u32) -> u32 {
    let jitter = (window.index().wrapping_mul(0x9e37_79b9) >> (sample % 8)) as u32 % 97;
    match sample {
        0 => 6000 + jitter,
        14 => 90_000 - (0..14).map(|sample| ticks(window, sample)).sum::<u32>(),
        _ => 5900 + jitter,
    }
}

impl Endless {
    pub(crate) async fn new() -> Self {
        let (inits, camera) = (MemoryBucket::new("media"), CameraId::new("gate").unwrap());
        let encoded = encode(&batch(), &teiten_encode::Settings::default()).unwrap();
        let key = encoded.init_key(camera.clone());
        let init = key.hash;
        inits.put(&key.to_string(), encoded.init, Headers::default(), Condition::Always).await.unwrap();
        Self { init, inits, camera, other_bytes: OTHER }
    }

    pub(crate) fn segment(&self, window: Window) -> SegmentKey {
        let keyframe_bytes = Pictures::KEYFRAME_AT + KEYFRAME;
        let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes };
        SegmentKey { camera: self.camera.clone(), window, init: self.init, pictures }
    }

    /// A segment, of which what is before the keyframe does not matter.
    pub(crate) fn bytes(&self, window: Window) -> Vec<u8> {
        let mut bytes = vec![0; (Pictures::KEYFRAME_AT + KEYFRAME) as usize];
        let entry = |sample: u32| TrunEntry {
            duration: Some(ticks(window, sample)),
            size: Some(self.other_bytes),
            flags: Some(0x0101_0000),
            cts: None,
        };
        let moof = |data_offset: usize| {
            let entries = (1..SAMPLES).map(entry).collect();
            let base = window.start().ticks().0 + u64::from(ticks(window, 0));
            let traf = Traf {
                tfhd: Tfhd { track_id: 1, default_base_is_moof: true, ..Tfhd::default() },
                tfdt: Some(Tfdt { base_media_decode_time: base }),
                trun: vec![Trun {
                    data_offset: Some(data_offset as i32),
                    samples: TrunSamples::Explicit(entries),
                }],
                ..Traf::default()
            };
            let mut bytes = Vec::new();
            Moof { mfhd: Mfhd { sequence_number: 1 }, traf: vec![traf] }.encode(&mut bytes).unwrap();
            bytes
        };
        let length = moof(0).len();
        bytes.extend(moof(length + 8));
        bytes.extend([0; 8]);
        bytes.extend(
            (1..SAMPLES)
                .flat_map(|sample| vec![sample as u8 ^ window.index() as u8; self.other_bytes as usize]),
        );
        bytes
    }
}

fn batch() -> Batch {
    let (width, height) = (128, 96);
    let pixels = vec![128; yuv_pixels_len(width, 1, height, Subsamp::Sub2x2).unwrap()];
    let image = YuvImage { pixels: pixels.as_slice(), width, align: 1, height, subsamp: Subsamp::Sub2x2 };
    let jpeg = Compressor::new().unwrap().compress_yuv_to_vec(image).unwrap().into();
    let window = second(start());
    let frame = Frame { id: FrameId { boot: BootId(7), sequence: 1 }, captured: window.start(), jpeg };
    Batch::new(window, [frame]).unwrap()
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_rfc3339("2026-11-02T23:30:00Z").unwrap()
}

#[async_trait]
impl Bucket for Endless {
    fn name(&self) -> &str {
        "media"
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        match key.parse::<SegmentKey>() {
            Ok(key) => {
                let (bytes, etag) = (self.bytes(key.window).into(), ETag::new("etag"));
                Ok(Some(Object { bytes, etag }))
            }
            Err(_) => self.inits.get(key).await,
        }
    }

    async fn put(&self, _: &str, _: Bytes, _: Headers, _: Condition) -> Result<Put, BucketError> {
        Ok(Put::Refused)
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        if prefix != "gate/2" {
            return Ok(Vec::new());
        }
        // `gate/2026-11-23/04/20261123T040501.000Z…`: the start is in every key.
        let name = after.rsplit('/').next().unwrap().split('-').next().unwrap();
        let from: Window = format!("{name}-1000").parse().unwrap();
        let from = if after.ends_with(name) { from } else { from.next() };
        let from = from.max(second(start()));
        let windows = (0..count_max as u64).map(|index| from.plus(index));
        let size_bytes = self.bytes(from).len() as u64;
        let listed = |window| {
            let key = self.segment(window).to_string();
            Listed { key, size_bytes, modified_unix_millis: window.end().unix_millis() }
        };
        Ok(windows.map(listed).collect())
    }

    async fn delete(&self, _: &str) -> Result<(), BucketError> {
        Ok(())
    }
}

/// What is answered to a GET of so long a time.
pub(crate) async fn ask(clip: &Clip, length: Duration, range: Option<Range<usize>>) -> Response {
    let (from, to) = (start().to_string(), (start() + length).to_string());
    let mut asked = Asked::of("/gate.mp4", &[("from", &*from), ("to", &*to)]);
    if let Some(Range { start, end }) = range {
        let range = format!("bytes={start}-{}", end - 1);
        asked.headers.insert(header::RANGE, HeaderValue::try_from(range).unwrap());
    }
    clip.respond(asked).await.unwrap()
}
