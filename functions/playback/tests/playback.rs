//! Playlists of ranges, as a player gets them over HTTP.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use teiten_archive::{Packed, pack};
use teiten_bucket::{Bucket, Condition, Credentials, Headers, MemoryBucket, S3Config, Signer};
use teiten_footage::{CameraId, ContentHash, PackKey, Pictures, SegmentKey, Window};
use teiten_host::{Admission, Bearer, Origins};
use teiten_playback::{Links, Playback};
use tokio::net::TcpListener;

use self::checker::{Kind, Version, read_variants};

// The same referee that judges what `playlist` writes.
#[path = "../../playlist/tests/playlist/checker.rs"]
mod checker;

/// Of a segment nothing but its size matters here.
const SEGMENT: Bytes = Bytes::from_static(&[0; 6000]);
const INIT: Bytes = Bytes::from_static(b"init section");

const BASE: &str = "https://cameras.example/media";

struct World {
    media: MemoryBucket,
    address: SocketAddr,
}

impl World {
    async fn start() -> Self {
        Self::start_with(Links::plain(BASE).unwrap(), Admission::Anybody).await
    }

    async fn start_with(links: Links, admission: Admission) -> Self {
        let media = MemoryBucket::new("media");
        let playback = Playback::new(Arc::new(media.clone()), links, admission);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = teiten_host::request_router(Arc::new(playback), Origins::default());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { media, address }
    }

    async fn store(&self, window: &str, init: &str, frames: &str) -> SegmentKey {
        let key = SegmentKey {
            camera: CameraId::new("gate").unwrap(),
            window: window.parse().unwrap(),
            init: ContentHash::of(init.as_bytes()),
            pictures: Pictures { frames: ContentHash::of(frames.as_bytes()), keyframe_bytes: 4321 },
        };
        for (key, bytes) in [(key.init_key().to_string(), INIT), (key.to_string(), SEGMENT)] {
            self.media.put(&key, bytes, Headers::default(), Condition::Always).await.unwrap();
        }
        key
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        let status = answer.status().as_u16();
        if status == 200 {
            assert_eq!(answer.headers()["content-type"], "application/vnd.apple.mpegurl");
            assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        }
        let text = answer.text().await.unwrap();
        if status == 200 && path.contains(".master.m3u8") {
            read_variants(&text).unwrap();
        } else if status == 200 {
            let version = Version::read(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
            assert!(version.kind == Kind::Vod && version.ended, "{text}");
            assert_eq!(version.keyframes_only, path.contains(".iframes.m3u8"));
        }
        (status, text)
    }
}

#[tokio::test]
async fn a_range_over_midnight_a_hole_and_another_picture_is_listed_as_it_is() {
    let world = World::start().await;
    world.store("20261123T235957.000Z-1000", "one", "a").await;
    let first = world.store("20261123T235958.000Z-1000", "one", "a").await;
    world.store("20261123T235959.000Z-1000", "one", "a").await;
    world.media.stop_clock(world.media.now() + std::time::Duration::from_secs(1));
    let second = world.store("20261123T235959.000Z-1000", "one", "b").await;
    let third = world.store("20261124T000001.000Z-1000", "one", "a").await;
    let fourth = world.store("20261124T000002.000Z-1000", "two", "a").await;
    world.store("20261124T000003.000Z-1000", "two", "a").await;
    // An hour's playlist among them is no footage.
    world
        .media
        .put("gate/2026-11-24/00.m3u8", Bytes::new(), Headers::default(), Condition::Always)
        .await
        .unwrap();
    let (status, text) =
        world.get("/gate.m3u8?from=2026-11-23T23:59:58.9Z&to=2026-11-24T01:00:02.001%2B01:00").await;
    assert_eq!(status, 200, "{text}");
    let (one, two) = (first.init_key(), fourth.init_key());
    let expected = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"{BASE}/{one}\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-23T23:59:58.000Z\n#EXTINF:1.000,\n{BASE}/{first}\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-23T23:59:59.000Z\n#EXTINF:1.000,\n{BASE}/{second}\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-24T00:00:01.000Z\n#EXTINF:1.000,\n{BASE}/{third}\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"{BASE}/{two}\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-24T00:00:02.000Z\n#EXTINF:1.000,\n{BASE}/{fourth}\n#EXT-X-ENDLIST\n"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_range_has_its_keyframes_and_both_under_one_name() {
    let world = World::start().await;
    let first = world.store("20261123T235959.000Z-1000", "one", "a").await;
    let second = world.store("20261124T000001.000Z-1000", "two", "a").await;
    let (one, two) = (first.init_key(), second.init_key());
    let range = "from=2026-11-23T23:59:59.000000Z&to=2026-11-24T00:00:02.000000Z";
    let (status, text) = world.get(&format!("/gate.master.m3u8?{range}")).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(&format!("\ngate.m3u8?{range}\n#EXT-X-I-FRAME-STREAM-INF:")), "{text}");
    assert!(text.ends_with(&format!(",URI=\"gate.iframes.m3u8?{range}\"\n")), "{text}");
    let (_, text) = world.get(&format!("/gate.iframes.m3u8?{range}")).await;
    let expected = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"{BASE}/{one}\",BYTERANGE=\"12@0\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-23T23:59:59.000Z\n#EXTINF:1.000,\n#EXT-X-BYTERANGE:4321@0\n{BASE}/{first}\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"{BASE}/{two}\",BYTERANGE=\"12@0\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-24T00:00:01.000Z\n#EXTINF:1.000,\n#EXT-X-BYTERANGE:4321@0\n{BASE}/{second}\n#EXT-X-ENDLIST\n"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn late_footage_beside_packs_is_named_by_ranges_too() {
    let credentials =
        Credentials { access_key: "key".to_owned(), secret_key: "secret".to_owned(), session_token: None };
    let config = S3Config::new(Some("https://s3.example.org"), "us-east-1", credentials).unwrap();
    let links = Links::signed(Signer::new(&config, "media", "24h".parse().unwrap()));
    let world = World::start_with(links, Admission::Anybody).await;
    let put = async |key: String, bytes: Bytes| {
        world.media.put(&key, bytes, Headers::default(), Condition::Always).await.unwrap();
    };
    // Boxes that nobody looks into.
    let (init, segment) = (b"\0\0\0\x0cmoovinit", b"\0\0\0\x0cmdatshow");
    let packed = Packed { bytes: segment, keyframe_bytes: segment.len() as u32 };
    let first: Window = "20261123T040000.000Z-1000".parse().unwrap();
    let bytes = pack(init, first, &[packed; 2]);
    let (camera, init, hash) =
        (CameraId::new("gate").unwrap(), ContentHash::of(b"one"), ContentHash::of(&bytes));
    let key = PackKey { camera, first, count: 2, init, as_of: first.end(), hash };
    put(key.to_string(), bytes).await;
    for (window, init) in [("20261123T040002.000Z-1000", "one"), ("20261123T040003.000Z-1000", "two")] {
        let late = world.store(window, init, "a").await;
        put(late.to_string(), Bytes::from_static(b"late footage")).await;
        put(late.init_key().to_string(), Bytes::from_static(b"init section!")).await;
    }
    let (status, text) = world.get("/gate.m3u8?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z").await;
    assert_eq!(status, 200, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let ranges: Vec<&str> = (1..lines.len())
        .filter(|index| lines[*index].starts_with("https://s3.example.org/media/gate/2026-11-23/04/"))
        .map(|index| lines[index - 1])
        .collect();
    let ranges_of = ["12@103", "12@115", "12@0", "12@0"].map(|range| format!("#EXT-X-BYTERANGE:{range}"));
    assert_eq!(ranges, ranges_of);
    let maps = lines.iter().filter(|line| line.starts_with("#EXT-X-MAP:"));
    let maps: Vec<&str> = maps.map(|line| line.rsplit_once(',').unwrap().1).collect();
    assert_eq!(maps, ["BYTERANGE=\"12@0\"", "BYTERANGE=\"13@0\""]);
    assert_eq!(text.matches("X-Amz-Signature=").count(), 6);
}

#[tokio::test]
async fn a_long_range_is_listed_whole() {
    let world = World::start().await;
    let first: Window = "20261123T220000.000Z-2000".parse().unwrap();
    for index in 0..2500 {
        world.store(&first.plus(index).to_string(), "one", "a").await;
    }
    let (_, text) = world.get("/gate.m3u8?from=2026-11-23T22:00:00Z&to=2026-11-24T22:00:00Z").await;
    assert_eq!(text.matches("#EXTINF:2.000,").count(), 2500);
    assert!(!text.contains("DISCONTINUITY"));
}

#[tokio::test]
async fn a_range_with_more_windows_than_answers_have_room_for_is_refused_and_half_of_it_is_listed() {
    let world = World::start().await;
    let first: Window = "20261123T000000.000Z-500".parse().unwrap();
    let SegmentKey { camera, init, pictures, .. } = world.store(&first.to_string(), "one", "a").await;
    for index in 1..2 * 24 * 3600 {
        let (camera, window) = (camera.clone(), first.plus(index));
        let key = SegmentKey { camera, window, init, pictures }.to_string();
        world.media.put(&key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
    }
    for name in ["gate.m3u8", "gate.iframes.m3u8", "gate.master.m3u8"] {
        let (status, text) =
            world.get(&format!("/{name}?from=2026-11-23T00:00:00Z&to=2026-11-24T00:00:00Z")).await;
        assert!(status == 400 && text.contains("172800") && text.contains("ask for less"), "{status} {text}");
    }
    let (status, text) = world.get("/gate.m3u8?from=2026-11-23T12:00:00Z&to=2026-11-24T00:00:00Z").await;
    assert_eq!((status, text.matches("#EXTINF:").count()), (200, 24 * 3600));
}

#[tokio::test]
async fn where_footage_is_private_who_has_a_link_gets_links_and_nobody_else_gets_anything() {
    let credentials =
        Credentials { access_key: "key".to_owned(), secret_key: "secret".to_owned(), session_token: None };
    let config = S3Config::new(Some("https://s3.example.org"), "us-east-1", credentials).unwrap();
    let signer = Signer::new(&config, "media", "40s".parse().unwrap());
    let token = Bearer::new("0123456789abcdef0123456789abcdef").unwrap();
    let world = World::start_with(Links::signed(signer), Admission::Token(token.clone())).await;
    let segment = world.store("20261123T235958.000Z-1000", "one", "a").await;
    let range = [("from", "2026-11-23T23:00:00Z"), ("to", "2026-11-24T01:00:00Z")];
    let plain = "/gate.m3u8?from=2026-11-23T23:00:00Z&to=2026-11-24T01:00:00Z";
    assert_eq!(world.get(plain).await.0, 401);

    let expires = teiten_telemetry::now() + std::time::Duration::from_secs(60);
    let link = token.sign_link("gate.m3u8", &range, expires);
    let (status, text) = world.get(&format!("/{link}")).await;
    assert_eq!(status, 200, "{text}");
    for key in [segment.to_string(), segment.init_key().to_string()] {
        assert!(text.contains(&format!("https://s3.example.org/media/{key}?")), "{text}");
    }
    // Two hours take longer to be played than the signer's 40 s.
    assert_eq!(text.matches("X-Amz-Expires=10800&").count(), 2, "{text}");
    for other in [link.replace("gate", "garden"), link.replace(".m3u8", ".master.m3u8")] {
        let (status, text) = world.get(&format!("/{other}")).await;
        assert_eq!(status, 403, "{text}");
    }
    // What names others links to them.
    let (status, text) =
        world.get(&format!("/{}", token.sign_link("gate.master.m3u8", &range, expires))).await;
    assert_eq!(status, 200, "{text}");
    let uris = [
        text.lines().find(|line| line.starts_with("gate.m3u8?")),
        text.split_once("URI=\"").map(|(_, rest)| rest.trim_end().trim_end_matches('"')),
    ];
    for uri in uris {
        let (status, text) = world.get(&format!("/{}", uri.unwrap())).await;
        assert!(
            status == 200 && text.contains(&format!("https://s3.example.org/media/{segment}?")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_what_to_do() {
    let world = World::start().await;
    let range = "from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z";
    for (path, status, named) in [
        (format!("/gate.m3u8?{range}"), 404, "no footage of gate from 2026-11-23T04:00:00.000000Z"),
        (format!("/gate.mp4?{range}"), 404, "/<camera>.m3u8"),
        (format!("/Gate!.m3u8?{range}"), 404, "no camera name"),
        (format!("/gate.m3u8?{range}&lapse=60"), 400, "lapse"),
        ("/gate.m3u8".to_owned(), 400, "from is missing"),
        ("/gate.m3u8?from=2026-11-23T04:00:00Z&to=2026-11-25T04:00:00Z".to_owned(), 400, "24 hours"),
    ] {
        let (answered, text) = world.get(&path).await;
        assert!(answered == status && text.contains(named), "{path}: {answered} {text}");
    }
}
