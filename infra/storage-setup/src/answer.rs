//! What a store's answer means: there is none of it, it cannot do that, or something is wrong.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};

/// Codes of answers that say that a bucket has no such settings yet.
const ABSENT: [&str; 4] = [
    "NoSuchLifecycleConfiguration",
    "NoSuchCORSConfiguration",
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
];

/// Codes of answers of stores that do not know an operation, beside the statuses 405 and 501.
const LACKING: [&str; 3] = ["NotImplemented", "MethodNotAllowed", "UnsupportedOperation"];

/// Why a store could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// It refused, or could not be reached.
    #[error("{what}: {why}")]
    Store {
        /// What was to be done.
        what: String,
        /// What it said.
        why: String,
    },
    /// Batches and footage were to be in one bucket.
    #[error(
        "TEITEN_FRAMES_BUCKET and TEITEN_MEDIA_BUCKET are both {bucket}: batches are private and are deleted sooner, so they need \
         a bucket of their own"
    )]
    OneBucket {
        /// That bucket.
        bucket: String,
    },
    /// What is there cannot stay beside what is wanted.
    #[error("bucket {bucket}: {why}")]
    Policy {
        /// The bucket.
        bucket: String,
        /// What is wrong.
        why: crate::policy::PolicyError,
    },
    /// There are more cameras than a bucket can have rules.
    #[error(
        "bucket {bucket}: {count} lifecycle rules, two for each camera, and S3 takes 1000, so nothing of new cameras is deleted: move \
         cameras to another installation, and delete what is left here of those that are gone"
    )]
    Rules {
        /// The bucket.
        bucket: String,
        /// How many there would be.
        count: usize,
    },
}

/// What was answered.
pub(crate) enum Answer<T> {
    /// This.
    Done(T),
    /// There is none.
    Absent,
    /// The store does not know the operation.
    Lacking,
}

/// The status of an error that a store answered; 0 of one that came on the way.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |response| response.status().as_u16())
}

/// Sorts an answer; what is neither success nor one of the other two is an error of `what`.
pub(crate) fn sort<T, E>(
    what: &str,
    result: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Answer<T>, SetupError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let error = match result {
        Ok(output) => return Ok(Answer::Done(output)),
        Err(error) => error,
    };
    let status = status(&error);
    let code = error.code().unwrap_or_default();
    if ABSENT.contains(&code) {
        return Ok(Answer::Absent);
    }
    if matches!(status, 405 | 501) || LACKING.contains(&code) {
        return Ok(Answer::Lacking);
    }
    // A HEAD has no body that could name a code.
    if status == 404 && code != "NoSuchBucket" {
        return Ok(Answer::Absent);
    }
    let why = match (status, error.message()) {
        (0, _) => DisplayErrorContext(error).to_string(),
        (_, message) => format!("{status} {code}: {}", message.unwrap_or("without a message")),
    };
    Err(SetupError::Store { what: what.to_owned(), why })
}
