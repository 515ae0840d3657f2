//! Links: addresses that play in any HLS player without keys, and stop working when they expire.
//!
//! A link to a live playlist is a signed GET of `<camera>/live.m3u8`. What that lists is signed too, by `playlist`, for as long as
//! TEITEN_SIGNED_FOR says: whoever kept a copy of the playlist can still get at the seconds that it lists, and at nothing
//! that came later.
//!
//! A link to a range of time is a signed request to `playback` or `clip`, which stand behind it ([`Functions`]).

mod function;
mod functions;

use std::sync::Arc;

use teiten_bucket::{Bucket, BucketError, SignError, Signer, Validity};
use teiten_footage::{CameraId, Timestamp, key};

pub use function::{LinkDesk, VALID_DEFAULT};
pub use functions::{AddressError, Functions, Past};

/// Makes links to what is in one bucket.
#[derive(Debug, Clone)]
pub struct Links {
    media: Arc<dyn Bucket>,
    signer: Signer,
    ends_with_session: bool,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub url: String,
    /// When it stops working.
    pub expires: Timestamp,
    /// Whether it may stop before: with the session whose keys it is signed with, of which nobody says when that is.
    pub may_end_sooner: bool,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nothing was ever heard of such a camera.
    #[error("there is no live playlist of camera {0}: is it its name, and has it sent anything yet?")]
    NoCamera(CameraId),
    /// Neither is there an archive of it.
    #[error(
        "there is neither a live playlist nor an archive of camera {0}: is it its name, and has it sent anything yet?"
    )]
    NoPast(CameraId),
    /// The store failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Nobody knows where the function is.
    #[error("nobody has said where the function {0} is: set TEITEN_DOMAIN")]
    NoAddress(&'static str),
}

impl Links {
    /// Looks for playlists in `media`, and signs as `signer` does.
    pub fn new(media: Arc<dyn Bucket>, signer: Signer) -> Self {
        Self { media, signer, ends_with_session: false }
    }

    /// The same, where it is known whether the signer's keys are those of a session.
    pub fn of_session(self, ends_with_session: bool) -> Self {
        Self { ends_with_session, ..self }
    }

    /// A link to the live playlist of `camera` that is valid from `now` on.
    pub async fn live(&self, camera: &CameraId, valid: Validity, now: Timestamp) -> Result<Link, LinkError> {
        if !self.is_there(&key::live_playlist_key(camera)).await? {
            return Err(LinkError::NoCamera(camera.clone()));
        }
        let url = self.signer.url(&key::live_playlist_key(camera), now, valid).await?;
        Ok(Link { url, expires: now + valid.duration(), may_end_sooner: self.ends_with_session })
    }

    /// A link to what `functions` answer of `camera`'s past, valid from `now` on.
    pub async fn past(
        &self,
        functions: &Functions,
        camera: &CameraId,
        past: Past,
        valid: Validity,
        now: Timestamp,
    ) -> Result<Link, LinkError> {
        // One that is not live any more has a past all the same.
        let is_there = self.is_there(&key::live_playlist_key(camera)).await?
            || self.is_there(&key::archive_key(camera)).await?;
        if !is_there {
            return Err(LinkError::NoPast(camera.clone()));
        }
        let expires = now + valid.duration();
        let url = functions.link(camera, past, expires).map_err(LinkError::NoAddress)?;
        Ok(Link { url, expires, may_end_sooner: false })
    }

    async fn is_there(&self, key: &str) -> Result<bool, LinkError> {
        Ok(self.media.get(key).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use teiten_bucket::{Condition, Credentials, Headers, MemoryBucket, S3Config};

    use super::*;

    pub(crate) async fn links_to(key: &str) -> Links {
        let media = MemoryBucket::new("media");
        media.put(key, Bytes::new(), Headers::default(), Condition::Always).await.unwrap();
        let credentials = Credentials {
            access_key: "key".to_owned(),
            secret_key: "secret".to_owned(),
            session_token: None,
        };
        let config = S3Config::new(Some("https://s3.example.org"), "us-east-1", credentials).unwrap();
        Links::new(Arc::new(media), Signer::new(&config, "media", "24h".parse().unwrap()))
    }

    #[tokio::test]
    async fn a_link_is_of_the_live_playlist_and_says_when_it_expires() {
        let (porch, now) =
            (CameraId::new("porch").unwrap(), Timestamp::from_unix_micros(1_795_435_200_000_000));
        let link = links_to("porch/live.m3u8").await.live(&porch, "90m".parse().unwrap(), now).await.unwrap();
        assert!(link.url.starts_with("https://s3.example.org/media/porch/live.m3u8?"), "{}", link.url);
        assert!(link.url.contains("X-Amz-Date=20261123T120000Z") && link.url.contains("X-Amz-Expires=5400"));
        assert_eq!(link.expires, now + Duration::from_secs(5400));
    }

    #[tokio::test]
    async fn a_link_that_is_signed_with_keys_of_a_session_says_that_it_may_end_sooner() {
        let (porch, now) = (CameraId::new("porch").unwrap(), teiten_telemetry::now());
        for is_session in [false, true] {
            let links = links_to("porch/live.m3u8").await.of_session(is_session);
            let link = links.live(&porch, "24h".parse().unwrap(), now).await.unwrap();
            assert_eq!(link.may_end_sooner, is_session);
        }
    }

    #[tokio::test]
    async fn a_camera_that_never_sent_anything_gets_none() {
        let (garden, now) = (CameraId::new("garden").unwrap(), Timestamp::from_unix_micros(0));
        let links = links_to("porch/live.m3u8").await;
        let error = links.live(&garden, "1h".parse().unwrap(), now).await.unwrap_err();
        assert!(error.to_string().contains("garden"), "{error}");
    }
}
