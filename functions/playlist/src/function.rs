//! The shell around [`advance`]: read, decide, write by compare-and-swap, and from the start again if someone
//! else was quicker. When that is done, the archive's turn may have come ([`Archives`]): it is off the live path.
//!
//! An event only says that it is time to look. What is listed follows from the bucket, so events may be lost,
//! repeated and come in any order: the next one makes up for it. Several instances can work on one camera; within
//! one, a camera's events take turns, which spares the store the collisions. What was written last is remembered with its
//! entity tag: as long as windows come in turn, nothing is read.
//!
//! What the pictures show to begin or end to move is the answer to a window's event. It follows from the playlist, so
//! that an event that comes again has the same answer.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use teiten_archive::{
    COLLISIONS_MAX, Content, Footage, LIVE_AGE_MAX, LivePlaylist, LiveSettings, LiveStep, PLAYLIST_HEADERS,
    Seen, ShellError, advance, change_in, changes, enlist, mark, read_level,
};
use teiten_bucket::{Bucket, Condition, ETag, Listed, Put, SignError, Signer};
use teiten_footage::{
    CameraId, Event, Hour, MotionMap, MotionSpan, SegmentKey, SensorEvent, SensorKey, SensorState, Timestamp,
    Window, key, sensor::SensorKind,
};
use teiten_host::{Clock, Failure, Function, PerCamera};
use teiten_telemetry::metrics::function_metrics;
use tracing::{debug, info, warn};

use crate::{
    archives::Archives,
    live_variants::LiveVariants,
    motions::{Motions, Written},
};

/// The most objects of one listing: the segments of [`LIVE_AGE_MAX`], ten times over.
const LISTED_MAX: usize = 1000;

/// How late a sensor may tell of what it saw before the turn of an hour. Until then segments of the new hour are listed from its
/// start, which are no more than fit in one listing.
const SENSOR_LATE_MAX: Duration = Duration::from_secs(60);

/// The most changes of what moves that wait to be told.
const UNTOLD_MAX: usize = 16;

/// The most missed windows that are remembered of one camera.
const MISSED_MAX: usize = 64;

/// Keeps `<camera>/live.m3u8` and the playlists of the archive of every camera, and `cameras.json`.
#[derive(Debug)]
pub struct Playlist {
    media: Arc<dyn Bucket>,
    clock: Clock,
    settings: LiveSettings,
    signer: Option<Signer>,
    cameras: PerCamera<tokio::sync::Mutex<Memory>>,
    archives: Archives,
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
    /// How much moves in segments that are not listed yet.
    levels: HashMap<SegmentKey, u8>,
    /// The version that was written or read last.
    playlist: Option<LivePlaylist>,
    /// Its entity tag, unless something has shown that it may not be the current one.
    etag: Option<ETag>,
    /// What began or ended to move in windows whose own events were answered before they were listed.
    untold: VecDeque<MotionSpan>,
    variants: LiveVariants,
}

impl Playlist {
    /// Keeps the playlists in `media`.
    pub fn new(media: Arc<dyn Bucket>, settings: LiveSettings) -> Self {
        Self::with_clock(media, settings, teiten_telemetry::now)
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(
        media: Arc<dyn Bucket>,
        settings: LiveSettings,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let (archives, motions) = (Archives::new(Arc::clone(&media)), Motions::new(Arc::clone(&media)));
        let cameras = PerCamera::default();
        Self { media, clock: Clock::new(clock), settings, signer: None, cameras, archives, motions }
    }

    /// The same with links to footage that `signer` signs, where not anybody may read it.
    pub fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    /// Works in that `segment` is stored, or that `window` was missed. Answers what began or ended to move with that.
    async fn update(&self, camera: &CameraId, cause: Cause<'_>) -> Result<Option<MotionSpan>, ShellError> {
        let memory = self.cameras.of(camera);
        let mut memory = memory.lock().await;
        if cause.window().end() <= memory.listed_until {
            debug!(%camera, window = %cause.window(), "window is listed already, or too late to be");
            return Ok(memory.change(cause.window()));
        }
        if let Cause::Stored(key, Some(motion)) = cause {
            let (settings, now) = (self.motions.settings(camera).await?, self.clock.now());
            memory.levels.insert(key.clone(), motion.level(&settings));
            memory.levels.retain(|key, _| now < key.window.end() + LIVE_AGE_MAX);
        }
        // One of the far future would keep its place for ever.
        if let Cause::Missed(window) = cause
            && memory.missed.len() < MISSED_MAX
            && window.start() <= self.clock.now() + LIVE_AGE_MAX
        {
            memory.missed.insert(window);
        }
        for _ in 0..COLLISIONS_MAX {
            if self.attempt(camera, cause, &mut memory).await? {
                if !memory.enlisted && memory.listed_until > Timestamp::default() {
                    enlist(&*self.media, camera).await?;
                    memory.enlisted = true;
                }
                return Ok(memory.change(cause.window()));
            }
        }
        Err(ShellError::Contended { key: key::live_playlist_key(camera) })
    }

    /// Decides by what is remembered or read, and writes. Whether that is the end of it: if not, someone else has written, or
    /// may have.
    async fn attempt(
        &self,
        camera: &CameraId,
        cause: Cause<'_>,
        memory: &mut Memory,
    ) -> Result<bool, ShellError> {
        let now = self.clock.now();
        let from = memory.listed_until.max(now - LIVE_AGE_MAX);
        let remembered = memory.take_current(cause.window());
        let is_remembered = remembered.is_some();
        let current = async {
            match remembered {
                Some(remembered) => Ok(Some(remembered)),
                None => self.read(camera).await,
            }
        };
        // What is known only ever grows, so it does not matter which of the two is read first.
        let (current, footage) = tokio::join!(current, self.footage(camera, from, cause, now));
        let (current, (footage, sensor)) = (current?, footage?);
        if let Some((current, _)) = &current {
            memory.remember(current);
        }
        let playlist = current.as_ref().map(|(playlist, _)| playlist);
        let Some((step, mut next)) = advance(playlist, &footage, &memory.missed, now, self.settings) else {
            memory.etag = current.filter(|_| !is_remembered).map(|(_, etag)| etag);
            return Ok(!is_remembered);
        };
        self.see(camera, playlist, &next, memory).await?;
        mark(playlist, &mut next, Seen { levels: &memory.levels, sensor: &sensor });
        let condition =
            current.as_ref().map_or(Condition::IfAbsent, |(_, etag)| Condition::IfMatch(etag.clone()));
        let text = self.text(&next).await?;
        debug_assert_eq!(
            LivePlaylist::parse(camera, &text).as_ref(),
            Ok(&next),
            "it would be read as remembered"
        );
        let key = key::live_playlist_key(camera);
        match self.media.put(&key, Bytes::from(text), PLAYLIST_HEADERS, condition).await? {
            Put::Refused => {
                function_metrics().collisions.inc();
                Ok(false)
            }
            Put::Stored(etag) => {
                report(step, playlist, &next, self.clock.now());
                if step != LiveStep::Extended {
                    // It was silent, and may have left the list with its footage meanwhile.
                    memory.enlisted = false;
                }
                memory.note_changes(playlist, &next, cause.window());
                memory.remember(&next);
                memory.etag = Some(etag);
                // Where links are signed, nobody can ask for what it would name.
                if self.signer.is_none()
                    && let Err(error) = memory.variants.keep(&*self.media, camera, &footage).await
                {
                    warn!(%camera, %error, "the playlist that names the live one is not up to date");
                }
                Ok(true)
            }
        }
    }

    /// Makes sure that it is known how much moves in what is newly listed. Events tell it; where one was lost, or comes
    /// after its window is listed, the segment does.
    async fn see(
        &self,
        camera: &CameraId,
        current: Option<&LivePlaylist>,
        next: &LivePlaylist,
        memory: &mut Memory,
    ) -> Result<(), ShellError> {
        let from = current.map_or(Timestamp::default(), |current| current.next().start());
        for key in next.segments().filter(|key| key.window.start() >= from) {
            if let Entry::Vacant(place) = memory.levels.entry(key) {
                let settings = self.motions.settings(camera).await?;
                let level = read_level(&*self.media, place.key(), &settings).await?;
                place.insert(level.unwrap_or_default());
            }
        }
        Ok(())
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

    /// The camera's segments from the window that holds `from` on, and what its sensors saw in the hours of these (it is
    /// listed behind them) or just before.
    async fn footage(
        &self,
        camera: &CameraId,
        from: Timestamp,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<(Vec<Footage>, BTreeSet<SensorEvent>), ShellError> {
        let first = Window::containing(from, cause.window().length());
        let prefix = key::segments_prefix(camera);
        let mut listing = self.media.list_after(&prefix, &listed_after(camera, first), LISTED_MAX).await?;
        if listing.len() == LISTED_MAX {
            // A sensor saw so much in this hour that what it saw last is not among it.
            listing.extend(self.media.list_after(&prefix, &recent_sensor(camera, first), LISTED_MAX).await?);
        }
        // What is neither is someone else's and of no concern.
        let (mut footage, mut sensor) = (Vec::new(), BTreeSet::new());
        for object in listing {
            if let Ok(key) = object.key.parse::<SegmentKey>() {
                if key.window.start() < first.start() {
                    continue;
                }
                let Listed { modified_unix_millis, size_bytes, .. } = object;
                footage.push(Footage { key, modified_unix_millis, size_bytes });
            } else if let Ok(SensorKey { event, .. }) = object.key.parse() {
                sensor.insert(event);
            }
        }
        // Stores are allowed to list an object some time after it was written.
        if let Cause::Stored(key, _) = cause
            && !footage.iter().any(|item| item.key == *key)
        {
            let (key, modified_unix_millis) = (key.clone(), now.unix_millis());
            footage.push(Footage { key, modified_unix_millis, size_bytes: 0 });
        }
        Ok((footage, sensor))
    }
}

/// What comes, in a listing, just before all that has to be known for `first` and the windows after it. Soon after the turn of an
/// hour that is what sensors saw at the end of the one before, which may have been told of since.
fn listed_after(camera: &CameraId, first: Window) -> String {
    if Hour::containing(first.start() - SENSOR_LATE_MAX) == Hour::of(first) {
        return key::segments_from(camera, first);
    }
    recent_sensor(camera, first)
}

/// What comes just before that which sensors saw shortly before `first`, and later.
fn recent_sensor(camera: &CameraId, first: Window) -> String {
    let at = first.start() - SENSOR_LATE_MAX;
    let event = SensorEvent { kind: SensorKind::Motion, state: SensorState::Ended, at };
    SensorKey { camera: camera.clone(), event }.to_string()
}

/// What an event says.
#[derive(Debug, Clone, Copy)]
enum Cause<'a> {
    Stored(&'a SegmentKey, Option<&'a MotionMap>),
    Missed(Window),
}

impl Cause<'_> {
    fn window(self) -> Window {
        match self {
            Self::Stored(key, _) => key.window,
            Self::Missed(window) => window,
        }
    }
}

impl Memory {
    /// The version that was written or read last, if it is worth trying without reading it back: where `window` is not the next
    /// one after it, another instance has listed what is between, or it is not there yet. It is taken, so that whatever
    /// becomes of the trial (the answer of a put may be lost), the next one reads unless this one succeeds.
    fn take_current(&mut self, window: Window) -> Option<(LivePlaylist, ETag)> {
        let etag = self.etag.take()?;
        let playlist = self.playlist.clone().filter(|playlist| playlist.next() == window)?;
        Some((playlist, etag))
    }

    fn remember(&mut self, playlist: &LivePlaylist) {
        self.listed_until = self.listed_until.max(playlist.next().start());
        self.missed.retain(|window| window.end() > self.listed_until);
        self.levels.retain(|key, _| key.window.end() > self.listed_until);
        self.playlist = Some(playlist.clone());
    }

    /// Notes what begins or ends in windows that are newly listed, but for that of the event at hand: it is its answer.
    fn note_changes(&mut self, before: Option<&LivePlaylist>, next: &LivePlaylist, own: Window) {
        let own = change_in(next, own);
        let spans = changes(before, next).into_iter().map(|(_, span)| span);
        self.untold.extend(spans.filter(|span| Some(span) != own.as_ref()));
        while self.untold.len() > UNTOLD_MAX {
            self.untold.pop_front();
        }
    }

    /// What to tell in answer to the event of `window`: what began or ended in it, and the same each time; else what is
    /// still to be told of others.
    fn change(&mut self, window: Window) -> Option<MotionSpan> {
        let own = self.playlist.as_ref().and_then(|playlist| change_in(playlist, window));
        own.or_else(|| self.untold.pop_front())
    }
}

/// Says what is worth knowing about a new version that is published.
fn report(step: LiveStep, before: Option<&LivePlaylist>, after: &LivePlaylist, now: Timestamp) {
    let metrics = function_metrics();
    metrics.published(match step {
        LiveStep::Created => "created",
        LiveStep::Extended => "extended",
        LiveStep::Jumped => "jumped",
        LiveStep::Replaced => "replaced",
    });
    let camera = after.camera();
    let listed_until = before.map(|before| before.next().start());
    let last = before.and_then(|before| before.entries().last()).map(|(window, _)| window);
    match step {
        LiveStep::Created => info!(%camera, window = %after.first(), "live playlist begun"),
        LiveStep::Jumped => {
            info!(%camera, after = last.map(tracing::field::display), window = %after.first(), "footage is back, live playlist jumps");
        }
        LiveStep::Replaced => {
            warn!(%camera, after = last.map(tracing::field::display), window = %after.first(), "window length has changed, live playlist begun anew");
        }
        LiveStep::Extended => {}
    }
    for (window, entry) in after.entries() {
        if entry.content == Content::Gap && listed_until.is_some_and(|end| window.start() >= end) {
            metrics.gaps.inc();
            warn!(%camera, %window, "no footage of this window, listed as a gap");
        } else if listed_until.is_none_or(|end| window.start() >= end) {
            metrics.listed(camera, window, now);
        }
    }
}

#[async_trait]
impl Function for Playlist {
    const NAME: &'static str = "playlist";

    async fn handle(&self, event: Event) -> Result<Option<Event>, Failure> {
        let change = match &event {
            Event::SegmentStored { bucket, key, motion } => {
                if bucket != self.media.name() {
                    let why = format!(
                        "segment {key} is in bucket {bucket:?}, playlists are in {:?}",
                        self.media.name()
                    );
                    return Err(Failure::Permanent(anyhow::Error::msg(why)));
                }
                let live = self.update(&key.camera, Cause::Stored(key, motion.as_ref())).await;
                // The event has done what it came for: the next ones make up for what fails now, or reconcile does.
                let moved = self.motions.segment_stored(key, motion.clone(), self.clock.now()).await;
                let moved = moved.unwrap_or_else(|error| {
                    warn!(camera = %key.camera, window = %key.window, %error, "what moved is not written down");
                    Written::default()
                });
                if let Err(error) = self.archives.segment_stored(key, &moved, self.clock.now()).await {
                    warn!(camera = %key.camera, window = %key.window, %error, "archive not brought up to date");
                }
                live.map_err(failure)?
            }
            Event::WindowMissed { camera, window } => {
                self.update(camera, Cause::Missed(*window)).await.map_err(failure)?
            }
            Event::BatchStored { key, .. } => {
                let why = format!("batch {key} is not for playlists: they take segments and missed windows");
                return Err(Failure::Permanent(anyhow::Error::msg(why)));
            }
            Event::SensorChanged { camera, event } if event.is_possible(self.clock.now()) => {
                Some(self.motions.sensor_changed(camera, *event).await.map_err(failure)?)
            }
            Event::SensorChanged { camera, .. } | Event::Motion { camera, .. } => {
                let why = format!("this event of {camera} is not for playlists, or of an impossible time");
                return Err(Failure::Permanent(anyhow::Error::msg(why)));
            }
        };
        Ok(change.map(|span| Event::Motion { camera: event.camera().clone(), span }))
    }
}

fn failure(error: ShellError) -> Failure {
    match error {
        // Even a store that refuses is no fault of the event: someone mends its set-up, and it comes again.
        ShellError::Bucket(_) | ShellError::Sign(_) | ShellError::Contended { .. } => {
            Failure::Transient(error.into())
        }
        ShellError::Foreign { .. } => Failure::Permanent(error.into()),
    }
}
