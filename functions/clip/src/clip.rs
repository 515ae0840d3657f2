//! From a request to a file: two passes over what is stored.

use std::{
    fmt, io, iter,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, header};
use mp4_atom::Avc1;
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, ContentHash, InitKey, Ticks, Timestamp};
use teiten_host::{Admission, Asked, Body, Portion, Refusal, Responder, Response};
use teiten_playlist::{Stored, TimeRange, asked_camera, sample_entry, stored_in};
use tracing::{error, warn};

use crate::{
    cut::{Cut, Lapse, Tables},
    fragment::{Fragment, FragmentError},
    movie,
    part::{self, Part},
    recent::Recent,
};

/// How much of what follows a keyframe is read for its head: nearly always enough.
const HEAD_BYTES: u64 = 4096;

/// How many heads are read at a time.
const HEADS_AT_A_TIME: usize = 16;

/// How many segments are read ahead of what was sent.
const SEGMENTS_AHEAD: usize = 4;

/// The most sample entries of one file: as often can a camera's picture change within it.
const ENTRIES_MAX: usize = 16;

/// A file with a longer head than this is not remembered; it is some five hours long.
const HEAD_KEPT_BYTES_MAX: usize = 4 << 20;

/// What was captured within this time may still have to be stored: a file with it is not remembered.
const STORED_AFTER: Duration = Duration::from_secs(120);

/// How much faster a time-lapse can be.
const LAPSE: std::ops::RangeInclusive<u32> = 2..=3600;

/// Answers with files of what is stored in `media`.
#[derive(Clone)]
pub struct Clip {
    media: Arc<dyn Bucket>,
    admission: Admission,
    recent: Arc<Recent<(CameraId, Wanted), File>>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    range: TimeRange,
    lapse: Option<u32>,
}

/// What the first pass found.
struct Plan {
    tables: Tables,
    entries: Vec<Avc1>,
    parts: Vec<Part>,
}

/// A file that can be sent, whole or in part.
#[derive(Debug)]
struct File {
    name: String,
    /// All before the pictures.
    head: Bytes,
    parts: Vec<Part>,
    tag: HeaderValue,
}

impl File {
    fn length(&self) -> u64 {
        self.head.len() as u64 + self.parts.iter().map(Part::length).sum::<u64>()
    }
}

/// Takes fragment after fragment, for a clip or for a time-lapse.
enum Taking {
    Clip(Cut),
    Lapse(Lapse),
}

impl Taking {
    fn new(wanted: Wanted) -> Self {
        let (from, to) = (wanted.range.from().ticks(), wanted.range.to().ticks());
        match wanted.lapse {
            None => Self::Clip(Cut::new(from, to)),
            Some(speed) => Self::Lapse(Lapse::new(from, to, speed)),
        }
    }

    fn push(&mut self, fragment: &Fragment, entry: u16) -> Range<u64> {
        match self {
            Self::Clip(cut) => cut.push(fragment, entry),
            Self::Lapse(lapse) => lapse.push(fragment, entry),
        }
    }

    fn finish(self) -> Tables {
        match self {
            Self::Clip(cut) => cut.finish(),
            Self::Lapse(lapse) => lapse.finish(),
        }
    }
}

impl Clip {
    /// Makes files of what is in `media`, for whom `admission` lets in.
    pub fn new(media: Arc<dyn Bucket>, admission: Admission) -> Self {
        Self { media, admission, recent: Arc::new(Recent::new()) }
    }

    /// The file that is asked for. Where a part of it is asked for, one that was worked out just now will do: a player that seeks
    /// does not have all heads read each time.
    async fn file(&self, asked: &Asked, camera: CameraId, wanted: Wanted) -> Result<Arc<File>, Refusal> {
        let key = (camera.clone(), wanted);
        if asked.headers.contains_key(header::RANGE)
            && let Some(file) = self.recent.get(&key, Instant::now())
        {
            return Ok(file);
        }
        let Plan { tables, entries, parts } = self.plan(&camera, wanted).await?;
        let captured = wanted.range.from().max(time_of(tables.start));
        let head = movie::head(&camera, captured, entries, &tables)
            .map_err(|error| Refusal::bad_request(format!("{error}: ask for less")))?;
        let name = file_name(&camera, captured, &tables, wanted.lapse);
        // Objects never change, and the head tells how much of which of their pictures is in the file.
        let objects = parts.iter().map(|part| Bytes::from(part.listing.object(&camera)));
        let hash = ContentHash::of_parts(iter::once(head.clone()).chain(objects));
        let tag = HeaderValue::try_from(format!("\"{hash}\"")).expect("hashes are plain text");
        let file = Arc::new(File { name, head, parts, tag });
        let may_grow = wanted.range.to() + STORED_AFTER > teiten_telemetry::now();
        if !may_grow && file.head.len() <= HEAD_KEPT_BYTES_MAX {
            self.recent.put(key, Arc::clone(&file), Instant::now());
        }
        Ok(file)
    }

    /// The first pass.
    async fn plan(&self, camera: &CameraId, wanted: Wanted) -> Result<Plan, Refusal> {
        let stored = stored_in(&*self.media, camera, wanted.range).await.map_err(unavailable)?;
        let mut taking = Taking::new(wanted);
        let mut inits: Vec<ContentHash> = Vec::new();
        let mut parts = Vec::new();
        let heads = stream::iter(stored).map(|item| async move {
            self.fragment(camera, &item, wanted).await.map(|fragment| (item.listing, fragment))
        });
        let mut heads = heads.buffered(HEADS_AT_A_TIME);
        while let Some((listing, fragment)) = heads.try_next().await.map_err(unavailable)? {
            let Some(fragment) = fragment else { continue };
            let entry = match inits.iter().position(|init| *init == listing.init) {
                Some(entry) => entry,
                None if inits.len() < ENTRIES_MAX => {
                    inits.push(listing.init);
                    inits.len() - 1
                }
                None => {
                    return Err(Refusal::bad_request(format!(
                        "the picture of {camera} changes more than {ENTRIES_MAX} times within this: ask for less"
                    )));
                }
            };
            let bytes = taking.push(&fragment, entry as u16);
            if !bytes.is_empty() {
                let (bytes, hole) = fragment.place(&bytes);
                let begin = listing.offset();
                let [bytes, hole] = [bytes, hole].map(|range| begin + range.start..begin + range.end);
                parts.push(Part { listing, bytes, hole });
            }
        }
        let tables = taking.finish();
        if tables.is_empty() {
            let (from, to) = (wanted.range.from(), wanted.range.to());
            return Err(Refusal::not_found(format!("there is no footage of {camera} from {from} to {to}")));
        }
        let mut entries = Vec::new();
        for hash in inits {
            entries.push(self.sample_entry(InitKey { camera: camera.clone(), hash }).await?);
        }
        Ok(Plan { tables, entries, parts })
    }

    /// Where the pictures of a segment are; `None` if it is none, or gone: it is left out as if it had never been. A time-lapse
    /// needs no more than its key tells.
    async fn fragment(
        &self,
        camera: &CameraId,
        stored: &Stored,
        wanted: Wanted,
    ) -> Result<Option<Fragment>, BucketError> {
        let Stored { listing, size_bytes, .. } = *stored;
        let key = listing.object(camera);
        let keyframe_bytes = listing.keyframe_bytes().unwrap_or_default();
        let others_bytes = size_bytes.checked_sub(keyframe_bytes.into());
        let (Some(fragment), Some(others_bytes)) =
            (Fragment::of_keyframe(listing.window, keyframe_bytes), others_bytes)
        else {
            warn!(key, size_bytes, "segment without the keyframe that its key names left out of a clip");
            return Ok(None);
        };
        if others_bytes == 0 || wanted.lapse.is_some() {
            return Ok(Some(fragment));
        }
        let begin = listing.offset() + u64::from(keyframe_bytes);
        let mut length = HEAD_BYTES.min(others_bytes);
        loop {
            let Some(head) = self.media.get_range(&key, begin, length).await? else {
                warn!(key, "segment is gone, left out of a clip");
                return Ok(None);
            };
            match fragment.clone().with_others(&head.bytes, others_bytes) {
                Ok(fragment) => return Ok(Some(fragment)),
                Err(FragmentError::Short { bytes }) if bytes > length && bytes <= others_bytes => {
                    length = bytes
                }
                Err(error) => {
                    warn!(key, %error, "segment left out of a clip");
                    return Ok(None);
                }
            }
        }
    }

    async fn sample_entry(&self, key: InitKey) -> Result<Avc1, Refusal> {
        let object = self.media.get(&key.to_string()).await.map_err(unavailable)?;
        let object = object.ok_or_else(|| Refusal::unavailable(format!("{key} is not there")))?;
        sample_entry(&object.bytes).map_err(|error| Refusal::unavailable(format!("{key}: {error}")))
    }

    /// Those bytes of a file that are in `wanted`.
    fn send(
        &self,
        camera: CameraId,
        file: &File,
        wanted: Range<u64>,
    ) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
        let length = file.head.len() as u64;
        let [start, end] = [wanted.start, wanted.end].map(|at| at.min(length));
        let head = file.head.slice(start as usize..end as usize);
        let [start, end] = [wanted.start, wanted.end].map(|at| at.saturating_sub(length));
        let head = stream::iter((!head.is_empty()).then_some(Ok(head)));
        head.chain(self.pictures(camera, part::cut(&file.parts, start..end)))
    }

    /// The second pass: the bytes of `parts`, one segment after another.
    fn pictures(
        &self,
        camera: CameraId,
        parts: Vec<Part>,
    ) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
        let media = Arc::clone(&self.media);
        let read = move |Part { listing, bytes, hole }: Part| {
            let (media, key) = (Arc::clone(&media), listing.object(&camera));
            async move {
                let length = bytes.end - bytes.start;
                match media.get_range(&key, bytes.start, length).await {
                    Ok(Some(object)) if object.bytes.len() as u64 == length => {
                        let [begin, end] = [hole.start, hole.end].map(|at| (at - bytes.start) as usize);
                        let pieces = [object.bytes.slice(..begin), object.bytes.slice(end..)];
                        Ok(stream::iter(pieces.into_iter().filter(|piece| !piece.is_empty()).map(Ok)))
                    }
                    // The length of the answer is told already: it breaks off, which the receiver sees.
                    Ok(_) => Err(broken_off(&key, "it is gone or has changed")),
                    Err(error) => Err(broken_off(&key, &error.to_string())),
                }
            }
        };
        stream::iter(parts).map(read).buffered(SEGMENTS_AHEAD).try_flatten()
    }
}

fn broken_off(key: &str, why: &str) -> io::Error {
    error!(key, why, "clip breaks off");
    io::Error::other(format!("{key}: {why}"))
}

#[async_trait]
impl Responder for Clip {
    const NAME: &'static str = "clip";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        let asked = self.admission.admit(asked, teiten_telemetry::now())?;
        let camera = asked_camera(&asked, ".mp4")?;
        asked.has_no_keys_but(&["from", "to", "lapse"])?;
        let wanted = Wanted { range: TimeRange::asked_for(&asked)?, lapse: lapse(&asked)? };
        let file = self.file(&asked, camera.clone(), wanted).await?;
        let portion = Portion::asked_for(&asked, file.length(), file.tag.clone())?;
        let mut response = Response::new(Body::from_stream(self.send(camera, &file, portion.bytes())));
        *response.status_mut() = portion.status();
        portion.describe(response.headers_mut());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}\"", file.name));
        headers.insert(header::CONTENT_DISPOSITION, disposition.expect("cameras and times are plain text"));
        Ok(response)
    }
}

/// How much faster it shall be, if it shall.
fn lapse(asked: &Asked) -> Result<Option<u32>, Refusal> {
    let Some(text) = asked.value("lapse")? else { return Ok(None) };
    let lapse = text.parse().ok().filter(|lapse| LAPSE.contains(lapse));
    lapse.map(Some).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        let (least, most) = (LAPSE.start(), LAPSE.end());
        Refusal::bad_request(format!("lapse={text:?} is none: give a whole number from {least} to {most}"))
    })
}

/// The first microsecond of a tick.
fn time_of(ticks: Ticks) -> Timestamp {
    Timestamp::from_unix_micros((ticks.0 * 100).div_ceil(9))
}

/// `gate-20261123T040501Z-60s.mp4`, `gate-20261123T040501Z-60x.mp4`.
fn file_name(camera: &CameraId, captured: Timestamp, tables: &Tables, lapse: Option<u32>) -> String {
    let start: String = captured.to_string().chars().take("2026-11-23T04:05:01".len()).collect();
    let start = start.replace([':', '-'], "");
    let what = match lapse {
        Some(lapse) => format!("{lapse}x"),
        None => format!("{}s", tables.shown_ticks().div_ceil(Ticks::PER_SECOND.into())),
    };
    format!("{camera}-{start}Z-{what}.mp4")
}

fn unavailable(error: BucketError) -> Refusal {
    Refusal::unavailable(error.to_string())
}

impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clip").field("media", &self.media).field("admission", &self.admission).finish()
    }
}
