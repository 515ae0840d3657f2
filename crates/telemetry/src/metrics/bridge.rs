//! What a bridge counts. Also logged once a minute when something changed, and at the end.

use std::{fmt, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use teiten_footage::{CameraId, Timestamp};

use super::{CameraCounters, CameraGauges, CameraHistograms, CameraLabels};

/// From capture to `stored`: a window's length and a little, or an outage.
const STORED_SECONDS: [f64; 8] = [0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 60.0, 600.0];

macro_rules! bridge_metrics {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A bridge's numbers since its start.
        pub struct BridgeMetrics {
            $($(#[doc = $doc])+ pub $name: Counter,)+
            /// 1 while it is connected to the broker and hears itself there, else 0.
            pub ready: Gauge,
            /// Other bridges that share the cameras.
            pub others: Gauge,
            /// Bytes of frames in memory.
            pub buffered_bytes: Gauge,
            labels: CameraLabels,
            camera_online: CameraGauges,
            camera_last_frame: CameraGauges,
            windows_missed: CameraCounters,
            stored_seconds: CameraHistograms,
        }

        impl Default for BridgeMetrics {
            fn default() -> Self {
                Self {
                    $($name: Counter::default(),)+
                    ready: Gauge::default(),
                    others: Gauge::default(),
                    buffered_bytes: Gauge::default(),
                    labels: CameraLabels::default(),
                    camera_online: CameraGauges::default(),
                    camera_last_frame: CameraGauges::default(),
                    windows_missed: CameraCounters::default(),
                    stored_seconds: CameraHistograms::new_with_constructor(|| Histogram::new(STORED_SECONDS)),
                }
            }
        }

        impl BridgeMetrics {
            /// Every counter of all cameras together that is not zero, `name=value`, in a fixed order.
            pub fn summary(&self) -> String {
                let all = [$((stringify!($name), self.$name.get()),)+];
                let counted = all.iter().filter(|(_, value)| *value > 0);
                counted.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }

            /// All of them, as `teiten_bridge_…`.
            pub fn registry(&self) -> Registry {
                let mut registry = Registry::with_prefix("teiten_bridge");
                $(
                    let name = stringify!($name);
                    let help = concat!($($doc),+).trim().trim_end_matches('.');
                    registry.register(name.strip_suffix("_total").unwrap_or(name), help, self.$name.clone());
                )+
                let help = "1 while the bridge is connected to the broker and hears itself there";
                registry.register("ready", help, self.ready.clone());
                registry.register("others", "Other bridges that share the cameras", self.others.clone());
                registry.register("buffered_bytes", "Bytes of frames in memory", self.buffered_bytes.clone());
                let help = "1 while the camera is connected, by its retained status on this connection to the broker";
                registry.register("camera_online", help, self.camera_online.clone());
                let help = "When the last frame that is stored was captured, in Unix time";
                registry.register("camera_last_frame_timestamp_seconds", help, self.camera_last_frame.clone());
                registry.register("windows_missed", "Empty windows reported missed", self.windows_missed.clone());
                let help = "From a batch's first capture until its frames were said to be stored";
                registry.register("stored_seconds", help, self.stored_seconds.clone());
                super::span_metrics().register(&mut registry);
                registry
            }
        }
    };
}

bridge_metrics! {
    /// Messages on a frame topic.
    frames_received_total,
    /// Frames of cameras that another bridge has.
    frames_elsewhere_total,
    /// Frames that were in their open window already.
    frames_duplicate_total,
    /// JPEGs without a stamp, given their arrival time and an identity made of their bytes.
    frames_stamped_total,
    /// Frames with an impossible time, given their arrival time.
    frames_restamped_total,
    /// Payloads that are no frame, and topics that are not ours.
    frames_rejected_total,
    /// Frames dropped because a limit was reached.
    frames_dropped_total,
    /// Frames that are stored, with their events accepted.
    frames_stored_total,
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
    /// Events that the sink accepted.
    events_sent_total,
    /// Attempts to send an event that failed and may succeed later.
    event_failures_total,
    /// Attempts to send an event that the sink refused (4xx).
    events_refused_total,
    /// Events of windows given up because too many wait; their batches are stored.
    events_given_up_total,
    /// Attempts to store a batch that failed.
    store_failures_total,
    /// Connections to the broker.
    mqtt_connections_total,
    /// `stored` messages that were handed to the broker.
    stored_messages_total,
    /// `stored` messages that could not be handed to the broker.
    stored_messages_dropped_total,
    /// Messages of sensors that were dropped: malformed, retained, or of an impossible time.
    sensor_events_rejected_total,
    /// Events of sensors that are lost because too many waited; of those that a stopped bridge still had, its log alone tells.
    sensor_events_lost_total,
}

impl BridgeMetrics {
    /// A camera said that it is connected, or the broker that it is not.
    pub fn camera_is(&self, camera: &CameraId, online: bool) {
        let gauge = self.camera_online.get_or_create(&self.labels.of(camera)).clone();
        gauge.set(if online { 1.0 } else { 0.0 });
    }

    /// Which cameras are connected is not known (any more): a new connection to the broker tells.
    pub fn forget_statuses(&self) {
        self.camera_online.clear();
    }

    /// A camera had nothing for a window.
    pub fn missed(&self, camera: &CameraId) {
        self.windows_missed.get_or_create(&self.labels.of(camera)).inc();
    }

    /// A camera is gone for good: nothing more is told of it, until it is heard again.
    pub fn forget(&self, camera: &CameraId) {
        // Cameras that share a label keep it.
        if let Some(label) = self.labels.release(camera) {
            self.camera_online.remove(&label);
            self.camera_last_frame.remove(&label);
            self.windows_missed.remove(&label);
            self.stored_seconds.remove(&label);
        }
    }

    /// A batch with these frames is stored, and its event accepted.
    pub fn stored(
        &self,
        camera: &CameraId,
        frames: usize,
        first: Timestamp,
        last: Timestamp,
        now: Timestamp,
    ) {
        self.frames_stored_total.inc_by(frames as u64);
        let label = self.labels.of(camera);
        self.stored_seconds.get_or_create(&label).observe(seconds(now.since(first)));
        // There from the start, so that an increase is seen as one.
        drop(self.windows_missed.get_or_create(&label));
        let newest = self.camera_last_frame.get_or_create(&label).clone();
        let last = seconds(last.since(Timestamp::default()));
        // Backlog is older than what is stored already.
        newest.set(last.max(newest.get()));
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

impl fmt::Debug for BridgeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BridgeMetrics({})", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_summary_names_what_was_counted() {
        let metrics = BridgeMetrics::default();
        assert_eq!(metrics.summary(), "");
        metrics.frames_received_total.inc_by(3);
        metrics.windows_held_total.inc();
        assert_eq!(metrics.summary(), "frames_received_total=3 windows_held_total=1");
    }

    #[test]
    fn what_is_stored_is_told_by_camera() {
        let metrics = BridgeMetrics::default();
        let gate = CameraId::new("gate").unwrap();
        let at = |seconds: u64| Timestamp::from_unix_micros(seconds * 1_000_000);
        metrics.camera_is(&gate, true);
        metrics.stored(&gate, 15, at(1000), at(1001), at(1002));
        metrics.stored(&gate, 5, at(500), at(501), at(1003));
        let mut text = String::new();
        encode(&mut text, &metrics.registry()).unwrap();
        for line in [
            "teiten_bridge_frames_stored_total 20",
            "teiten_bridge_camera_online{camera=\"gate\"} 1.0",
            "teiten_bridge_camera_last_frame_timestamp_seconds{camera=\"gate\"} 1001.0",
            "teiten_bridge_stored_seconds_bucket{le=\"2.5\",camera=\"gate\"} 1",
            "teiten_bridge_stored_seconds_count{camera=\"gate\"} 2",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn windows_that_are_missed_are_told_by_camera_from_none_on() {
        let metrics = BridgeMetrics::default();
        let [gate, yard] = ["gate", "yard"].map(|name| CameraId::new(name).unwrap());
        for camera in [&gate, &yard] {
            metrics.stored(camera, 1, Timestamp::Y2020, Timestamp::Y2020, Timestamp::Y2020);
        }
        metrics.missed(&gate);
        let mut text = String::new();
        encode(&mut text, &metrics.registry()).unwrap();
        for line in ["{camera=\"gate\"} 1", "{camera=\"yard\"} 0"] {
            let line = format!("teiten_bridge_windows_missed_total{line}");
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn nothing_is_told_of_a_camera_that_is_gone_for_good_until_it_is_back() {
        let metrics = BridgeMetrics::default();
        let [gate, yard] = ["gate", "yard"].map(|name| CameraId::new(name).unwrap());
        let at = Timestamp::Y2020;
        let told = || {
            let mut text = String::new();
            encode(&mut text, &metrics.registry()).unwrap();
            ["gate", "yard"].map(|name| text.matches(&format!("camera=\"{name}\"")).count())
        };
        for camera in [&gate, &yard] {
            metrics.camera_is(camera, false);
            metrics.stored(camera, 1, at, at, at);
        }
        let [before, others] = told();
        assert!(before > 3, "{before}");
        metrics.forget(&gate);
        metrics.forget(&gate);
        assert_eq!(told(), [0, others]);
        metrics.camera_is(&gate, true);
        assert_eq!(told(), [1, others]);
    }
}
