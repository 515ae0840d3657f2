//! The function around [`encode()`]: reads the batch that an event names, stores init section and segment, and
//! answers with the event that a segment is stored. A step done twice stores the same objects under the same
//! keys, so it does not matter how often an event comes.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use async_trait::async_trait;
use teiten_bucket::{Bucket, BucketError, Condition, ETag, Headers, Object, Put};
use teiten_footage::{
    Batch, BatchKey, Event, InitKey, SegmentKey,
    batch::{self, Parsed},
    key::BatchFormat,
    limits::BATCH_BYTES_MAX,
};
use teiten_host::{Failure, Function};
use teiten_telemetry::{
    metrics::function_metrics,
    traces::{Kind, Step},
};
use tracing::{info, warn};

use crate::{
    encode::{Encoded, encode},
    inits::Inits,
    settings::Settings,
    turns::{Place, Turn, Turns},
};

/// What players read is named by what it holds, so it never changes.
const HEADERS: Headers =
    Headers { content_type: "video/mp4", cache_control: "max-age=31536000, immutable", ..Headers::NONE };

/// How long a batch waits for its turn: less than any delivery waits for its answer. What is given up there goes on here, and would be
/// encoded for nobody.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Encodes stored batches.
#[derive(Debug)]
pub struct Encode {
    frames: Arc<dyn Bucket>,
    media: Arc<dyn Bucket>,
    settings: Settings,
    /// One batch a core, from reading it on: more would only take memory and make all of them late.
    turns: Turns,
    inits: Inits,
}

/// What a batch came to.
struct Outcome {
    encoded: Encoded,
    /// Which version of the batch it was.
    version: ETag,
    /// Whether something of the batch is not in the segment, which thus may be the one that there was without it.
    left_out: bool,
}

impl Encode {
    /// A function that reads batches from `frames` and writes to `media`.
    pub fn new(frames: Arc<dyn Bucket>, media: Arc<dyn Bucket>, settings: Settings) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { frames, media, settings, turns: Turns::new(cores), inits: Inits::default() }
    }

    /// The same with so many batches at a time, one at least, whatever cores there are.
    pub fn at_a_time(mut self, batches: usize) -> Self {
        self.turns = Turns::new(batches);
        self
    }

    /// The same with another time for which an init section that was stored is believed to be there.
    pub fn believing_inits_for(mut self, time: Duration) -> Self {
        self.inits = Inits::believed_for(time);
        self
    }

    /// Waits until this batch is next.
    async fn turn(&self, key: &BatchKey) -> Result<Turn, Failure> {
        let turn = self.turns.turn(Place::of(key, teiten_telemetry::now()));
        match tokio::time::timeout(WAIT_MAX, turn).await {
            Ok(turn) => turn.map_err(Failure::transient),
            Err(_elapsed) => Err(Failure::Transient(anyhow!(
                "newer batches have been encoded for {WAIT_MAX:?}; this one has to come again later"
            ))),
        }
    }

    /// Encodes the batch as it is now.
    async fn encode(&self, key: &BatchKey) -> Result<Outcome, Failure> {
        let (batch, version, is_whole) = self.read(key).await?;
        let settings = self.settings;
        let timed = move || {
            let begun = Instant::now();
            let encoded = encode(&batch, &settings);
            function_metrics().encoded(begun.elapsed());
            encoded
        };
        let step = Step::within("decode and encode", Kind::Internal);
        let done = tokio::task::spawn_blocking(timed).await;
        drop(step);
        match done {
            Ok(Ok(encoded)) => {
                let left_out = !is_whole || !encoded.dropped.is_empty();
                Ok(Outcome { encoded, version, left_out })
            }
            // Nothing but the batch decides whether it can be encoded.
            Ok(Err(error)) => Err(Failure::Permanent(error.into())),
            Err(error) if error.is_panic() => {
                Err(Failure::Permanent(anyhow!("the encoder panicked: {error}")))
            }
            Err(error) => Err(Failure::Transient(anyhow!("the function is shutting down: {error}"))),
        }
    }

    /// The batch, which version of it that is, and whether nothing had to be left out.
    async fn read(&self, key: &BatchKey) -> Result<(Batch, ETag, bool), Failure> {
        let name = key.to_string();
        let object = self.frames.get_up_to(&name, BATCH_BYTES_MAX).await.map_err(failure)?;
        let Object { bytes, etag } = object.ok_or_else(|| permanent("there is no such batch (any more)"))?;
        let Parsed { batch, rejected } = batch::parse(key.window, &bytes);
        for part in &rejected {
            warn!(
                camera = %key.camera, key = name, offset = part.offset, length_bytes = part.length, why = %part.why,
                "part of a batch left out"
            );
        }
        let batch = batch.ok_or_else(|| permanent("there is no frame in the batch"))?;
        Ok((batch, etag, rejected.is_empty()))
    }

    /// Whether late frames were merged into the batch since `version` of it was read.
    async fn is_superseded(&self, key: &BatchKey, version: &ETag) -> Result<bool, Failure> {
        let first_byte = self.frames.get_range(&key.to_string(), 0, 1).await.map_err(failure)?;
        Ok(first_byte.is_some_and(|now| now.etag != *version))
    }

    /// Stores init section and segment.
    async fn store(
        &self,
        key: &BatchKey,
        Outcome { encoded, left_out, .. }: &Outcome,
        condition: Condition,
    ) -> Result<SegmentKey, Failure> {
        function_metrics().frames_dropped.inc_by(encoded.dropped.len() as u64);
        for dropped in &encoded.dropped {
            warn!(camera = %key.camera, window = %key.window, frame = %dropped.id, why = %dropped.why, "frame dropped");
        }
        if encoded.qp != self.settings.qp {
            function_metrics().segments_coarser.inc();
            warn!(camera = %key.camera, window = %key.window, qp = %encoded.qp, "too noisy for the QP that is set");
        }
        let segment = encoded.segment_key(key.camera.clone());
        self.store_init(segment.init_key(), encoded).await?;
        let name = segment.to_string();
        let put = async |condition| {
            self.media.put(&name, encoded.segment.clone(), HEADERS, condition).await.map_err(failure)
        };
        // A segment is to be younger than what was merged into its batch, or the batch would be taken for one without a segment.
        if put(condition).await? == Put::Refused && *left_out {
            put(Condition::Always).await?;
        }
        function_metrics().frames_encoded.inc_by(encoded.frames_count as u64);
        info!(
            camera = %key.camera, window = %key.window, key = name, frames_total = encoded.frames_count,
            dropped_total = encoded.dropped.len(), size_bytes = encoded.segment.len(), "segment stored"
        );
        Ok(segment)
    }

    /// Stores the init section, unless that was done a short while ago.
    async fn store_init(&self, key: InitKey, encoded: &Encoded) -> Result<(), Failure> {
        let now = Instant::now();
        if self.inits.has(&key, now) {
            return Ok(());
        }
        let init = encoded.init.clone();
        self.media.put(&key.to_string(), init, HEADERS, Condition::IfAbsent).await.map_err(failure)?;
        self.inits.note(key, now);
        Ok(())
    }
}

#[async_trait]
impl Function for Encode {
    const NAME: &'static str = "encode";

    async fn handle(&self, event: Event) -> Result<Option<Event>, Failure> {
        let Event::BatchStored { bucket, key, frames: _ } = event else {
            return Err(permanent("not an event that a batch is stored"));
        };
        if key.format != BatchFormat::Mjpeg {
            return Err(permanent("only batches of JPEGs are encoded"));
        }
        if bucket != self.frames.name() {
            return Err(Failure::Permanent(anyhow!(
                "the batch is in bucket {bucket:?}; this function reads {:?}",
                self.frames.name()
            )));
        }
        let _turn = self.turn(&key).await?;
        // What is refused is there already: the same frames of the same window, encoded earlier or elsewhere.
        let mut condition = Condition::IfAbsent;
        let (segment, encoded) = loop {
            let outcome = self.encode(&key).await.map_err(|error| in_batch(error, &key))?;
            let segment = self.store(&key, &outcome, condition).await?;
            if !self.is_superseded(&key, &outcome.version).await? {
                break (segment, outcome.encoded);
            }
            // Of a window's segments the one written last counts. That of the merged batch may have been written before this
            // one, by another instance: so it is written once more.
            condition = Condition::Always;
        };
        let (bucket, motion) = (self.media.name().to_owned(), Some(encoded.motion));
        Ok(Some(Event::SegmentStored { bucket, key: segment, motion }))
    }
}

fn permanent(why: &'static str) -> Failure {
    Failure::Permanent(anyhow!(why))
}

/// Says which batch could not be encoded.
fn in_batch(failure: Failure, key: &BatchKey) -> Failure {
    match failure {
        Failure::Permanent(error) => Failure::Permanent(error.context(key.to_string())),
        Failure::Transient(error) => Failure::Transient(error.context(key.to_string())),
    }
}

/// Even a store that refuses may take it later, when somebody has mended its set-up; the batch is not to blame, unless it is
/// none of the bridge's.
fn failure(error: BucketError) -> Failure {
    match error {
        BucketError::TooLarge { .. } => Failure::Permanent(error.into()),
        _ => Failure::Transient(error.into()),
    }
}
