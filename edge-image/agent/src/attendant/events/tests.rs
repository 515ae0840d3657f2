use std::time::Duration;

use teiten_footage::{Timestamp, sensor::SensorKind};

use super::*;
use crate::{
    clock::{Clock, Reading},
    config::Broker,
};

/// A camera's events, and a link that never comes about.
fn bench() -> (Events, Link) {
    let camera = CameraId::new("front-door").unwrap();
    let clock = Clock::new(|| Reading { wall: Timestamp::Y2020, synchronized: true });
    let link = Link::new(camera.clone(), Broker::plain("127.0.0.1", 1), clock, false).unwrap();
    (Events::of(camera), link)
}

fn event(state: SensorState, seconds: u64) -> SensorEvent {
    let at = Timestamp::Y2020 + Duration::from_secs(seconds);
    SensorEvent { kind: SensorKind::Motion, state, at }
}

fn waiting(events: &Events) -> Vec<SensorEvent> {
    events.waiting().copied().collect()
}

#[tokio::test]
async fn an_end_that_the_broker_has_is_said_once_more_after_a_hello() {
    let (mut events, mut link) = bench();
    let (started, ended) = (event(SensorState::Started, 0), event(SensorState::Ended, 5));
    events.keep(started, &mut link);
    events.keep(ended, &mut link);
    events.heard(0, &mut link);
    events.heard(1, &mut link);
    let hello = Instant::now();
    events.hello(hello);
    events.hello(hello + Duration::from_secs(2));
    events.say_again(hello + AFTER_HELLO - Duration::from_millis(1), &mut link);
    assert_eq!(waiting(&events), []);
    events.say_again(hello + AFTER_HELLO, &mut link);
    assert_eq!(waiting(&events), [ended]);
    events.heard(2, &mut link);
    events.say_again(hello + 10 * AFTER_HELLO, &mut link);
    assert_eq!(waiting(&events), []);
}

#[tokio::test]
async fn nothing_is_said_again_while_something_moves_or_what_is_on_its_way_already() {
    let (mut events, mut link) = bench();
    let mut hello = Instant::now();
    let mut say_hello = |events: &mut Events, link: &mut Link| {
        hello += 10 * AFTER_HELLO;
        events.hello(hello);
        events.say_again(hello + AFTER_HELLO, link);
    };
    say_hello(&mut events, &mut link);
    events.keep(event(SensorState::Ended, 5), &mut link);
    say_hello(&mut events, &mut link);
    assert_eq!(waiting(&events), [event(SensorState::Ended, 5)]);
    events.keep(event(SensorState::Started, 6), &mut link);
    events.heard(0, &mut link);
    events.heard(1, &mut link);
    say_hello(&mut events, &mut link);
    assert_eq!(waiting(&events), []);
}
