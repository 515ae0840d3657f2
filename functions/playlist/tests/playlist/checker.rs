//! A referee of playlists: what draft-pantos-hls-rfc8216bis demands of one version (§4.4, §6.2.1) and of two
//! versions that follow each other (§4.4.3.5, §6.2.2), as far as Teiten's playlists go. It reads playlists by itself and
//! shares nothing with what writes them.

use std::collections::BTreeMap;

macro_rules! demand {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

/// What may become of a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may lose segments at its front (no EXT-X-PLAYLIST-TYPE).
    Live,
    /// It may only grow.
    Event,
    /// It may not change.
    Vod,
}

/// One version of a playlist, as a player reads it.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) kind: Kind,
    pub(crate) ended: bool,
    pub(crate) target_duration_seconds: u64,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) ranges: Vec<DateRange>,
    /// Whether it lists I-frames and nothing else (§4.4.3.6).
    pub(crate) keyframes_only: bool,
}

/// One EXT-X-DATERANGE tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DateRange {
    /// How many segments stand before it.
    pub(crate) position: usize,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl DateRange {
    fn read(position: usize, mut text: &str) -> Result<Self, String> {
        let mut attributes = BTreeMap::new();
        loop {
            let (name, rest) = text.split_once('=').ok_or("an attribute without a value")?;
            let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
            demand!(!name.is_empty() && name.bytes().all(is_name), "{name:?} is no attribute's name");
            let quoted = rest.starts_with('"');
            let end = if quoted { rest[1..].find('"').map(|end| end + 2) } else { rest.find(',') };
            let (value, rest) = rest.split_at(end.unwrap_or(rest.len()));
            let strings = ["ID", "CLASS", "START-DATE", "END-DATE"];
            demand!(quoted == strings.contains(&name), "{name} is quoted, or is not");
            demand!(
                strings.contains(&name) || name.starts_with("X-"),
                "{name} is no attribute that is to be here"
            );
            let twice = attributes.insert(name.to_owned(), value.trim_matches('"').to_owned()).is_some();
            demand!(!twice, "{name} is there twice");
            if rest.is_empty() {
                break;
            }
            text = rest.strip_prefix(',').ok_or("no comma between attributes")?;
        }
        let range = Self { position, attributes };
        demand!(range.get("ID").is_some(), "a date range without ID");
        let start = unix_millis(range.get("START-DATE").ok_or("a date range without START-DATE")?)?;
        if let Some(end) = range.end_unix_millis()? {
            demand!(start <= end, "a date range ends before it starts");
        }
        Ok(range)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    fn end_unix_millis(&self) -> Result<Option<u64>, String> {
        self.get("END-DATE").map(unix_millis).transpose()
    }

    /// No attribute of an ID ever changes (§4.4.5.1).
    fn check_same(&self, other: &Self) -> Result<(), String> {
        if self.get("ID") == other.get("ID") {
            for (name, value) in &self.attributes {
                let same = other.get(name).is_none_or(|other| other == value);
                demand!(same, "{name} of {:?} changes: {other:?}", self.attributes);
            }
        }
        Ok(())
    }
}

/// One segment, with what applies to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) uri: String,
    pub(crate) map: String,
    /// Its size, if it is told: then it is the start of what the URI names.
    pub(crate) map_bytes: Option<u64>,
    pub(crate) duration_millis: u64,
    pub(crate) date_unix_millis: u64,
    pub(crate) gap: bool,
    pub(crate) discontinuity: bool,
    /// Size and offset of its part of what the URI names (§4.4.4.2), if it is a part.
    pub(crate) bytes: Option<(u64, u64)>,
}

const GAPS_IN_A_ROW_MAX: usize = 3;

impl Version {
    /// Reads a playlist, and checks what one version has to fulfil by itself.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        demand!(lines.next() == Some("#EXTM3U"), "no #EXTM3U");
        demand!(text.ends_with('\n'), "the last line is not ended");
        let (mut version, mut target, mut sequence, mut discontinuities) = (None, None, None, None);
        let (mut map, mut duration, mut date) = (None, None, None);
        let (mut gap, mut discontinuity, mut independent) = (false, false, false);
        let (mut kind, mut ended, mut keyframes_only, mut bytes) = (None, None, false, None);
        let (mut segments, mut ranges) = (Vec::new(), Vec::new());
        for line in lines {
            demand!(ended.is_none(), "{line:?} follows the end");
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-VERSION" => once(&mut version, integer(value)?)?,
                "#EXT-X-TARGETDURATION" => once(&mut target, integer(value)?)?,
                "#EXT-X-MEDIA-SEQUENCE" | "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                    demand!(segments.is_empty() && !discontinuity, "{tag} after a segment or discontinuity");
                    let which = if tag.contains("MEDIA") { &mut sequence } else { &mut discontinuities };
                    once(which, integer(value)?)?;
                }
                "#EXT-X-INDEPENDENT-SEGMENTS" => independent = true,
                "#EXT-X-PLAYLIST-TYPE" => {
                    let value = match value {
                        "EVENT" => Kind::Event,
                        "VOD" => Kind::Vod,
                        _ => return Err(format!("{value:?} is no type of playlist")),
                    };
                    once(&mut kind, value)?;
                }
                "#EXT-X-I-FRAMES-ONLY" => keyframes_only = true,
                "#EXT-X-BYTERANGE" => {
                    let (size, offset) = value.split_once('@').ok_or("a range whose start is not told")?;
                    once(&mut bytes, (integer(size)?, integer(offset)?))?;
                }
                "#EXT-X-ENDLIST" => once(&mut ended, true)?,
                "#EXT-X-MAP" => {
                    let rest = value.strip_prefix("URI=\"").ok_or("EXT-X-MAP without URI")?;
                    let (uri, range) = rest.split_once('"').ok_or("a URI without an end")?;
                    let size =
                        range.strip_prefix(",BYTERANGE=\"").and_then(|range| range.strip_suffix("@0\""));
                    demand!(range.is_empty() || size.is_some(), "{range:?} is no range of an init section");
                    map = Some((uri.to_owned(), size.map(integer).transpose()?));
                }
                "#EXT-X-PROGRAM-DATE-TIME" => date = Some(unix_millis(value)?),
                "#EXT-X-DATERANGE" => ranges.push(DateRange::read(segments.len(), value)?),
                // Not of HLS: players pass them over.
                "#EXT-X-TEITEN-PICTURE" | "#EXT-X-TEITEN-SENSOR" => {}
                "#EXT-X-DISCONTINUITY" => discontinuity = true,
                "#EXT-X-GAP" => gap = true,
                "#EXTINF" => duration = Some(millis(value.strip_suffix(',').ok_or("EXTINF without comma")?)?),
                uri if !uri.is_empty() && !uri.starts_with('#') => {
                    let (map, map_bytes) = map.clone().ok_or("a segment before EXT-X-MAP")?;
                    segments.push(Segment {
                        uri: line.to_owned(),
                        map,
                        map_bytes,
                        duration_millis: duration.take().ok_or("a segment without EXTINF")?,
                        date_unix_millis: date.take().ok_or("a segment without a date")?,
                        gap: std::mem::take(&mut gap),
                        discontinuity: std::mem::take(&mut discontinuity),
                        bytes: bytes.take(),
                    });
                }
                _ => return Err(format!("{line:?} has no place in a playlist")),
            }
        }
        demand!(independent != keyframes_only, "EXT-X-INDEPENDENT-SEGMENTS and I-frames do not go together");
        demand!(
            !keyframes_only
                || segments.iter().all(|segment: &Segment| segment.bytes.is_some_and(|(size, _)| size > 0)),
            "an I-frame without its range"
        );
        demand!(
            duration.is_none() && date.is_none() && !gap && !discontinuity,
            "tags after the last segment"
        );
        demand!(version >= Some(8) || !segments.iter().any(|s: &Segment| s.gap), "EXT-X-GAP needs version 8");
        demand!(version >= Some(6), "EXT-X-MAP needs version 6");
        let kind = kind.unwrap_or(Kind::Live);
        let version = Self {
            kind,
            ended: ended.unwrap_or(false),
            target_duration_seconds: target.ok_or("no EXT-X-TARGETDURATION")?,
            media_sequence: sequence.ok_or("no EXT-X-MEDIA-SEQUENCE")?,
            // Where segments can vanish, it has to be said how many discontinuities did.
            discontinuity_sequence: match kind {
                Kind::Live => discontinuities.ok_or("no EXT-X-DISCONTINUITY-SEQUENCE")?,
                Kind::Event | Kind::Vod => discontinuities.unwrap_or(0),
            },
            segments,
            ranges,
            keyframes_only,
        };
        version.check()?;
        Ok(version)
    }

    /// The media sequence number after the last segment's.
    pub(crate) fn end(&self) -> u64 {
        self.media_sequence + self.segments.len() as u64
    }

    /// Segments with their media sequence numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, &Segment)> {
        (self.media_sequence..).zip(&self.segments)
    }

    fn check(&self) -> Result<(), String> {
        demand!(!self.segments.is_empty(), "no segment");
        for segment in &self.segments {
            let rounded = (segment.duration_millis + 500) / 1000;
            demand!(rounded <= self.target_duration_seconds, "{} is longer than the target", segment.uri);
        }
        for pair in self.segments.windows(2) {
            let [one, next] = pair else { unreachable!("windows of two") };
            let end = one.date_unix_millis + one.duration_millis;
            let joined = end == next.date_unix_millis;
            // A live playlist has a line for every window; an archive leaves out what is not there.
            let follows = joined || self.kind != Kind::Live && end < next.date_unix_millis;
            demand!(follows, "{} does not follow {} in time", next.uri, one.uri);
            // Where time stamps jump or the format changes (§4.4.4.3).
            let changed = one.map != next.map || !joined;
            demand!(changed == next.discontinuity, "{}: discontinuity, time and map disagree", next.uri);
        }
        demand!(
            self.ended || self.kind != Kind::Vod,
            "a VOD playlist without an end would never be loaded again"
        );
        for (index, range) in self.ranges.iter().enumerate() {
            self.ranges[..index].iter().try_for_each(|other| range.check_same(other))?;
        }
        // ffmpeg 5.1 takes a range's end along to the next request, and waits for it there.
        let ranged = |segment: &Segment| [segment.bytes.is_some(), segment.map_bytes.is_some()];
        let ranged: Vec<bool> = self.segments.iter().flat_map(ranged).collect();
        demand!(!ranged.contains(&true) || !ranged.contains(&false), "ranges and whole objects are mixed");
        let gaps = self.segments.split(|segment| !segment.gap).map(<[Segment]>::len).max();
        demand!(gaps <= Some(GAPS_IN_A_ROW_MAX), "more than {GAPS_IN_A_ROW_MAX} gaps in a row");
        Ok(())
    }

    /// Checks that a player which has seen `self` can go on with `next`.
    pub(crate) fn check_successor(&self, next: &Self) -> Result<(), String> {
        if self.ended {
            // No player asks again: whatever comes is a new playlist to those who come.
            demand!(next.ended, "a playlist has ended, and goes on");
            return Ok(());
        }
        self.check_ranges(next)?;
        let (from, to) = (self.kind, next.kind);
        let is_grown_up = from == Kind::Event && to == Kind::Vod && next.ended;
        demand!(from == to || is_grown_up, "the type changed from {from:?} to {to:?}");
        if from == Kind::Event {
            let kept = next.media_sequence == self.media_sequence;
            demand!(kept, "an EVENT playlist lost segments at its front");
        }
        demand!(next.target_duration_seconds == self.target_duration_seconds, "the target duration changed");
        demand!(next.media_sequence >= self.media_sequence, "the media sequence number went back");
        demand!(next.end() >= self.end(), "segments were removed from the end");
        for ((number, old), old_discontinuities) in self.numbered().zip(self.discontinuity_numbers()) {
            let same =
                next.numbered().zip(next.discontinuity_numbers()).find(|((other, _), _)| *other == number);
            if let Some(((_, new), new_discontinuities)) = same {
                demand!(old == new, "segment {number} changed: {old:?} became {new:?}");
                demand!(
                    old_discontinuities == new_discontinuities,
                    "the discontinuity sequence number of segment {number} changed"
                );
            }
        }
        let last = self.segments.last().ok_or("no segment")?;
        let first = next.segments.first().ok_or("no segment")?;
        let passed = next.media_sequence.saturating_sub(self.end());
        if next.media_sequence >= self.end() {
            // Between the two, segments can have come and gone unseen, and discontinuities with them.
            let number_of_last = self.discontinuity_numbers().last().ok_or("no segment")?;
            let number_of_first = next.discontinuity_numbers().next().ok_or("no segment")?;
            let changed = u64::from(last.map != first.map);
            let told = number_of_first >= number_of_last + changed;
            demand!(told, "the map changes over a jump, and the discontinuity sequence number does not tell");
            let exact = passed > 0 || number_of_first == number_of_last + changed;
            demand!(exact, "the discontinuity sequence number grows without a discontinuity");
            let elapsed = last.duration_millis * (passed + 1);
            demand!(last.date_unix_millis + elapsed == first.date_unix_millis, "numbers and dates disagree");
        }
        if next.media_sequence > self.media_sequence {
            let left: u64 = next.segments.iter().map(|segment| segment.duration_millis).sum();
            demand!(left >= 3000 * self.target_duration_seconds, "only {left} ms are left after a removal");
        }
        Ok(())
    }

    /// Date ranges: none changes; one leaves with the footage that it is about; where nothing may be removed, none is, and
    /// new ones come after what was there.
    fn check_ranges(&self, next: &Self) -> Result<(), String> {
        for range in &self.ranges {
            next.ranges.iter().try_for_each(|new| range.check_same(new))?;
            let kept = next.ranges.iter().any(|new| new.get("ID") == range.get("ID"));
            let first = next.segments.first().map(|segment| segment.date_unix_millis);
            let ended = self.ranges.iter().filter(|other| other.get("ID") == range.get("ID"));
            let ends: Vec<u64> = ended.filter_map(|range| range.end_unix_millis().ok().flatten()).collect();
            let jumped = next.media_sequence >= self.end();
            let has_left = ends.iter().any(|end| Some(*end) <= first) || jumped;
            demand!(kept || has_left, "{range:?} was removed");
        }
        if self.kind == Kind::Event {
            demand!(next.ranges.starts_with(&self.ranges), "date ranges were changed in an EVENT playlist");
            let new = next.ranges.iter().skip(self.ranges.len());
            let appended = new.into_iter().all(|range| range.position >= self.segments.len());
            demand!(appended, "a date range was put in where players have read on");
        }
        Ok(())
    }

    /// The discontinuity sequence number of each segment (§4.4.3.3).
    fn discontinuity_numbers(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().scan(self.discontinuity_sequence, |number, segment| {
            *number += u64::from(segment.discontinuity);
            Some(*number)
        })
    }
}

/// The URIs of a multivariant playlist (§4.4.6): of the footage, and of its I-frames, if they are named.
pub(crate) fn read_variants(text: &str) -> Result<(String, Option<String>), String> {
    let mut lines = text.lines();
    for expected in ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"] {
        demand!(lines.next() == Some(expected), "no {expected}");
    }
    let stream = lines.next().and_then(|line| line.strip_prefix("#EXT-X-STREAM-INF:")).ok_or("no stream")?;
    let uri = lines.next().filter(|line| !line.starts_with('#')).ok_or("a stream without URI")?;
    let rate = bit_rate(stream)?;
    let keyframes = match lines.next() {
        None => None,
        Some(line) => {
            let keyframes = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:").ok_or("no I-frames")?;
            demand!(bit_rate(keyframes)? <= rate, "I-frames take more than all frames");
            let (_, rest) = keyframes.split_once("URI=\"").ok_or("I-frames without URI")?;
            Some(rest.trim_end_matches('"').to_owned())
        }
    };
    demand!(lines.next().is_none(), "more than one stream and its I-frames");
    Ok((uri.to_owned(), keyframes))
}

/// BANDWIDTH, which AVERAGE-BANDWIDTH, if it is there, does not exceed.
fn bit_rate(attributes: &str) -> Result<u64, String> {
    let rate = |name: &str| {
        let value =
            attributes.split(',').find_map(|attribute| attribute.strip_prefix(name)?.strip_prefix('='));
        value.map(integer).transpose()
    };
    let peak = rate("BANDWIDTH")?.ok_or("no BANDWIDTH")?;
    let average = rate("AVERAGE-BANDWIDTH")?.unwrap_or(peak);
    demand!(0 < average && average <= peak, "{average} bits a second on average, {peak} at most");
    Ok(peak)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    demand!(place.is_none(), "a tag is there twice");
    *place = Some(value);
    Ok(())
}

fn integer(text: &str) -> Result<u64, String> {
    demand!(text.bytes().all(|byte| byte.is_ascii_digit()), "{text:?} is no decimal integer");
    text.parse().map_err(|_| format!("{text:?} is no decimal integer"))
}

/// `1.500` in milliseconds.
fn millis(seconds: &str) -> Result<u64, String> {
    let (whole, fraction) = seconds.split_once('.').ok_or("no decimal point")?;
    demand!(fraction.len() == 3, "{seconds:?} is not to the millisecond");
    Ok(integer(whole)? * 1000 + integer(fraction)?)
}

/// `2026-11-23T04:05:01.000Z` in milliseconds since the Unix epoch.
fn unix_millis(date: &str) -> Result<u64, String> {
    let field =
        |range| date.get(range).ok_or("a short date").and_then(|text| integer(text).map_err(|_| "no number"));
    let separators = [4, 7, 10, 13, 16, 19, 23].map(|index| date.as_bytes().get(index).copied());
    demand!(separators == *b"--T::.Z".map(Some).as_slice() && date.len() == 24, "{date:?} is no date");
    let (year, month, day) = (field(0..4)?, field(5..7)?, field(8..10)?);
    // Days from the civil calendar, in years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + field(11..13)? * 3600 + field(14..16)? * 60 + field(17..19)?;
    Ok(seconds * 1000 + field(20..23)?)
}

const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:8
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"a.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2024-02-29T23:59:59.000Z
#EXTINF:1.000,
7.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:00.000Z
#EXT-X-GAP
#EXTINF:1.000,
8.gap
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"b.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:01.000Z
#EXTINF:1.000,
9.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:02.000Z
#EXTINF:1.000,
10.m4s
";

#[test]
fn the_checker_reads_what_a_player_reads() {
    let version = Version::read(GOOD).unwrap();
    assert_eq!(version.end(), 11);
    assert_eq!(version.segments[0].date_unix_millis, 1_709_251_199_000);
    assert_eq!(
        version.segments.iter().map(|segment| segment.gap).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    assert_eq!(version.discontinuity_numbers().collect::<Vec<_>>(), [2, 2, 3, 3]);
    assert_eq!(version.segments[2].map, "b.mp4");
}

/// An hour that lasts, with a hole and another init section.
const EVENT: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:60
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"a.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:00.000Z
#EXTINF:1.000,
0.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:30:00.000Z
#EXTINF:1.000,
1800.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"b.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:30:01.000Z
#EXTINF:1.000,
1801.m4s
";

#[test]
fn the_checker_knows_what_may_become_of_an_hour() {
    let event = Version::read(EVENT).unwrap();
    let edited = |edits: &[(&str, &str)]| {
        let text = edits.iter().fold(EVENT.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        Version::read(&text)
    };
    let more = "#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:30:02.000Z\n#EXTINF:1.000,\n1802.m4s\n";
    let (more, end) = (format!("1801.m4s\n{more}"), "1801.m4s\n#EXT-X-ENDLIST\n");
    let grown = edited(&[("1801.m4s\n", &more)]).unwrap();
    let ended = edited(&[("EVENT", "VOD"), ("1801.m4s\n", end)]).unwrap();
    assert_eq!((grown.kind, grown.ended, ended.kind, ended.ended), (Kind::Event, false, Kind::Vod, true));
    assert_eq!((event.check_successor(&grown), event.check_successor(&ended)), (Ok(()), Ok(())));
    assert!(grown.check_successor(&event).is_err());
    assert!(ended.check_successor(&event).is_err());
    assert!(ended.check_successor(&ended).is_ok());
    let front =
        "#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:00.000Z\n#EXTINF:1.000,\n0.m4s\n#EXT-X-DISCONTINUITY\n";
    for edits in [
        [(front, ""), ("SEQUENCE:0", "SEQUENCE:1")],
        [("1800.m4s", "x.m4s"), ("#", "#")],
        [("#EXT-X-PLAYLIST-TYPE:EVENT\n", "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), ("#", "#")],
        [("DURATION:60", "DURATION:1"), ("#", "#")],
    ] {
        let wrong = edited(&edits).map(|version| event.check_successor(&version));
        assert!(!matches!(wrong, Ok(Ok(()))), "{edits:?}");
    }
    for (from, to) in [
        ("EVENT", "VOD"),
        ("VERSION:6", "VERSION:5"),
        ("#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM", "#EXT-X-PROGRAM"),
        ("T00:30:01", "T00:29:01"),
        ("1801.m4s\n", "1801.m4s\n#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n"),
    ] {
        assert!(edited(&[(from, to)]).is_err(), "{from} -> {to}");
    }
}

#[test]
fn the_checker_refuses_versions_that_are_wrong_by_themselves() {
    for (from, to) in [
        ("EXTINF:1.000,\n9", "EXTINF:1.500,\n9"),
        ("03-01T00:00:02.000Z", "03-01T00:00:03.000Z"),
        ("#EXT-X-DISCONTINUITY\n", ""),
        ("VERSION:8", "VERSION:7"),
        ("9.m4s", "9.m4s\n#EXT-X-ENDLIST"),
        ("10.m4s", "10.m4s\n#EXT-X-SURPRISE"),
        ("#EXT-X-MAP:URI=\"a.mp4\"\n", ""),
    ] {
        assert!(Version::read(&GOOD.replacen(from, to, 1)).is_err(), "{from} -> {to}");
    }
}

#[test]
fn the_checker_refuses_date_ranges_that_change_or_vanish() {
    let range = |attributes: &str| format!("#EXT-X-DATERANGE:ID=\"a\",{attributes}\n");
    let with = |ranges: &str| {
        Version::read(&GOOD.replacen("#EXTINF:1.000,\n9", &format!("{ranges}#EXTINF:1.000,\n9"), 1))
    };
    let (start, end) = ("START-DATE=\"2024-02-29T23:59:59.000Z\"", "END-DATE=\"2024-03-01T00:00:00.500Z\"");
    let lasting = with(&range(start)).unwrap();
    let ended = with(&[range(start), range(&format!("{start},{end},X-PEAK=3"))].concat()).unwrap();
    for wrong in [
        "CLASS=\"b\"".to_owned(),
        "START-DATE=2024-02-29T23:59:59.000Z".to_owned(),
        format!("{start},START-DATE=\"2024-02-29T23:59:59.000Z\""),
        format!("{start},END-DATE=\"2024-02-29T23:59:58.000Z\""),
        format!("{start},other=1"),
    ] {
        assert!(with(&range(&wrong)).is_err(), "{wrong}");
    }
    let other = range(start).replace(":59.000", ":58.000");
    assert!(with(&[range(start), other.clone()].concat()).is_err());
    assert_eq!(lasting.check_successor(&ended), Ok(()));
    assert!(lasting.check_successor(&with(&other).unwrap()).is_err());
    let mut without = ended.clone();
    without.ranges.clear();
    assert!(ended.check_successor(&without).is_err(), "it has not left");
    let event = |version: &Version| Version { kind: Kind::Event, ..version.clone() };
    assert!(event(&lasting).check_successor(&event(&ended)).is_err(), "not appended");
    let drop_front = |version: &mut Version| {
        version.media_sequence += 2;
        version.segments.drain(..2);
        version.target_duration_seconds = 1;
    };
    let mut longer = Version { segments: [ended.segments.clone(), ended.segments.clone()].concat(), ..ended };
    longer.segments[4..].iter_mut().for_each(|segment| segment.date_unix_millis += 4000);
    let mut left = longer.clone();
    drop_front(&mut left);
    left.ranges.clear();
    assert_eq!(longer.check_ranges(&left), Ok(()));
    longer.ranges.pop();
    assert!(longer.check_ranges(&left).is_err(), "nobody knows that it has ended");
}

#[test]
fn the_checker_refuses_successors_that_a_player_cannot_follow() {
    let good = Version::read(GOOD).unwrap();
    let edited = |edit: &dyn Fn(&mut Version)| {
        let mut version = good.clone();
        edit(&mut version);
        good.check_successor(&version)
    };
    let drop_front = |version: &mut Version, count: usize| {
        version.media_sequence += count as u64;
        version.segments.drain(..count);
    };
    assert_eq!(edited(&|_| {}), Ok(()));
    assert_eq!(edited(&|version| drop_front(version, 1)), Ok(()));
    assert!(edited(&|version| drop_front(version, 2)).is_err(), "too little is left");
    assert!(edited(&|version| version.media_sequence += 1).is_err());
    assert!(edited(&|version| version.media_sequence -= 1).is_err());
    assert!(edited(&|version| version.target_duration_seconds = 2).is_err());
    assert!(edited(&|version| version.discontinuity_sequence += 1).is_err());
    assert!(edited(&|version| version.segments[3].uri.push('x')).is_err());
    assert!(edited(&|version| version.segments.truncate(3)).is_err());
    let jump = |version: &mut Version| {
        version.media_sequence = 20;
        version.discontinuity_sequence = 3;
        version.segments.drain(..1);
        version.segments.iter_mut().for_each(|segment| {
            segment.date_unix_millis += 12_000;
            segment.map = "b.mp4".to_owned();
            segment.discontinuity = false;
        });
    };
    assert_eq!(edited(&jump), Ok(()));
    let jumped = |edit: &dyn Fn(&mut Version)| {
        edited(&|version| {
            jump(version);
            edit(version);
        })
    };
    assert!(jumped(&|version| version.discontinuity_sequence = 2).is_err());
    assert!(jumped(&|version| version.discontinuity_sequence = 4).is_ok());
    assert!(
        jumped(&|version| version.segments.iter_mut().for_each(|segment| segment.map.push('x'))).is_err()
    );
    assert!(jumped(&|version| version.media_sequence = 21).is_err());
    assert!(jumped(&|version| version.segments.truncate(2)).is_err());
}

#[test]
fn the_checker_knows_playlists_of_i_frames_and_what_names_them() {
    let keyframes = |edit: &dyn Fn(String) -> String| {
        let text = EVENT.replace("EVENT", "VOD").replace("INDEPENDENT-SEGMENTS", "I-FRAMES-ONLY")
            + "#EXT-X-ENDLIST\n";
        let text = text.replace("#EXTINF", "#EXT-X-BYTERANGE:100@0\n#EXTINF");
        let text = text.replace(".mp4\"", ".mp4\",BYTERANGE=\"9@0\"");
        Version::read(&edit(text))
    };
    let version = keyframes(&|text| text).unwrap();
    assert!(version.keyframes_only && version.segments.iter().all(|segment| segment.bytes == Some((100, 0))));
    for (from, to) in [
        ("#EXT-X-BYTERANGE:100@0\n", ""),
        ("100@0", "100"),
        ("100@0", "0@0"),
        (",BYTERANGE=\"9@0\"", ""),
        ("#EXT-X-I-FRAMES-ONLY\n", "#EXT-X-I-FRAMES-ONLY\n#EXT-X-INDEPENDENT-SEGMENTS\n"),
    ] {
        assert!(keyframes(&|text| text.replacen(from, to, 1)).is_err(), "{from} -> {to}");
    }
    let variants = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-STREAM-INF:BANDWIDTH=40,AVERAGE-BANDWIDTH=30\na.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=8,AVERAGE-BANDWIDTH=8,URI=\"b.m3u8\"\n";
    assert_eq!(read_variants(variants), Ok(("a.m3u8".to_owned(), Some("b.m3u8".to_owned()))));
    for (from, to) in [
        ("=30", "=50"),
        ("=8,", "=80,"),
        (",URI=\"b.m3u8\"", ""),
        ("a.m3u8\n", ""),
        ("BANDWIDTH=40", "RATE=40"),
    ] {
        assert!(read_variants(&variants.replacen(from, to, 1)).is_err(), "{from} -> {to}");
    }
}
