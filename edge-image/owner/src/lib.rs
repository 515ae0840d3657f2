//! What a camera's owner does at a desk: makes certificates and ready settings (`teiten-owner camera add`),
//! and puts them on a card with the image (`teiten-owner flash`).

pub mod authority;
pub mod cameras;
pub mod flash;
mod settings;

pub use settings::Wifi;
