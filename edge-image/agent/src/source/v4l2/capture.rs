//! Capturing from one opened device, on a thread of its own: which pictures are kept, and what is made of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use teiten_footage::Unstamped;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::{
    clock::{Taken, monotonic_now},
    device::Device,
    encoder::{EncodeError, Encoder, Layout},
    mode::{Asked, Mode},
    trouble::Trouble,
};
use crate::{
    config::{Quality, Rate, WholeRate},
    source::{Demand, Loss, Losses, pace::Pace},
    stamper::Picture,
};

/// A camera that gives nothing (or nothing whole) for this long, or for three of its frames, has stalled.
pub(super) const STALLED: Duration = Duration::from_secs(10);

/// What a device's thread says.
pub(super) enum Said {
    Picture(Picture),
    /// Last: the device is closed.
    Ended(End),
}

/// Why a device is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Pictures of another size are wanted, or more of them.
    OtherMode,
    Trouble(Trouble),
    /// Nobody listens any more.
    Deaf,
}

/// What capturing goes by, for all of the devices that are opened one after another.
pub(super) struct Conditions {
    /// What the settings say.
    pub(super) rate: Rate,
    pub(super) quality: Option<Quality>,
    pub(super) demand: watch::Receiver<Demand>,
    pub(super) losses: Arc<Losses>,
    /// Whether it was logged that there are bad pictures.
    pub(super) bad_told: AtomicBool,
}

/// Captures from `device`, which is opened for what was `asked`, until it fails or that is no longer what is wanted.
/// What was `refused` is not asked for again.
pub(super) fn capture(
    device: &mut dyn Device,
    conditions: &Conditions,
    (asked, refused): (Asked, Option<Refused>),
    said: &mpsc::Sender<Said>,
) -> End {
    let mode = device.mode();
    let mut darkroom = match Darkroom::new(&mode) {
        Ok(darkroom) => darkroom,
        Err(error) => {
            warn!(%error, "no encoder for the camera's pictures");
            return End::Trouble(Trouble::Unexpected);
        }
    };
    let patience = STALLED.max(Duration::from_millis(3_000_000 / mode.interval.milli_rate().max(1)));
    let (mut pace, mut quality, mut last_whole) = (Pace::default(), None, Instant::now());
    loop {
        let demand = *conditions.demand.borrow();
        let wanted = wanted_now(&demand, conditions.rate);
        let now =
            refused.filter(|refused| refused.wanted == wanted).map_or(wanted, |refused| refused.instead);
        if !suits(&mode, asked, now) {
            return End::OtherMode;
        }
        let wanted = demand.quality.or(conditions.quality);
        if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) != quality) {
            quality = Some(wanted);
            if mode.format.is_jpeg() {
                device.set_quality(wanted);
            }
        }
        let period = demand.rate(conditions.rate).period();
        let mut developed = None;
        let captured = device.capture(patience, &mut |stamp, buffer| {
            let taken = Taken::new(stamp, monotonic_now(), teiten_telemetry::now());
            if pace.keeps(taken.monotonic, period) {
                developed = Some((taken.wall, darkroom.develop(buffer, wanted.unwrap_or_default())));
            }
        });
        if let Err(trouble) = captured {
            return End::Trouble(trouble);
        }
        match developed {
            None => conditions.losses.add(Loss::Skipped),
            Some((captured, Ok(jpeg))) => {
                last_whole = Instant::now();
                if said.blocking_send(Said::Picture(Picture { captured, jpeg })).is_err() {
                    return End::Deaf;
                }
            }
            Some((_, Err(bad))) => {
                conditions.losses.add(bad.loss());
                if !conditions.bad_told.swap(true, Ordering::Relaxed) {
                    warn!(%bad, "a picture is left out, and so are others like it; if they are many, check the camera's cable and its power");
                }
                if last_whole.elapsed() > patience.max(3 * period) {
                    return End::Trouble(Trouble::OnlyTorn { after: patience });
                }
            }
        }
    }
}

/// What is wanted of a device and refused by it, and what it is asked for instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) wanted: Asked,
    pub(super) instead: Asked,
}

/// What is wanted of a device instead of what the settings say, whose rate is `set`.
pub(super) fn wanted_now(demand: &Demand, set: Rate) -> Asked {
    Asked {
        size: demand.size,
        rate: demand.rate.filter(|rate| rate.period() < set.period()).map(WholeRate::not_below),
    }
}

/// Whether a device that was opened for what was `asked`, and runs in this mode, will do for what is asked `now`. One that
/// is faster will: its pictures are left out. One that was asked for as many already has no more to give.
fn suits(mode: &Mode, asked: Asked, now: Asked) -> bool {
    let is_new = |rate: &WholeRate| asked.rate.is_none_or(|asked| asked.per_second() < rate.per_second());
    let wants_more = now.rate.filter(is_new).is_some_and(|rate| mode.is_slower_than(rate));
    now.size == asked.size && !wants_more
}

/// Why a buffer gives no picture.
#[derive(Debug, thiserror::Error)]
enum Bad {
    #[error("a buffer of {bytes} bytes holds no whole JPEG")]
    Torn { bytes: usize },
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Bad {
    fn loss(&self) -> Loss {
        match self {
            Self::Torn { .. } | Self::Encode(EncodeError::Torn { .. }) => Loss::Torn,
            Self::Encode(EncodeError::Encoder(_)) => Loss::Unencodable,
        }
    }
}

/// Makes pictures of a driver's buffers: copies a JPEG out of it, or encodes it.
struct Darkroom {
    encoder: Option<Encoder>,
}

impl Darkroom {
    fn new(mode: &Mode) -> Result<Self, turbojpeg::Error> {
        let encoder = Layout::of(mode.format).map(|layout| Encoder::new(layout, mode.size));
        Ok(Self { encoder: encoder.transpose()? })
    }

    fn develop(&mut self, buffer: &[u8], quality: Quality) -> Result<Unstamped, Bad> {
        let jpeg = match &mut self.encoder {
            Some(encoder) => {
                encoder.set_quality(quality)?;
                encoder.encode(buffer)?
            }
            None => buffer,
        };
        Unstamped::new(jpeg).map_err(|_| Bad::Torn { bytes: buffer.len() })
    }
}
