//! A bucket of an S3-compatible store: AWS, MinIO, Ceph, and whatever passes the conformance suite.
//!
//! What differs between stores, and what is done about it:
//! - `If-Match` is sent without quotes. All stores take that form; Ceph's gateway takes no other.
//! - A lost race is 412 (precondition failed) or, on AWS, 409 (two conditional writes met). If-Match on an
//!   absent object is 412 or 404. Ceph's gateway has a third answer for some lost races: 500 with the code
//!   `UnknownError`, its word for an internal ECANCELED. Nothing was written then. It is its word for other failures
//!   too, so the object is looked at: only where the condition does not hold any more was the race lost. So it is where
//!   what has to be absent was answered with 409 or 404.
//! - A conditional put is tried once. If the answer to a first attempt were lost, a second one would meet
//!   the object that the first one wrote and report `Refused` for a put that has happened.

use std::panic::resume_unwind;

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{Builder as ConfigBuilder, http::HttpResponse, retry::RetryConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::{get_object::builders::GetObjectFluentBuilder, put_object::builders::PutObjectFluentBuilder},
    primitives::ByteStream,
    types::{Delete, ObjectIdentifier},
};
use bytes::Bytes;
use teiten_telemetry::{
    Backoff,
    traces::{Kind, Step},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::{
    Bucket, BucketError, Condition, ETag, Headers, Listed, Object, Put,
    config::{ATTEMPTS_MAX, Patience, RETRY_PAUSE, RETRY_PAUSE_MAX, S3Config},
    delete_each, part_of,
};

/// The most objects of one page of a listing: S3's own limit.
const PAGE_OBJECTS_MAX: usize = 1000;

/// The most objects that one request deletes. S3 takes a thousand, but it has to be answered in the time that any request has.
const DELETED_OBJECTS_MAX: usize = 250;

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone)]
pub struct S3Bucket {
    client: Client,
    name: String,
    patience: Patience,
}

impl S3Bucket {
    /// The bucket `name` of the store that `config` describes.
    pub fn new(config: &S3Config, name: &str) -> Self {
        Self { client: config.client().clone(), name: name.to_owned(), patience: config.patience }
    }

    /// (A part of) an object, which has `bytes_max` bytes at most; `None` if there is none.
    async fn read(
        &self,
        key: &str,
        request: GetObjectFluentBuilder,
        bytes_max: usize,
    ) -> Result<Option<Object>, BucketError> {
        let (bucket, read) = (self.clone(), key.to_owned());
        let asked = async move { bucket.request(&read, request, bytes_max).await };
        let outcome = |object: &Option<Object>| if object.is_some() { "read" } else { "absent" };
        traced("get", key, self.by_itself("get", key, asked), outcome).await
    }

    /// Asks in a task of its own, which ends when nobody waits for it any more. Who waits may look seldom: the body of an answer is looked
    /// at when its receiver takes more. How long that takes must not count as the store's time.
    async fn by_itself<Answer: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        asked: impl Future<Output = Result<Answer, BucketError>> + Send + 'static,
    ) -> Result<Answer, BucketError> {
        match AbortOnDropHandle::new(tokio::spawn(asked.in_current_span())).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_aborted) => Err(self.unavailable(operation, key, "this program ends".to_owned())),
        }
    }

    /// What was asked for is repeated until the answer's headers are there; from then on it is here that a connection may break.
    async fn request(
        &self,
        key: &str,
        request: GetObjectFluentBuilder,
        bytes_max: usize,
    ) -> Result<Option<Object>, BucketError> {
        let request = request.bucket(&self.name).key(key);
        let mut backoff = Backoff::new(RETRY_PAUSE, RETRY_PAUSE_MAX);
        for _ in 1..ATTEMPTS_MAX {
            match self.attempt(key, request.clone(), bytes_max).await {
                Err(Unread::Torn(_)) => {}
                outcome => return outcome.map_err(Unread::into_error),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
        self.attempt(key, request, bytes_max).await.map_err(Unread::into_error)
    }

    async fn attempt(
        &self,
        key: &str,
        request: GetObjectFluentBuilder,
        bytes_max: usize,
    ) -> Result<Option<Object>, Unread> {
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) if Answer::of(&error).is_some_and(|answer| answer.is_absent_object()) => {
                return Ok(None);
            }
            Err(error) => return Err(Unread::Failed(self.error("get", key, &error))),
        };
        let etag = self.tag("get", key, output.e_tag()).map_err(Unread::Failed)?;
        let length = output.content_length().and_then(|length| u64::try_from(length).ok());
        if let Some(bytes) = length.filter(|bytes| *bytes > bytes_max as u64) {
            return Err(Unread::Failed(BucketError::too_large(&self.name, key, bytes, bytes_max)));
        }
        let patience = self.patience.with(length.unwrap_or_default());
        let unavailable = |why: String| self.unavailable("get", key, why);
        match tokio::time::timeout(patience, output.body.collect()).await {
            Ok(Ok(body)) => Ok(Some(Object { bytes: body.into_bytes(), etag })),
            Ok(Err(error)) => Err(Unread::Torn(unavailable(DisplayErrorContext(error).to_string()))),
            Err(_elapsed) => Err(Unread::Failed(unavailable("the body took too long".to_owned()))),
        }
    }

    /// A put of `bytes` with headers, without its condition.
    fn put_request(&self, key: &str, bytes: Bytes, headers: Headers) -> PutObjectFluentBuilder {
        let mut request = self.client.put_object().bucket(&self.name).key(key).body(ByteStream::from(bytes));
        if !headers.content_type.is_empty() {
            request = request.content_type(headers.content_type);
        }
        if !headers.cache_control.is_empty() {
            request = request.cache_control(headers.cache_control);
        }
        if !headers.content_encoding.is_empty() {
            request = request.content_encoding(headers.content_encoding);
        }
        request
    }

    /// The tag of an answer. Without it no compare-and-swap can work, so its lack is an error at once.
    fn tag(&self, operation: &'static str, key: &str, tag: Option<&str>) -> Result<ETag, BucketError> {
        tag.map(ETag::new).ok_or_else(|| self.refused(operation, key, "it sent no ETag".to_owned()))
    }

    async fn write(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        let mut config = ConfigBuilder::new().timeout_config(self.patience.timeouts(bytes.len() as u64));
        let request = self.put_request(key, bytes, headers);
        let request = match &condition {
            Condition::Always => request,
            Condition::IfAbsent => request.if_none_match("*"),
            Condition::IfMatch(etag) => request.if_match(etag.as_str()),
        };
        if !matches!(condition, Condition::Always) {
            config = config.retry_config(RetryConfig::disabled());
        }
        match request.customize().config_override(config).send().await {
            Ok(output) => self.tag("put", key, output.e_tag()).map(Put::Stored),
            Err(error) => {
                let conditional = !matches!(condition, Condition::Always);
                let lost = match Answer::of(&error).filter(|_| conditional) {
                    Some(answer) if answer.may_be_refusal(&condition) => !self.holds(key, &condition).await,
                    answer => answer.is_some_and(|answer| answer.is_refusal()),
                };
                if lost { Ok(Put::Refused) } else { Err(self.error("put", key, &error)) }
            }
        }
    }

    /// Whether a condition holds now, as far as the store tells.
    async fn holds(&self, key: &str, condition: &Condition) -> bool {
        let current = match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(object) => object.e_tag().map(ETag::new),
            Err(error) if Answer::of(&error).is_some_and(|answer| answer.is_absent_object()) => None,
            Err(_) => return true,
        };
        match condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfMatch(etag) => current.as_ref() == Some(etag),
        }
    }

    async fn list(&self, prefix: &str, after: &str, count_max: usize) -> Result<Vec<Listed>, BucketError> {
        let mut listed = Vec::new();
        let mut next_page: Option<String> = None;
        while listed.len() < count_max {
            let page_max = (count_max - listed.len()).min(PAGE_OBJECTS_MAX);
            let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
            let request = request.max_keys(i32::try_from(page_max).unwrap_or(i32::MAX));
            let request = match next_page.take() {
                Some(token) => request.continuation_token(token),
                None if after.is_empty() => request,
                None => request.start_after(after),
            };
            let page = request.send().await.map_err(|error| self.error("list", prefix, &error))?;
            listed.extend(page.contents().iter().filter_map(|object| {
                Some(Listed {
                    key: object.key()?.to_owned(),
                    size_bytes: object.size().and_then(|size| u64::try_from(size).ok())?,
                    modified_unix_millis: object.last_modified().and_then(unix_millis)?,
                })
            }));
            match page.next_continuation_token {
                Some(token) if page.is_truncated == Some(true) => next_page = Some(token),
                _ => break,
            }
        }
        Ok(listed)
    }

    /// Deletes what one request can.
    async fn delete_some(&self, keys: &[String]) -> Result<(), BucketError> {
        let Some(first) = keys.first() else { return Ok(()) };
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<Result<Vec<_>, _>>();
        let delete = objects.and_then(|keys| Delete::builder().set_objects(Some(keys)).quiet(true).build());
        let delete = delete.map_err(|error| self.refused("delete", first, error.to_string()))?;
        let asked = self.client.delete_objects().bucket(&self.name).delete(delete);
        let failed = match asked.send().await {
            Ok(answer) => answer.errors.unwrap_or_default().into_iter().next(),
            Err(error) if Answer::of(&error).is_some_and(|answer| answer.may_be_of_several()) => {
                return delete_each(self, keys).await;
            }
            Err(error) => return Err(self.error("delete", first, &error)),
        };
        let Some(failed) = failed else { return Ok(()) };
        let code = failed.code().unwrap_or("without a code");
        let why = format!("{code}: {}", failed.message().unwrap_or("without a message"));
        let key = failed.key().unwrap_or(first);
        Err(match code {
            "AccessDenied" => self.refused("delete", key, why),
            _ => self.unavailable("delete", key, why),
        })
    }

    fn error<E>(&self, operation: &'static str, key: &str, error: &SdkError<E, HttpResponse>) -> BucketError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let Some(answer) = Answer::of(error) else {
            let why = DisplayErrorContext(error).to_string();
            // A request that could not even be built will not be built the next time either.
            return match error {
                SdkError::ConstructionFailure(_) => self.refused(operation, key, why),
                _ => self.unavailable(operation, key, why),
            };
        };
        let why = format!("{} {}: {}", answer.status, answer.code, answer.message);
        if answer.is_retryable() {
            self.unavailable(operation, key, why)
        } else {
            self.refused(operation, key, why)
        }
    }

    fn unavailable(&self, operation: &'static str, key: &str, why: String) -> BucketError {
        BucketError::Unavailable { bucket: self.name.clone(), operation, key: key.to_owned(), why }
    }

    fn refused(&self, operation: &'static str, key: &str, why: String) -> BucketError {
        BucketError::Refused { bucket: self.name.clone(), operation, key: key.to_owned(), why }
    }
}

/// Why an object was not read.
enum Unread {
    /// The answer broke off.
    Torn(BucketError),
    /// Anything else: what can be repeated was, or has taken its time.
    Failed(BucketError),
}

impl Unread {
    fn into_error(self) -> BucketError {
        match self {
            Self::Torn(error) | Self::Failed(error) => error,
        }
    }
}

/// What the store answered, where it answered.
struct Answer<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
}

impl<'a> Answer<'a> {
    fn of<E: ProvideErrorMetadata>(error: &'a SdkError<E, HttpResponse>) -> Option<Self> {
        let SdkError::ServiceError(context) = error else { return None };
        let error = context.err();
        Some(Self {
            status: context.raw().status().as_u16(),
            code: error.code().unwrap_or("without a code"),
            message: error.message().unwrap_or("without a message"),
        })
    }

    fn is_retryable(&self) -> bool {
        // RequestTimeout is a 400: the store gave up waiting for the body.
        let may_pass = matches!(self.status, 408 | 409 | 429) || self.is_absent_object();
        self.status >= 500 || may_pass || self.code == "RequestTimeout"
    }

    /// Whether deleting several objects at once may be all that is refused: a store may not know how, want Content-MD5, or look for a
    /// policy that allows it in the whole bucket.
    fn may_be_of_several(&self) -> bool {
        !self.is_retryable() || self.status == 501
    }

    fn is_absent_object(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }

    /// Whether a conditional put was told that its condition does not hold.
    fn is_refusal(&self) -> bool {
        matches!(self.status, 409 | 412) || self.is_absent_object()
    }

    /// Whether that could be what this means. A put of what is absent meets nobody's condition with 409, which AWS says as well
    /// where another write is under way that may fail, or with 404, which a proxy says where the store is away.
    fn may_be_refusal(&self, condition: &Condition) -> bool {
        let is_unclear = matches!(condition, Condition::IfAbsent) && self.is_refusal() && self.status != 412;
        is_unclear || (self.status == 500 && self.code == "UnknownError")
    }
}

#[async_trait]
impl Bucket for S3Bucket {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BucketError> {
        self.get_up_to(key, usize::MAX).await
    }

    async fn get_up_to(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, BucketError> {
        self.read(key, self.client.get_object(), bytes_max).await
    }

    async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Object>, BucketError> {
        let Some(last) = length.checked_sub(1).map(|more| offset.saturating_add(more)) else {
            let whole = self.get(key).await?;
            return Ok(whole.map(|object| Object { bytes: Bytes::new(), etag: object.etag }));
        };
        let request = self.client.get_object().range(format!("bytes={offset}-{last}"));
        let object = self.read(key, request, usize::MAX).await?;
        // A store may pass over the header and send all (RFC 9110 §14.2).
        let is_whole = |object: &Object| object.bytes.len() as u64 > length;
        Ok(object.map(|object| match is_whole(&object) {
            true => part_of(&object, offset, length),
            false => object,
        }))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        headers: Headers,
        condition: Condition,
    ) -> Result<Put, BucketError> {
        let asked = self.write(key, bytes, headers, condition);
        let outcome = |put: &Put| if let Put::Stored(_) = put { "stored" } else { "refused" };
        traced("put", key, asked, outcome).await
    }

    async fn list_after(
        &self,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Listed>, BucketError> {
        let (bucket, [listed, from]) = (self.clone(), [prefix, after].map(str::to_owned));
        let asked = async move { bucket.list(&listed, &from, count_max).await };
        traced("list", prefix, self.by_itself("list", prefix, asked), |_listed| "listed").await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        match self.client.delete_object().bucket(&self.name).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if Answer::of(&error).is_some_and(|answer| answer.is_absent_object()) => Ok(()),
            Err(error) => Err(self.error("delete", key, &error)),
        }
    }

    async fn delete_all(&self, keys: &[String]) -> Result<(), BucketError> {
        for some in keys.chunks(DELETED_OBJECTS_MAX) {
            self.delete_some(some).await?;
        }
        Ok(())
    }
}

/// Asks the store as a step of its own, if whoever asks is one that is recorded.
async fn traced<Answer>(
    operation: &'static str,
    key: &str,
    asked: impl Future<Output = Result<Answer, BucketError>>,
    outcome: impl FnOnce(&Answer) -> &'static str,
) -> Result<Answer, BucketError> {
    let Some(step) = Step::within(operation, Kind::Client) else { return asked.await };
    step.tell("teiten.key", key);
    let answer = asked.await;
    match &answer {
        Ok(answer) => step.tell("teiten.outcome", outcome(answer)),
        Err(error) => step.fail(error),
    }
    answer
}

fn unix_millis(time: &aws_sdk_s3::primitives::DateTime) -> Option<u64> {
    time.to_millis().ok().and_then(|millis| u64::try_from(millis).ok())
}

#[cfg(test)]
mod tests;
