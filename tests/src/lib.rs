//! What the end-to-end tests stand on: the real programs as processes, and checks of what they leave behind.

pub mod backlog;
pub mod browser;
pub mod card;
pub mod collector;
pub mod debian;
pub mod ffmpeg;
pub mod guest;
pub mod machine;
pub mod minio;
pub mod mosquitto;
pub mod other_encoder;
pub mod pipeline;
pub mod process;
pub mod radosgw;
pub mod sntp;
pub mod ssh;
pub mod station;
pub mod updates;
pub mod verify;
