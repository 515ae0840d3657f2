//! The functions, each on a port of its own as on Knative, and the router that brings them their events.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use teiten_footage::Event;
use teiten_host::{Admission, Chore, Function, Origins, Responder};
use teiten_router::{RetryPolicy, Router, Trigger};
use teiten_sink::Sink;
use tokio::net::TcpListener;

use crate::{Buckets, schedule, stage::Stage, viewer::Services};

/// How long each chore may take, as in a cluster (`timeoutSeconds` in infra/base/functions).
const CHORE_MAX: Duration = Duration::from_secs(300);
const COMPACT_MAX: Duration = Duration::from_secs(600);

/// The functions that events go to.
pub(crate) struct Subscribers {
    encode: String,
    playlist: String,
    chores: Vec<Trigger>,
}

/// Serves those that events go to; what they find by themselves they tell by `events`, of batches that are kept for so long.
pub(crate) async fn serve(
    stage: &mut Stage,
    buckets: &Buckets,
    events: &Sink,
    batches_kept: Duration,
) -> anyhow::Result<Subscribers> {
    let (frames, media) = (|| Arc::clone(&buckets.frames), || Arc::clone(&buckets.media));
    let encode = teiten_encode::Encode::new(frames(), media(), teiten_encode::Settings::default());
    let playlist = teiten_playlist::Playlist::new(media(), teiten_archive::LiveSettings::default());
    let settings = teiten_reconcile::Settings { horizon: batches_kept, ..Default::default() };
    let reconcile = teiten_reconcile::Reconcile::new(frames(), media(), events.clone(), settings);
    let settings = teiten_pictures::Settings { horizon: batches_kept, ..Default::default() };
    let pictures = teiten_pictures::Pictures::new(frames(), media(), settings);
    let compact = teiten_compact::Compact::new(media(), teiten_compact::Settings::default());
    Ok(Subscribers {
        encode: serve_function(stage, encode).await?,
        playlist: serve_function(stage, playlist).await?,
        chores: vec![
            serve_chore(stage, reconcile, CHORE_MAX).await?,
            serve_chore(stage, pictures, CHORE_MAX).await?,
            serve_chore(stage, compact, COMPACT_MAX).await?,
        ],
    })
}

/// Serves the past to the viewer on `viewer_port`, and to any player.
pub(crate) async fn serve_past(
    stage: &mut Stage,
    buckets: &Buckets,
    viewer_port: u16,
) -> anyhow::Result<Services> {
    let links = teiten_playback::Links::plain(&format!("http://127.0.0.1:{viewer_port}"))?;
    let playback = teiten_playback::Playback::new(Arc::clone(&buckets.media), links, Admission::Anybody);
    let clip = teiten_clip::Clip::new(Arc::clone(&buckets.media), Admission::Anybody);
    Ok(Services {
        playback: serve_requests(stage, playback).await?,
        clip: serve_requests(stage, clip).await?,
    })
}

/// Starts the router on `ingress` with the triggers of a deployment.
pub(crate) fn start_router(stage: &mut Stage, ingress: TcpListener, subscribers: Subscribers) -> Router {
    let trigger = |kind: &str, subscriber: &str, concurrency_max| Trigger {
        kind: kind.to_owned(),
        extensions: BTreeMap::new(),
        subscriber: subscriber.to_owned(),
        concurrency_max,
        delivery: RetryPolicy::default(),
    };
    let Subscribers { encode, playlist, chores } = subscribers;
    let mut triggers = vec![
        Trigger {
            // It chooses among those who wait, so all that is there has to get in; and it sends some away until there is less.
            delivery: RetryPolicy { backoff_max: Duration::from_secs(30), ..RetryPolicy::default() },
            ..trigger(Event::BATCH_STORED, &encode, 2 * teiten_encode::WAITING_MAX)
        },
        trigger(Event::SEGMENT_STORED, &playlist, 16),
        trigger(Event::WINDOW_MISSED, &playlist, 16),
        trigger(Event::SENSOR_CHANGED, &playlist, 16),
    ];
    triggers.extend(chores);
    let router = Router::new(triggers);
    stage.spawn("router", {
        let (router, stop) = (router.clone(), stage.stop());
        async move { Ok(router.serve(ingress, stop).await?) }
    });
    router
}

/// Serves `function` on a port of its own, as Knative does; answers its URL.
async fn serve_function<F: Function>(stage: &mut Stage, function: F) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let stop = stage.stop();
    stage.spawn(F::NAME, async move { Ok(teiten_host::serve(Arc::new(function), listener, stop).await?) });
    Ok(url)
}

/// Serves a function that answers requests on a port of its own; answers its URL.
async fn serve_requests<R: Responder>(stage: &mut Stage, responder: R) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let stop = stage.stop();
    let (responder, origins) = (Arc::new(responder), Origins::default());
    stage.spawn(R::NAME, async move {
        Ok(teiten_host::serve_requests(responder, origins, listener, stop).await?)
    });
    Ok(url)
}

/// Serves `chore`, which may take `time_max`, on a port of its own; answers what triggers it.
async fn serve_chore<C: Chore>(stage: &mut Stage, chore: C, time_max: Duration) -> anyhow::Result<Trigger> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let subscriber = format!("http://{}/", listener.local_addr()?);
    let stop = stage.stop();
    stage.spawn(C::NAME, async move { Ok(teiten_host::serve_chore(Arc::new(chore), listener, stop).await?) });
    Ok(Trigger {
        kind: teiten_host::PING.to_owned(),
        extensions: schedule::named(C::NAME),
        subscriber,
        concurrency_max: 1,
        delivery: RetryPolicy::of_chore(time_max),
    })
}
