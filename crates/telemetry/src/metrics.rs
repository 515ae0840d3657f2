//! What the parts count, under which names, and where it is read: Prometheus' and OpenMetrics' text format on
//! `/metrics`, beside probes for liveness and readiness.
//!
//! All names are here, so that dashboards and alerts have one place to agree with: [`bridge`] and [`functions`].
//! Counters end in `_total` (which the encoder appends), the rest in its unit. The only label without a fixed set of
//! values is the camera, of which a limited number have numbers of their own.

pub mod bridge;
pub mod functions;
mod operations;
mod spans;

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
};
use teiten_footage::CameraId;

pub use bridge::BridgeMetrics;
pub use functions::{FunctionMetrics, Outcome, function_metrics};
pub use operations::{Operations, listen_from_environment};
pub use prometheus_client::{metrics::counter::Counter, registry::Registry};
pub use spans::{SpanMetrics, span_metrics};

/// Cameras with numbers of their own; all others share one label.
pub const CAMERAS_MAX: usize = 256;

/// The label of cameras beyond [`CAMERAS_MAX`]: no camera can have this name.
const OTHERS: &str = "_others";

/// A camera's label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CameraLabel {
    camera: String,
}

/// Which cameras have labels of their own.
#[derive(Debug, Default)]
struct CameraLabels {
    known: Mutex<HashSet<CameraId>>,
}

impl CameraLabels {
    fn of(&self, camera: &CameraId) -> CameraLabel {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let named = known.contains(camera) || (known.len() < CAMERAS_MAX && known.insert(camera.clone()));
        CameraLabel { camera: if named { camera.as_str() } else { OTHERS }.to_owned() }
    }

    /// The label that was `camera`'s own, and may be another's now.
    fn release(&self, camera: &CameraId) -> Option<CameraLabel> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(camera).then(|| CameraLabel { camera: camera.as_str().to_owned() })
    }
}

/// A float that goes up and down, by camera.
type CameraGauges = Family<CameraLabel, Gauge<f64, std::sync::atomic::AtomicU64>>;

/// Counts by camera.
type CameraCounters = Family<CameraLabel, Counter>;

/// Durations by camera.
type CameraHistograms = Family<CameraLabel, Histogram, fn() -> Histogram>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_cameras_have_labels_of_their_own() {
        let labels = CameraLabels::default();
        let name = |i: usize| CameraId::new(&format!("camera-{i}")).unwrap();
        let distinct: HashSet<String> = (0..2 * CAMERAS_MAX).map(|i| labels.of(&name(i)).camera).collect();
        assert_eq!(distinct.len(), CAMERAS_MAX + 1);
        assert_eq!(labels.of(&name(0)).camera, "camera-0");
        assert_eq!(labels.of(&name(CAMERAS_MAX)).camera, OTHERS);
        assert!(CameraId::new(OTHERS).is_err());
        assert_eq!(labels.release(&name(CAMERAS_MAX)), None, "what others share is not given up");
        assert_eq!(labels.release(&name(0)).unwrap().camera, "camera-0");
        assert_eq!(labels.of(&name(CAMERAS_MAX)).camera, format!("camera-{CAMERAS_MAX}"));
    }
}
