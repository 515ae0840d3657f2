//! S3's operations in terms of the store. File access happens on the blocking thread pool, one job an
//! operation, so that a slow disk does not hold up other connections.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto, dto::ETagCondition,
    dto::StreamingBlob, s3_error,
};

use crate::{
    OBJECT_BYTES_MAX, Store, StoreError,
    checksum::Expected,
    conditions::{Instead, ReadConditions},
    listing::{self, Item, Page, Query},
    object_file::{Meta, ObjectFile, StoredHeaders},
    store::Condition,
};

/// The most lines of one page of a listing: S3's own limit.
const PAGE_LINES_MAX: i32 = 1000;

/// Objects up to this size are read at once; larger ones in chunks of it, as the client takes them.
const CHUNK_BYTES: u64 = 1 << 20;

/// What an object is if nobody said: S3's own default.
const CONTENT_TYPE_UNKNOWN: &str = "binary/octet-stream";

/// What a key in a listing keeps when a client asks for `encoding-type=url`.
const URL_ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// S3 over a store.
#[derive(Debug)]
pub(crate) struct Protocol {
    store: Store,
}

impl Protocol {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Runs a job on the store, on the blocking thread pool.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> S3Result<T> {
        let store = self.store.clone();
        let result = tokio::task::spawn_blocking(move || job(&store)).await;
        result.map_err(S3Error::internal_error)?.map_err(s3_error_of)
    }
}

fn s3_error_of(error: StoreError) -> S3Error {
    match error {
        StoreError::NoSuchBucket(_) => s3_error!(NoSuchBucket, "There is no such bucket"),
        StoreError::NoSuchObject => s3_error!(NoSuchKey, "There is no such object"),
        StoreError::ConditionFailed => s3_error!(PreconditionFailed, "The condition does not hold"),
        StoreError::Key(message) => S3Error::with_message(S3ErrorCode::KeyTooLongError, message),
        StoreError::InUse(_) | StoreError::Io(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
            S3Error::internal_error(error)
        }
    }
}

fn timestamp(unix_millis: u64) -> dto::Timestamp {
    (UNIX_EPOCH + Duration::from_millis(unix_millis)).into()
}

/// The time of an object as HTTP headers tell it: whole seconds.
fn last_modified(meta: &Meta) -> dto::Timestamp {
    timestamp(meta.modified_unix_millis / 1000 * 1000)
}

fn strong(etag: &str) -> dto::ETag {
    dto::ETag::Strong(etag.to_owned())
}

/// A length as S3's types have it. No file is longer than `i64::MAX`.
fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "There is no such object")
}

/// A 304 repeats the headers that a cache needs (RFC 9110 §15.4.5).
fn instead(instead: Instead, meta: &Meta) -> S3Error {
    match instead {
        Instead::PreconditionFailed => s3_error!(PreconditionFailed, "The condition does not hold"),
        Instead::NotModified => {
            let mut headers = HeaderMap::new();
            let etag = HeaderValue::try_from(format!("\"{}\"", meta.etag));
            let cache_control = meta.headers.cache_control.as_deref().map(HeaderValue::try_from);
            headers.extend(etag.ok().map(|value| (header::ETAG, value)));
            headers.extend(cache_control.and_then(Result::ok).map(|value| (header::CACHE_CONTROL, value)));
            let mut error = s3_error!(NotModified);
            error.set_headers(headers);
            error
        }
    }
}

/// What a GET sends.
enum Sent {
    Whole(Bytes),
    InChunks(ObjectFile, Range<u64>),
}

/// Reads a large object as its client takes it.
fn in_chunks(
    object: ObjectFile,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Sync + 'static {
    stream::try_unfold((Arc::new(object), range), |(object, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let chunk = range.start..range.end.min(range.start + CHUNK_BYTES);
        let rest = chunk.end..range.end;
        let reader = object.clone();
        let bytes = tokio::task::spawn_blocking(move || reader.read(chunk)).await;
        Ok(Some((bytes.map_err(std::io::Error::other)??, (object, rest))))
    })
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
        if collected.len() + chunk.len() > OBJECT_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge, "Objects have at most {OBJECT_BYTES_MAX} bytes"));
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.freeze())
}

fn put_condition(input: &dto::PutObjectInput) -> S3Result<Condition> {
    match (&input.if_match, &input.if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::IfAbsent),
        (Some(ETagCondition::ETag(dto::ETag::Strong(etag))), None) => Ok(Condition::IfMatch(etag.clone())),
        _ => Err(s3_error!(NotImplemented, "A put takes If-None-Match: * or If-Match with one strong tag")),
    }
}

/// The checksums of a put, whose trailer is known once its body is read.
fn expected_checksums(request: &S3Request<dto::PutObjectInput>) -> Expected {
    let input = &request.input;
    let trailer = request.trailing_headers.as_ref().and_then(|trailer| trailer.take()).unwrap_or_default();
    let either = |in_header: &Option<String>, name: &str| {
        let in_trailer = || trailer.get(name)?.to_str().ok().map(str::to_owned);
        in_header.clone().or_else(in_trailer)
    };
    Expected {
        md5: input.content_md5.clone(),
        crc32: either(&input.checksum_crc32, "x-amz-checksum-crc32"),
        crc32c: either(&input.checksum_crc32c, "x-amz-checksum-crc32c"),
        crc64nvme: either(&input.checksum_crc64nvme, "x-amz-checksum-crc64nvme"),
        sha1: either(&input.checksum_sha1, "x-amz-checksum-sha1"),
        sha256: either(&input.checksum_sha256, "x-amz-checksum-sha256"),
    }
}

#[async_trait::async_trait]
impl S3 for Protocol {
    async fn put_object(
        &self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let condition = put_condition(&request.input)?;
        let bytes = collect(request.input.body.take()).await?;
        let etag = expected_checksums(&request).check(&bytes)?;
        let input = request.input;
        let headers = StoredHeaders {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            user: input.metadata.unwrap_or_default().into_iter().collect(),
        };
        let modified_unix_millis = teiten_telemetry::now().unix_millis();
        let size_bytes = bytes.len() as u64;
        let meta = Meta { etag: etag.clone(), modified_unix_millis, headers, size_bytes };
        self.run(move |store| store.put(&input.bucket, &input.key, &bytes, &meta, &condition)).await?;
        Ok(S3Response::new(dto::PutObjectOutput { e_tag: Some(strong(&etag)), ..Default::default() }))
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_unmodified_since: input.if_unmodified_since,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
        };
        let (asked, bucket, key) = (input.range, input.bucket, input.key);
        let answer = self.run(move |store| {
            let Some(object) = store.get(&bucket, &key)? else { return Ok(Err(no_such_key())) };
            if let Some(other) = conditions.evaluate(&object.meta.etag, &last_modified(&object.meta)) {
                return Ok(Err(instead(other, &object.meta)));
            }
            let size = object.meta.size_bytes;
            let range = match asked.map(|range| range.check(size)).transpose() {
                Ok(range) => range.unwrap_or(0..size),
                Err(error) => return Ok(Err(error.into())),
            };
            let meta = object.meta.clone();
            let sent = if range.end - range.start <= CHUNK_BYTES {
                Sent::Whole(object.read(range.clone())?)
            } else {
                Sent::InChunks(object, range.clone())
            };
            Ok(Ok((meta, range, sent)))
        });
        let (meta, range, sent) = answer.await??;
        let body = match sent {
            Sent::Whole(bytes) => StreamingBlob::from(Body::from(bytes)),
            Sent::InChunks(object, range) => StreamingBlob::wrap(in_chunks(object, range)),
        };
        let content_range = asked
            .map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), meta.size_bytes));
        Ok(S3Response::new(dto::GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(body),
            content_length: Some(length(range.end - range.start)),
            content_range,
            e_tag: Some(strong(&meta.etag)),
            last_modified: Some(last_modified(&meta)),
            content_type: Some(meta.headers.content_type.unwrap_or_else(|| CONTENT_TYPE_UNKNOWN.to_owned())),
            cache_control: meta.headers.cache_control,
            content_disposition: meta.headers.content_disposition,
            content_encoding: meta.headers.content_encoding,
            content_language: meta.headers.content_language,
            metadata: Some(meta.headers.user.into_iter().collect()),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = request.input;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_unmodified_since: input.if_unmodified_since,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
        };
        let object = self.run(move |store| store.get(&input.bucket, &input.key)).await?;
        let meta = object.ok_or_else(no_such_key)?.meta;
        if let Some(other) = conditions.evaluate(&meta.etag, &last_modified(&meta)) {
            return Err(instead(other, &meta));
        }
        Ok(S3Response::new(dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(meta.size_bytes)),
            e_tag: Some(strong(&meta.etag)),
            last_modified: Some(last_modified(&meta)),
            content_type: Some(meta.headers.content_type.unwrap_or_else(|| CONTENT_TYPE_UNKNOWN.to_owned())),
            cache_control: meta.headers.cache_control,
            content_disposition: meta.headers.content_disposition,
            content_encoding: meta.headers.content_encoding,
            content_language: meta.headers.content_language,
            metadata: Some(meta.headers.user.into_iter().collect()),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = request.input;
        if input.if_match.is_some() {
            // Deleting all the same would be worse than refusing.
            return Err(s3_error!(NotImplemented, "Conditional deletes are not implemented"));
        }
        self.run(move |store| store.delete(&input.bucket, &input.key)).await?;
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
        let quiet = delete.quiet.unwrap_or(false);
        let results = self.run(move |store| {
            store.bucket(&bucket)?;
            let delete_one = |object: dto::ObjectIdentifier| {
                let result = store.delete(&bucket, &object.key);
                (object.key, result)
            };
            Ok(delete.objects.into_iter().map(delete_one).collect::<Vec<_>>())
        });
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (key, result) in results.await? {
            match result.map_err(s3_error_of) {
                Ok(()) => deleted.push(dto::DeletedObject { key: Some(key), ..Default::default() }),
                Err(error) => errors.push(dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(key),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        let deleted = (!quiet).then_some(deleted);
        let errors = Some(errors);
        Ok(S3Response::new(dto::DeleteObjectsOutput { deleted, errors, ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let input = request.input;
        let query = list_query(&input)?;
        let bucket = input.bucket.clone();
        let page = self.run(move |store| store.list(&bucket, &query)).await?;
        Ok(S3Response::new(list_output(input, page)))
    }

    async fn list_buckets(
        &self,
        _request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let bucket = |name: &str| dto::Bucket { name: Some(name.to_owned()), ..Default::default() };
        let buckets = Some(self.store.buckets().into_iter().map(bucket).collect());
        Ok(S3Response::new(dto::ListBucketsOutput { buckets, ..Default::default() }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        self.store.bucket(&request.input.bucket).map_err(s3_error_of)?;
        Ok(S3Response::new(dto::HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        self.store.bucket(&request.input.bucket).map_err(s3_error_of)?;
        Ok(S3Response::new(dto::GetBucketLocationOutput::default()))
    }
}

fn list_query(input: &dto::ListObjectsV2Input) -> S3Result<Query> {
    let by_folder = match input.delimiter.as_deref() {
        None | Some("") => false,
        Some("/") => true,
        Some(_) => return Err(s3_error!(NotImplemented, "The only delimiter is /")),
    };
    let from = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|from| String::from_utf8(from).ok())
            .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token is not one of ours"))?,
        (None, Some(after)) if !after.is_empty() => listing::just_after(after),
        (None, _) => String::new(),
    };
    let count_max = input.max_keys.unwrap_or(PAGE_LINES_MAX).min(PAGE_LINES_MAX);
    let count_max =
        usize::try_from(count_max).map_err(|_negative| s3_error!(InvalidArgument, "max-keys is negative"))?;
    Ok(Query { prefix: input.prefix.clone().unwrap_or_default(), by_folder, from, count_max })
}

fn list_output(input: dto::ListObjectsV2Input, page: Page) -> dto::ListObjectsV2Output {
    let url_encoded = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == "url");
    let written = |text: String| {
        if url_encoded { utf8_percent_encode(&text, URL_ENCODED).to_string() } else { text }
    };
    let key_count = i32::try_from(page.items.len()).ok();
    let (mut contents, mut common_prefixes) = (Vec::new(), Vec::new());
    for item in page.items {
        match item {
            Item::Folder(prefix) => common_prefixes.push(dto::CommonPrefix { prefix: Some(written(prefix)) }),
            Item::Object { key, meta } => contents.push(dto::Object {
                key: Some(written(key)),
                size: Some(length(meta.size_bytes)),
                last_modified: Some(timestamp(meta.modified_unix_millis)),
                e_tag: Some(strong(&meta.etag)),
                ..Default::default()
            }),
        }
    }
    dto::ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(written(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(written),
        start_after: input.start_after.map(written),
        encoding_type: input.encoding_type,
        max_keys: Some(input.max_keys.unwrap_or(PAGE_LINES_MAX)),
        key_count,
        is_truncated: Some(page.next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: page.next.map(|from| URL_SAFE_NO_PAD.encode(from)),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        ..Default::default()
    }
}
