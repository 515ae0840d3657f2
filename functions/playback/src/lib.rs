//! Playback: `GET /<camera>.m3u8?from=…&to=…` answers with a VOD playlist over the segments that are stored of that time,
//! from a listing. Nothing is copied and nothing is written: over midnight, over a change of the picture, and up to
//! this second, what is there is listed, with holes marked as in the playlists of hours.
//!
//! Where footage is private, who asks brings a token or a link, and what is listed is signed, so that any player plays it.

mod links;
mod playback;

pub use links::{Links, LinksError};
pub use playback::Playback;
