//! An opened camera in the mode that suits the settings best.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::{debug, info, warn};

use super::{
    camera::Camera,
    control::{self, Control, ControlError, JPEG_QUALITY, VIDEO_BITRATE},
    mode::{Asked, Mode, Offer, Wanted, best},
    trouble::Trouble,
};
use crate::config::{PixelFormat, Quality, V4l2, WholeRate};

/// An opened, streaming device.
pub(super) trait Device {
    /// The mode that it runs in.
    fn mode(&self) -> Mode;

    /// Sets the quality of the JPEGs that it makes itself, if it can.
    fn set_quality(&mut self, quality: Quality);

    /// Waits for the next buffer, for as long as `patience`, and lends it to `take` with the driver's time of it.
    fn capture(&mut self, patience: Duration, take: &mut dyn FnMut(Duration, &[u8])) -> Result<(), Trouble>;
}

/// Opens devices.
pub(super) trait Open: Send + Sync {
    /// Opens the device, for what is asked instead of what the settings say.
    fn open(&self, asked: Asked) -> Result<Box<dyn Device>, Trouble>;
}

/// How many modes are refused before a size is given up for one rate of it: each attempt takes a while.
const RATES_TRIED_MAX: usize = 8;

/// Opens the camera of the settings.
pub(super) struct Opener {
    settings: V4l2,
    /// What was logged last time.
    told: Mutex<Told>,
}

/// What is in the log once, though a device may be opened often.
#[derive(Default)]
struct Told {
    controls: Vec<ControlError>,
    too_slow: Option<(Mode, WholeRate)>,
}

impl Opener {
    pub(super) fn new(settings: V4l2) -> Self {
        Self { settings, told: Mutex::default() }
    }

    /// Sets the controls; what cannot be set is logged once, and left as it is.
    fn set_controls(&self, camera: &Camera, controls: &[Control]) {
        // What an earlier control message asked for is still in the device.
        if let Some((id, value)) = control::own_quality(controls).filter(|_| self.settings.quality.is_none())
            && let Err(error) = camera.set(id, value)
        {
            debug!(%error, value, "the camera keeps the quality that it was once given");
        }
        let (values, mut errors) = control::resolve(controls, &self.settings.controls);
        for (control, value) in values {
            if let Err(error) = camera.set(control.id, value) {
                errors.push(ControlError::Refused { name: control.name.clone(), why: error.to_string() });
            }
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for error in errors.iter().filter(|error| !told.controls.contains(error)) {
            warn!(%error, "a control of the camera is left as it is");
        }
        told.controls = errors;
    }

    /// Logs, once, that the camera's best is less than what is asked for.
    fn tell_if_too_slow(&self, device: &str, mode: Mode, wanted: &Wanted) {
        let too_slow = wanted.rate.filter(|rate| mode.is_slower_than(*rate)).map(|rate| (mode, rate));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((mode, rate)) = too_slow.filter(|_| told.too_slow != too_slow) {
            let asked = rate.per_second();
            warn!(
                device, %mode, asked,
                "the camera gives fewer pictures a second than it is asked for: ask for smaller ones, or leave the \
                format to it"
            );
        }
        told.too_slow = too_slow;
    }
}

impl Open for Opener {
    fn open(&self, asked: Asked) -> Result<Box<dyn Device>, Trouble> {
        let settings = &self.settings;
        let wanted = Wanted::new(settings, asked);
        let mut camera = Camera::open(&settings.device)?;
        let controls = camera.controls();
        let mut offers = camera.offers(wanted.size)?;
        let mut refused = None;
        // A driver may offer what it then refuses: the next best is tried, at another rate to begin with.
        let mut attempts = 0;
        while let Some(mode) = best(&offers, &wanted) {
            match camera.start(&mode, |camera| self.set_controls(camera, &controls)) {
                Ok(camera) => {
                    info!(device = camera.name(), %mode, "the camera is opened");
                    self.tell_if_too_slow(&camera.name(), mode, &wanted);
                    let quality = QualityRule::of(mode.format, &controls);
                    return Ok(Box::new(Streaming { camera, mode, quality }));
                }
                Err(trouble @ Trouble::Refused { .. }) => {
                    debug!(%trouble, "a mode of the camera does not work");
                    attempts += 1;
                    offers = without(offers, &mode, &wanted, attempts <= RATES_TRIED_MAX);
                    refused.get_or_insert(trouble);
                    camera = Camera::open(&settings.device)?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Err(match refused {
            Some(trouble) => trouble,
            None => not_offered(&camera, &wanted)?,
        })
    }
}

/// Offers but for a mode that is refused: at this interval, or at any.
fn without(offers: Vec<Offer>, mode: &Mode, wanted: &Wanted, only_the_interval: bool) -> Vec<Offer> {
    let remaining = |offer: Offer| match (offer.format, offer.size) == (mode.format, mode.size) {
        false => Some(offer),
        true if only_the_interval => offer.without(mode.interval, wanted),
        true => None,
    };
    offers.into_iter().filter_map(remaining).collect()
}

fn not_offered(camera: &Camera, wanted: &Wanted) -> Result<Trouble, Trouble> {
    let device = camera.name();
    let offered = camera.offered()?;
    if offered.is_empty() {
        let why = "it gives no pictures in a format that JPEGs can be made of".to_owned();
        return Ok(Trouble::NoCamera { device, why });
    }
    let offered: Vec<_> =
        offered.iter().map(|offered| format!("{} {}", offered.format, offered.sizes)).collect();
    Ok(Trouble::NotOffered { device, asked: wanted.to_string(), offered: offered.join("; ") })
}

/// The mode that the settings' defaults would pick.
pub(super) fn auto_mode(device: &Path) -> Result<Option<Mode>, Trouble> {
    let wanted = Wanted::new(&V4l2::default(), Asked::default());
    Ok(best(&Camera::open(device)?.offers(None)?, &wanted))
}

/// What rules the quality of a camera's own JPEGs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum QualityRule {
    Quality(Control),
    Bitrate,
    /// Nothing that can be set.
    Own,
}

impl QualityRule {
    fn of(format: PixelFormat, controls: &[Control]) -> Self {
        let has_bitrate = controls.iter().any(|control| control.id == VIDEO_BITRATE);
        let quality = controls.iter().find(|control| control.id == JPEG_QUALITY);
        match quality {
            _ if has_bitrate && format == PixelFormat::Mjpeg => Self::Bitrate,
            Some(quality) => Self::Quality(quality.clone()),
            None => Self::Own,
        }
    }
}

/// A camera that streams.
struct Streaming {
    camera: Camera,
    mode: Mode,
    quality: QualityRule,
}

impl Device for Streaming {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn set_quality(&mut self, quality: Quality) {
        let control = match &self.quality {
            QualityRule::Quality(control) => control,
            QualityRule::Bitrate => {
                warn!(
                    "the camera's MJPEG goes by its control video_bitrate and not by a quality: set that under \
                    source.controls, or choose the format \"jpeg\""
                );
                return;
            }
            QualityRule::Own => return,
        };
        let Some(value) = control::scaled_quality(&control.range, quality.percent()) else { return };
        if let Err(error) = self.camera.set(control.id, value) {
            warn!(%error, value, "the camera keeps the quality of its JPEGs");
        }
    }

    fn capture(&mut self, patience: Duration, take: &mut dyn FnMut(Duration, &[u8])) -> Result<(), Trouble> {
        self.camera.capture(patience, take)
    }
}

#[cfg(test)]
mod tests {
    use super::{control::Range, *};

    #[test]
    fn the_mjpeg_of_a_camera_module_goes_by_its_bitrate_and_its_jpegs_by_their_quality() {
        let control = |id, max| Control {
            id,
            name: String::new(),
            range: Range::Number { min: 1, max, step: 1, default: 30, value: 30 },
        };
        let (bitrate, quality) = (control(VIDEO_BITRATE, 25_000_000), control(JPEG_QUALITY, 100));
        let rule = |format, controls: &[&Control]| {
            let controls: Vec<_> = controls.iter().map(|control| (*control).clone()).collect();
            QualityRule::of(format, &controls)
        };
        assert_eq!(rule(PixelFormat::Mjpeg, &[&bitrate, &quality]), QualityRule::Bitrate);
        assert_eq!(rule(PixelFormat::Jpeg, &[&bitrate, &quality]), QualityRule::Quality(quality.clone()));
        assert_eq!(rule(PixelFormat::Mjpeg, &[&quality]), QualityRule::Quality(quality.clone()));
        assert_eq!(rule(PixelFormat::Mjpeg, &[]), QualityRule::Own);
    }
}
