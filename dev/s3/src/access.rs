//! Who may do what: whoever signs with the credentials may do everything; anyone may read the objects of the
//! media bucket (but not list them), as behind a CDN, unless the server is private.

use s3s::{
    S3Result,
    access::{S3Access, S3AccessContext},
    path::S3Path,
    s3_error,
};

use crate::MEDIA_BUCKET;

/// The operations that need no signature.
const PUBLIC_OPERATIONS: [&str; 2] = ["GetObject", "HeadObject"];

#[derive(Debug)]
pub(crate) struct Access {
    /// Whether anyone may read media.
    pub(crate) media_is_public: bool,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_some() {
            return Ok(());
        }
        let is_public = self.media_is_public
            && PUBLIC_OPERATIONS.contains(&context.s3_op().name())
            && matches!(context.s3_path(), S3Path::Object { bucket, .. } if &**bucket == MEDIA_BUCKET);
        if !is_public {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        // As on AWS: who may only read must not choose what an object pretends to be.
        if context.uri().query().is_some_and(|query| query.contains("response-")) {
            return Err(s3_error!(InvalidRequest, "Overriding response headers needs a signature"));
        }
        Ok(())
    }
}
