//! From a request to a playlist.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use async_trait::async_trait;
use http::{HeaderValue, header};
use teiten_archive::{
    BitRate, InitSections, Rendition, Stored, Variant, is_mixed, moved_in, multivariant, stored_in,
    target_duration, vod,
};
use teiten_bucket::{Bucket, BucketError, SignError};
use teiten_footage::{CameraId, InitKey, RangeForm, TimeRange, Timestamp, limits::RANGE_MAX};
use teiten_host::{Admission, Asked, Body, Refusal, Responder, Response};

use crate::Links;

/// The most windows that a playlist lists: those of a second that touch the longest range.
const RANGE_WINDOWS_MAX: usize = RANGE_MAX.as_secs() as usize + 1;

/// Answers with playlists over what is stored in `media`.
#[derive(Debug)]
pub struct Playback {
    media: Arc<dyn Bucket>,
    links: Links,
    admission: Admission,
}

impl Playback {
    /// Lists what is in `media`, at addresses that `links` makes, for whom `admission` lets in.
    pub fn new(media: Arc<dyn Bucket>, links: Links, admission: Admission) -> Self {
        Self { media, links, admission }
    }

    /// A playlist of these, whose URIs are absolute: it is nowhere near what it lists.
    async fn playlist(
        &self,
        camera: &CameraId,
        range: TimeRange,
        stored: &[Stored],
        inits: &InitSections,
        rendition: Rendition<'_>,
        now: Timestamp,
    ) -> Result<String, SignError> {
        let init = |hash| InitKey { camera: camera.clone(), hash }.to_string();
        let mut urls = HashMap::new();
        for Stored { listing, .. } in stored {
            for key in [init(listing.init), listing.object(camera)] {
                if let Entry::Vacant(place) = urls.entry(key) {
                    let url = self.links.url(place.key(), now, range.length()).await?;
                    place.insert(url);
                }
            }
        }
        Ok(vod(
            stored,
            inits,
            rendition,
            |hash| urls[&init(hash)].clone(),
            |listing| urls[&listing.object(camera)].clone(),
        ))
    }

    /// The playlist that names the other two of the same range, which are beside it, by links where one is needed.
    async fn variants(
        &self,
        camera: &CameraId,
        range: TimeRange,
        stored: &[Stored],
        now: Timestamp,
    ) -> Result<String, BucketError> {
        let inits = self.inits(camera, stored).await?;
        let (from, to) = (range.from().to_string(), range.to().to_string());
        let uri = |form: RangeForm| {
            let (name, query) = (format!("{camera}{}", form.extension()), [("from", &*from), ("to", &*to)]);
            match &self.admission {
                Admission::Anybody => format!("{name}?from={from}&to={to}"),
                Admission::Token(token) => {
                    token.sign_link(&name, &query, now + self.links.valid(range.length()))
                }
            }
        };
        let (whole, keyframes) = BitRate::of_stored(stored, target_duration(stored));
        let whole = Variant { uri: uri(RangeForm::Whole), rate: whole };
        let keyframes = Variant { uri: uri(RangeForm::Keyframes), rate: keyframes };
        Ok(multivariant(&whole, Some(&keyframes), &inits))
    }

    async fn inits(&self, camera: &CameraId, stored: &[Stored]) -> Result<InitSections, BucketError> {
        InitSections::of(&*self.media, camera, stored.iter().map(|item| item.listing.init)).await
    }

    async fn answer(
        &self,
        camera: &CameraId,
        form: RangeForm,
        range: TimeRange,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let media = &*self.media;
        let stored = stored_in(media, camera, range).await.map_err(|error| unavailable(&error))?;
        if stored.is_empty() {
            let (from, to) = (range.from(), range.to());
            return Err(Refusal::not_found(format!("there is no footage of {camera} from {from} to {to}")));
        }
        if stored.len() > RANGE_WINDOWS_MAX {
            let windows = stored.len();
            return Err(Refusal::bad_request(format!(
                "there are {windows} segments in this range, and no more than {RANGE_WINDOWS_MAX} are listed: ask for less"
            )));
        }
        let moved;
        let rendition = match form {
            RangeForm::Whole => {
                moved = moved_in(media, camera, range, now).await.map_err(|error| unavailable(&error))?;
                Rendition::Whole(&moved)
            }
            RangeForm::Keyframes => Rendition::Keyframes,
            RangeForm::Variants => {
                let text = self.variants(camera, range, &stored, now).await;
                return text.map_err(|error| unavailable(&error));
            }
        };
        let inits = match form {
            RangeForm::Whole if !is_mixed(&stored) => InitSections::default(),
            _ => self.inits(camera, &stored).await.map_err(|error| unavailable(&error))?,
        };
        let text = self.playlist(camera, range, &stored, &inits, rendition, now).await;
        text.map_err(|error| unavailable(&error))
    }
}

#[async_trait]
impl Responder for Playback {
    const NAME: &'static str = "playback";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        let now = teiten_telemetry::now();
        let asked = self.admission.admit(asked, now)?;
        let form = RangeForm::of(asked.name());
        let camera = asked.camera(form.extension())?;
        asked.has_no_keys_but(&["from", "to"])?;
        let text = self.answer(&camera, form, asked.range(RANGE_MAX)?, now).await?;
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
