//! The first walk over the footage of a file: how large its tables are, before any line of them is written.
//!
//! What is left of it is of one size, however long the file is: how far it had come at a few thousand places, from each of which
//! it can be gone on, and where its chunks begin.

use futures::TryStreamExt as _;
use teiten_bucket::BucketError;
use teiten_footage::{CameraId, ContentHash, Timestamp};

use crate::{
    cut::{Cut, Progress, Sink},
    view::{Item, Keeper, Kept, View},
};

/// The most sample entries of one file: as often can a camera's picture change within it.
pub(crate) const ENTRIES_MAX: usize = 16;

/// How often one picture can follow on another kind in it.
const ENTRY_CHANGES_MAX: usize = 1024;

/// How many places of a file are remembered.
const CHECKPOINTS_MAX: usize = 4096;

/// How many chunks it has.
const CHUNKS_MAX: usize = 4096;

const _: () = assert!(ENTRY_CHANGES_MAX * 2 < CHUNKS_MAX);

/// How far a walk has come, and a hash of all that it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    pub(crate) progress: Progress,
    pub(crate) hash: ContentHash,
}

impl Walked {
    pub(crate) fn nothing() -> Self {
        Self { progress: Progress::default(), hash: ContentHash::of(b"") }
    }

    /// Takes the next item in: which of its bytes are in the file, counted from its first sample's.
    pub(crate) fn take(&mut self, cut: &Cut, item: &Item, sink: &mut impl Sink) -> std::ops::Range<u64> {
        let bytes = cut.push(&mut self.progress, &item.fragment, sink);
        if !bytes.is_empty() {
            let (window, fragment) = (item.listing.window, &item.fragment);
            let numbers = [window.start().unix_micros(), item.listing.init.to_u64(), bytes.start, bytes.end];
            let samples = fragment.samples.iter().flat_map(|sample| {
                [u64::from(sample.duration_ticks) << 1 | u64::from(sample.is_sync), sample.size_bytes.into()]
            });
            let numbers = [self.hash.to_u64()].into_iter().chain(numbers).chain(samples);
            self.hash = ContentHash::of_parts(numbers.map(u64::to_be_bytes));
        }
        bytes
    }
}

/// A place in a file where a window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// When the window starts; later than all of them at the end.
    pub(crate) at: Timestamp,
    /// How far it had come before that.
    pub(crate) walked: Walked,
}

/// Samples that are next to each other in the file and have one sample entry (`stsc`, `co64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Which sample entry they need, from 0 on.
    pub(crate) entry: u16,
    /// Of how many windows they are.
    pub(crate) windows: u32,
    /// How many.
    pub(crate) samples: u32,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// What the first walk finds.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The first is where the file begins, the last its end.
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) chunks: Vec<Chunk>,
    /// The init sections with the sample entries that the chunks name.
    pub(crate) inits: Vec<ContentHash>,
    pub(crate) kept: Kept,
}

impl Measured {
    /// All of the file.
    pub(crate) fn whole(&self) -> &Walked {
        &self.checkpoints.last().expect("a file ends").walked
    }
}

/// Why a file cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeasureError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(
        "the picture of {camera} changes too often within this ({ENTRIES_MAX} kinds of it at most): ask for less"
    )]
    Changes { camera: CameraId },
}

/// Walks over all that `view` has, and keeps of it what there is room for.
pub(crate) async fn measure(view: &View, cut: &Cut, keeper: Keeper) -> Result<Measured, MeasureError> {
    let changes = || MeasureError::Changes { camera: view.camera.clone() };
    let mut measuring = Measuring::new(keeper);
    let mut items = view.walk(Timestamp::default(), &Kept::default());
    while let Some(item) = items.try_next().await? {
        measuring.push(cut, item).ok_or_else(changes)?;
    }
    Ok(measuring.finish(cut))
}

struct Measuring {
    walked: Walked,
    checkpoints: Vec<Checkpoint>,
    /// Every so many windows is a checkpoint.
    stride: u32,
    windows: u32,
    chunks: Chunks,
    inits: Vec<ContentHash>,
    keeper: Keeper,
}

impl Measuring {
    fn new(keeper: Keeper) -> Self {
        let (checkpoints, chunks) = (Vec::new(), Chunks::default());
        let (walked, inits) = (Walked::nothing(), Vec::new());
        Self { walked, checkpoints, stride: 1, windows: 0, chunks, inits, keeper }
    }

    /// `None` if the picture has changed too often.
    fn push(&mut self, cut: &Cut, item: Item) -> Option<()> {
        self.note_place(item.listing.window.start());
        let before = self.walked.progress;
        let bytes = self.walked.take(cut, &item, &mut ());
        if !bytes.is_empty() {
            let entry = self.entry(item.listing.init)?;
            let samples = self.walked.progress.samples - before.samples;
            self.chunks.push(Chunk { entry, windows: 1, samples, bytes: bytes.end - bytes.start })?;
        }
        self.keeper.note(item);
        Some(())
    }

    fn note_place(&mut self, at: Timestamp) {
        if self.windows.is_multiple_of(self.stride) {
            if self.checkpoints.len() == CHECKPOINTS_MAX {
                let mut index = 0;
                self.checkpoints.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            self.checkpoints.push(Checkpoint { at, walked: self.walked });
        }
        self.windows += 1;
    }

    fn entry(&mut self, init: ContentHash) -> Option<u16> {
        let known = self.inits.iter().position(|known| *known == init);
        let entry = known.or_else(|| {
            self.inits.push(init);
            (self.inits.len() <= ENTRIES_MAX).then(|| self.inits.len() - 1)
        });
        entry.map(|entry| entry as u16)
    }

    fn finish(mut self, cut: &Cut) -> Measured {
        cut.finish(&mut self.walked.progress, &mut ());
        self.checkpoints.push(Checkpoint { at: Timestamp::MAX, walked: self.walked });
        let (chunks, kept) = (self.chunks.chunks, self.keeper.finish());
        Measured { checkpoints: self.checkpoints, chunks, inits: self.inits, kept }
    }
}

/// The chunks of a file: the longer it is, the longer they are.
#[derive(Debug)]
struct Chunks {
    chunks: Vec<Chunk>,
    /// How many windows a chunk has at most.
    windows_max: u32,
    changes: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { chunks: Vec::new(), windows_max: 1, changes: 0 }
    }
}

impl Chunks {
    /// `None` if the picture has changed too often.
    fn push(&mut self, chunk: Chunk) -> Option<()> {
        self.changes += usize::from(self.chunks.last().is_some_and(|last| last.entry != chunk.entry));
        join(&mut self.chunks, chunk, self.windows_max);
        while self.chunks.len() > CHUNKS_MAX {
            self.windows_max *= 2;
            let chunks = std::mem::take(&mut self.chunks);
            chunks.into_iter().for_each(|chunk| join(&mut self.chunks, chunk, self.windows_max));
        }
        (self.changes <= ENTRY_CHANGES_MAX).then_some(())
    }
}

/// Puts `chunk` behind `chunks`, or into the last of them.
fn join(chunks: &mut Vec<Chunk>, chunk: Chunk, windows_max: u32) {
    match chunks.last_mut() {
        Some(last) if last.entry == chunk.entry && last.windows + chunk.windows <= windows_max => {
            last.windows += chunk.windows;
            last.samples += chunk.samples;
            last.bytes += chunk.bytes;
        }
        _ => chunks.push(chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_few_thousand_chunks_however_long_it_is() {
        let mut chunks = Chunks::default();
        let entry = |window: u32| (window / 1000 % 2) as u16;
        for window in 0..100_000 {
            chunks.push(Chunk { entry: entry(window), windows: 1, samples: 15, bytes: 100 }).unwrap();
        }
        assert!((CHUNKS_MAX / 4..=CHUNKS_MAX).contains(&chunks.chunks.len()), "{}", chunks.chunks.len());
        let mut window = 0;
        for chunk in &chunks.chunks {
            assert_eq!((chunk.samples, chunk.bytes), (chunk.windows * 15, u64::from(chunk.windows) * 100));
            let its = window..window + chunk.windows;
            assert!(its.clone().all(|window| entry(window) == chunk.entry));
            window = its.end;
        }
        assert_eq!(window, 100_000);
    }

    #[test]
    fn a_picture_that_changes_all_the_time_is_not_put_into_one_file() {
        let mut chunks = Chunks::default();
        let mut push =
            |window: u32| chunks.push(Chunk { entry: (window % 2) as u16, windows: 1, samples: 1, bytes: 1 });
        assert_eq!((0..).find(|window| push(*window).is_none()), Some(ENTRY_CHANGES_MAX as u32 + 1));
    }
}
