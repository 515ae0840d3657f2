//! From a request to a file.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use teiten_bucket::Bucket;
use teiten_footage::{Timestamp, limits::FILE_RANGE_MAX};
use teiten_host::{Admission, Asked, Body, Clock, Portion, Refusal, Responder, Response};

use crate::{
    file::{File, Tag},
    maker::{Maker, Wanted},
    recent::Recent,
    send::send,
};

/// How much of what is read of heads is kept in memory for all files together, so that they are read once: that of two days with 15
/// pictures a second.
pub const KEPT_BYTES_MAX: usize = 64 << 20;

/// How long after somebody was first told of a file it is of now, and given to others who open it or ask for all of it.
pub const TOLD_MAX: Duration = Duration::from_secs(60);

/// Answers with files of what is stored in `media`.
#[derive(Clone)]
pub struct Clip {
    admission: Admission,
    maker: Maker,
    recent: Arc<Recent<Key, File>>,
    told_max: Duration,
}

/// By what a file is remembered: what is asked for, and as of when, where that is asked for as well.
type Key = (Wanted, Option<Timestamp>);

impl Clip {
    /// Makes files of what is in `media`, for whom `admission` lets in.
    pub fn new(media: Arc<dyn Bucket>, admission: Admission) -> Self {
        Self::keeping(media, admission, KEPT_BYTES_MAX)
    }

    /// The same with another room than [`KEPT_BYTES_MAX`].
    pub fn keeping(media: Arc<dyn Bucket>, admission: Admission, kept_bytes_max: usize) -> Self {
        let (maker, recent) = (Maker::new(media, kept_bytes_max), Arc::new(Recent::new()));
        Self { admission, maker, recent, told_max: TOLD_MAX }
    }

    /// The same with another time than [`TOLD_MAX`].
    pub fn telling_for(self, told_max: Duration) -> Self {
        Self { told_max, ..self }
    }

    /// The same with another clock than the wall clock.
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.maker.clock = Clock::new(clock);
        self
    }

    /// The file that is asked for:
    /// - that with the tag that a condition requires, if its footage is still as it was;
    /// - where a part is asked for, the one that was made last: a player that seeks reads one file, even if there is more by now. (Who
    ///   opens it does not have it yet, and gets one of now, where there may be more.)
    /// - else a new one, unless one is being made, or was and nobody got it. (Who has only just been told of it, as by HEAD, gets it.)
    async fn file(&self, wanted: Wanted, headers: &HeaderMap) -> Result<Arc<File>, Refusal> {
        for tag in required(headers) {
            if let Some(file) = self.file_with(&wanted, tag).await? {
                return Ok(file);
            }
        }
        let (is_part, is_opening) = (headers.contains_key(header::RANGE), is_opening(headers));
        let now = Instant::now();
        let is_it = |file: &File| {
            let is_of_now = file.is_of_now(now, self.told_max);
            if is_part { is_of_now || !is_opening || file.is_final() } else { is_of_now && !file.is_given() }
        };
        self.made((wanted, None), |file| file.is_none_or(is_it)).await
    }

    /// The one with this tag, if it can be made. Which is the same as of another time is the same.
    async fn file_with(&self, wanted: &Wanted, tag: Tag) -> Result<Option<Arc<File>>, Refusal> {
        let has_tag = |file: &File| file.tag().hash == tag.hash;
        let is_last = |file: &File| has_tag(file) && !file.is_broken();
        if let Some(last) = self.recent.get(&(wanted.clone(), None), Instant::now(), is_last) {
            return last.await.map(Some);
        }
        let file = self.made((wanted.clone(), Some(tag.as_of)), |_| true).await;
        match file {
            Ok(file) => Ok(Some(file).filter(|file| has_tag(file))),
            // There may be no footage as of then.
            Err(refusal) if refusal.status() == StatusCode::NOT_FOUND => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn made(&self, key: Key, will_do: impl Fn(Option<&File>) -> bool) -> Result<Arc<File>, Refusal> {
        let will_do = |file: Option<&File>| will_do(file) && !file.is_some_and(File::is_broken);
        let (maker, (wanted, as_of)) = (self.maker.clone(), key.clone());
        let begin = || async move { maker.make(wanted, as_of).await };
        self.recent.get_or_begin(key, Instant::now(), will_do, begin).await
    }
}

/// Whether a request is one with which players open a file: for all of it, or its first two bytes, to see whether it can be had in
/// parts. None seeks there, for what is at a file's beginning they keep.
fn is_opening(headers: &HeaderMap) -> bool {
    let is_bound = [header::IF_MATCH, header::IF_RANGE].iter().any(|name| headers.contains_key(name));
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    !is_bound && matches!(range, Some("bytes=0-" | "bytes=0-1"))
}

/// The tags that a request requires what is sent to have, or what a part of is sent.
fn required(headers: &HeaderMap) -> impl Iterator<Item = Tag> {
    named(headers, header::IF_MATCH).chain(named(headers, header::IF_RANGE)).take(1)
}

/// The tags of ours that a header names.
fn named(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Tag> {
    let lists = headers.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|tag| {
        let tag = tag.trim();
        Tag::parse(tag.strip_prefix("W/").unwrap_or(tag))
    })
}

#[async_trait]
impl Responder for Clip {
    const NAME: &'static str = "clip";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        let asked = self.admission.admit(asked, self.maker.clock.now())?;
        let camera = asked.camera(".mp4")?;
        asked.has_no_keys_but(&["from", "to", "lapse"])?;
        let range = asked.range(FILE_RANGE_MAX)?;
        let wanted = Wanted { camera, range, lapse: asked.lapse()? };
        let file = self.file(wanted, &asked.headers).await?;
        // Who has the same as of another time has the same.
        let mut theirs = required(&asked.headers).chain(named(&asked.headers, header::IF_NONE_MATCH));
        let same = theirs.find(|tag| tag.hash == file.tag().hash);
        let tag = same.unwrap_or(file.tag()).header();
        file.set_told(Instant::now());
        let portion = Portion::asked_for(&asked, file.length(), tag)?;
        if portion.status() == StatusCode::NOT_MODIFIED {
            file.set_given();
        }
        let mut response = Response::new(Body::from_stream(send(&file, &portion.bytes())));
        *response.status_mut() = portion.status();
        portion.describe(response.headers_mut());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        headers.insert(header::CACHE_CONTROL, self.admission.cache_control());
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}\"", file.name));
        headers.insert(header::CONTENT_DISPOSITION, disposition.expect("cameras and times are plain text"));
        Ok(response)
    }
}

impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clip").field("maker", &self.maker).field("admission", &self.admission).finish()
    }
}
