//! A camera that Linux knows (Video4Linux), by rscam: MJPEG as it comes.
//!
//! Capturing blocks and cannot be interrupted, so each opened device has a thread of its own, and a supervisor
//! that waits for its pictures. A device that fails is opened anew after a while, for ever; what is wrong is
//! logged when it changes, not each time. A device that stalls keeps its thread: the thread is left to itself,
//! and ends once the driver lets go of it. Until then the driver refuses to be opened anew.
//!
//! Supervision, times and messages are tested without a camera, behind [`Device`]. The few lines that call
//! rscam are not: they need a device.

use std::{io, mem::replace, sync::Arc, time::Duration};

use rscam::ResolutionInfo;
use rustix::time::{ClockId, clock_gettime};
use teiten_footage::{Timestamp, Unstamped};
use teiten_telemetry::Backoff;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{Health, Loss, Outlet};
use crate::{config::V4l2, stamper::Picture};

/// A camera that gives nothing for this long (or for three of its frames) has stalled.
const STALLED: Duration = Duration::from_secs(10);

/// A camera that gave pictures for this long is well again.
const STEADY: Duration = Duration::from_secs(10);

/// Driver buffers: how many frames a busy agent may be late.
const BUFFERS: u32 = 4;

/// Captures until nobody takes the pictures any more.
pub(super) async fn play(settings: V4l2, outlet: Outlet) {
    let stalled = STALLED.max(settings.rate.period() * 3);
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    supervise(Arc::new(move || open(&settings)), stalled, backoff, outlet).await;
}

/// An opened, streaming device.
trait Device {
    /// Waits for the next picture.
    fn capture(&mut self) -> io::Result<Picture>;
}

type Open = dyn Fn() -> Result<Box<dyn Device>, Trouble> + Send + Sync;

/// Why there are no pictures, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("there is no {device}: plug the camera in, or name another one in source.device")]
    Missing { device: String },
    #[error("{device} may not be opened: run the agent as a member of the group that owns it (video)")]
    Forbidden { device: String },
    #[error("{device} is in use: stop the other program")]
    InUse { device: String },
    #[error(
        "{device} refuses {asked} ({why}): change width, height or rate in [source]; it offers {offered}"
    )]
    Refused { device: String, asked: String, why: String, offered: String },
    #[error("{device} failed ({why}): check its cable and its power")]
    Failed { device: String, why: String },
    #[error("no picture for {} s: check the camera's cable and its power", after.as_secs())]
    Stalled { after: Duration },
    #[error("the camera's driver did something that rscam does not expect")]
    Unexpected,
}

impl Trouble {
    fn loss(&self) -> Loss {
        match self {
            Self::Missing { .. } => Loss::Missing,
            Self::InUse { .. } => Loss::InUse,
            Self::Refused { .. } => Loss::Refused,
            Self::Stalled { .. } => Loss::Stalled,
            Self::Forbidden { .. } | Self::Failed { .. } | Self::Unexpected => Loss::Failed,
        }
    }
}

/// Keeps a device open, and passes on what it captures.
async fn supervise(open: Arc<Open>, stalled: Duration, mut backoff: Backoff, outlet: Outlet) {
    let mut known: Option<Trouble> = None;
    loop {
        let mut captured = start(Arc::clone(&open));
        let mut flowing_since: Option<Instant> = None;
        let trouble = loop {
            match timeout(stalled, captured.recv()).await {
                Ok(Some(Ok(picture))) => {
                    let since = *flowing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STEADY && known.take().is_some() {
                        info!("the camera gives pictures again");
                        backoff.reset();
                    }
                    outlet
                        .health
                        .send_if_modified(|health| replace(health, Health::Flowing) != Health::Flowing);
                    if outlet.pictures.send(picture).await.is_err() {
                        return;
                    }
                }
                Ok(Some(Err(trouble))) => break trouble,
                Ok(None) => break Trouble::Unexpected,
                Err(_) => break Trouble::Stalled { after: stalled },
            }
        };
        outlet.health.send_replace(Health::Failing { why: trouble.to_string() });
        outlet.losses.add(trouble.loss());
        if known.as_ref() != Some(&trouble) {
            warn!(%trouble, "the camera gives no pictures, it is tried again");
            known = Some(trouble);
        }
        sleep(backoff.wait()).await;
    }
}

/// Opens the device on a thread of its own, which ends with the device, or when nobody listens any more.
fn start(open: Arc<Open>) -> mpsc::Receiver<Result<Picture, Trouble>> {
    let (sender, receiver) = mpsc::channel(1);
    let capture = move || {
        let mut device = match open() {
            Ok(device) => device,
            Err(trouble) => return drop(sender.blocking_send(Err(trouble))),
        };
        loop {
            let captured = device.capture().map_err(|error| failed("the camera".to_owned(), &error));
            let ended = captured.is_err();
            if sender.blocking_send(captured).is_err() || ended {
                return;
            }
        }
    };
    // If there is no thread to be had, the sender is gone and the supervisor tries again.
    if let Err(error) = std::thread::Builder::new().name("capture".to_owned()).spawn(capture) {
        warn!(%error, "no thread to capture on");
    }
    receiver
}

/// A camera of rscam's.
struct Camera(rscam::Camera);

impl Device for Camera {
    fn capture(&mut self) -> io::Result<Picture> {
        let frame = self.0.capture()?;
        let captured =
            wall_time(Duration::from_micros(frame.get_timestamp()), monotonic_now(), teiten_telemetry::now());
        Ok(Picture { captured, jpeg: Unstamped::new(&frame).map_err(io::Error::other)? })
    }
}

fn open(settings: &V4l2) -> Result<Box<dyn Device>, Trouble> {
    let device = settings.device.display().to_string();
    let mut camera = rscam::Camera::new(&device).map_err(|error| failed(device.clone(), &error))?;
    let started = camera.start(&rscam::Config {
        interval: (1, settings.rate.per_second()),
        resolution: (settings.size.width(), settings.size.height()),
        format: b"MJPG",
        nbuffers: BUFFERS,
        ..rscam::Config::default()
    });
    match started {
        Ok(()) => Ok(Box::new(Camera(camera))),
        Err(rscam::Error::Io(error)) => Err(failed(device, &error)),
        Err(error) => Err(Trouble::Refused {
            device,
            asked: format!("{} MJPEG at {}/s", settings.size, settings.rate),
            why: error.to_string(),
            offered: offered(camera.resolutions(b"MJPG").ok()),
        }),
    }
}

fn failed(device: String, error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing { device },
        io::ErrorKind::PermissionDenied => Trouble::Forbidden { device },
        io::ErrorKind::ResourceBusy => Trouble::InUse { device },
        _ => Trouble::Failed { device, why: error.to_string() },
    }
}

fn offered(resolutions: Option<ResolutionInfo>) -> String {
    match resolutions {
        Some(ResolutionInfo::Discretes(sizes)) => {
            let sizes: Vec<_> = sizes.iter().map(|(width, height)| format!("{width}x{height}")).collect();
            sizes.join(", ")
        }
        Some(ResolutionInfo::Stepwise { min, max, step }) => {
            format!("{}x{} to {}x{} in steps of {}x{}", min.0, min.1, max.0, max.1, step.0, step.1)
        }
        None => "no MJPEG".to_owned(),
    }
}

/// CLOCK_MONOTONIC, which drivers stamp their buffers with.
fn monotonic_now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// The wall clock when the monotonic clock showed `stamp`, given what both show now: the one place where a
/// driver's time becomes a capture time. A stamp that is no recent monotonic time (some drivers leave it at zero
/// or use the wall clock) counts as now.
fn wall_time(stamp: Duration, monotonic_now: Duration, wall_now: Timestamp) -> Timestamp {
    match monotonic_now.checked_sub(stamp) {
        Some(age) if age <= STALLED => wall_now - age,
        _ => wall_now,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use teiten_footage::CameraId;

    use super::*;
    use crate::{config::PictureSize, pattern::Painter, source::tests::outlet};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_406_701_234);

    #[test]
    fn a_drivers_time_becomes_wall_time() {
        let seconds = Duration::from_secs;
        let age = Duration::from_micros(33_333);
        assert_eq!(wall_time(seconds(1000) - age, seconds(1000), NOW), NOW - age);
        assert_eq!(wall_time(Duration::ZERO, seconds(1000), NOW), NOW);
        assert_eq!(wall_time(seconds(1_795_406_701), seconds(1000), NOW), NOW);
    }

    #[test]
    fn the_monotonic_clock_is_the_one_that_linux_counts_from_boot() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // /proc/uptime also counts time spent asleep.
        assert!(monotonic_now().as_secs_f64() <= uptime + 1.0);
        assert!(monotonic_now() > Duration::ZERO);
    }

    #[test]
    fn a_device_that_is_none_is_explained() {
        let missing = V4l2 { device: "/dev/video-none".into(), ..V4l2::default() };
        assert!(matches!(open(&missing), Err(Trouble::Missing { .. })));
        let place = tempfile::NamedTempFile::new().unwrap();
        let file = V4l2 { device: place.path().to_owned(), ..V4l2::default() };
        assert!(matches!(open(&file), Err(Trouble::Failed { .. })));
        let offer = ResolutionInfo::Discretes(vec![(640, 480), (1280, 720)]);
        assert_eq!(offered(Some(offer)), "640x480, 1280x720");
        let offer = ResolutionInfo::Stepwise { min: (32, 32), max: (2592, 1944), step: (2, 2) };
        assert_eq!(offered(Some(offer)), "32x32 to 2592x1944 in steps of 2x2");
        assert_eq!(offered(None), "no MJPEG");
    }

    /// A device whose captures are scripted; when the script ends it stalls for good.
    struct Scripted(VecDeque<io::Result<Picture>>);

    impl Device for Scripted {
        fn capture(&mut self) -> io::Result<Picture> {
            self.0.pop_front().unwrap_or_else(|| {
                loop {
                    std::thread::park();
                }
            })
        }
    }

    /// A picture that is told by the millisecond when it was captured.
    fn picture(number: u64) -> io::Result<Picture> {
        let jpeg = Painter::new(&CameraId::new("a").unwrap(), PictureSize::default()).jpeg(NOW);
        let captured = Timestamp::from_unix_millis(number);
        Ok(Picture { captured, jpeg: Unstamped::new(&jpeg).unwrap() })
    }

    fn unplugged() -> io::Result<Picture> {
        Err(io::Error::from_raw_os_error(19))
    }

    type Script = Result<Vec<io::Result<Picture>>, Trouble>;

    /// The numbers of the pictures that come of devices opened one after another.
    async fn supervised(scripts: Vec<Script>, expected: &[u64]) {
        let scripts = Mutex::new(VecDeque::from(scripts));
        let open: Arc<Open> = Arc::new(move || {
            let script = scripts.lock().unwrap().pop_front().unwrap_or(Ok(Vec::new()))?;
            Ok(Box::new(Scripted(script.into())))
        });
        let (outlet, mut receiver) = outlet();
        let wait = Duration::from_millis(10);
        let backoff = Backoff::new(wait, wait);
        let supervisor = tokio::spawn(supervise(open, Duration::from_millis(200), backoff, outlet));
        let mut given = Vec::new();
        while given.len() < expected.len() {
            given.push(receiver.recv().await.unwrap().captured.unix_millis());
        }
        assert_eq!(given, expected);
        supervisor.abort();
    }

    #[tokio::test]
    async fn a_device_that_was_unplugged_or_missing_is_opened_anew() {
        let missing = Trouble::Missing { device: "/dev/video0".to_owned() };
        supervised(
            vec![Ok(vec![picture(1), picture(2), unplugged()]), Err(missing), Ok(vec![picture(3)])],
            &[1, 2, 3],
        )
        .await;
    }

    #[tokio::test]
    async fn a_device_that_stalls_is_given_up_and_opened_anew() {
        supervised(vec![Ok(vec![picture(1)]), Ok(vec![picture(2)])], &[1, 2]).await;
    }
}
