//! All of Teiten in one process for one machine: the code that runs on a camera and in a cluster, with an
//! embedded MQTT broker, an embedded S3 store, and events that travel over HTTP as in the cluster.

mod broker;
mod cameras;
mod options;
mod retention;
mod schedule;
mod status;
mod viewer;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use teiten_bucket::{Bucket, S3Bucket, S3Config};
use teiten_footage::{Event, key};
use teiten_host::{Admission, Chore, Function, Origins, Responder};
use teiten_router::{RetryPolicy, Router, Trigger};
use teiten_sink::Sink;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use options::Options;

const ACCESS_KEY: &str = "teiten";
const SECRET_KEY: &str = "teiten-secret";
/// Batches are only needed until they are encoded; some time more helps whoever looks for a mistake.
const BATCHES_KEPT: Duration = Duration::from_secs(600);
/// How often old footage is looked for.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// Runs everything until `shutdown` (or the options' end), then stops the parts in the order of the way of a
/// frame, each after what it has taken is done.
///
/// # Errors
/// If a port is in use, the data folder cannot be used, or a part fails.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let http = bind(options.http, "the viewer", "--http").await?;
    let s3 = bind(options.s3, "the S3 store", "--s3").await?;
    // The broker binds by itself; this says in time whether it will succeed.
    drop(bind(options.mqtt, "the MQTT broker", "--mqtt").await?);
    let mqtt = SocketAddr::from((Ipv4Addr::LOCALHOST, options.mqtt));
    let agents = cameras::configurations(&options, mqtt)?;

    let temporary =
        options.data.is_none().then(|| tempfile::Builder::new().prefix("teiten-").tempdir()).transpose()?;
    let data = match (&options.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => unreachable!("a temporary folder is made where none is given"),
    };
    let store = teiten_s3::Store::open(&data).with_context(|| format!("opening {}", data.display()))?;
    let credentials =
        teiten_s3::Credentials { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned() };
    let server = teiten_s3::Server::new(store, credentials);
    let mut storage = Stage::new();
    storage.spawn("store", {
        let (server, stop) = (server.clone(), storage.stop());
        async move { Ok(server.serve(s3, stop).await?) }
    });
    storage.spawn("viewer", {
        let stop = storage.stop();
        async move { Ok(server.serve_public(http, key::MEDIA_BUCKET, stop).await?) }
    });
    let s3_config = S3Config::new(
        Some(&format!("http://127.0.0.1:{}", options.s3)),
        "us-east-1",
        teiten_bucket::Credentials {
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            session_token: None,
        },
    )?;
    let frames: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&s3_config, key::FRAMES_BUCKET));
    let media: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&s3_config, key::MEDIA_BUCKET));
    let mut functions = Stage::new();
    let links = teiten_playback::Links::plain(&format!("http://127.0.0.1:{}", options.http))?;
    let playback = teiten_playback::Playback::new(Arc::clone(&media), links, Admission::Anybody);
    let clip = teiten_clip::Clip::new(Arc::clone(&media), Admission::Anybody);
    let services = viewer::Services {
        playback: serve_requests(&mut functions, playback).await?,
        clip: serve_requests(&mut functions, clip).await?,
    };
    viewer::upload(&options.viewer, &services, &*media).await?;

    broker::start(mqtt).await?;
    let encode = teiten_encode::Encode::new(
        Arc::clone(&frames),
        Arc::clone(&media),
        teiten_encode::Settings::default(),
    );
    let playlist = teiten_playlist::Playlist::new(Arc::clone(&media), teiten_playlist::Settings::default());
    let encode_url = serve_function(&mut functions, encode).await?;
    let playlist_url = serve_function(&mut functions, playlist).await?;

    // The router comes after the functions that it calls, and reconcile calls the router.
    let ingress = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let sink = format!("http://{}/", ingress.local_addr()?);
    let events = Sink::new(&sink.parse()?)?;
    let reconcile = teiten_reconcile::Reconcile::new(
        Arc::clone(&frames),
        Arc::clone(&media),
        events.clone(),
        teiten_reconcile::Settings { horizon: BATCHES_KEPT, ..Default::default() },
    );
    let reconcile_url = serve_chore(&mut functions, reconcile).await?;
    let compact = teiten_compact::Compact::new(Arc::clone(&media), teiten_compact::Settings::default());
    let compaction = Sink::new(&serve_chore(&mut functions, compact).await?.parse()?)?;

    let pictures = teiten_pictures::Pictures::new(
        Arc::clone(&frames),
        Arc::clone(&media),
        teiten_pictures::Settings { horizon: BATCHES_KEPT, ..Default::default() },
    );
    let pictures_url = serve_chore(&mut functions, pictures).await?;

    let mut routing = Stage::new();
    let router =
        start_router(&mut routing, ingress, [&encode_url, &playlist_url, &reconcile_url, &pictures_url]);

    let mut bridging = Stage::new();
    bridging.spawn("bridge", {
        let config = teiten_bridge::Config::new(mqtt, options.window, Arc::clone(&frames), sink)?;
        teiten_bridge::run(config, bridging.stop())
    });
    let mut filming = Stage::new();
    let camera_names: Vec<_> = agents.iter().map(|config| config.camera.clone()).collect();
    for config in agents {
        filming.spawn("camera", teiten_agent::run(config, filming.stop()));
    }

    announce(&options, &services, &camera_names);
    let end = async {
        match options.run_for {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let failed = tokio::select! {
        () = shutdown.cancelled() => None,
        () = end => None,
        error = filming.failed() => Some(error),
        error = bridging.failed() => Some(error),
        error = routing.failed() => Some(error),
        error = functions.failed() => Some(error),
        error = storage.failed() => Some(error),
        error = report(&router) => Some(error),
        error = expire(&options, &*frames, &*media) => Some(error),
        never = schedule::run(&events, schedule::RECONCILE_PERIOD) => match never {},
        never = schedule::run(&compaction, schedule::COMPACT_PERIOD) => match never {},
    };
    println!("stopping: storing what is under way");
    for stage in [filming, bridging, routing, functions, storage] {
        stage.stop_and_wait().await?;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Listens on `port` of this machine, or says in one sentence what to do.
async fn bind(port: u16, what: &str, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!("port {port} for {what} is in use: stop what listens there, or choose another port with {option}")
        }
        _ => anyhow!("cannot listen on port {port} for {what} ({error}): choose another port with {option}"),
    })
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

/// Serves `chore` on a port of its own; answers its URL.
async fn serve_chore<C: Chore>(stage: &mut Stage, chore: C) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let stop = stage.stop();
    stage.spawn(C::NAME, async move { Ok(teiten_host::serve_chore(Arc::new(chore), listener, stop).await?) });
    Ok(url)
}

/// Starts the router on `ingress` with the triggers of a deployment.
fn start_router(
    stage: &mut Stage,
    ingress: TcpListener,
    [encode, playlist, reconcile, pictures]: [&str; 4],
) -> Router {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let trigger = |kind: &str, subscriber: &str, concurrency_max| Trigger {
        kind: kind.to_owned(),
        subscriber: subscriber.to_owned(),
        concurrency_max,
    };
    let router = Router::new(
        vec![
            trigger(Event::BATCH_STORED, encode, cores),
            trigger(Event::SEGMENT_STORED, playlist, 16),
            trigger(Event::WINDOW_MISSED, playlist, 16),
            trigger(Event::SENSOR_CHANGED, playlist, 16),
            trigger(teiten_host::PING, reconcile, 1),
            trigger(teiten_host::PING, pictures, 1),
        ],
        RetryPolicy::default(),
    );
    stage.spawn("router", {
        let (router, stop) = (router.clone(), stage.stop());
        async move { Ok(router.serve(ingress, stop).await?) }
    });
    router
}

/// Prints a status line a second; ends only with an error.
async fn report(router: &Router) -> anyhow::Error {
    use tokio::sync::broadcast::error::RecvError;

    let mut deliveries = router.delivered();
    let mut status = status::Status::default();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            delivery = deliveries.recv() => match delivery {
                Ok(delivered) => status.note(&delivered),
                // Only the figures of one line miss something.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return anyhow!("the router is gone"),
            },
            _ = second.tick() => println!("{}", status.line(teiten_telemetry::now())),
        }
    }
}

/// Deletes old footage from time to time; ends only with an error.
async fn expire(options: &Options, frames: &dyn Bucket, media: &dyn Bucket) -> anyhow::Error {
    let mut period = tokio::time::interval(RETENTION_PERIOD);
    loop {
        period.tick().await;
        let now = teiten_telemetry::now();
        let batches = retention::expire(frames, BATCHES_KEPT, now).await;
        let segments = retention::expire(media, options.keep, now).await;
        if let Err(error) = batches.and(segments) {
            // The next round finds what this one left.
            tracing::warn!(%error, "old footage was not deleted");
        }
    }
}

fn announce(options: &Options, services: &viewer::Services, cameras: &[teiten_footage::CameraId]) {
    println!("viewer    http://127.0.0.1:{}/", options.http);
    for camera in cameras {
        println!("playlist  http://127.0.0.1:{}/media/{}", options.s3, key::live_playlist_key(camera));
    }
    println!("playback  {}<camera>.m3u8?from=…&to=…", services.playback);
    println!("clip      {}<camera>.mp4?from=…&to=…[&lapse=60]", services.clip);
    println!("MQTT      127.0.0.1:{} (topics teiten/<camera>/frame)", options.mqtt);
    println!("S3        http://127.0.0.1:{} (access key {ACCESS_KEY}, secret key {SECRET_KEY})", options.s3);
}

/// Parts that are stopped together.
struct Stage {
    parts: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Stage {
    fn new() -> Self {
        Self { parts: JoinSet::new(), stop: CancellationToken::new() }
    }

    /// What tells this stage's parts to stop.
    fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    fn spawn(&mut self, name: &'static str, part: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.parts.spawn(async move { part.await.with_context(|| format!("the {name} failed")) });
    }

    /// Waits for a part to fail; parts that end well (footage without repetition) do not count.
    async fn failed(&mut self) -> anyhow::Error {
        loop {
            match self.parts.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return error,
                Some(Err(panicked)) => return panicked.into(),
                None => std::future::pending().await,
            }
        }
    }

    async fn stop_and_wait(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(part) = self.parts.join_next().await {
            part??;
        }
        Ok(())
    }
}
