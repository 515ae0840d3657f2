//! What a connection was given and has no PUBACK of: the outbox sends it again if the connection ends, and the uplink
//! is measured by it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use teiten_footage::FrameId;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is captured.
    Live,
    /// Later.
    Backlog,
}

/// A frame that is under way to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) way: Way,
    pub(crate) bytes: usize,
    pub(crate) since: Instant,
}

/// A number of frames and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

impl Load {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes;
    }

    pub(crate) fn remove(&mut self, bytes: usize) {
        self.frames -= 1;
        self.bytes -= bytes;
    }
}

/// All that is under way. Some of it may be stored or dropped meanwhile: bytes that are under way are so even if
/// nobody needs them any more.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    flights: BTreeMap<FrameId, Flight>,
    live: Load,
    backlog: Load,
}

impl Flights {
    /// A frame is given to the connection.
    pub(crate) fn depart(&mut self, id: FrameId, flight: Flight) {
        self.load_mut(flight.way).add(flight.bytes);
        let before = self.flights.insert(id, flight);
        debug_assert!(before.is_none(), "a frame is under way once");
    }

    /// The broker has it, or it did not depart after all.
    pub(crate) fn land(&mut self, id: FrameId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        self.load_mut(flight.way).remove(flight.bytes);
        Some(flight)
    }

    /// The connection is gone: what was under way with it.
    pub(crate) fn end(&mut self) -> impl Iterator<Item = FrameId> + use<> {
        std::mem::take(self).flights.into_keys()
    }

    /// The frames.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &FrameId> {
        self.flights.keys()
    }

    /// How much is under way.
    pub(crate) fn total(&self) -> Load {
        let Self { live, backlog, .. } = self;
        Load { frames: live.frames + backlog.frames, bytes: live.bytes + backlog.bytes }
    }

    /// How much of it is live.
    pub(crate) fn live(&self) -> Load {
        self.live
    }

    /// How much of it is backlog.
    pub(crate) fn backlog(&self) -> Load {
        self.backlog
    }

    /// For how long the oldest live frame has been under way.
    pub(crate) fn live_age(&self, now: Instant) -> Duration {
        let live = self.flights.values().filter(|flight| flight.way == Way::Live);
        live.map(|flight| now.saturating_duration_since(flight.since)).max().unwrap_or_default()
    }

    fn load_mut(&mut self, way: Way) -> &mut Load {
        match way {
            Way::Live => &mut self.live,
            Way::Backlog => &mut self.backlog,
        }
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::BootId;

    use super::*;

    #[test]
    fn what_departed_and_did_not_land_is_under_way() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let id = |sequence| FrameId { boot: BootId(1), sequence };
        for (sequence, way, bytes) in [(0, Way::Backlog, 10), (1, Way::Live, 20), (2, Way::Live, 30)] {
            let since = now + Duration::from_secs(sequence);
            flights.depart(id(sequence), Flight { way, bytes, since });
        }
        assert_eq!(flights.live(), Load { frames: 2, bytes: 50 });
        assert_eq!(flights.backlog(), Load { frames: 1, bytes: 10 });
        assert_eq!(flights.total(), Load { frames: 3, bytes: 60 });
        assert_eq!(flights.live_age(now + Duration::from_secs(5)), Duration::from_secs(4));
        assert_eq!(flights.land(id(1)).map(|flight| flight.bytes), Some(20));
        assert_eq!(flights.land(id(1)), None);
        assert_eq!(flights.live_age(now + Duration::from_secs(5)), Duration::from_secs(3));
        assert_eq!(flights.end().collect::<Vec<_>>(), [id(0), id(2)]);
        assert_eq!(flights.total(), Load::default());
    }
}
