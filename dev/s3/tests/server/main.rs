//! The server as its clients see it: over TCP, with the AWS SDK and with a plain HTTP client.

mod crash;
mod operations;
mod public;
mod reads;
mod support;
