//! The playlist function on a bucket: what it writes, and that no two versions of it break the rules.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod any_order;
mod checker;
mod hours;
mod motion;
mod shell;
mod world;
