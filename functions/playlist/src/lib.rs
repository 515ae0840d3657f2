//! The playlist function: keeps `media/<camera>/live.m3u8` and the archive of every camera up to date, in the wake of events.
//!
//! What a playlist becomes is decided in [`teiten_archive`], which also reads and writes that of an hour. [`Playlist`] reads the live one,
//! asks, and writes by compare-and-swap. It remembers what saves reading something again, and has a camera's events take turns.

mod archives;
mod function;
mod live_variants;
mod motions;

pub use function::Playlist;
