//! `./just status`: cameras, delays and what is wrong, in plain words.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use teiten_archive::{Cameras, LIVE_AGE_MAX, LivePlaylist};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, DeadLetter, Timestamp, key::CAMERAS_KEY};
use teiten_telemetry::now;

use crate::{
    Kubectl, NAMESPACE,
    camera::playlist,
    dead_letters::{self, DeadLetters},
    ready,
    settings::Settings,
    setup,
    store::Store,
};

/// A camera whose newest picture is older than this is not live: some windows, and time for the way.
const LIVE_MAX: Duration = Duration::from_secs(15);
const _: () = assert!(LIVE_MAX.as_secs() < LIVE_AGE_MAX.as_secs());

/// Prints how Teiten is. Answers whether all is well.
pub async fn status(kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<bool> {
    if kubectl.get("namespace", NAMESPACE, NAMESPACE)?.is_none() {
        println!("There is no Teiten in this cluster: ./just deploy");
        return Ok(false);
    }
    let (objects, unknown) = kubectl.list_all(&ready::KINDS)?;
    let not_ready = ready::not_ready(&objects);
    let parts = ready::parts(&objects);
    let mut well = not_ready.is_empty() && parts > 0 && unknown.is_empty();
    if !unknown.is_empty() {
        println!(
            "The cluster does not know {}: a part of Knative is not there. `./just deploy --check` says which.",
            unknown.join(", ")
        );
    }
    match parts {
        0 => println!("No part of Teiten is in the cluster: ./just deploy"),
        parts if not_ready.is_empty() => println!("All {parts} parts are ready."),
        parts => {
            let said = not_ready.join("\n  ");
            println!("{} of {parts} parts are not ready:\n  {said}{}", not_ready.len(), ready::login(&said));
        }
    }
    // Who may not look at nodes is told of none.
    for line in full_disks(&kubectl.list_everywhere("nodes").unwrap_or_default()) {
        println!("{line}");
        well = false;
    }
    if let Some(failed) = setup::failed(&kubectl.list("jobs.batch")?) {
        println!("{failed}");
        well = false;
    }
    let Some(store) = Store::of(kubectl, settings).await? else {
        println!(
            "The store has no address outside of the cluster, so cameras are not known: set TEITEN_PUBLIC_URL."
        );
        return Ok(false);
    };
    match cameras(&*store.media).await {
        Ok(cameras) => {
            let at = now();
            let (lines, live) = report(&cameras, at);
            println!("{lines}");
            well &= live;
        }
        Err(error) => {
            println!("The store at {} cannot be read: {error:#}", store.here);
            return Ok(false);
        }
    }
    if let Some(trouble) = trouble(store.try_writing().await) {
        println!("{trouble}");
        well = false;
    }
    let letters = dead_letters::read(&*store.frames).await?;
    println!("{}", words(&letters));
    Ok(well && letters.count == 0)
}

/// A camera, and its live playlist if it has one that can be read.
type Camera = (CameraId, anyhow::Result<Option<LivePlaylist>>);

/// Every camera. One whose playlist cannot be read costs itself only; a store that is away is so for all of them.
async fn cameras(media: &dyn Bucket) -> anyhow::Result<Vec<Camera>> {
    let is_away = |error: &anyhow::Error| error.downcast_ref().is_some_and(BucketError::is_retryable);
    let list = match media.get(CAMERAS_KEY).await? {
        Some(object) => Cameras::parse(&object.bytes).context(CAMERAS_KEY)?,
        None => Cameras::default(),
    };
    let mut found = Vec::new();
    for camera in list.cameras {
        match playlist(media, &camera).await {
            Err(error) if is_away(&error) => return Err(error),
            playlist => found.push((camera, playlist)),
        }
    }
    Ok(found)
}

/// A line for each camera, and whether all are live.
fn report(cameras: &[Camera], now: Timestamp) -> (String, bool) {
    if cameras.is_empty() {
        return ("No camera has sent a picture yet: ./just camera add NAME".to_owned(), true);
    }
    let mut live = 0;
    let lines: Vec<String> = cameras
        .iter()
        .map(|(camera, playlist)| {
            let playlist = match playlist {
                Ok(Some(playlist)) => playlist,
                Ok(None) => return format!("  {camera}: no live playlist"),
                Err(error) => return format!("  {camera}: its live playlist cannot be read: {error:#}"),
            };
            let age = now.since(playlist.next().start());
            if age > LIVE_MAX {
                return format!("  {camera}: NO PICTURES for {}", ago(age));
            }
            live += 1;
            let gaps = match playlist.gaps_at_end() {
                0 => String::new(),
                gaps => format!("; the last {gaps} windows are missing"),
            };
            format!("  {camera}: live, the newest window ended {:.1} s ago{gaps}", age.as_secs_f64())
        })
        .collect();
    (format!("{live} of {} cameras are live:\n{}", cameras.len(), lines.join("\n")), live == cameras.len())
}

/// The nodes that end pods since their disk is full, in words. No pod tells it: those that are ended are gone.
fn full_disks(nodes: &[Value]) -> Vec<String> {
    let full = nodes.iter().filter(|node| ready::has_condition(node, "DiskPressure"));
    let words = |node: &Value| {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        format!(
            "The disk of node {name} is FULL: Kubernetes ends pods on it and takes none (DiskPressure). If the store is there, nothing deletes \
             footage until it runs. Make room on that disk, 15 % of it: infra/overlays/local/README.md says how."
        )
    };
    full.map(words).collect()
}

/// That the store takes nothing, in words.
fn trouble(written: Result<(), BucketError>) -> Option<String> {
    let error = written.err()?.to_string();
    // As MinIO says it.
    Some(if error.contains("XMinioStorageFull") {
        "The store is FULL: it takes no picture any more, and what cameras send is lost once they have no room to keep it. Give it more \
         (TEITEN_STORAGE_SIZE), or keep footage for fewer days: infra/overlays/local/README.md."
            .to_owned()
    } else {
        format!("The store cannot be written to: {error}")
    })
}

fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn words(letters: &DeadLetters) -> String {
    let Some(DeadLetter { at, destination, status, reason, event }) = &letters.newest else {
        return "Every event was handled (no dead letters).".to_owned();
    };
    let count = format!("{}{}", if letters.more { "more than " } else { "" }, letters.count);
    let to = destination.as_deref().unwrap_or("its function");
    let status = status.as_deref().map_or(String::new(), |status| format!(" with {status}"));
    let reason = reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
    format!(
        "{count} events were given up. The newest, of {at}: {} of {}, refused by {to}{status}{reason}\n  (They are in the bucket of \
         batches below dead-letters.teiten/, as long as the batches are.)",
        event["type"].as_str().unwrap_or("an event"),
        event["subject"].as_str().unwrap_or("no camera"),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;
    use teiten_bucket::{Condition, Headers, MemoryBucket};
    use teiten_footage::{ContentHash, Pictures, SegmentKey, Window, WindowLength, key::live_playlist_key};

    use super::*;

    fn camera(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    /// The first window of 2020.
    fn window() -> Window {
        Window::containing(Timestamp::Y2020, WindowLength::DEFAULT)
    }

    /// A live playlist of that one window.
    fn playlist(name: &str) -> LivePlaylist {
        let hash = ContentHash::of(b"");
        LivePlaylist::starting_with(&SegmentKey {
            camera: camera(name),
            window: window(),
            init: hash,
            pictures: Pictures { frames: hash, keyframe_bytes: 1 },
        })
    }

    #[tokio::test]
    async fn a_camera_whose_playlist_is_damaged_is_told_and_the_others_are_looked_at() {
        let media = MemoryBucket::new("media");
        let put = async |key: &str, text: String| {
            media.put(key, Bytes::from(text), Headers::NONE, Condition::Always).await.unwrap();
        };
        put(CAMERAS_KEY, json!({"cameras": ["gate", "yard"]}).to_string()).await;
        put(&live_playlist_key(&camera("gate")), String::new()).await;
        put(&live_playlist_key(&camera("yard")), playlist("yard").to_string()).await;
        let (text, well) = report(&cameras(&media).await.unwrap(), window().end());
        assert!(!well);
        for line in [
            "1 of 2 cameras are live:\n",
            "  gate: its live playlist cannot be read: gate/live.m3u8 was not written by Teiten, or was changed (delete it, and a new one is begun)",
            "  yard: live, ",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn a_camera_is_live_or_it_is_said_since_when_it_is_not() {
        let window = window();
        let cameras = [(camera("gate"), Ok(Some(playlist("gate")))), (camera("yard"), Ok(None))];
        let (text, well) = report(&cameras, window.end() + Duration::from_millis(700));
        assert_eq!(
            text,
            "1 of 2 cameras are live:\n  gate: live, the newest window ended 0.7 s ago\n  yard: no live playlist"
        );
        assert!(!well);
        let (text, _) = report(&cameras[..1], window.end() + Duration::from_secs(3 * 3600));
        assert_eq!(text, "0 of 1 cameras are live:\n  gate: NO PICTURES for 3 h");
        assert!(report(&[], window.end()).1, "an installation without cameras is well");
    }

    #[test]
    fn what_was_given_up_is_said_with_the_reason() {
        let none = DeadLetters { count: 0, more: false, newest: None };
        assert_eq!(words(&none), "Every event was handled (no dead letters).");
        let newest = DeadLetter {
            at: "2026-11-23T04:05:02.000Z".to_owned(),
            destination: Some("http://encode.teiten.svc.cluster.local".to_owned()),
            status: Some("422".to_owned()),
            reason: Some("no frame can be decoded".to_owned()),
            event: json!({"type": "teiten.batch.stored", "subject": "gate"}),
        };
        let text = words(&DeadLetters { count: 3, more: false, newest: Some(newest) });
        assert!(text.starts_with(
            "3 events were given up. The newest, of 2026-11-23T04:05:02.000Z: teiten.batch.stored of gate, refused by \
             http://encode.teiten.svc.cluster.local with 422: no frame can be decoded"
        ), "{text}");
    }
}
