//! Object keys, both ways. A key is a function of what the object holds, so a step done twice gives the same
//! objects; a listing tells camera, start and length, and sorts by time.
//!
//! Keys are relative to their bucket: `frames` holds batches and `media` what players read.

use std::{fmt, str::FromStr};

use crate::{
    camera::CameraId,
    hash::ContentHash,
    hour::Hour,
    motion::{MotionMap, compact},
    sensor::{SensorEvent, SensorKind, SensorState},
    time::Timestamp,
    window::{Window, WindowLength},
};

/// The bucket of batches, private and short-lived.
pub const FRAMES_BUCKET: &str = "frames";
/// The bucket of what players read.
pub const MEDIA_BUCKET: &str = "media";

/// A key that is none of Teiten's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key:?} is no key of {expected}")]
pub struct KeyError {
    key: String,
    expected: &'static str,
}

impl KeyError {
    fn new(key: &str, expected: &'static str) -> Self {
        Self { key: key.chars().take(200).collect(), expected }
    }
}

/// What the frames of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchFormat {
    /// Concatenated JPEGs, `.mjpeg`.
    Mjpeg,
    /// Concatenated H.264 access units in Annex B form, `.h264`. Reserved: nothing makes or reads them yet.
    H264,
}

impl BatchFormat {
    /// The file name's extension.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mjpeg => "mjpeg",
            Self::H264 => "h264",
        }
    }

    /// The media type of the object.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Mjpeg => "video/x-motion-jpeg",
            Self::H264 => "video/h264",
        }
    }
}

/// `<camera>/<yyyy-mm-dd>/<hh>/<start>-<ms>.mjpeg` in `frames`: the batch of one window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchKey {
    /// Whose frames.
    pub camera: CameraId,
    /// Which window.
    pub window: Window,
    /// What the frames are.
    pub format: BatchFormat,
}

impl fmt::Display for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}.{}", self.camera, Hour::of(self.window), self.window, self.format.extension())
    }
}

impl FromStr for BatchKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (camera, name) = camera_and_name(key)?;
            // The fraction of the second has a dot too, so the extension is what follows the last one.
            let (window, extension) = name.rsplit_once('.')?;
            let format = [BatchFormat::Mjpeg, BatchFormat::H264]
                .into_iter()
                .find(|format| format.extension() == extension)?;
            let parsed = Self { camera, window: window.parse().ok()?, format };
            (parsed.to_string() == key).then_some(parsed)
        };
        parse().ok_or_else(|| KeyError::new(key, "a batch"))
    }
}

/// `<camera>/init-<hash>.mp4` in `media`: an init section, named by the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InitKey {
    /// Whose.
    pub camera: CameraId,
    /// The hash of the object's bytes.
    pub hash: ContentHash,
}

impl InitKey {
    /// The file name: the key without its camera, as a live playlist names it.
    pub fn name(&self) -> String {
        format!("init-{}.mp4", self.hash)
    }
}

impl fmt::Display for InitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/init-{}.mp4", self.camera, self.hash)
    }
}

impl FromStr for InitKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (camera, name) = key.split_once('/')?;
            let hash = name.strip_prefix("init-")?.strip_suffix(".mp4")?;
            Some(Self { camera: camera.parse().ok()?, hash: hash.parse().ok()? })
        };
        parse().ok_or_else(|| KeyError::new(key, "an init section"))
    }
}

/// `<camera>/<yyyy-mm-dd>/<hh>/<start>-<ms>-<init>-<frames>-<keyframe>.m4s` in `media`: a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SegmentKey {
    /// Whose.
    pub camera: CameraId,
    /// Which window it covers.
    pub window: Window,
    /// The hash of its init section's bytes.
    pub init: ContentHash,
    /// What is in it.
    pub pictures: Pictures,
}

/// What the key of a segment says of its pictures: `<frames>-<keyframe>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pictures {
    /// The hash of the identities of its frames ([`crate::Batch::frames_hash`]).
    pub frames: ContentHash,
    /// How many of its first bytes are a segment of its own, with the keyframe alone: the others hold what follows
    /// that. So whoever wants keyframes (I-frame playlists, time-lapses) knows from a listing what to ask for.
    pub keyframe_bytes: u32,
}

impl Pictures {
    /// Where the keyframe's access unit begins in a segment: `styp`, the motion map, a `moof` with one sample, and the header of
    /// `mdat` are before it. It ends with [`Pictures::keyframe_bytes`].
    pub const KEYFRAME_AT: u32 = MotionMap::SEGMENT_HEAD_BYTES as u32 + 104 + 8;
}

impl fmt::Display for Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.frames, self.keyframe_bytes)
    }
}

impl SegmentKey {
    /// The key of the init section that this segment needs.
    pub fn init_key(&self) -> InitKey {
        InitKey { camera: self.camera.clone(), hash: self.init }
    }

    /// `<yyyy-mm-dd>/<hh>/…`: the key without its camera, as a live playlist names it.
    pub fn relative(&self) -> String {
        format!("{}/{}-{}-{}.m4s", Hour::of(self.window), self.window, self.init, self.pictures)
    }

    /// `<hh>/…`: the key without its camera and day, as the playlist of an hour names it.
    pub fn in_day(&self) -> String {
        let hour = Hour::of(self.window).of_day();
        format!("{hour:02}/{}-{}-{}.m4s", self.window, self.init, self.pictures)
    }

    /// The inverse of [`SegmentKey::in_day`], on the day of `hour`.
    pub fn from_in_day(camera: &CameraId, hour: Hour, in_day: &str) -> Result<Self, KeyError> {
        format!("{camera}/{}/{in_day}", hour.day()).parse()
    }

    /// The inverse of [`SegmentKey::relative`].
    pub fn from_relative(camera: &CameraId, relative: &str) -> Result<Self, KeyError> {
        format!("{camera}/{relative}").parse()
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.camera, self.relative())
    }
}

impl FromStr for SegmentKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (camera, name) = camera_and_name(key)?;
            let mut parts = name.strip_suffix(".m4s")?.rsplitn(4, '-');
            let keyframe_bytes = parts.next()?.parse().ok().filter(|bytes| *bytes > 0)?;
            let pictures = Pictures { frames: parts.next()?.parse().ok()?, keyframe_bytes };
            let init = parts.next()?.parse().ok()?;
            let window = parts.next()?.parse().ok()?;
            let parsed = Self { camera, window, init, pictures };
            (parsed.to_string() == key).then_some(parsed)
        };
        parse().ok_or_else(|| KeyError::new(key, "a segment"))
    }
}

/// `<camera>/<yyyy-mm-dd>/<hh>/<window>-<count>-<init>-<as of>-<hash>.mp4` in `media`: a pack, the segments of so many
/// windows from this one on in one object, after an index of them (a `sidx` box).
///
/// It counts in place of all segments of its windows that were written before `as of` (Unix seconds). So it is told from
/// a listing whether it, or a segment that was made again later, counts for a window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackKey {
    /// Whose.
    pub camera: CameraId,
    /// Its first window.
    pub first: Window,
    /// How many windows it has.
    pub count: u32,
    /// The hash of the init section of its segments.
    pub init: ContentHash,
    /// Up to when what was written is in it; whole seconds.
    pub as_of: Timestamp,
    /// The hash of the object's bytes.
    pub hash: ContentHash,
}

impl PackKey {
    /// `<hh>/…`: the key without its camera and day, as the playlist of an hour names it.
    pub fn in_day(&self) -> String {
        let Self { first, count, init, as_of, hash, .. } = self;
        let hour = Hour::of(*first).of_day();
        format!("{hour:02}/{first}-{count}-{init}-{}-{hash}.mp4", as_of.unix_millis() / 1000)
    }

    /// The inverse of [`PackKey::in_day`], on the day of `hour`.
    pub fn from_in_day(camera: &CameraId, hour: Hour, in_day: &str) -> Result<Self, KeyError> {
        format!("{camera}/{}/{in_day}", hour.day()).parse()
    }

    /// The windows in it.
    pub fn windows(&self) -> impl ExactSizeIterator<Item = Window> + use<> {
        let first = self.first;
        (0..self.count).map(move |index| first.plus(index.into()))
    }
}

impl fmt::Display for PackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.camera, Hour::of(self.first).day(), self.in_day())
    }
}

impl FromStr for PackKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (camera, name) = camera_and_name(key)?;
            let mut parts = name.strip_suffix(".mp4")?.rsplitn(5, '-');
            let hash = parts.next()?.parse().ok()?;
            let as_of = Timestamp::from_unix_millis(parts.next()?.parse::<u64>().ok()?.checked_mul(1000)?);
            let init = parts.next()?.parse().ok()?;
            let count = parts.next()?.parse().ok().filter(|count| (1..=PACK_WINDOWS_MAX).contains(count))?;
            let first = parts.next()?.parse().ok()?;
            let parsed = Self { camera, first, count, init, as_of, hash };
            (parsed.to_string() == key).then_some(parsed)
        };
        parse().ok_or_else(|| KeyError::new(key, "a pack"))
    }
}

/// `<camera>/<yyyy-mm-dd>/<hh>/sensor-<time>-<kind>-<state>.json` in `media`: what a sensor saw begin or end, which the key
/// tells as a whole. It sorts behind the footage of its hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorKey {
    /// Whose sensor.
    pub camera: CameraId,
    /// What it saw.
    pub event: SensorEvent,
}

impl fmt::Display for SensorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SensorEvent { kind: SensorKind::Motion, state, at } = self.event;
        let (hour, time) = (Hour::containing(at), compact(&at.to_string()));
        write!(f, "{}/{hour}/{SENSOR}{time}-motion-{}.json", self.camera, state.name())
    }
}

impl FromStr for SensorKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (camera, name) = camera_and_name(key)?;
            let (time, state) = name.strip_prefix(SENSOR)?.strip_suffix(".json")?.split_once("-motion-")?;
            let state =
                [SensorState::Started, SensorState::Ended].into_iter().find(|known| known.name() == state)?;
            let part = |range| time.get(range);
            let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
            let (hour, minute, rest) = (part(8..11)?, part(11..13)?, time.get(13..)?);
            let at = Timestamp::from_rfc3339(&format!("{year}-{month}-{day}{hour}:{minute}:{rest}"))?;
            let parsed = Self { camera, event: SensorEvent { kind: SensorKind::Motion, state, at } };
            (parsed.to_string() == key).then_some(parsed)
        };
        parse().ok_or_else(|| KeyError::new(key, "what a sensor saw"))
    }
}

/// What the names begin with of what sensors saw.
const SENSOR: &str = "sensor-";

/// The prefix of what sensors saw in one hour of a camera in `media`.
pub fn sensor_prefix(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}/{SENSOR}")
}

/// The most windows of a pack: those of an hour.
const PACK_WINDOWS_MAX: u32 = 3_600_000 / WindowLength::MIN.millis();

/// `<camera>/live.m3u8` in `media`.
pub fn live_playlist_key(camera: &CameraId) -> String {
    format!("{camera}/live.m3u8")
}

/// `<camera>/master.m3u8` in `media`: the playlist that names the live one.
pub fn live_variants_key(camera: &CameraId) -> String {
    format!("{camera}/master.m3u8")
}

/// `cameras.json` in `media`: the names of all cameras that have footage, or filmed within a day.
pub const CAMERAS_KEY: &str = "cameras.json";

/// Where dead letters are in `frames`; no camera has such a name. They are kept as long as the batches that they are about.
pub const DEAD_LETTERS_PREFIX: &str = "dead-letters.teiten/";

/// `<camera>/<yyyy-mm-dd>/<hh>.m3u8` in `media`: the playlist of an hour of the archive.
pub fn hour_playlist_key(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}.m3u8")
}

/// `<camera>/<yyyy-mm-dd>/<hh>.iframes.m3u8` in `media`: the keyframes of an hour alone.
pub fn hour_keyframes_key(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}.iframes.m3u8")
}

/// `<camera>/<yyyy-mm-dd>/<hh>.master.m3u8` in `media`: the playlist that names the other two of an hour.
pub fn hour_variants_key(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}.master.m3u8")
}

/// `<camera>/<yyyy-mm-dd>/<hh>.motion.json` in `media`: what moved in an hour.
pub fn motion_key(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}.motion.json")
}

/// `<camera>/motion-settings.json` in `media`: what counts as motion ([`crate::MotionSettings`]).
pub fn motion_settings_key(camera: &CameraId) -> String {
    format!("{camera}/motion-settings.json")
}

/// `<camera>/poster.jpg` in `media`: a camera's latest picture, small.
pub fn poster_key(camera: &CameraId) -> String {
    format!("{camera}/poster.jpg")
}

/// `<camera>/<yyyy-mm-dd>/<hh>.sprites.jpg` in `media`: the thumbnails of an hour.
pub fn sheet_key(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}.sprites.jpg")
}

/// `<camera>/<yyyy-mm-dd>/<hh>.sprites.vtt` in `media`: which of them is where.
pub fn sheet_index_key(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}.sprites.vtt")
}

/// `<camera>/archive.json` in `media`: which hours of a camera have a playlist.
pub fn archive_key(camera: &CameraId) -> String {
    format!("{camera}/archive.json")
}

/// The prefix of the segments of one hour of a camera in `media`.
pub fn hour_prefix(camera: &CameraId, hour: Hour) -> String {
    format!("{camera}/{hour}/")
}

/// Which of a camera's hours an object of `media` is of: those of `<camera>/<yyyy-mm-dd>/<hh>…`.
pub fn hour_of(camera: &CameraId, key: &str) -> Option<Hour> {
    let rest = key.strip_prefix(camera.as_str())?.strip_prefix('/')?;
    let (hour, after) = rest.split_at_checked("2026-11-23/04".len())?;
    let hour = hour.parse().ok()?;
    after.starts_with(['.', '/']).then_some(hour)
}

/// Every key of a camera's `hour` and of earlier ones sorts before this, every key of a later hour after it.
pub fn after_hour(camera: &CameraId, hour: Hour) -> String {
    // '0' comes just after '/'; what stands beside the folder (`04.m3u8`) comes before it.
    format!("{camera}/{hour}0")
}

/// Splits `<camera>/<day>/<hour>/<name>`; that day and hour are right is seen by formatting again.
fn camera_and_name(key: &str) -> Option<(CameraId, &str)> {
    let mut parts = key.splitn(4, '/');
    let camera = parts.next()?.parse().ok()?;
    let name = parts.nth(2)?;
    Some((camera, name))
}

/// Where the segments of a camera from `window` on begin in a listing of `media`: every key of an earlier
/// window sorts before this, every key of this or a later one after it.
pub fn segments_from(camera: &CameraId, window: Window) -> String {
    // Just the start, without length and hashes: the start alone decides the order.
    let name = window.to_string();
    let start = name.split('-').next().unwrap_or_default();
    format!("{camera}/{}/{start}", Hour::of(window))
}

/// `<yyyy-mm-dd>/<hh>/<start>-<ms>.gap`: what a live playlist names in place of the segment of a window that was
/// missed. There is never an object of this name; EXT-X-GAP tells players not to ask for it.
pub fn gap_relative(window: Window) -> String {
    format!("{}/{window}.gap", Hour::of(window))
}

/// The prefix of all segments of a camera in `media` (of the years 2000 to 2999): days come before every
/// other name in a camera's folder.
pub fn segments_prefix(camera: &CameraId) -> String {
    format!("{camera}/2")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &str =
        "front-door/2026-11-23/04/20261123T040501.000Z-1000-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s";

    /// Golden: these are the keys of what sensors saw. A change needs a migration.
    #[test]
    fn what_a_sensor_saw_has_a_key_that_tells_it() {
        let name = "front-door/2026-11-23/04/sensor-20261123T040501.234567Z-motion-ended.json";
        let at = Timestamp::from_unix_micros(1_795_406_701_234_567);
        let event = SensorEvent { kind: SensorKind::Motion, state: SensorState::Ended, at };
        let key = SensorKey { camera: CameraId::new("front-door").unwrap(), event };
        assert_eq!(key.to_string(), name);
        assert_eq!(name.parse(), Ok(key.clone()));
        assert!(name > SEGMENT && name.starts_with(&sensor_prefix(&key.camera, Hour::containing(at))));
        for other in [
            SEGMENT.to_owned(),
            name.replace("/04/", "/05/"),
            name.replace("ended", "over"),
            name.replace(".234567Z", "Z"),
            name.replace("sensor-2026", "sensor-"),
            name.replace("sensor-2026", "sensor-é"),
        ] {
            assert!(other.parse::<SensorKey>().is_err(), "{other}");
        }
    }

    /// Golden: these are the keys of stored footage. A change needs a migration.
    #[test]
    fn keys_are_what_docs_formats_says() {
        let camera = CameraId::new("front-door").unwrap();
        let window = "20261123T040501.000Z-1000".parse().unwrap();
        let batch = BatchKey { camera: camera.clone(), window, format: BatchFormat::Mjpeg };
        assert_eq!(batch.to_string(), "front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg");
        let init = ContentHash::of(b"");
        let pictures = Pictures { frames: ContentHash::of(b"abc"), keyframe_bytes: 4321 };
        let segment = SegmentKey { camera: camera.clone(), window, init, pictures };
        assert_eq!(segment.to_string(), SEGMENT);
        assert_eq!(segment.init_key().to_string(), "front-door/init-e3b0c44298fc1c14.mp4");
        assert_eq!(live_playlist_key(&camera), "front-door/live.m3u8");
        assert_eq!(live_variants_key(&camera), "front-door/master.m3u8");
        assert_eq!(hour_playlist_key(&camera, Hour::of(window)), "front-door/2026-11-23/04.m3u8");
        assert_eq!(hour_keyframes_key(&camera, Hour::of(window)), "front-door/2026-11-23/04.iframes.m3u8");
        assert_eq!(hour_variants_key(&camera, Hour::of(window)), "front-door/2026-11-23/04.master.m3u8");
        assert_eq!(archive_key(&camera), "front-door/archive.json");
        assert_eq!(motion_key(&camera, Hour::of(window)), "front-door/2026-11-23/04.motion.json");
        assert_eq!(motion_settings_key(&camera), "front-door/motion-settings.json");
        assert_eq!(poster_key(&camera), "front-door/poster.jpg");
        assert_eq!(sheet_key(&camera, Hour::of(window)), "front-door/2026-11-23/04.sprites.jpg");
        assert_eq!(sheet_index_key(&camera, Hour::of(window)), "front-door/2026-11-23/04.sprites.vtt");
        assert_eq!(gap_relative(window), "2026-11-23/04/20261123T040501.000Z-1000.gap");
    }

    #[test]
    fn keys_parse_back_and_foreign_ones_do_not() {
        let segment: SegmentKey = SEGMENT.parse().unwrap();
        assert_eq!(segment.to_string(), SEGMENT);
        assert_eq!(SegmentKey::from_relative(&segment.camera, &segment.relative()), Ok(segment.clone()));
        let (hour, in_day) = (Hour::of(segment.window), segment.in_day());
        assert_eq!(format!("front-door/2026-11-23/{in_day}"), SEGMENT);
        assert_eq!(SegmentKey::from_in_day(&segment.camera, hour, &in_day), Ok(segment.clone()));
        let init = segment.init_key();
        assert_eq!(init.to_string().parse(), Ok(init));
        let pack = "front-door/2026-11-23/04/20261123T040501.000Z-1000-2-e3b0c44298fc1c14-1795410601-ba7816bf8f01cfea.mp4";
        let parsed: PackKey = pack.parse().unwrap();
        assert_eq!((parsed.to_string().as_str(), parsed.windows().len()), (pack, 2));
        assert_eq!(PackKey::from_in_day(&segment.camera, hour, &parsed.in_day()), Ok(parsed));
        assert!(pack.parse::<SegmentKey>().is_err() && pack.parse::<InitKey>().is_err());
        assert!(pack.replace("-2-", "-0-").parse::<PackKey>().is_err());
        for (from, to) in [("-4321", ""), ("-4321", "-0"), ("-4321", "-04321"), ("-4321", "-4294967296")] {
            assert!(SEGMENT.replace(from, to).parse::<SegmentKey>().is_err(), "{to}");
        }
        let batch = "front-door/2026-11-23/04/20261123T040501.000Z-1000.h264";
        assert_eq!(batch.parse::<BatchKey>().unwrap().to_string(), batch);
        for key in [
            "",
            "front-door/live.m3u8",
            "front-door/2026-11-23/05/20261123T040501.000Z-1000.mjpeg",
            "front-door/2026-11-23/04/20261123T040501.000Z-1000.avi",
            "Front/2026-11-23/04/20261123T040501.000Z-1000.mjpeg",
            "front-door/2026-11-23/04/x/20261123T040501.000Z-1000.mjpeg",
        ] {
            assert!(key.parse::<BatchKey>().is_err(), "{key:?}");
            assert!(key.parse::<SegmentKey>().is_err(), "{key:?}");
        }
    }

    #[test]
    fn what_is_of_an_hour_stands_together_in_a_listing() {
        let segment: SegmentKey = SEGMENT.parse().unwrap();
        let (camera, hour) = (&segment.camera, Hour::of(segment.window));
        let playlist = hour_playlist_key(camera, hour);
        assert!(SEGMENT.starts_with(&hour_prefix(camera, hour)));
        assert!(*playlist < *SEGMENT && *SEGMENT < *after_hour(camera, hour));
        assert!(after_hour(camera, hour) < hour_playlist_key(camera, hour.next()));
        assert_eq!((hour_of(camera, SEGMENT), hour_of(camera, &playlist)), (Some(hour), Some(hour)));
        for key in [
            "front-door/live.m3u8",
            "front-door/2026-11-23/041",
            "front/2026-11-23/04.m3u8",
            "front-door/2026-11-é",
        ] {
            assert_eq!(hour_of(camera, key), None, "{key}");
        }
    }

    #[test]
    fn a_listing_from_a_window_on_starts_with_its_segments() {
        let segment: SegmentKey = SEGMENT.parse().unwrap();
        let from = segments_from(&segment.camera, segment.window);
        assert!(*SEGMENT > *from);
        let earlier = SegmentKey { window: "20261123T040500.000Z-1000".parse().unwrap(), ..segment.clone() };
        assert!(earlier.to_string() < from);
        assert!(from.starts_with(&segments_prefix(&segment.camera)));
        assert!(live_playlist_key(&segment.camera) > segment.to_string());
    }
}
