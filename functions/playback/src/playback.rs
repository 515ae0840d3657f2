//! From a request to a playlist.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use http::{HeaderValue, header};
use teiten_bucket::{Bucket, BucketError, SignError};
use teiten_footage::{CameraId, InitKey, MotionSpan, Timestamp};
use teiten_host::{Admission, Asked, Body, Refusal, Responder, Response};
use teiten_playlist::{Listing, TimeRange, asked_camera, moved_in, stored_in, vod};

use crate::Links;

type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// Answers with playlists over what is stored in `media`.
pub struct Playback {
    media: Arc<dyn Bucket>,
    links: Links,
    admission: Admission,
    clock: Box<Clock>,
}

impl Playback {
    /// Lists what is in `media`, at addresses that `links` makes, for whom `admission` lets in.
    pub fn new(media: Arc<dyn Bucket>, links: Links, admission: Admission) -> Self {
        Self { media, links, admission, clock: Box::new(teiten_telemetry::now) }
    }

    /// A playlist of these, whose URIs are absolute: it is nowhere near what it lists.
    async fn playlist(
        &self,
        camera: &CameraId,
        range: TimeRange,
        listings: &[Listing],
        spans: &[MotionSpan],
        now: Timestamp,
    ) -> Result<String, SignError> {
        let init = |hash| InitKey { camera: camera.clone(), hash }.to_string();
        let mut urls = HashMap::new();
        for listing in listings {
            for key in [init(listing.init), listing.object(camera)] {
                if let Entry::Vacant(place) = urls.entry(key) {
                    let url = self.links.url(place.key(), now, range.length()).await?;
                    place.insert(url);
                }
            }
        }
        Ok(vod(
            listings,
            spans,
            |hash| urls[&init(hash)].clone(),
            |listing| urls[&listing.object(camera)].clone(),
        ))
    }
}

#[async_trait]
impl Responder for Playback {
    const NAME: &'static str = "playback";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        let now = (self.clock)();
        let asked = self.admission.admit(asked, now)?;
        let camera = asked_camera(&asked, ".m3u8")?;
        asked.has_no_keys_but(&["from", "to"])?;
        let range = TimeRange::asked_for(&asked)?;
        let listings = stored_in(&*self.media, &camera, range)
            .await
            .map_err(|error: BucketError| unavailable(&error))?;
        if listings.is_empty() {
            let (from, to) = (range.from(), range.to());
            return Err(Refusal::not_found(format!("there is no footage of {camera} from {from} to {to}")));
        }
        let moved = moved_in(&*self.media, &camera, range, now).await.map_err(|error| unavailable(&error))?;
        let text = self
            .playlist(&camera, range, &listings, &moved, now)
            .await
            .map_err(|error| unavailable(&error))?;
        let length = text.len() as u64;
        let mut response = Response::new(Body::from(text));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/vnd.apple.mpegurl");
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, self.links.cache_control());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Ok(response)
    }
}

fn unavailable(error: &dyn std::error::Error) -> Refusal {
    Refusal::unavailable(error.to_string())
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback")
            .field("media", &self.media)
            .field("links", &self.links)
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}
