//! Puts the viewer's files into the bucket next to the footage, where players and browsers find them.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use teiten_bucket::{Bucket, Condition, Headers};

/// The object that names them, beside the page.
const SERVICES_KEY: &str = "teiten.json";

/// Where the functions are that answer requests: `teiten.json`, for the viewer.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Services {
    /// Any range as a playlist.
    pub(crate) playback: String,
    /// Any range as a file.
    pub(crate) clip: String,
}

/// Uploads every file of `folder` (and of folders in it) to `media`, and `teiten.json` beside them.
pub(crate) async fn upload(folder: &Path, services: &Services, media: &dyn Bucket) -> anyhow::Result<()> {
    let json = Bytes::from(serde_json::to_vec(services)?);
    let headers = Headers { content_type: content_type(SERVICES_KEY), cache_control: "no-cache" };
    media.put(SERVICES_KEY, json, headers, Condition::Always).await?;
    if !folder.join("index.html").is_file() {
        bail!("the viewer is not built in {}; run ./just viewer first", folder.display());
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries =
            std::fs::read_dir(&current).with_context(|| format!("reading {}", current.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let key =
                path.strip_prefix(folder)?.to_str().context("a file name that is not UTF-8")?.to_owned();
            let bytes = Bytes::from(std::fs::read(&path)?);
            let headers = Headers { content_type: content_type(&key), cache_control: "no-cache" };
            media.put(&key, bytes, headers, Condition::Always).await?;
        }
    }
    Ok(())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
