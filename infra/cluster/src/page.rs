//! The viewer's page in the bucket of media, and `teiten.json` beside it: the functions that answer requests.

use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde_json::{Map, Value};
use teiten_bucket::{Bucket, put_changed, put_folder};

/// Puts page and `teiten.json` with the addresses of `functions` into `media`, where they are not there as they are. Answers
/// how many files it put.
pub(crate) async fn publish(
    folder: &Path,
    functions: &Map<String, Value>,
    media: &dyn Bucket,
) -> anyhow::Result<usize> {
    ensure!(
        folder.join("index.html").is_file(),
        "the viewer is not built in {}: ./just viewer",
        folder.display()
    );
    let page = put_folder(folder, media).await.context("the viewer")?;
    let json = serde_json::to_vec(functions)?;
    let changed = put_changed("teiten.json", Bytes::from(json), media).await.context("teiten.json")?;
    Ok(page.len() + usize::from(changed))
}

#[cfg(test)]
mod tests {
    use teiten_bucket::MemoryBucket;

    use super::*;

    #[tokio::test]
    async fn a_page_that_is_there_is_not_put_again() {
        let folder = tempfile::tempdir().unwrap();
        let media = MemoryBucket::new("media");
        assert!(publish(folder.path(), &Map::new(), &media).await.is_err(), "an empty folder is no page");
        std::fs::create_dir(folder.path().join("assets")).unwrap();
        for (name, text) in [("index.html", "<p>"), ("assets/a.js", "1")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(publish(folder.path(), &Map::new(), &media).await.unwrap(), 3);
        assert_eq!(publish(folder.path(), &Map::new(), &media).await.unwrap(), 0);
        std::fs::write(folder.path().join("assets/a.js"), "2").unwrap();
        let functions = Map::from_iter([("clip".to_owned(), Value::from("http://clip.example.org"))]);
        assert_eq!(publish(folder.path(), &functions, &media).await.unwrap(), 2);
        assert_eq!(
            &media.get("teiten.json").await.unwrap().unwrap().bytes[..],
            br#"{"clip":"http://clip.example.org"}"#
        );
    }
}
