//! A test camera is sent through: how long its pictures take, where they can be seen. It goes again whatever comes of it.

use std::{
    io::{self, IsTerminal as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use teiten_bucket::Validity;
use teiten_footage::{CameraId, key};
use teiten_telemetry::{now, shutdown_on_signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    Kubectl,
    camera::{NAME, TestCamera},
    certificates::Broker,
    settings::Settings,
    store::Store,
};

/// How long the link to its playlist works.
const LINK_VALID: &str = "1h";

/// Starts it, measures, and clears away what it left.
pub(crate) async fn send_a_camera_through(
    kubectl: &Kubectl,
    settings: &Settings,
    store: &Store,
    broker: &Broker,
) -> anyhow::Result<()> {
    println!("a test camera sends to {} …", broker.address);
    let stop = stop_on_signal()?;
    let camera = TestCamera::start(&broker.address, &broker.ca, &broker.camera)?;
    let measured = tokio::select! {
        measured = camera.delay(&*store.media) => measured,
        () = stop.cancelled() => Err(anyhow!("stopped before the test camera's pictures came through")),
    };
    // It is cleared away whatever comes of it.
    let shown = match &measured {
        Ok(delay) => show(kubectl, settings, store, *delay, &stop).await,
        Err(_) => Ok(()),
    };
    let ended = camera.end(store, settings.window).await;
    measured?;
    shown?;
    ended.context("the test camera was not cleared away")
}

/// Says how long the test camera's pictures took, and where they can be seen.
async fn show(
    kubectl: &Kubectl,
    settings: &Settings,
    store: &Store,
    delay: Duration,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    println!(
        "its pictures came through: {:.2} s from the first picture of a window to the playlist, at windows of {} s",
        delay.as_secs_f64(),
        settings.window.duration().as_secs_f64()
    );
    let camera = CameraId::new(NAME)?;
    if settings.public {
        println!("  playlist {}", settings.media_url(&store.url, &format!("{camera}/live.m3u8")));
    } else if settings.links_stay_inside() {
        println!("  Footage is private, and links would play inside of the cluster only (see below).");
    } else {
        let (valid, now) = (LINK_VALID.parse::<Validity>()?, now());
        let signer = store.signer(kubectl, settings, valid)?;
        let url = signer.url(&key::live_playlist_key(&camera), now, valid).await?;
        println!("  playlist {url} (until {})", now + valid.duration());
    }
    if io::stdin().is_terminal() {
        println!("  It goes on sending until you press Enter.");
        tokio::select! {
            () = enter() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Somebody presses Enter.
async fn enter() {
    let (pressed, enter) = oneshot::channel();
    // On a thread of its own: nothing ends the reading of a terminal, and the runtime would wait for it in the end.
    thread::spawn(move || {
        let _line = io::stdin().read_line(&mut String::new());
        let _heard = pressed.send(());
    });
    let _pressed = enter.await;
}

/// Cancelled by Ctrl-C or SIGTERM. Ctrl-C after that ends this process as it is.
fn stop_on_signal() -> io::Result<CancellationToken> {
    let stop = shutdown_on_signal()?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        stopped.cancelled().await;
        println!("clearing the test camera away, for half a minute (Ctrl-C once more leaves what it left)");
    });
    Ok(stop)
}
