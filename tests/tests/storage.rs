//! The storage set-up and the whole pipeline on S3 servers that share nothing with ours: Ceph's object gateway and, where
//! it is in PATH, MinIO.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use teiten_agent::{config::PictureSize, pattern::Painter};
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Put, S3Bucket, conformance};
use teiten_footage::{BatchKey, WindowLength, key::BatchFormat};
use teiten_tests::{
    minio,
    pipeline::{
        ACCESS_KEY, Options, Pipeline, SECRET_KEY, StoreProcess, camera, s3_config, s3_config_of, store,
        store_with, user_keys, with_s3,
    },
    process::{Process, eventually, footage, free_port, listening, program, project},
    radosgw::Radosgw,
    station,
    verify::Recording,
};

/// What the functions that give footage out ask for.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The components that have users in these tests.
const PARTS: [&str; 10] = [
    "bridge",
    "encode",
    "playlist",
    "reconcile",
    "link",
    "playback",
    "clip",
    "pictures",
    "dead-letters",
    "compact",
];

/// Runs the storage set-up against the store on `port`; answers its lines: what became of a step, and what that is.
fn set_up(port: u16, environment: &[(&str, &str)]) -> anyhow::Result<Vec<(String, String)>> {
    run_set_up(Command::new(program("teiten-storage-setup")?).envs(environment.iter().copied()), port)
}

fn run_set_up(command: &mut Command, port: u16) -> anyhow::Result<Vec<(String, String)>> {
    with_s3(command, port, &(ACCESS_KEY.to_owned(), SECRET_KEY.to_owned()));
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    let line = |line: &str| {
        let (outcome, words) = line.split_at(9);
        (outcome.trim().to_owned(), words.to_owned())
    };
    Ok(text.lines().map(line).collect())
}

/// The administrator's buckets of frames and media, once the latter has done all that is asked of a store.
async fn conforming_buckets(port: u16) -> anyhow::Result<[Arc<dyn Bucket>; 2]> {
    let config = s3_config(port)?;
    let [frames, media] =
        ["frames", "media"].map(|name| Arc::new(S3Bucket::new(&config, name)) as Arc<dyn Bucket>);
    let report = conformance::run(Arc::clone(&media)).await;
    println!("{report}");
    assert!(report.passed());
    Ok([frames, media])
}

fn outcomes(lines: &[(String, String)]) -> BTreeSet<&str> {
    lines.iter().map(|(outcome, _)| outcome.as_str()).collect()
}

/// Makes a user for every component; answers `bridge=arn:… encode=arn:…`.
fn users(radosgw: &Radosgw) -> anyhow::Result<String> {
    for part in PARTS {
        let (access_key, secret_key) = user_keys(part);
        radosgw.user(part, &access_key, &secret_key)?;
    }
    Ok(PARTS.map(|part| format!("{part}=arn:aws:iam:::user/{part}")).join(" "))
}

async fn put(bucket: &dyn Bucket, key: &str) -> Result<Put, BucketError> {
    bucket.put(key, Bytes::from_static(b"x"), Headers::default(), Condition::Always).await
}

fn refused<T: std::fmt::Debug>(result: Result<T, BucketError>) -> bool {
    matches!(result, Err(BucketError::Refused { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_set_up_once_and_gives_each_part_its_rights_and_no_others() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let radosgw = Radosgw::start(folder.path()).await?;
    let port = radosgw.store.port;
    let principals = users(&radosgw)?;
    let private = [("TEITEN_STORAGE_PRINCIPALS", principals.as_str()), ("TEITEN_FRAMES_RETENTION_DAYS", "7")];

    let made = set_up(port, &private)?;
    let lines = |lines: &[(String, String)], outcome: &str| {
        lines.iter().filter(|line| line.0 == outcome).map(|line| line.1.clone()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&made, "made").len(), 6, "two buckets, a lifecycle, CORS, two policies");
    assert_eq!(outcomes(&made), BTreeSet::from(["kept", "made"]));
    let kept = set_up(port, &private)?;
    assert_eq!(outcomes(&kept), BTreeSet::from(["kept"]), "a second run changes nothing");

    let [frames, media] = conforming_buckets(port).await?;

    let expired = ["porch/2026-11-23/04/x.m4s", "porch/poster.jpg"];
    let footage = ["gate/2026-11-23/04/x.m4s", "gate/poster.jpg"];
    let lasting = ["cameras.json", "gate/init-x.mp4", "gate/live.m3u8", "porch/live.m3u8"];
    for key in expired.iter().chain(&footage).chain(&lasting) {
        put(&*media, key).await?;
    }
    put(&*frames, "porch/2026-11-23/04/x.mjpeg").await?;
    let (access_key, secret_key) = user_keys("playlist");
    put(&S3Bucket::new(&s3_config_of(port, &access_key, &secret_key)?, "media"), "porch/by-playlist").await?;
    rights_are_those_of_the_parts(port).await?;
    nobody_reads_without_a_key(port, "porch/live.m3u8", 403).await?;

    // Days are seconds here. A camera of its own retention keeps its footage for longer.
    let by_camera = [&private[..], &[("TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA", "gate=365")]].concat();
    let changed = set_up(port, &by_camera)?;
    assert_eq!(lines(&changed, "made").len(), 1, "the rules of cameras that have footage now");
    let what = "what is too old is gone";
    eventually(what, Duration::from_secs(60), async || {
        radosgw.admin(&["lc", "process"])?;
        let [footage, poster] = [media.get(expired[0]).await?, media.get(expired[1]).await?];
        Ok((footage.is_none() && poster.is_none()).then_some(()))
    })
    .await?;
    for key in lasting.iter().chain(&footage) {
        assert!(media.get(key).await?.is_some(), "{key} is gone");
    }

    let public = [&private[..], &[("TEITEN_MEDIA_ACCESS", "public")]].concat();
    assert!(outcomes(&set_up(port, &public)?).contains("made"));
    nobody_reads_without_a_key(port, "porch/live.m3u8", 200).await?;
    nobody_reads_without_a_key(port, "porch/by-playlist", 200).await?;
    assert!(outcomes(&set_up(port, &private)?).contains("made"));
    nobody_reads_without_a_key(port, "porch/live.m3u8", 403).await?;
    Ok(())
}

/// What each part can do, and what it cannot.
async fn rights_are_those_of_the_parts(port: u16) -> anyhow::Result<()> {
    let (batch, segment) = ("porch/2026-11-23/04/x.mjpeg", "porch/2026-11-23/04/x.m4s");
    for part in PARTS {
        let (access_key, secret_key) = user_keys(part);
        let config = s3_config_of(port, &access_key, &secret_key)?;
        let (frames, media) = (S3Bucket::new(&config, "frames"), S3Bucket::new(&config, "media"));
        let (gets_frames, puts_frames, gets_media, puts_media) = match part {
            "bridge" => (true, true, false, false),
            "playlist" => (false, false, true, true),
            "link" | "playback" | "clip" => (false, false, true, false),
            "dead-letters" => (false, true, false, false),
            "compact" => (false, false, true, true),
            _ => (true, false, true, true),
        };
        let expect = |what: &str, allowed: bool, is_refused: bool| {
            assert_eq!(allowed, !is_refused, "{part}: {what}");
        };
        expect("get of a batch", gets_frames, refused(frames.get(batch).await));
        let lists_frames = gets_frames || part == "dead-letters";
        expect("list of batches", lists_frames, refused(frames.list_after("", "", 10).await));
        expect("put of a batch", puts_frames, refused(put(&frames, "porch/put").await));
        expect("get of a segment", gets_media, refused(media.get(segment).await));
        expect("list of segments", gets_media, refused(media.list_after("", "", 10).await));
        expect("put of a segment", puts_media, refused(put(&media, "porch/put").await));
        expect("delete of a batch", false, refused(frames.delete(batch).await));
        let packed = "porch/2026-11-23/04/packed.m4s";
        expect("delete of a segment", part == "compact", refused(media.delete(packed).await));
        expect("delete of a playlist", false, refused(media.delete("porch/live.m3u8").await));
        if gets_media {
            assert!(media.get("porch/absent").await?.is_none(), "what is absent is absent, and not refused");
        }
    }
    Ok(())
}

/// Without a key an object of `media` gives `status`, and everything else is refused.
async fn nobody_reads_without_a_key(port: u16, key: &str, status: u16) -> anyhow::Result<()> {
    let get = async |path: &str| -> anyhow::Result<u16> {
        Ok(reqwest::get(format!("http://127.0.0.1:{port}/{path}")).await?.status().as_u16())
    };
    assert_eq!(get(&format!("media/{key}")).await?, status);
    for path in ["media/", "media/?list-type=2", "frames/", "frames/porch/2026-11-23/04/x.mjpeg"] {
        assert_eq!(get(path).await?, 403, "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_lacks_is_left_out_with_a_message() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let _store = store(folder.path(), port)?;
    listening("the store", port).await?;
    put(&S3Bucket::new(&s3_config(port)?, "media"), "porch/live.m3u8").await?;
    let lines = set_up(port, &[])?;
    let left_out: Vec<_> = lines.iter().filter(|line| line.0 == "LEFT OUT").map(|line| &line.1).collect();
    for words in [
        "frames: this store takes no lifecycle",
        "media: this store takes no lifecycle",
        "no CORS",
        "frames: this store has no policies",
        "media: this store has no policies",
    ] {
        assert!(left_out.iter().any(|line| line.contains(words)), "{words}");
    }
    assert_eq!(outcomes(&lines), BTreeSet::from(["LEFT OUT", "kept"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_on_a_gateway_plays_by_a_link_until_it_expires() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let radosgw = Radosgw::start(folder.path()).await?;
    let principals = users(&radosgw)?;
    set_up(radosgw.store.port, &[("TEITEN_STORAGE_PRINCIPALS", &principals)])?;
    plays_by_a_link(folder.path(), radosgw.store, true, "40s").await
}

/// Sets MinIO up as the cluster's job does: buckets, policies, and a user for each part.
fn set_up_minio(
    folder: &Path,
    port: u16,
    environment: &[(&str, &str)],
) -> anyhow::Result<Vec<(String, String)>> {
    let policies = folder.join("policies");
    let mut command = Command::new(program("teiten-storage-setup")?);
    command.arg("--policies").arg(&policies).envs(environment.iter().copied());
    let lines = run_set_up(&mut command, port)?;
    let said = minio::users(folder, port, &policies, &PARTS)?;
    assert_eq!(said.matches("has its rights and no others").count(), PARTS.len(), "{said}");
    Ok(lines)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs minio and mc, which Debian does not have: ./just test-minio"]
async fn minio_is_set_up_once_and_gives_each_part_its_rights_and_no_others() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let minio = minio::start(
        folder.path(),
        &[("MINIO_API_CORS_ALLOW_ORIGIN", "https://a.example,https://b.example")],
    )
    .await?;
    let port = minio.port;
    assert!(outcomes(&set_up_minio(folder.path(), port, &[])?).contains("made"));
    let kept = set_up_minio(folder.path(), port, &[])?;
    assert!(!outcomes(&kept).contains("made"), "a second run changes nothing: {kept:?}");

    let [frames, media] = conforming_buckets(port).await?;

    for key in ["gate/2026-11-23/04/x.m4s", "porch/2026-11-23/04/x.m4s", "gate/live.m3u8", "porch/live.m3u8"]
    {
        put(&*media, key).await?;
    }
    put(&*frames, "porch/2026-11-23/04/x.mjpeg").await?;
    rights_are_those_of_the_parts(port).await?;
    nobody_reads_without_a_key(port, "porch/live.m3u8", 403).await?;

    let by_camera = [("TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA", "gate=365")];
    let made = |lines: &[(String, String)]| lines.iter().filter(|line| line.0 == "made").count();
    assert_eq!(made(&set_up_minio(folder.path(), port, &by_camera)?), 1, "the cameras' retention");
    assert_eq!(made(&set_up_minio(folder.path(), port, &by_camera)?), 0);

    let public = [&by_camera[..], &[("TEITEN_MEDIA_ACCESS", "public")]].concat();
    assert_eq!(made(&set_up_minio(folder.path(), port, &public)?), 1);
    nobody_reads_without_a_key(port, "porch/live.m3u8", 200).await?;
    for (origin, allowed) in
        [("https://a.example", true), ("https://b.example", true), ("https://c.example", false)]
    {
        let url = format!("http://127.0.0.1:{port}/media/porch/live.m3u8");
        let answer = reqwest::Client::new().get(url).header("Origin", origin).send().await?;
        let header = answer.headers().get("access-control-allow-origin").map(|value| value.to_str());
        assert_eq!(header.transpose()?, allowed.then_some(origin));
    }
    assert_eq!(made(&set_up_minio(folder.path(), port, &by_camera)?), 1);
    nobody_reads_without_a_key(port, "porch/live.m3u8", 403).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs minio and mc, which Debian does not have: ./just test-minio"]
async fn installations_at_one_minio_leave_each_others_users_alone_and_delete_their_own_of_before()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let minio = minio::start(folder.path(), &[]).await?;
    // As `deploy` makes keys: each looks to the other as if it were an old one.
    let keys = |digit: &str| (format!("link-{}", digit.repeat(15)), digit.repeat(40));
    let set_up = |media: &str, digit: &str| {
        let (folder, frames) = (folder.path().join(media), format!("{media}-batches"));
        let policies = folder.join("policies");
        let mut command = Command::new(program("teiten-storage-setup")?);
        command.arg("--policies").arg(&policies);
        command.envs([("TEITEN_FRAMES_BUCKET", frames.as_str()), ("TEITEN_MEDIA_BUCKET", media)]);
        run_set_up(&mut command, minio.port)?;
        minio::users_of(&folder, minio.port, &policies, media, &[("link", keys(digit))])
    };
    let reads = async |media: &str, digit: &str| -> anyhow::Result<bool> {
        let (access_key, secret_key) = keys(digit);
        let bucket = S3Bucket::new(&s3_config_of(minio.port, &access_key, &secret_key)?, media);
        Ok(bucket.list_after("", "", 1).await.is_ok())
    };
    for (media, digit) in [("home", "1"), ("barn", "2"), ("home", "3"), ("barn", "2")] {
        set_up(media, digit)?;
    }
    for (media, digit, may) in [
        ("home", "3", true),
        ("home", "1", false),
        ("home", "2", false),
        ("barn", "2", true),
        ("barn", "3", false),
    ] {
        assert_eq!(reads(media, digit).await?, may, "{digit} in {media}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs minio and mc, which Debian does not have: ./just test-minio"]
async fn footage_on_minio_plays_by_a_link_until_it_expires() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let minio = minio::start(folder.path(), &[]).await?;
    set_up_minio(folder.path(), minio.port, &[])?;
    plays_by_a_link(folder.path(), minio, true, "40s").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs minio and mc, which Debian does not have: ./just test-minio"]
async fn a_batch_that_minio_itself_tells_of_is_encoded() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let own_port = free_port()?;
    let (endpoint, queue) = (format!("http://127.0.0.1:{own_port}/"), folder.path().join("queue"));
    let webhook = [
        ("MINIO_NOTIFY_WEBHOOK_ENABLE_ENCODE", "on"),
        ("MINIO_NOTIFY_WEBHOOK_ENDPOINT_ENCODE", &endpoint),
        ("MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_ENCODE", queue.to_str().context("a path")?),
    ];
    // Batches that are stored before `encode` runs wait in MinIO's queue.
    let minio = minio::start(folder.path(), &webhook).await?;
    let port = minio.port;
    set_up_minio(folder.path(), port, &[])?;
    minio::tell_of_batches(folder.path(), port)?;
    let window = "20261123T040501.000Z-1000".parse()?;
    let gate = camera("gate")?;
    let mut painter = Painter::new(&gate, PictureSize::default());
    let batch = station::batch(&mut painter, window)?;
    let key = BatchKey { camera: gate, window, format: BatchFormat::Mjpeg };
    let config = s3_config(port)?;
    let frames = S3Bucket::new(&config, "frames");
    frames.put(&key.to_string(), batch.to_bytes(), Headers::default(), Condition::Always).await?;

    let (path, keys) = (program("teiten-encode")?, user_keys("encode"));
    let encode = Process::start("encode", &folder.path().join("logs"), move || {
        let mut command = Command::new(&path);
        with_s3(&mut command, port, &keys).env("PORT", own_port.to_string());
        command
    })?;
    let media = S3Bucket::new(&config, "media");
    eventually("the batch's segment", Duration::from_secs(60), async || {
        let listed = media.list_after("gate/2026-11-23/04/", "", 10).await?;
        Ok(listed.iter().any(|object| object.key.ends_with(".m4s")).then_some(()))
    })
    .await
    .with_context(|| encode.log_tail())
}

#[tokio::test(flavor = "multi_thread")]
async fn footage_in_our_own_store_plays_by_a_link_until_it_expires() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let process = store_with(folder.path(), port, &["--private"])?;
    plays_by_a_link(folder.path(), StoreProcess { process, port, behind: Vec::new() }, false, "10s").await
}

/// The whole pipeline in private mode: a camera's footage arrives, nobody plays it without a link, hls.js and ffmpeg play
/// it with one, and are refused once that has expired. Listed links stay as they are, and new ones are signed anew.
/// With `users` every part has its own keys, and a browser watches too.
async fn plays_by_a_link(folder: &Path, store: StoreProcess, users: bool, valid: &str) -> anyhow::Result<()> {
    let port = store.port;
    let environment =
        vec![("TEITEN_MEDIA_ACCESS", "private".to_owned()), ("TEITEN_SIGNED_FOR", "40s".to_owned())];
    let options = Options { store: Some(store), users, environment, ..Options::default() };
    let pipeline = Pipeline::start_with(folder, WindowLength::DEFAULT, options).await?;
    let gate = camera("gate")?;
    let mut agent = pipeline.agent(&gate, &footage()?, 10.0, true)?;
    let media = pipeline.media();
    let live = async || -> anyhow::Result<Option<String>> {
        let object = media.get("gate/live.m3u8").await?;
        object.map(|object| Ok(String::from_utf8(object.bytes.to_vec())?)).transpose()
    };
    let first = eventually("a playlist of six windows", Duration::from_secs(60), async || {
        Ok(live().await?.filter(|text| links(text).len() >= 6))
    })
    .await
    .with_context(|| pipeline.logs())?;

    // As it lies there, and as its segments' plain names: refused.
    let plain = format!("http://127.0.0.1:{port}/media/gate");
    let segment = links(&first).into_keys().next().context("a segment")?;
    for path in ["live.m3u8", &segment] {
        assert_eq!(reqwest::get(format!("{plain}/{path}")).await?.status(), 403, "{path}");
    }

    let keys_of =
        |part: &str| if users { user_keys(part) } else { (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned()) };
    let past = Past::start(folder, port, keys_of).await?;
    let times = first.lines().filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
    let times: Vec<String> = times.map(|time| time.replace('Z', "000Z")).collect();
    let soon_over = past.plays([&times[0], &times[4]]).await?;

    let keys = keys_of("link");
    let link =
        if users { new_link(port, &keys, valid)? } else { asked_link(folder, port, &keys, valid).await? };
    let probed = ffprobe(&link).await?;
    ensure!(probed.status.success(), "{}", String::from_utf8_lossy(&probed.stderr));
    let streams = String::from_utf8(probed.stdout)?;
    assert_eq!(streams.lines().next(), Some("h264,768,576"));
    if users {
        chromium_plays_until_it_is_refused(&link).await?;
    }
    let refused = eventually("the link has expired", Duration::from_secs(60), async || {
        let probed = ffprobe(&link).await?;
        Ok((!probed.status.success()).then_some(probed.stderr))
    })
    .await?;
    assert!(String::from_utf8_lossy(&refused).contains("403"), "{}", String::from_utf8_lossy(&refused));
    for link in soon_over {
        let answer = reqwest::get(&link).await?;
        assert_eq!(answer.status(), 403, "{link}");
        assert!(answer.text().await?.contains("expired"), "{link}");
    }

    // The playlist went on meanwhile: whatever is in both versions has the same link, and what came later another one.
    let later = eventually("a link that was signed later", Duration::from_secs(60), async || {
        let listed = links(&live().await?.context("the playlist is gone")?);
        let before = links(&first).into_values().map(signed_at).max();
        Ok(listed.into_values().map(signed_at).any(|at| Some(at) > before).then_some(()))
    });
    later.await?;
    let mut seen = links(&live().await?.context("the playlist is gone")?);
    let mut shared = 0;
    eventually("another version of the playlist", Duration::from_secs(60), async || {
        let listed = links(&live().await?.context("the playlist is gone")?);
        let is_new = listed.keys().any(|name| !seen.contains_key(name));
        for (name, link) in &listed {
            if let Some(before) = seen.get(name) {
                ensure!(before == link, "the link of {name} changed from {before} to {link}");
                shared += 1;
            }
        }
        seen = listed;
        Ok(is_new.then_some(()))
    })
    .await?;
    assert!(shared > 0);

    assert!(agent.stop(Duration::from_secs(20)).await?.success(), "{}", agent.log_tail());
    pipeline.drained(&gate, Duration::from_secs(30)).await?;
    let frames = pipeline.frames();
    let recording = eventually("every batch has its segment", Duration::from_secs(30), async || {
        Ok(Recording::read(&*frames, &*media, &gate).await.ok())
    })
    .await?;
    recording.every_frame_is_there_once()?;
    recording.every_sample_is_at_its_capture_time()?;
    assert_eq!(pipeline.dead_letters().await?, Vec::<serde_json::Value>::new());
    Ok(())
}

/// `playback` and `clip` in private mode.
struct Past {
    /// The store's.
    port: u16,
    ports: [u16; 2],
    /// Those of the component `link`.
    keys: (String, String),
    _functions: Vec<Process>,
}

impl Past {
    async fn start(
        folder: &Path,
        port: u16,
        keys_of: impl Fn(&str) -> (String, String),
    ) -> anyhow::Result<Self> {
        let ports = [free_port()?, free_port()?];
        let mut functions = Vec::new();
        for (name, own_port) in ["playback", "clip"].into_iter().zip(ports) {
            let (path, keys) = (program(&format!("teiten-{name}"))?, keys_of(name));
            functions.push(Process::start(name, &folder.join("logs"), move || {
                let mut command = Command::new(&path);
                with_s3(&mut command, port, &keys)
                    .envs([("TEITEN_LINK_TOKEN", TOKEN), ("TEITEN_SIGNED_FOR", "40s")])
                    .env("PORT", own_port.to_string());
                command
            })?);
            listening(name, own_port).await?;
        }
        Ok(Self { port, ports, keys: keys_of("link"), _functions: functions })
    }

    /// What `teiten-link` prints for a range.
    fn link(&self, range: [&str; 2], valid: &str, more: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(program("teiten-link")?);
        let [playback, clip] = self.ports.map(|port| format!("http://127.0.0.1:{port}"));
        with_s3(&mut command, self.port, &self.keys)
            .envs([
                ("TEITEN_LINK_TOKEN", TOKEN),
                ("TEITEN_PLAYBACK_URL", &playback),
                ("TEITEN_CLIP_URL", &clip),
            ])
            .args(["gate", "--for", valid, "--from", range[0], "--to", range[1]])
            .args(more);
        printed(&mut command)
    }

    /// A range plays from one address, and is one file at another, frame for frame the same; to nobody who has neither the
    /// token nor a link as it was made. Answers two links that expire soon.
    async fn plays(&self, range: [&str; 2]) -> anyhow::Result<[String; 2]> {
        let [playlist, file] = [self.link(range, "1h", &[])?, self.link(range, "1h", &["--clip"])?];
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("clip.mp4");
        std::fs::write(&path, reqwest::get(&file).await?.error_for_status()?.bytes().await?)?;
        let pictures = [packets(&playlist).await?, packets(path.to_str().context("a path")?).await?];
        assert!(pictures[0] > 20 && pictures[0] == pictures[1], "{pictures:?}");

        let text = reqwest::get(&playlist).await?.error_for_status()?.text().await?;
        let uris = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        assert!(uris.len() == 4 && uris.iter().all(|uri| uri.contains("X-Amz-Signature=")), "{text}");
        assert!(uris[0].contains("X-Amz-Expires=3604&"), "longer than TEITEN_SIGNED_FOR: {text}");

        let [playback, clip] = self.ports.map(|port| format!("http://127.0.0.1:{port}"));
        for (url, status) in [
            (playlist.replace(range[1], "2099-01-01T00:00:00.000000Z"), 403),
            (playlist.replace("expires=", "expires=1"), 403),
            (playlist.replace(&playback, &clip).replace(".m3u8", ".mp4"), 403),
            (file.replace("&expires", "&lapse=2&expires"), 403),
            (playlist.split("&signature").next().unwrap_or_default().to_owned(), 401),
            (format!("{clip}/gate.mp4?from={}&to={}", range[0], range[1]), 401),
            (format!("{playback}/absent.m3u8"), 401),
        ] {
            assert_eq!(reqwest::get(&url).await?.status(), status, "{url}");
        }
        for name in [format!("{playback}/gate.m3u8"), format!("{clip}/gate.mp4")] {
            let url = format!("{name}?from={}&to={}", range[0], range[1]);
            let answer = reqwest::Client::new().get(url).bearer_auth(TOKEN).send().await?;
            assert_eq!(answer.status(), 200, "{name}");
        }
        Ok([self.link(range, "5s", &[])?, self.link(range, "5s", &["--clip", "--lapse", "2"])?])
    }
}

/// How many pictures an address or a file has.
async fn packets(input: &str) -> anyhow::Result<u32> {
    let entries = ["-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"];
    let output = ffprobe_with(&entries, input).await?;
    ensure!(output.status.success(), "{input}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().next().unwrap_or_default().trim_end_matches(',').parse()?)
}

/// What a playlist lists: the segments' names, and the links' queries.
fn links(playlist: &str) -> BTreeMap<String, String> {
    let names = playlist.lines().filter(|line| line.contains(".m4s"));
    let pair = |line: &str| line.split_once('?').map(|(name, query)| (name.to_owned(), query.to_owned()));
    names.filter_map(pair).collect()
}

/// The time that a link was signed at, as it says.
fn signed_at(query: String) -> String {
    let date = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Date="));
    date.unwrap_or_default().to_owned()
}

/// What `teiten-link gate --for TIME` prints.
fn new_link(port: u16, keys: &(String, String), valid: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program("teiten-link")?);
    printed(with_s3(&mut command, port, keys).args(["gate", "--for", valid]))
}

/// The line that a program prints.
fn printed(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What the function `link` answers to who has its token; nobody else gets an answer.
async fn asked_link(
    folder: &Path,
    port: u16,
    keys: &(String, String),
    valid: &str,
) -> anyhow::Result<String> {
    let own_port = free_port()?;
    let (path, keys) = (program("teiten-link")?, keys.clone());
    let _function = Process::start("link", &folder.join("logs"), move || {
        let mut command = Command::new(&path);
        with_s3(&mut command, port, &keys).env("TEITEN_LINK_TOKEN", TOKEN).env("PORT", own_port.to_string());
        command
    })?;
    listening("link", own_port).await?;
    let url = format!("http://127.0.0.1:{own_port}/gate?for={valid}");
    assert_eq!(reqwest::get(&url).await?.status(), 401);
    let answer = reqwest::Client::new().get(&url).bearer_auth(TOKEN).send().await?.error_for_status()?;
    let answer: serde_json::Value = answer.json().await?;
    Ok(answer["url"].as_str().context("a link")?.to_owned())
}

/// What ffprobe says of an address: codec and size of its video.
async fn ffprobe(url: &str) -> anyhow::Result<Output> {
    ffprobe_with(&["-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"], url).await
}

async fn ffprobe_with(entries: &[&str], input: &str) -> anyhow::Result<Output> {
    let output =
        tokio::process::Command::new("ffprobe").args(["-v", "error"]).args(entries).arg(input).output();
    Ok(tokio::time::timeout(Duration::from_secs(60), output).await??)
}

/// Plays an address through hls.js as it is delivered, until it is answered with 403.
async fn chromium_plays_until_it_is_refused(link: &str) -> anyhow::Result<()> {
    let hls_js = project().join("viewer/node_modules/hls.js/dist/hls.min.js");
    let output = tokio::process::Command::new("node")
        .current_dir(project().join("tests/browser"))
        .args(["link.mjs", link])
        .arg(hls_js)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(240), output).await??;
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "Chromium saw something else");
    Ok(())
}
