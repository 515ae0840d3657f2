//! Supervision and capturing with scripted devices.

use std::{
    collections::VecDeque,
    sync::{Mutex, mpsc as script},
};

use teiten_footage::{CameraId, jpeg};

use super::{
    device::Device,
    mode::{Interval, Mode},
    *,
};
use crate::{
    config::{PictureSize, PixelFormat, Quality, Rate, WholeRate},
    pattern::Painter,
    source::{Loss, Losses},
    stamper::Picture,
};

/// One thing that a scripted device does.
enum Act {
    /// Gives this buffer.
    Give(Vec<u8>),
    /// Fails.
    Fail(Trouble),
    /// Comes back when it is let go, if ever.
    Hang(script::Receiver<()>),
    Panic,
}

/// A device that does what its script says, and then gives `rest` for ever, at 20 frames per second of its own time.
struct Scripted {
    acts: VecDeque<Act>,
    rest: Vec<u8>,
    mode: Mode,
    time: Duration,
    qualities: script::Sender<u8>,
}

impl Device for Scripted {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn set_quality(&mut self, quality: Quality) {
        self.qualities.send(quality.percent()).unwrap();
    }

    fn capture(&mut self, _: Duration, take: &mut dyn FnMut(Duration, &[u8])) -> Result<(), Trouble> {
        self.time += Duration::from_millis(50);
        match self.acts.pop_front() {
            Some(Act::Give(buffer)) => take(self.time, &buffer),
            Some(Act::Fail(trouble)) => return Err(trouble),
            // Without the hook that prints where it was.
            Some(Act::Panic) => std::panic::resume_unwind(Box::new("as rscam does")),
            Some(Act::Hang(let_go)) => let_go.recv().unwrap(),
            None => take(self.time, &self.rest),
        }
        Ok(())
    }
}

type Script = Result<Vec<Act>, Trouble>;

/// Opens devices whose scripts come one after another; then devices that only give pictures.
struct Scripts {
    scripts: Mutex<VecDeque<Script>>,
    format: PixelFormat,
    opened: script::Sender<Asked>,
    qualities: script::Sender<u8>,
}

impl Open for Scripts {
    fn open(&self, asked: Asked) -> Result<Box<dyn Device>, Trouble> {
        self.opened.send(asked).unwrap();
        let script = self.scripts.lock().unwrap().pop_front().unwrap_or(Ok(Vec::new()));
        // Up to 40 frames per second.
        let denominator = asked.rate.map_or(20, |rate| rate.per_second().min(40));
        let interval = Interval { numerator: 1, denominator };
        let mode = Mode { format: self.format, size: (320, 180), interval };
        let rest = if self.format.is_jpeg() { shot(0) } else { vec![128; 2 * 320 * 180] };
        Ok(Box::new(Scripted {
            acts: script?.into(),
            rest,
            mode,
            // Recent, as a driver's times are, and never ahead of the clock.
            time: clock::monotonic_now().saturating_sub(Duration::from_secs(9)),
            qualities: self.qualities.clone(),
        }))
    }
}

/// A supervisor of scripted devices.
struct Supervised {
    pictures: mpsc::Receiver<Picture>,
    demand: watch::Sender<Demand>,
    health: watch::Receiver<Health>,
    losses: Arc<Losses>,
    opened: script::Receiver<Asked>,
    qualities: script::Receiver<u8>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

fn supervised(format: PixelFormat, wait: Duration, scripts: Vec<Script>) -> Supervised {
    let (sender, pictures) = mpsc::channel(1);
    let (demand, demanded) = watch::channel(Demand::default());
    let (told, health) = watch::channel(Health::default());
    let losses = Arc::<Losses>::default();
    let (opens, opened) = script::channel();
    let (sets, qualities) = script::channel();
    let opener = Scripts { scripts: Mutex::new(scripts.into()), format, opened: opens, qualities: sets };
    let conditions = Conditions {
        rate: Rate::new(20.0).unwrap(),
        quality: None,
        demand: demanded.clone(),
        losses: Arc::clone(&losses),
        bad_told: AtomicBool::new(false),
    };
    let outlet = Outlet { pictures: sender, demand: demanded, health: told, losses: Arc::clone(&losses) };
    let backoff = Backoff::new(wait, wait);
    let hung = Duration::from_secs(1);
    let task = tokio::spawn(supervise(Arc::new(opener), conditions, hung, backoff, outlet));
    let _task = tokio_util::task::AbortOnDropHandle::new(task);
    Supervised { pictures, demand, health, losses, opened, qualities, _task }
}

impl Supervised {
    /// The next picture's number; 0 is a device's own.
    async fn next(&mut self) -> u64 {
        let picture = self.pictures.recv().await.unwrap();
        let number = jpeg::whole(picture.jpeg.jpeg()).unwrap().len();
        (0..10).find(|n| shot(*n).len() == number).unwrap()
    }

    /// What the next `count` devices are opened for.
    fn opened(&mut self, count: usize) -> Vec<Asked> {
        let next = |_| {
            tokio::task::block_in_place(|| {
                loop {
                    // Pictures have to be taken, or capturing waits.
                    let _none_yet = self.pictures.try_recv();
                    if let Ok(asked) = self.opened.try_recv() {
                        break asked;
                    }
                }
            })
        };
        (0..count).map(next).collect()
    }

    async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            numbers.push(self.next().await);
        }
        numbers
    }
}

/// A small JPEG that is told from others by a comment of its own length.
fn shot(number: u64) -> Vec<u8> {
    static PLAIN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let size = PictureSize::new(320, 180).unwrap();
        Painter::new(&CameraId::new("a").unwrap(), size).jpeg(teiten_footage::Timestamp::Y2020)
    });
    let comment = [vec![0xFF, 0xFE, 0, 2 + number as u8], vec![b' '; number as usize]].concat();
    [&PLAIN[..2], &comment, &PLAIN[2..]].concat()
}

fn give(number: u64) -> Act {
    Act::Give(shot(number))
}

fn missing() -> Trouble {
    Trouble::Missing { device: "/dev/video0".to_owned() }
}

fn refused() -> Trouble {
    Trouble::NotOffered { device: String::new(), asked: String::new(), offered: String::new() }
}

fn not_at_that_rate() -> Trouble {
    Trouble::Refused { device: String::new(), asked: String::new(), why: String::new() }
}

const SOON: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_unplugged_or_missing_is_opened_anew() {
    let scripts = vec![Ok(vec![give(1), give(2), Act::Fail(missing())]), Err(missing()), Ok(vec![give(3)])];
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, scripts);
    assert_eq!(camera.numbers(4).await, [1, 2, 3, 0]);
    assert_eq!(camera.losses.of(Loss::Missing), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_stalls_or_makes_its_driver_panic_is_opened_anew() {
    let stalled = Trouble::Stalled { after: STALLED };
    let scripts =
        vec![Ok(vec![give(1), Act::Fail(stalled)]), Ok(vec![give(2), Act::Panic]), Ok(vec![give(3)])];
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, scripts);
    assert_eq!(camera.numbers(4).await, [1, 2, 3, 0]);
    assert_eq!((camera.losses.of(Loss::Stalled), camera.losses.of(Loss::Failed)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_driver_hangs_is_waited_for_and_not_opened_beside_itself() {
    let (let_go, held) = script::channel();
    let scripts = vec![Ok(vec![give(1), Act::Hang(held), Act::Fail(missing())]), Ok(vec![give(2)])];
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, scripts);
    assert_eq!(camera.next().await, 1);
    let hung = |health: &Health| matches!(health, Health::Hung { .. });
    camera.health.wait_for(hung).await.unwrap();
    assert_eq!((camera.opened.try_iter().count(), camera.losses.of(Loss::Stalled)), (1, 1));
    let_go.send(()).unwrap();
    assert_eq!(camera.next().await, 2);
    assert_eq!((camera.losses.of(Loss::Stalled), camera.losses.of(Loss::Missing)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn torn_pictures_are_counted_and_left_out_and_padded_ones_are_trimmed() {
    let torn = shot(1)[..2000].to_vec();
    let padded = [shot(2), vec![0; 1 << 20]].concat();
    let script = vec![Act::Give(torn), Act::Give(Vec::new()), Act::Give(padded), give(3)];
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, vec![Ok(script)]);
    assert_eq!(camera.numbers(2).await, [2, 3]);
    assert_eq!(camera.losses.of(Loss::Torn), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_pictures_are_encoded_at_the_quality_that_is_wanted() {
    let script = vec![Act::Give(vec![16; 100])];
    let mut camera = supervised(PixelFormat::Yuyv, SOON, vec![Ok(script)]);
    let fine = camera.pictures.recv().await.unwrap().jpeg;
    assert_eq!(jpeg::dimensions(fine.jpeg()), Some((320, 180)));
    assert_eq!(camera.losses.of(Loss::Torn), 1);
    let tables = |jpeg: &[u8]| jpeg[..100].to_vec();
    camera.demand.send_modify(|demand| demand.quality = Quality::new(5).ok());
    while tables(camera.pictures.recv().await.unwrap().jpeg.jpeg()) == tables(fine.jpeg()) {}
    assert!(camera.qualities.try_recv().is_err(), "the camera does not encode");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cameras_own_jpegs_get_the_quality_that_is_wanted_from_the_camera() {
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, vec![]);
    camera.numbers(2).await;
    assert!(camera.qualities.try_recv().is_err(), "nobody asked for a quality");
    camera.demand.send_modify(|demand| demand.quality = Quality::new(55).ok());
    camera.numbers(5).await;
    assert_eq!(camera.qualities.try_iter().collect::<Vec<_>>(), [55]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_rate_leaves_pictures_out_evenly() {
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, vec![]);
    camera.demand.send_modify(|demand| demand.rate_max = Rate::new(5.0).ok());
    camera.numbers(3).await;
    let skipped = camera.losses.of(Loss::Skipped);
    // (As many as make 9 s of the device's time would run ahead of the clock.)
    camera.numbers(30).await;
    // Three of four, give or take what is under way: some pictures wait in the channels, each with three before it.
    let skipped = camera.losses.of(Loss::Skipped) - skipped;
    assert!((72..=108).contains(&skipped), "{skipped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_opens_the_device_anew_at_once_and_one_that_is_refused_changes_nothing() {
    let large = PictureSize::new(1920, 1080).unwrap();
    let hour = Duration::from_secs(3600);
    let mut camera =
        supervised(PixelFormat::Mjpeg, hour, vec![Ok(vec![]), Ok(vec![give(1)]), Err(refused())]);
    camera.numbers(2).await;
    assert_eq!(*camera.health.borrow(), Health::Flowing);
    camera.demand.send_modify(|demand| demand.size = PictureSize::new(640, 360).ok());
    while camera.next().await != 1 {}
    camera.demand.send_modify(|demand| demand.size = Some(large));
    let sizes: Vec<_> = camera.opened(4).into_iter().map(|asked| asked.size).collect();
    assert_eq!(sizes, [None, PictureSize::new(640, 360).ok(), Some(large), None]);
    camera.numbers(5).await;
    assert_eq!(camera.losses.of(Loss::Refused), 1);
    assert_eq!(*camera.health.borrow(), Health::Flowing);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_pictures_than_the_device_gives_open_it_anew_once_and_fewer_do_not() {
    let mut camera = supervised(PixelFormat::Mjpeg, SOON, vec![]);
    let mut rates = |per_second: &[f64], opened| {
        for per_second in per_second {
            camera.demand.send_modify(|demand| demand.rate = Rate::new(*per_second).ok());
        }
        let rate = |asked: Asked| asked.rate.map(WholeRate::per_second);
        camera.opened(opened).into_iter().map(rate).collect::<Vec<_>>()
    };
    assert_eq!(rates(&[], 1), [None]);
    assert_eq!(rates(&[29.5], 1), [Some(30)]);
    // It has no more than 40, and is asked for more only when that is news.
    assert_eq!(rates(&[5.0], 0), []);
    assert_eq!(rates(&[100.0], 1), [Some(100)]);
    camera.demand.send_modify(|demand| demand.rate = Rate::new(60.0).ok());
    camera.numbers(30).await;
    assert!(camera.opened.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_is_refused_changes_nothing() {
    let hour = Duration::from_secs(3600);
    for refused in [refused(), not_at_that_rate()] {
        let mut camera = supervised(PixelFormat::Mjpeg, hour, vec![Ok(vec![]), Err(refused), Ok(vec![])]);
        camera.numbers(2).await;
        camera.demand.send_modify(|demand| demand.rate = Rate::new(30.0).ok());
        let rates: Vec<_> = camera.opened(3).into_iter().map(|asked| asked.rate).collect();
        assert_eq!(rates, [None, WholeRate::new(30).ok(), None]);
        camera.numbers(20).await;
        assert_eq!(camera.losses.of(Loss::Refused), 1);
        assert_eq!(*camera.health.borrow(), Health::Flowing);
        assert!(camera.opened.try_recv().is_err(), "it is not tried again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_works_at_a_lower_rate_is_kept() {
    let hour = Duration::from_secs(3600);
    let scripts = vec![Ok(vec![]), Err(not_at_that_rate()), Ok(vec![]), Err(refused()), Ok(vec![])];
    let mut camera = supervised(PixelFormat::Mjpeg, hour, scripts);
    let (large, huge) = (PictureSize::new(1920, 1080).ok(), PictureSize::new(2560, 1440).ok());
    let fast = Rate::new(30.0).ok();
    assert_eq!(camera.opened(1), [Asked::default()]);
    camera.demand.send_modify(|demand| (demand.size, demand.rate) = (large, fast));
    let rate = WholeRate::new(30).ok();
    assert_eq!(camera.opened(2), [Asked { size: large, rate }, Asked { size: large, rate: None }]);
    camera.demand.send_modify(|demand| demand.size = huge);
    assert_eq!(camera.opened(2), [Asked { size: huge, rate }, Asked { size: None, rate }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_was_refused_is_tried_again_once_another_was_wanted() {
    let hour = Duration::from_secs(3600);
    let (one, other) = (PictureSize::new(1920, 1080).ok(), PictureSize::new(640, 360).ok());
    let mut camera = supervised(PixelFormat::Mjpeg, hour, vec![Ok(vec![]), Err(refused())]);
    let mut opened = Vec::new();
    for (size, count) in [(None, 1), (one, 2), (other, 1), (one, 1)] {
        camera.demand.send_modify(|demand| demand.size = size);
        opened.extend(camera.opened(count).into_iter().map(|asked| asked.size));
    }
    assert_eq!(opened, [None, one, None, other, one]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_rate_is_tried_at_once_when_the_device_fails() {
    let hour = Duration::from_secs(3600);
    let mut camera = supervised(PixelFormat::Mjpeg, hour, vec![Err(missing()), Ok(vec![give(1)])]);
    let why = missing().to_string();
    camera.health.wait_for(|health| *health == Health::Failing { why: why.clone() }).await.unwrap();
    camera.demand.send_modify(|demand| demand.rate = Rate::new(30.0).ok());
    assert_eq!(camera.next().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_says_why_and_another_size_is_tried_at_once() {
    let hour = Duration::from_secs(3600);
    let mut camera = supervised(PixelFormat::Mjpeg, hour, vec![Err(refused()), Ok(vec![give(1)])]);
    let why = refused().to_string();
    camera.health.wait_for(|health| *health == Health::Failing { why: why.clone() }).await.unwrap();
    camera.demand.send_modify(|demand| demand.size = PictureSize::new(640, 360).ok());
    assert_eq!(camera.next().await, 1);
}
