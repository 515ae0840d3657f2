//! Every limit that more than one part must respect, and how they relate.

use std::{ops::RangeInclusive, time::Duration};

/// The largest frame, in bytes. A larger one is dropped where it is met, and counted.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The largest MQTT packet, in bytes: a frame, its topic and its header.
pub const MQTT_PACKET_BYTES_MAX: usize = FRAME_BYTES_MAX + 4096;

/// The most frames in one window.
pub const WINDOW_FRAMES_MAX: usize = 1024;

/// The largest batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// How long after its end a window waits for stragglers before the bridge closes it.
pub const WINDOW_GRACE: Duration = Duration::from_secs(2);

/// How long after its end the live playlist waits for a window's segment before it lists a gap: the bridge's
/// grace, and as much again for encoding and retries.
pub const SEGMENT_GRACE: Duration = Duration::from_secs(4);

/// How long an alive camera's last frame stands in for empty windows.
pub const HOLD_MAX: Duration = Duration::from_secs(10);

/// The most gaps in a row that a live playlist lists (and windows in a row that the bridge reports missed).
pub const GAPS_IN_A_ROW_MAX: u64 = 3;

/// How far ahead of the bridge's clock a capture time may be.
pub const CAPTURED_AHEAD_MAX: Duration = Duration::from_secs(10);

/// How late a camera may tell what a sensor saw.
pub const SENSOR_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The most frames that an agent has sent and not yet heard `stored` of.
pub const UNSTORED_FRAMES_MAX: usize = 64;

/// The most bytes that an agent has sent and not yet heard `stored` of.
pub const UNSTORED_BYTES_MAX: usize = 8 << 20;

/// The longest range that there are playlists of: 86 400 windows of a second.
pub const RANGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The longest range that there are files of.
pub const FILE_RANGE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// How much faster a time-lapse can be.
pub const LAPSE: RangeInclusive<u32> = 2..=3600;

const _: () = assert!(FRAME_BYTES_MAX < MQTT_PACKET_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= UNSTORED_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(WINDOW_GRACE.as_millis() < SEGMENT_GRACE.as_millis());
const _: () = assert!(WINDOW_GRACE.as_millis() < HOLD_MAX.as_millis());
