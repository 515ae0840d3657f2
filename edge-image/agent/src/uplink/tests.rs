//! A camera, its backlog and a link between two clocks' ticks: what comes of them over minutes.

use std::ops::Range;

use proptest::prelude::*;
use teiten_footage::{BootId, FrameId, Timestamp};

use super::*;
use crate::outbox::Entry;

const FRAME_BYTES: usize = 30_000;
const TICK: Duration = Duration::from_millis(5);

/// What goes over a link that carries `bytes_per_second(seconds)`, one frame after the other.
struct Run {
    uplink: Uplink,
    flights: Flights,
    round_trip: Duration,
    /// PUBACKs come together, once in this time.
    bunch: Duration,
    start: Instant,
    now: Instant,
    sequence: u64,
    /// To be sent: identity, bytes still to go.
    queue: VecDeque<(FrameId, f64)>,
    /// PUBACKs, and when they come.
    acks: VecDeque<(FrameId, Instant)>,
    backlog: usize,
    next_capture: Instant,
    /// When each live frame arrived, and how long after its capture.
    arrived: Vec<(Duration, Duration)>,
    /// When the limit was changed, and to what.
    limits: Vec<(Duration, Option<f64>)>,
    backlog_bytes: usize,
}

impl Run {
    fn new(share: f64, backlog: usize) -> Self {
        Self::far_away(share, backlog, Duration::ZERO)
    }

    fn far_away(share: f64, backlog: usize, round_trip: Duration) -> Self {
        let now = Instant::now();
        let mut uplink = Uplink::new(Share::new(share).unwrap());
        uplink.connected(round_trip);
        Self {
            uplink,
            flights: Flights::default(),
            round_trip,
            bunch: TICK,
            start: now,
            now,
            sequence: 0,
            queue: VecDeque::new(),
            acks: VecDeque::new(),
            backlog,
            next_capture: now,
            arrived: Vec::new(),
            limits: vec![(Duration::ZERO, None)],
            backlog_bytes: 0,
        }
    }

    /// Goes on for `seconds` with a camera of `rate` frames a second.
    fn go(&mut self, seconds: u64, rate: f64, bytes_per_second: impl Fn(f64) -> f64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            if self.next_capture <= self.now {
                self.send(Way::Live);
                self.capture(rate);
            }
            while self.backlog > 0 && self.uplink.has_room_for_backlog(&self.flights, self.now) {
                self.backlog -= 1;
                self.send(Way::Backlog);
            }
            let mut bytes = bytes_per_second((self.now - self.start).as_secs_f64()) * TICK.as_secs_f64();
            self.now += TICK;
            while let Some((id, left)) = self.queue.front_mut()
                && bytes > 0.0
            {
                let sent = bytes.min(*left);
                bytes -= sent;
                *left -= sent;
                if *left > 0.0 {
                    break;
                }
                let bunches = (self.now - self.start).div_duration_f64(self.bunch).ceil();
                self.acks.push_back((*id, self.start + self.bunch.mul_f64(bunches) + self.round_trip));
                self.queue.pop_front();
            }
            while self.acks.front().is_some_and(|(_, at)| *at <= self.now) {
                let (id, _) = self.acks.pop_front().unwrap();
                self.land(id);
            }
        }
    }

    /// There is no connection for `seconds`, and another one after that. What is captured meanwhile is backlog.
    fn outage(&mut self, seconds: u64, rate: f64) {
        self.backlog += self.flights.end().count();
        self.queue.clear();
        self.acks.clear();
        self.uplink.disconnected();
        let end = self.now + Duration::from_secs(seconds);
        while self.next_capture < end {
            self.now = self.next_capture;
            self.capture(rate);
            self.backlog += 1;
        }
        self.now = end;
        self.uplink.connected(self.round_trip);
    }

    /// A frame was captured: when the next one will be.
    fn capture(&mut self, rate: f64) {
        let limit = self.uplink.captured(&self.flights, self.now);
        let limit = limit.map(|limit| 1.0 / limit.period().as_secs_f64());
        if self.limits.last().unwrap().1 != limit {
            self.limits.push((self.now - self.start, limit));
        }
        self.next_capture += Duration::from_secs_f64(1.0 / limit.unwrap_or(rate).min(rate));
    }

    fn send(&mut self, way: Way) {
        let id = FrameId { boot: BootId(1), sequence: self.sequence };
        self.sequence += 1;
        self.flights.depart(id, Flight { way, bytes: FRAME_BYTES, since: self.now });
        self.uplink.departed(way, FRAME_BYTES, self.now);
        self.queue.push_back((id, FRAME_BYTES as f64));
    }

    fn land(&mut self, id: FrameId) {
        let flight = self.flights.land(id).unwrap();
        self.uplink.landed(flight, self.now);
        match flight.way {
            Way::Live => self.arrived.push((self.now - self.start, self.now - flight.since)),
            Way::Backlog => self.backlog_bytes += FRAME_BYTES,
        }
    }

    fn delays(&self, seconds: Range<u64>) -> Vec<Duration> {
        let within = |at: &Duration| seconds.contains(&at.as_secs());
        self.arrived.iter().filter(|(at, _)| within(at)).map(|(_, delay)| *delay).collect()
    }

    fn longest_delay(&self, seconds: Range<u64>) -> Duration {
        self.delays(seconds).into_iter().max().unwrap_or_default()
    }

    fn limit(&self) -> Option<f64> {
        self.limits.last().unwrap().1
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn of_another_limit_it_is_known_whether_more_or_fewer_pictures_are_taken() {
    let [slow, fast] = [2.0, 2.5].map(|per_second| Some(Rate::new(per_second).unwrap()));
    for (before, now, change) in [
        (None, None, None),
        (slow, slow, None),
        (None, fast, Some(Change::Fewer)),
        (fast, slow, Some(Change::Fewer)),
        (slow, fast, Some(Change::More)),
        (fast, None, Some(Change::All)),
    ] {
        assert_eq!(Change::of(before, now), change, "{before:?} to {now:?}");
    }
}

#[test]
fn a_link_that_is_fast_enough_is_left_alone() {
    let mut run = Run::new(0.5, 0);
    run.go(300, 15.0, |_| 15.0 * 1.2 * FRAME_BYTES as f64);
    assert_eq!(run.limits, [(Duration::ZERO, None)]);
    assert_eq!(run.arrived.len(), 15 * 300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn on_a_slow_link_the_rate_falls_and_the_delay_stays_bounded(
        rate in 5.0..30.0f64,
        carried in 0.2..0.9f64,
        bunch in 5..600u64,
    ) {
        let mut run = Run { bunch: Duration::from_millis(bunch), ..Run::new(0.5, 0) };
        let per_second = rate * carried;
        run.go(600, rate, |_| per_second * FRAME_BYTES as f64);
        let longest = run.longest_delay(60..600);
        prop_assert!(longest < 4 * SECOND, "{longest:?} at {per_second}/s of {rate}/s");
        let used = run.delays(60..600).len() as f64 / (540.0 * per_second);
        // What a link carries is told less exactly by PUBACKs in bunches.
        let least = if bunch < 50 { 0.75 } else { 0.7 };
        prop_assert!(used > least, "{used} of what the link carries, not {least}");
        let changes = run.limits.iter().filter(|(at, _)| at.as_secs() > 300).count();
        // Each try is three (raised, lowered, back once that is let off), and the quiet before it doubles: five at most.
        prop_assert!(changes <= 15, "{changes} changes in five minutes: {:?}", run.limits);
    }
}

#[test]
fn pubacks_that_come_in_bunches_tell_a_slow_link_as_well() {
    // A Wi-Fi that saves power, or a broker that waits for more to send.
    for millis in [100, 300, 500] {
        let mut run = Run { bunch: Duration::from_millis(millis), ..Run::new(0.5, 0) };
        run.go(300, 25.0, |_| 14.0 * FRAME_BYTES as f64);
        let longest = run.longest_delay(60..300);
        assert!(longest < 4 * SECOND, "{longest:?} with bunches each {millis} ms");
        let used = run.delays(60..300).len() as f64 / (240.0 * 14.0);
        assert!(used > 0.75, "{used} of the link with bunches each {millis} ms");
    }
}

#[test]
fn a_link_that_gets_better_is_used_again() {
    let mut run = Run::new(0.5, 0);
    let frame = FRAME_BYTES as f64;
    run.go(60, 15.0, |_| 5.0 * frame);
    assert!(run.limit().is_some_and(|limit| limit < 6.0), "{:?}", run.limits);
    run.go(180, 15.0, |_| 40.0 * frame);
    assert_eq!(run.limit(), None, "{:?}", run.limits);
    assert!(run.longest_delay(100..240) < SECOND);
}

#[test]
fn an_outage_of_the_link_lowers_no_rate() {
    let mut run = Run::new(0.5, 0);
    let frame = FRAME_BYTES as f64;
    // Nothing goes through for half a minute, and the connection survives it.
    run.go(120, 15.0, |seconds| if (30.0..60.0).contains(&seconds) { 0.0 } else { 60.0 * frame });
    assert_eq!(run.limits, [(Duration::ZERO, None)]);
}

#[test]
fn an_outage_lowers_not_even_a_low_rate() {
    for rate in [0.5, 1.0, 2.0, 3.0] {
        let mut run = Run::new(0.5, 0);
        let frame = FRAME_BYTES as f64;
        run.go(40, rate, |seconds| if seconds > 20.2 { 0.0 } else { 60.0 * frame });
        assert_eq!(run.limits, [(Duration::ZERO, None)], "at {rate}/s");
    }
}

#[test]
fn an_outage_raises_no_rate_that_the_link_did_not_carry() {
    let mut run = Run::new(0.5, 0);
    let slow = |_| 5.0 * FRAME_BYTES as f64;
    run.go(60, 15.0, slow);
    let before = run.limit().unwrap();
    run.outage(300, 15.0);
    assert_eq!(run.limit(), Some(before));
    run.go(300, 15.0, slow);
    assert!(run.longest_delay(360..660) < 4 * SECOND, "{:?}", run.longest_delay(360..660));
}

#[test]
fn what_was_to_be_let_off_is_no_more_after_an_outage() {
    let mut run = Run::new(0.5, 0);
    let slow = |_| 5.0 * FRAME_BYTES as f64;
    run.go(4, 15.0, slow);
    assert!(run.limit().is_some_and(|limit| limit < 4.0), "{:?}", run.limits);
    run.outage(60, 15.0);
    assert!(run.limit().is_some_and(|limit| (4.0..5.0).contains(&limit)), "{:?}", run.limits);
}

#[test]
fn a_link_that_is_worse_after_an_outage_is_noticed_soon_however_much_was_under_way_before() {
    let mut run = Run::new(0.5, 0);
    let frame = FRAME_BYTES as f64;
    run.go(20, 15.0, |_| frame);
    run.outage(5, 15.0);
    run.go(275, 15.0, |_| 0.3 * frame);
    let longest = run.longest_delay(25..300);
    assert!(longest < 60 * SECOND, "{longest:?}");
}

#[test]
fn a_link_that_is_better_after_an_outage_is_used_soon_however_long_it_was_slow() {
    let mut run = Run::new(0.5, 0);
    let frame = FRAME_BYTES as f64;
    run.go(900, 15.0, |_| 5.0 * frame);
    run.outage(300, 15.0);
    assert!(run.limit().is_some());
    run.go(60, 15.0, |_| 40.0 * frame);
    assert_eq!(run.limit(), None, "{:?}", run.limits);
}

#[test]
fn a_backlog_has_its_share_and_delays_live_frames_little() {
    for share in [0.2, 0.5] {
        let mut run = Run::new(share, 100_000);
        let link = 60.0 * FRAME_BYTES as f64;
        run.go(120, 10.0, |_| link);
        let used = run.backlog_bytes as f64 / (120.0 * link);
        assert!((0.4 * share..=1.05 * share).contains(&used), "{used} of the link with a share of {share}");
        assert!(run.longest_delay(5..120) < SECOND, "{:?}", run.longest_delay(5..120));
        assert_eq!(run.limits, [(Duration::ZERO, None)]);
    }
}

#[test]
fn a_long_round_trip_is_neither_use_nor_lag() {
    for millis in [300, 800] {
        let round_trip = Duration::from_millis(millis);
        let mut run = Run::far_away(0.5, 100_000, round_trip);
        let link = 60.0 * FRAME_BYTES as f64;
        run.go(120, 10.0, |_| link);
        let used = run.backlog_bytes as f64 / (120.0 * link);
        assert!((0.2..=0.525).contains(&used), "{used} of a link with a round trip of {millis} ms");
        assert!(run.longest_delay(5..120) < round_trip + SECOND, "{:?}", run.longest_delay(5..120));
        assert_eq!(run.limits, [(Duration::ZERO, None)]);
    }
}

#[test]
fn a_way_that_gets_longer_is_no_lag_for_good() {
    let mut run = Run::new(0.5, 100_000);
    let link = 60.0 * FRAME_BYTES as f64;
    run.go(60, 10.0, |_| link);
    run.round_trip = Duration::from_millis(800);
    run.go(90, 10.0, |_| link);
    let before = run.backlog_bytes;
    run.go(120, 10.0, |_| link);
    let used = (run.backlog_bytes - before) as f64 / (120.0 * link);
    assert!((0.2..=0.525).contains(&used), "{used} of a link that got longer");
    assert!(run.longest_delay(150..270) < run.round_trip + SECOND, "{:?}", run.longest_delay(150..270));
    assert_eq!(run.limits, [(Duration::ZERO, None)]);
}

#[test]
fn a_round_trip_that_was_measured_too_long_is_made_good() {
    let mut run = Run::new(0.2, 100_000);
    run.uplink.connected(Duration::from_secs(30));
    let link = 60.0 * FRAME_BYTES as f64;
    run.go(120, 10.0, |_| link);
    let used = run.backlog_bytes as f64 / (120.0 * link);
    assert!((0.08..=0.25).contains(&used), "{used} of the link with a share of 0.2");
}

#[test]
fn on_a_link_that_live_frames_fill_the_backlog_waits() {
    let mut run = Run::new(0.5, 1000);
    run.go(300, 15.0, |_| 8.0 * FRAME_BYTES as f64);
    assert!(run.longest_delay(60..300) < 4 * SECOND, "{:?}", run.longest_delay(60..300));
    assert!(run.delays(60..300).len() > 240 * 4, "{} live frames", run.delays(60..300).len());
    assert!(run.backlog < 1000, "what live frames leave is the backlog's");
}

#[test]
fn what_was_under_way_with_a_connection_ends_with_it() {
    let (mut uplink, mut flights) = (Uplink::new(Share::default()), Flights::default());
    let now = Instant::now();
    for (sequence, way, bytes) in [(0, Way::Backlog, PORTION_BYTES_MAX), (1, Way::Live, FRAME_BYTES)] {
        flights.depart(FrameId { boot: BootId(1), sequence }, Flight { way, bytes, since: now });
        uplink.departed(way, bytes, now);
    }
    assert!(!uplink.has_room_for_backlog(&flights, now + SECOND));
    assert_eq!(flights.end().count(), 2);
    uplink.disconnected();
    assert!(uplink.has_room_for_backlog(&flights, now + SECOND));
    assert_eq!(uplink.backlog_due(&Outbox::default(), now), None);
}

#[test]
fn a_frame_that_is_due_wakes_nobody_while_live_frames_lag() {
    let (mut uplink, mut outbox, start) = (Uplink::new(Share::default()), Outbox::default(), Instant::now());
    let entry = |sequence: u64| {
        let captured = Timestamp::Y2020 + SECOND * sequence as u32;
        Entry { id: FrameId { boot: BootId(1), sequence }, captured, bytes: FRAME_BYTES }
    };
    outbox.connected();
    let mut live = |outbox: &mut Outbox, sequence, now| {
        assert!(outbox.captured(entry(sequence), now));
        uplink.departed(Way::Live, FRAME_BYTES, now);
    };
    live(&mut outbox, 0, start);
    let flight = outbox.acked(entry(0).id, start).unwrap();
    live(&mut outbox, 1, start + 14 * SECOND);
    uplink.landed(flight, start);
    let due = outbox.wake_at().unwrap();
    let late = due + SECOND;
    assert_eq!(uplink.backlog_due(&outbox, late), None, "only a PUBACK, or the connection's end, makes room");
    let flight = outbox.acked(entry(1).id, late).unwrap();
    uplink.landed(flight, late);
    assert_eq!(uplink.backlog_due(&outbox, late), Some(due));
    assert_eq!(outbox.next(late), Some(entry(0).id));
}
