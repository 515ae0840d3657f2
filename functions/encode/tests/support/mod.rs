//! Batches drawn in code, and ffmpeg as the judge of what became of them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{path::PathBuf, process::Command, time::Duration};

use bytes::Bytes;
use mp4_atom::{Mdat, Moof, ReadFrom, Styp, TrunEntry};
use teiten_encode::{Encoded, Settings, encode};
use teiten_footage::{Batch, BootId, Frame, FrameId, MotionMap, Window};
use tempfile::TempDir;
use turbojpeg::{Compressor, Subsamp, YuvImage, yuv_pixels_len};

/// A picture of a wall with a lit square that moves a little with `step`, and the grain of a sensor: planes at
/// the resolution that `subsamp` asks for, always the same.
pub(crate) fn draw(width: usize, height: usize, subsamp: Subsamp, step: usize) -> YuvImage<Vec<u8>> {
    let length = yuv_pixels_len(width, 1, height, subsamp).unwrap();
    let mut image = YuvImage { pixels: vec![128; length], width, align: 1, height, subsamp };
    let (luma_width, luma_height) = (image.y_width(), image.y_height());
    let mut grain = 0x9e37_79b9_u32.wrapping_add(step as u32);
    for y in 0..luma_height {
        for x in 0..luma_width {
            grain ^= grain << 13;
            grain ^= grain >> 17;
            grain ^= grain << 5;
            let wall = 60 + 80 * x / luma_width + 40 * y / luma_height + (x / 16 + y / 16) % 2 * 12;
            let lit = (x + 97 - 3 * step % 97) % 97 < 24 && y % 80 < 30;
            image.pixels[y * luma_width + x] = (wall + if lit { 60 } else { 0 } + grain as usize % 5) as u8;
        }
    }
    let (chroma_width, chroma_height) = (image.uv_width(), image.uv_height());
    if subsamp != Subsamp::Gray {
        let chroma = &mut image.pixels[luma_width * luma_height..];
        for y in 0..chroma_height {
            for x in 0..chroma_width {
                chroma[y * chroma_width + x] = (100 + 60 * x / chroma_width) as u8;
                chroma[(chroma_height + y) * chroma_width + x] = (160 - 60 * y / chroma_height) as u8;
            }
        }
    }
    image
}

/// [`draw`] as a JPEG.
pub(crate) fn jpeg(width: usize, height: usize, subsamp: Subsamp, step: usize) -> Bytes {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(90).unwrap();
    compressor.compress_yuv_to_vec(draw(width, height, subsamp, step).as_deref()).unwrap().into()
}

pub(crate) fn window() -> Window {
    "20261123T040501.000Z-1000".parse().unwrap()
}

/// A frame captured `millis` after the start of `window`.
pub(crate) fn frame(window: Window, sequence: u64, millis: u64, jpeg: Bytes) -> Frame {
    let id = FrameId { boot: BootId(0xa7), sequence };
    Frame { id, captured: window.start() + Duration::from_millis(millis), jpeg }
}

/// `count` frames evenly over `window`, of 160x120 in 4:2:2 as webcams have it.
pub(crate) fn batch(window: Window, count: usize) -> Batch {
    let apart = u64::from(window.length().millis()) / count as u64;
    let frames =
        (0..count).map(|i| frame(window, i as u64, i as u64 * apart + 7, jpeg(160, 120, Subsamp::Sub2x1, i)));
    Batch::new(window, frames).unwrap()
}

pub(crate) fn encoded(batch: &Batch) -> Encoded {
    encode(batch, &Settings::default()).unwrap()
}

/// The chunks of a segment, as an independent reader sees them: the box that says where its samples are, and these.
pub(crate) fn chunks(segment: &[u8]) -> Vec<(Moof, &[u8])> {
    let mut cursor = std::io::Cursor::new(segment);
    Styp::read_from(&mut cursor).unwrap();
    cursor.set_position(MotionMap::SEGMENT_HEAD_BYTES as u64);
    let mut chunks = Vec::new();
    while cursor.position() < segment.len() as u64 {
        let begin = cursor.position() as usize;
        let moof = Moof::read_from(&mut cursor).unwrap();
        let mdat = Mdat::read_from(&mut cursor).unwrap();
        let end = cursor.position() as usize;
        let data = &segment[begin + moof.traf[0].trun[0].data_offset.unwrap() as usize..end];
        assert_eq!(mdat.data, data);
        chunks.push((moof, data));
    }
    chunks
}

/// The samples of a segment.
pub(crate) fn samples(segment: &[u8]) -> Vec<TrunEntry> {
    chunks(segment)
        .into_iter()
        .flat_map(|(moof, _)| moof.traf[0].trun[0].samples.iter().collect::<Vec<_>>())
        .collect()
}

/// How long its samples are shown, in ticks.
pub(crate) fn durations(segment: &[u8]) -> Vec<u32> {
    samples(segment).iter().map(|sample| sample.duration.unwrap()).collect()
}

/// What a player puts together: an init section and segments, in a file.
pub(crate) struct Media {
    path: PathBuf,
    _directory: TempDir,
}

impl Media {
    pub(crate) fn new(init: &Bytes, segments: &[&Bytes]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("media.mp4");
        let parts: Vec<&[u8]> =
            [init].into_iter().chain(segments.iter().copied()).map(|part| part.as_ref()).collect();
        std::fs::write(&path, parts.concat()).unwrap();
        Self { path, _directory: directory }
    }

    pub(crate) fn of(encoded: &Encoded) -> Self {
        Self::new(&encoded.init, &[&encoded.segment])
    }

    /// All pictures, decoded to planes as they are coded. Fails on any message of ffmpeg's.
    pub(crate) fn pictures(&self) -> Vec<u8> {
        self.run("ffmpeg", &["-v", "warning", "-i", "$", "-fps_mode", "passthrough", "-f", "rawvideo", "-"])
    }

    /// What ffprobe says of each packet: its time in ticks, and whether it is a place to start.
    pub(crate) fn packets(&self) -> Vec<(u64, bool)> {
        let entries = ["-v", "warning", "-show_entries", "packet=pts,flags", "-of", "csv=p=0", "$"];
        let text = self.run("ffprobe", &entries);
        let packet = |line: &str| {
            let (pts, flags) = line.split_once(',').unwrap();
            (pts.parse().unwrap(), flags.starts_with('K'))
        };
        String::from_utf8(text).unwrap().lines().map(packet).collect()
    }

    /// What ffprobe says of the stream, in the order of `entries`.
    pub(crate) fn stream(&self, entries: &[&str]) -> Vec<String> {
        let show = format!("stream={}", entries.join(","));
        let text =
            self.run("ffprobe", &["-v", "warning", "-show_entries", &show, "-of", "default=nk=0:nw=1", "$"]);
        let text = String::from_utf8(text).unwrap();
        let value = |entry: &&str| {
            text.lines().find_map(|line| line.strip_prefix(&format!("{entry}="))).unwrap().to_owned()
        };
        entries.iter().map(value).collect()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let arguments = arguments.iter().map(|argument| match *argument {
            "$" => self.path.to_str().unwrap(),
            other => other,
        });
        let output = Command::new(program).args(arguments).output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && messages.is_empty(), "{program}: {messages}");
        output.stdout
    }
}

/// Peak signal-to-noise ratio in dB.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * a.len() as f64 / squares.max(1e-9)).log10()
}
