//! What is stored of any range of time, from a listing of it.

use std::collections::VecDeque;

use teiten_bucket::{Bucket, BucketError, Listed};
use teiten_footage::{CameraId, Hour, Timestamp, Window, WindowLength, key};

use crate::{hour_advance::in_order, hours::StoredHourObjects, listing::Stored, range::TimeRange};

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

    /// Of what the store says was written before `as_of`, a whole second. Packs of that alone count whenever they were made: what is
    /// in them was written before, and is deleted where it was. So it is the same footage whenever it is looked at, until it expires.
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
            let mut stored = in_order(&objects.stored(media).await?);
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
            let Some(hour) = hour_of(&self.camera, &object.key) else { continue };
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
        objects.segments.retain(|segment| {
            range.touches(segment.key.window) && segment.modified_unix_millis < as_of.unix_millis()
        });
        objects
            .packs
            .retain(|pack| pack.key.as_of <= as_of && pack.key.windows().any(|window| range.touches(window)));
        Ok(current.map(|hour| (hour, objects)))
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

/// The hour in whose folder an object is; `None` beside those.
fn hour_of(camera: &CameraId, key: &str) -> Option<Hour> {
    let rest = key.strip_prefix(camera.as_str())?.strip_prefix('/')?;
    let (hour, name) = rest.split_at_checked("2026-11-23/04".len())?;
    name.starts_with('/').then(|| hour.parse().ok())?
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
    use teiten_footage::{ContentHash, Pictures, SegmentKey};

    use super::*;

    #[tokio::test]
    async fn what_is_stored_of_a_range_comes_by_the_hour_however_it_is_listed() {
        let (media, camera) = (MemoryBucket::new("media"), CameraId::new("gate").unwrap());
        let first: Window = "20261123T035958.000Z-1000".parse().unwrap();
        let mut keys = vec!["gate/2026-11-23/04.m3u8".to_owned(), "gate/2026-11-23/07/other".to_owned()];
        // Two seconds of an hour, a page and a half of the next one, and some of a later one.
        let windows: Vec<Window> = (0..1500).chain([9000, 9001]).map(|second| first.plus(second)).collect();
        for window in &windows {
            let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: 500 };
            let (camera, init) = (camera.clone(), ContentHash::of(b"init"));
            keys.push(SegmentKey { camera, window: *window, init, pictures }.to_string());
        }
        for key in keys {
            media.put(&key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
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
