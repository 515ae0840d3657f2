//! What moves, in a live playlist: how it goes on from window to window, and how players read it (EXT-X-DATERANGE,
//! draft-pantos-hls-rfc8216bis §4.4.5.1).
//!
//! What has to be known of the past stands with each window while something moves (EXT-X-TEITEN-…, which players pass
//! over): when it began, until when it moved, how much. So whoever lists the next window knows how it goes on, and the same
//! comes of it whoever that is. What players read follows from it: a tag with START-DATE before the first window of a span,
//! and one of the same ID with END-DATE too before the first window after it. Both stay until their windows have left.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use teiten_footage::{MotionSource, MotionSpan, SegmentKey, SensorEvent, SensorState, Timestamp, Window};

use crate::{
    live::{Content, LivePlaylist},
    motion::hour::{QUIET_STEPS, STEP_MILLIS},
    moves::{Moves, Moving, turn},
};

/// Motion has ended when nothing moved for this long.
const QUIET: Duration = Duration::from_millis(QUIET_STEPS as u64 * STEP_MILLIS);

/// How long a sensor is believed that something moves: the end of it may have got lost.
pub(crate) const SENSOR_SPAN_MAX: Duration = Duration::from_secs(3600);

/// What is known of windows that are newly listed.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// How much moves in segments; in those that are not among them nothing does.
    pub levels: &'a HashMap<SegmentKey, u8>,
    /// What sensors saw.
    pub sensor: &'a BTreeSet<SensorEvent>,
}

/// Notes in those windows of `next` that `before` does not list what moves in them.
pub fn mark(before: Option<&LivePlaylist>, next: &mut LivePlaylist, seen: Seen<'_>) {
    let mut moves = last(before);
    let mut accounted = accounted(before.unwrap_or(next));
    let camera = next.camera().clone();
    for (window, entry) in next.entries_mut() {
        if before.is_some_and(|before| window.start() < before.next().start()) {
            continue;
        }
        let level = match entry.content {
            Content::Gap => 0,
            Content::Segment(pictures) => {
                let key = SegmentKey { camera: camera.clone(), window, init: entry.init, pictures };
                seen.levels.get(&key).copied().unwrap_or_default()
            }
        };
        moves.picture = pictures(moves.picture, window, level);
        moves.sensor = sensor(moves.sensor, window, seen.sensor, &mut accounted);
        entry.moves = moves;
    }
}

/// What moves in the last window of a playlist.
fn last(playlist: Option<&LivePlaylist>) -> Moves {
    let last = playlist.and_then(|playlist| playlist.entries().last());
    last.map(|(_, entry)| entry.moves).unwrap_or_default()
}

/// How motion goes on in a window of this level, by the steps that it is in (as in [`crate::MotionHour`]).
fn pictures(before: Option<Moving>, window: Window, level: u8) -> Option<Moving> {
    let begin = step(window.start());
    let end = step(window.end() + Duration::from_millis(STEP_MILLIS - 1));
    let goes_on = |by: Timestamp| before.filter(|before| by.since(before.until.unwrap_or_default()) < QUIET);
    if level == 0 {
        return goes_on(step(window.end()));
    }
    let (start, peak) = goes_on(begin).map_or((begin, 0), |before| (before.start, before.peak));
    Some(Moving { start, until: Some(end), peak: peak.max(level) })
}

/// The last step that begins at `time` or before.
fn step(time: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis() / STEP_MILLIS * STEP_MILLIS)
}

/// Up to when what a sensor saw is told already, or is not to be told any more (but for the end of what goes on).
fn accounted(playlist: &LivePlaylist) -> Timestamp {
    let sensors = playlist.entries().filter_map(|(_, entry)| entry.moves.sensor);
    let told = sensors.map(|moving| moving.until.unwrap_or_default().max(moving.start)).max();
    told.unwrap_or_default().max(playlist.first().start() - Duration::from_millis(1))
}

/// How what a sensor sees goes on in a window, by what it saw before the window's end. The end of what goes on counts however late
/// it is told of, and may lie before all that is listed.
fn sensor(
    before: Option<Moving>,
    window: Window,
    seen: &BTreeSet<SensorEvent>,
    accounted: &mut Timestamp,
) -> Option<Moving> {
    let mut moving = before.filter(|before| before.until.is_none());
    for event in seen.iter().filter(|event| event.at < window.end()) {
        let at = Timestamp::from_unix_millis(event.at.unix_millis());
        let is_late_end = event.state == SensorState::Ended
            && moving.is_some_and(|moving| moving.until.is_none() && moving.start < at);
        if at <= *accounted && !is_late_end {
            continue;
        }
        match (event.state, &mut moving) {
            // What comes after an end within one window is of the next one's.
            (_, Some(Moving { until: Some(_), .. })) => break,
            (SensorState::Started, None) => moving = Some(Moving { start: at, until: None, peak: 0 }),
            (SensorState::Ended, Some(moving)) => moving.until = Some(at),
            (SensorState::Started, Some(_)) | (SensorState::Ended, None) => {}
        }
        *accounted = at.max(*accounted);
    }
    if let Some(moving) = &mut moving
        && moving.until.is_none()
        && moving.start + SENSOR_SPAN_MAX <= window.start()
    {
        moving.until = Some(moving.start + SENSOR_SPAN_MAX);
    }
    moving
}

/// The pictures' motion that goes on in the last window of a playlist: it is over if the camera falls silent there.
pub fn cut_off(playlist: &LivePlaylist) -> Option<MotionSpan> {
    last(Some(playlist)).picture.map(|moving| moving.ended(MotionSource::Picture))
}

/// In which of the windows that `next` lists and `before` does not the pictures' motion begins or ends.
pub fn changes(before: Option<&LivePlaylist>, next: &LivePlaylist) -> Vec<(Window, MotionSpan)> {
    let from = before.map_or(Timestamp::default(), |before| before.next().start());
    let new = next.entries().filter(|(window, _)| window.start() >= from);
    changes_of(last(before).picture, new.map(|(window, entry)| (window, entry.moves.picture)))
}

/// What begins or ends in a window that `playlist` lists.
pub fn change_in(playlist: &LivePlaylist, window: Window) -> Option<MotionSpan> {
    let entries = playlist.entries().map(|(window, entry)| (window, entry.moves.picture));
    let first = entries.clone().next()?;
    // Of what was before the first window only its own start tells something.
    let before = first.1.filter(|moving| moving.start < step(first.0.start()));
    let changes = changes_of(before, entries);
    changes.into_iter().find(|(changed, _)| *changed == window).map(|(_, span)| span)
}

fn changes_of(
    mut before: Option<Moving>,
    windows: impl Iterator<Item = (Window, Option<Moving>)>,
) -> Vec<(Window, MotionSpan)> {
    let mut changes = Vec::new();
    for (window, moving) in windows {
        changes.extend(turn(MotionSource::Picture, before, moving).map(|span| (window, span)));
        before = moving;
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use teiten_footage::{CameraId, ContentHash, Pictures, WindowLength, sensor::SensorKind};

    use super::*;

    fn window(length: u32, index: u64) -> Window {
        let noon = "20261123T120000.000Z-1000".parse::<Window>().unwrap().start();
        Window::containing(noon, WindowLength::from_millis(length).unwrap()).plus(index)
    }

    fn key(window: Window) -> SegmentKey {
        let pictures = Pictures { frames: ContentHash::of(b"frames"), keyframe_bytes: 1 };
        let init = ContentHash::of(b"init");
        SegmentKey { camera: CameraId::new("gate").unwrap(), window, init, pictures }
    }

    /// A playlist of windows with these levels, marked at once.
    fn playlist(length: u32, levels: &[u8], sensor: &BTreeSet<SensorEvent>) -> LivePlaylist {
        let keys = (0..).map(|index| key(window(length, index))).zip(levels);
        let levels: HashMap<SegmentKey, u8> = keys.map(|(key, level)| (key, *level)).collect();
        let mut playlist = LivePlaylist::starting_with(&key(window(length, 0)));
        (1..levels.len() as u64).for_each(|index| playlist.push_segment(&key(window(length, index))));
        mark(None, &mut playlist, Seen { levels: &levels, sensor });
        playlist
    }

    /// When the pictures' motion begins and ends, in milliseconds.
    fn spans(playlist: &LivePlaylist) -> Vec<(u64, Option<u64>)> {
        let zero = playlist.first().start();
        let millis = |time: Timestamp| time.since(zero).as_millis() as u64;
        let changes = changes(None, playlist).into_iter();
        changes.map(|(_, span)| (millis(span.start), span.end.map(millis))).collect()
    }

    #[test]
    fn motion_goes_on_over_less_than_five_quiet_seconds() {
        let none = BTreeSet::new();
        let of = |length, levels: &[u8]| spans(&playlist(length, levels, &none));
        assert_eq!(of(1000, &[0, 9, 0, 0, 0, 0, 7, 0]), [(1000, None)]);
        assert_eq!(of(1000, &[0, 9, 0, 0, 0, 0, 0, 7]), [(1000, None), (1000, Some(2000)), (7000, None)]);
        assert_eq!(of(6000, &[3, 3, 0]), [(0, None), (0, Some(12_000))]);
        // Steps are whole seconds, as in motion.json.
        let mut levels = [0; 16];
        levels[3] = 4;
        assert_eq!(of(500, &levels), [(1000, None), (1000, Some(2000))]);
        levels[13] = 4;
        assert_eq!(of(500, &levels), [(1000, None)], "second 6 is the fifth after second 1");
    }

    /// Golden: playlists that are live at this moment look like this, and another release may have to go on with them.
    #[test]
    fn marks_are_written_as_players_read_them_and_read_back() {
        let at = |millis| window(1000, 0).start() + Duration::from_millis(millis);
        let event = |state, millis| SensorEvent { kind: SensorKind::Motion, state, at: at(millis) };
        let sensor = [event(SensorState::Started, 1250), event(SensorState::Ended, 3500)].into();
        let mut marked = playlist(1000, &[0, 9, 31, 0, 0, 0, 0, 0, 0], &sensor);
        let text = marked.to_string();
        let lines = |text: &str| {
            let ours = |line: &&str| line.contains("DATERANGE") || line.contains("TEITEN");
            text.lines().filter(ours).map(str::to_owned).collect::<Vec<_>>()
        };
        let range = |source: &str, time: &str, more: &str| {
            format!(
                "#EXT-X-DATERANGE:ID=\"{source}-20261123T1200{}Z\",CLASS=\"teiten.motion.{source}\",START-DATE=\"2026-11-23T12:00:{time}Z\"{more}",
                time
            )
        };
        let picture = |until: &str, peak: u8| {
            format!(
                "#EXT-X-TEITEN-PICTURE:START=\"2026-11-23T12:00:01.000Z\",UNTIL=\"2026-11-23T12:00:{until}Z\",PEAK={peak}"
            )
        };
        let seen =
            |until: &str| format!("#EXT-X-TEITEN-SENSOR:START=\"2026-11-23T12:00:01.250Z\"{until},PEAK=0");
        let ended_sensor = ",END-DATE=\"2026-11-23T12:00:03.500Z\"";
        let expected = [
            range("picture", "01.000", ""),
            picture("02.000", 9),
            range("sensor", "01.250", ""),
            seen(""),
            picture("03.000", 31),
            seen(""),
            picture("03.000", 31),
            seen(",UNTIL=\"2026-11-23T12:00:03.500Z\""),
            picture("03.000", 31),
            range("sensor", "01.250", ended_sensor),
            picture("03.000", 31),
            picture("03.000", 31),
            range("picture", "01.000", ",END-DATE=\"2026-11-23T12:00:03.000Z\",X-TEITEN-PEAK=31"),
        ];
        assert_eq!(lines(&text), expected);
        for _ in 0..8 {
            assert_eq!(LivePlaylist::parse(marked.camera(), &marked.to_string()), Ok(marked.clone()));
            marked.drop_front(1);
        }
        assert_eq!(lines(&marked.to_string()), [""; 0], "all has left");
        for wrong in ["START=\"\"", "UNTIL=\"2026-11-23T12:00:01.000Z\"", "PEAK=3"] {
            let name = "#EXT-X-TEITEN-PICTURE:";
            let text = text.replacen(
                &format!("{name}{}", &picture("02.000", 9)[name.len()..]),
                &format!("{name}{wrong}"),
                1,
            );
            assert!(LivePlaylist::parse(marked.camera(), &text).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Whoever lists the next window knows how it goes on, and finds what begins or ends in a window that is listed.
        #[test]
        fn what_moves_is_the_same_whether_windows_are_listed_at_once_or_one_by_one(
            levels in vec(prop_oneof![3 => Just(0_u8), 2 => 1_u8..40], 1..40),
            length in prop_oneof![Just(500_u32), Just(1000), Just(6000)],
            dropped in 0..39_usize,
        ) {
            let none = BTreeSet::new();
            let mut whole = playlist(length, &levels, &none);
            let known = (0..).map(|index| key(window(length, index))).zip(levels.iter().copied()).collect();
            let seen = Seen { levels: &known, sensor: &none };
            let mut grown = LivePlaylist::starting_with(&key(window(length, 0)));
            mark(None, &mut grown, seen);
            let mut told = changes(None, &grown);
            for index in 1..levels.len() as u64 {
                let before = grown.clone();
                grown.push_segment(&key(window(length, index)));
                mark(Some(&before), &mut grown, seen);
                told.extend(changes(Some(&before), &grown));
            }
            prop_assert_eq!(&grown, &whole);
            prop_assert_eq!(&changes(None, &whole), &told);
            whole.drop_front(dropped.min(levels.len() - 1));
            let first = whole.first();
            for (listed, _) in whole.entries() {
                // What ended in the first one is not known any more.
                let is_known = |span: &MotionSpan| listed != first || dropped == 0 || span.end.is_none();
                let change = told.iter().find(|(window, span)| *window == listed && is_known(span));
                if listed != first || step(first.start()) == first.start() {
                    prop_assert_eq!(change_in(&whole, listed), change.map(|(_, span)| *span));
                }
            }
        }
    }

    #[test]
    fn the_end_of_what_a_sensor_sees_counts_however_late_it_is_told() {
        let at = |millis| window(1000, 0).start() + Duration::from_millis(millis);
        let event = |state, millis| SensorEvent { kind: SensorKind::Motion, state, at: at(millis) };
        let started = event(SensorState::Started, 1000);
        let mut before = playlist(1000, &[0; 4], &[started].into());
        let is_seen = before.entries().map(|(_, entry)| entry.moves.sensor.is_some());
        assert!(is_seen.eq([false, true, true, true]));
        before.drop_front(3);
        let until = |end_millis| {
            let seen = [started, event(SensorState::Ended, end_millis)].into();
            let mut next = before.clone();
            next.push_segment(&key(window(1000, 4)));
            mark(Some(&before), &mut next, Seen { levels: &HashMap::new(), sensor: &seen });
            next.entries().last().and_then(|(_, entry)| entry.moves.sensor).unwrap().until
        };
        assert_eq!(until(1500), Some(at(1500)));
        assert_eq!(until(500), None, "the end of what was before");
    }

    #[test]
    fn a_sensor_whose_end_is_lost_is_believed_for_an_hour() {
        let started = SensorEvent {
            kind: SensorKind::Motion,
            state: SensorState::Started,
            at: window(6000, 0).start(),
        };
        let marked = playlist(6000, &[0; 610], &[started].into());
        let until = |index: usize| {
            marked.entries().nth(index).and_then(|(_, entry)| entry.moves.sensor).map(|moving| moving.until)
        };
        assert_eq!((until(599), until(600)), (Some(None), Some(Some(started.at + SENSOR_SPAN_MAX))));
        assert_eq!(until(601), None);
    }
}
