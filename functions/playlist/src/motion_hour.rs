//! What moved in an hour of a camera, as a value and as the JSON that timelines read.

use serde::{Deserialize, Serialize};
use teiten_footage::{Hour, Window};

use crate::live::date;

/// Milliseconds that a level stands for, whatever the length of windows is.
const STEP_MILLIS: u64 = 1000;
const STEPS: usize = (3_600_000 / STEP_MILLIS) as usize;

/// Motion has ended when this many steps have none: a step of somebody who hardly moves is no end.
const QUIET_STEPS: usize = 5;

/// The levels of an hour, by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MotionHour {
    hour: Hour,
    /// Without those at the end of which nothing is known.
    levels: Vec<Option<u8>>,
}

/// The text's form. What moved follows from the levels.
#[derive(Serialize, Deserialize)]
struct Form {
    start: String,
    step_millis: u64,
    levels: Vec<Option<u8>>,
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

impl MotionHour {
    /// One of which nothing is known.
    pub fn new(hour: Hour) -> Self {
        Self { hour, levels: Vec::new() }
    }

    /// Notes the level of a window. Of several of one window (late frames were merged into it) the highest stays, so
    /// that the order in which they come does not matter.
    pub fn note(&mut self, window: Window, level: u8) {
        let steps = self.steps(window);
        if self.levels.len() < steps.end {
            self.levels.resize(steps.end, None);
        }
        for known in &mut self.levels[steps] {
            *known = Some(known.unwrap_or_default().max(level));
        }
    }

    /// Whether the level of a window is known.
    pub fn knows(&self, window: Window) -> bool {
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

    /// When something moved: steps with a level, together with fewer than [`QUIET_STEPS`] without one between them. What
    /// goes on at the end has no end yet, unless the hour `is_over`.
    fn spans(&self, is_over: bool) -> Vec<Span> {
        let mut spans: Vec<std::ops::Range<usize>> = Vec::new();
        let moving = self.levels.iter().enumerate().filter(|(_, level)| level.is_some_and(|level| level > 0));
        for (step, _) in moving {
            match spans.last_mut() {
                Some(last) if step - last.end < QUIET_STEPS => last.end = step + 1,
                _ => spans.push(step..step + 1),
            }
        }
        let time = |step: usize| {
            date(self.hour.start() + std::time::Duration::from_millis(step as u64 * STEP_MILLIS))
        };
        let goes_on = |span: &std::ops::Range<usize>| !is_over && self.levels.len() - span.end < QUIET_STEPS;
        let spans = spans.into_iter().map(|span| {
            let end = (!goes_on(&span)).then(|| time(span.end));
            Span { start: time(span.start), end, source: "picture" }
        });
        spans.collect()
    }

    /// The object's bytes.
    pub fn to_json(&self, is_over: bool) -> Vec<u8> {
        let form = Form {
            start: date(self.hour.start()),
            step_millis: STEP_MILLIS,
            levels: self.levels.clone(),
            motion: self.spans(is_over),
        };
        serde_json::to_vec(&form).expect("numbers and times are JSON")
    }

    /// Reads back what [`MotionHour::to_json`] wrote.
    ///
    /// # Errors
    /// Why it is not that.
    pub fn parse(hour: Hour, json: &[u8]) -> Result<Self, String> {
        let form: Form = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if form.start != date(hour.start()) || form.step_millis != STEP_MILLIS || form.levels.len() > STEPS {
            return Err("it is of another hour, or has other steps".to_owned());
        }
        Ok(Self { hour, levels: form.levels })
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
    fn motion_ends_after_five_quiet_seconds() {
        let spans = |seconds: &[u64]| {
            let mut motion = MotionHour::new(hour());
            for second in 0..40 {
                motion.note(window(1000, second), u8::from(seconds.contains(&second)));
            }
            motion.spans(false).len()
        };
        assert_eq!(spans(&[3, 4, 9, 14]), 1);
        assert_eq!(spans(&[3, 9]), 2);
        assert_eq!(spans(&[]), 0);
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
