//! The clip function: a range of a camera's footage as one MP4 file, without encoding anything again, or as a time-lapse.
//!
//! The pictures are handed through byte for byte, while they are read. Before them stand tables of them (ISO/IEC 14496-12 §8.7), so
//! the footage is walked over several times: the first walk counts, so that it is known how long all will be and what is where
//! ([`measure`]); the next ones write each table while it is sent, and the last one hands the pictures through ([`send`]). What
//! is held is of one size, however long the file: an hour's listing, a few thousand places, and heads as far as there is room.

mod clip;
pub mod cut;
mod file;
mod maker;
mod measure;
mod movie;
mod part;
mod recent;
mod send;
mod view;

pub use clip::{Clip, KEPT_BYTES_MAX, TOLD_MAX};
