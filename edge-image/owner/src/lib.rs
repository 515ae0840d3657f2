//! What a camera's owner does at a desk: makes certificates and ready settings (`teiten-owner camera add`) and
//! revokes them (`camera revoke`), puts them on a card with the image (`teiten-owner flash`), makes updates (`teiten-owner bundle`), and has cameras
//! take them (`teiten-owner camera update`).

pub mod authority;
pub mod bundle;
pub mod cameras;
pub mod commands;
pub mod flash;
mod given;
pub mod serve;
mod settings;
pub mod update;

pub use settings::Wifi;
