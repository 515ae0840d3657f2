//! The agent from the outside: with a real broker, as a library and as a program.

// Clippy knows test functions; their helpers are as much of a test.
#![allow(clippy::unwrap_used)]

mod attendant;
mod broker;
mod common;
mod program;
mod uplink;
