//! Logging in by ssh, as an owner would.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::Context as _;

use crate::{debian::succeed, process::eventually};

/// A pair of keys.
pub struct Key {
    file: PathBuf,
    /// The public one, as in a `.pub` file.
    pub public: String,
}

impl Key {
    /// Makes a pair in `folder`.
    pub fn generate(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let file = folder.join(name);
        succeed(
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file),
        )?;
        let public = std::fs::read_to_string(file.with_extension("pub"))?.trim().to_owned();
        Ok(Self { file, public })
    }

    /// Runs `command` as root on the machine whose ssh port is `port` of 127.0.0.1.
    pub async fn run(&self, port: u16, command: &str) -> anyhow::Result<Output> {
        let output = tokio::process::Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "IdentityAgent=none",
            ])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", "-p", &port.to_string(), "-i"])
            .arg(&self.file)
            .args(["root@127.0.0.1", command])
            .kill_on_drop(true)
            .output();
        tokio::time::timeout(Duration::from_secs(60), output).await?.context("ssh")
    }

    /// As [`Key::run`], as soon as the machine answers, for a command that must succeed: what it prints.
    pub async fn succeed(&self, port: u16, command: &str, wait_max: Duration) -> anyhow::Result<String> {
        eventually(&format!("{command:?} succeeds by ssh"), wait_max, async || {
            let Output { status, stdout, stderr } = self.run(port, command).await?;
            // 255 is ssh's own failure: there is no network yet, or no server.
            if status.code() == Some(255) {
                return Ok(None);
            }
            let complaint = String::from_utf8_lossy(&stderr);
            anyhow::ensure!(status.success(), "{command}: {status}: {complaint}");
            Ok(Some(String::from_utf8_lossy(&stdout).into_owned()))
        })
        .await
    }
}
