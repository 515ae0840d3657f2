//! Where the agent and the card's updater (edge-image/overlay/usr/lib/teiten/update) meet: files of the run directory
//! (docs/formats.md, "Updates").

use std::{io, path::Path};

use tokio::fs;

use crate::control::{BundleUrl, Updates};

/// Is there while the updater can be asked.
const READY_FILE: &str = "takes-updates";
/// By which it is asked.
const UPDATE_FILE: &str = "update";
/// How far it is, in words.
const STATE_FILE: &str = "update-state";

/// What the updater says now.
pub(crate) async fn takes_updates(run_directory: Option<&Path>) -> Updates {
    let Some(run_directory) = run_directory else { return Updates::Never };
    let is_file = async |name| fs::metadata(run_directory.join(name)).await.is_ok_and(|file| file.is_file());
    // It has not seen yet what it was asked.
    let is_asked = is_file(UPDATE_FILE).await;
    if is_file(READY_FILE).await && !is_asked {
        return Updates::Ready;
    }
    match fs::read_to_string(run_directory.join(STATE_FILE)).await {
        Ok(state) => Updates::NotNow(state.trim().to_owned()),
        Err(_) => Updates::Never,
    }
}

/// Leaves the address of a bundle. Before, the last word of an earlier update gives way: whoever asked waits for this
/// one's.
pub(crate) async fn request(run_directory: &Path, url: &BundleUrl) -> io::Result<()> {
    write_whole(run_directory, STATE_FILE, "asked for").await?;
    write_whole(run_directory, UPDATE_FILE, url.as_str()).await
}

/// A file of one line, which is there as a whole or not at all.
async fn write_whole(directory: &Path, name: &str, line: &str) -> io::Result<()> {
    // The card's scripts have a `.part` of their own.
    let part = directory.join(format!("{name}.new"));
    fs::write(&part, format!("{line}\n")).await?;
    fs::rename(&part, directory.join(name)).await
}
