//! What the attendant does while the clock is not set.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{
    clock,
    config::{Broker, Gpio, InputPin, Pull},
    gpio::{Board, BoardError, Input, Listener, Output},
};

/// A board that has nothing but inputs, all of which are high.
struct Moving;

impl Input for Moving {
    fn is_high(&self) -> bool {
        true
    }
}

impl Board for Moving {
    fn listen(&mut self, _: u8, _: Pull, _: Listener) -> Result<Box<dyn Input>, BoardError> {
        Ok(Box::new(Self))
    }

    fn drive(&mut self, _: u8, _: bool) -> Result<Box<dyn Output>, BoardError> {
        Err(BoardError::NoGpio)
    }
}

#[tokio::test]
async fn what_the_sensor_sees_before_the_clock_is_set_is_told_once_it_is() {
    let is_set = Arc::new(AtomicBool::new(false));
    let synchronized = Arc::clone(&is_set);
    let clock = Clock::new(move || match synchronized.load(Ordering::Relaxed) {
        true => clock::Reading { wall: teiten_telemetry::now(), synchronized: true },
        false => clock::Reading { wall: Timestamp::from_unix_millis(0), synchronized: false },
    });
    let camera = CameraId::new("front-door").unwrap();
    let pir = Some(InputPin { pin: 17, active_high: true, pull: Pull::Down });
    let config = Config { gpio: Gpio { pir, ..Gpio::default() }, ..Config::new(camera.clone()) };
    let pictures = Pictures::start(&camera, &config.source).await.unwrap();
    let started = teiten_telemetry::now();
    let host = Host { board: Box::new(Moving), run_directory: None };
    let mut attendant = Attendant::new(&config, &pictures, clock.clone(), host);
    let mut link = Link::new(camera, Broker::plain("127.0.0.1", 1), clock, false).unwrap();

    let (mut pulses, mut motions) = (0, 0);
    while !attendant.has_events() {
        let due = attendant.next().await;
        attendant.attend(due, &Tally::default(), &mut link).await;
        pulses += u32::from(due == Due::Pulse);
        motions += u32::from(due == Due::Motion);
        assert!(pulses < 60 && motions < 5, "{motions} looks at the sensor in {pulses} s");
        is_set.store(pulses > 1, Ordering::Relaxed);
    }
    let event = attendant.events.waiting().next().unwrap();
    assert_eq!(event.state, SensorState::Started);
    assert!(event.at.since(started) < Duration::from_secs(1), "when it was, not when it is told");
}
