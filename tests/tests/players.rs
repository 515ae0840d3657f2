//! What other players make of it: ffmpeg, hls.js and Chromium's own player play an hour with a gap, a range over midnight,
//! a change of the encoder and one of the picture, footage that comes late for hours that are put together, and live footage,
//! each picture at its time. The footage of the past is made at once, by the functions themselves and with their clocks set back.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use teiten_agent::{
    config::PictureSize,
    pattern::{Painter, read_clock},
};
use teiten_bucket::{Bucket, Condition, Headers, S3Bucket, S3Config};
use teiten_compact::Compact;
use teiten_encode::Encode;
use teiten_footage::{
    Batch, BatchKey, BootId, CameraId, ContentHash, Event, Frame, FrameId, Hour, PackKey, SegmentKey,
    Timestamp, Window, WindowLength,
    key::{self, BatchFormat},
};
use teiten_host::{Admission, Chore as _, Function as _, Origin};
use teiten_playback::{Links, Playback};
use teiten_playlist::{Playlist, update_hour};
use teiten_tests::{browser, other_encoder, pipeline::camera, process::eventually, verify::list_all};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(250);
const PICTURE: (u32, u32) = (640, 480);
const OTHER_PICTURE: (u32, u32) = (960, 720);

/// A store, and the functions that write to it.
struct Station {
    frames: Arc<dyn Bucket>,
    media: Arc<dyn Bucket>,
    /// Where players find it.
    address: String,
    playback: String,
    encode: Encode,
}

impl Station {
    async fn open(data: &Path, stop: &CancellationToken) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (access_key, secret_key) = ("players".to_owned(), "players-secret".to_owned());
        let credentials =
            teiten_s3::Credentials { access_key: access_key.clone(), secret_key: secret_key.clone() };
        let server = teiten_s3::Server::new(teiten_s3::Store::open(data)?, credentials);
        tokio::spawn(server.serve(listener, stop.clone()));
        let credentials = teiten_bucket::Credentials { access_key, secret_key, session_token: None };
        let config = S3Config::new(Some(&endpoint), "us-east-1", credentials)?;
        let frames: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&config, key::FRAMES_BUCKET));
        let media: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&config, key::MEDIA_BUCKET));
        let address = format!("{endpoint}/{}", key::MEDIA_BUCKET);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let playback = format!("http://{}", listener.local_addr()?);
        let function =
            Arc::new(Playback::new(Arc::clone(&media), Links::plain(&address)?, Admission::Anybody));
        let (origin, stop) = (Origin::default(), stop.clone());
        tokio::spawn(teiten_host::serve_requests(function, origin, listener, stop));
        let encode = Encode::new(Arc::clone(&frames), Arc::clone(&media), Default::default());
        Ok(Self { frames, media, address, playback, encode })
    }

    /// The pictures of a window, as the bridge stores them and `encode` works them in; answers the event of that.
    async fn film(&self, painter: &mut Painter, camera: &CameraId, window: Window) -> anyhow::Result<Event> {
        let batch = batch(painter, window)?;
        let key = BatchKey { camera: camera.clone(), window, format: BatchFormat::Mjpeg };
        self.frames.put(&key.to_string(), batch.to_bytes(), Headers::default(), Condition::Always).await?;
        let bucket = self.frames.name().to_owned();
        let answer = self.encode.handle(Event::BatchStored { bucket, key, frames: None }).await;
        answer.map_err(|failure| anyhow::anyhow!("{failure}"))?.context("nothing was encoded")
    }

    /// The same, but that another encoder works them in.
    async fn film_otherwise(
        &self,
        painter: &mut Painter,
        camera: &CameraId,
        window: Window,
    ) -> anyhow::Result<Event> {
        let batch = batch(painter, window)?;
        let (init, segment, pictures) = other_encoder::encode(&batch)?;
        let hash = ContentHash::of(&init);
        let key = SegmentKey { camera: camera.clone(), window, init: hash, pictures };
        let headers = Headers { content_type: "video/mp4", ..Headers::default() };
        self.media.put(&key.init_key().to_string(), init, headers, Condition::Always).await?;
        self.media.put(&key.to_string(), segment, headers, Condition::Always).await?;
        Ok(Event::SegmentStored { bucket: self.media.name().to_owned(), key, motion: None })
    }
}

/// What a camera captures in a window.
fn batch(painter: &mut Painter, window: Window) -> anyhow::Result<Batch> {
    let mut frames = Vec::new();
    let mut captured = window.start();
    while captured < window.end() {
        let id = FrameId { boot: BootId(1), sequence: captured.unix_millis() / STEP.as_millis() as u64 };
        frames.push(Frame::stamp(&painter.jpeg(captured), id, captured)?);
        captured = captured + STEP;
    }
    Ok(Batch::new(window, frames)?)
}

/// Footage around a midnight that is over: a hole before it, and after it another encoder and another size of picture.
struct Past {
    camera: CameraId,
    midnight: Timestamp,
    /// When each picture was captured.
    pictures: Vec<Timestamp>,
}

impl Past {
    /// Seconds from midnight that are filmed, how large, and whether by another encoder.
    const SPANS: [(i64, i64, (u32, u32), bool); 4] = [
        (-20, -8, PICTURE, false),
        (-4, 4, PICTURE, false),
        (4, 8, PICTURE, true),
        (8, 18, OTHER_PICTURE, false),
    ];

    /// What comes late: a part of the hole, some of it by an encoder that the hour has not heard of, and once more what is there.
    const LATE_SPANS: [(i64, i64, (u32, u32), bool); 3] =
        [(-8, -6, PICTURE, false), (-6, -5, PICTURE, true), (1, 2, PICTURE, true)];

    async fn film(station: &Station) -> anyhow::Result<Self> {
        let camera = camera("yard")?;
        let day = 24 * HOUR.as_millis() as u64;
        let now = teiten_telemetry::now();
        let midnight = Timestamp::from_unix_millis((now - HOUR * 3).unix_millis() / day * day);
        let clock = Arc::new(AtomicU64::new(0));
        let playlist = Playlist::with_clock(Arc::clone(&station.media), Default::default(), {
            let clock = Arc::clone(&clock);
            move || Timestamp::from_unix_millis(clock.load(Ordering::SeqCst))
        });
        let mut past = Self { camera, midnight, pictures: Vec::new() };
        for span in Self::SPANS {
            for (window, event) in past.film_span(station, span).await? {
                clock.store((window.end() + STEP).unix_millis(), Ordering::SeqCst);
                playlist.handle(event).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
            }
        }
        past.list(station).await?;
        Ok(past)
    }

    /// Films what comes late for hours that are put together, once a pack can no longer be taken for what has it.
    async fn film_late(&mut self, station: &Station) -> anyhow::Result<()> {
        let packs = self.packs(station).await?;
        let as_of = packs.iter().map(|pack| pack.as_of).max().context("nothing is put together")?;
        tokio::time::sleep(as_of.since(teiten_telemetry::now())).await;
        for span in Self::LATE_SPANS {
            self.film_span(station, span).await?;
        }
        self.list(station).await
    }

    async fn film_span(
        &mut self,
        station: &Station,
        (from, to, (width, height), otherwise): (i64, i64, (u32, u32), bool),
    ) -> anyhow::Result<Vec<(Window, Event)>> {
        let mut painter = Painter::new(&self.camera, PictureSize::new(width, height)?);
        let mut filmed = Vec::new();
        for second in from..to {
            let start = self.midnight.unix_millis().checked_add_signed(second * 1000);
            let start = Timestamp::from_unix_millis(start.context("before 1970")?);
            let window = Window::containing(start, WindowLength::DEFAULT);
            let event = if otherwise {
                station.film_otherwise(&mut painter, &self.camera, window).await?
            } else {
                station.film(&mut painter, &self.camera, window).await?
            };
            filmed.push((window, event));
            self.pictures.extend((0..4).map(|picture| start + STEP * picture));
        }
        self.pictures.sort();
        self.pictures.dedup();
        Ok(filmed)
    }

    /// Has the playlists of its hours brought up to date.
    async fn list(&self, station: &Station) -> anyhow::Result<()> {
        let now = teiten_telemetry::now();
        for hour in self.hours() {
            while update_hour(&*station.media, &self.camera, hour, now).await?.is_some() {}
        }
        Ok(())
    }

    async fn packs(&self, station: &Station) -> anyhow::Result<Vec<PackKey>> {
        let keys = list_all(&*station.media, &key::segments_prefix(&self.camera)).await?;
        Ok(keys.iter().filter_map(|key| key.parse().ok()).collect())
    }

    /// Has its hours put together, as they are an hour after.
    async fn compact(&self, station: &Station) -> anyhow::Result<()> {
        let later = || teiten_telemetry::now() + HOUR;
        let settings = teiten_compact::Settings { horizon: HOUR * 48, ..Default::default() };
        let report = Compact::with_clock(Arc::clone(&station.media), settings, later).run().await;
        let report = report.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        ensure!((report.packs, report.failed) == (5, 0), "compacted: {report:?}");
        Ok(())
    }

    /// The one before midnight and the one after.
    fn hours(&self) -> [Hour; 2] {
        [self.midnight - HOUR, self.midnight].map(Hour::containing)
    }

    /// Where players find each of its hours, and the pictures in it.
    fn addresses(&self, station: &Station) -> [(String, Vec<Timestamp>); 2] {
        self.hours().map(|hour| {
            let url = format!("{}/{}", station.address, key::hour_playlist_key(&self.camera, hour));
            (url, self.pictures.iter().copied().filter(|time| Hour::containing(*time) == hour).collect())
        })
    }

    /// Fails unless ffmpeg plays all of it, hour by hour and as a range.
    async fn ffmpeg_plays(&self, station: &Station, range: &str, how: &'static str) -> anyhow::Result<()> {
        let [before, after] = self.addresses(station);
        let over_midnight = (range.to_owned(), self.pictures.clone());
        tokio::task::spawn_blocking(move || {
            let all = [
                ("an hour with a gap", before),
                ("an hour with another encoder and another picture", after),
                ("a range over midnight", over_midnight),
            ];
            all.iter().try_for_each(|(what, (url, pictures))| {
                ffmpeg_plays(&format!("{what}, {how}"), url, pictures)
            })
        })
        .await?
    }
}

/// Decodes what ffmpeg finds at `url`, and reads the clock in each picture. Fails if ffmpeg has anything to say.
fn clocks_by_ffmpeg(url: &str, options: &[&str]) -> anyhow::Result<Vec<Timestamp>> {
    let (width, height) = PICTURE;
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", url, "-fps_mode", "passthrough"])
        .args(options)
        .args(["-vf", &format!("scale={width}:{height}"), "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.is_empty(), "ffmpeg {url}: {messages}");
    let clock = |picture: &[u8]| {
        let time = read_clock(width, height, |x, y| picture[(y * width + x) as usize]);
        time.with_context(|| format!("{url}: a picture without a clock"))
    };
    output.stdout.chunks_exact((width * height) as usize).map(clock).collect()
}

/// The times of the packets that a player finds at `url`.
fn packet_times(url: &str) -> anyhow::Result<Vec<Timestamp>> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time"])
        .args(["-of", "csv=p=0", url])
        .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.is_empty(), "ffprobe {url}: {messages}");
    let text = String::from_utf8(output.stdout)?;
    let micros = |line: &str| {
        let (seconds, micros) = line.trim_end_matches(',').split_once('.')?;
        Some(Timestamp::from_unix_micros(
            seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?,
        ))
    };
    text.lines().map(|line| micros(line).with_context(|| format!("{url}: {line:?}"))).collect()
}

/// Fails unless ffmpeg shows `pictures` at `url`, each at its time; the keyframes alone beside it; and all of them by the playlist
/// that names both.
fn ffmpeg_plays(what: &str, url: &str, pictures: &[Timestamp]) -> anyhow::Result<()> {
    let keyframes = pictures.iter().copied().filter(|time| time.unix_millis().is_multiple_of(1000));
    let beside = |name: &str| url.replacen(".m3u8", name, 1);
    ffmpeg_shows(what, url, pictures)?;
    ffmpeg_shows(
        &format!("the keyframes of {what}"),
        &beside(".iframes.m3u8"),
        &keyframes.collect::<Vec<_>>(),
    )?;
    ffmpeg_shows(&format!("the variants of {what}"), &beside(".master.m3u8"), pictures)
}

fn ffmpeg_shows(what: &str, url: &str, pictures: &[Timestamp]) -> anyhow::Result<()> {
    let clocks = clocks_by_ffmpeg(url, &[])?;
    ensure!(clocks == pictures, "{what}: ffmpeg shows {clocks:?}\ninstead of {pictures:?}");
    let times = packet_times(url)?;
    ensure!(times == pictures, "{what}: ffmpeg times pictures {times:?}\ninstead of {pictures:?}");
    println!("ffmpeg plays {what}: {} pictures", clocks.len());
    Ok(())
}

/// Films now, until it is stopped.
async fn film_live(station: &Station, camera: &CameraId, stop: &CancellationToken) -> anyhow::Result<()> {
    let playlist = Playlist::new(Arc::clone(&station.media), Default::default());
    let mut painter = Painter::new(camera, PictureSize::new(PICTURE.0, PICTURE.1)?);
    let mut window = Window::containing(teiten_telemetry::now(), WindowLength::DEFAULT);
    while !stop.is_cancelled() {
        tokio::time::sleep(window.end().since(teiten_telemetry::now())).await; // the camera films at its time
        let event = station.film(&mut painter, camera, window).await?;
        playlist.handle(event).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        window = window.next();
    }
    Ok(())
}

/// Fails unless ffmpeg shows all of `past` by the packs alone, without any playlist.
async fn packs_play_by_themselves(station: &Station, past: &Past) -> anyhow::Result<()> {
    let mut clocks = Vec::new();
    for key in past.packs(station).await? {
        let url = format!("{}/{key}", station.address);
        clocks.extend(tokio::task::spawn_blocking(move || clocks_by_ffmpeg(&url, &[])).await??);
    }
    ensure!(clocks == past.pictures, "ffmpeg shows {clocks:?} of the packs");
    Ok(())
}

fn ffmpeg_plays_live(url: &str) -> anyhow::Result<()> {
    let clocks = clocks_by_ffmpeg(url, &["-frames:v", "24"])?;
    let follows = |pair: &[Timestamp]| pair[0] + STEP == pair[1];
    ensure!(clocks.len() == 24 && clocks.windows(2).all(follows), "{url}: ffmpeg shows {clocks:?}");
    println!("ffmpeg plays {url}: {} pictures", clocks.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn players_show_each_picture_at_its_time() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let stop = CancellationToken::new();
    let _stopped_at_the_end = stop.clone().drop_guard();
    let station = Arc::new(Station::open(folder.path(), &stop).await?);
    let mut past = Past::film(&station).await?;
    let (from, to) = (past.pictures[0], past.midnight + Duration::from_secs(18));
    let range = format!("{}/{}.m3u8?from={from}&to={to}", station.playback, past.camera);

    let live_camera = camera("gate")?;
    let filmed = CancellationToken::new();
    let live = tokio::spawn({
        let (station, camera, filmed) = (Arc::clone(&station), live_camera.clone(), filmed.clone());
        async move { film_live(&station, &camera, &filmed).await }
    });
    past.ffmpeg_plays(&station, &range, "as segments").await?;
    past.compact(&station).await?;
    past.ffmpeg_plays(&station, &range, "as packs").await?;
    packs_play_by_themselves(&station, &past).await?;
    past.film_late(&station).await?;
    past.ffmpeg_plays(&station, &range, "as packs with late segments").await?;
    let [before, after] = past.addresses(&station);
    eventually("there is live footage", Duration::from_secs(30), async || {
        let playlist = station.media.get(&key::live_playlist_key(&live_camera)).await?;
        Ok(playlist.map(|_| ()))
    })
    .await?;
    let live_url = format!("{}/{}", station.address, key::live_playlist_key(&live_camera));
    tokio::task::spawn_blocking({
        let live_url = live_url.clone();
        move || ffmpeg_plays_live(&live_url)
    })
    .await??;

    let pictures = |pictures: &[Timestamp]| {
        let times = pictures.iter().map(|time| time.unix_millis().to_string());
        times.collect::<Vec<_>>().join(",")
    };
    let html = bytes::Bytes::from_static(
        b"<!doctype html><title>players</title><video muted playsinline crossorigin></video>",
    );
    let headers = Headers { content_type: "text/html", cache_control: "no-cache" };
    station.media.put("players.html", html, headers, Condition::Always).await?;
    let of_past = [
        (&before.0.replace(".m3u8", ".master.m3u8"), &before.1),
        (&after.0, &after.1),
        (&range, &past.pictures),
    ];
    let of_past = of_past.map(|(url, times)| format!("{url}={}", pictures(times)));
    let page = format!("{}/players.html", station.address);
    let arguments = [
        "players.mjs",
        &page,
        &live_url.replace("live.m3u8", "master.m3u8"),
        &of_past[0],
        &of_past[1],
        &of_past[2],
    ];
    let watched = browser::watch(&arguments, Duration::from_secs(300)).await;
    filmed.cancel();
    live.await?.context("the live camera")?;
    watched
}
