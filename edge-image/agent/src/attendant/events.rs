//! What sensors saw, until a bridge has it.
//!
//! The broker keeps nothing for a bridge that does not listen, and one that is stopped or killed may lose what it has heard. So an
//! event is kept when the broker has it, until a bridge says of a frame that came after it that it is stored: that bridge was
//! there. A new one says hello; then all that is kept is said once more, as on each new connection, whose broker may have lost
//! it: in order, so that whoever listens ends where the sensor is. To us a repeated event is one event.

use std::{collections::VecDeque, time::Instant};

use teiten_footage::{CameraId, SensorEvent, Timestamp, Topic};

use crate::{
    link::{Delivery, Link, Message},
    outbox::AFTER_HELLO,
};

/// Events that are kept; the oldest make room.
const EVENTS_MAX: usize = 64;

/// See the head of this file.
pub(super) struct Events {
    topic: String,
    /// By their numbers, the oldest first.
    kept: VecDeque<Kept>,
    /// This connection was given those with lower numbers.
    told: u64,
    next: u64,
    /// When all are said once more.
    again: Option<Instant>,
}

struct Kept {
    number: u64,
    event: SensorEvent,
    /// Since when the broker has it.
    acked: Option<Instant>,
}

impl Events {
    /// Those of a camera: none yet.
    pub(super) fn of(camera: CameraId) -> Self {
        let topic = Topic::Event(camera).to_string();
        Self { topic, kept: VecDeque::new(), told: 0, next: 0, again: None }
    }

    /// Those that the broker does not have, the oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &SensorEvent> {
        self.kept.iter().filter(|kept| kept.acked.is_none()).map(|kept| &kept.event)
    }

    /// The link is up, and was given none of them. It is so late.
    pub(super) fn connected(&mut self, wall: Option<Timestamp>, link: &mut Link) {
        self.again = None;
        self.say_all(wall, link);
    }

    /// The broker has the message with this number.
    pub(super) fn heard(&mut self, number: u64, now: Instant, link: &mut Link) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.number == number) {
            kept.acked.get_or_insert(now);
        }
        self.tell(link);
    }

    /// One more.
    pub(super) fn keep(&mut self, event: SensorEvent, link: &mut Link) {
        if self.kept.len() == EVENTS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { number: self.next, event, acked: None });
        self.next += 1;
        self.tell(link);
    }

    /// A bridge has stored a frame that the broker had since then.
    pub(super) fn stored(&mut self, acked: Instant) {
        // Where one said hello since, it may have come between an event and that frame.
        if self.again.is_none() {
            self.kept.retain(|kept| kept.acked.is_none_or(|since| since >= acked));
        }
    }

    /// A bridge said hello: it has heard none of them, and the one before may have lost them.
    pub(super) fn hello(&mut self, now: Instant) {
        self.again.get_or_insert(now + AFTER_HELLO);
    }

    /// Says all once more, if that is due.
    pub(super) fn say_again(&mut self, now: Instant, wall: Option<Timestamp>, link: &mut Link) {
        if self.again.take_if(|due| *due <= now).is_some() {
            self.say_all(wall, link);
        }
    }

    /// Says all that a bridge would take when it is so late.
    fn say_all(&mut self, wall: Option<Timestamp>, link: &mut Link) {
        self.kept.retain(|kept| wall.is_none_or(|wall| kept.event.is_possible(wall)));
        for kept in &mut self.kept {
            (kept.number, kept.acked) = (self.next, None);
            self.next += 1;
        }
        self.tell(link);
    }

    /// Hands over the events that this connection was not given yet, as many as it takes: after an outage there may be
    /// more than that, and the rest follows as the broker takes them.
    fn tell(&mut self, link: &mut Link) {
        let untold = self.kept.partition_point(|kept| kept.number < self.told);
        for Kept { number, event, .. } in self.kept.range(untold..).filter(|kept| kept.acked.is_none()) {
            let (topic, payload) = (self.topic.clone(), event.to_json().into());
            if !link.say(Message { topic, payload, delivery: Delivery::Numbered(*number) }) {
                return;
            }
            self.told = number + 1;
        }
    }
}

#[cfg(test)]
mod tests;
