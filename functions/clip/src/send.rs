//! Sending of a file: walks over its footage again, once for each table and once for the pictures.
//!
//! A walk goes from one remembered place of the file to the next, and gives nothing of what is between them before it has seen that
//! it is what was measured. So whatever is sent is right, and goes on after a break.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::stream::{self, BoxStream, Peekable, Stream, StreamExt as _, TryStreamExt as _};
use teiten_bucket::BucketError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::error;

use crate::{
    cut::Sink,
    file::{Column, File, Lines},
    measure::Walked,
    movie::Section,
    part::{self, Piece, READ_BYTES_MAX, Read},
    view::Item,
};

/// How much of the pictures is read ahead of what was sent, in bytes: two reads of the largest,
const AHEAD_BYTES_MAX: u64 = 2 * READ_BYTES_MAX;

/// and so many of small ones.
const READS_AHEAD_MAX: usize = 16;

/// Those bytes of a file that are in `wanted`.
pub(crate) fn send(
    file: &Arc<File>,
    wanted: &Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let within = |(begin, section): (u64, &Section)| {
        let end = begin + section.length();
        let within = wanted.start.max(begin)..wanted.end.min(end);
        (!within.is_empty()).then(|| (section.clone(), within.start - begin..within.end - begin))
    };
    let sections: Vec<_> = file.sections().filter_map(within).collect();
    let file = Arc::clone(file);
    stream::iter(sections).flat_map(move |(section, wanted)| {
        // Not before: of a HEAD's answer no byte is asked for.
        file.set_given();
        match section {
            Section::Bytes(bytes) => {
                let bytes = bytes.slice(wanted.start as usize..wanted.end as usize);
                stream::once(async { Ok(bytes) }).boxed()
            }
            Section::Column(Column::Pictures, _) => pictures(&file, wanted).boxed(),
            Section::Column(column, _) => lines(&file, column, wanted).boxed(),
        }
    })
}

/// A walk over what is in a column, from the remembered place before `wanted` to the one after it.
struct Walk {
    file: Arc<File>,
    column: Column,
    wanted: Range<u64>,
    items: Peekable<BoxStream<'static, Result<Item, BucketError>>>,
    walked: Walked,
    /// Which of the file's checkpoints comes next.
    next: usize,
}

impl Walk {
    fn new(file: &Arc<File>, column: Column, wanted: Range<u64>) -> Self {
        let bytes_before = |at: &Walked| column.bytes(&at.progress);
        let checkpoints = &file.checkpoints;
        let next = checkpoints.partition_point(|place| bytes_before(&place.walked) <= wanted.start);
        // The last one is the end, where nothing begins.
        let next = next.clamp(1, checkpoints.len() - 1);
        let place = checkpoints[next - 1];
        let items = file.view.walk(place.at, &file.kept).peekable();
        Self { file: Arc::clone(file), column, wanted, items, walked: place.walked, next }
    }

    /// Tells `sink` what is before the next place, and `taken` which bytes of which items are; answers which of the column's bytes
    /// that gives are wanted, counted from the first of them. `None` behind the last ones that are.
    async fn stretch(
        &mut self,
        sink: &mut impl Sink,
        mut taken: impl FnMut(Item, Range<u64>),
    ) -> io::Result<Option<Range<u64>>> {
        let file = Arc::clone(&self.file);
        let begin = self.column.bytes(&self.walked.progress);
        let Some(place) = file.checkpoints.get(self.next).filter(|_| begin < self.wanted.end) else {
            return Ok(None);
        };
        let mut items = std::pin::Pin::new(&mut self.items);
        while let Some(item) = items
            .as_mut()
            .next_if(|item| item.as_ref().map_or(true, |item| item.listing.window.start() < place.at))
            .await
        {
            let item = item.map_err(|error| broken_off(&file, &error.to_string()))?;
            let bytes = self.walked.take(&file.cut, &item, sink);
            taken(item, bytes);
        }
        if self.next + 1 == file.checkpoints.len() {
            file.cut.finish(&mut self.walked.progress, sink);
        }
        if self.walked != place.walked {
            file.set_broken();
            return Err(broken_off(&file, "its footage has changed"));
        }
        self.next += 1;
        Ok(Some(self.wanted.start.saturating_sub(begin)..self.wanted.end - begin))
    }
}

/// Those lines of a table that are in `wanted`.
fn lines(
    file: &Arc<File>,
    column: Column,
    wanted: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let stretches = stream::try_unfold(Walk::new(file, column, wanted), move |mut walk| async move {
        let mut lines = Lines::new(column);
        let wanted = walk.stretch(&mut lines, |_, _| ()).await?;
        Ok(wanted.map(|wanted| (lines.cut(wanted), walk)))
    });
    stretches.try_filter(|bytes| std::future::ready(!bytes.is_empty()))
}

/// Those bytes of the pictures that are in `wanted`.
fn pictures(file: &Arc<File>, wanted: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let stretches = stream::try_unfold(Walk::new(file, Column::Pictures, wanted), |mut walk| async move {
        let mut pieces = Vec::new();
        let take = |item: Item, bytes| {
            let begin = item.listing.offset();
            let places = item.fragment.place(&bytes);
            let place = |place: Range<u64>| Piece {
                listing: item.listing,
                bytes: begin + place.start..begin + place.end,
            };
            pieces.extend(places.map(place));
        };
        let wanted = walk.stretch(&mut (), take).await?;
        Ok::<_, io::Error>(
            wanted.map(|wanted| (stream::iter(part::reads(part::cut(pieces, wanted))).map(Ok), walk)),
        )
    });
    let (file, room) = (Arc::clone(file), Arc::new(Semaphore::new(AHEAD_BYTES_MAX as usize)));
    let read = move |(wanted, room)| {
        let file = Arc::clone(&file);
        // What was read takes its room until its turn to be sent has come.
        async move { read(file, wanted).await.map(|pieces| (pieces, room)) }
    };
    stretches
        .try_flatten()
        .and_then(move |wanted| with_room(Arc::clone(&room), wanted))
        .map_ok(read)
        .try_buffered(READS_AHEAD_MAX)
        .map_ok(|(pieces, _room)| stream::iter(pieces).map(Ok))
        .try_flatten()
}

/// What is to be read, once there is room for it. One picture may take more than there is: then it counts as the largest read.
async fn with_room(room: Arc<Semaphore>, wanted: Read) -> io::Result<(Read, OwnedSemaphorePermit)> {
    let bytes = (wanted.bytes.end - wanted.bytes.start).min(READ_BYTES_MAX);
    let room = room.acquire_many_owned(bytes as u32).await.map_err(io::Error::other)?;
    Ok((wanted, room))
}

async fn read(file: Arc<File>, Read { listing, bytes, pieces }: Read) -> io::Result<Vec<Bytes>> {
    let key = listing.object(&file.view.camera);
    let length = bytes.end - bytes.start;
    match file.view.media.get_range(&key, bytes.start, length).await {
        Ok(Some(object)) if object.bytes.len() as u64 == length => {
            let place = |piece: Range<u64>| [piece.start, piece.end].map(|at| (at - bytes.start) as usize);
            Ok(pieces.into_iter().map(place).map(|[start, end]| object.bytes.slice(start..end)).collect())
        }
        Ok(_) => {
            file.set_broken();
            Err(broken_off(&file, &format!("{key} is gone or has changed")))
        }
        Err(error) => Err(broken_off(&file, &error.to_string())),
    }
}

/// The length of the answer is told already: it breaks off, which the receiver sees.
fn broken_off(file: &File, why: &str) -> io::Error {
    let (camera, name) = (&file.view.camera, &file.name);
    error!(%camera, name, why, "clip breaks off");
    io::Error::other(format!("{name}: {why}"))
}
