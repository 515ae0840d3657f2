//! A folder of files put into a bucket, as the viewer's page is: text compressed, since no object store does that by itself. What
//! browsers read, they take compressed.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::{Bucket, Condition, Headers};

/// Puts every file of `folder` (and of folders in it) into `bucket`, under its path, where it is not there as it is.
/// Text is compressed where that makes it shorter. Answers the keys of those that were put.
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
            let headers = headers(&key);
            let compressed = if is_text(headers.content_type) { Some(gzip(&bytes)?) } else { None };
            let (bytes, headers) = match compressed {
                Some(short) if short.len() < bytes.len() => {
                    (short, Headers { content_encoding: "gzip", ..headers })
                }
                _ => (bytes, headers),
            };
            if put_other(&key, bytes, headers, bucket).await? {
                put.push(key);
            }
        }
    }
    put.sort_unstable();
    Ok(put)
}

/// Puts one file; answers whether it was not there as it is.
pub async fn put_changed(key: &str, bytes: Bytes, bucket: &dyn Bucket) -> anyhow::Result<bool> {
    put_other(key, bytes, headers(key), bucket).await
}

async fn put_other(key: &str, bytes: Bytes, headers: Headers, bucket: &dyn Bucket) -> anyhow::Result<bool> {
    if bucket.get(key).await?.is_some_and(|object| object.bytes == bytes) {
        return Ok(false);
    }
    bucket.put(key, bytes, headers, Condition::Always).await?;
    Ok(true)
}

/// The same bytes of the same: no time is in them.
fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

/// What is not compressed already.
fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || ["application/json", "application/manifest+json", "image/svg+xml"].contains(&content_type)
}

fn headers(name: &str) -> Headers {
    Headers { content_type: content_type(name), cache_control: "no-cache", ..Headers::NONE }
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

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _};

    use flate2::read::GzDecoder;

    use super::*;
    use crate::MemoryBucket;

    #[tokio::test]
    async fn text_is_compressed_unless_that_makes_it_longer_and_what_is_compressed_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let long = "定点 ".repeat(1000);
        for (name, text) in [("viewer.js", &*long), ("short.js", "1"), ("picture.png", &*long)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let bucket = MemoryBucket::new("media");
        assert_eq!(put_folder(folder.path(), &bucket).await.unwrap().len(), 3);
        for (name, encoding) in [("viewer.js", "gzip"), ("short.js", ""), ("picture.png", "")] {
            assert_eq!(bucket.headers(name).unwrap().content_encoding, encoding, "{name}");
        }
        let stored = bucket.get("viewer.js").await.unwrap().unwrap().bytes;
        let mut text = String::new();
        GzDecoder::new(&stored[..]).read_to_string(&mut text).unwrap();
        assert_eq!((text, stored.len() < 200), (long, true));
        assert_eq!(put_folder(folder.path(), &bucket).await.unwrap(), [""; 0], "all is there");
    }
}
