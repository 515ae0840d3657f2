//! The bridge: batches frames from MQTT into windows in the bucket, emits an event for each batch, and only
//! then tells the camera that its frames are stored.
//!
//! [`intake`] makes frames of payloads, [`windows`] decides which frames make a batch and when (both are
//! values with time as an argument); storing, emitting and acknowledging happen in tasks around them.

mod bridge;
mod camera;
pub mod config;
mod delivery;
mod fleet;
pub mod intake;
mod mqtt;
mod overheard;
mod store;
pub mod windows;

pub use bridge::run;
pub use config::{Args, Config};
