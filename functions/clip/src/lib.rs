//! Clip: `GET /<camera>.mp4?from=…&to=…` answers with one MP4 file of the footage of that time, for whoever wants to keep
//! or send it. Nothing is encoded again: the pictures are those of the segments, byte for byte.
//!
//! A file that can be played while it is loaded begins with its sample tables (`moov`), which need the sizes of all
//! pictures. So it is made in two passes: the first reads where each segment's pictures are ([`fragment`]) and decides
//! what belongs into the file ([`cut`]); then the tables are written ([`movie`]), and the second pass hands the
//! pictures through. What is held is some ten bytes a picture (13 MB for a day at 15 pictures a second), and a few segments.

mod clip;
pub mod cut;
pub mod fragment;
pub mod movie;
mod part;
mod recent;

pub use clip::Clip;
