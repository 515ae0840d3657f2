use std::time::Duration;

use teiten_footage::{
    SensorState::{self, Ended, Started},
    limits::SENSOR_AGE_MAX,
    sensor::SensorKind,
};

use super::*;
use crate::{
    clock::{Clock, Reading},
    config::Broker,
};

/// A camera's events, and a link that never comes about.
struct Bench {
    events: Events,
    link: Link,
    begun: Instant,
}

impl Bench {
    fn new() -> Self {
        let camera = CameraId::new("front-door").unwrap();
        let clock = Clock::new(|| Reading { wall: Timestamp::Y2020, synchronized: true });
        let link = Link::new(camera.clone(), Broker::plain("127.0.0.1", 1), clock, false).unwrap();
        Self { events: Events::of(camera), link, begun: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.begun + Duration::from_secs(seconds)
    }

    fn keep(&mut self, events: &[SensorEvent]) {
        events.iter().for_each(|event| self.events.keep(*event, &mut self.link));
    }

    /// The broker has what waits, since then.
    fn heard(&mut self, seconds: u64) {
        let waiting = self.events.kept.iter().filter(|kept| kept.acked.is_none());
        for number in waiting.map(|kept| kept.number).collect::<Vec<_>>() {
            let now = self.at(seconds);
            self.events.heard(number, now, &mut self.link);
        }
    }

    /// What is to be said after a hello of now, which is so long after the first event.
    fn said_after_hello(&mut self, since: Duration) -> Vec<SensorEvent> {
        let now = Instant::now();
        self.events.hello(now);
        self.events.say_again(now + AFTER_HELLO, Some(Timestamp::Y2020 + since), &mut self.link);
        self.waiting()
    }

    fn waiting(&self) -> Vec<SensorEvent> {
        self.events.waiting().copied().collect()
    }
}

fn event(state: SensorState, seconds: u64) -> SensorEvent {
    let at = Timestamp::Y2020 + Duration::from_secs(seconds);
    SensorEvent { kind: SensorKind::Motion, state, at }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_no_bridge_has_heard_is_said_again_in_order_after_a_bridges_hello() {
    let mut bench = Bench::new();
    let seen = [event(Started, 0), event(Ended, 5), event(Started, 9)];
    bench.keep(&seen);
    bench.heard(1);
    assert_eq!(bench.waiting(), []);
    let (hello, wall) = (bench.at(60), Some(Timestamp::Y2020 + MINUTE));
    bench.events.hello(hello);
    bench.events.hello(hello + Duration::from_secs(2));
    let early = hello + AFTER_HELLO - Duration::from_millis(1);
    bench.events.say_again(early, wall, &mut bench.link);
    assert_eq!(bench.waiting(), []);
    bench.events.say_again(hello + AFTER_HELLO, wall, &mut bench.link);
    assert_eq!(bench.waiting(), seen);
    bench.heard(70);
    bench.events.say_again(hello + 10 * AFTER_HELLO, wall, &mut bench.link);
    assert_eq!(bench.waiting(), [], "once for each hello");
    assert_eq!(bench.said_after_hello(MINUTE), seen, "nobody has said that he was there");
}

#[tokio::test]
async fn what_is_on_its_way_is_said_again_behind_what_came_before() {
    let mut bench = Bench::new();
    bench.keep(&[event(Ended, 5)]);
    bench.heard(1);
    bench.keep(&[event(Started, 6)]);
    assert_eq!(bench.said_after_hello(MINUTE), [event(Ended, 5), event(Started, 6)]);
}

#[tokio::test]
async fn an_event_is_let_go_once_a_frame_is_stored_that_the_broker_had_after_it() {
    let mut bench = Bench::new();
    bench.keep(&[event(Started, 0)]);
    bench.heard(10);
    bench.keep(&[event(Ended, 5)]);
    bench.heard(20);
    bench.keep(&[event(Started, 9)]);
    bench.events.stored(bench.at(10));
    assert_eq!(bench.events.kept.len(), 3, "the frame may have come before the first");
    bench.events.stored(bench.at(15));
    assert_eq!(bench.said_after_hello(MINUTE), [event(Ended, 5), event(Started, 9)]);
    bench.heard(30);
    bench.events.stored(bench.at(31));
    assert_eq!(bench.events.kept.len(), 0);
}

#[tokio::test]
async fn a_bridge_that_is_new_has_not_heard_what_came_before_the_frames_that_it_stores() {
    let mut bench = Bench::new();
    bench.keep(&[event(Ended, 5)]);
    bench.heard(10);
    bench.events.hello(bench.at(11));
    bench.events.stored(bench.at(12));
    let wall = Some(Timestamp::Y2020 + MINUTE);
    bench.events.say_again(bench.at(11) + AFTER_HELLO, wall, &mut bench.link);
    assert_eq!(bench.waiting(), [event(Ended, 5)]);
}

#[tokio::test]
async fn a_broker_that_is_new_may_not_have_what_the_one_before_had() {
    let mut bench = Bench::new();
    bench.keep(&[event(Started, 0), event(Ended, 5)]);
    bench.heard(10);
    bench.events.connected(Some(Timestamp::Y2020 + MINUTE), &mut bench.link);
    bench.events.stored(bench.at(20));
    assert_eq!(bench.waiting(), [event(Started, 0), event(Ended, 5)]);
}

#[tokio::test]
async fn what_no_bridge_takes_any_more_is_not_said_again() {
    let mut bench = Bench::new();
    bench.keep(&[event(Started, 0), event(Ended, 60)]);
    bench.heard(1);
    assert_eq!(bench.said_after_hello(SENSOR_AGE_MAX + MINUTE / 2), [event(Ended, 60)]);
    assert_eq!(bench.said_after_hello(SENSOR_AGE_MAX + 2 * MINUTE), []);
}

#[tokio::test]
async fn the_last_events_are_kept() {
    let mut bench = Bench::new();
    let many: Vec<_> = (0..100).map(|second| event(Started, second)).collect();
    bench.keep(&many);
    assert_eq!(bench.waiting(), many[many.len() - EVENTS_MAX..]);
}
