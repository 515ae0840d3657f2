//! A bucket that watches what is published, a clock to set, and footage.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use teiten_archive::LiveSettings;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Listed, MemoryBucket, Object, Put, Wrapper};
use teiten_footage::{
    CameraId, ContentHash, Event, MotionMap, Pictures, SegmentKey, Timestamp, Window, WindowLength,
};
use teiten_playlist::Playlist;

use crate::checker::{Version, read_variants};

/// Everything around the function.
pub(crate) struct World {
    pub(crate) bucket: Arc<Watched>,
    clock: Arc<AtomicU64>,
}

impl World {
    /// A world at `now` in which nothing fails.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self::troubled(now, 0, 0.0)
    }

    /// A world in which operations of the bucket interleave as `seed` says, and this share of them fails.
    pub(crate) fn troubled(now: Timestamp, seed: u64, failing: f64) -> Self {
        let bucket = Watched {
            inner: MemoryBucket::new("media"),
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            failing,
            versions: Mutex::default(),
            operations: AtomicUsize::new(0),
            asked: Mutex::default(),
        };
        Self { bucket: Arc::new(bucket), clock: Arc::new(AtomicU64::new(now.unix_micros())) }
    }

    /// An instance of the function, which knows nothing yet.
    pub(crate) fn playlist(&self) -> Playlist {
        self.playlist_with(LiveSettings::default())
    }

    /// The same with other settings.
    pub(crate) fn playlist_with(&self, settings: LiveSettings) -> Playlist {
        let clock = Arc::clone(&self.clock);
        Playlist::with_clock(Arc::clone(&self.bucket) as Arc<dyn Bucket>, settings, move || {
            Timestamp::from_unix_micros(clock.load(Ordering::SeqCst))
        })
    }

    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.clock.store(now.unix_micros(), Ordering::SeqCst);
    }

    pub(crate) fn advance_clock(&self, by: Duration) {
        self.clock.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    /// Stores a segment and its init section, and tells the event of it.
    pub(crate) async fn store(&self, key: &SegmentKey) -> Event {
        for object in [key.init_key().to_string(), key.to_string()] {
            let put = self.bucket.inner.put(
                &object,
                Bytes::from_static(&MEDIA),
                Headers::default(),
                Condition::Always,
            );
            put.await.unwrap();
        }
        stored(key)
    }
}

/// `teiten.segment.stored`.
pub(crate) fn stored(key: &SegmentKey) -> Event {
    Event::SegmentStored { bucket: "media".to_owned(), key: key.clone(), motion: Some(MotionMap::default()) }
}

/// The windows of a stream, counted from noon of some day.
pub(crate) fn window(length: WindowLength, index: u64) -> Window {
    let noon = "20261123T120000.000Z-1000".parse::<Window>().unwrap().start();
    Window::containing(noon, length).plus(index)
}

/// What is stored of each segment: nobody looks into it. It is as long as one of 720p, so that names and ranges are as long as
/// real ones.
static MEDIA: [u8; MEDIA_BYTES as usize] = [0; MEDIA_BYTES as usize];

/// How long it is.
pub(crate) const MEDIA_BYTES: u64 = 60_000;

/// How much of it is the keyframe.
pub(crate) const KEYFRAME_BYTES: u32 = 40_000;

/// A segment of that stream.
pub(crate) fn segment(camera: &str, window: Window, init: &str, frames: &str) -> SegmentKey {
    let camera = CameraId::new(camera).unwrap();
    let pictures = Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: KEYFRAME_BYTES };
    SegmentKey { camera, window, init: ContentHash::of(init.as_bytes()), pictures }
}

/// A bucket in memory that checks every version of a playlist as it is published.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) inner: MemoryBucket,
    dice: Mutex<StdRng>,
    failing: f64,
    versions: Mutex<Vec<Published>>,
    operations: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) operation: &'static str,
    /// The key or prefix.
    pub(crate) key: String,
    pub(crate) written_bytes: usize,
}

#[derive(Debug)]
struct Published {
    key: String,
    version: Result<Version, String>,
}

impl Watched {
    /// All versions of a playlist that ever were to be read, in order.
    ///
    /// # Panics
    /// If one of them is wrong, or could not follow the one before.
    pub(crate) fn versions(&self, key: &str) -> Vec<Version> {
        let versions = self.versions.lock().unwrap();
        let versions = versions.iter().filter(|published| published.key == key);
        versions
            .map(|published| published.version.clone().unwrap_or_else(|wrong| panic!("{wrong}")))
            .collect()
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> usize {
        self.operations.load(Ordering::SeqCst)
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, operation: &'static str, key: &str, written_bytes: usize) {
        self.operations.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().unwrap().push(Asked { operation, key: key.to_owned(), written_bytes });
    }

    /// Lets others go first, or fails.
    async fn step(&self, operation: &'static str, key: &str) -> Result<(), BucketError> {
        let (others, fails) = {
            let mut dice = self.dice.lock().unwrap();
            (dice.random_range(0..3), dice.random_bool(self.failing))
        };
        for _ in 0..others {
            tokio::task::yield_now().await;
        }
        if fails {
            let (bucket, key) = ("media".to_owned(), key.to_owned());
            return Err(BucketError::Unavailable {
                bucket,
                operation,
                key,
                why: "the dice fell so".to_owned(),
            });
        }
        Ok(())
    }

    /// Notes a version that is to be read from now on, in place of what was there `before`.
    async fn publish(&self, key: &str, bytes: &[u8], before: Option<Object>) {
        let text = std::str::from_utf8(bytes).unwrap();
        let version = self.referee(key, text, before).await.map_err(|wrong| format!("{wrong}, in\n{text}"));
        self.versions.lock().unwrap().push(Published { key: key.to_owned(), version });
    }

    async fn referee(&self, key: &str, text: &str, before: Option<Object>) -> Result<Version, String> {
        let version = Version::read(text)?;
        let (folder, _) = key.rsplit_once('/').ok_or("a playlist of no camera")?;
        for segment in version.segments.iter().filter(|segment| !segment.gap) {
            for uri in [&segment.map, &segment.uri] {
                // As a player resolves it.
                let object = match uri.strip_prefix("../") {
                    Some(uri) => format!("{}/{uri}", folder.rsplit_once('/').ok_or("no folder above")?.0),
                    None => format!("{folder}/{uri}"),
                };
                let object = self.inner.get(&object).await.unwrap();
                object.ok_or(format!("{uri} is listed and does not exist"))?;
            }
            if let Some((size, offset)) = segment.bytes {
                let key = format!("{folder}/{}", segment.uri);
                let part = self.inner.get_range(&key, offset, size).await.unwrap();
                let is_whole = part.is_some_and(|part| part.bytes.len() as u64 == size);
                is_whole.then_some(()).ok_or(format!("{} has no such range", segment.uri))?;
            }
        }
        // Where it was deleted, nobody goes on from anything.
        if let Some(before) = before {
            let before = std::str::from_utf8(&before.bytes).unwrap();
            let before = Version::read(before).map_err(|why| format!("{why}: not ours, and overwritten"))?;
            before.check_successor(&version)?;
        }
        Ok(version)
    }
}

#[async_trait]
impl Wrapper for Watched {
    fn inner(&self) -> &dyn Bucket {
        &self.inner
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.note("get", key, 0);
        self.step("get", key).await?;
        self.inner.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        self.note("put", key, bytes.len());
        self.step("put", key).await?;
        // On one thread nothing comes between these: a bucket in memory never waits.
        let before = self.inner.get(key).await?;
        let put = self.inner.put(key, bytes.clone(), headers, condition).await?;
        if matches!(put, Put::Stored(_)) && key.ends_with("master.m3u8") {
            let (whole, keyframes) = read_variants(std::str::from_utf8(&bytes).unwrap()).unwrap();
            let folder = key.rsplit_once('/').unwrap().0;
            let expected = match key.strip_suffix("/master.m3u8") {
                Some(camera) => format!("{camera}/live.m3u8"),
                None => key.replace(".master", ""),
            };
            assert_eq!(format!("{folder}/{whole}"), expected);
            if let Some(keyframes) = keyframes {
                let keyframes = format!("{folder}/{keyframes}");
                assert!(self.inner.get(&keyframes).await.unwrap().is_some(), "{keyframes}");
            }
        } else if matches!(put, Put::Stored(_)) && key.ends_with(".m3u8") {
            self.publish(key, &bytes, before).await;
        }
        // An answer that is lost on its way.
        self.step("put", key).await?;
        Ok(put)
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        self.note("list", prefix, 0);
        self.step("list", prefix).await?;
        self.inner.list_after(prefix, after, count_max).await
    }
}
