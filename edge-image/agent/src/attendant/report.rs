//! What the camera says of itself: telemetry, and its announcement to Home Assistant.

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use teiten_footage::Topic;
use tokio::task::spawn_blocking;

use super::{Attendant, Tally};
use crate::{
    config::Config,
    home_assistant::{self, Equipment},
    link::{Delivery, Link, Message},
    machine::{Machine, Reading},
    source::{Health, Loss},
    telemetry::{self, Telemetry},
};

impl Attendant {
    /// Announces the camera to Home Assistant at each connection, in case that the broker forgot; or once takes
    /// back what an earlier run announced.
    pub(super) fn announce(&mut self, reading: &Reading, link: &mut Link) {
        let Config { home_assistant, camera, .. } = &self.config;
        if !home_assistant.enabled && self.announced {
            return;
        }
        let mut withdrawal = None;
        let payload = if home_assistant.enabled {
            let equipment = Equipment {
                model: reading.model.clone(),
                thermometer: reading.temperature.is_some(),
                wifi: reading.signal_dbm.is_some(),
                motion_sensor: self.panel.sensor.is_some(),
                light: self.panel.infrared.is_some(),
            };
            // Once a run: an earlier one may have had more.
            withdrawal = home_assistant::withdrawal(&self.config, &equipment);
            Bytes::from(home_assistant::announcement(&self.config, &equipment))
        } else {
            Bytes::new()
        };
        let topic = home_assistant::topic(&home_assistant.prefix, camera);
        let mut announce = |payload| {
            let topic = topic.clone();
            link.say(Message { topic, payload, delivery: Delivery::Retained })
        };
        let withdrawn = withdrawal.filter(|_| !self.announced).is_none_or(|payload| announce(payload.into()));
        self.announced = withdrawn && announce(payload);
    }

    pub(super) async fn report(&mut self, tally: &Tally, link: &mut Link) {
        let reading = read(self.machine.clone()).await;
        self.say_telemetry(reading, tally, link);
    }

    pub(super) fn say_telemetry(&mut self, reading: Reading, tally: &Tally, link: &mut Link) {
        let now = Instant::now();
        let per_second = self.frame_rate.measure(tally.captured, now);
        let telemetry = self.telemetry(tally, per_second);
        let payload = telemetry.with_machine(reading).to_json().into();
        link.say(self.message(Topic::Telemetry, payload, Delivery::Once));
    }

    fn telemetry(&self, tally: &Tally, per_second: f64) -> Telemetry {
        let (state, why) = match self.source_health(Instant::now()) {
            Health::Starting => ("starting", None),
            Health::Flowing => ("flowing", None),
            Health::Failing { why } | Health::Hung { why } => ("failing", Some(why)),
        };
        let mut dropped = tally.dropped.clone();
        let mut failures = BTreeMap::new();
        for loss in Loss::ALL {
            match (self.losses.of(loss), loss) {
                (0, _) | (_, Loss::Skipped) => {}
                (count, Loss::Torn | Loss::Unencodable) => drop(dropped.insert(loss.name(), count)),
                (count, _) => drop(failures.insert(loss.name(), count)),
            }
        }
        Telemetry {
            at: teiten_telemetry::now().to_string(),
            agent_uptime_seconds: self.started.elapsed().as_secs(),
            uptime_seconds: None,
            frames: telemetry::Frames {
                captured: tally.captured,
                sent: tally.sent,
                stored: tally.stored,
                per_second: telemetry::tenths(per_second),
                skipped: self.losses.of(Loss::Skipped),
                dropped,
            },
            spool: telemetry::Spool {
                frames: tally.unstored,
                bytes: tally.spool_bytes,
                unstored_seconds: tally.unstored_for.map(|time| time.as_secs()),
            },
            source: telemetry::Source { state, why, failures },
            light: self.panel.infrared.as_ref().map(|lamp| lamp.is_lit().into()),
            motion: self.panel.sensor.as_ref().map(|_| self.motion.is_moving().into()),
            temperature_celsius: None,
            throttling: None,
            wifi_signal_dbm: None,
            update: None,
            versions: telemetry::Versions { agent: telemetry::AGENT_VERSION, image: None, kernel: None },
        }
    }
}

pub(super) async fn read(machine: Machine) -> Reading {
    // The firmware takes its time to answer.
    spawn_blocking(move || machine.read()).await.unwrap_or_default()
}
