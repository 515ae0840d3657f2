//! From a request to a playlist.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, header};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, InitKey, Timestamp};
use teiten_host::{Asked, Body, Refusal, Responder, Response};
use teiten_playlist::{Listing, TimeRange, asked_camera, stored_in, vod};

use crate::Links;

/// The longest range of one playlist: 86 400 windows of a second, about 20 MB of text.
pub const RANGE_MAX: Duration = Duration::from_secs(24 * 3600);

type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// Answers with playlists over what is stored in `media`.
pub struct Playback {
    media: Arc<dyn Bucket>,
    links: Links,
    clock: Box<Clock>,
}

impl Playback {
    /// Lists what is in `media`, at addresses that `links` makes.
    pub fn new(media: Arc<dyn Bucket>, links: Links) -> Self {
        Self { media, links, clock: Box::new(teiten_telemetry::now) }
    }

    /// A playlist of these, whose URIs are absolute: it is nowhere near what it lists.
    async fn playlist(&self, camera: &CameraId, listings: &[Listing]) -> String {
        let now = (self.clock)();
        let init = |hash| InitKey { camera: camera.clone(), hash }.to_string();
        let mut urls = HashMap::new();
        for listing in listings {
            for key in [init(listing.init), listing.object(camera)] {
                if let Entry::Vacant(place) = urls.entry(key) {
                    let url = self.links.url(place.key(), now).await;
                    place.insert(url);
                }
            }
        }
        vod(listings, |hash| urls[&init(hash)].clone(), |listing| urls[&listing.object(camera)].clone())
    }
}

#[async_trait]
impl Responder for Playback {
    const NAME: &'static str = "playback";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        let camera = asked_camera(&asked, ".m3u8")?;
        asked.has_no_keys_but(&["from", "to"])?;
        let range = TimeRange::asked_for(&asked, RANGE_MAX)?;
        let listings = stored_in(&*self.media, &camera, range).await.map_err(unavailable)?;
        if listings.is_empty() {
            let (from, to) = (range.from(), range.to());
            return Err(Refusal::not_found(format!("there is no footage of {camera} from {from} to {to}")));
        }
        let text = self.playlist(&camera, &listings).await;
        let length = text.len() as u64;
        let mut response = Response::new(Body::from(text));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/vnd.apple.mpegurl");
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Ok(response)
    }
}

fn unavailable(error: BucketError) -> Refusal {
    Refusal::unavailable(error.to_string())
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback")
            .field("media", &self.media)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}
