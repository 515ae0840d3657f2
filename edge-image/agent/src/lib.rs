//! The camera: captures, stamps, spools and publishes frames.
//!
//! The way of a picture: a source (a camera, footage, a pattern) gives it with its capture time;
//! the stamper makes a frame of it; the spool keeps the frame; the outbox says when it is sent, and
//! sent again, over the link to the broker; once the bridge says that it is stored, the spool lets it go.

mod agent;
mod attendant;
mod check;
mod clock;
mod condition;
pub mod config;
mod control;
mod flights;
pub mod gpio;
mod home_assistant;
mod link;
mod machine;
mod mistakes;
mod outbox;
pub mod pattern;
mod source;
mod spool;
mod stamper;
pub mod system;
mod telemetry;
mod updater;
mod uplink;

pub use agent::{Ended, Host, run, run_on};
pub use check::check;
pub use config::{Config, ConfigErrors};
pub use mistakes::tell_mistakes;
pub use source::{encoding_cost, list_devices};
