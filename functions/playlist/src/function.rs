//! The shell around [`advance`]: read, decide, write by compare-and-swap, and from the start again if someone
//! else was quicker. When that is done, the archive's turn may have come ([`Hours`]): it is off the live path.
//!
//! An event only says that it is time to look. What is listed follows from the bucket, so events may be lost,
//! repeated and come in any order: the next one makes up for it. Several instances can work on one camera; within
//! one, a camera's events take turns, which spares the store the collisions.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use teiten_bucket::{Bucket, BucketError, Condition, ETag, Headers, Put, SignError, Signer};
use teiten_footage::{CameraId, Event, SegmentKey, Timestamp, Window, key};
use teiten_host::{Failure, Function};
use teiten_telemetry::metrics::function_metrics;
use tracing::{debug, info, warn};

use crate::{
    advance::{Footage, LIVE_AGE_MAX, Settings, Step, advance},
    cameras,
    hours::Hours,
    live::{Content, LivePlaylist},
    motion::Motions,
    per_camera::PerCamera,
};

/// How often one event may find that someone else wrote in between, before it is sent again.
pub(crate) const COLLISIONS_MAX: usize = 32;

/// The most segments that are looked at in one listing: those of [`LIVE_AGE_MAX`], ten times over.
const LISTED_MAX: usize = 1000;

/// The most missed windows that are remembered of one camera.
const MISSED_MAX: usize = 64;

pub(crate) const HEADERS: Headers =
    Headers { content_type: "application/vnd.apple.mpegurl", cache_control: "no-cache" };

type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// Keeps `<camera>/live.m3u8` and the playlists of the archive of every camera, and `cameras.json`.
pub struct Playlist {
    media: Arc<dyn Bucket>,
    clock: Box<Clock>,
    settings: Settings,
    signer: Option<Signer>,
    cameras: PerCamera<tokio::sync::Mutex<Memory>>,
    hours: Hours,
    motions: Motions,
}

/// What is remembered of a camera between events. All of it only saves time: it may be forgotten.
#[derive(Debug, Default)]
struct Memory {
    /// The end of the last window that the playlist was seen to list. It never lists an earlier one again.
    listed_until: Timestamp,
    /// Windows that the bridge said were missed, and which wait for the windows before them.
    missed: BTreeSet<Window>,
    /// Whether the camera is known to be in `cameras.json`.
    enlisted: bool,
}

/// Why a playlist could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The store failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The links in it could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Others wrote all the time.
    #[error("{key}: others wrote it each time, {COLLISIONS_MAX} times")]
    Contended {
        /// Which object.
        key: String,
    },
    /// The object is not what this function writes.
    #[error("{key} was not written by Teiten, or was changed ({why}): delete it, and a new one is begun")]
    Foreign {
        /// Which object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl From<ShellError> for Failure {
    fn from(error: ShellError) -> Self {
        match error {
            // Even a store that refuses is no fault of the event: someone mends its set-up, and it comes again.
            ShellError::Bucket(_) | ShellError::Sign(_) | ShellError::Contended { .. } => {
                Self::Transient(error.into())
            }
            ShellError::Foreign { .. } => Self::Permanent(error.into()),
        }
    }
}

impl Playlist {
    /// Keeps the playlists in `media`.
    pub fn new(media: Arc<dyn Bucket>, settings: Settings) -> Self {
        Self::with_clock(media, settings, teiten_telemetry::now)
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(
        media: Arc<dyn Bucket>,
        settings: Settings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let (hours, motions) = (Hours::new(Arc::clone(&media)), Motions::new(Arc::clone(&media)));
        let cameras = PerCamera::default();
        Self { media, clock: Box::new(clock), settings, signer: None, cameras, hours, motions }
    }

    /// The same with links to footage that `signer` signs, where not anybody may read it.
    pub fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    /// Works in that `segment` is stored, or that `window` was missed.
    async fn update(&self, camera: &CameraId, cause: Cause<'_>) -> Result<(), ShellError> {
        let memory = self.cameras.of(camera);
        let mut memory = memory.lock().await;
        if cause.window().end() <= memory.listed_until {
            debug!(%camera, window = %cause.window(), "window is listed already, or too late to be");
            return Ok(());
        }
        if let Cause::Missed(window) = cause
            && memory.missed.len() < MISSED_MAX
        {
            memory.missed.insert(window);
        }
        for _ in 0..COLLISIONS_MAX {
            if self.attempt(camera, cause, &mut memory).await? {
                if !memory.enlisted && memory.listed_until > Timestamp::default() {
                    cameras::enlist(&*self.media, camera).await?;
                    memory.enlisted = true;
                }
                return Ok(());
            }
        }
        Err(ShellError::Contended { key: key::live_playlist_key(camera) })
    }

    /// Reads, decides, writes. Whether that is the end of it: if not, someone else wrote in between.
    async fn attempt(
        &self,
        camera: &CameraId,
        cause: Cause<'_>,
        memory: &mut Memory,
    ) -> Result<bool, ShellError> {
        let now = (self.clock)();
        let from = memory.listed_until.max(now - LIVE_AGE_MAX);
        // What is known only ever grows, so it does not matter which of the two is read first.
        let (current, footage) = tokio::join!(self.read(camera), self.footage(camera, from, cause, now));
        let (current, footage) = (current?, footage?);
        if let Some((current, _)) = &current {
            memory.remember(current);
        }
        let playlist = current.as_ref().map(|(playlist, _)| playlist);
        let Some((step, next)) = advance(playlist, &footage, &memory.missed, now, self.settings) else {
            return Ok(true);
        };
        let condition =
            current.as_ref().map_or(Condition::IfAbsent, |(_, etag)| Condition::IfMatch(etag.clone()));
        let text = Bytes::from(self.text(&next).await?);
        match self.media.put(&key::live_playlist_key(camera), text, HEADERS, condition).await? {
            Put::Refused => {
                function_metrics().collisions.inc();
                Ok(false)
            }
            Put::Stored(_) => {
                report(step, playlist, &next, (self.clock)());
                memory.remember(&next);
                Ok(true)
            }
        }
    }

    /// What players read. A link follows from what it leads to and its window, so that one that was listed before stays
    /// as it is.
    async fn text(&self, playlist: &LivePlaylist) -> Result<String, SignError> {
        let Some(signer) = &self.signer else { return Ok(playlist.to_string()) };
        let mut queries = HashMap::new();
        for (relative, time) in playlist.objects() {
            let key = format!("{}/{relative}", playlist.camera());
            if let Entry::Vacant(entry) = queries.entry(relative) {
                entry.insert(signer.query(&key, time).await?);
            }
        }
        Ok(playlist.signed(|relative| queries.get(relative).map(String::as_str)))
    }

    async fn read(&self, camera: &CameraId) -> Result<Option<(LivePlaylist, ETag)>, ShellError> {
        let key = key::live_playlist_key(camera);
        let Some(object) = self.media.get(&key).await? else { return Ok(None) };
        let foreign = |why: String| ShellError::Foreign { key: key.clone(), why };
        let text = std::str::from_utf8(&object.bytes).map_err(|error| foreign(error.to_string()))?;
        let playlist = LivePlaylist::parse(camera, text).map_err(|error| foreign(error.to_string()))?;
        Ok(Some((playlist, object.etag)))
    }

    /// The camera's segments from the window that holds `from` on.
    async fn footage(
        &self,
        camera: &CameraId,
        from: Timestamp,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<Vec<Footage>, ShellError> {
        let after = key::segments_from(camera, Window::containing(from, cause.window().length()));
        let listing = self.media.list_after(&key::segments_prefix(camera), &after, LISTED_MAX).await?;
        // What is no segment is someone else's and of no concern.
        let mut footage: Vec<Footage> = listing
            .into_iter()
            .filter_map(|object| {
                let key = object.key.parse().ok()?;
                Some(Footage { key, modified_unix_millis: object.modified_unix_millis })
            })
            .collect();
        // Stores are allowed to list an object some time after it was written.
        if let Cause::Stored(key) = cause
            && !footage.iter().any(|item| item.key == *key)
        {
            footage.push(Footage { key: key.clone(), modified_unix_millis: now.unix_millis() });
        }
        Ok(footage)
    }
}

/// What an event says.
#[derive(Debug, Clone, Copy)]
enum Cause<'a> {
    Stored(&'a SegmentKey),
    Missed(Window),
}

impl Cause<'_> {
    fn window(self) -> Window {
        match self {
            Self::Stored(key) => key.window,
            Self::Missed(window) => window,
        }
    }
}

impl Memory {
    fn remember(&mut self, playlist: &LivePlaylist) {
        self.listed_until = self.listed_until.max(playlist.next().start());
        self.missed.retain(|window| window.end() > self.listed_until);
    }
}

/// Says what is worth knowing about a new version that is published.
fn report(step: Step, before: Option<&LivePlaylist>, after: &LivePlaylist, now: Timestamp) {
    let metrics = function_metrics();
    metrics.published(match step {
        Step::Created => "created",
        Step::Extended => "extended",
        Step::Jumped => "jumped",
        Step::Replaced => "replaced",
    });
    let camera = after.camera();
    let listed_until = before.map(|before| before.next().start());
    let last = before.and_then(|before| before.entries().last()).map(|(window, _)| window);
    match step {
        Step::Created => info!(%camera, window = %after.first(), "live playlist begun"),
        Step::Jumped => {
            info!(%camera, after = last.map(tracing::field::display), window = %after.first(), "footage is back, live playlist jumps");
        }
        Step::Replaced => {
            warn!(%camera, after = last.map(tracing::field::display), window = %after.first(), "window length has changed, live playlist begun anew");
        }
        Step::Extended => {}
    }
    for (window, entry) in after.entries() {
        if entry.content == Content::Gap && listed_until.is_some_and(|end| window.start() >= end) {
            metrics.gaps.inc();
            warn!(%camera, %window, "no footage of this window, listed as a gap");
        } else if listed_until.is_none_or(|end| window.start() >= end) {
            metrics.listed(now.since(window.end()));
        }
    }
}

#[async_trait]
impl Function for Playlist {
    const NAME: &'static str = "playlist";

    async fn handle(&self, event: Event) -> Result<Option<Event>, Failure> {
        match &event {
            Event::SegmentStored { bucket, key, motion } => {
                if bucket != self.media.name() {
                    let why = format!(
                        "segment {key} is in bucket {bucket:?}, playlists are in {:?}",
                        self.media.name()
                    );
                    return Err(Failure::Permanent(anyhow::Error::msg(why)));
                }
                let live = self.update(&key.camera, Cause::Stored(key)).await;
                if let Err(error) = self.hours.segment_stored(key, (self.clock)()).await {
                    // The event has done what it came for: the next ones make up for it, or reconcile does.
                    warn!(camera = %key.camera, window = %key.window, %error, "archive not brought up to date");
                }
                if let Err(error) = self.motions.segment_stored(key, motion.clone(), (self.clock)()).await {
                    warn!(camera = %key.camera, window = %key.window, %error, "what moved is not written down");
                }
                live?;
            }
            Event::WindowMissed { camera, window } => self.update(camera, Cause::Missed(*window)).await?,
            Event::BatchStored { key, .. } => {
                let why = format!("batch {key} is not for playlists: they take segments and missed windows");
                return Err(Failure::Permanent(anyhow::Error::msg(why)));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Playlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playlist")
            .field("media", &self.media)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
