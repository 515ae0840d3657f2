//! Decides which frame is sent when, until the bridge says that it is stored (docs/formats.md, "The stored
//! acknowledgement"). No I/O and no clock: the agent tells the outbox what happened, and asks it what to do.
//!
//! A frame goes one of two ways. A *live* one was captured while there was a connection, and is sent at once,
//! as long as no more than [`UNSTORED_FRAMES_MAX`] such frames ([`UNSTORED_BYTES_MAX`] bytes) lack the broker's
//! PUBACK. All others are the *backlog*: sent oldest first, behind the live ones, with as many frames and bytes
//! at most sent and not yet stored. Live frames are not held to what is unstored, since the bridge keeps a
//! window open for up to 6 s: at 15 frames a second, a window would have to wait for its own end.
//!
//! What is handed to the connection cannot be overtaken. So that a long backlog does not delay the live
//! frames, it is handed over in small portions: only while fewer than [`PORTION_FRAMES`] frames
//! ([`PORTION_BYTES`] bytes) of it lack their PUBACK. How many live ones do says little, as long as there is room for more:
//! over a long way there always are some. Whether those lag is [`crate::uplink`]'s to see.
//!
//! A frame is sent again, as part of the backlog,
//! - when the connection ended before its PUBACK;
//! - [`AFTER_HELLO`] after a bridge's hello, if it was sent before the hello and is still not stored;
//! - when it is still not stored [`RESEND_FIRST`] after its PUBACK, and so on with doubled waits up to
//!   [`RESEND_MAX`].
//!
//! The waits count from the PUBACK: without one, the frame is still on its way and sending it again would only
//! make that longer.
//!
//! A broker may take frames and drop them: Mosquitto does, with a PUBACK, if they are another camera's than its
//! certificate's. So the outbox also knows for how long nobody has said of frames that have their PUBACK that they are
//! stored ([`Outbox::unstored_for`]).
//!
//! A frame that the spool does not give just now waits as long before it is asked for again. It had its turn in vain, as
//! has a frame that was sent again and that nobody stores while others are stored. It comes behind all that had fewer turns
//! in vain, so that it holds up no other, however many there are of its kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use teiten_footage::{
    FrameId, Stored, Timestamp,
    limits::{UNSTORED_BYTES_MAX, UNSTORED_FRAMES_MAX},
};

use crate::flights::{Flight, Flights, Load, Way};

/// How long after a hello a frame that was sent before it may still be reported stored.
pub(crate) const AFTER_HELLO: Duration = Duration::from_secs(3);
/// How long after its PUBACK a frame is first sent again.
pub(crate) const RESEND_FIRST: Duration = Duration::from_secs(15);
/// The longest wait before a frame is sent again.
pub(crate) const RESEND_MAX: Duration = Duration::from_secs(120);
/// Backlog is handed over only while fewer frames of it than this lack their PUBACK.
pub(crate) const PORTION_FRAMES: usize = 8;
/// Backlog is handed over only while it makes no more bytes than this lack their PUBACK (one frame always may).
pub(crate) const PORTION_BYTES: usize = 512 << 10;

/// For how long it is usual that nobody says of frames that the broker has that they are stored: some times what a
/// window, the bridge's grace and an outage of the storage's take.
pub(crate) const UNSTORED_USUAL: Duration = Duration::from_secs(60);

/// The most frames that ever lack their PUBACK.
pub(crate) const UNACKED_MAX: usize = UNSTORED_FRAMES_MAX + PORTION_FRAMES;

/// A frame as the outbox knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: FrameId,
    pub(crate) captured: Timestamp,
    pub(crate) bytes: usize,
}

/// Frames that are not stored yet, and what became of each.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    connected: bool,
    items: BTreeMap<FrameId, Item>,
    /// What is in [`State::Waiting`], by its [`Item::turn`].
    waiting: BTreeSet<(u32, Timestamp, FrameId)>,
    /// What is in [`State::Acked`], by the time it is due.
    due: BTreeSet<(Instant, FrameId)>,
    /// What is in [`State::PutOff`], by the time it is due.
    put_off: BTreeSet<(Instant, FrameId)>,
    /// What this connection was given.
    flights: Flights,
    /// Backlog items that are under way or acked.
    backlog_unstored: Load,
    /// On this connection, the first PUBACK of a frame that is not stored, after which nobody said of any that it is.
    unstored_since: Option<Instant>,
}

#[derive(Debug)]
struct Item {
    captured: Timestamp,
    bytes: usize,
    state: State,
    /// How long after its next PUBACK, or after it could not be had, it is due.
    wait: Duration,
    /// How often it could not be had, or was sent again and was not stored while others were.
    in_vain: u32,
}

impl Item {
    /// Oldest first, of those that were in vain as often.
    fn turn(&self, id: FrameId) -> (u32, Timestamp, FrameId) {
        (self.in_vain, self.captured, id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be sent when its turn comes.
    Waiting,
    /// Given to the connection; a bridge said hello meanwhile.
    UnderWay { way: Way, hello: Option<Instant> },
    /// The broker has it; to be sent again when it is due.
    Acked { way: Way, since: Instant, due: Instant },
    /// It could not be had; to be sent when it is due.
    PutOff { due: Instant },
}

/// Whether one more frame of `bytes` may be with it.
fn has_room(load: Load, bytes: usize) -> bool {
    load.frames < UNSTORED_FRAMES_MAX && load.bytes + bytes <= UNSTORED_BYTES_MAX
}

impl Outbox {
    /// A frame was captured. Whether it is to be sent right now; if not, it is backlog.
    #[must_use]
    pub(crate) fn captured(&mut self, entry: Entry, now: Instant) -> bool {
        let send = self.connected && has_room(self.flights.live(), entry.bytes);
        self.add_waiting(entry);
        if send {
            self.depart(entry.id, Way::Live, now);
        }
        send
    }

    /// A frame of an earlier run was found.
    pub(crate) fn found(&mut self, entry: Entry) {
        self.add_waiting(entry);
    }

    /// The connection is ready for frames: it hears what is said of them from now on.
    pub(crate) fn connected(&mut self) {
        self.connected = true;
    }

    /// The connection is gone: what it has no PUBACK of waits again.
    pub(crate) fn disconnected(&mut self) {
        self.connected = false;
        self.unstored_since = None;
        for id in self.flights.end() {
            if self.items.get(&id).is_some_and(|item| matches!(item.state, State::UnderWay { .. })) {
                self.wait_again(id);
            }
        }
    }

    /// The frame of the backlog that is to be sent right now, if any.
    pub(crate) fn next(&mut self, now: Instant) -> Option<FrameId> {
        self.collect_due(now);
        let &(_, _, id) = self.waiting.first()?;
        let bytes = self.items[&id].bytes;
        let unacked = self.flights.backlog();
        let portion_has_room = unacked.frames == 0
            || (unacked.frames < PORTION_FRAMES && unacked.bytes + bytes <= PORTION_BYTES);
        let link_has_room = self.connected && has_room(self.flights.live(), bytes);
        if !link_has_room || !portion_has_room || !has_room(self.backlog_unstored, bytes) {
            return None;
        }
        self.depart(id, Way::Backlog, now);
        Some(id)
    }

    /// When [`Outbox::next`] may give a frame that it does not give now, without anything else happening.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.first_due().filter(|_| self.connected).map(|(due, _)| due)
    }

    /// What is under way.
    pub(crate) fn flights(&self) -> &Flights {
        &self.flights
    }

    /// The broker has the frame, which was under way.
    pub(crate) fn acked(&mut self, id: FrameId, now: Instant) -> Option<Flight> {
        let flight = self.flights.land(id)?;
        self.await_stored(id, now);
        Some(flight)
    }

    fn await_stored(&mut self, id: FrameId, now: Instant) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let State::UnderWay { way, hello } = item.state else { return };
        let due = match hello {
            Some(hello) => now.max(hello + AFTER_HELLO),
            None => now + item.wait,
        };
        item.state = State::Acked { way, since: now, due };
        self.due.insert((due, id));
        self.unstored_since.get_or_insert(now);
    }

    /// For how long nobody has said of frames that the broker has that they are stored, if that is longer than usual.
    pub(crate) fn unstored_for(&self, now: Instant) -> Option<Duration> {
        let time = now.saturating_duration_since(self.unstored_since?);
        (time >= UNSTORED_USUAL).then_some(time)
    }

    /// A bridge said hello: what was sent before may have reached nobody.
    pub(crate) fn hello(&mut self, now: Instant) {
        for id in self.flights.ids() {
            if let Some(Item { state: State::UnderWay { hello, .. }, wait, .. }) = self.items.get_mut(id) {
                *hello = Some(now);
                *wait = RESEND_FIRST;
            }
        }
        for (due, id) in std::mem::take(&mut self.due) {
            let due = due.min(now + AFTER_HELLO);
            if let Some(item) = self.items.get_mut(&id)
                && let State::Acked { way, since, .. } = item.state
            {
                item.state = State::Acked { way, since, due };
                item.wait = RESEND_FIRST;
                self.due.insert((due, id));
            }
        }
    }

    /// Since when the broker has the last of these frames, as far as it is to be stored yet.
    pub(crate) fn last_acked(&self, stored: &Stored) -> Option<Instant> {
        let since = |item: &Item| match item.state {
            State::Acked { since, .. } => Some(since),
            _ => None,
        };
        self.ours(stored).filter_map(|(_, item)| since(item)).max()
    }

    fn ours(&self, stored: &Stored) -> impl Iterator<Item = (&FrameId, &Item)> {
        let id = |sequence| FrameId { boot: stored.boot(), sequence };
        let ranges = stored.ranges().iter();
        ranges.flat_map(move |range| self.items.range(id(*range.start())..=id(*range.end())))
    }

    /// Frames are stored. Those of ours, which may be deleted now.
    pub(crate) fn stored(&mut self, stored: &Stored) -> Vec<FrameId> {
        self.unstored_since = None;
        let ids: Vec<FrameId> = self.ours(stored).map(|(id, _)| *id).collect();
        for id in &ids {
            self.forget(*id);
        }
        ids
    }

    /// The frame that [`Outbox::next`] gave cannot be sent, now or ever.
    pub(crate) fn unreadable(&mut self, id: FrameId) {
        self.forget(id);
        self.flights.land(id);
    }

    /// The frame that [`Outbox::next`] gave cannot be had now: it comes later, behind others.
    pub(crate) fn unavailable(&mut self, id: FrameId, now: Instant) {
        self.leave_state(id);
        self.flights.land(id);
        if let Some(item) = self.items.get_mut(&id) {
            let due = now + item.wait;
            item.state = State::PutOff { due };
            self.put_off.insert((due, id));
        }
    }

    /// The frame is no more, stored or not.
    pub(crate) fn forget(&mut self, id: FrameId) {
        self.leave_state(id);
        self.items.remove(&id);
    }

    /// Of the frames that are still to be sent, those that `may_be_left` are not to be sent any more: how many.
    pub(crate) fn leave_waiting(&mut self, may_be_left: impl Fn(FrameId) -> bool) -> usize {
        let to_send = self.waiting.iter().map(|(_, _, id)| id).chain(self.put_off.iter().map(|(_, id)| id));
        let left: Vec<FrameId> = to_send.copied().filter(|id| may_be_left(*id)).collect();
        left.iter().for_each(|id| self.forget(*id));
        left.len()
    }

    /// How many frames are not stored.
    pub(crate) fn unstored(&self) -> usize {
        self.items.len()
    }

    /// How many frames were sent and are not stored.
    pub(crate) fn sent(&self) -> usize {
        self.items.len() - self.waiting.len() - self.put_off.len()
    }

    fn add_waiting(&mut self, entry: Entry) {
        let Entry { id, captured, bytes } = entry;
        let item = Item { captured, bytes, state: State::Waiting, wait: RESEND_FIRST, in_vain: 0 };
        self.waiting.insert(item.turn(id));
        let before = self.items.insert(id, item);
        debug_assert!(before.is_none(), "a frame's identity is used once");
    }

    fn first_due(&self) -> Option<(Instant, FrameId)> {
        self.due.first().into_iter().chain(self.put_off.first()).min().copied()
    }

    /// Moves what is due to the waiting frames.
    fn collect_due(&mut self, now: Instant) {
        while let Some((due, id)) = self.first_due()
            && due <= now
        {
            if let Some(item) = self.items.get_mut(&id) {
                item.in_vain += u32::from(match item.state {
                    // The first time it may have been lost with its bridge. If nothing was stored since, it is no matter of
                    // this frame.
                    State::Acked { since, .. } => {
                        item.wait > RESEND_FIRST && self.unstored_since.is_none_or(|quiet| since < quiet)
                    }
                    _ => true,
                });
                item.wait = (item.wait * 2).min(RESEND_MAX);
            }
            self.wait_again(id);
        }
    }

    fn wait_again(&mut self, id: FrameId) {
        self.leave_state(id);
        if let Some(item) = self.items.get_mut(&id) {
            item.state = State::Waiting;
            self.waiting.insert(item.turn(id));
        }
    }

    /// A waiting frame is given to the connection.
    fn depart(&mut self, id: FrameId, way: Way, now: Instant) {
        self.leave_state(id);
        let Some(item) = self.items.get_mut(&id) else { return };
        let bytes = item.bytes;
        item.state = State::UnderWay { way, hello: None };
        self.flights.depart(id, Flight { way, bytes, since: now });
        if way == Way::Backlog {
            self.backlog_unstored.add(bytes);
        }
    }

    /// Takes a frame out of whatever its state keeps it in. Its flight goes on.
    fn leave_state(&mut self, id: FrameId) {
        let Some(item) = self.items.get(&id) else { return };
        match item.state {
            State::Waiting => {
                self.waiting.remove(&item.turn(id));
            }
            State::UnderWay { way, .. } => {
                if way == Way::Backlog {
                    self.backlog_unstored.remove(item.bytes);
                }
            }
            State::Acked { way, due, .. } => {
                self.due.remove(&(due, id));
                if way == Way::Backlog {
                    self.backlog_unstored.remove(item.bytes);
                }
            }
            State::PutOff { due } => {
                self.put_off.remove(&(due, id));
            }
        }
    }
}

#[cfg(test)]
mod tests;
