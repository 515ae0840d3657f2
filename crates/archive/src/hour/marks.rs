//! Marks of motion in the playlist of an hour (EXT-X-DATERANGE, draft-pantos-hls-rfc8216bis §4.4.5.1).
//!
//! While the hour lasts they are appended as segments are: a span that may go on has its START-DATE, and gets its END-DATE
//! by another tag of the same ID in a later version. What was said of a span is never changed, though footage that comes
//! late may show that it was longer. A version of an hour that was ended before tells all anew, where each span begins.

use teiten_footage::{MotionSource, MotionSpan, Timestamp};

use crate::listing::Listing;

/// Tags in their order: how many listings stand before each, and what it says.
pub(crate) type Marks = Vec<(usize, MotionSpan)>;

/// Those of `spans` that are about what is listed, each where it begins.
pub(crate) fn placed(listings: &[Listing], spans: &[MotionSpan]) -> Marks {
    let place =
        |span: &MotionSpan| (listings.partition_point(|listing| listing.window.end() <= span.start), *span);
    about(listings, spans).map(place).collect()
}

/// `marks` of a playlist that lists `listed` and, after all that, what is to be added: so that `listings` can take its place.
pub(crate) fn appended(mut marks: Marks, listed: usize, listings: &[Listing], spans: &[MotionSpan]) -> Marks {
    let mut given = ranges(&marks);
    for span in about(listings, spans) {
        let mut is_new = true;
        for known in given.iter_mut().filter(|known| touch(known, span)) {
            is_new = false;
            if known.end.is_none() && span.end.is_some() {
                // It is no longer open to those after it.
                (known.end, known.peak) = (span.end, span.peak);
                marks.push((listed, *known));
            }
        }
        if is_new {
            given.push(*span);
            marks.push((listed, *span));
        }
    }
    marks
}

/// What is said of each span, by whichever number of tags.
pub(crate) fn ranges(marks: &Marks) -> Vec<MotionSpan> {
    let mut spans: Vec<MotionSpan> = Vec::new();
    for (_, span) in marks {
        match spans.iter_mut().find(|known| (known.source, known.start) == (span.source, span.start)) {
            Some(known) if span.end.is_some() => *known = *span,
            Some(_) => {}
            None => spans.push(*span),
        }
    }
    spans.sort_by_key(|span: &MotionSpan| (span.start, span.source));
    spans
}

fn about<'a>(
    listings: &[Listing],
    spans: &'a [MotionSpan],
) -> impl Iterator<Item = &'a MotionSpan> + use<'a> {
    let first = listings.first().map_or(Timestamp::MAX, |listing| listing.window.start());
    let until = listings.last().map_or(Timestamp::default(), |listing| listing.window.end());
    spans.iter().filter(move |span| span.start < until && span.end.is_none_or(|end| first < end))
}

/// Whether both are of one thing, or would seem to be at the same time.
fn touch(one: &MotionSpan, other: &MotionSpan) -> bool {
    let end = |span: &MotionSpan| span.end.unwrap_or(Timestamp::MAX);
    let overlap = one.start < end(other) && other.start < end(one);
    one.source == other.source && (overlap || one.start == other.start)
}

/// Reads the attributes of a tag of ours; `None` if it is not.
pub(crate) fn read_range(attributes: &str) -> Option<MotionSpan> {
    let attributes = crate::moves::attributes(attributes)?;
    let get = |name: &str| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let time = |text: &str| Timestamp::from_rfc3339(text);
    let source: MotionSource = get("CLASS")?.strip_prefix("teiten.motion.")?.parse().ok()?;
    let end = match get("END-DATE") {
        Some(end) => Some(time(end)?),
        None => None,
    };
    let peak = get("X-TEITEN-PEAK").and_then(|peak| peak.parse().ok());
    let span = MotionSpan { source, start: time(get("START-DATE")?)?, end, peak };
    (get("ID")? == span.id()).then_some(span)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use teiten_footage::{ContentHash, Pictures, Window, WindowLength};

    use super::*;
    use crate::listing::Place;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_millis(1_795_435_200_000) + Duration::from_secs(second)
    }

    fn listings(seconds: std::ops::Range<u64>) -> Vec<Listing> {
        let hash = ContentHash::of(b"");
        let place = Place::Segment(Pictures { frames: hash, keyframe_bytes: 1 });
        let window = |second| Window::containing(at(second), WindowLength::DEFAULT);
        seconds.map(|second| Listing { window: window(second), init: hash, place }).collect()
    }

    fn span(start: u64, end: Option<u64>) -> MotionSpan {
        let peak = end.map(|_| 9);
        MotionSpan { source: MotionSource::Picture, start: at(start), end: end.map(at), peak }
    }

    #[test]
    fn an_open_span_ends_once_and_what_begins_after_it_is_a_span_of_its_own() {
        let before = placed(&listings(60..120), &[span(118, None)]);
        let spans = [span(118, Some(124)), span(140, Some(145)), span(170, None)];
        let marks = appended(before, 60, &listings(60..180), &spans);
        assert_eq!(marks[1..], spans.map(|span| (60, span)));
        assert_eq!(appended(marks.clone(), 120, &listings(60..180), &spans), marks);
    }

    #[test]
    fn what_moved_while_something_is_listed_stands_where_it_begins() {
        let spans = [(50, 60), (55, 61), (90, 92), (120, 130)].map(|(start, end)| span(start, Some(end)));
        assert_eq!(placed(&listings(60..120), &spans), [(0, spans[1]), (30, spans[2])]);
        assert_eq!(placed(&[], &spans), []);
    }

    #[test]
    fn what_would_seem_to_be_at_the_same_time_is_not_added_and_what_adjoins_is() {
        let marks = placed(&listings(60..180), &[span(118, Some(124))]);
        let added = |(start, end)| {
            appended(marks.clone(), 120, &listings(60..180), &[span(start, Some(end))]).len() - marks.len()
        };
        assert_eq!([(110, 118), (124, 130)].map(added), [1, 1]);
        assert_eq!([(110, 119), (118, 140), (119, 121), (123, 130)].map(added), [0; 4]);
    }
}
