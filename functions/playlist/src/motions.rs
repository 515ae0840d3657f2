//! What moves in front of each camera, written down once a minute in the wake of events.
//!
//! A segment's event tells its motion map, so that a minute's maps cost no request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use teiten_archive::{
    MotionHour, ShellError, Told, cutoff, is_over, motion_settings, sensor_start, write_down,
};
use teiten_bucket::{Bucket, BucketError, Condition, Headers};
use teiten_footage::{
    CameraId, Hour, MotionMap, MotionSettings, MotionSource, MotionSpan, SegmentKey, SensorEvent, SensorKey,
    SensorState, Timestamp,
};
use teiten_host::PerCamera;

/// The most segments of one camera that are remembered for not being written down; `reconcile` finds the others.
const TOLD_MAX: usize = 1024;

const SENSOR_HEADERS: Headers = Headers {
    content_type: "application/json",
    cache_control: "max-age=31536000, immutable",
    ..Headers::NONE
};

/// Keeps `<camera>/<yyyy-mm-dd>/<hh>.motion.json` of every camera.
#[derive(Debug)]
pub(crate) struct Motions {
    media: Arc<dyn Bucket>,
    cameras: PerCamera<Memory>,
}

/// What is remembered of a camera.
#[derive(Debug, Default)]
struct Memory {
    told: Mutex<BTreeMap<String, (SegmentKey, Option<MotionMap>)>>,
    sensor: Mutex<BTreeSet<SensorEvent>>,
    work: tokio::sync::Mutex<Work>,
    settings: Mutex<Option<Settings>>,
}

/// Where one at a time is at work.
#[derive(Debug, Default)]
struct Work {
    /// The cutoff of the last versions that were tried.
    tried: Timestamp,
    /// Hours that were written and not over then.
    open: BTreeSet<Hour>,
}

/// What was written down.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The hours as they are now.
    pub(crate) hours: BTreeMap<Hour, MotionHour>,
    /// Those of them that were over long ago.
    pub(crate) late: BTreeSet<Hour>,
}

/// The settings as they were last read.
type Settings = Arc<MotionSettings>;

impl Motions {
    pub(crate) fn new(media: Arc<dyn Bucket>) -> Self {
        Self { media, cameras: PerCamera::default() }
    }

    /// The camera's settings, read once a minute, off the live path but for the first time.
    pub(crate) async fn settings(&self, camera: &CameraId) -> Result<Settings, BucketError> {
        let memory = self.cameras.of(camera);
        if let Some(settings) = &*memory.settings() {
            return Ok(Arc::clone(settings));
        }
        let read = Arc::new(motion_settings(&*self.media, camera).await?);
        *memory.settings() = Some(Arc::clone(&read));
        Ok(read)
    }

    /// Stores what a sensor saw, in an object of its own; the next that is written down has it. Answers what that says
    /// of motion. An end whose start is not known is that of a moment.
    pub(crate) async fn sensor_changed(
        &self,
        camera: &CameraId,
        event: SensorEvent,
    ) -> Result<MotionSpan, ShellError> {
        let key = SensorKey { camera: camera.clone(), event }.to_string();
        // Where it is refused, it is there.
        self.media.put(&key, event.to_json().into(), SENSOR_HEADERS, Condition::IfAbsent).await?;
        self.cameras.of(camera).note_sensor(event);
        let at = Timestamp::from_unix_millis(event.at.unix_millis());
        let (start, end) = match event.state {
            SensorState::Started => (at, None),
            SensorState::Ended => (sensor_start(&*self.media, camera, event).await?.unwrap_or(at), Some(at)),
        };
        Ok(MotionSpan { source: MotionSource::Sensor, start, end, peak: None })
    }

    /// Works in what moved in `segment`, and writes it down with what came before, if the time for that has come
    /// and nobody else is at it. Answers what was written.
    pub(crate) async fn segment_stored(
        &self,
        segment: &SegmentKey,
        motion: Option<MotionMap>,
        now: Timestamp,
    ) -> Result<Written, ShellError> {
        let camera = &segment.camera;
        let memory = self.cameras.of(camera);
        memory.note(segment, motion);
        let mut written = Written::default();
        let Ok(mut work) = memory.work.try_lock() else { return Ok(written) };
        let cutoff = cutoff(camera, now);
        // An earlier one counts: where the clock was ahead, it will be long until that time is there.
        if cutoff == work.tried {
            return Ok(written);
        }
        work.tried = cutoff;
        let settings = Arc::new(motion_settings(&*self.media, camera).await?);
        *memory.settings() = Some(Arc::clone(&settings));
        let told = std::mem::take(&mut *memory.told());
        let mut hours: BTreeMap<Hour, Told> = work.open.iter().map(|hour| (*hour, Told::default())).collect();
        for (segment, motion) in told.into_values() {
            hours.entry(Hour::of(segment.window)).or_default().segments.push((segment, motion));
        }
        for event in std::mem::take(&mut *memory.sensor()) {
            hours.entry(Hour::containing(event.at)).or_default().sensor.push(event);
        }
        for (hour, told) in hours {
            let (motion, _) = write_down(&*self.media, camera, hour, told, &settings, now).await?;
            written.hours.insert(hour, motion);
            if !is_over(hour, now) {
                work.open.insert(hour);
            } else if !work.open.remove(&hour) {
                written.late.insert(hour);
            }
        }
        Ok(written)
    }
}

impl Memory {
    fn note(&self, segment: &SegmentKey, motion: Option<MotionMap>) {
        let mut told = self.told();
        if told.len() < TOLD_MAX {
            told.insert(segment.to_string(), (segment.clone(), motion));
        }
    }

    fn note_sensor(&self, event: SensorEvent) {
        let mut sensor = self.sensor();
        if sensor.len() < TOLD_MAX {
            sensor.insert(event);
        }
    }

    fn sensor(&self) -> MutexGuard<'_, BTreeSet<SensorEvent>> {
        self.sensor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> MutexGuard<'_, Option<Settings>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, (SegmentKey, Option<MotionMap>)>> {
        // No statement that holds the lock can leave the map half changed.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
