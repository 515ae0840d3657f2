//! Messages that have gone to the network and will have a PUBACK, by their packet identifiers.
//!
//! A broker acknowledges messages in the order in which they came (MQTT 3.1.1, §4.6). So a PUBACK tells that those of the
//! messages before are lost, or about to come; if they do not, nothing on this connection will bring them.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::connection::Sent;

/// A message that has no PUBACK for this long, though later ones have theirs, will get none.
pub(super) const OVERDUE: Duration = Duration::from_secs(60);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    messages: HashMap<u16, Message>,
}

#[derive(Debug)]
struct Message {
    sent: Sent,
    bytes: usize,
    since: Instant,
}

/// An earlier message has no PUBACK, and will get none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overdue;

impl UnderWay {
    /// A message went to the network.
    pub(super) fn departed(&mut self, packet_id: u16, sent: Sent, bytes: usize, now: Instant) {
        self.messages.insert(packet_id, Message { sent, bytes, since: now });
    }

    /// The broker has the message, if there is one.
    pub(super) fn acked(&mut self, packet_id: u16, now: Instant) -> Result<Option<Sent>, Overdue> {
        let Some(acked) = self.messages.remove(&packet_id) else { return Ok(None) };
        let is_overdue =
            |earlier: &Message| earlier.since < acked.since && now.duration_since(earlier.since) >= OVERDUE;
        if self.messages.values().any(is_overdue) { Err(Overdue) } else { Ok(Some(acked.sent)) }
    }

    /// How large the messages are.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.messages.values().map(|message| message.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_a_puback_is_given_up_once_later_ones_have_had_theirs_for_a_minute() {
        let (mut under_way, start) = (UnderWay::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let number = |packet_id: u16| Sent::Numbered(packet_id.into());
        for packet_id in 1..=70u16 {
            under_way.departed(packet_id, number(packet_id), 1, at(packet_id.into()));
        }
        assert_eq!(under_way.acked(1, at(1)), Ok(Some(number(1))));
        assert_eq!(under_way.acked(1, at(1)), Ok(None), "it comes once");
        // The second one's is lost.
        for packet_id in 3..=61 {
            assert_eq!(under_way.acked(packet_id, at(packet_id.into())), Ok(Some(number(packet_id))));
        }
        assert_eq!(under_way.acked(62, at(62)), Err(Overdue));
    }

    #[test]
    fn a_link_that_carries_nothing_for_a_minute_makes_nothing_overdue() {
        let (mut under_way, start) = (UnderWay::default(), Instant::now());
        for packet_id in 1..=5 {
            under_way.departed(packet_id, Sent::Other, 1, start + Duration::from_secs(packet_id.into()));
        }
        for packet_id in 1..=5 {
            assert_eq!(under_way.acked(packet_id, start + 2 * OVERDUE), Ok(Some(Sent::Other)));
        }
        assert_eq!(under_way.sizes().count(), 0);
    }
}
