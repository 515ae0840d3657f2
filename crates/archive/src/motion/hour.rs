//! What moved in an hour of a camera, as a value and as the JSON that timelines read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use teiten_footage::{Hour, MotionSource, MotionSpan, SensorEvent, SensorState, Timestamp, Window};

/// Milliseconds that a level stands for, whatever the length of windows is.
pub(crate) const STEP_MILLIS: u64 = 1000;
const STEPS: usize = (3_600_000 / STEP_MILLIS) as usize;

/// Motion has ended when this many steps have none: a step of somebody who hardly moves is no end.
pub(crate) const QUIET_STEPS: usize = 5;

/// The most changes of sensors that are kept of an hour.
const SENSOR_EVENTS_MAX: usize = 4096;

/// The levels of an hour, by step, and what sensors saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MotionHour {
    hour: Hour,
    /// Without those at the end of which nothing is known.
    levels: Vec<Option<u8>>,
    sensor: BTreeSet<SensorEvent>,
    /// Whether what a sensor saw in the hour before went on at its turn.
    sensor_before: bool,
}

/// The text's form. What moved follows from the levels, and from what sensors saw.
#[derive(Serialize, Deserialize)]
struct Form {
    start: String,
    step_millis: u64,
    levels: Vec<Option<u8>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sensor: BTreeSet<SensorEvent>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sensor_before: bool,
    #[serde(default, skip_deserializing)]
    motion: Vec<Span>,
}

/// A time in which something moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Span {
    start: String,
    /// `None` if it may go on.
    end: Option<String>,
    source: &'static str,
}

impl From<MotionSpan> for Span {
    fn from(span: MotionSpan) -> Self {
        let (start, end) = (span.start.rfc3339_millis(), span.end.map(Timestamp::rfc3339_millis));
        Self { start, end, source: span.source.name() }
    }
}

impl MotionHour {
    /// One of which nothing is known.
    pub(crate) fn new(hour: Hour) -> Self {
        Self { hour, levels: Vec::new(), sensor: BTreeSet::new(), sensor_before: false }
    }

    /// Notes that what a sensor saw in the hour before went on at its turn.
    pub(crate) fn note_sensor_before(&mut self) {
        self.sensor_before = true;
    }

    /// Whether the first that is known of a sensor is an end, and not yet of what.
    pub(crate) fn lacks_a_start(&self) -> bool {
        !self.sensor_before && self.sensor.first().is_some_and(|event| event.state == SensorState::Ended)
    }

    /// Notes the level of a window. Of several of one window (late frames were merged into it) the highest stays, so
    /// that the order in which they come does not matter.
    pub(crate) fn note(&mut self, window: Window, level: u8) {
        let steps = self.steps(window);
        if self.levels.len() < steps.end {
            self.levels.resize(steps.end, None);
        }
        for known in &mut self.levels[steps] {
            *known = Some(known.unwrap_or_default().max(level));
        }
    }

    /// Notes what a sensor saw in this hour.
    pub(crate) fn note_sensor(&mut self, event: SensorEvent) {
        if Hour::containing(event.at) == self.hour && self.sensor.len() < SENSOR_EVENTS_MAX {
            self.sensor.insert(event);
        }
    }

    /// Whether it is known that a sensor saw this.
    pub(crate) fn knows_sensor(&self, event: &SensorEvent) -> bool {
        self.sensor.contains(event)
    }

    /// Whether the level of a window is known.
    pub(crate) fn knows(&self, window: Window) -> bool {
        self.levels.get(self.steps(window)).is_some_and(|levels| levels.iter().all(Option::is_some))
    }

    /// The steps that a window is in. A window of another hour is in none.
    fn steps(&self, window: Window) -> std::ops::Range<usize> {
        if Hour::of(window) != self.hour {
            return 0..0;
        }
        let since = |millis: u64| millis - self.hour.start().unix_millis();
        let begin = since(window.start().unix_millis()) / STEP_MILLIS;
        let end = since(window.end().unix_millis()).div_ceil(STEP_MILLIS);
        begin as usize..(end as usize).min(STEPS)
    }

    /// When something moved, in the order of time. What goes on at the end has no end yet, unless the hour `is_over`.
    pub(crate) fn spans(&self, is_over: bool) -> Vec<MotionSpan> {
        let mut spans = self.pictures(is_over);
        spans.extend(self.sensors(is_over));
        spans.sort_by_key(|span| (span.start, span.source));
        spans
    }

    /// From a sensor's start to the next end. What was seen before the hour, or goes on after it, is cut at its turn. An end whose
    /// start is not known is that of a moment.
    fn sensors(&self, is_over: bool) -> Vec<MotionSpan> {
        let source = MotionSource::Sensor;
        let (mut spans, mut since) = (Vec::new(), None);
        for event in &self.sensor {
            let at = Timestamp::from_unix_millis(event.at.unix_millis());
            match event.state {
                SensorState::Started => {
                    since.get_or_insert(at);
                }
                SensorState::Ended => {
                    let before = if self.sensor_before { self.hour.start() } else { at };
                    let start = since.take().or_else(|| spans.is_empty().then_some(before));
                    spans.extend(start.map(|start| MotionSpan { source, start, end: Some(at), peak: None }));
                }
            }
        }
        let end = is_over.then(|| self.hour.end());
        spans.extend(since.map(|start| MotionSpan { source, start, end, peak: None }));
        spans
    }

    /// Steps with a level, together with fewer than [`QUIET_STEPS`] without one between them.
    fn pictures(&self, is_over: bool) -> Vec<MotionSpan> {
        let mut spans: Vec<std::ops::Range<usize>> = Vec::new();
        let moving = self.levels.iter().enumerate().filter(|(_, level)| level.is_some_and(|level| level > 0));
        for (step, _) in moving {
            match spans.last_mut() {
                Some(last) if step - last.end < QUIET_STEPS => last.end = step + 1,
                _ => spans.push(step..step + 1),
            }
        }
        let time =
            |step: usize| self.hour.start() + std::time::Duration::from_millis(step as u64 * STEP_MILLIS);
        let goes_on = |span: &std::ops::Range<usize>| !is_over && self.levels.len() - span.end < QUIET_STEPS;
        let spans = spans.into_iter().map(|span| {
            let end = (!goes_on(&span)).then(|| time(span.end));
            let peak = end.and_then(|_| self.levels[span.clone()].iter().flatten().max().copied());
            MotionSpan { source: MotionSource::Picture, start: time(span.start), end, peak }
        });
        spans.collect()
    }

    /// The object's bytes.
    pub(crate) fn to_json(&self, is_over: bool) -> Vec<u8> {
        let form = Form {
            sensor_before: self.sensor_before,
            start: self.hour.start().rfc3339_millis(),
            step_millis: STEP_MILLIS,
            levels: self.levels.clone(),
            sensor: self.sensor.clone(),
            motion: self.spans(is_over).into_iter().map(Span::from).collect(),
        };
        serde_json::to_vec(&form).expect("numbers and times are JSON")
    }

    /// Reads back what [`MotionHour::to_json`] wrote.
    ///
    /// # Errors
    /// Why it is not that.
    pub(crate) fn parse(hour: Hour, json: &[u8]) -> Result<Self, String> {
        let form: Form = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if form.start != hour.start().rfc3339_millis()
            || form.step_millis != STEP_MILLIS
            || form.levels.len() > STEPS
        {
            return Err("it is of another hour, or has other steps".to_owned());
        }
        let Form { levels, mut sensor, sensor_before, .. } = form;
        sensor.retain(|event| Hour::containing(event.at) == hour);
        Ok(Self { hour, levels, sensor, sensor_before })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teiten_footage::WindowLength;

    use super::*;

    fn hour() -> Hour {
        "2026-11-23/04".parse().unwrap()
    }

    fn window(millis: u32, index: u64) -> Window {
        Window::containing(hour().start(), WindowLength::from_millis(millis).unwrap()).plus(index)
    }

    fn text(motion: &MotionHour, is_over: bool) -> String {
        String::from_utf8(motion.to_json(is_over)).unwrap()
    }

    /// Golden: timelines read this.
    #[test]
    fn an_hour_is_this_json() {
        let mut motion = MotionHour::new(hour());
        assert_eq!(
            text(&motion, false),
            r#"{"start":"2026-11-23T04:00:00.000Z","step_millis":1000,"levels":[],"motion":[]}"#
        );
        for (second, level) in [(1, 0), (2, 9), (3, 0), (4, 31), (12, 7)] {
            motion.note(window(1000, second), level);
        }
        let span = |end: &str| {
            format!(
                concat!(
                    r#"{{"start":"2026-11-23T04:00:00.000Z","step_millis":1000,"#,
                    r#""levels":[null,0,9,0,31,null,null,null,null,null,null,null,7],"motion":["#,
                    r#"{{"start":"2026-11-23T04:00:02.000Z","end":"2026-11-23T04:00:05.000Z","source":"picture"}},"#,
                    r#"{{"start":"2026-11-23T04:00:12.000Z","end":{},"source":"picture"}}]}}"#
                ),
                end
            )
        };
        assert_eq!(text(&motion, false), span("null"));
        assert_eq!(text(&motion, true), span(r#""2026-11-23T04:00:13.000Z""#));
        assert_eq!(MotionHour::parse(hour(), &motion.to_json(true)), Ok(motion));
    }

    #[test]
    fn what_a_sensor_saw_is_a_span_in_whichever_order_it_is_told() {
        let seen = |second: u64, state| SensorEvent {
            kind: teiten_footage::sensor::SensorKind::Motion,
            state,
            at: hour().start() + std::time::Duration::from_micros(second * 1_000_000 + 234_567),
        };
        let events = [
            seen(3, SensorState::Ended),
            seen(10, SensorState::Started),
            seen(11, SensorState::Started),
            seen(14, SensorState::Ended),
            seen(15, SensorState::Ended),
            seen(20, SensorState::Started),
            seen(3600, SensorState::Started),
        ];
        let (mut motion, mut reversed) = (MotionHour::new(hour()), MotionHour::new(hour()));
        events.iter().for_each(|event| motion.note_sensor(*event));
        events.iter().rev().chain(&events).for_each(|event| reversed.note_sensor(*event));
        assert_eq!(motion, reversed);
        let times = |motion: &MotionHour, is_over| {
            let millis = |time: Timestamp| time.since(hour().start()).as_millis();
            let spans = motion.spans(is_over).into_iter();
            spans.map(|span| (millis(span.start), span.end.map(millis))).collect::<Vec<_>>()
        };
        assert_eq!(
            times(&motion, false),
            [(3234, Some(3234)), (10_234, Some(14_234)), (20_234, None)],
            "a moment"
        );
        assert!(motion.lacks_a_start());
        motion.note_sensor_before();
        assert!(!motion.lacks_a_start());
        assert_eq!(times(&motion, false)[0], (0, Some(3234)));
        assert_eq!(times(&motion, true)[2], (20_234, Some(3_600_000)));
        let json = text(&motion, false);
        let event = r#"{"kind":"motion","state":"ended","at":"2026-11-23T04:00:03.234567Z"}"#;
        let span =
            r#"{"start":"2026-11-23T04:00:10.234Z","end":"2026-11-23T04:00:14.234Z","source":"sensor"}"#;
        assert!(json.contains(&format!("\"sensor\":[{event},")) && json.contains(span), "{json}");
        assert_eq!(MotionHour::parse(hour(), json.as_bytes()), Ok(motion));
    }

    #[test]
    fn motion_ends_after_five_quiet_seconds() {
        let spans = |seconds: &[u64]| {
            let mut motion = MotionHour::new(hour());
            for second in 0..40 {
                motion.note(window(1000, second), u8::from(seconds.contains(&second)));
            }
            motion.spans(false)
        };
        assert_eq!(spans(&[3, 4, 9, 14]).len(), 1);
        assert_eq!(spans(&[3, 9]).len(), 2);
        assert_eq!(spans(&[]), []);
        assert_eq!((spans(&[34])[0].end.is_some(), spans(&[35])[0].end.is_some()), (true, false));
    }

    #[test]
    fn windows_of_every_length_have_their_steps() {
        let mut motion = MotionHour::new(hour());
        motion.note(window(500, 3), 8); // 1.5 to 2 s
        motion.note(window(500, 2), 3);
        motion.note(window(6000, 1), 5); // 6 to 12 s
        motion.note(window(1000, 3600), 9); // the next hour's
        let levels = r#"[null,8,null,null,null,null,5,5,5,5,5,5]"#;
        assert!(text(&motion, false).contains(levels), "{}", text(&motion, false));
        assert!(
            motion.knows(window(500, 2)) && !motion.knows(window(500, 4)) && !motion.knows(window(6000, 0))
        );
        assert!(!motion.knows(window(1000, 3599)));
    }

    #[test]
    fn an_hour_is_read_back_when_all_of_it_is_known_and_not_when_there_is_more() {
        let mut motion = MotionHour::new(hour());
        (0..3600).for_each(|second| motion.note(window(1000, second), 1));
        let json = text(&motion, true);
        assert_eq!(MotionHour::parse(hour(), json.as_bytes()), Ok(motion));
        assert!(MotionHour::parse(hour(), json.replacen("[1,", "[1,1,", 1).as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let next = MotionHour::new(hour().next()).to_json(false);
        for json in [&b""[..], b"{}", b"[]", &next] {
            assert!(MotionHour::parse(hour(), json).is_err());
        }
    }

    proptest! {
        #[test]
        fn the_order_in_which_levels_come_does_not_matter(
            notes in prop::collection::vec((0_u64..3600, any::<u8>()), 0..40),
            is_over in any::<bool>(),
        ) {
            let of = |notes: &mut dyn Iterator<Item = &(u64, u8)>| {
                let mut motion = MotionHour::new(hour());
                notes.for_each(|(second, level)| motion.note(window(1000, *second), *level));
                motion
            };
            let motion = of(&mut notes.iter());
            prop_assert_eq!(&motion, &of(&mut notes.iter().rev().chain(&notes)));
            prop_assert_eq!(MotionHour::parse(hour(), &motion.to_json(is_over)), Ok(motion));
        }
    }
}
