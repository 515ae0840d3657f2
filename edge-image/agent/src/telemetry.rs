//! How a camera is: the payload of `teiten/<camera>/telemetry` (docs/formats.md, "Telemetry").
//!
//! Keys may be added; none changes its meaning. What a machine does not have is left out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::machine::Reading;

/// The whole payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Telemetry {
    /// The camera's wall clock, RFC 3339, UTC.
    pub(crate) at: String,
    /// Whole seconds since the agent started.
    pub(crate) agent_uptime_seconds: u64,
    /// Whole seconds since the machine was switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uptime_seconds: Option<u64>,
    pub(crate) frames: Frames,
    pub(crate) spool: Spool,
    pub(crate) source: Source,
    /// Whether the infrared light is on, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) light: Option<OnOff>,
    /// Whether something moves, if there is a sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) motion: Option<OnOff>,
    /// The processor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature_celsius: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) throttling: Option<Throttling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wifi_signal_dbm: Option<i32>,
    /// How far an update is, in words, since the machine was switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update: Option<String>,
    pub(crate) versions: Versions,
}

/// Since the agent started, unless told otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Frames {
    pub(crate) captured: u64,
    /// Given to the connection, frames that were sent again counted again.
    pub(crate) sent: u64,
    pub(crate) stored: u64,
    /// Captured in each second since an earlier telemetry, to one tenth.
    pub(crate) per_second: f64,
    /// Pictures left out on purpose, to keep a lower rate.
    pub(crate) skipped: u64,
    /// Why, and how many; what never happened is left out.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

/// What is not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Spool {
    pub(crate) frames: usize,
    pub(crate) bytes: u64,
    /// For how long nobody has said of frames that the broker has that they are stored; left out while that is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unstored_seconds: Option<u64>,
}

/// The camera itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Source {
    /// `starting`, `flowing` or `failing`.
    pub(crate) state: &'static str,
    /// What is wrong and what to do, while it is failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What happened, and how often since the start; what never happened is left out.
    pub(crate) failures: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnOff {
    On,
    Off,
}

impl From<bool> for OnOff {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// Of `under_voltage`, `frequency_capped`, `throttled`, `soft_temperature_limit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Throttling {
    pub(crate) now: Vec<&'static str>,
    pub(crate) since_start: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Versions {
    pub(crate) agent: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel: Option<String>,
}

/// The agent's own version.
pub(crate) const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

impl Telemetry {
    /// Puts in what the machine says.
    pub(crate) fn with_machine(self, reading: Reading) -> Self {
        Self {
            uptime_seconds: reading.uptime.as_ref().map(Duration::as_secs),
            temperature_celsius: reading.temperature.map(tenths),
            throttling: reading
                .throttling
                .map(|throttling| Throttling { now: throttling.now, since_start: throttling.since_start }),
            wifi_signal_dbm: reading.signal_dbm,
            update: reading.update,
            versions: Versions { agent: AGENT_VERSION, image: reading.image, kernel: reading.kernel },
            ..self
        }
    }

    /// The payload.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and finite numbers are JSON")
    }
}

/// How long frames are counted for the rate to be one, though telemetry may be said more often.
const RATE_TIME_MIN: Duration = Duration::from_secs(2);

/// How many frames are captured in each second.
#[derive(Debug)]
pub(crate) struct FrameRate {
    /// How many there were at two earlier moments, at least [`RATE_TIME_MIN`] apart once there are two.
    marks: [(Instant, u64); 2],
}

impl FrameRate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { marks: [(now, 0); 2] }
    }

    /// That of the last time, with so many frames since the start.
    pub(crate) fn measure(&mut self, captured: u64, now: Instant) -> f64 {
        let [before, last] = self.marks;
        let (since, frames) = if now.saturating_duration_since(last.0) < RATE_TIME_MIN {
            before
        } else {
            self.marks = [last, (now, captured)];
            last
        };
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        (captured - frames) as f64 / seconds.max(f64::EPSILON)
    }
}

/// Rounded to one tenth.
pub(crate) fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    fn telemetry() -> Telemetry {
        Telemetry {
            at: "2026-11-23T04:05:01.000000Z".to_owned(),
            agent_uptime_seconds: 30,
            uptime_seconds: None,
            frames: Frames {
                captured: 450,
                sent: 451,
                stored: 440,
                per_second: 15.0,
                skipped: 0,
                dropped: BTreeMap::from([("torn", 2), ("spool_full", 1)]),
            },
            spool: Spool { frames: 10, bytes: 400_000, unstored_seconds: None },
            source: Source { state: "flowing", why: None, failures: BTreeMap::new() },
            light: None,
            motion: None,
            temperature_celsius: None,
            throttling: None,
            wifi_signal_dbm: None,
            update: None,
            versions: Versions { agent: "0.1.0", image: None, kernel: None },
        }
    }

    #[test]
    fn a_rate_is_that_of_some_seconds_however_often_it_is_asked_for() {
        let start = Instant::now();
        let mut rate = FrameRate::new(start);
        // 15 in each second, of which the first comes a moment before or after it is asked for.
        for (millis, captured) in [(10_000, 150), (10_010, 150), (10_020, 151), (20_030, 300), (20_040, 301)]
        {
            let measured = rate.measure(captured, start + Duration::from_millis(millis));
            assert!((14.5..15.5).contains(&measured), "{measured} after {millis} ms");
        }
    }

    /// Golden: dashboards read this. It may get more keys; none may change.
    #[test]
    fn a_machine_that_says_nothing_gives_the_least_telemetry() {
        assert_eq!(
            telemetry().to_json(),
            concat!(
                r#"{"at":"2026-11-23T04:05:01.000000Z","agent_uptime_seconds":30,"#,
                r#""frames":{"captured":450,"sent":451,"stored":440,"per_second":15.0,"skipped":0,"#,
                r#""dropped":{"spool_full":1,"torn":2}},"spool":{"frames":10,"bytes":400000},"#,
                r#""source":{"state":"flowing","failures":{}},"versions":{"agent":"0.1.0"}}"#
            )
        );
    }

    /// Golden, as above.
    #[test]
    fn a_raspberry_pi_with_a_failing_camera_gives_the_most() {
        let reading = Reading {
            uptime: Some(Duration::from_millis(35_200)),
            temperature: Some(51.54),
            throttling: Some(machine::Throttling { now: vec![], since_start: vec!["under_voltage"] }),
            signal_dbm: Some(-56),
            kernel: Some("6.12.41-v8".to_owned()),
            image: Some("0.1.0".to_owned()),
            model: None,
            update: Some("installing".to_owned()),
        };
        let source = Source {
            state: "failing",
            why: Some("there is no /dev/video0".to_owned()),
            failures: BTreeMap::from([("missing", 3)]),
        };
        let (light, motion) = (Some(OnOff::On), Some(OnOff::Off));
        let mut most = Telemetry { source, light, motion, ..telemetry() }.with_machine(reading);
        most.spool.unstored_seconds = Some(61);
        most.versions.agent = "0.1.0";
        assert_eq!(
            most.to_json(),
            concat!(
                r#"{"at":"2026-11-23T04:05:01.000000Z","agent_uptime_seconds":30,"uptime_seconds":35,"#,
                r#""frames":{"captured":450,"sent":451,"stored":440,"per_second":15.0,"skipped":0,"#,
                r#""dropped":{"spool_full":1,"torn":2}},"spool":{"frames":10,"bytes":400000,"unstored_seconds":61},"#,
                r#""source":{"state":"failing","why":"there is no /dev/video0","failures":{"missing":3}},"#,
                r#""light":"on","motion":"off","temperature_celsius":51.5,"#,
                r#""throttling":{"now":[],"since_start":["under_voltage"]},"wifi_signal_dbm":-56,"#,
                r#""update":"installing","#,
                r#""versions":{"agent":"0.1.0","image":"0.1.0","kernel":"6.12.41-v8"}}"#
            )
        );
    }
}
