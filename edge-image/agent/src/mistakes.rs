//! A camera whose settings have mistakes, or are missing: it captures nothing, and says why.
//!
//! On its card nobody sees what a program says, and one that ends is only started anew. So it goes on, shows that on
//! its LED, tells the broker what is wrong if the settings say who it is and where the broker is (docs/formats.md,
//! "Mistakes"), and lets the watchdog know that there is a reason for the missing pictures.

use bytes::Bytes;
use serde::Serialize;
use teiten_footage::{CameraId, Topic};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    agent::Host,
    attendant::every,
    clock::Clock,
    condition::{Condition, WRITE_PERIOD},
    config::{ConfigErrors, Mistake, Usable},
    gpio::{
        Lamp,
        led::{self, Pattern},
    },
    link::{Delivery, Link, Message, Signal},
    source::Health,
};

/// Says what is wrong with the settings until `shutdown`. `usable` is what is right in them.
pub async fn tell_mistakes(host: Host, usable: Usable, errors: &ConfigErrors, shutdown: CancellationToken) {
    let Host { mut board, run_directory } = host;
    let mut lamp = Lamp::led_or_own(usable.led, board.as_mut());
    let mut blink = every(led::PERIOD);
    let mut teller = Teller::new(usable, errors);
    let started = Instant::now();
    let now = started.into_std();
    let condition = Condition {
        has_network: true,
        clock_is_set: true,
        connected: false,
        source: Health::Failing { why: errors.to_string() },
        last_frame: now,
        has_flowed: false,
        unstored: 0,
        nobody_stores: false,
    };
    let mut writing = every(WRITE_PERIOD);
    let mut file_is_bad = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = teller.tell() => {}
            now = blink.tick(), if lamp.is_some() => {
                if let Some(lamp) = &mut lamp {
                    lamp.light(Pattern::NoSettings.is_lit(now - started));
                }
            }
            _ = writing.tick(), if run_directory.is_some() => {
                let Some(run_directory) = &run_directory else { continue };
                let written = condition.write(run_directory, now).await;
                if let Err(error) = &written && !file_is_bad {
                    warn!(%error, "the health file cannot be written: the watchdog will not know how the camera is");
                }
                file_is_bad = written.is_err();
            }
        }
    }
    if let Some((_, link)) = teller.way {
        link.close().await;
    }
}

/// The message that takes back what was told.
pub(crate) fn taken_back(camera: &CameraId) -> Message {
    message(camera, Bytes::new())
}

fn message(camera: &CameraId, payload: Bytes) -> Message {
    Message { topic: Topic::Mistakes(camera.clone()).to_string(), payload, delivery: Delivery::Retained }
}

#[derive(Serialize)]
struct Mistakes<'a> {
    mistakes: &'a [Mistake],
}

/// Tells the broker, each time that there is a connection.
struct Teller {
    payload: Bytes,
    way: Option<(CameraId, Link)>,
}

impl Teller {
    fn new(usable: Usable, errors: &ConfigErrors) -> Self {
        let payload = serde_json::to_vec(&Mistakes { mistakes: errors.mistakes() });
        let Usable { camera, broker, .. } = usable;
        let way = camera.zip(broker).and_then(|(camera, broker)| {
            let link = Link::new(camera.clone(), broker, Clock::system(), false);
            if let Err(error) = &link {
                warn!(%error, "the broker cannot be told of the mistakes");
            }
            Some((camera, link.ok()?))
        });
        Self { payload: payload.expect("texts are JSON").into(), way }
    }

    /// Waits for a connection, and tells. Cancel-safe.
    async fn tell(&mut self) {
        match &mut self.way {
            Some((camera, link)) => {
                if let Signal::Up { .. } = link.next().await {
                    link.say(message(camera, self.payload.clone()));
                }
            }
            None => std::future::pending().await,
        }
    }
}
