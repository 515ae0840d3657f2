//! What became of the spans of this process.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lost {
    why: &'static str,
}

/// Spans' numbers since the process started.
#[derive(Debug, Default)]
pub struct SpanMetrics {
    told: Counter,
    lost: Family<Lost, Counter>,
}

/// The numbers of the spans of this process.
pub fn span_metrics() -> &'static SpanMetrics {
    static METRICS: LazyLock<SpanMetrics> = LazyLock::new(SpanMetrics::default);
    &METRICS
}

impl SpanMetrics {
    /// The collector has so many more.
    #[cfg(feature = "traces")]
    pub(crate) fn told(&self, count: u64) {
        self.told.inc_by(count);
    }

    /// So many more never get there, because the `queue_full` or the `collector` did not take them.
    #[cfg(feature = "traces")]
    pub(crate) fn lost(&self, why: &'static str, count: u64) {
        self.lost.get_or_create(&Lost { why }).inc_by(count);
    }

    /// How many were told, and how many lost for a reason.
    #[cfg(all(test, feature = "traces"))]
    pub(crate) fn counts(&self, why: &'static str) -> (u64, u64) {
        (self.told.get(), self.lost.get_or_create(&Lost { why }).get())
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        // There from the start, so that an increase is seen as one.
        for why in ["queue_full", "collector"] {
            let _zero = self.lost.get_or_create(&Lost { why });
        }
        registry.register("spans_told", "Spans that the collector of traces has", self.told.clone());
        let help =
            "Spans that did not get there: the collector refused them or was away, or the queue was full";
        registry.register("spans_lost", help, self.lost.clone());
    }
}
