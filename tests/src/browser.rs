//! Scripts that watch in a real browser, as programs of their own: `tests/browser`.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::process::project;

/// Runs a script and prints what it says. What it found wrong is the error: a script says that on its standard error.
pub async fn watch(arguments: &[&str], wait_max: Duration) -> anyhow::Result<()> {
    let script = Command::new("node")
        .current_dir(project().join("tests/browser"))
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(wait_max, script).await;
    let output = output.with_context(|| format!("{arguments:?} has not ended after {wait_max:?}"))??;
    println!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
    let wrong = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} saw something wrong:\n{}", arguments[0], wrong.trim_end());
    Ok(())
}
