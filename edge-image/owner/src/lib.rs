//! What a camera's owner does at a desk: makes certificates and ready settings (`teiten-owner camera add`),
//! puts them on a card with the image (`teiten-owner flash`), and makes updates (`teiten-owner bundle`).

pub mod authority;
pub mod bundle;
pub mod cameras;
pub mod flash;
mod settings;

pub use settings::Wifi;
