//! The server as its clients see it: over TCP, with the AWS SDK and with a plain HTTP client.

#![allow(clippy::unwrap_used, reason = "every function here belongs to a test")]

mod crash;
mod operations;
mod public;
mod reads;
mod support;
