//! The camera: captures, stamps, spools and publishes frames.
//!
//! The way of a picture: a source (a camera, footage, a pattern) gives it with its capture time;
//! the stamper makes a frame of it; the spool keeps the frame; the outbox says when it is sent, and
//! sent again, over the link to the broker; once the bridge says that it is stored, the spool lets it go.

mod agent;
mod clock;
pub mod config;
mod link;
mod outbox;
pub mod pattern;
mod source;
mod spool;
mod stamper;
pub mod system;

pub use agent::run;
pub use config::{Config, ConfigErrors};
pub use source::list_devices;
