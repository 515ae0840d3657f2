//! The whole way of a frame as separate processes, each of which can be killed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use teiten_bucket::{Bucket, Credentials, S3Bucket, S3Config};
use teiten_footage::{CameraId, WindowLength};

use crate::collector::Collector;
use crate::mosquitto;
use crate::process::{Process, eventually, free_port, listening, program};

/// One of the keys of the store's administrator.
pub const ACCESS_KEY: &str = "teiten";
/// The other one.
pub const SECRET_KEY: &str = "teiten-secret";

/// An object store that listens on this machine.
pub struct StoreProcess {
    /// What clients talk to.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// What stands behind it.
    pub behind: Vec<Process>,
}

/// What is not as usual in a pipeline.
#[derive(Default)]
pub struct Options {
    /// More in Mosquitto's configuration, such as another listener.
    pub mosquitto: String,
    /// Another store than ours, with its buckets made.
    pub store: Option<StoreProcess>,
    /// Whether every part has keys of its own there ([`user_keys`]), and not the administrator's.
    pub users: bool,
    /// More in the environment of functions and bridges.
    pub environment: Vec<(&'static str, String)>,
}

/// Access and secret key of a part that has its own.
pub fn user_keys(part: &str) -> (String, String) {
    (format!("{part}-key"), format!("{part}-secret"))
}

/// Every part but the cameras: Mosquitto, store, router, functions, bridge.
pub struct Pipeline {
    /// Where everything is kept.
    pub folder: PathBuf,
    /// The broker's port.
    pub mqtt_port: u16,
    /// The broker, without persistence: a killed one has forgotten everything.
    pub mosquitto: Process,
    /// The object store.
    pub store: StoreProcess,
    /// The event router.
    pub router: Process,
    /// The encode function.
    pub encode: Process,
    /// The playlist function.
    pub playlist: Process,
    /// The reconcile function; it is called by [`Pipeline::reconcile`].
    pub reconcile: Process,
    /// The bridge.
    pub bridge: Process,
    s3: S3Config,
    reconcile_port: u16,
    told: Told,
    /// Where bridge and functions tell their numbers, by their names.
    pub metrics_ports: BTreeMap<&'static str, u16>,
}

/// What the parts are told of each other.
#[derive(Clone)]
struct Told {
    logs: PathBuf,
    window: WindowLength,
    mqtt_port: u16,
    s3_port: u16,
    router_port: u16,
    users: bool,
    environment: Vec<(&'static str, String)>,
}

impl Told {
    /// The keys of a part at the store.
    fn keys(&self, part: &str) -> (String, String) {
        match self.users {
            true => user_keys(part),
            false => (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned()),
        }
    }

    /// The command of a part that stores something and has events to tell.
    fn part(&self, path: &Path, name: &str, metrics_port: Option<u16>) -> Command {
        let mut command = Command::new(path);
        with_s3(&mut command, self.s3_port, &self.keys(name))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("K_SINK", format!("http://127.0.0.1:{}/", self.router_port));
        if let Some(port) = metrics_port {
            command.env("TEITEN_METRICS", format!("127.0.0.1:{port}"));
        }
        command
    }

    /// The router; `subscribers` are the functions' ports by the events that they await.
    fn router<const N: usize>(&self, subscribers: [(&'static str, u16); N]) -> anyhow::Result<Process> {
        let (path, port) = (program("teiten-router")?, self.router_port);
        Process::start("router", &self.logs, move || {
            let mut command = Command::new(&path);
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            for (kind, port) in subscribers {
                command.args(["--trigger", &format!("{kind}=http://127.0.0.1:{port}/")]);
            }
            command
        })
    }

    fn function(&self, name: &'static str, port: u16, metrics_port: u16) -> anyhow::Result<Process> {
        let (told, path) = (self.clone(), program(&format!("teiten-{name}"))?);
        Process::start(name, &self.logs, move || {
            let mut command = told.part(&path, name, Some(metrics_port));
            command
                .env("PORT", port.to_string())
                // Tests are over before a minute's schedule would have looked twice.
                .env("TEITEN_RECONCILE_DELAY_SECONDS", "3")
                .env("TEITEN_RECONCILE_PERIOD_SECONDS", "600")
                .env("TEITEN_RECONCILE_BATCHES_MAX", "100000");
            command
        })
    }

    fn bridge(&self, replica: &str, metrics_port: Option<u16>) -> anyhow::Result<Process> {
        let (told, path, name) = (self.clone(), program("teiten-bridge")?, replica.to_owned());
        Process::start(replica, &self.logs, move || {
            let mut command = told.part(&path, "bridge", metrics_port);
            command.args(["--mqtt", &format!("127.0.0.1:{}", told.mqtt_port)]).args([
                "--window",
                &told.window.to_string(),
                "--replica",
                &name,
            ]);
            command
        })
    }
}

impl Options {
    /// Spans are told to `collector`.
    pub fn traced(collector: &Collector) -> Self {
        let environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone())];
        Self { environment, ..Self::default() }
    }
}

impl Pipeline {
    /// Starts all parts in `folder` and awaits that they listen.
    pub async fn start(folder: &Path, window: WindowLength) -> anyhow::Result<Self> {
        Self::start_with(folder, window, Options::default()).await
    }

    /// The same with what is not as usual.
    pub async fn start_with(folder: &Path, window: WindowLength, options: Options) -> anyhow::Result<Self> {
        let logs = folder.join("logs");
        let store = match options.store {
            Some(store) => store,
            None => {
                let port = free_port()?;
                StoreProcess { process: store(folder, port)?, port, behind: Vec::new() }
            }
        };
        let [mqtt_port, router_port, s3_port] = [free_port()?, free_port()?, store.port];
        let (users, environment) = (options.users, options.environment);
        let told = Told { logs, window, mqtt_port, s3_port, router_port, users, environment };
        let [encode_port, playlist_port, reconcile_port] = [free_port()?, free_port()?, free_port()?];
        let mut metrics_ports = BTreeMap::new();
        for part in ["bridge", "encode", "playlist", "reconcile"] {
            metrics_ports.insert(part, free_port()?);
        }
        // On a store with users even the buckets' owner cannot read what others wrote; `reconcile` reads everything.
        let (access_key, secret_key) = told.keys("reconcile");
        let s3 = s3_config_of(s3_port, &access_key, &secret_key)?;

        let settings = mosquitto_settings(mqtt_port) + &options.mosquitto;
        let mosquitto = mosquitto::process(folder, &told.logs, &settings)?;
        let router = told.router([
            ("teiten.batch.stored", encode_port),
            ("teiten.segment.stored", playlist_port),
            ("teiten.window.missed", playlist_port),
            ("teiten.sensor.changed", playlist_port),
        ])?;
        let function = |name, port| told.function(name, port, metrics_ports[name]);
        let encode = function("encode", encode_port)?;
        let playlist = function("playlist", playlist_port)?;
        let reconcile = function("reconcile", reconcile_port)?;
        for (what, port) in [
            ("Mosquitto", mqtt_port),
            ("the store", s3_port),
            ("the router", router_port),
            ("encode", encode_port),
            ("playlist", playlist_port),
            ("reconcile", reconcile_port),
        ] {
            listening(what, port).await?;
        }
        let bridge = told.bridge("bridge-0", Some(metrics_ports["bridge"]))?;
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            mqtt_port,
            mosquitto,
            store,
            router,
            encode,
            playlist,
            reconcile,
            bridge,
            s3,
            reconcile_port,
            told,
            metrics_ports,
        })
    }

    /// One more function, which nothing calls: what there is of its numbers is in [`Pipeline::metrics_ports`] then.
    pub fn another_function(&mut self, name: &'static str) -> anyhow::Result<Process> {
        let metrics_port = free_port()?;
        let function = self.told.function(name, free_port()?, metrics_port)?;
        self.metrics_ports.insert(name, metrics_port);
        Ok(function)
    }

    /// One more bridge beside [`Pipeline::bridge`], which is `bridge-0`.
    pub fn another_bridge(&self, name: &str) -> anyhow::Result<Process> {
        self.told.bridge(name, None)
    }

    /// A camera that replays `footage` (a folder or an `.mjpeg` file), with its spool in a folder.
    pub fn agent(
        &self,
        camera: &CameraId,
        footage: &Path,
        rate_hz: f64,
        repeat: bool,
    ) -> anyhow::Result<Process> {
        fs::create_dir_all(self.spool(camera))?;
        let spool = self.folder.join("spool");
        let config = self.folder.join(format!("{camera}.toml"));
        let mqtt_port = self.mqtt_port;
        fs::write(&config, agent_toml(camera, mqtt_port, footage, rate_hz, repeat, &spool))?;
        let path = program("teiten-agent")?;
        Process::start(camera.as_str(), &self.folder.join("logs"), move || {
            let mut command = Command::new(&path);
            command.arg("--config").arg(&config);
            command
        })
    }

    /// Where the agent of `camera` spools.
    pub fn spool(&self, camera: &CameraId) -> PathBuf {
        self.folder.join("spool").join(camera.as_str())
    }

    /// The bucket of batches.
    pub fn frames(&self) -> Arc<dyn Bucket> {
        Arc::new(S3Bucket::new(&self.s3, "frames"))
    }

    /// The bucket of media.
    pub fn media(&self) -> Arc<dyn Bucket> {
        Arc::new(S3Bucket::new(&self.s3, "media"))
    }

    /// Where players find an object of the bucket of media.
    pub fn media_url(&self, key: &str) -> String {
        format!("http://127.0.0.1:{}/media/{key}", self.store.port)
    }

    /// The last lines of what each part wrote, to be read when a test fails.
    pub fn logs(&self) -> String {
        let functions = [&self.encode, &self.playlist, &self.reconcile];
        let parts = [&self.mosquitto, &self.store.process, &self.router, &self.bridge];
        let parts = parts.into_iter().chain(functions);
        parts.map(|part| format!("--- {}\n{}\n", part.name(), part.log_tail())).collect()
    }

    /// The router's dead letters, as JSON.
    pub async fn dead_letters(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let url = format!("http://127.0.0.1:{}/dead-letters", self.told.router_port);
        Ok(reqwest::get(url).await?.json().await?)
    }

    /// Calls `reconcile`, as the schedule does; answers its report.
    pub async fn reconcile(&self) -> anyhow::Result<serde_json::Value> {
        let response = reqwest::Client::new()
            .post(format!("http://127.0.0.1:{}/", self.reconcile_port))
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/teiten/tests")
            .header("ce-type", "dev.knative.sources.ping")
            .send()
            .await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Awaits that nothing is left in the spool of `camera`: all that it captured is stored.
    pub async fn drained(&self, camera: &CameraId, wait_max: Duration) -> anyhow::Result<()> {
        let spool = self.spool(camera);
        eventually(&format!("the spool of {camera} is empty"), wait_max, async || {
            Ok(fs::read_dir(&spool)?.next().is_none().then_some(()))
        })
        .await
    }
}

/// Starts the object store over `<folder>/bucket`.
pub fn store(folder: &Path, port: u16) -> anyhow::Result<Process> {
    store_with(folder, port, &[])
}

/// The same with more arguments.
pub fn store_with(folder: &Path, port: u16, more: &'static [&'static str]) -> anyhow::Result<Process> {
    let path = program("teiten-s3")?;
    let data = folder.join("bucket");
    let keys = (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned());
    Process::start("store", &folder.join("logs"), move || {
        let mut command = Command::new(&path);
        with_s3(&mut command, port, &keys)
            .arg("--dir")
            .arg(&data)
            .args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(more);
        command
    })
}

/// How to reach the store on `port` as its administrator.
pub fn s3_config(port: u16) -> anyhow::Result<S3Config> {
    s3_config_of(port, ACCESS_KEY, SECRET_KEY)
}

/// How to reach the store on `port` with these keys.
pub fn s3_config_of(port: u16, access_key: &str, secret_key: &str) -> anyhow::Result<S3Config> {
    let (access_key, secret_key) = (access_key.to_owned(), secret_key.to_owned());
    let credentials = Credentials { access_key, secret_key, session_token: None };
    Ok(S3Config::new(Some(&format!("http://127.0.0.1:{port}")), "us-east-1", credentials)?)
}

/// Tells a program of the store on `port`, and its keys.
pub fn with_s3<'a>(command: &'a mut Command, port: u16, keys: &(String, String)) -> &'a mut Command {
    command
        .env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{port}"))
        .env("AWS_ACCESS_KEY_ID", &keys.0)
        .env("AWS_SECRET_ACCESS_KEY", &keys.1)
        .env("AWS_REGION", "us-east-1")
}

/// A camera's name; the names in the tests are right.
pub fn camera(name: &str) -> anyhow::Result<CameraId> {
    CameraId::new(name).context("a camera's name")
}

/// A broker that takes everyone, and keeps nothing.
fn mosquitto_settings(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmessage_size_limit 2097152\n\
         max_inflight_messages 2000\nmax_queued_messages 0\nmax_queued_bytes 268435456\n"
    )
}

fn agent_toml(
    camera: &CameraId,
    mqtt_port: u16,
    footage: &Path,
    rate_hz: f64,
    repeat: bool,
    spool: &Path,
) -> String {
    format!(
        "camera = \"{camera}\"\n\
         [broker]\nhost = \"127.0.0.1\"\nport = {mqtt_port}\n\
         [source]\nkind = \"footage\"\npath = \"{}\"\nrate = {rate_hz:?}\nrepeat = {repeat}\n\
         [spool]\nkind = \"directory\"\npath = \"{}\"\n",
        footage.display(),
        spool.display()
    )
}
