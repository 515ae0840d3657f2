//! The object store as this machine reaches it, with the administrator's keys.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::Value;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, S3Bucket, S3Config, Signer};
use teiten_link::VALID_DEFAULT;

use crate::{
    Kubectl, NAMESPACE,
    address::{self, Address},
    secrets,
    settings::{Overlay, Settings, credentials},
};

/// The Secret with the administrator's keys.
pub(crate) const ADMIN: &str = "storage-admin";

/// Both buckets, and where the outside reaches them.
pub(crate) struct Store {
    /// The store's URL, for players too.
    pub url: String,
    pub frames: Arc<dyn Bucket>,
    pub media: Arc<dyn Bucket>,
}

impl Store {
    /// The store of an installation whose URL is known.
    pub(crate) fn open(kubectl: &Kubectl, settings: &Settings, url: String) -> anyhow::Result<Self> {
        let config = config(kubectl, settings, &url, ADMIN)?;
        let frames = Arc::new(S3Bucket::new(&config, &settings.frames_bucket));
        let media = Arc::new(S3Bucket::new(&config, &settings.media_bucket));
        Ok(Self { url, frames, media })
    }

    /// Whether batches can be written: writes a small object beside them, and deletes it.
    pub(crate) async fn try_writing(&self) -> Result<(), BucketError> {
        const KEY: &str = "status.teiten";
        let headers = Headers { content_type: "text/plain", cache_control: "no-cache" };
        self.frames.put(KEY, Bytes::from_static(b"?"), headers, Condition::Always).await?;
        self.frames.delete(KEY).await
    }

    /// What signs links to it, with the keys of the component `link`.
    pub(crate) fn signer(&self, kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<Signer> {
        let config = config(kubectl, settings, &self.url, "storage-link")?;
        Ok(Signer::new(&config, &settings.media_bucket, VALID_DEFAULT.parse()?))
    }

    /// Where the outside reaches the store: as the settings say, else where it is.
    pub(crate) fn url(kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<Option<String>> {
        if let Some(url) = &settings.media_url {
            return Ok(Some(url.clone()));
        }
        if settings.overlay == Overlay::Production {
            let aws = || format!("https://s3.{}.amazonaws.com", settings.region);
            return Ok(Some(settings.endpoint.clone().unwrap_or_else(aws)));
        }
        Ok(reach(kubectl, "storage")?.map(|address| format!("http://{}", address.authority())))
    }
}

/// The store at `url` for who has the keys of a Secret.
fn config(kubectl: &Kubectl, settings: &Settings, url: &str, secret: &str) -> anyhow::Result<S3Config> {
    let keys = kubectl.get("secret", secret, NAMESPACE)?;
    let keys = keys.with_context(|| format!("there is no secret {secret}"))?;
    let key =
        |name| secrets::value(&keys, name).with_context(|| format!("the secret {secret} has no {name}"));
    let credentials = credentials(&key("AWS_ACCESS_KEY_ID")?, &key("AWS_SECRET_ACCESS_KEY")?);
    // With AWS, its own client knows where it is.
    let is_told =
        settings.overlay == Overlay::Local || settings.endpoint.is_some() || settings.media_url.is_some();
    Ok(S3Config::new(is_told.then_some(url), &settings.region, credentials)?)
}

/// Where the outside reaches the Service `name`.
pub(crate) fn reach(kubectl: &Kubectl, name: &str) -> anyhow::Result<Option<Address>> {
    let service = kubectl.get("services.v1.", name, NAMESPACE)?.unwrap_or(Value::Null);
    if let Some(address) = address::balanced(&service) {
        return Ok(Some(address));
    }
    Ok(address::on_a_node(&service, &kubectl.list_everywhere("nodes")?))
}
