//! An S3 server over a folder, for one machine: conditional writes that hold, ranges, CORS, presigned URLs.
//!
//! `s3s` does the protocol (signatures, XML, routing); what is ours is the rest, from the outside in:
//! - [`Server`]: connections, and two doors: S3, and one bucket at the root of an origin, as behind a CDN;
//! - `front`: what every answer carries (CORS, the server's time), before and after S3;
//! - `access`: who may do what;
//! - `protocol`: S3's operations in terms of the store;
//! - [`Store`]: objects as files, and conditional puts;
//! - `listing`, `naming`, `object_file`: how a folder is listed, what a key's file is called, what is in it.
//!
//! What is not implemented answers `NotImplemented`: among others multipart uploads, copies, versions and
//! ListObjects version 1.

mod access;
mod checksum;
mod conditions;
mod front;
mod listing;
mod naming;
mod object_file;
mod protocol;
mod server;
mod store;

pub use server::{Credentials, Server};
pub use store::{Store, StoreError};

/// The private bucket: batches of frames.
pub const FRAMES_BUCKET: &str = "frames";

/// The bucket whose objects anyone may read: segments, playlists, the viewer.
pub const MEDIA_BUCKET: &str = "media";

/// The largest object, in bytes. A put is held in memory until it is complete.
pub const OBJECT_BYTES_MAX: usize = 256 << 20;
