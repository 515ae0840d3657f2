//! What is stored of a range, as of a time, window by window: the same however often it is gone over.
//!
//! A file is made of several walks over the same footage, each of which reads the heads of its segments. Heads of the last hours of
//! it are kept, as far as all files together have room: so those of a short clip are read once, and what was just being written
//! is looked at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use teiten_archive::{
    Fragment, FragmentError, Listing, Part, Place, Sample, Stored, StoredHours, fragments_in_pack,
};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, ContentHash, Hour, TimeRange, Timestamp, key};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// How much of what follows a keyframe is read for its head: nearly always enough.
const HEAD_BYTES: u64 = 4096;

/// How many heads are read at a time.
const HEADS_AT_A_TIME: usize = 32;

/// Of how many hours packs are asked for their tables at a time,
const HOURS_AT_A_TIME: usize = 3;

/// and how many packs of each.
const PACKS_AT_A_TIME: usize = 8;

/// A segment, and where its pictures are.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) listing: Listing,
    pub(crate) fragment: Fragment,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) media: Arc<dyn Bucket>,
    pub(crate) camera: CameraId,
    pub(crate) range: TimeRange,
    /// What was written before this counts.
    pub(crate) as_of: Timestamp,
    /// Whether the keyframes are all that is wanted: then a segment's key tells enough.
    pub(crate) is_of_keyframes: bool,
}

/// The whole second that is next, by our clock or by the store's: that of the last write of the camera's live playlist.
pub(crate) async fn next_second(
    media: &dyn Bucket,
    camera: &CameraId,
    now: Timestamp,
) -> Result<Timestamp, BucketError> {
    let live = media.list_after(&key::live_playlist_key(camera), "", 1).await?;
    let written = live.first().map_or(0, |live| live.modified_unix_millis);
    Ok(Timestamp::from_unix_millis((now.unix_millis().max(written) / 1000 + 1) * 1000))
}

impl View {
    /// Walks over what is stored from `start` on, where a window starts.
    pub(crate) fn walk(
        &self,
        start: Timestamp,
        kept: &Kept,
    ) -> BoxStream<'static, Result<Item, BucketError>> {
        let stored = StoredHours::new(&self.camera, self.range).as_of(self.as_of);
        let stored = stored.beginning_with(Hour::containing(start.max(self.range.from())));
        let (view, kept_from) = (Arc::new(self.clone()), kept.from());
        let walking = Arc::clone(&view);
        let hours = stream::try_unfold(stored, move |mut stored| {
            let view = Arc::clone(&walking);
            async move {
                if kept_from.is_some_and(|kept| kept <= Hour::containing(start)) {
                    return Ok(None);
                }
                let next = stored.next(&*view.media).await?;
                let next = next.filter(|(hour, _)| kept_from.is_none_or(|kept| *hour < kept));
                let Some((_, mut items)) = next else { return Ok(None) };
                items.retain(|item| item.listing.window.start() >= start);
                Ok::<_, BucketError>(Some((items, stored)))
            }
        });
        let tables_of = Arc::clone(&view);
        let with_tables = move |items| {
            let view = Arc::clone(&tables_of);
            async move {
                let items = view.with_tables(items).await?;
                Ok::<_, BucketError>(stream::iter(items.into_iter().map(Ok)))
            }
        };
        let read = move |(stored, fragment): (Stored, Option<Fragment>)| {
            let view = Arc::clone(&view);
            async move {
                let fragment = match fragment {
                    Some(fragment) => Some(fragment),
                    None => view.fragment(&stored).await?,
                };
                Ok(fragment.map(|fragment| Item { listing: stored.listing, fragment }))
            }
        };
        let hours = hours.map_ok(with_tables).try_buffered(HOURS_AT_A_TIME);
        let items = hours.try_flatten().map_ok(read).try_buffered(HEADS_AT_A_TIME);
        // What is damaged or gone is left out as if it had never been.
        let items = items.try_filter_map(|item| std::future::ready(Ok(item)));
        items.chain(stream::iter(kept.items(start)).map(Ok)).boxed()
    }

    /// What is stored in an hour, with what its packs say of it: two requests for each, in place of one for each window.
    async fn with_tables(&self, items: Vec<Stored>) -> Result<Vec<(Stored, Option<Fragment>)>, BucketError> {
        let part_of = |item: &Stored| match item.listing.place {
            Place::Packed(part) if !self.is_of_keyframes => Some(part),
            _ => None,
        };
        let packs: HashMap<ContentHash, Part> =
            items.iter().filter_map(part_of).map(|part| (part.hash, part)).collect();
        let tables: Vec<_> = packs.into_values().map(|part| self.tables(part)).collect();
        let mut tables: HashMap<ContentHash, Vec<Option<Fragment>>> =
            stream::iter(tables).buffer_unordered(PACKS_AT_A_TIME).try_collect().await?;
        let with_table = |item: Stored| {
            let fragment = part_of(&item).and_then(|part| {
                let index = item.listing.window.index() - part.first.index();
                tables.get_mut(&part.hash)?.get_mut(index as usize)?.take()
            });
            (item, fragment)
        };
        Ok(items.into_iter().map(with_table).collect())
    }

    /// What the pack of this part says of each of its segments, by the pack's hash.
    async fn tables(&self, part: Part) -> Result<(ContentHash, Vec<Option<Fragment>>), BucketError> {
        Ok((part.hash, fragments_in_pack(&*self.media, &part.key(&self.camera)).await?))
    }

    /// Where the pictures of a segment are; `None` if it is none, or gone.
    async fn fragment(&self, stored: &Stored) -> Result<Option<Fragment>, BucketError> {
        let Stored { listing, size_bytes, .. } = *stored;
        let key = listing.object(&self.camera);
        let keyframe_bytes = listing.keyframe_bytes().unwrap_or_default();
        let others_bytes = size_bytes.checked_sub(keyframe_bytes.into());
        let (Some(fragment), Some(others_bytes)) =
            (Fragment::of_keyframe(listing.window, keyframe_bytes), others_bytes)
        else {
            warn!(key, size_bytes, "segment without the keyframe that its key names left out of a clip");
            return Ok(None);
        };
        if others_bytes == 0 || self.is_of_keyframes {
            return Ok(Some(fragment));
        }
        let begin = listing.offset() + u64::from(keyframe_bytes);
        let mut length = HEAD_BYTES.min(others_bytes);
        loop {
            let Some(head) = self.media.get_range(&key, begin, length).await? else {
                warn!(key, "segment is gone, left out of a clip");
                return Ok(None);
            };
            match fragment.clone().with_others(&head.bytes, others_bytes) {
                Ok(fragment) => return Ok(Some(fragment)),
                Err(FragmentError::Short { bytes }) if bytes > length && bytes <= others_bytes => {
                    length = bytes
                }
                Err(error) => {
                    warn!(key, %error, "segment left out of a clip");
                    return Ok(None);
                }
            }
        }
    }
}

/// What is known of the last hours of a view: all that it has from the first of them on.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    hours: VecDeque<KeptHour>,
}

#[derive(Debug)]
struct KeptHour {
    hour: Hour,
    items: Arc<[Item]>,
    /// Its part of what all files together may keep.
    _room: OwnedSemaphorePermit,
}

impl Kept {
    /// The first hour that is kept.
    fn from(&self) -> Option<Hour> {
        self.hours.front().map(|kept| kept.hour)
    }

    /// What is kept from `start` on.
    fn items(&self, start: Timestamp) -> impl Iterator<Item = Item> + Send + use<> {
        let hours = self.hours.iter().filter(|kept| kept.hour.end() > start);
        let hours: Vec<Arc<[Item]>> = hours.map(|kept| Arc::clone(&kept.items)).collect();
        let items =
            hours.into_iter().flat_map(|items| (0..items.len()).map(move |index| items[index].clone()));
        items.filter(move |item| item.listing.window.start() >= start)
    }

    /// Keeps the next hour, if need be in place of the first ones.
    fn push(&mut self, hour: Hour, items: Vec<Item>, room: &Arc<Semaphore>) {
        let samples: usize = items.iter().map(|item| item.fragment.samples.capacity()).sum();
        let bytes = items.len() * size_of::<Item>() + samples * size_of::<Sample>();
        // In KiB, as the room is counted.
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        loop {
            match Arc::clone(room).try_acquire_many_owned(kib) {
                Ok(room) => return self.hours.push_back(KeptHour { hour, items: items.into(), _room: room }),
                Err(_) if self.hours.pop_front().is_none() => return,
                Err(_) => {}
            }
        }
    }
}

/// Keeps what passes by.
#[derive(Debug)]
pub(crate) struct Keeper {
    kept: Kept,
    room: Arc<Semaphore>,
    hour: Option<(Hour, Vec<Item>)>,
}

impl Keeper {
    pub(crate) fn new(room: &Arc<Semaphore>) -> Self {
        Self { kept: Kept::default(), room: Arc::clone(room), hour: None }
    }

    /// Notes the next item.
    pub(crate) fn note(&mut self, mut item: Item) {
        item.fragment.samples.shrink_to_fit();
        let hour = Hour::of(item.listing.window);
        match &mut self.hour {
            Some((current, items)) if *current == hour => items.push(item),
            _ => {
                self.end_hour();
                self.hour = Some((hour, vec![item]));
            }
        }
    }

    fn end_hour(&mut self) {
        if let Some((hour, items)) = self.hour.take() {
            self.kept.push(hour, items, &self.room);
        }
    }

    /// What is kept in the end.
    pub(crate) fn finish(mut self) -> Kept {
        self.end_hour();
        self.kept
    }
}
