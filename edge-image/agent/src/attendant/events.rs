//! What sensors saw, until the broker has it.
//!
//! A bridge that is stopped or killed may lose what it has heard, and without its end a span of motion goes on for an hour. So
//! the last end is said once more after each bridge's hello: to us it is one event, and it starts nothing anywhere.

use std::{collections::VecDeque, time::Instant};

use teiten_footage::{CameraId, SensorEvent, SensorState, Topic};

use crate::{
    link::{Delivery, Link, Message},
    outbox::AFTER_HELLO,
};

/// Events that wait for the broker; the oldest make room.
const EVENTS_MAX: usize = 64;

/// See the head of this file.
pub(super) struct Events {
    topic: String,
    /// With their numbers, the oldest first.
    waiting: VecDeque<(u64, SensorEvent)>,
    /// This connection was given those with lower numbers.
    told: u64,
    next: u64,
    /// What came last, if that is an end.
    end: Option<SensorEvent>,
    /// When it is said once more.
    again: Option<Instant>,
}

impl Events {
    /// Those of a camera: none yet.
    pub(super) fn of(camera: CameraId) -> Self {
        let topic = Topic::Event(camera).to_string();
        Self { topic, waiting: VecDeque::new(), told: 0, next: 0, end: None, again: None }
    }

    /// Those that the broker does not have, the oldest first.
    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &SensorEvent> {
        self.waiting.iter().map(|(_, event)| event)
    }

    /// The link is up, and was given none of them.
    pub(super) fn connected(&mut self, link: &mut Link) {
        self.told = 0;
        self.tell(link);
    }

    /// The broker has the message with this number.
    pub(super) fn heard(&mut self, number: u64, link: &mut Link) {
        self.waiting.retain(|(event, _)| *event != number);
        self.tell(link);
    }

    /// One more.
    pub(super) fn keep(&mut self, event: SensorEvent, link: &mut Link) {
        self.end = (event.state == SensorState::Ended).then_some(event);
        self.push(event, link);
    }

    /// A bridge said hello: the one before may have lost the last end.
    pub(super) fn hello(&mut self, now: Instant) {
        self.again.get_or_insert(now + AFTER_HELLO);
    }

    /// Says the last end once more, if that is due.
    pub(super) fn say_again(&mut self, now: Instant, link: &mut Link) {
        if self.again.take_if(|due| *due <= now).is_none() {
            return;
        }
        if let Some(end) = self.end
            && !self.waiting().any(|event| *event == end)
        {
            self.push(end, link);
        }
    }

    fn push(&mut self, event: SensorEvent, link: &mut Link) {
        if self.waiting.len() == EVENTS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((self.next, event));
        self.next += 1;
        self.tell(link);
    }

    /// Hands over the events that this connection was not given yet, as many as it takes: after an outage there may be
    /// more than that, and the rest follows as the broker takes them.
    fn tell(&mut self, link: &mut Link) {
        let untold = self.waiting.partition_point(|(number, _)| *number < self.told);
        for (number, event) in self.waiting.range(untold..) {
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
