//! All of Teiten in one process for one machine: the code that runs on a camera and in a cluster, with an
//! embedded MQTT broker, an embedded S3 store, and events that travel over HTTP as in the cluster.

mod broker;
mod cameras;
mod functions;
mod options;
mod retention;
mod schedule;
mod stage;
mod status;
mod viewer;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use teiten_bucket::{Bucket, S3Bucket, S3Config};
use teiten_compact::Compact;
use teiten_footage::key;
use teiten_host::Chore as _;
use teiten_pictures::Pictures;
use teiten_reconcile::Reconcile;
use teiten_router::Router;
use teiten_sink::Sink;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use stage::Stage;

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

    let (data, temporary) = data_folder(&options)?;

    let mut storage = Stage::new();
    start_store(&mut storage, &data, s3, http)?;
    let buckets = Buckets::in_store(options.s3)?;
    let mut functions = Stage::new();
    let services = functions::serve_past(&mut functions, &buckets, options.http).await?;
    viewer::upload(&options.viewer, &services, &*buckets.media).await?;
    broker::start(mqtt).await?;

    // The router comes after the functions that it calls, and reconcile calls the router.
    let ingress = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let sink = format!("http://{}/", ingress.local_addr()?);
    let events = Sink::new(&sink.parse()?)?;
    let subscribers = functions::serve(&mut functions, &buckets, &events, batches_kept(options.keep)).await?;
    let mut routing = Stage::new();
    let router = functions::start_router(&mut routing, ingress, subscribers);

    let mut bridging = Stage::new();
    bridging.spawn("bridge", {
        let config = teiten_bridge::Config::new(mqtt, options.window, Arc::clone(&buckets.frames), sink)?;
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
        error = expire(&options, &buckets) => Some(error),
        never = schedule::run(&events, Reconcile::NAME, schedule::MINUTE) => match never {},
        never = schedule::run(&events, Pictures::NAME, schedule::MINUTE) => match never {},
        never = schedule::run(&events, Compact::NAME, schedule::HOUR) => match never {},
    };
    let leaves = temporary.as_ref().map(|folder| format!(", and leaves {}", folder.path().display()));
    println!(
        "stopping: storing what is under way (Ctrl-C once more ends it at once{})",
        leaves.unwrap_or_default()
    );
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

/// Where footage is kept: as the options say, or in a temporary folder, which goes when it is dropped.
fn data_folder(options: &Options) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if let Some(data) = &options.data {
        return Ok((data.clone(), None));
    }
    let temporary = tempfile::Builder::new().prefix("teiten-").tempdir()?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

/// Serves the store over `data`, and what of it is the viewer's without keys.
fn start_store(stage: &mut Stage, data: &Path, s3: TcpListener, http: TcpListener) -> anyhow::Result<()> {
    let store = teiten_s3::Store::open(data).with_context(|| format!("opening {}", data.display()))?;
    let credentials =
        teiten_s3::Credentials { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned() };
    let server = teiten_s3::Server::new(store, credentials);
    stage.spawn("store", {
        let (server, stop) = (server.clone(), stage.stop());
        async move { Ok(server.serve(s3, stop).await?) }
    });
    stage.spawn("viewer", {
        let stop = stage.stop();
        async move { Ok(server.serve_public(http, key::MEDIA_BUCKET, stop).await?) }
    });
    Ok(())
}

/// The store's buckets, as every part reaches them: over HTTP.
struct Buckets {
    frames: Arc<dyn Bucket>,
    media: Arc<dyn Bucket>,
}

impl Buckets {
    /// Those of the store on `port`.
    fn in_store(port: u16) -> anyhow::Result<Self> {
        let credentials = teiten_bucket::Credentials {
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            session_token: None,
        };
        let config = S3Config::new(Some(&format!("http://127.0.0.1:{port}")), "us-east-1", credentials)?;
        let bucket = |name| Arc::new(S3Bucket::new(&config, name));
        Ok(Self { frames: bucket(key::FRAMES_BUCKET), media: bucket(key::MEDIA_BUCKET) })
    }
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

/// How long batches are kept beside footage that is kept for `keep`: what has expired would be made of them again.
fn batches_kept(keep: Duration) -> Duration {
    BATCHES_KEPT.min(keep)
}

/// Deletes old footage from time to time; ends only with an error.
async fn expire(options: &Options, buckets: &Buckets) -> anyhow::Error {
    let mut period = tokio::time::interval(RETENTION_PERIOD);
    loop {
        period.tick().await;
        let now = teiten_telemetry::now();
        let batches = retention::expire(&*buckets.frames, batches_kept(options.keep), now).await;
        let segments = retention::expire(&*buckets.media, options.keep, now).await;
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
