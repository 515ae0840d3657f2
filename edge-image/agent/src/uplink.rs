//! Shares the way to the broker between live frames and the backlog, and says how many live frames it can carry.
//! No I/O and no clock: the agent tells what departed and what has its PUBACK, and asks.
//!
//! *The backlog's share.* Backlog is sent in portions: when the last frame of one has its PUBACK, the next one
//! waits until the time that it used is no more than the backlog's share of the time since it began. Portions grow and
//! shrink so that each uses about [`PORTION_TIME`], which is thus the most that a live frame waits behind one. While
//! live frames lag, there is none.
//!
//! *The round trip.* A PUBACK is late by the way there and back, however fast the link; that is neither use nor lag, so
//! it is taken off. It is measured as a connection begins, by a small message, and no frame can have been faster. Should
//! the way get longer, the fastest frame of the last minute tells so, but within bounds: a queue that stands looks alike.
//!
//! *The rate of live frames.* If they have their PUBACKs later and later, and the link carries hardly more of them than
//! are captured, then it is slower than the camera, and fewer pictures are asked for; after some quiet time, more
//! again. A link that carries nothing at all is no slow one: an outage lowers no rate, and neither does the backlog
//! that it leaves. So what lags counts only while PUBACKs of live frames still come. Nor does an outage raise a rate that
//! was lowered: nothing lags that is not sent. What the link carries when it is back is tried soon, for it may be another one.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use crate::{
    config::{Rate, Share},
    flights::{Flight, Flights, Way},
    outbox::Outbox,
};

/// How long one portion of the backlog should use the link.
const PORTION_TIME: Duration = Duration::from_millis(500);
/// The first portion, and the smallest: of slow links, one frame.
const PORTION_BYTES_MIN: usize = 16 << 10;
/// The largest portion.
const PORTION_BYTES_MAX: usize = 512 << 10;

/// Live frames that have their PUBACK within this time, and a round trip, do not lag.
const LAG_LOW: Duration = Duration::from_millis(500);
/// With live frames that wait longer than this, the link is too slow or too much is sent.
const LAG_HIGH: Duration = Duration::from_millis(1500);

/// How long a frame that was faster than others tells the round trip; twice that at most.
const ROUND_TRIP_TOLD: Duration = Duration::from_secs(30);
/// By how much a round trip gets longer on one connection: less is a frame's own time on the link, more is a queue.
const ROUND_TRIP_RISE: RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(1);

/// How many of the last PUBACKs, and captured frames, rates are measured by: those of this time, but not fewer than
/// this.
const MEASURED_TIME: Duration = Duration::from_secs(4);
const MEASURED_MIN: usize = 5;
/// A space between two of them that is not shorter, nor typical, is a pause.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// A link with live frames that lag, and which carries no more than this of what is captured, is too slow: it would take
/// long to make up for the lag, if it is faster at all.
const CARRIED_BEYOND: f64 = 1.25;
/// What is asked for of what the link carried.
const MARGIN: f64 = 0.85;
/// By how much the rate rises at a time.
const RAISE: f64 = 1.25;
/// How long it is quiet before the rate rises, at first; after each time that this was too much, twice as long.
const QUIET_MIN: Duration = Duration::from_secs(5);
const QUIET_MAX: Duration = Duration::from_secs(120);
/// How long a lower rate has to take effect, beyond twice the time that what is under way needs.
const SETTLE: Duration = Duration::from_secs(3);
/// What is under way too much is let off in about this time, at a rate that is lower still.
const LET_OFF: Duration = Duration::from_secs(20);
/// That rate, at least, of what the link carries.
const LET_OFF_MIN: f64 = 0.3;
/// A link that carried everything for this long is a good one: what was learnt of it is forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// The shortest time from one preview to the next.
const PREVIEW_SPACING: Duration = Duration::from_millis(950);
/// The same where the link is slower than the camera: each takes a frame's place.
const PREVIEW_SPACING_SLOW: Duration = Duration::from_secs(30);

/// The way to the broker, as a camera sees it.
#[derive(Debug)]
pub(crate) struct Uplink {
    share: Share,
    round_trip: RoundTrip,
    /// Moments of the last PUBACKs of this connection.
    acks: VecDeque<Instant>,
    /// That of the last one of a live frame.
    live_ack: Option<Instant>,
    portion: Portion,
    /// Moments of the last captured frames.
    captures: VecDeque<Instant>,
    limit: Limit,
}

/// What another limit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Fewer,
    More,
    All,
}

impl Change {
    /// If it is another one.
    pub(crate) fn of(before: Option<Rate>, now: Option<Rate>) -> Option<Self> {
        match (before, now) {
            _ if before == now => None,
            (_, None) => Some(Self::All),
            (Some(before), Some(now)) if now > before => Some(Self::More),
            (_, Some(_)) => Some(Self::Fewer),
        }
    }
}

/// The way to the broker and back, on this connection.
#[derive(Debug, Default)]
struct RoundTrip {
    shortest: Duration,
    /// The shortest within the time that began at `since`, and the one before.
    recent: Option<Duration>,
    earlier: Option<Duration>,
    since: Option<Instant>,
}

/// The portion of the backlog that is under way, or the next one.
#[derive(Debug)]
struct Portion {
    bytes_max: usize,
    bytes: usize,
    frames: usize,
    since: Option<Instant>,
    /// The next one may not begin before.
    resume_at: Option<Instant>,
}

/// How many frames a second may be captured.
#[derive(Debug, Default)]
struct Limit {
    per_second: Option<f64>,
    /// What it is to be once live frames do not lag any more.
    target: f64,
    /// The rate before there was a limit.
    unlimited: f64,
    /// It is not lowered again before.
    settled_at: Option<Instant>,
    /// Since when live frames do not lag.
    quiet_since: Option<Instant>,
    /// How long that has to last for the limit to rise.
    quiet: Duration,
    /// When it was lifted again, if it was.
    lifted_at: Option<Instant>,
}

impl Uplink {
    /// A link of which the backlog may have `share`.
    pub(crate) fn new(share: Share) -> Self {
        let portion =
            Portion { bytes_max: PORTION_BYTES_MIN, bytes: 0, frames: 0, since: None, resume_at: None };
        Self {
            share,
            round_trip: RoundTrip::default(),
            acks: VecDeque::new(),
            live_ack: None,
            portion,
            captures: VecDeque::new(),
            limit: Limit { quiet: QUIET_MIN, ..Limit::default() },
        }
    }

    /// There is a connection, on which a small message went there and back in this time.
    pub(crate) fn connected(&mut self, round_trip: Duration) {
        self.round_trip = RoundTrip { shortest: round_trip, ..RoundTrip::default() };
    }

    /// A frame of `bytes` is handed to the connection.
    pub(crate) fn departed(&mut self, way: Way, bytes: usize, now: Instant) {
        if way == Way::Backlog {
            self.portion.since.get_or_insert(now);
            self.portion.bytes += bytes;
            self.portion.frames += 1;
        }
    }

    /// The broker has a frame.
    pub(crate) fn landed(&mut self, flight: Flight, now: Instant) {
        self.round_trip.took(now.saturating_duration_since(flight.since), now);
        remember(&mut self.acks, now);
        match flight.way {
            Way::Live => self.live_ack = Some(now),
            Way::Backlog => self.portion.landed(self.share, self.round_trip.get(), now),
        }
    }

    /// The connection is gone, and all that was under way with it.
    pub(crate) fn disconnected(&mut self) {
        self.round_trip = RoundTrip::default();
        self.acks.clear();
        self.live_ack = None;
        self.portion = Portion { bytes: 0, frames: 0, since: None, resume_at: None, ..self.portion };
        self.limit.disconnected();
    }

    /// Whether one more frame of the backlog may be sent now.
    pub(crate) fn has_room_for_backlog(&self, flights: &Flights, now: Instant) -> bool {
        let portion = &self.portion;
        self.lag(flights, now) < LAG_LOW
            && portion.resume_at.is_none_or(|resume| resume <= now)
            && portion.bytes < portion.bytes_max
    }

    /// When a frame of the backlog may be sent that may not now, without anything else happening. Where live frames lag, or a
    /// portion is under way, a PUBACK or the connection's end has to come first.
    pub(crate) fn backlog_due(&self, outbox: &Outbox, now: Instant) -> Option<Instant> {
        if self.has_room_for_backlog(outbox.flights(), now) {
            outbox.wake_at()
        } else {
            self.portion.resume_at.filter(|resume| *resume > now)
        }
    }

    /// How long after the last preview another one may be sent; `None` if none may be sent now.
    pub(crate) fn preview_spacing(&self, flights: &Flights, now: Instant) -> Option<Duration> {
        let spacing = if self.limit.is_forgotten() { PREVIEW_SPACING } else { PREVIEW_SPACING_SLOW };
        (self.lag(flights, now) < LAG_LOW).then_some(spacing)
    }

    /// A frame was captured: the most that are to be captured from now on, if there is a limit.
    pub(crate) fn captured(&mut self, flights: &Flights, now: Instant) -> Option<Rate> {
        remember(&mut self.captures, now);
        let lag = self.lag(flights, now);
        if lag < LAG_LOW && self.live_ack.is_some() {
            self.limit.raise_in_time(now);
        } else {
            self.limit.quiet_since = None;
        }
        if lag > LAG_HIGH
            && self.live_ack.is_some_and(|ack| now.saturating_duration_since(ack) < flights.live_age(now))
            && let (Some(carried), Some(captured)) =
                (per_second(&self.acks, now), per_second(&self.captures, now))
            && carried < captured * CARRIED_BEYOND
        {
            let under_way = flights.total().frames as f64;
            self.limit.lower(carried, captured, Duration::from_secs_f64(under_way / carried), now);
        }
        self.limit.per_second.and_then(|per_second| Rate::new(per_second.max(Rate::MIN_PER_SECOND)).ok())
    }

    /// For how long the oldest live frame that is under way has been so, beyond a round trip.
    fn lag(&self, flights: &Flights, now: Instant) -> Duration {
        flights.live_age(now).saturating_sub(self.round_trip.get())
    }
}

impl RoundTrip {
    /// A frame and its PUBACK took this long.
    fn took(&mut self, time: Duration, now: Instant) {
        self.shortest = self.shortest.min(time);
        if now.saturating_duration_since(*self.since.get_or_insert(now)) > ROUND_TRIP_TOLD {
            (self.earlier, self.recent, self.since) = (self.recent.take(), None, Some(now));
        }
        self.recent = Some(self.recent.map_or(time, |recent| recent.min(time)));
    }

    fn get(&self) -> Duration {
        // Nothing is said of a time of which there is no whole half.
        let Some((recent, earlier)) = self.recent.zip(self.earlier) else { return self.shortest };
        let rise = recent.min(earlier).saturating_sub(self.shortest);
        let counts = rise >= *ROUND_TRIP_RISE.start();
        self.shortest + if counts { rise.min(*ROUND_TRIP_RISE.end()) } else { Duration::ZERO }
    }
}

impl Portion {
    /// One frame of it has its PUBACK.
    fn landed(&mut self, share: Share, round_trip: Duration, now: Instant) {
        self.frames = self.frames.saturating_sub(1);
        if self.frames > 0 {
            return;
        }
        let Some(since) = self.since.take() else { return };
        let used = now.saturating_duration_since(since).saturating_sub(round_trip);
        self.resume_at = Some(since + share.period(used));
        if used > PORTION_TIME {
            self.bytes_max = (self.bytes_max / 2).max(PORTION_BYTES_MIN);
        } else if used < PORTION_TIME / 2 && self.bytes >= self.bytes_max {
            self.bytes_max = (self.bytes_max * 2).min(PORTION_BYTES_MAX);
        }
        self.bytes = 0;
    }
}

impl Limit {
    /// Whether there is none, and was none of late.
    fn is_forgotten(&self) -> bool {
        self.per_second.is_none() && self.lifted_at.is_none()
    }

    /// The link carried only so many of those that were captured, and needs `backed_up` for what is under way.
    fn lower(&mut self, carried: f64, captured: f64, backed_up: Duration, now: Instant) {
        if self.settled_at.is_some_and(|settled| now < settled) {
            return;
        }
        if self.per_second.is_some() || self.lifted_at.is_some() {
            // What it was raised to was too much: the next try has more time.
            self.quiet = (self.quiet * 2).min(QUIET_MAX);
        }
        if self.per_second.is_none() {
            self.unlimited = captured;
        }
        self.target = carried * MARGIN;
        let let_off = 1.0 - backed_up.as_secs_f64() / LET_OFF.as_secs_f64();
        self.per_second = Some(self.target * let_off.clamp(LET_OFF_MIN, 1.0));
        self.settled_at = Some(now + SETTLE + backed_up * 2);
    }

    /// Nothing is under way any more that would have to be let off. The next link may carry more, or less.
    fn disconnected(&mut self) {
        self.per_second = self.per_second.map(|_| self.target);
        self.settled_at = None;
        self.quiet = QUIET_MIN;
        self.quiet_since = None;
    }

    /// Live frames come through and do not lag.
    fn raise_in_time(&mut self, now: Instant) {
        let since = *self.quiet_since.get_or_insert(now);
        let Some(per_second) = self.per_second else {
            if self.lifted_at.is_some_and(|lifted| now.saturating_duration_since(lifted) > FORGET) {
                *self = Self { quiet: QUIET_MIN, ..Self::default() };
            }
            return;
        };
        if per_second < self.target {
            self.per_second = Some(self.target);
            return;
        }
        if now.saturating_duration_since(since) < self.quiet {
            return;
        }
        self.quiet_since = Some(now);
        let raised = per_second * RAISE;
        self.target = raised;
        self.per_second = (raised < self.unlimited).then_some(raised);
        self.lifted_at = self.per_second.is_none().then_some(now);
    }
}

fn remember(moments: &mut VecDeque<Instant>, now: Instant) {
    while moments.len() >= MEASURED_MIN && moments[0] + MEASURED_TIME < now {
        moments.pop_front();
    }
    moments.push_back(now);
}

/// How many there are in a second: the mean since the last pause, as PUBACKs come in bunches over a Wi-Fi that saves
/// power. `None` while there are too few, or none at all.
fn per_second(moments: &VecDeque<Instant>, now: Instant) -> Option<f64> {
    let ends = moments.iter().skip(1).copied().chain([now]);
    let mut spaces: Vec<Duration> =
        moments.iter().zip(ends).map(|(a, b)| b.saturating_duration_since(*a)).collect();
    let mut sorted = spaces.clone();
    sorted.sort_unstable();
    let pause = PAUSE_MIN.max(*sorted.get(sorted.len() / 2)? * 4);
    spaces.drain(..spaces.iter().rposition(|space| *space >= pause).map_or(0, |last| last + 1));
    // The last one has not ended.
    spaces.pop();
    let time: Duration = spaces.iter().sum();
    (spaces.len() + 1 >= MEASURED_MIN).then(|| spaces.len() as f64 / time.as_secs_f64().max(1e-3))
}

#[cfg(test)]
mod tests;
