//! The object store as this machine reaches it, with the administrator's keys.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::Value;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, S3Bucket, S3Config, Signer, Validity, aws_url};
use teiten_mqtt::HostPort;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    Kubectl, NAMESPACE, address,
    deploy::LOOK,
    egress::port_of,
    secrets,
    settings::{Overlay, Settings, credentials},
};

/// The Secret with the administrator's keys.
pub(crate) const ADMIN: &str = "storage-admin";

/// How long the store's own address may take to answer, before players' is taken instead.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long a store's own address that was given just now may take until it answers.
const ANSWERS_WITHIN: Duration = Duration::from_mins(5);

/// Both buckets, and where they are.
pub(crate) struct Store {
    /// Where players reach the store: as the settings say, else where it is.
    pub url: String,
    /// Where this machine reaches it.
    pub here: String,
    pub frames: Arc<dyn Bucket>,
    pub media: Arc<dyn Bucket>,
}

impl Store {
    /// The store of an installation; `None` if it has no address outside of the cluster. It is spoken to where it is itself: what
    /// players ask may do no more than read. Where it cannot be reached there, it is spoken to where they ask.
    pub(crate) async fn of(kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<Option<Self>> {
        let own = match settings.overlay {
            Overlay::Local => reach(kubectl, "storage")?.map(|address| format!("http://{address}")),
            Overlay::Production => {
                Some(settings.endpoint.clone().unwrap_or_else(|| aws_url(&settings.region)))
            }
        };
        let Some(url) = settings.media_url.clone().or(own.clone()) else { return Ok(None) };
        let here = match own {
            Some(own) if own == url || answers(&own).await => own,
            _ => url.clone(),
        };
        let is_aws = settings.overlay == Overlay::Production
            && settings.endpoint.is_none()
            && Some(&here) != settings.media_url.as_ref();
        // With AWS, its own client knows where it is.
        let config = config(kubectl, settings, (!is_aws).then_some(&*here), ADMIN)?;
        let frames = Arc::new(S3Bucket::new(&config, &settings.frames_bucket));
        let media = Arc::new(S3Bucket::new(&config, &settings.media_bucket));
        Ok(Some(Self { url, here, frames, media }))
    }

    /// The same, once it answers: the name of a cloud's load balancer resolves some minutes after it was given. What does not answer
    /// within `wait` seconds, or [`ANSWERS_WITHIN`], is left to whoever speaks to it to tell of. A store of the user's own is there.
    pub(crate) async fn that_answers(
        kubectl: &Kubectl,
        settings: &Settings,
        wait: u64,
    ) -> anyhow::Result<Option<Self>> {
        let until = Instant::now() + ANSWERS_WITHIN.min(Duration::from_secs(wait));
        let mut is_said = false;
        loop {
            let Some(store) = Self::of(kubectl, settings).await? else { return Ok(None) };
            if settings.overlay == Overlay::Production
                || answers(&store.here).await
                || Instant::now() >= until
            {
                return Ok(Some(store));
            }
            if !is_said {
                println!("waiting up to 5 minutes for {} to answer", store.here);
                is_said = true;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether batches can be written: writes a small object beside them, and deletes it.
    pub(crate) async fn try_writing(&self) -> Result<(), BucketError> {
        const KEY: &str = "status.teiten";
        let headers = Headers { content_type: "text/plain", cache_control: "no-cache", ..Headers::NONE };
        self.frames.put(KEY, Bytes::from_static(b"?"), headers, Condition::Always).await?;
        self.frames.delete(KEY).await
    }

    /// What signs links to it that are `valid` for so long, with the keys of the component `link`.
    pub(crate) fn signer(
        &self,
        kubectl: &Kubectl,
        settings: &Settings,
        valid: Validity,
    ) -> anyhow::Result<Signer> {
        let is_told =
            settings.overlay == Overlay::Local || settings.endpoint.is_some() || settings.media_url.is_some();
        let config = config(kubectl, settings, is_told.then_some(&*self.url), "storage-link")?;
        Ok(Signer::new(&config, &settings.media_bucket, valid))
    }
}

/// Whether anybody takes connections at a URL.
async fn answers(url: &str) -> bool {
    let port = port_of(url);
    let authority = url.split('/').nth(2).unwrap_or_default();
    let host = authority.strip_suffix(&format!(":{port}")).unwrap_or(authority);
    matches!(timeout(ANSWER_MAX, TcpStream::connect(format!("{host}:{port}"))).await, Ok(Ok(_)))
}

/// The store at `url` (AWS without one) for who has the keys of a Secret.
fn config(
    kubectl: &Kubectl,
    settings: &Settings,
    url: Option<&str>,
    secret: &str,
) -> anyhow::Result<S3Config> {
    let keys = kubectl.get("secret", secret, NAMESPACE)?;
    let keys = keys.with_context(|| format!("there is no secret {secret}"))?;
    let key =
        |name| secrets::value(&keys, name).with_context(|| format!("the secret {secret} has no {name}"));
    let credentials = credentials(&key("AWS_ACCESS_KEY_ID")?, &key("AWS_SECRET_ACCESS_KEY")?);
    Ok(S3Config::new(url, &settings.region, credentials)?)
}

/// Where the outside reaches the Service `name`.
pub(crate) fn reach(kubectl: &Kubectl, name: &str) -> anyhow::Result<Option<HostPort>> {
    let service = kubectl.get("services.v1.", name, NAMESPACE)?.unwrap_or(Value::Null);
    if let Some(address) = address::balanced(&service) {
        return Ok(Some(address));
    }
    Ok(address::on_a_node(&service, &kubectl.list_everywhere("nodes")?))
}
