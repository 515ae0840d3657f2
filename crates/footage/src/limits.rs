//! Every limit that more than one part must respect, and how they relate.

use std::{ops::RangeInclusive, time::Duration};

use crate::WindowLength;

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

/// How long an alive camera's last frame stands in for empty windows, where [`hold_max`] is not longer.
pub const HOLD_MAX: Duration = Duration::from_secs(10);

/// EXT-X-TARGETDURATION of a stream, in seconds (draft-pantos-hls-rfc8216bis §4.4.3.1): no segment is longer, however it is
/// rounded.
pub const fn target_duration_seconds(length: WindowLength) -> u64 {
    length.millis().div_ceil(1000) as u64
}

/// The fewest windows that a live playlist may be shortened to: three target durations (§6.2.2). As many have to be there in a row
/// before it jumps over what was missed.
pub const fn windows_min(length: WindowLength) -> usize {
    (3 * 1000 * target_duration_seconds(length)).div_ceil(length.millis() as u64) as usize
}

/// How old a frame may be at the end of the last window that it stands in for. One frame after a silence gives as many windows
/// as a live playlist needs to jump to them: so a camera that sends one a minute is live with each.
pub const fn hold_max(length: WindowLength) -> Duration {
    let needed = Duration::from_millis(length.millis() as u64 * windows_min(length) as u64);
    if needed.as_millis() > HOLD_MAX.as_millis() { needed } else { HOLD_MAX }
}

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
