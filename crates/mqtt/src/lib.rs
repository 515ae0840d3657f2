//! What the agent and the bridge share of their way to an MQTT broker: TLS (RFC 8446) with a client certificate
//! of one's own, and the failures of a connection in words that say what to do.

mod explain;
mod tls;

pub use explain::Explained;
pub use tls::{Identity, TlsError, TlsFiles};
