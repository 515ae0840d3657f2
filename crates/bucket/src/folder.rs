//! A folder of files put into a bucket, as the viewer's page is.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;

use crate::{Bucket, Condition, Headers};

/// Puts every file of `folder` (and of folders in it) into `bucket`, under its path, where it is not there as it is.
/// Answers the keys of those that were put.
pub async fn put_folder(folder: &Path, bucket: &dyn Bucket) -> anyhow::Result<Vec<String>> {
    let mut put = Vec::new();
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
            if put_changed(&key, bytes, bucket).await? {
                put.push(key);
            }
        }
    }
    put.sort_unstable();
    Ok(put)
}

/// Puts one file; answers whether it was not there as it is.
pub async fn put_changed(key: &str, bytes: Bytes, bucket: &dyn Bucket) -> anyhow::Result<bool> {
    if bucket.get(key).await?.is_some_and(|object| object.bytes == bytes) {
        return Ok(false);
    }
    let headers = Headers { content_type: content_type(key), cache_control: "no-cache" };
    bucket.put(key, bytes, headers, Condition::Always).await?;
    Ok(true)
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
