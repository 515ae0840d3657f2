//! Keeps frames until they are stored, in memory or in a directory that outlives the process, up to a number
//! of bytes, and in a directory of frames, since each of them takes some memory; a full spool drops its oldest frames.
//!
//! In the directory a frame is one file, `<capture time in µs, 20 digits>-<frame id>.jpg`. It is written under
//! another name first, so that a killed process leaves no half of a frame under this one. Nothing is synced:
//! frames of the last seconds before a power cut may be gone, be empty files, which the next start deletes, or hold
//! something else, which is told apart and dropped when its turn comes. What is lost either way is counted.
//!
//! A directory that cannot be written any more (full, worn out, read-only) costs the frames their durability,
//! not the live picture: they are kept in memory instead. What is in it is still sent, after a restart too.
//!
//! The oldest frame is the one that came first, whatever the clock said: one that was set back would have the new
//! frames make room for the old ones.

mod shelf;

use std::{io, path::PathBuf};

use anyhow::Context;
use bytes::Bytes;
use teiten_footage::{CameraId, Frame, FrameId, Timestamp, limits::FRAME_BYTES_MAX};
use tokio::fs::{self, DirEntry};
use tracing::{info, warn};

use crate::{
    config::{self, Mebibytes},
    outbox::Entry,
};
use shelf::Shelf;

/// Why a frame cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is not there, or what is there is not the frame: it never will be.
    Damaged,
    /// The medium does not give it now.
    Unavailable(io::Error),
}

/// Frames that are not stored yet.
#[derive(Debug)]
pub(crate) struct Spool {
    memory: Shelf<Bytes>,
    directory: Option<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// The capture times: with them the files' names are known.
    files: Shelf<Timestamp>,
    writable: bool,
    /// Whether frames that are stored can be deleted.
    deletable: bool,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The frames, oldest first.
    pub(crate) frames: Vec<Entry>,
    /// How many more there were than there is room for: the oldest, which are deleted.
    pub(crate) dropped: usize,
    /// How many files were no frames any more, and are deleted.
    pub(crate) damaged: usize,
}

/// What a file in the directory is.
enum Left {
    Frame(Entry),
    /// What a killed process was writing.
    Part,
    /// It has a frame's name, and cannot be one.
    Damaged,
    /// Nobody knows.
    Foreign,
}

impl Spool {
    /// The spool of `camera`, and what an earlier run left in it.
    ///
    /// # Errors
    /// If its directory cannot be listed. One that cannot be written is used as it is.
    pub(crate) async fn open(settings: &config::Spool, camera: &CameraId) -> anyhow::Result<(Self, Found)> {
        // In memory the frames themselves are what takes it.
        let memory = |bytes_max| Shelf::new(bytes_max, usize::MAX);
        match settings {
            config::Spool::Memory { max } => {
                Ok((Self { memory: memory(max.bytes()), directory: None }, Found::default()))
            }
            config::Spool::Directory { path, max, frames_max } => {
                let path = path.join(camera.as_str());
                let files = Shelf::new(max.bytes(), frames_max.get());
                let (directory, found) = Directory::open(path.clone(), files)
                    .await
                    .with_context(|| format!("the spool directory {} cannot be used", path.display()))?;
                let memory = memory(Mebibytes::MEMORY_DEFAULT.bytes().min(max.bytes()));
                Ok((Self { memory, directory: Some(directory) }, found))
            }
        }
    }

    /// Whether this frame does.
    pub(crate) fn outlives_the_process(&self, id: FrameId) -> bool {
        self.directory.as_ref().is_some_and(|directory| directory.files.get(id).is_some())
    }

    /// How many frames do not.
    pub(crate) fn in_memory(&self) -> usize {
        self.memory.len()
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.memory.bytes() + self.directory.as_ref().map_or(0, |directory| directory.files.bytes())
    }

    /// Keeps a frame. The frames that were dropped to make room for it.
    pub(crate) async fn keep(&mut self, frame: &Frame) -> Vec<FrameId> {
        if let Some(directory) = &mut self.directory {
            match directory.write(frame).await {
                Ok(dropped) => {
                    if !directory.writable {
                        info!("the spool directory can be written again");
                        directory.writable = true;
                    }
                    return dropped;
                }
                Err(error) => directory.cannot_be_written(&error),
            }
        }
        let dropped = self.memory.put(frame.id, frame.jpeg.len(), frame.jpeg.clone());
        dropped.into_iter().map(|(id, _)| id).collect()
    }

    /// The bytes of a frame.
    pub(crate) async fn read(&self, id: FrameId) -> Result<Bytes, Unreadable> {
        if let Some(jpeg) = self.memory.get(id) {
            return Ok(jpeg.clone());
        }
        match &self.directory {
            Some(directory) => directory.read(id).await,
            None => Err(Unreadable::Damaged),
        }
    }

    /// Deletes frames.
    pub(crate) async fn remove(&mut self, ids: &[FrameId]) {
        for id in ids {
            if self.memory.remove(*id).is_none()
                && let Some(directory) = &mut self.directory
                && let Some(captured) = directory.files.remove(*id)
            {
                directory.delete(*id, captured).await;
            }
        }
    }
}

impl Directory {
    async fn open(path: PathBuf, files: Shelf<Timestamp>) -> io::Result<(Self, Found)> {
        fs::create_dir_all(&path).await?;
        let mut directory = Self { path, files, writable: true, deletable: true };
        let (mut found, mut foreign) = (Found::default(), 0u64);
        let mut listing = fs::read_dir(&directory.path).await?;
        while let Some(file) = listing.next_entry().await? {
            let left = look_at(&file).await;
            match left {
                Left::Frame(entry) => found.frames.push(entry),
                Left::Part | Left::Damaged if fs::remove_file(file.path()).await.is_ok() => {
                    found.damaged += usize::from(matches!(left, Left::Damaged));
                }
                Left::Part | Left::Damaged | Left::Foreign => foreign += 1,
            }
        }
        // Better to hear of it at start than with the first frame.
        if let Err(error) = directory.probe().await {
            directory.cannot_be_written(&error);
        }
        directory.without_doubles(&mut found.frames).await;
        // When they came is not known any more, so their capture times count among them.
        found.frames.sort_unstable_by_key(|entry| (entry.captured, entry.id));
        for Entry { id, captured, bytes } in &found.frames {
            for (id, captured) in directory.files.put(*id, *bytes, *captured) {
                directory.delete(id, captured).await;
                found.dropped += 1;
            }
        }
        found.frames.drain(..found.dropped);
        directory.tell(&found, foreign);
        Ok((directory, found))
    }

    fn tell(&self, found: &Found, foreign: u64) {
        let path = self.path.display();
        if found.dropped > 0 {
            let frames = found.dropped;
            warn!(%path, frames, "an earlier run left more than the spool may hold: its oldest frames are dropped");
        }
        if found.damaged > 0 {
            let files = found.damaged;
            warn!(%path, files, "frames of an earlier run are lost: their files are empty or too large, and are deleted");
        }
        if foreign > 0 {
            let files = foreign;
            warn!(%path, files, "files in the spool directory are no frames, or cannot be looked at, and are left alone");
        }
    }

    /// A read-only directory lists well.
    async fn probe(&self) -> io::Result<()> {
        let probe = self.path.join(format!("probe{PART}"));
        fs::write(&probe, []).await?;
        fs::remove_file(&probe).await
    }

    fn cannot_be_written(&mut self, error: &io::Error) {
        if self.writable {
            let path = self.path.display();
            warn!(%path, %error, "the spool directory cannot be written, frames are kept in memory: free some space or \
                replace the medium");
            self.writable = false;
        }
    }

    /// Twice with the same identity is once.
    async fn without_doubles(&mut self, frames: &mut Vec<Entry>) {
        frames.sort_unstable_by_key(|entry| entry.id);
        let mut doubles = Vec::new();
        frames.dedup_by(|next, kept| {
            let double = next.id == kept.id;
            doubles.extend(double.then_some(*next));
            double
        });
        for double in doubles {
            self.delete(double.id, double.captured).await;
        }
    }

    async fn read(&self, id: FrameId) -> Result<Bytes, Unreadable> {
        let captured = self.files.get(id).ok_or(Unreadable::Damaged)?;
        let jpeg = match fs::read(self.file(id, *captured)).await {
            Ok(jpeg) => Bytes::from(jpeg),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // With its directory, a whole medium may have gone for a while.
                fs::metadata(&self.path).await.map_err(Unreadable::Unavailable)?;
                return Err(Unreadable::Damaged);
            }
            Err(error) => return Err(Unreadable::Unavailable(error)),
        };
        match Frame::parse(jpeg) {
            Ok(Some(frame)) if frame.id == id => Ok(frame.jpeg),
            _ => Err(Unreadable::Damaged),
        }
    }

    async fn write(&mut self, frame: &Frame) -> io::Result<Vec<FrameId>> {
        let part = self.path.join(format!("frame{PART}"));
        fs::write(&part, &frame.jpeg).await?;
        fs::rename(&part, self.file(frame.id, frame.captured)).await?;
        let mut dropped = Vec::new();
        for (id, captured) in self.files.put(frame.id, frame.jpeg.len(), frame.captured) {
            self.delete(id, captured).await;
            dropped.push(id);
        }
        Ok(dropped)
    }

    /// Where a frame is.
    fn file(&self, id: FrameId, captured: Timestamp) -> PathBuf {
        self.path.join(file_name(captured, id))
    }

    async fn delete(&mut self, id: FrameId, captured: Timestamp) {
        let path = self.file(id, captured);
        match fs::remove_file(&path).await {
            Ok(()) if !self.deletable => {
                info!("spooled frames can be deleted again");
                self.deletable = true;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound && self.deletable => {
                warn!(path = %path.display(), %error, "a spooled frame cannot be deleted, nor may others be: they will be \
                    sent again after the next start");
                self.deletable = false;
            }
            _ => {}
        }
    }
}

/// The end of the name of a file that is being written.
const PART: &str = ".part";

fn file_name(captured: Timestamp, id: FrameId) -> String {
    format!("{:020}-{id}.jpg", captured.unix_micros())
}

fn parse_name(name: &str) -> Option<(Timestamp, FrameId)> {
    let (micros, id) = name.strip_suffix(".jpg")?.split_once('-')?;
    let captured = Timestamp::from_unix_micros(micros.parse().ok()?);
    let id = id.parse().ok()?;
    (file_name(captured, id) == name).then_some((captured, id))
}

async fn look_at(file: &DirEntry) -> Left {
    let name = file.file_name();
    let name = name.to_string_lossy();
    if name.ends_with(PART) {
        return Left::Part;
    }
    let Some((captured, id)) = parse_name(&name) else { return Left::Foreign };
    let Ok(metadata) = file.metadata().await else { return Left::Foreign };
    match usize::try_from(metadata.len()) {
        Ok(bytes @ 1..=FRAME_BYTES_MAX) => Left::Frame(Entry { id, captured, bytes }),
        _ => Left::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use teiten_footage::BootId;
    use tracing::{Event, Level, Metadata, span};

    use super::*;
    use crate::config::FrameCount;

    fn camera() -> CameraId {
        CameraId::new("front-door").unwrap()
    }

    fn frame(sequence: u64) -> Frame {
        let size = config::PictureSize::default();
        let captured = Timestamp::Y2020 + std::time::Duration::from_secs(sequence);
        let jpeg = crate::pattern::Painter::new(&camera(), size).jpeg(captured);
        Frame::stamp(&jpeg, FrameId { boot: BootId(7), sequence }, captured).unwrap()
    }

    fn directory(path: &Path) -> config::Spool {
        config::Spool::directory(path)
    }

    fn directory_of(path: &Path, max: Mebibytes) -> config::Spool {
        config::Spool::Directory { path: path.to_owned(), max, frames_max: FrameCount::default() }
    }

    async fn is_damaged(spool: &Spool, sequence: u64) -> bool {
        matches!(spool.read(frame(sequence).id).await, Err(Unreadable::Damaged))
    }

    fn names(path: &Path) -> Vec<String> {
        let files = std::fs::read_dir(path.join("front-door")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_frame_is_kept_until_it_is_removed() {
        let place = tempfile::tempdir().unwrap();
        for settings in [config::Spool::default(), directory(place.path())] {
            let (mut spool, found) = Spool::open(&settings, &camera()).await.unwrap();
            assert_eq!(found.frames, []);
            let frames = [frame(0), frame(1)];
            for frame in &frames {
                assert_eq!(spool.keep(frame).await, []);
            }
            assert_eq!(spool.bytes(), frames.iter().map(|frame| frame.jpeg.len() as u64).sum::<u64>());
            assert_eq!(spool.read(frames[0].id).await.unwrap(), frames[0].jpeg);
            spool.remove(&[frames[0].id, frames[1].id]).await;
            assert!(is_damaged(&spool, 0).await && spool.bytes() == 0);
        }
        assert_eq!(names(place.path()), [] as [&str; 0]);
    }

    #[tokio::test]
    async fn a_directory_gives_back_what_an_earlier_run_left() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        for sequence in 0..3 {
            spool.keep(&frame(sequence)).await;
        }
        drop(spool);
        assert_eq!(names(place.path())[0], "00001577836800000000-00000000000000070000000000000000.jpg");
        std::fs::write(place.path().join("front-door/frame.part"), b"torn").unwrap();
        std::fs::write(place.path().join("front-door/notes.txt"), b"mine").unwrap();

        let (spool, found) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        let expected: Vec<Entry> = (0..3)
            .map(|sequence| {
                let Frame { id, captured, jpeg } = frame(sequence);
                Entry { id, captured, bytes: jpeg.len() }
            })
            .collect();
        assert_eq!((found.frames, found.dropped, found.damaged), (expected, 0, 0));
        assert_eq!(spool.read(frame(2).id).await.unwrap(), frame(2).jpeg);
        assert_eq!(names(place.path()).len(), 4, "the torn file is gone, the foreign one is not");
    }

    #[tokio::test]
    async fn a_damaged_or_missing_file_reads_as_nothing() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        for sequence in 0..4 {
            spool.keep(&frame(sequence)).await;
        }
        let files = names(place.path());
        let file = |index: usize| place.path().join("front-door").join(&files[index]);
        std::fs::write(file(0), &frame(0).jpeg[..1000]).unwrap();
        std::fs::write(file(1), &frame(2).jpeg).unwrap();
        std::fs::write(file(2), b"").unwrap();
        std::fs::remove_file(file(3)).unwrap();
        for sequence in 0..4 {
            assert!(is_damaged(&spool, sequence).await);
        }
        let (_, found) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        assert_eq!(found.frames.len(), 2, "an empty file is no frame");
        assert_eq!((found.dropped, found.damaged), (0, 1), "it is counted");
    }

    #[tokio::test]
    async fn what_a_smaller_spool_has_no_room_for_is_dropped_and_counted() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        let first = frame(0);
        for sequence in 0..1010 {
            let id = FrameId { sequence, ..first.id };
            let captured = first.captured + std::time::Duration::from_secs(sequence);
            spool.keep(&Frame { id, captured, jpeg: first.jpeg.clone() }).await;
        }
        let (path, max) = (place.path().to_owned(), Mebibytes::DIRECTORY_DEFAULT);
        let smaller = config::Spool::Directory { path, max, frames_max: FrameCount::new(1000).unwrap() };
        let (spool, found) = Spool::open(&smaller, &camera()).await.unwrap();
        assert_eq!((found.frames.len(), found.dropped, found.damaged), (1000, 10, 0));
        assert_eq!(found.frames[0].id.sequence, 10, "the oldest went");
        assert!(is_damaged(&spool, 9).await && names(place.path()).len() == 1000);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_at_start_still_gives_its_frames() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        spool.keep(&frame(0)).await;
        // Even root cannot write over a directory, nor delete it as a file.
        std::fs::create_dir(place.path().join("front-door/probe.part")).unwrap();
        let (spool, found) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        assert_eq!((found.frames.len(), found.damaged), (1, 0));
        assert!(!spool.directory.as_ref().unwrap().writable);
        assert_eq!(spool.read(frame(0).id).await.unwrap(), frame(0).jpeg);
    }

    #[tokio::test]
    async fn what_cannot_be_read_just_now_is_not_damaged() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        spool.keep(&frame(0)).await;
        let (there, away) = (place.path().join("front-door"), place.path().join("away"));
        std::fs::rename(&there, &away).unwrap();
        assert!(matches!(spool.read(frame(0).id).await, Err(Unreadable::Unavailable(_))));
        std::fs::rename(&away, &there).unwrap();
        assert_eq!(spool.read(frame(0).id).await.unwrap(), frame(0).jpeg);
        // As a failing medium does, though by another error.
        let file = there.join(&names(place.path())[0]);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(matches!(spool.read(frame(0).id).await, Err(Unreadable::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_full_spool_drops_its_oldest_frames() {
        let place = tempfile::tempdir().unwrap();
        let max = Mebibytes::new(16).unwrap();
        let mut large = frame(0).jpeg.to_vec();
        // A comment of 60 kB behind SOI, again and again: a large picture that is cheap to make.
        let comment = [[0xFF, 0xFE, 0xEA, 0x60].as_slice(), &[b' '; 0xEA60 - 2]].concat();
        for _ in 0..15 {
            large.splice(2..2, comment.iter().copied());
        }
        for settings in [config::Spool::Memory { max }, directory_of(place.path(), max)] {
            let (mut spool, _) = Spool::open(&settings, &camera()).await.unwrap();
            let mut dropped = Vec::new();
            for sequence in 0..20 {
                let Frame { id, captured, .. } = frame(sequence);
                dropped.extend(spool.keep(&Frame::stamp(&large, id, captured).unwrap()).await);
            }
            assert!(!dropped.is_empty() && spool.bytes() <= max.bytes());
            assert!(dropped.iter().map(|id| id.sequence).eq(0..dropped.len() as u64));
            for id in &dropped {
                assert!(is_damaged(&spool, id.sequence).await);
            }
            if settings != (config::Spool::Memory { max }) {
                assert_eq!(names(place.path()).len(), 20 - dropped.len());
            }
        }
    }

    #[tokio::test]
    async fn after_a_clock_was_set_back_the_older_frames_still_make_room() {
        let place = tempfile::tempdir().unwrap();
        let max = Mebibytes::new(16).unwrap();
        let settings = directory_of(place.path(), max);
        let bytes_max = max.bytes() as usize;
        let (mut spool, _) = Spool::open(&settings, &camera()).await.unwrap();
        spool.keep(&frame(1000)).await;
        drop(spool);
        let (mut spool, found) = Spool::open(&settings, &camera()).await.unwrap();
        assert_eq!(found.frames.len(), 1);
        let Frame { id, captured, jpeg } = frame(0);
        let mut dropped = Vec::new();
        for sequence in 0..(bytes_max / jpeg.len()) as u64 + 1 {
            let captured = captured - std::time::Duration::from_secs(sequence);
            let id = FrameId { sequence, ..id };
            dropped.extend(spool.keep(&Frame { id, captured, jpeg: jpeg.clone() }).await);
        }
        assert_eq!(dropped.iter().map(|id| id.sequence).take(2).collect::<Vec<_>>(), [1000, 0]);
    }

    #[tokio::test]
    async fn without_a_writable_directory_frames_are_kept_in_memory() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        // Even root cannot write into a directory that is not there.
        std::fs::remove_dir_all(place.path().join("front-door")).unwrap();
        spool.keep(&frame(0)).await;
        assert_eq!(spool.read(frame(0).id).await.unwrap(), frame(0).jpeg);
        std::fs::create_dir(place.path().join("front-door")).unwrap();
        spool.keep(&frame(1)).await;
        assert_eq!(names(place.path()).len(), 1);
        spool.remove(&[frame(0).id, frame(1).id]).await;
        assert_eq!(spool.bytes(), 0);
    }

    /// Counts what is told as a warning.
    struct Warnings(Arc<AtomicUsize>);

    impl tracing::Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test]
    async fn frames_that_cannot_be_deleted_are_told_of_once_until_one_can() {
        let place = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(&directory(place.path()), &camera()).await.unwrap();
        for sequence in 0..5 {
            spool.keep(&frame(sequence)).await;
        }
        // Even root cannot delete a directory as a file.
        for name in [0, 1, 3, 4].map(|at| place.path().join("front-door").join(&names(place.path())[at])) {
            std::fs::remove_file(&name).unwrap();
            std::fs::create_dir(&name).unwrap();
        }
        let warnings = Arc::new(AtomicUsize::new(0));
        let _told = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
        for (sequence, told) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)] {
            spool.remove(&[frame(sequence).id]).await;
            assert_eq!(warnings.load(Ordering::Relaxed), told, "{sequence}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_used_is_an_error_at_start() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("front-door"), b"in the way").unwrap();
        let error = Spool::open(&directory(place.path()), &camera()).await.unwrap_err();
        assert!(error.to_string().contains("front-door cannot be used"), "{error:#}");
    }
}
