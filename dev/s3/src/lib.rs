//! An S3 server over a folder, for one machine: conditional writes that hold, ranges, CORS, presigned URLs.
