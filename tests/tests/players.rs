//! What other players make of it: ffmpeg, hls.js and Chromium's own player play an hour with a gap, a range over midnight,
//! a change of the encoder and one of the picture, footage that comes late for hours that are put together, and live footage,
//! each picture at its time. The footage of the past is made at once, by the functions themselves and with their clocks set back.
//! Where footage is private, ffmpeg plays the past by links, until they have expired.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use teiten_agent::{config::PictureSize, pattern::Painter};
use teiten_archive::update_hour;
use teiten_bucket::{Condition, Headers, Signer};
use teiten_compact::Compact;
use teiten_footage::{
    CameraId, Event, Hour, PackKey, RangeForm, TimeRange, Timestamp, Window, WindowLength, key,
};
use teiten_host::{Admission, Bearer, Chore as _, Function as _};
use teiten_link::{Functions, Links, Past as Asked};
use teiten_playback::Playback;
use teiten_playlist::Playlist;
use teiten_tests::{
    browser, ffmpeg,
    pipeline::camera,
    process::eventually,
    station::{PICTURE, STEP, Station, serve},
    verify::list_all,
};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);
const OTHER_PICTURE: (u32, u32) = (960, 720);

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

/// Fails unless ffmpeg shows `pictures` at `url`, each at its time; the keyframes alone beside it; and all of them by the playlist
/// that names both.
fn ffmpeg_plays(what: &str, url: &str, pictures: &[Timestamp]) -> anyhow::Result<()> {
    let keyframes = pictures.iter().copied().filter(|time| time.unix_millis().is_multiple_of(1000));
    let beside = |name: &str| url.replacen(".m3u8", name, 1);
    ffmpeg::shows(what, url, pictures)?;
    ffmpeg::shows(
        &format!("the keyframes of {what}"),
        &beside(".iframes.m3u8"),
        &keyframes.collect::<Vec<_>>(),
    )?;
    ffmpeg::shows(&format!("the variants of {what}"), &beside(".master.m3u8"), pictures)
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
        clocks.extend(tokio::task::spawn_blocking(move || ffmpeg::clocks(&url, &[])).await??);
    }
    ensure!(clocks == past.pictures, "ffmpeg shows {clocks:?} of the packs");
    Ok(())
}

fn ffmpeg_plays_live(url: &str) -> anyhow::Result<()> {
    let clocks = ffmpeg::clocks(url, &["-frames:v", "24"])?;
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
    let links = teiten_playback::Links::plain(&station.address)?;
    let playback = Playback::new(Arc::clone(&station.media), links, Admission::Anybody);
    let playback = serve(playback, &stop).await?;
    let range = format!("{playback}/{}.m3u8?from={from}&to={to}", past.camera);

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
    let headers = Headers { content_type: "text/html", cache_control: "no-cache", ..Headers::NONE };
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

#[tokio::test(flavor = "multi_thread")]
async fn links_to_playlists_of_the_past_play_until_they_expire() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let stop = CancellationToken::new();
    let _stopped_at_the_end = stop.clone().drop_guard();
    let station = Station::open(folder.path(), &stop).await?;
    let token = Bearer::new("0123456789abcdef0123456789abcdef")?;
    let signer = Signer::new(&station.config, key::MEDIA_BUCKET, "24h".parse()?);
    let listed = teiten_playback::Links::signed(signer.clone());
    let playback = Playback::new(Arc::clone(&station.media), listed, Admission::Token(token.clone()));
    let address = serve(playback, &stop).await?;

    let camera = camera("yard")?;
    let from = Timestamp::from_unix_millis((teiten_telemetry::now() - HOUR).unix_millis() / 1000 * 1000);
    let mut painter = Painter::new(&camera, PictureSize::new(PICTURE.0, PICTURE.1)?);
    let then = from + Duration::from_secs(6);
    let playlist = Playlist::with_clock(Arc::clone(&station.media), Default::default(), move || then);
    for second in [0, 1, 2, 4] {
        let window = Window::containing(from + Duration::from_secs(second), WindowLength::DEFAULT);
        let event = station.film(&mut painter, &camera, window).await?;
        playlist.handle(event).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    }

    let range = TimeRange::new(from, from + Duration::from_secs(5)).context("no range")?;
    let (links, functions) =
        (Links::new(Arc::clone(&station.media), signer), Functions::new(token, None).at(&address, "")?);
    let link = async |form, valid: &str| {
        let now = teiten_telemetry::now();
        anyhow::Ok(links.past(&functions, &camera, Asked::Playlist(range, form), valid.parse()?, now).await?)
    };
    let pictures = (0..20)
        .map(|picture| from + STEP * picture)
        .filter(|time| !(3000..4000).contains(&time.since(from).as_millis()));
    let pictures: Vec<Timestamp> = pictures.collect();
    let keyframes: Vec<Timestamp> =
        pictures.iter().copied().filter(|time| time.unix_millis().is_multiple_of(1000)).collect();
    for (form, shown) in
        [(RangeForm::Whole, &pictures), (RangeForm::Keyframes, &keyframes), (RangeForm::Variants, &pictures)]
    {
        let (url, shown) = (link(form, "1h").await?.url, shown.clone());
        tokio::task::spawn_blocking(move || ffmpeg::shows(&format!("a link to {form:?}"), &url, &shown))
            .await??;
        let brief = link(form, "5s").await?.url;
        eventually("the link has expired", Duration::from_secs(60), async || {
            Ok((reqwest::get(&brief).await?.status() == 403).then_some(()))
        })
        .await?;
    }
    Ok(())
}
