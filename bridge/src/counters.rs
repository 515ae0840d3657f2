//! What a bridge counts. Logged once a minute when something changed, and at the end.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Events since the start, by kind.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Every counter that is not zero, `name=value`, in a fixed order.
            pub fn summary(&self) -> String {
                let all = [$((stringify!($name), self.$name.get()),)+];
                let counted = all.iter().filter(|(_, value)| *value > 0);
                counted.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

counters! {
    /// Messages on a frame topic.
    frames_received_total,
    /// Frames of cameras that another bridge has.
    frames_elsewhere_total,
    /// Frames that were in their open window already.
    frames_duplicate_total,
    /// JPEGs without a stamp, given their arrival time and an identity of the bridge's.
    frames_stamped_total,
    /// Frames with an impossible time, given their arrival time.
    frames_restamped_total,
    /// Payloads that are no frame, and topics that are not ours.
    frames_rejected_total,
    /// Frames dropped because a limit was reached.
    frames_dropped_total,
    /// Pieces of stored batches that were no frames when late ones were merged into them.
    batch_pieces_rejected_total,
    /// Batches stored as new objects.
    batches_stored_total,
    /// Batches that were merged into the object of their window.
    batches_merged_total,
    /// Batches of which nothing was new.
    batches_unchanged_total,
    /// Empty windows that hold the last frame.
    windows_held_total,
    /// Empty windows reported missed.
    windows_missed_total,
    /// Events that the sink accepted.
    events_sent_total,
    /// Attempts to send an event that failed and may succeed later.
    event_failures_total,
    /// Attempts to send an event that the sink refused (4xx).
    events_refused_total,
    /// Events given up because too many wait; their batches are stored.
    events_given_up_total,
    /// Attempts to store a batch that failed.
    store_failures_total,
    /// Connections to the broker.
    mqtt_connections_total,
    /// `stored` messages that could not be handed to the broker.
    stored_messages_dropped_total,
}

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_was_counted() {
        let counters = Counters::default();
        assert_eq!(counters.summary(), "");
        counters.frames_received_total.add(3);
        counters.windows_held_total.increment();
        assert_eq!(counters.summary(), "frames_received_total=3 windows_held_total=1");
    }
}
