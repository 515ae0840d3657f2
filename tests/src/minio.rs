//! MinIO, the store that the cluster brings along: one server in a folder. Debian has neither it nor its client `mc`, so what
//! needs them is left out of `./just test`; `./just test-minio` runs it with those that are in PATH.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::ensure;

use crate::{
    pipeline::{ACCESS_KEY, SECRET_KEY, StoreProcess, user_keys},
    process::{Process, eventually, free_port, project},
};

/// How long it may take to come up.
const START_MAX: Duration = Duration::from_secs(60);

/// Starts a server in `<folder>/minio` whose administrator has the tests' usual keys, with more in its environment; awaits
/// that it answers.
pub async fn start(folder: &Path, environment: &[(&'static str, &str)]) -> anyhow::Result<StoreProcess> {
    let (home, port) = (folder.join("minio"), free_port()?);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    fs::create_dir_all(home.join("data"))?;
    let process = Process::start("minio", &folder.join("logs"), move || {
        let mut command = Command::new("minio");
        command
            .args(["server", "--address", &format!("127.0.0.1:{port}")])
            .arg(home.join("data"))
            .env("HOME", &home)
            .envs([("MINIO_BROWSER", "off"), ("MINIO_UPDATE", "off")])
            .envs([("MINIO_ROOT_USER", ACCESS_KEY), ("MINIO_ROOT_PASSWORD", SECRET_KEY)])
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command
    })?;
    let url = format!("http://127.0.0.1:{port}/minio/health/ready");
    eventually("MinIO answers", START_MAX, async || {
        Ok(reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()).then_some(()))
    })
    .await
    .inspect_err(|_| println!("{}", process.log_tail()))?;
    Ok(StoreProcess { process, port, behind: Vec::new() })
}

/// Has batches in the bucket `frames` told of to the webhook `ENCODE`, as the component `minio-notification` says.
pub fn tell_of_batches(folder: &Path, port: u16) -> anyhow::Result<()> {
    let store = format!("http://{ACCESS_KEY}:{SECRET_KEY}@127.0.0.1:{port}");
    let queue = ["event", "add", "store/frames", "arn:minio:sqs::ENCODE:webhook"];
    let output = Command::new("mc")
        .args(queue)
        .args(["--event", "put", "--suffix", ".mjpeg"])
        .env("MC_CONFIG_DIR", folder.join("mc"))
        .env("MC_HOST_store", store)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Makes a user for every one of `parts`, as the cluster's set-up does: by its script, with the policies in the folder
/// `policies`. Answers what it said.
pub fn users(folder: &Path, port: u16, policies: &Path, parts: &[&str]) -> anyhow::Result<String> {
    let parts: Vec<_> = parts.iter().map(|part| (*part, user_keys(part))).collect();
    users_of(folder, port, policies, "media", &parts)
}

/// The same of parts with these keys, of the installation whose footage is in `bucket`.
pub fn users_of(
    folder: &Path,
    port: u16,
    policies: &Path,
    bucket: &str,
    parts: &[(&str, (String, String))],
) -> anyhow::Result<String> {
    let keys = folder.join("keys");
    for (part, (access_key, secret_key)) in parts {
        fs::create_dir_all(keys.join(part))?;
        fs::write(keys.join(part).join("AWS_ACCESS_KEY_ID"), access_key)?;
        fs::write(keys.join(part).join("AWS_SECRET_ACCESS_KEY"), secret_key)?;
    }
    let output = Command::new("sh")
        .arg(project().join("infra/base/storage-setup/minio-users.sh"))
        .env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{port}"))
        .envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)])
        .env("MC_CONFIG_DIR", folder.join("mc"))
        .env("TEITEN_MEDIA_BUCKET", bucket)
        .env("POLICIES", policies)
        .env("KEYS", &keys)
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
