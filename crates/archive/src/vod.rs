//! Any range of time of a camera, as a playlist.

use std::{iter::successors, time::Duration};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{
    CameraId, ContentHash, Hour, MotionSpan, TimeRange, Timestamp, limits::target_duration_seconds,
};

use crate::{
    hour::{Kind, Listed, marks::placed},
    init_sections::InitSections,
    listing::{Listing, Stored},
    motion::motion_of,
    sizes::Sizes,
};

/// How many hours are asked at a time for what moved in them.
const HOURS_AT_A_TIME: usize = 8;

/// When something moved in `range`, as far as it is written down: a request for each hour, several at a time. What goes on over
/// the turn of an hour is two spans.
pub async fn moved_in(
    media: &dyn Bucket,
    camera: &CameraId,
    range: TimeRange,
    now: Timestamp,
) -> Result<Vec<MotionSpan>, BucketError> {
    let hours = successors(Some(Hour::containing(range.from())), |hour| Some(hour.next()));
    let hours = hours.take_while(|hour| hour.start() < range.to());
    let hours: Vec<_> = hours.map(|hour| motion_of(media, camera, hour, now)).collect();
    let moved: Vec<_> = stream::iter(hours).buffered(HOURS_AT_A_TIME).try_collect().await?;
    let mut spans: Vec<MotionSpan> = moved.into_iter().flatten().flatten().collect();
    spans.retain(|span| span.start < range.to() && span.end.is_none_or(|end| range.from() < end));
    Ok(spans)
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
