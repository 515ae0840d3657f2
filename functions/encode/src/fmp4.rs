//! Writes fragmented MP4: the init section and the segments of a CMAF track (ISO/IEC 23000-19) with one video
//! track (ISO/IEC 14496-12 for the boxes, 14496-15 for `avc1` and `avcC`). Section numbers below are
//! 14496-12's.
//!
//! Nothing here depends on when or where it runs: there are no creation times, so equal tracks have equal init
//! sections, and a segment is a function of its samples and its place on the timeline.

use bytes::Bytes;
use teiten_footage::{MotionMap, Pictures, Ticks};

use crate::{h264::colour, picture::Size};

/// The number of the one track.
const TRACK_ID: u32 = 1;

/// Sample flags (§8.8.3.1) of a sample that depends on others and is no place to start.
const FLAGS_PREDICTED: u32 = 0x0101_0000;
/// Sample flags of one that depends on no other.
const FLAGS_SYNC: u32 = 0x0200_0000;

/// One sample of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How long it is shown, in 90 kHz ticks.
    pub duration_ticks: u32,
    /// Its size.
    pub size_bytes: u32,
}

/// The init section of a track with pictures of `size` and these parameter sets (NAL units without prefix).
pub fn init(size: Size, sps: &[u8], pps: &[u8]) -> Bytes {
    let mut file = Writer::default();
    file.boxed(b"ftyp", |b| {
        b.bytes(b"iso6").u32(0);
        b.bytes(b"iso6").bytes(b"cmfc");
    });
    file.boxed(b"moov", |b| {
        b.full_box(b"mvhd", 0, 0, |b| {
            b.u32(0).u32(0).u32(Ticks::PER_SECOND).u32(0); // created, modified, timescale, duration
            b.u32(0x0001_0000).u16(0x0100).zeros(10).matrix().zeros(24); // rate 1, volume 1
            b.u32(TRACK_ID + 1);
        });
        b.boxed(b"trak", |b| track(b, size, sps, pps));
        b.boxed(b"mvex", |b| {
            b.full_box(b"trex", 0, 0, |b| {
                b.u32(TRACK_ID).u32(1).u32(0).u32(0).u32(FLAGS_PREDICTED);
            });
        });
    });
    file.finish()
}

/// §8.3 to §8.7: one video track whose sample tables are empty, since all samples are in segments.
fn track(b: &mut Writer, size: Size, sps: &[u8], pps: &[u8]) {
    let (width, height) = (u32::from(size.width()), u32::from(size.height()));
    // Enabled, in the movie, in its preview.
    b.full_box(b"tkhd", 0, 7, |b| {
        b.u32(0).u32(0).u32(TRACK_ID).u32(0).u32(0).zeros(8); // created, modified, id, reserved, duration
        b.zeros(8).matrix().u32(width << 16).u32(height << 16); // layer, group, volume
    });
    b.boxed(b"mdia", |b| {
        b.full_box(b"mdhd", 0, 0, |b| {
            b.u32(0).u32(0).u32(Ticks::PER_SECOND).u32(0);
            b.u16(0x55c4).u16(0); // language "und"
        });
        b.full_box(b"hdlr", 0, 0, |b| {
            b.u32(0).bytes(b"vide").zeros(12).bytes(b"Teiten\0");
        });
        b.boxed(b"minf", |b| {
            b.full_box(b"vmhd", 0, 1, |b| {
                b.zeros(8);
            });
            b.boxed(b"dinf", |b| {
                b.full_box(b"dref", 0, 0, |b| {
                    b.u32(1).full_box(b"url ", 0, 1, |_| {}); // the samples are in this file
                });
            });
            b.boxed(b"stbl", |b| {
                b.full_box(b"stsd", 0, 0, |b| {
                    b.u32(1).boxed(b"avc1", |b| sample_entry(b, size, sps, pps));
                });
                for table in [b"stts", b"stsc", b"stco"] {
                    b.full_box(table, 0, 0, |b| {
                        b.u32(0);
                    });
                }
                b.full_box(b"stsz", 0, 0, |b| {
                    b.u32(0).u32(0);
                });
            });
        });
    });
}

/// §12.1.3 with `avcC` (14496-15 §5.3.3.1) and `colr` (§12.1.5).
fn sample_entry(b: &mut Writer, size: Size, sps: &[u8], pps: &[u8]) {
    b.zeros(6).u16(1).zeros(16).u16(size.width()).u16(size.height());
    b.u32(0x0048_0000).u32(0x0048_0000).zeros(4).u16(1); // 72 dpi, one frame a sample
    b.zeros(32).u16(24).u16(0xffff); // no compressor's name, depth, -1
    b.boxed(b"avcC", |b| {
        let profile_and_level = sps.get(1..4).unwrap_or(&[0; 3]);
        b.u8(1).bytes(profile_and_level).u8(0xff); // lengths of 4 bytes
        b.u8(0xe1).u16_length(sps).u8(1).u16_length(pps);
    });
    b.boxed(b"colr", |b| {
        b.bytes(b"nclx")
            .u16(colour::PRIMARIES.into())
            .u16(colour::TRANSFER.into())
            .u16(colour::MATRIX.into());
        b.u8(0x80); // full range
    });
}

/// A segment, and how many of its first bytes hold the keyframe alone. `samples`, whose bytes are concatenated in `data`, are in
/// two chunks (CMAF §7.3.2.3): the first one, which is a sync sample, and the others, if there are any. So a player that wants
/// keyframes reads the first chunk, which is complete.
/// `sequence` only has to grow from segment to segment; 31 bits of it are written. `motion` comes before the media, so
/// that [`MotionMap::SEGMENT_HEAD_BYTES`] tell it.
pub fn segment(
    start: Ticks,
    sequence: u64,
    motion: &MotionMap,
    samples: &[Sample],
    data: &[u8],
) -> (Bytes, u32) {
    let mut file = Writer::with_capacity(1024 + samples.len() * 8 + data.len());
    file.boxed(b"styp", |b| {
        b.bytes(b"msdh").u32(0);
        b.bytes(b"msdh").bytes(b"cmfs");
    });
    // §4.2: a box of our own, which players pass over.
    file.boxed(b"uuid", |b| {
        b.bytes(&MotionMap::BOX_TYPE).u32(0).bytes(motion.packed()); // version and flags
    });
    debug_assert_eq!(file.length(), MotionMap::SEGMENT_HEAD_BYTES);
    let (keyframe, others) = samples.split_at(1);
    let (key_data, other_data) = data.split_at(keyframe[0].size_bytes as usize);
    file.chunk(start, sequence * 2, FLAGS_SYNC, keyframe, key_data);
    let keyframe_bytes = file.length() as u32;
    debug_assert_eq!(keyframe_bytes - keyframe[0].size_bytes, Pictures::KEYFRAME_AT);
    if !others.is_empty() {
        let start = Ticks(start.0 + u64::from(keyframe[0].duration_ticks));
        file.chunk(start, sequence * 2 + 1, FLAGS_PREDICTED, others, other_data);
    }
    (file.finish(), keyframe_bytes)
}

const BOX_HEADER_BYTES: usize = 8;

/// Bytes in the making, big-endian.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn finish(self) -> Bytes {
        self.0.into()
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Bytes after their number in 16 bits.
    fn u16_length(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u16::try_from(bytes.len()).expect("a parameter set has a few dozen bytes");
        self.u16(length).bytes(bytes)
    }

    /// The transformation that changes nothing.
    fn matrix(&mut self) -> &mut Self {
        for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
            self.u32(value);
        }
        self
    }

    /// Overwrites 4 bytes at `at`.
    fn replace_u32(&mut self, at: usize, value: usize) {
        let value = u32::try_from(value).expect("boxes are far smaller than 4 GB");
        self.0[at..][..4].copy_from_slice(&value.to_be_bytes());
    }

    /// A chunk: `moof` and `mdat` (§8.8, §8.1.1) with these samples, whose first one has these flags.
    fn chunk(&mut self, start: Ticks, sequence: u64, first_flags: u32, samples: &[Sample], data: &[u8]) {
        let moof = self.length();
        let mut data_offset_at = 0;
        self.boxed(b"moof", |b| {
            b.full_box(b"mfhd", 0, 0, |b| {
                b.u32(sequence as u32);
            });
            b.boxed(b"traf", |b| {
                // §8.8.7: offsets count from the moof, and samples are predicted unless stated otherwise.
                b.full_box(b"tfhd", 0, 0x02_0020, |b| {
                    b.u32(TRACK_ID).u32(FLAGS_PREDICTED);
                });
                b.full_box(b"tfdt", 1, 0, |b| {
                    b.u64(start.0);
                });
                // §8.8.8: data offset, flags of the first sample; duration and size of each.
                b.full_box(b"trun", 0, 0x00_0305, |b| {
                    b.u32(samples.len() as u32);
                    data_offset_at = b.length();
                    b.u32(0).u32(first_flags);
                    for sample in samples {
                        b.u32(sample.duration_ticks).u32(sample.size_bytes);
                    }
                });
            });
        });
        let data_offset = self.length() - moof + BOX_HEADER_BYTES;
        self.replace_u32(data_offset_at, data_offset);
        self.boxed(b"mdat", |b| {
            b.bytes(data);
        });
    }

    /// §4.2: a box with what `body` writes in it.
    fn boxed(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.length();
        self.u32(0).bytes(kind);
        body(self);
        self.replace_u32(start, self.length() - start);
    }

    fn full_box(&mut self, kind: &[u8; 4], version: u8, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |b| {
            b.u32(u32::from(version) << 24 | flags);
            body(b);
        });
    }
}
