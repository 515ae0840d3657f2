//! Puts the viewer's files into the bucket next to the footage, where players and browsers find them.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use teiten_bucket::{Bucket, Condition, Headers};

/// Uploads every file of `folder` (and of folders in it) to `media`.
pub(crate) async fn upload(folder: &Path, media: &dyn Bucket) -> anyhow::Result<()> {
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
