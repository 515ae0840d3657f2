//! The host as others see it: over TCP, and as a program.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod chores;
mod http;
mod programs;
mod requests;
mod support;
