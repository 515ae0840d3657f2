//! The status line: what came through in the last seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use teiten_footage::{CameraId, Event, Timestamp};
use teiten_router::Delivered;

/// A camera that had no new segment for this long is not counted as live.
const LIVE_MAX: Duration = Duration::from_secs(5);
/// Delays older than this do not count in the median.
const RECENT: Duration = Duration::from_secs(10);

/// Counts what the router delivered.
#[derive(Debug, Default)]
pub(crate) struct Status {
    windows: u64,
    last_seen: BTreeMap<CameraId, Timestamp>,
    /// When a segment was listed, and how long after the start of its window.
    delays: VecDeque<(Timestamp, Duration)>,
}

impl Status {
    /// Notes a delivery. A segment's delivery to the playlist function means that it is listed.
    pub(crate) fn note(&mut self, delivered: &Delivered) {
        if let Ok(Event::SegmentStored { key, .. }) = Event::try_from(&delivered.event) {
            self.windows += 1;
            let seen = self.last_seen.entry(key.camera).or_default();
            *seen = delivered.at.max(*seen);
            self.delays.push_back((delivered.at, delivered.at.since(key.window.start())));
        }
    }

    /// One line: cameras, windows, and the delay from a window's first instant to its place in the playlist.
    pub(crate) fn line(&mut self, now: Timestamp) -> String {
        while self.delays.front().is_some_and(|(at, _)| now.since(*at) > RECENT) {
            self.delays.pop_front();
        }
        let live = self.last_seen.values().filter(|seen| now.since(**seen) < LIVE_MAX).count();
        let mut line = format!("cameras {live} live of {}, windows {}", self.last_seen.len(), self.windows);
        let mut delays: Vec<Duration> = self.delays.iter().map(|(_, delay)| *delay).collect();
        if delays.is_empty() {
            line.push_str(", waiting for frames");
        } else {
            delays.sort_unstable();
            let median = delays[delays.len() / 2].as_secs_f64();
            let worst = delays[delays.len() - 1].as_secs_f64();
            // Writing to a String cannot fail.
            let _infallible = write!(line, ", capture to playlist {median:.2} s (worst {worst:.2} s)");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::{ContentHash, Pictures, SegmentKey, Window, WindowLength};

    use super::*;

    #[test]
    fn the_line_gives_cameras_windows_and_the_median_delay() {
        let mut status = Status::default();
        let window = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT);
        for (i, millis) in [1100, 1300, 1200].into_iter().enumerate() {
            let hash = ContentHash::of(b"");
            let camera = CameraId::new(&format!("demo-{i}")).unwrap();
            let pictures = Pictures { frames: hash, keyframe_bytes: 1 };
            let key = SegmentKey { camera, window, init: hash, pictures };
            let event =
                Event::SegmentStored { bucket: "media".to_owned(), key, motion: None }.to_cloud_event();
            status.note(&Delivered { event, at: window.start() + Duration::from_millis(millis) });
        }
        assert_eq!(
            status.line(window.start() + Duration::from_secs(3)),
            "cameras 3 live of 3, windows 3, capture to playlist 1.20 s (worst 1.30 s)"
        );
        assert_eq!(
            status.line(window.start() + Duration::from_secs(30)),
            "cameras 0 live of 3, windows 3, waiting for frames"
        );
    }
}
