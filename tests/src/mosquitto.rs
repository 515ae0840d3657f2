//! Mosquitto, and its own subscriber.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::Context as _;

use crate::{
    debian::succeed,
    process::{Process, free_port},
};

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// A broker without persistence: a killed one has forgotten everything.
pub struct Mosquitto {
    /// Its process.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Mosquitto {
    /// Starts a broker that takes everyone, and awaits that it listens.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let settings = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        Self::start_with(folder, port, &settings).await
    }

    /// Starts a broker with these settings, and awaits that it listens on `port`.
    pub async fn start_with(folder: &Path, port: u16, settings: &str) -> anyhow::Result<Self> {
        let process = process(folder, folder, settings)?;
        process.has_said(" running\n", START_MAX).await?;
        Ok(Self { process, port })
    }

    /// Publishes `payload` with QoS 1.
    pub fn publish(&self, topic: &str, payload: &str) -> anyhow::Result<()> {
        let mut publisher = Command::new("mosquitto_pub");
        succeed(publisher.args(["-p", &self.port.to_string(), "-q", "1", "-t", topic, "-m", payload]))?;
        Ok(())
    }

    /// Awaits `count` messages to topics that `filter` matches, and returns their payloads.
    pub async fn messages(
        &self,
        filter: &str,
        count: usize,
        wait_max: Duration,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut subscriber = tokio::process::Command::new("mosquitto_sub");
        subscriber.args(["-p", &self.port.to_string(), "-t", filter, "-F", "%x"]).args([
            "-C",
            &count.to_string(),
            "-W",
            &wait_max.as_secs().to_string(),
        ]);
        let payloads = payloads(subscriber).await?;
        anyhow::ensure!(payloads.len() == count, "{} of {count} messages to {filter}", payloads.len());
        Ok(payloads)
    }

    /// Publishes `request` to one topic, and awaits the next message to another.
    pub async fn ask(
        &self,
        topic: &str,
        request: &str,
        reply_topic: &str,
        wait_max: Duration,
    ) -> anyhow::Result<Vec<u8>> {
        let mut asker = tokio::process::Command::new("mosquitto_rr");
        asker
            .args(["-p", &self.port.to_string(), "-t", topic, "-e", reply_topic, "-m", request, "-q", "1"])
            .args(["-F", "%x", "-W", &wait_max.as_secs().to_string()]);
        payloads(asker).await?.pop().with_context(|| format!("no answer to {request}"))
    }
}

/// Mosquitto with these settings, which are kept in `folder`.
pub fn process(folder: &Path, logs: &Path, settings: &str) -> anyhow::Result<Process> {
    let config = folder.join("mosquitto.conf");
    fs::write(&config, settings)?;
    Process::start("mosquitto", logs, move || teiten_testing::command(&config))
}

/// The settings of a listener that takes only those who have a certificate of the owner's authority. `files` is the
/// folder of the broker's own.
pub fn tls_listener(port: u16, files: &Path) -> String {
    let [ca, certificate, key, revoked] =
        ["ca.pem", "certificate.pem", "key.pem", "revoked.pem"].map(|name| files.join(name));
    let certified = teiten_testing::tls(&ca, &certificate, &key);
    format!("listener {port} 127.0.0.1\n{certified}crlfile {}\n", revoked.display())
}

/// What a client prints, one message a line, in hexadecimal digits.
async fn payloads(mut client: tokio::process::Command) -> anyhow::Result<Vec<Vec<u8>>> {
    Ok(String::from_utf8(client.output().await?.stdout)?.lines().filter_map(from_hex).collect())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}
