//! What a bridge is told at its start.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Parser;
use rand::Rng;
use teiten_bucket::{Bucket, S3Args, S3Bucket, S3ConfigError};
use teiten_footage::{ReplicaId, WindowLength, limits::UNSTORED_BYTES_MAX};
use teiten_mqtt::{HostPort, Identity, TlsFiles};
use teiten_sink::{SinkUrl, SinkUrlError};

use crate::windows::Limits;

const BUFFER_MIB_MIN: i64 = 64;
const BUFFER_MIB_MAX: i64 = 65_536;

// A camera must be able to have everything in the buffer that its agent sends before it waits.
const _: () =
    assert!(Limits::with_total((BUFFER_MIB_MIN as usize) << 20).camera_bytes_max >= 2 * UNSTORED_BYTES_MAX);

/// Everything that a bridge needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The MQTT broker.
    pub mqtt: HostPort,
    /// TLS to the broker, if it is spoken.
    pub mqtt_tls: Option<TlsFiles>,
    /// This bridge's name among those that share the cameras.
    pub replica: ReplicaId,
    /// How long a window is: the same for every part of an installation.
    pub window: WindowLength,
    /// Where batches go.
    pub frames: Arc<dyn Bucket>,
    /// Where events go.
    pub sink: SinkUrl,
    /// What is kept in memory at most.
    pub limits: Limits,
    /// Where its numbers are told, and probes answered.
    pub metrics: Option<SocketAddr>,
}

impl Config {
    /// A configuration with the usual limits and a name drawn at random; `sink` is the URL that events are posted to.
    pub fn new(
        mqtt: impl Into<HostPort>,
        window: WindowLength,
        frames: Arc<dyn Bucket>,
        sink: impl AsRef<str>,
    ) -> Result<Self, SinkUrlError> {
        let sink = sink.as_ref().parse()?;
        Ok(Self {
            mqtt: mqtt.into(),
            mqtt_tls: None,
            replica: random_replica(),
            window,
            frames,
            sink,
            limits: Limits::default(),
            metrics: None,
        })
    }
}

/// A name that no other bridge has.
fn random_replica() -> ReplicaId {
    let number: u64 = rand::rng().random();
    ReplicaId::new(&format!("bridge-{number:016x}")).expect("a word, a hyphen and hex digits")
}

/// Batches camera frames from MQTT into a bucket, one object for each window of time, and emits an event
/// for each.
#[derive(Debug, Parser)]
#[command(name = "teiten-bridge", version)]
pub struct Args {
    /// The MQTT broker.
    #[arg(long, env = "TEITEN_MQTT", value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    pub mqtt: HostPort,

    /// Speak TLS to the broker: a PEM file with the authority that has signed its certificate.
    #[arg(long, env = "TEITEN_MQTT_CA", value_name = "FILE")]
    pub mqtt_ca: Option<PathBuf>,

    /// The bridge's own certificate for the broker, a PEM file.
    #[arg(long, env = "TEITEN_MQTT_CERTIFICATE", value_name = "FILE", requires_all = ["mqtt_ca", "mqtt_key"])]
    pub mqtt_certificate: Option<PathBuf>,

    /// The private key of that certificate, a PEM file.
    #[arg(long, env = "TEITEN_MQTT_KEY", value_name = "FILE", requires_all = ["mqtt_ca", "mqtt_certificate"])]
    pub mqtt_key: Option<PathBuf>,

    /// This bridge's name among those that share the cameras, such as its pod's; drawn at random if not given.
    #[arg(long, env = "TEITEN_REPLICA", value_name = "NAME")]
    pub replica: Option<ReplicaId>,

    /// How long a window is: 500ms to 6s, a divisor of a minute; the same for every part.
    #[arg(long, env = "TEITEN_WINDOW", default_value_t = WindowLength::DEFAULT)]
    pub window: WindowLength,

    /// Where events go, an http:// URL.
    #[arg(long, env = "K_SINK", value_name = "URL")]
    pub sink: SinkUrl,

    /// How many MiB of frames are kept in memory at most.
    #[arg(
        long,
        env = "TEITEN_BUFFER_MIB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(BUFFER_MIB_MIN..=BUFFER_MIB_MAX)
    )]
    pub buffer_mib: u32,

    /// Where /metrics (for Prometheus), /healthz and /readyz are answered, such as 0.0.0.0:9464.
    #[arg(long, env = "TEITEN_METRICS", value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,

    /// The object store.
    #[command(flatten)]
    pub s3: S3Args,
}

impl Args {
    /// The configuration that these arguments ask for.
    pub fn into_config(self) -> Result<Config, S3ConfigError> {
        let frames = S3Bucket::new(&self.s3.config()?, &self.s3.frames_bucket);
        let identity = self.mqtt_certificate.zip(self.mqtt_key);
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        Ok(Config {
            mqtt: self.mqtt,
            mqtt_tls: self.mqtt_ca.map(|ca| TlsFiles { ca, identity }),
            replica: self.replica.unwrap_or_else(random_replica),
            window: self.window,
            frames: Arc::new(frames),
            sink: self.sink,
            limits: Limits::with_total((self.buffer_mib as usize) << 20),
            metrics: self.metrics,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Args::command().debug_assert();
    }
}
