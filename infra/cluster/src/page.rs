//! The viewer's page in the bucket of media, and `teiten.json` beside it: the functions that answer requests.

use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde_json::{Map, Value};
use teiten_bucket::{Bucket, put_changed, put_folder};

/// The functions that a page asks, by the keys that they have in `teiten.json`.
const ANSWERING: [&str; 3] = ["playback", "clip", "link"];

/// Puts page and `teiten.json` into `media`, where they are not there as they are. Answers how many files it put.
pub(crate) async fn publish(folder: &Path, functions: &[Value], media: &dyn Bucket) -> anyhow::Result<usize> {
    ensure!(
        folder.join("index.html").is_file(),
        "the viewer is not built in {}: ./just viewer",
        folder.display()
    );
    let page = put_folder(folder, media).await.context("the viewer")?;
    let json = serde_json::to_vec(&Value::Object(urls(functions)))?;
    let changed = put_changed("teiten.json", Bytes::from(json), media).await.context("teiten.json")?;
    Ok(page.len() + usize::from(changed))
}

/// Where the outside reaches each function that answers requests. One that is for the cluster alone has no such address.
fn urls(functions: &[Value]) -> Map<String, Value> {
    let url = |name: &str| {
        let function = functions.iter().find(|function| function["metadata"]["name"] == name)?;
        let url = function["status"]["url"].as_str()?;
        (!url.ends_with(".svc.cluster.local")).then(|| (name.to_owned(), Value::from(url)))
    };
    ANSWERING.into_iter().filter_map(url).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use teiten_bucket::MemoryBucket;

    use super::*;

    fn function(name: &str, url: &str) -> Value {
        json!({"metadata": {"name": name}, "status": {"url": url}})
    }

    #[test]
    fn only_what_the_outside_reaches_is_named() {
        let functions = [
            function("playback", "https://playback.teiten.example.org"),
            function("clip", "http://clip.teiten.svc.cluster.local"),
            function("encode", "https://encode.teiten.example.org"),
            json!({"metadata": {"name": "link"}, "status": {}}),
        ];
        assert_eq!(
            Value::Object(urls(&functions)),
            json!({"playback": "https://playback.teiten.example.org"})
        );
    }

    #[tokio::test]
    async fn a_page_that_is_there_is_not_put_again() {
        let folder = tempfile::tempdir().unwrap();
        let media = MemoryBucket::new("media");
        assert!(publish(folder.path(), &[], &media).await.is_err(), "an empty folder is no page");
        std::fs::create_dir(folder.path().join("assets")).unwrap();
        for (name, text) in [("index.html", "<p>"), ("assets/a.js", "1")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(publish(folder.path(), &[], &media).await.unwrap(), 3);
        assert_eq!(publish(folder.path(), &[], &media).await.unwrap(), 0);
        std::fs::write(folder.path().join("assets/a.js"), "2").unwrap();
        assert_eq!(
            publish(folder.path(), &[function("clip", "http://clip.example.org")], &media).await.unwrap(),
            2
        );
        assert_eq!(
            &media.get("teiten.json").await.unwrap().unwrap().bytes[..],
            br#"{"clip":"http://clip.example.org"}"#
        );
    }
}
