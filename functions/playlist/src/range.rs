//! Any range of time of a camera, as it is asked for, and as a playlist.

use std::{iter::successors, ops::RangeInclusive, time::Duration};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, ContentHash, Hour, MotionSpan, Timestamp, Window};
use teiten_host::{Asked, Refusal};

use crate::{
    hour::{Kind, Listed},
    hour_marks::placed,
    init_sections::InitSections,
    listing::{Listing, Stored},
    live::target_duration_seconds,
    motion::motion_of,
    sizes::Sizes,
};

/// The longest range that there are playlists of: 86 400 windows of a second.
pub const RANGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The most windows that a playlist of a range lists: those of a second that touch the longest one.
pub const RANGE_WINDOWS_MAX: usize = RANGE_MAX.as_secs() as usize + 1;

/// The longest range that there are files of.
pub const FILE_RANGE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// How many hours are asked at a time for what moved in them.
const HOURS_AT_A_TIME: usize = 8;

/// How much faster a time-lapse can be.
pub const LAPSE: RangeInclusive<u32> = 2..=3600;

/// Times from the first on and before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    from: Timestamp,
    to: Timestamp,
}

impl TimeRange {
    /// `None` unless `from` is before `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// What a request wants: `from` and `to` in its query (RFC 3339), no more than `length_max` apart ([`RANGE_MAX`],
    /// [`FILE_RANGE_MAX`]).
    pub fn asked_for(asked: &Asked, length_max: Duration) -> Result<Self, Refusal> {
        let time = |name: &str| {
            let text = asked.value(name)?.ok_or_else(|| {
                Refusal::bad_request(format!(
                    "{name} is missing: give a time such as {name}=2026-11-23T04:00:00Z"
                ))
            })?;
            // The plus of an offset that was not escaped arrives as a space.
            Timestamp::from_rfc3339(&text.replace(' ', "+")).ok_or_else(|| {
                let text: String = text.chars().take(40).collect();
                Refusal::bad_request(format!(
                    "{name}={text:?} is no time: give one such as 2026-11-23T04:00:00Z or 2026-11-23T05:00:00+01:00"
                ))
            })
        };
        let (from, to) = (time("from")?, time("to")?);
        let range = Self::new(from, to).ok_or_else(|| Refusal::bad_request("from is not before to"))?;
        if range.length() > length_max {
            let most = length_max.as_secs() / 3600;
            return Err(Refusal::bad_request(format!("more than {most} hours: ask for several ranges")));
        }
        Ok(range)
    }

    /// Its first instant.
    pub fn from(self) -> Timestamp {
        self.from
    }

    /// The first instant after it.
    pub fn to(self) -> Timestamp {
        self.to
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        self.to.since(self.from)
    }

    /// Whether some of `window` is in it.
    pub fn touches(self, window: Window) -> bool {
        window.start() < self.to && self.from < window.end()
    }
}

/// How much faster than life a file shall be, if it shall: `lapse` in a request's query.
pub fn asked_lapse(asked: &Asked) -> Result<Option<u32>, Refusal> {
    let Some(text) = asked.value("lapse")? else { return Ok(None) };
    let lapse = text.parse().ok().filter(|lapse| LAPSE.contains(lapse));
    lapse.map(Some).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        let (least, most) = (LAPSE.start(), LAPSE.end());
        Refusal::bad_request(format!("lapse={text:?} is none: give a whole number from {least} to {most}"))
    })
}

/// The camera whose name is asked for, with this extension.
pub fn asked_camera(asked: &Asked, extension: &str) -> Result<CameraId, Refusal> {
    let name = asked.name();
    name.strip_suffix(extension)
        .ok_or_else(|| Refusal::not_found(format!("ask for /<camera>{extension}?from=…&to=…")))?
        .parse()
        .map_err(|error: teiten_footage::camera::CameraIdError| Refusal::not_found(error.to_string()))
}

/// When something moved in `range`, as far as it is written down: a request for each hour, several at a time. What goes on over
/// the turn of an hour is two spans.
pub async fn moved_in(
    media: &dyn Bucket,
    camera: &CameraId,
    range: TimeRange,
    now: Timestamp,
) -> Result<Vec<MotionSpan>, BucketError> {
    let hours = successors(Some(Hour::containing(range.from)), |hour| Some(hour.next()));
    let hours = hours.take_while(|hour| hour.start() < range.to);
    let hours: Vec<_> = hours.map(|hour| motion_of(media, camera, hour, now)).collect();
    let moved: Vec<_> = stream::iter(hours).buffered(HOURS_AT_A_TIME).try_collect().await?;
    let mut spans: Vec<MotionSpan> = moved.into_iter().flatten().flatten().collect();
    spans.retain(|span| span.start < range.to && span.end.is_none_or(|end| range.from < end));
    Ok(spans)
}

/// Which playlist of a range is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeForm {
    /// The playlist of its segments.
    Whole,
    /// That of its keyframes alone.
    Keyframes,
    /// The one that names both.
    Variants,
}

impl RangeForm {
    /// What follows the camera in the names of such playlists.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Whole => ".m3u8",
            Self::Keyframes => ".iframes.m3u8",
            Self::Variants => ".master.m3u8",
        }
    }

    /// By the name that is asked for.
    pub fn of(name: &str) -> Self {
        let longer = [Self::Keyframes, Self::Variants];
        longer.into_iter().find(|form| name.ends_with(form.extension())).unwrap_or(Self::Whole)
    }
}

/// What a VOD playlist of a range has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendition<'a> {
    /// Its segments, with marks of these spans.
    Whole(&'a [MotionSpan]),
    /// Its keyframes alone.
    Keyframes,
}

/// Whether some of it is in packs and some is not: then a playlist names init sections in objects of their own by ranges.
pub fn is_mixed(stored: &[Stored]) -> bool {
    let is_packed = |item: &Stored| item.listing.is_packed();
    stored.iter().any(is_packed) && !stored.iter().all(is_packed)
}

/// The target duration of playlists of what is `stored`.
pub fn target_duration(stored: &[Stored]) -> Duration {
    let longest = stored.iter().map(|item| item.listing.window.length()).max().unwrap_or_default();
    Duration::from_secs(target_duration_seconds(longest))
}

/// A VOD playlist of what is `stored`, with the URIs that `init` and `segment` give. `inits` are its init sections, for keyframes
/// or if it [`is_mixed`].
pub fn vod(
    stored: &[Stored],
    inits: &InitSections,
    rendition: Rendition<'_>,
    init: impl Fn(ContentHash) -> String,
    segment: impl Fn(&Listing) -> String,
) -> String {
    let (sizes, listings) = (Sizes::of(stored, inits), stored.iter().map(|item| item.listing));
    let listings: &[Listing] = &listings.collect::<Vec<_>>();
    let target_duration_seconds = target_duration(stored).as_secs();
    let listed = Listed { kind: Kind::Vod, target_duration_seconds, listings, sizes: &sizes, init, segment };
    match rendition {
        Rendition::Whole(spans) => listed.segments(&placed(listings, spans)),
        Rendition::Keyframes => listed.keyframes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: &str, to: &str) -> Result<TimeRange, String> {
        TimeRange::asked_for(&Asked::of("", &[("from", from), ("to", to)]), RANGE_MAX)
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_range_is_two_times_in_their_order_and_not_too_long() {
        let range = asked("2026-11-23T04:00:00Z", "2026-11-23T06:00:00 01:00").unwrap();
        assert_eq!(range.to().since(range.from()), Duration::from_secs(3600));
        for (from, to, named) in [
            ("yesterday", "2026-11-23T04:00:00Z", "from=\"yesterday\""),
            ("2026-11-23T04:00:00Z", "2026-11-23T04:00:00Z", "before"),
            ("2026-11-23T04:00:00Z", "2026-11-24T04:00:01Z", "24 hours"),
        ] {
            let refusal = asked(from, to).unwrap_err();
            assert!(refusal.starts_with("400") && refusal.contains(named), "{refusal}");
        }
        let nothing = Asked::of("/a/Gate.m3u8", &[]);
        assert!(
            TimeRange::asked_for(&nothing, RANGE_MAX).unwrap_err().to_string().contains("from is missing")
        );
        assert!(asked_camera(&nothing, ".m3u8").unwrap_err().to_string().contains("\"Gate\""));
        assert!(asked_camera(&nothing, ".mp4").unwrap_err().to_string().contains("<camera>.mp4"));
    }
}
