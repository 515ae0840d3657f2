//! What functions count. One process usually is one function, and tells only of that; where several run in one process
//! (the demo), they share these numbers.

use std::{
    sync::{LazyLock, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use teiten_footage::{CameraId, Timestamp, Window};

use super::{CameraHistograms, CameraLabels};

/// What a request may take: most are answered within a second, some wait for a slow store.
const REQUEST_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Encoding a batch: a part of its window's length, or encoding does not keep up.
const ENCODE_SECONDS: [f64; 10] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 5.0, 20.0];

/// From a window's end until the live playlist lists it.
const PLAYLIST_DELAY_SECONDS: [f64; 10] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0, 8.0, 30.0];

/// From capture: a window's length (0.5 to 6 s) more.
const CAPTURE_TO_PLAYLIST_SECONDS: [f64; 11] = [0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0];

/// What became of an event or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more is to be said.
    Done,
    /// With an event, or a chore's report.
    Replied,
    /// It never will be handled: a dead letter.
    Refused,
    /// Somebody's request that makes no sense, or may not be answered (4xx): nothing is lost.
    Declined,
    /// It may be handled later.
    Unavailable,
    /// Somebody's request whose answer was not waited for: nothing is lost, and players do it all the time.
    Abandoned,
    /// The function's own mistake.
    Panicked,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Done,
        Self::Replied,
        Self::Refused,
        Self::Declined,
        Self::Unavailable,
        Self::Abandoned,
        Self::Panicked,
    ];

    /// What became of a request, by the status of its answer.
    pub fn of_request(status: u16) -> Self {
        match status {
            ..400 => Self::Done,
            400..500 => Self::Declined,
            500 => Self::Panicked,
            _ => Self::Unavailable,
        }
    }

    /// As labels and logs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Replied => "replied",
            Self::Refused => "refused",
            Self::Declined => "declined",
            Self::Unavailable => "unavailable",
            Self::Abandoned => "abandoned",
            Self::Panicked => "panicked",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handled {
    function: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFunction {
    function: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStep {
    step: &'static str,
}

/// Functions' numbers since the process started.
#[derive(Debug)]
pub struct FunctionMetrics {
    events: Family<Handled, Counter>,
    seconds: Family<OfFunction, Histogram, fn() -> Histogram>,
    encode_seconds: Histogram,
    /// Frames that are in a stored segment.
    pub frames_encoded: Counter,
    /// Frames that could not be decoded, and were left out of their segment.
    pub frames_dropped: Counter,
    /// Segments that were too noisy for the quality that is set.
    pub segments_coarser: Counter,
    versions: Family<OfStep, Counter>,
    /// Versions of a live playlist that someone else's came before.
    pub collisions: Counter,
    /// Windows without footage that a live playlist lists.
    pub gaps: Counter,
    playlist_delay_seconds: Histogram,
    labels: CameraLabels,
    capture_to_playlist_seconds: CameraHistograms,
    /// Batches without segments whose events were sent again.
    pub batches_sent: Counter,
    /// Batches without segments that were left to the next run.
    pub batches_left: Gauge<i64>,
    /// Cameras at which the last run had no time to look as far back as it should.
    pub cameras_unseen: Gauge<i64>,
    /// Live playlists that were stale, and whose event was sent again.
    pub playlists_stale: Counter,
    /// How often the list of cameras was written anew.
    pub cameras_rebuilt: Counter,
    /// Dead letters of the last 24 hours that are kept, up to a thousand.
    pub dead_letters: Gauge<i64>,
    last_reconciled: Gauge<f64, AtomicU64>,
    /// Cameras that the last run of compact had no time for.
    pub cameras_left: Gauge<i64>,
    last_compacted: Gauge<f64, AtomicU64>,
    /// Cameras of which the last run of pictures left something to later ones.
    pub pictures_left: Gauge<i64>,
}

/// The numbers of the functions in this process.
pub fn function_metrics() -> &'static FunctionMetrics {
    static METRICS: LazyLock<FunctionMetrics> = LazyLock::new(FunctionMetrics::new);
    &METRICS
}

impl FunctionMetrics {
    fn new() -> Self {
        Self {
            events: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            encode_seconds: Histogram::new(ENCODE_SECONDS),
            frames_encoded: Counter::default(),
            frames_dropped: Counter::default(),
            segments_coarser: Counter::default(),
            versions: Family::default(),
            collisions: Counter::default(),
            gaps: Counter::default(),
            playlist_delay_seconds: Histogram::new(PLAYLIST_DELAY_SECONDS),
            labels: CameraLabels::default(),
            capture_to_playlist_seconds: CameraHistograms::new_with_constructor(|| {
                Histogram::new(CAPTURE_TO_PLAYLIST_SECONDS)
            }),
            batches_sent: Counter::default(),
            batches_left: Gauge::default(),
            cameras_unseen: Gauge::default(),
            playlists_stale: Counter::default(),
            cameras_rebuilt: Counter::default(),
            dead_letters: Gauge::default(),
            last_reconciled: Gauge::default(),
            cameras_left: Gauge::default(),
            last_compacted: Gauge::default(),
            pictures_left: Gauge::default(),
        }
    }

    /// An event, a chore's call or a request was handled.
    pub fn handled(&self, function: &'static str, outcome: Outcome, took: Duration) {
        self.events.get_or_create(&Handled { function, outcome: outcome.name() }).inc();
        self.seconds.get_or_create(&OfFunction { function }).observe(took.as_secs_f64());
    }

    /// How many of a function's events, calls and requests had this outcome.
    pub fn count(&self, function: &'static str, outcome: Outcome) -> u64 {
        self.events.get_or_create(&Handled { function, outcome: outcome.name() }).get()
    }

    /// A batch was decoded and encoded.
    pub fn encoded(&self, took: Duration) {
        self.encode_seconds.observe(took.as_secs_f64());
    }

    /// A new version of a live playlist is published, which was `step`.
    pub fn published(&self, step: &'static str) {
        self.versions.get_or_create(&OfStep { step }).inc();
    }

    /// The live playlist of `camera` lists `window` since `now`.
    pub fn listed(&self, camera: &CameraId, window: Window, now: Timestamp) {
        self.playlist_delay_seconds.observe(now.since(window.end()).as_secs_f64());
        let from_capture = now.since(window.start()).as_secs_f64();
        self.capture_to_playlist_seconds.get_or_create(&self.labels.of(camera)).observe(from_capture);
    }

    /// A run of reconcile was completed.
    pub fn reconciled(&self, now: Timestamp) {
        self.last_reconciled.set(now.since(Timestamp::default()).as_secs_f64());
    }

    /// A run of compact was completed, and nothing failed.
    pub fn compacted(&self, now: Timestamp) {
        self.last_compacted.set(now.since(Timestamp::default()).as_secs_f64());
    }

    /// The numbers of the function `name`.
    pub fn registry(&self, name: &'static str) -> Registry {
        let mut registry = Registry::with_prefix("teiten");
        // There from the start, so that an increase is seen as one.
        for outcome in Outcome::ALL {
            let _zero = self.count(name, outcome);
        }
        let help = "Events, calls and requests by what became of them; refused and panicked events, and those tried too often, are dead letters in the end";
        registry.register("function_events", help, self.events.clone());
        let help = "From a request to its answer";
        registry.register("function_seconds", help, self.seconds.clone());
        super::span_metrics().register(&mut registry);
        match name {
            "encode" => self.register_encode(&mut registry),
            "playlist" => self.register_playlist(&mut registry),
            "reconcile" => self.register_reconcile(&mut registry),
            "compact" => self.register_compact(&mut registry),
            "pictures" => self.register_pictures(&mut registry),
            _ => {}
        }
        registry
    }

    fn register_encode(&self, registry: &mut Registry) {
        let help = "Decoding and encoding one batch";
        registry.register("encode_seconds", help, self.encode_seconds.clone());
        registry.register(
            "encode_frames",
            "Frames that are in a stored segment",
            self.frames_encoded.clone(),
        );
        let help = "Frames that could not be decoded, and were left out of their segment";
        registry.register("encode_frames_dropped", help, self.frames_dropped.clone());
        let help = "Segments that were too noisy for the quality that is set";
        registry.register("encode_segments_coarser", help, self.segments_coarser.clone());
    }

    fn register_playlist(&self, registry: &mut Registry) {
        registry.register("playlist_versions", "Versions of live playlists", self.versions.clone());
        let help = "Versions that were not written, because another instance was quicker";
        registry.register("playlist_collisions", help, self.collisions.clone());
        let help = "Windows without footage that a live playlist lists";
        registry.register("playlist_gaps", help, self.gaps.clone());
        let help = "From a window's end until the live playlist lists it";
        registry.register("playlist_delay_seconds", help, self.playlist_delay_seconds.clone());
        let help = "From a window's start, when its first frame was captured (or up to a frame's distance later), until the live playlist lists it";
        registry.register("capture_to_playlist_seconds", help, self.capture_to_playlist_seconds.clone());
    }

    fn register_reconcile(&self, registry: &mut Registry) {
        let help = "Batches without segments whose events were sent again";
        registry.register("reconcile_batches_sent", help, self.batches_sent.clone());
        let help = "Batches without segments that the last run left to the next";
        registry.register("reconcile_batches_left", help, self.batches_left.clone());
        let help = "Cameras at which the last run had no time to look as far back as it should";
        registry.register("reconcile_cameras_unseen", help, self.cameras_unseen.clone());
        let help = "Live playlists that were stale, and whose event was sent again";
        registry.register("reconcile_playlists_stale", help, self.playlists_stale.clone());
        let help = "How often the list of cameras was written anew";
        registry.register("reconcile_cameras_rebuilt", help, self.cameras_rebuilt.clone());
        let help = "Dead letters of the last 24 hours that are kept, up to 1000, as the last run found them";
        registry.register("reconcile_dead_letters", help, self.dead_letters.clone());
        let help = "When the last run was completed, in Unix time";
        registry.register("reconcile_last_run_timestamp_seconds", help, self.last_reconciled.clone());
    }

    fn register_compact(&self, registry: &mut Registry) {
        let help = "Cameras that the last run had no time for";
        registry.register("compact_cameras_left", help, self.cameras_left.clone());
        let help = "When the last run was completed, in Unix time";
        registry.register("compact_last_run_timestamp_seconds", help, self.last_compacted.clone());
    }

    fn register_pictures(&self, registry: &mut Registry) {
        let help = "Cameras of which the last run left something to later ones";
        registry.register("pictures_cameras_left", help, self.pictures_left.clone());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use teiten_footage::WindowLength;

    use super::*;

    #[test]
    fn the_first_of_its_outcome_is_an_increase() {
        let metrics = FunctionMetrics::new();
        let told = || {
            let mut text = String::new();
            encode(&mut text, &metrics.registry("encode")).unwrap();
            let counts = text.lines().filter(|line| line.starts_with("teiten_function_events_total{"));
            counts.map(str::to_owned).collect::<Vec<_>>()
        };
        let line = |outcome: Outcome, count| {
            let labels = format!("function=\"encode\",outcome=\"{}\"", outcome.name());
            format!("teiten_function_events_total{{{labels}}} {count}")
        };
        let zeros = told();
        assert_eq!(zeros.len(), Outcome::ALL.len());
        assert!(Outcome::ALL.into_iter().all(|outcome| zeros.contains(&line(outcome, 0))), "{zeros:?}");
        metrics.handled("encode", Outcome::Refused, Duration::ZERO);
        assert!(told().contains(&line(Outcome::Refused, 1)));
    }

    #[test]
    fn a_listed_window_is_told_from_its_end_and_by_camera_from_its_first_capture() {
        let metrics = FunctionMetrics::new();
        let window = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT);
        let gate = CameraId::new("gate").unwrap();
        metrics.listed(&gate, window, window.end() + Duration::from_millis(700));
        let mut text = String::new();
        encode(&mut text, &metrics.registry("playlist")).unwrap();
        for line in [
            "teiten_playlist_delay_seconds_sum 0.7",
            "teiten_capture_to_playlist_seconds_sum{camera=\"gate\"} 1.7",
            "teiten_capture_to_playlist_seconds_bucket{le=\"1.5\",camera=\"gate\"} 0",
            "teiten_capture_to_playlist_seconds_bucket{le=\"2.0\",camera=\"gate\"} 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }
}
