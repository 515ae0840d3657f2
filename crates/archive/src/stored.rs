//! What is stored of any range of time, from a listing of it.

use std::collections::{HashSet, VecDeque};

use teiten_bucket::{Bucket, BucketError, Listed};
use teiten_footage::{CameraId, Hour, TimeRange, Timestamp, Window, WindowLength, key};

use crate::{
    hour::{
        advance::in_order,
        update::{StoredHourObjects, StoredPack, StoredSegment},
    },
    listing::Stored,
};

/// How many objects are listed at a time: what one request to S3 gives.
const PAGE: usize = 1000;

/// What is stored of the windows that touch a range, hour by hour: never more than an hour of it is held. It takes a request for
/// each thousand objects, however few hours have any, and one for each pack.
#[derive(Debug)]
pub struct StoredHours {
    camera: CameraId,
    range: TimeRange,
    as_of: Option<Timestamp>,
    /// The key after which the next page begins; `None` behind the last one.
    after: Option<String>,
    page: VecDeque<Listed>,
}

impl StoredHours {
    /// Of all that is stored.
    pub fn new(camera: &CameraId, range: TimeRange) -> Self {
        Self { camera: camera.clone(), range, as_of: None, after: None, page: VecDeque::new() }
            .beginning_with(Hour::containing(range.from()))
    }

    /// Of what the store says was written before `as_of`, a whole second, and of packs of that, whenever they were made. A pack that
    /// may hold more counts once nothing is left of what was put into it, for windows of which there is nothing else: so it is the same
    /// footage whenever it is looked at, until it expires, unless more came in before it was put together.
    pub fn as_of(self, as_of: Timestamp) -> Self {
        Self { as_of: Some(as_of), ..self }
    }

    /// From this hour of the range on.
    pub fn beginning_with(self, hour: Hour) -> Self {
        // A pack is listed with its first window, which is in the same hour.
        let first = Window::containing(hour.start(), WindowLength::MIN);
        Self { after: Some(key::segments_from(&self.camera, first)), page: VecDeque::new(), ..self }
    }

    /// The next hour that has any, and what it has, in the order of time; `None` behind the last one.
    pub async fn next(&mut self, media: &dyn Bucket) -> Result<Option<(Hour, Vec<Stored>)>, BucketError> {
        while let Some((hour, objects)) = self.objects(media).await? {
            let mut stored = in_order(&self.as_it_was(objects.stored(media).await?));
            stored.retain(|item| self.range.touches(item.listing.window));
            if !stored.is_empty() {
                return Ok(Some((hour, stored)));
            }
        }
        Ok(None)
    }

    /// The objects of the next hour, of those that count.
    async fn objects(
        &mut self,
        media: &dyn Bucket,
    ) -> Result<Option<(Hour, StoredHourObjects)>, BucketError> {
        let mut current = None;
        let mut objects = StoredHourObjects::default();
        loop {
            if self.page.is_empty() {
                self.load(media).await?;
            }
            let Some(object) = self.page.pop_front() else { break };
            let Some(hour) = key::hour_of(&self.camera, &object.key) else { continue };
            if current.is_some_and(|current| current != hour) {
                self.page.push_front(object);
                break;
            }
            if hour.start() >= self.range.to() {
                (self.after, self.page) = (None, VecDeque::new());
                break;
            }
            current = Some(hour);
            objects.note(object);
        }
        let (range, as_of) = (self.range, self.as_of.unwrap_or(Timestamp::MAX));
        objects.segments.retain(|segment| range.touches(segment.key.window));
        let StoredHourObjects { segments, packs, .. } = &mut objects;
        packs.retain(|StoredPack { key, .. }| {
            let windows: HashSet<Window> = key.windows().filter(|window| range.touches(*window)).collect();
            let is_in_it = |segment: &StoredSegment| {
                windows.contains(&segment.key.window)
                    && segment.modified_unix_millis < key.as_of.unix_millis()
            };
            !windows.is_empty() && (key.as_of <= as_of || !segments.iter().any(is_in_it))
        });
        segments.retain(|segment| segment.modified_unix_millis < as_of.unix_millis());
        Ok(current.map(|hour| (hour, objects)))
    }

    /// What counts as of then. Of packs that were made since and have a window of before, the first one has it as it was.
    fn as_it_was(&self, stored: Vec<Stored>) -> Vec<Stored> {
        let Some(as_of) = self.as_of else { return stored };
        let (mut counts, mut since): (Vec<Stored>, Vec<Stored>) =
            stored.into_iter().partition(|item| item.modified_unix_millis <= as_of.unix_millis());
        since.retain(|item| item.listing.window.end() <= as_of);
        since.sort_by_key(|item| item.modified_unix_millis);
        let mut windows: HashSet<Window> = counts.iter().map(|item| item.listing.window).collect();
        counts.extend(since.into_iter().filter(|item| windows.insert(item.listing.window)));
        counts
    }

    /// The next page.
    async fn load(&mut self, media: &dyn Bucket) -> Result<(), BucketError> {
        let Some(after) = self.after.take() else { return Ok(()) };
        let page = media.list_after(&key::segments_prefix(&self.camera), &after, PAGE).await?;
        self.after = page.last().filter(|_| page.len() == PAGE).map(|last| last.key.clone());
        self.page = page.into();
        Ok(())
    }
}

/// What is stored of the windows that touch `range`, in the order of time.
pub async fn stored_in(
    media: &dyn Bucket,
    camera: &CameraId,
    range: TimeRange,
) -> Result<Vec<Stored>, BucketError> {
    let mut hours = StoredHours::new(camera, range);
    let mut all = Vec::new();
    while let Some((_, stored)) = hours.next(media).await? {
        all.extend(stored);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use teiten_bucket::{Condition, Headers, MemoryBucket};
    use teiten_footage::{ContentHash, PackKey, Pictures, SegmentKey};

    use super::*;
    use crate::{
        listing::Place,
        pack::{Packed, pack},
    };

    fn camera() -> CameraId {
        CameraId::new("gate").unwrap()
    }

    fn segment(window: Window) -> String {
        let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: 500 };
        SegmentKey { camera: camera(), window, init: ContentHash::of(b"init"), pictures }.to_string()
    }

    async fn put(media: &MemoryBucket, key: &str, bytes: Bytes) {
        media.put(key, bytes, Headers::default(), Condition::Always).await.unwrap();
    }

    /// Stores a pack of so many windows from `first` on, of what was written before `as_of`.
    async fn put_pack(media: &MemoryBucket, first: Window, count: u32, as_of: Timestamp) {
        let packed = Packed { bytes: b"\0\0\0\x0cmdatshow", keyframe_bytes: 12 };
        let bytes = pack(b"\0\0\0\x0cmoovinit", first, &vec![packed; count as usize]);
        let (init, hash) = (ContentHash::of(b"init"), ContentHash::of(&bytes));
        put(media, &PackKey { camera: camera(), first, count, init, as_of, hash }.to_string(), bytes).await;
    }

    #[tokio::test]
    async fn what_counts_as_of_a_time_is_found_in_whatever_holds_it_by_now() {
        let media = MemoryBucket::new("media");
        let first: Window = "20261123T040000.000Z-1000".parse().unwrap();
        for index in 0..4 {
            put(&media, &segment(first.plus(index)), Bytes::new()).await;
        }
        // All of that was written before.
        let now = Timestamp::from_unix_millis(teiten_telemetry::now().unix_millis() / 1000 * 1000);
        let at = |seconds| now + Duration::from_secs(seconds);
        let range = TimeRange::new(first.start(), at(3600)).unwrap();
        // Of each window, as of when the pack is that it is in; 0 of a segment.
        let found = async || {
            let (mut hours, mut found) = (StoredHours::new(&camera(), range).as_of(at(10)), Vec::new());
            while let Some((_, stored)) = hours.next(&media).await.unwrap() {
                found.extend(stored.iter().map(|item| match item.listing.place {
                    Place::Segment(_) => 0,
                    Place::Packed(part) => part.as_of.since(now).as_secs(),
                }));
            }
            found
        };
        // Another window came late, and is in the pack alone.
        put_pack(&media, first, 5, at(20)).await;
        assert_eq!(found().await, [0; 4]);
        for index in 0..3 {
            media.delete(&segment(first.plus(index))).await.unwrap();
        }
        assert_eq!(found().await, [0], "what is left of it is going to go");
        media.delete(&segment(first.plus(3))).await.unwrap();
        assert_eq!(found().await, [20; 5]);
        // What was put together before, and what was made again after it, is as it was.
        put_pack(&media, first.plus(1), 2, at(10)).await;
        put_pack(&media, first.plus(3), 1, at(30)).await;
        // What was filmed later cannot have been there.
        put_pack(&media, Window::containing(at(10), WindowLength::DEFAULT), 1, at(40)).await;
        assert_eq!(found().await, [20, 10, 10, 20, 20]);
    }

    #[tokio::test]
    async fn what_is_stored_of_a_range_comes_by_the_hour_however_it_is_listed() {
        let (media, camera) = (MemoryBucket::new("media"), camera());
        let first: Window = "20261123T035958.000Z-1000".parse().unwrap();
        let mut keys = vec!["gate/2026-11-23/04.m3u8".to_owned(), "gate/2026-11-23/07/other".to_owned()];
        // Two seconds of an hour, a page and a half of the next one, and some of a later one.
        let windows: Vec<Window> = (0..1500).chain([9000, 9001]).map(|second| first.plus(second)).collect();
        keys.extend(windows.iter().copied().map(segment));
        for key in keys {
            put(&media, &key, Bytes::new()).await;
        }
        let range = TimeRange::new(first.start() + Duration::from_millis(1500), first.plus(9001).start());
        let mut hours = StoredHours::new(&camera, range.unwrap());
        let mut found = Vec::new();
        while let Some((hour, stored)) = hours.next(&media).await.unwrap() {
            assert!(stored.iter().all(|item| Hour::of(item.listing.window) == hour));
            found.push((hour.of_day(), stored.len()));
        }
        assert_eq!(found, [(3, 1), (4, 1498), (6, 1)]);
        let all = stored_in(&media, &camera, range.unwrap()).await.unwrap();
        assert!(all.iter().map(|item| item.listing.window).eq(windows[1..1501].iter().copied()));
        let mut later =
            StoredHours::new(&camera, range.unwrap()).beginning_with("2026-11-23/05".parse().unwrap());
        assert_eq!(later.next(&media).await.unwrap().map(|(hour, _)| hour.of_day()), Some(6));
    }
}
