//! Where the pictures of a segment are: its `moof` (ISO/IEC 14496-12 §8.8), read from its first bytes.

use std::io::Cursor;

use mp4_atom::{Atom as _, Header, Mdat, Moof, ReadAtom as _, ReadFrom as _};
use teiten_footage::Ticks;

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
    /// Where the first sample's bytes begin in the segment; the others follow.
    pub data_offset: u64,
}

/// Why the head of a segment tells nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// It goes on: this many bytes of the segment are needed.
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
    /// Reads the first bytes of a segment.
    pub fn read(head: &[u8]) -> Result<Self, FragmentError> {
        let malformed = |why: &str| FragmentError::Malformed(why.to_owned());
        let mut at = 0_u64;
        let mut moof: Option<(u64, Moof)> = None;
        loop {
            let rest = head.get(at as usize..).unwrap_or_default();
            let mut cursor = Cursor::new(rest);
            let Ok(header) = Header::read_from(&mut cursor) else {
                return Err(short(at + 16, head));
            };
            let body = header.size.ok_or_else(|| malformed("a box without an end"))? as u64;
            let end = at + cursor.position() + body;
            match header.kind {
                Moof::KIND => {
                    if end > head.len() as u64 {
                        return Err(short(end + 16, head));
                    }
                    let read = Moof::read_atom(&header, &mut cursor);
                    moof = Some((at, read.map_err(|error| malformed(&error.to_string()))?));
                }
                Mdat::KIND => {
                    let (moof_at, moof) = moof.as_ref().ok_or_else(|| malformed("mdat before moof"))?;
                    return Self::of(*moof_at, moof, body)
                        .ok_or_else(|| malformed("a moof that is not ours"));
                }
                _ => {}
            }
            at = end;
        }
    }

    /// `None` unless it is one track in one run, with all that is needed stated, within `data_bytes`.
    fn of(moof_at: u64, moof: &Moof, data_bytes: u64) -> Option<Self> {
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
        let size: u64 = samples.iter().map(|sample| u64::from(sample.size_bytes)).sum();
        let is_sound = size <= data_bytes && samples.first()?.is_sync && header.default_base_is_moof;
        let data_offset = moof_at + u64::try_from(run.data_offset?).ok()?;
        let start = Ticks(traf.tfdt.as_ref()?.base_media_decode_time);
        is_sound.then_some(Self { start, samples, data_offset })
    }

    /// When its last sample ends.
    pub fn end(&self) -> Ticks {
        Ticks(self.start.0 + self.samples.iter().map(|sample| u64::from(sample.duration_ticks)).sum::<u64>())
    }
}

/// More is needed, unless there is no end to it.
fn short(bytes: u64, head: &[u8]) -> FragmentError {
    if bytes > HEAD_BYTES_MAX || bytes <= head.len() as u64 {
        FragmentError::Malformed(format!("no mdat in its first {} bytes", head.len()))
    } else {
        FragmentError::Short { bytes }
    }
}
