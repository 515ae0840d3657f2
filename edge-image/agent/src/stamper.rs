//! Makes frames of pictures: each gets a capture time of its own and an identity.
//!
//! Within a run, capture times only grow, whatever becomes of the clock:
//! - set forward, frames follow it at once, and the time that was jumped over has none;
//! - set back by up to [`SET_BACK_MAX`], frames are stamped [`SPACING_MIN`] apart until the clock has caught up;
//! - set back by more, the clock was wrong before, and the frames so far are in a future that may yet come: a new run
//!   begins with the right time. Its identities are new, so nothing is lost where the two runs overlap.

use std::time::Duration;

use teiten_footage::{BootId, Frame, FrameId, Timestamp, Unstamped, limits::FRAME_BYTES_MAX};
use tracing::warn;

/// A picture as a source gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// The wall clock when it was captured.
    pub(crate) captured: Timestamp,
    /// The whole JPEG.
    pub(crate) jpeg: Unstamped,
}

/// Why a picture becomes no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    /// Nobody would take it.
    #[error(
        "larger than {FRAME_BYTES_MAX} bytes: choose a smaller width and height, or a lower quality, under [source]"
    )]
    TooLarge,
    /// The wall clock is not set yet (a Raspberry Pi has none of its own).
    #[error("captured before the clock was set")]
    ClockNotSet,
}

impl Rejected {
    /// Its name in telemetry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::ClockNotSet => "clock_not_set",
        }
    }
}

/// Within a run, a frame is at least this much later than the one before, whatever the clock does: less has no
/// duration in 90 kHz ticks.
const SPACING_MIN: Duration = Duration::from_millis(1);

/// A clock that was set back by more than this was wrong before: a new run begins.
const SET_BACK_MAX: Duration = Duration::from_secs(1);

/// Stamps the pictures of one run.
#[derive(Debug)]
pub(crate) struct Stamper {
    boot: BootId,
    sequence: u64,
    last: Option<Timestamp>,
}

impl Stamper {
    /// Starts a run.
    pub(crate) fn new() -> Self {
        Self { boot: BootId(rand::random()), sequence: 0, last: None }
    }

    /// The frame that `picture` becomes, where nothing can have been captured before `earliest`
    /// ([`Clock::earliest`](crate::clock::Clock::earliest)).
    pub(crate) fn stamp(&mut self, picture: Picture, earliest: Option<Timestamp>) -> Result<Frame, Rejected> {
        if earliest.is_none_or(|earliest| picture.captured < earliest) {
            return Err(Rejected::ClockNotSet);
        }
        if self.last.is_some_and(|last| last.since(picture.captured) > SET_BACK_MAX) {
            warn!("the clock was set back: a new run begins");
            *self = Self::new();
        }
        let captured = self.last.map_or(picture.captured, |last| picture.captured.max(last + SPACING_MIN));
        let id = FrameId { boot: self.boot, sequence: self.sequence };
        let frame = picture.jpeg.stamp(id, captured);
        if frame.jpeg.len() > FRAME_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        self.sequence += 1;
        self.last = Some(captured);
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::{CameraId, jpeg};

    use super::*;
    use crate::{config::PictureSize, pattern::Painter};

    const EARLIEST: Option<Timestamp> = Some(Timestamp::Y2020);
    const NOON: Timestamp = Timestamp::from_unix_millis(1_795_406_701_234);

    fn jpeg() -> Vec<u8> {
        Painter::new(&CameraId::new("a").unwrap(), PictureSize::default()).jpeg(NOON)
    }

    fn picture(captured: Timestamp) -> Picture {
        Picture { captured, jpeg: Unstamped::new(&jpeg()).unwrap() }
    }

    fn captured(stamper: &mut Stamper, time: Timestamp) -> (u64, Timestamp) {
        let frame = stamper.stamp(picture(time), EARLIEST).unwrap();
        assert_eq!(Frame::parse(frame.jpeg.clone()), Ok(Some(frame.clone())));
        (frame.id.sequence, frame.captured)
    }

    #[test]
    fn sequence_numbers_count_and_capture_times_never_repeat() {
        let mut stamper = Stamper::new();
        let ms = Duration::from_millis;
        assert_eq!(captured(&mut stamper, NOON), (0, NOON));
        assert_eq!(captured(&mut stamper, NOON), (1, NOON + ms(1)));
        assert_eq!(captured(&mut stamper, NOON - ms(500)), (2, NOON + ms(2)));
        assert_eq!(captured(&mut stamper, NOON + ms(100)), (3, NOON + ms(100)));
    }

    #[test]
    fn a_clock_that_is_set_back_far_begins_a_new_run() {
        let mut stamper = Stamper::new();
        let before = stamper.stamp(picture(NOON), EARLIEST).unwrap();
        let hour_back = NOON - Duration::from_secs(3600);
        let after = stamper.stamp(picture(hour_back), EARLIEST).unwrap();
        assert_eq!((after.captured, after.id.sequence), (hour_back, 0));
        assert_ne!(after.id.boot, before.id.boot);
    }

    #[test]
    fn a_clock_that_is_set_forward_is_followed_within_the_run() {
        let mut stamper = Stamper::new();
        let before = stamper.stamp(picture(NOON), EARLIEST).unwrap();
        let hour_on = NOON + Duration::from_secs(3600);
        let after = stamper.stamp(picture(hour_on), EARLIEST).unwrap();
        assert_eq!((after.captured, after.id.sequence, after.id.boot), (hour_on, 1, before.id.boot));
    }

    #[test]
    fn before_the_clock_is_set_there_are_no_frames() {
        let mut stamper = Stamper::new();
        assert_eq!(stamper.stamp(picture(NOON), None), Err(Rejected::ClockNotSet));
        // It was set while this picture was on its way.
        let late = Some(NOON + Duration::from_millis(1));
        assert_eq!(stamper.stamp(picture(NOON), late), Err(Rejected::ClockNotSet));
        assert_eq!(captured(&mut stamper, NOON), (0, NOON));
    }

    #[test]
    fn what_cannot_be_a_frame_takes_no_number() {
        let mut stamper = Stamper::new();
        let whole = jpeg();
        let mut stamp = |captured, jpeg: &[u8]| {
            stamper.stamp(Picture { captured, jpeg: Unstamped::new(jpeg).unwrap() }, EARLIEST)
        };
        assert_eq!(stamp(Timestamp::default(), &whole), Err(Rejected::ClockNotSet));
        let comment = [[0xFF, 0xFE, 0xFF, 0xFF].as_slice(), &[b' '; 0xFFFF - 2]].concat();
        let large = [&whole[..2], &comment.repeat(16), &whole[2..]].concat();
        assert_eq!(stamp(NOON, &large), Err(Rejected::TooLarge));
        assert_eq!(stamp(NOON, &whole).unwrap().id.sequence, 0);
    }

    #[test]
    fn a_picture_without_huffman_tables_decodes_with_those_that_it_gets() {
        let whole = jpeg();
        let bare = without_huffman_tables(&whole);
        assert!(!jpeg::has_huffman_tables(&bare));
        let jpeg = Unstamped::new(&bare).unwrap();
        let frame = Stamper::new().stamp(Picture { captured: NOON, jpeg }, EARLIEST).unwrap();
        // The image crate's encoder uses the standard's tables, so the picture is the very same.
        assert_eq!(image::load_from_memory(&frame.jpeg).unwrap(), image::load_from_memory(&whole).unwrap());
    }

    /// `jpeg` as a UVC camera would send it.
    fn without_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
        let mut bare = jpeg[..2].to_vec();
        let mut at = 2;
        while jpeg[at + 1] != 0xDA {
            let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != 0xC4 {
                bare.extend_from_slice(&jpeg[at..end]);
            }
            at = end;
        }
        bare.extend_from_slice(&jpeg[at..]);
        bare
    }
}
