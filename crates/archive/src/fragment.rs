//! Where the pictures of a segment are. A segment has two chunks: the keyframe, of which its key tells all, and the others, whose
//! `moof` (ISO/IEC 14496-12 §8.8) stands between them.

use std::{io::Cursor, ops::Range};

use mp4_atom::{Atom as _, Header, Moof, ReadAtom as _, ReadFrom as _};
use teiten_footage::{Pictures, Ticks, Window};

/// The largest `moof` that is believed, in bytes: that of a window with the most frames takes 8 kB.
const HEAD_BYTES_MAX: u64 = 1 << 20;

/// The flag of a sample that is no place to start (§8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// One sample: a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How long it is shown, in 90 kHz ticks.
    pub duration_ticks: u32,
    /// Its size.
    pub size_bytes: u32,
    /// Whether a player can start with it.
    pub is_sync: bool,
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// When its first sample starts.
    pub start: Ticks,
    /// Its samples.
    pub samples: Vec<Sample>,
    /// Where the bytes of the keyframe are in the segment.
    pub keyframe: Range<u64>,
    /// Where those of the others begin.
    pub others_at: u64,
}

/// Why the head of a segment's second chunk tells nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// It goes on: this many bytes of the chunk are needed.
    #[error("its head takes {bytes} bytes")]
    Short {
        /// How many.
        bytes: u64,
    },
    /// It is no segment of Teiten's.
    #[error("it is no segment: {0}")]
    Malformed(String),
}

impl Fragment {
    /// The segment of `window` whose keyframe ends after so many bytes, as if nothing followed. `None` if that cannot be.
    pub fn of_keyframe(window: Window, keyframe_bytes: u32) -> Option<Self> {
        let size_bytes = keyframe_bytes.checked_sub(Pictures::KEYFRAME_AT).filter(|size| *size > 0)?;
        let duration_ticks = window.length().ticks().0 as u32;
        Some(Self {
            start: window.start().ticks(),
            samples: vec![Sample { duration_ticks, size_bytes, is_sync: true }],
            keyframe: Pictures::KEYFRAME_AT.into()..keyframe_bytes.into(),
            others_at: keyframe_bytes.into(),
        })
    }

    /// Takes in what follows the keyframe: `head` are its first bytes, and it has `bytes` in all.
    pub fn with_others(mut self, head: &[u8], bytes: u64) -> Result<Self, FragmentError> {
        let malformed = |why: &str| FragmentError::Malformed(why.to_owned());
        let mut cursor = Cursor::new(head);
        let header = Header::read_from(&mut cursor).map_err(|error| malformed(&error.to_string()))?;
        let body = header.size.ok_or_else(|| malformed("a box without an end"))? as u64;
        if header.kind != Moof::KIND {
            return Err(malformed("no moof after its keyframe"));
        }
        let end = cursor.position() + body;
        if end > head.len() as u64 {
            return Err(short(end));
        }
        let moof = Moof::read_atom(&header, &mut cursor).map_err(|error| malformed(&error.to_string()))?;
        let others = self.others(&moof, bytes).ok_or_else(|| malformed("a moof that is not ours"))?;
        let (start, data_offset, samples) = others;
        self.samples[0].duration_ticks = (start.0 - self.start.0) as u32;
        self.samples.extend(samples);
        self.others_at += data_offset;
        Ok(self)
    }

    /// When the others start, where their bytes begin in their chunk, and what they are. `None` unless it is one track in one run,
    /// with all that is needed stated, in its place.
    fn others(&self, moof: &Moof, chunk_bytes: u64) -> Option<(Ticks, u64, Vec<Sample>)> {
        let [traf] = moof.traf.as_slice() else { return None };
        let [run] = traf.trun.as_slice() else { return None };
        let header = &traf.tfhd;
        let samples: Vec<Sample> = run
            .samples
            .iter()
            .map(|sample| {
                let flags = sample.flags.or(header.default_sample_flags)?;
                Some(Sample {
                    duration_ticks: sample.duration.or(header.default_sample_duration)?,
                    size_bytes: sample.size.or(header.default_sample_size)?,
                    is_sync: flags & NON_SYNC == 0,
                })
            })
            .collect::<Option<_>>()?;
        let start = Ticks(traf.tfdt.as_ref()?.base_media_decode_time);
        let data_offset = u64::try_from(run.data_offset?).ok()?;
        let size: u64 = samples.iter().map(|sample| u64::from(sample.size_bytes)).sum();
        let is_sound = header.default_base_is_moof
            && data_offset + size <= chunk_bytes
            && (self.start..self.end()).contains(&start);
        is_sound.then_some((start, data_offset, samples))
    }

    /// When its last sample ends.
    pub fn end(&self) -> Ticks {
        Ticks(self.start.0 + self.samples.iter().map(|sample| u64::from(sample.duration_ticks)).sum::<u64>())
    }

    /// Where these bytes of its samples, counted from the first one's, are in the segment: of the keyframe, and of the others.
    pub fn place(&self, bytes: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
        let keyframe = self.keyframe.end - self.keyframe.start;
        let [start, end] = [bytes.start, bytes.end].map(|at| self.keyframe.start + at.min(keyframe));
        let others = [bytes.start, bytes.end].map(|at| self.others_at + at.saturating_sub(keyframe));
        [start..end, others[0]..others[1]].into_iter().filter(|place| !place.is_empty())
    }
}

/// More is needed, unless there is no end to it.
fn short(bytes: u64) -> FragmentError {
    if bytes > HEAD_BYTES_MAX {
        FragmentError::Malformed(format!("a moof of {bytes} bytes"))
    } else {
        FragmentError::Short { bytes }
    }
}
