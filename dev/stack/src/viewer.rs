//! Puts the viewer's files into the bucket next to the footage, where players and browsers find them.

use std::path::Path;

use anyhow::bail;
use teiten_bucket::{Bucket, put_changed, put_folder};

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
    put_changed(SERVICES_KEY, serde_json::to_vec(services)?.into(), media).await?;
    if !folder.join("index.html").is_file() {
        bail!("the viewer is not built in {}; run ./just viewer first", folder.display());
    }
    put_folder(folder, media).await.map(drop)
}
