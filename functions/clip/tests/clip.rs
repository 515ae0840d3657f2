//! Clips of real segments, as a browser gets them over HTTP, with ffmpeg as the judge of what is in them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use mp4_atom::{Ftyp, Moov, ReadFrom as _};
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Listed, MemoryBucket, Wrapper};
use teiten_clip::Clip;
use teiten_compact::{Compact, Settings};
use teiten_encode::encode;
use teiten_footage::{
    Batch, BootId, CameraId, Frame, FrameId, Hour, Timestamp, Window, WindowLength, key::segments_prefix,
};
use teiten_host::{Admission, Chore as _, Origins};
use tempfile::TempDir;
use tokio::net::TcpListener;
use turbojpeg::{Compressor, Subsamp, YuvImage, yuv_pixels_len};

/// Frames of a window: ten, from 30 ms on.
const FRAMES: u64 = 10;

/// The clock of its bucket is that of all who read it, and stands: 50 ms before the end of a second.
struct World {
    media: MemoryBucket,
    address: SocketAddr,
    folder: TempDir,
}

/// A picture with its number in it, as a bar that grows.
fn jpeg(width: usize, height: usize, number: u64) -> Bytes {
    let subsamp = Subsamp::Sub2x2;
    let mut pixels = vec![128; yuv_pixels_len(width, 1, height, subsamp).unwrap()];
    for (index, pixel) in pixels[..width * height].iter_mut().enumerate() {
        let (x, y) = ((index % width) as u64, index / width);
        *pixel = if y < height / 2 && x < number % width as u64 { 220 } else { 40 + (x % 32) as u8 };
    }
    let image = YuvImage { pixels: pixels.as_slice(), width, align: 1, height, subsamp };
    Compressor::new().unwrap().compress_yuv_to_vec(image).unwrap().into()
}

impl World {
    async fn start() -> Self {
        let media = MemoryBucket::new("media");
        let this_second = teiten_telemetry::now().unix_millis() / 1000 * 1000;
        media.stop_clock(Timestamp::from_unix_millis(this_second + 950));
        let address = serve(timed(Clip::new(Arc::new(media.clone()), Admission::Anybody), &media)).await;
        Self { media, address, folder: tempfile::tempdir().unwrap() }
    }

    /// The same footage, asked for of another function, which keeps nothing that it could read again.
    async fn forgetful(&self) -> Self {
        let media = self.media.clone();
        let clip = Clip::keeping(Arc::new(media.clone()), Admission::Anybody, 0);
        let address = serve(timed(clip, &media)).await;
        Self { media, address, folder: tempfile::tempdir().unwrap() }
    }

    /// Goes on to the next second.
    fn next_second(&self) {
        self.media.stop_clock(self.media.now() + Duration::from_secs(1));
    }

    /// Films a window; answers its segment with its init section before it.
    async fn film(&self, window: Window, width: usize) -> Vec<u8> {
        let frames = (0..FRAMES).map(|index| Frame {
            id: FrameId { boot: BootId(7), sequence: window.index() * FRAMES + index },
            captured: window.start() + Duration::from_millis(30 + 90 * index),
            jpeg: jpeg(width, 96, window.index() * FRAMES + index),
        });
        let encoded =
            encode(&Batch::new(window, frames).unwrap(), &teiten_encode::Settings::default()).unwrap();
        let camera = CameraId::new("gate").unwrap();
        for (key, bytes) in [
            (encoded.init_key(camera.clone()).to_string(), &encoded.init),
            (encoded.segment_key(camera).to_string(), &encoded.segment),
        ] {
            self.media.put(&key, bytes.clone(), Headers::default(), Condition::Always).await.unwrap();
        }
        [encoded.init.as_ref(), encoded.segment.as_ref()].concat()
    }

    /// Lists the hours of these windows and puts them together, deleting what they were put together of; answers how many packs came
    /// of it.
    async fn put_together(&self, seconds: &[u64]) -> usize {
        let (camera, now) = (CameraId::new("gate").unwrap(), teiten_telemetry::now());
        for second in seconds {
            let hour = Hour::of(window(*second));
            teiten_archive::update_hour(&self.media, &camera, hour, now).await.unwrap();
        }
        let cameras = teiten_archive::Cameras { cameras: [camera].into() };
        cameras.put(&self.media, Condition::Always).await.unwrap();
        let settings = Settings { horizon: Duration::MAX / 1_000_000_000, ..Settings::default() };
        let mut packs = 0;
        for hours in [1, 4] {
            let clock = move || teiten_telemetry::now() + Duration::from_secs(hours * 3600);
            let compact = Compact::with_clock(Arc::new(self.media.clone()), settings, clock);
            packs += compact.run().await.unwrap().packs;
        }
        packs
    }

    /// Loads a clip into a file, and answers its path.
    async fn clip(&self, query: &str) -> String {
        let url = format!("http://{}/gate.mp4?{query}", self.address);
        let answer = reqwest::get(&url).await.unwrap();
        let status = answer.status();
        let length = answer.content_length();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(length, Some(bytes.len() as u64));
        self.write("clip.mp4", &bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn refused(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// With the clock of that bucket.
fn timed(clip: Clip, media: &MemoryBucket) -> Clip {
    let media = media.clone();
    clip.with_clock(move || media.now())
}

async fn serve(clip: Clip) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = teiten_host::request_router(Arc::new(clip), Origins::default());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// What is answered to a GET with these headers: status, entity tag, and the body; `None` if that breaks off, perhaps with all that
/// was before it.
async fn get(world: &World, query: &str, headers: &[(&str, &str)]) -> (u16, String, Option<Bytes>) {
    let request = reqwest::Client::new().get(format!("http://{}/gate.mp4?{query}", world.address));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let Ok(answer) = request.send().await else { return (0, String::new(), None) };
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    (answer.status().as_u16(), tag.unwrap_or_default(), answer.bytes().await.ok())
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && messages.is_empty(), "{program}: {messages}");
    String::from_utf8(output.stdout).unwrap()
}

/// A hash of each picture of a file, decoded, whatever an edit list hides.
fn pictures(path: &str) -> Vec<String> {
    let arguments =
        ["-v", "error", "-ignore_editlist", "1", "-i", path, "-autoscale", "0", "-fps_mode", "passthrough"];
    let text = run("ffmpeg", &[&arguments[..], &["-f", "framemd5", "-"]].concat());
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// How long each picture of a file that is not hidden is shown, in ticks, after decoding; and when, from the start.
fn shown(path: &str) -> Vec<i64> {
    let entries = ["-v", "error", "-show_entries", "frame=pts", "-of", "csv=p=0", path];
    run("ffprobe", &entries).lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect()
}

fn probe(path: &str, entries: &str) -> String {
    run("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "default=nw=1", path])
}

fn window(second: u64) -> Window {
    "20261123T235958.000Z-1000".parse::<Window>().unwrap().plus(second)
}

#[tokio::test]
async fn a_clip_has_the_segments_pictures_and_just_the_time_that_was_asked_for() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for second in 0..5 {
        let segment = world.film(window(second), 128).await;
        expected.extend(pictures(&world.write("segment.mp4", &segment)));
    }
    // From within the first window's third picture (from 210 ms on) to within the fifth one's sixth (480 ms).
    let clip = world.clip("from=2026-11-23T23:59:58.250Z&to=2026-11-24T00:00:02.500Z").await;
    let all = pictures(&clip);
    assert_eq!(all, expected[..46], "from the keyframe on, byte for byte, to the last one that is shown");
    let text = probe(&clip, "format=duration:format_tags:stream=nb_frames");
    assert!(text.contains("duration=4.250000"), "{text}");
    assert!(text.contains("nb_frames=46"), "{text}");
    assert!(text.contains("TAG:creation_time=2026-11-23T23:59:58.000000Z"), "{text}");
    assert!(text.contains("TAG:com.apple.quicktime.creationdate=2026-11-23T23:59:58.250000Z"), "{text}");
    assert!(text.contains("TAG:com.apple.quicktime.title=gate"), "{text}");
    // What is shown before 250 ms is hidden, and all is shown for just the time that was asked for.
    let bytes = std::fs::read(&clip).unwrap();
    let mut cursor = std::io::Cursor::new(&bytes);
    Ftyp::read_from(&mut cursor).unwrap();
    let moov = Moov::read_from(&mut cursor).unwrap();
    let edits = moov.trak[0].edts.as_ref().unwrap().elst.as_ref().unwrap();
    assert_eq!(edits.entries.len(), 1);
    let (edit, ticks) = (&edits.entries[0], |millis: u64| millis * 90);
    assert_eq!((edit.media_time, edit.segment_duration), (Some(ticks(250)), ticks(4250)));
    // ffmpeg counts from the first whole picture, that of 300 ms.
    let times = shown(&clip);
    let times = &times[times.len() - 43..];
    assert_eq!(times[..4], [0, 90, 180, 270].map(|millis| times[0] + millis * 90));
    assert_eq!(times[42] - times[0], (4480 - 300) * 90, "the last one is that of 480 ms, four seconds later");
    // The sample tables come before the pictures, so it can be played while it is loaded.
    let at = |kind: &[u8]| bytes.windows(4).position(|four| four == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
}

#[tokio::test]
async fn holes_are_left_out_and_a_change_of_the_picture_is_played() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for (second, width) in [(0, 128), (1, 128), (10, 128), (11, 160), (12, 128)] {
        let segment = world.film(window(second), width).await;
        expected.extend(pictures(&world.write("segment.mp4", &segment)));
    }
    let clip = world.clip("from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z").await;
    let text = probe(&clip, "format=duration:stream=nb_frames");
    assert!(text.contains("duration=5.000000") && text.contains("nb_frames=50"), "{text}");
    assert_eq!(pictures(&clip), expected);
}

#[tokio::test]
async fn a_time_lapse_is_made_of_keyframes_alone() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for second in 0..40 {
        let segment = world.film(window(second), 128).await;
        if second % 2 == 0 {
            expected.push(pictures(&world.write("segment.mp4", &segment)).swap_remove(0));
        }
    }
    let clip = world.clip("from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z&lapse=60").await;
    assert_eq!(pictures(&clip), expected);
    let text = probe(&clip, "format=duration:stream=nb_frames,avg_frame_rate");
    assert!(text.contains("nb_frames=20") && text.contains("avg_frame_rate=30/1"), "{text}");
    assert!(text.contains("duration=0.666667"), "{text}");
}

#[tokio::test]
async fn a_clip_is_the_same_file_once_its_hours_are_put_together() {
    let world = World::start().await;
    for second in 0..14 {
        world.film(window(second), 128).await;
    }
    let queries = [
        "from=2026-11-23T23:59:59.250Z&to=2026-11-24T00:00:09Z",
        "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z&lapse=10",
    ];
    let mut before = Vec::new();
    for query in queries {
        before.push(std::fs::read(world.clip(query).await).unwrap());
    }
    assert_eq!(world.put_together(&[0, 13]).await, 2, "one of each hour");
    let left = world.media.list_after("gate/2026-11-24/00/", "", 100).await.unwrap();
    assert_eq!(left.len(), 1);
    // A pack tells all that the heads of its segments do.
    let told = teiten_archive::fragments_in_pack(&world.media, &left[0].key.parse().unwrap()).await.unwrap();
    assert!(told.len() == 12 && told.iter().flatten().all(|fragment| fragment.samples.len() == 10));
    assert_eq!(told.iter().flatten().count(), 12);
    for (query, before) in queries.into_iter().zip(before) {
        assert!(std::fs::read(world.clip(query).await).unwrap() == before, "{query}");
    }
}

#[tokio::test]
async fn a_part_of_a_clip_is_that_of_the_whole_and_what_follows_a_break_fits_on() {
    let world = World::start().await;
    for second in 0..5 {
        world.film(window(second), 128).await;
    }
    let url = format!(
        "http://{}/gate.mp4?from=2026-11-23T23:59:58.250Z&to=2026-11-24T00:00:02.500Z",
        world.address
    );
    let http = reqwest::Client::new();
    let asked = async |headers: &[(&str, &str)]| {
        let request =
            headers.iter().fold(http.get(&url), |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let said = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (tag, range) = (said("etag").unwrap_or_default(), said("content-range"));
        (status, tag, range, answer.bytes().await.unwrap())
    };
    let (status, tag, range, whole) = asked(&[]).await;
    assert_eq!((status, range), (200, None));
    let length = whole.len();
    let moov_ends = whole.windows(4).position(|four| four == b"mdat").unwrap() + 4;
    for (start, end) in [(0, 2), (3, moov_ends + 3), (moov_ends - 1, length), (moov_ends + 500, length - 500)]
    {
        let range = format!("bytes={start}-{}", end - 1);
        let (status, its, named, part) = asked(&[("range", &range), ("if-range", &tag)]).await;
        assert_eq!((status, &its), (206, &tag), "{range}");
        assert_eq!(named.unwrap(), format!("bytes {start}-{}/{length}", end - 1));
        assert!(part == whole[start..end], "{range}");
    }
    let (status, _, named, _) = asked(&[("range", &format!("bytes={length}-"))]).await;
    assert_eq!((status, named), (416, Some(format!("bytes */{length}"))));

    // Who has it already is sent nothing, and who has a part of another one nothing of this.
    let (status, its, _, nothing) = asked(&[("if-none-match", &format!("W/{tag}"))]).await;
    assert_eq!((status, &its, nothing.len()), (304, &tag, 0));
    let (status, _, _, part) = asked(&[("range", "bytes=100-"), ("if-match", &tag)]).await;
    assert!((status, &part[..]) == (206, &whole[100..]));
    // A tag says as of when it is, too.
    let file_of = |tag: &str| tag.trim_matches('"').split_once('-').unwrap().1.to_owned();
    let (status, its, _, _) = asked(&[("range", "bytes=100-"), ("if-match", "\"another\"")]).await;
    assert_eq!((status, file_of(&its)), (412, file_of(&tag)));

    // Late footage makes another file: what follows a break in the one would not fit.
    world.media.delete(&world.media.list_after("gate/2", "", 10).await.unwrap()[1].key).await.unwrap();
    let (_, other, _, rest) = asked(&[]).await;
    assert_ne!(file_of(&other), file_of(&tag));
    let (status, its, _, sent) = asked(&[("range", "bytes=100-"), ("if-range", &tag)]).await;
    assert_eq!((status, file_of(&its)), (200, file_of(&other)));
    assert!(sent == rest);
}

#[tokio::test]
async fn a_player_seeks_in_a_clip_without_loading_what_it_passes_over() {
    let world = World::start().await;
    for second in 0..5 {
        world.film(window(second), 128).await;
    }
    let query = "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    let file = world.clip(query).await;
    let url = format!("http://{}/gate.mp4?{query}", world.address);
    let frame = |path: &str| {
        let seek = ["-v", "error", "-ss", "3.5", "-i", path, "-frames:v", "1", "-f", "framemd5", "-"];
        run("ffmpeg", &seek).lines().filter(|line| !line.starts_with('#')).collect::<String>()
    };
    let path = url.clone();
    let sought = tokio::task::spawn_blocking(move || frame(&path)).await.unwrap();
    assert_eq!(sought, frame(&file));

    // What is passed over is not even looked at.
    for object in &world.media.list_after("gate/2", "", 2).await.unwrap() {
        world.media.delete(&object.key).await.unwrap();
    }
    let whole = std::fs::read(&file).unwrap();
    let request = reqwest::Client::new().get(&url).header("range", "bytes=-100");
    let part = request.send().await.unwrap().bytes().await.unwrap();
    assert!(part == whole[whole.len() - 100..]);
}

#[tokio::test]
async fn what_is_damaged_or_not_there_costs_itself_only() {
    let world = World::start().await;
    for second in 0..3 {
        world.film(window(second), 128).await;
    }
    let listed = world.media.list_after("gate/2", "", 10).await.unwrap();
    let damaged = Bytes::from_static(b"no segment");
    world.media.put(&listed[1].key, damaged, Headers::default(), Condition::Always).await.unwrap();
    let clip = world.clip("from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z").await;
    assert_eq!(pictures(&clip).len(), 20);
    let range = "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    for (path, status, named) in [
        (format!("/yard.mp4?{range}"), 404, "no footage of yard"),
        (format!("/gate.m3u8?{range}"), 404, "/<camera>.mp4"),
        (format!("/gate.mp4?{range}&lapse=1"), 400, "from 2 to 3600"),
        (format!("/gate.mp4?{range}&speed=2"), 400, "from, to, lapse"),
        ("/gate.mp4?from=2026-11-23T23:00:00Z".to_owned(), 400, "to is missing"),
    ] {
        let (answered, text) = world.refused(&path).await;
        assert!(answered == status && text.contains(named), "{path}: {answered} {text}");
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off_though_there_is_more_by_now() {
    let world = World::start().await;
    for second in [0, 1, 3] {
        world.film(window(second), 128).await;
    }
    let query = "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    let (status, tag, whole) = get(&world, query, &[]).await;
    let whole = whole.unwrap();
    assert_eq!(status, 200);
    // What is written from the next second on is not in it.
    world.next_second();
    for second in [2, 4] {
        world.film(window(second), 128).await;
    }
    let others = [world.forgetful().await, world.forgetful().await];
    for (world, condition) in [(&world, "if-match"), (&others[0], "if-match"), (&others[1], "if-range")] {
        let (status, its, rest) = get(world, query, &[("range", "bytes=2000-"), (condition, &tag)]).await;
        assert_eq!((status, &its), (206, &tag));
        assert!(rest.unwrap() == whole[2000..]);
        let (status, other, grown) = get(world, query, &[]).await;
        assert!(status == 200 && other != tag && grown.unwrap().len() > whole.len());
        let (status, its, _) = get(world, query, &[("if-none-match", &tag)]).await;
        assert!(status == 200 && its != tag);
    }
    // What it was is gone.
    world.media.delete(&world.media.list_after("gate/2", "", 1).await.unwrap()[0].key).await.unwrap();
    let world = world.forgetful().await;
    assert_eq!(get(&world, query, &[("range", "bytes=2000-"), ("if-match", &tag)]).await.0, 412);
}

#[tokio::test]
async fn a_download_goes_on_though_its_hour_was_put_together_with_what_came_later() {
    let world = World::start().await;
    let late = window(5);
    for second in 2..12 {
        if window(second) != late {
            world.film(window(second), 128).await;
        }
    }
    let query = "from=2026-11-24T00:00:00Z&to=2026-11-24T00:00:08Z";
    let (_, tag, whole) = get(&world, query, &[]).await;
    world.next_second();
    for second in 12..24 {
        world.film(window(second), 128).await;
    }
    assert_eq!(world.put_together(&[2]).await, 2, "what is before the hole and what is behind it");
    assert_eq!(world.media.list_after("gate/2026-11-24/00/", "", 100).await.unwrap().len(), 2);
    world.film(late, 128).await;
    for condition in ["if-match", "if-range"] {
        let world = world.forgetful().await;
        let (status, its, rest) = get(&world, query, &[("range", "bytes=2000-"), (condition, &tag)]).await;
        assert_eq!((status, &its), (206, &tag), "{condition}");
        assert!(rest.unwrap() == whole.as_ref().unwrap()[2000..]);
    }
}

#[tokio::test]
async fn what_is_stored_in_the_second_in_which_a_file_is_asked_for_is_in_all_of_it_or_in_nothing() {
    let world = World::start().await;
    let latest = Window::containing(world.media.now(), WindowLength::DEFAULT);
    let from = latest.start() - Duration::from_secs(600);
    let query = format!("from={from}&to={}", latest.start() + Duration::from_secs(60));
    let before = |seconds| Window::containing(latest.start() - Duration::from_secs(seconds), latest.length());
    for seconds in 5..8 {
        world.film(before(seconds), 128).await;
    }
    let (began, asked) = (world.media.now() - Duration::from_millis(250), Instant::now());
    world.media.stop_clock(began);
    let (_, tag, whole) = get(&world, &query, &[]).await;
    // Right after that, and so in the second in which it was asked for, unless it waited.
    world.media.stop_clock(began + asked.elapsed());
    world.film(before(4), 128).await;
    let others = world.forgetful().await;
    let (status, its, rest) = get(&others, &query, &[("range", "bytes=2000-"), ("if-match", &tag)]).await;
    assert_eq!((status, its), (206, tag));
    assert!(rest.unwrap() == whole.unwrap()[2000..]);
}

/// A bucket that counts how often footage is listed.
#[derive(Debug)]
struct Counting {
    inner: MemoryBucket,
    listings: AtomicUsize,
}

#[async_trait]
impl Wrapper for Counting {
    fn inner(&self) -> &dyn Bucket {
        &self.inner
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        if prefix == segments_prefix(&CameraId::new("gate").unwrap()) {
            self.listings.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.list_after(prefix, after, count_max).await
    }
}

#[tokio::test]
async fn a_file_is_worked_out_once_for_who_asks_what_it_is_and_for_who_has_the_same_of_another_time() {
    let mut world = World::start().await;
    for second in 0..3 {
        world.film(window(second), 128).await;
    }
    let media = Arc::new(Counting { inner: world.media.clone(), listings: AtomicUsize::new(0) });
    world.address = serve(timed(Clip::new(media.clone(), Admission::Anybody), &world.media)).await;
    let listings = || media.listings.swap(0, Ordering::Relaxed);
    let query = "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    let url = format!("http://{}/gate.mp4?{query}", world.address);
    let asked = reqwest::Client::new().head(&url).send().await.unwrap();
    assert_eq!((asked.status().as_u16(), listings()), (200, 1));
    let (_, tag, whole) = get(&world, query, &[]).await;
    assert_eq!((asked.headers()["etag"].to_str().unwrap(), listings()), (&*tag, 0));

    world.next_second();
    let (_, later, same) = get(&world, query, &[]).await;
    assert_eq!((tag != later, listings()), (true, 1), "there may be more by now");
    assert!(whole == same);
    for condition in ["if-range", "if-match"] {
        let (status, its, rest) = get(&world, query, &[("range", "bytes=2000-"), (condition, &tag)]).await;
        assert_eq!((status, &its, listings()), (206, &tag, 0), "{condition}");
        assert!(rest.unwrap() == whole.as_ref().unwrap()[2000..]);
    }
    // Who asks whether there is more is told so.
    assert_eq!(get(&world, query, &[("if-none-match", &tag)]).await.0, 304);
    world.film(window(3), 128).await;
    world.next_second();
    assert_eq!(get(&world, query, &[("if-none-match", &tag)]).await.0, 200);
}

#[tokio::test]
async fn who_has_a_file_has_the_same_as_of_later() {
    let world = World::start().await;
    world.film(window(0), 128).await;
    let query = "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    let (_, tag, _) = get(&world, query, &[]).await;
    let later: u64 = tag.trim_matches('"').split_once('-').unwrap().0.parse().unwrap();
    let later = tag.replace(&later.to_string(), &(later - 1).to_string());
    assert_eq!(get(&world.forgetful().await, query, &[("if-none-match", &later)]).await.0, 304);
}

#[tokio::test]
async fn a_file_whose_footage_has_changed_breaks_off_and_is_forgotten() {
    let world = World::start().await.forgetful().await;
    for second in 0..5 {
        world.film(window(second), 128).await;
    }
    let query = "from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    let (_, tag, whole) = get(&world, query, &[]).await;
    let (whole, part) = (whole.unwrap(), ("range", "bytes=0-"));
    let (status, its, same) = get(&world, query, &[part]).await;
    assert!((status, &its) == (206, &tag) && same.unwrap() == whole);
    world.media.delete(&world.media.list_after("gate/2", "", 10).await.unwrap()[3].key).await.unwrap();
    assert!(get(&world, query, &[part]).await.2.is_none(), "nothing is sent that is not of it");
    let (status, its, other) = get(&world, query, &[part]).await;
    assert!(status == 206 && its != tag && other.unwrap().len() < whole.len());
}

#[tokio::test]
async fn who_opens_a_file_of_a_time_that_lasts_gets_what_is_there_by_now_and_who_seeks_in_it_the_same_file() {
    let mut world = World::start().await;
    let clip = Clip::new(Arc::new(world.media.clone()), Admission::Anybody);
    world.address = serve(timed(clip.telling_for(Duration::ZERO), &world.media)).await;
    let latest = Window::containing(world.media.now(), WindowLength::DEFAULT);
    let before = |seconds| Window::containing(latest.start() - Duration::from_secs(seconds), latest.length());
    let from = before(600).start();
    let (lasts, is_over) = (latest.start() + Duration::from_secs(60), before(100).start());
    let [lasts, is_over] = [lasts, is_over].map(|to| format!("from={from}&to={to}"));
    world.film(before(300), 128).await;
    let part = async |query: &str, range: &str| get(&world, query, &[("range", range)]).await;
    let (first, opened) = (part(&is_over, "bytes=0-").await, part(&lasts, "bytes=0-").await);
    let (tag, whole) = (opened.1, opened.2.unwrap());

    world.next_second();
    world.film(before(200), 128).await;
    let (_, its, rest) = part(&lasts, "bytes=100-").await;
    assert!(its == tag && rest.unwrap() == whole[100..], "seeking reads one file");
    for opening in ["bytes=0-1", "bytes=0-"] {
        assert_ne!(part(&lasts, opening).await.1, tag, "{opening}");
    }
    let grown = part(&lasts, "bytes=0-").await.2.unwrap();
    assert!(grown.len() > whole.len());
    assert!(part(&lasts, "bytes=100-").await.2.unwrap() == grown[100..]);
    assert_eq!(part(&is_over, "bytes=0-").await, first, "what comes late is for who asks anew");
}
