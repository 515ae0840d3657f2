//! `<camera>/archive.json`: which hours of a camera have a playlist, for whoever draws a timeline.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use teiten_bucket::{Bucket, BucketError, Condition, Listed, Put};
use teiten_footage::{CameraId, Hour, PackKey, SegmentKey, Timestamp, Window, key};

use crate::shell::{COLLISIONS_MAX, JSON_HEADERS, ShellError};

/// How many objects are listed to find out what there is of an hour: what stands beside its folder, and then
/// the first footage in it.
const PAGE: usize = 16;

/// The content of `archive.json`: `{"days":{"2026-11-23":[4,5,17]}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The hours (UTC) of each day.
    pub(crate) days: BTreeMap<String, BTreeSet<u8>>,
}

impl Archive {
    /// Reads what [`Archive::put`] wrote.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Names these hours.
    pub fn of(hours: impl IntoIterator<Item = Hour>) -> Self {
        let mut archive = Self::default();
        for hour in hours {
            archive.insert(hour);
        }
        archive
    }

    /// Names `hour`; whether it did not before.
    pub(crate) fn insert(&mut self, hour: Hour) -> bool {
        self.days.entry(hour.day()).or_default().insert(hour.of_day())
    }

    /// The hours that are named, as far as they are hours.
    pub fn hours(&self) -> impl Iterator<Item = Hour> {
        self.days.iter().flat_map(|(day, hours)| hours.iter().filter_map(|hour| Hour::on(day, *hour)))
    }

    /// Writes it, if `condition` holds.
    pub async fn put(
        &self,
        media: &dyn Bucket,
        camera: &CameraId,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        let json = serde_json::to_vec(self).expect("days and hours are JSON");
        media.put(&key::archive_key(camera), Bytes::from(json), JSON_HEADERS, condition).await
    }
}

/// Adds `hour` to the camera's archive, if it is not named there.
pub(crate) async fn name_hour(media: &dyn Bucket, camera: &CameraId, hour: Hour) -> Result<(), ShellError> {
    let key = key::archive_key(camera);
    for _ in 0..COLLISIONS_MAX {
        let (mut archive, condition) = match media.get(&key).await? {
            None => (Archive::default(), Condition::IfAbsent),
            Some(object) => {
                let archive = Archive::parse(&object.bytes)
                    .map_err(|error| ShellError::Foreign { key: key.clone(), why: error.to_string() })?;
                (archive, Condition::IfMatch(object.etag))
            }
        };
        if !archive.insert(hour) {
            return Ok(());
        }
        if let Put::Stored(_) = archive.put(media, camera, condition).await? {
            return Ok(());
        }
    }
    Err(ShellError::Contended { key })
}

/// What a listing tells of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredHour {
    /// Which hour.
    pub hour: Hour,
    /// Whether it has a playlist.
    pub has_playlist: bool,
    /// Whether that is ended: what is written before the end is there, and is no younger than the playlist.
    pub has_end: bool,
    /// The first footage that it has, if it has any.
    pub first: Option<Window>,
    /// When that was written.
    pub first_written: Option<Timestamp>,
}

impl StoredHour {
    const fn nothing_of(hour: Hour) -> Self {
        Self { hour, has_playlist: false, has_end: false, first: None, first_written: None }
    }
}

/// The first hour of a camera after `after` (or at all) of which anything is stored: one request, whatever the
/// length of the archive, and more where others have put something before its footage.
pub async fn stored_hour(
    media: &dyn Bucket,
    camera: &CameraId,
    after: Option<Hour>,
) -> Result<Option<StoredHour>, BucketError> {
    let mut after = after.map(|hour| key::after_hour(camera, hour)).unwrap_or_default();
    let (mut found, mut playlist_written) = (None, None);
    loop {
        let page = media.list_after(&key::segments_prefix(camera), &after, PAGE).await?;
        for Listed { key, modified_unix_millis, .. } in &page {
            let written = *modified_unix_millis;
            let Some(hour) = key::hour_of(camera, key) else { continue };
            let stored: &mut StoredHour = found.get_or_insert(StoredHour::nothing_of(hour));
            // What sensors saw comes behind all footage.
            if stored.hour != hour || *key >= key::sensor_prefix(camera, hour) {
                return Ok(found);
            }
            if *key == key::hour_playlist_key(camera, hour) {
                stored.has_playlist = true;
                playlist_written = Some(written);
            } else if *key == key::hour_variants_key(camera, hour) {
                stored.has_end = playlist_written >= Some(written);
            } else if let Some(window) = window_of(key) {
                stored.first = Some(window);
                stored.first_written = Some(Timestamp::from_unix_millis(written));
                return Ok(found);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(&last.key),
            _ => return Ok(found),
        }
    }
}

/// The window of the footage in an object of this key; `None` if it is none.
fn window_of(key: &str) -> Option<Window> {
    let segment = key.parse::<SegmentKey>().map(|segment| segment.window);
    segment.or_else(|_| key.parse::<PackKey>().map(|pack| pack.first)).ok()
}

#[cfg(test)]
mod tests {
    use teiten_bucket::Headers;

    use super::*;

    /// Golden: viewers read this. Keys may be added, none changes its meaning.
    #[test]
    fn an_archive_is_written_as_viewers_read_it() {
        let hours = ["2026-11-23/04", "2026-11-23/17", "2026-11-23/05", "2026-11-24/00"];
        let archive = Archive::of(hours.map(|hour| hour.parse().unwrap()));
        let json = r#"{"days":{"2026-11-23":[4,5,17],"2026-11-24":[0]}}"#;
        assert_eq!(serde_json::to_string(&archive).unwrap(), json);
        assert_eq!(Archive::parse(json.as_bytes()).unwrap(), archive);
        assert_eq!(archive.hours().count(), 4);
    }

    #[tokio::test]
    async fn the_hours_that_are_stored_are_found_one_after_another() {
        let media = teiten_bucket::MemoryBucket::new("media");
        let camera = CameraId::new("gate").unwrap();
        let segment = "20261123T040501.000Z-1000-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s";
        let keys = [
            "gate/2026-11-23/03.m3u8".to_owned(),
            "gate/2026-11-23/04.m3u8".to_owned(),
            "gate/2026-11-23/04.motion.json".to_owned(),
            format!("gate/2026-11-23/04/{segment}"),
            "gate/2026-11-23/notes.txt".to_owned(),
            "gate/2026-11-24/17/20261124T170501.000Z-1000-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s"
                .to_owned(),
            "gate/live.m3u8".to_owned(),
        ];
        // More than are listed at a time, before an hour and before its footage.
        let theirs = (10..30).map(|number| format!("gate/2026-11-23/04-clips/{number}.mp4"));
        let theirs = theirs.chain((10..30).map(|number| format!("gate/2026-11-23/04/0{number}.txt")));
        for key in theirs.chain(keys) {
            media.put(&key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        }
        let mut found = Vec::new();
        let mut after = None;
        while let Some(stored) = stored_hour(&media, &camera, after).await.unwrap() {
            after = Some(stored.hour);
            found.push((stored.hour.to_string(), stored.has_playlist, stored.first.is_some()));
        }
        let expected =
            [("2026-11-23/03", true, false), ("2026-11-23/04", true, true), ("2026-11-24/17", false, true)];
        assert_eq!(found, expected.map(|(hour, playlist, footage)| (hour.to_owned(), playlist, footage)));
    }
}
