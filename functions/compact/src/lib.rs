//! Compact: turns the segments of an hour that is over into few objects ([`teiten_footage::PackKey`]), which the hour's
//! playlist addresses by EXT-X-BYTERANGE.
//!
//! 1. Runs of segments are put together, each run as one object whose key is a function of what it holds.
//! 2. The playlist is brought up to date from the listing, as after any other change: a pack counts for a window if
//!    it was made after the window's last segment was written. That is the switch, by compare-and-swap.
//! 3. Segments for which a pack counts are deleted, once the playlist is old enough that nobody plays by the one before
//!    the switch any more.
//!
//! What moved in an hour is written down anew, if that is gone: no other part reads packs for it.
//!
//! Whatever is interrupted, what is listed is there: packs that are not listed yet do no harm, segments that are not
//! deleted yet neither, and the next run goes on.

mod compact;
pub mod plan;

pub use compact::{Compact, Report, Settings, SettingsError};
