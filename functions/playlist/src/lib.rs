//! The playlist function: keeps `media/<camera>/live.m3u8` of every camera up to date.
//!
//! [`advance`](advance()) decides: a pure function of the current playlist, the segments that are stored, and
//! the time. [`Playlist`] reads, asks it, and writes by compare-and-swap. No two successive versions of a playlist
//! break the rules of draft-pantos-hls-rfc8216bis §6.2, whatever comes in whichever order.

mod advance;
mod cameras;
mod function;
mod live;
mod parse;

pub use advance::{Footage, LIVE_AGE_MAX, SILENCE_MIN, Settings, Step, advance};
pub use cameras::Cameras;
pub use function::Playlist;
pub use live::{Content, Entry, LivePlaylist, target_duration_seconds, windows_min};
pub use parse::ParseError;
