//! A batch of JPEGs in, one CMAF segment and its init section out.
//!
//! The way of a batch through this crate: [`jpeg`] decodes a frame to planes, [`picture`] brings the planes to
//! the one form that H.264 players take (4:2:0, even size), [`motion`] sees what moves in them, [`h264`] compresses
//! them, [`timing`] says when each sample begins and ends, [`fmp4`] writes the boxes. [`encode()`] does all of it and knows neither clock nor
//! network; [`Encode`] is the function around it: it reads the batch, stores what came of it and says so.

mod assembly;
pub mod config;
pub mod encode;
pub mod file;
pub mod fmp4;
pub mod function;
pub mod h264;
mod inits;
pub mod jpeg;
pub mod motion;
pub mod picture;
pub mod settings;
pub mod timing;
mod turns;

pub use encode::{Dropped, EncodeError, Encoded, encode};
pub use function::Encode;
pub use settings::{Codec, Qp, Settings};
pub use turns::WAITING_MAX;
