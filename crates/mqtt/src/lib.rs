//! What those share who speak to an MQTT broker: where it is, TLS (RFC 8446) with a client certificate of one's own, and the
//! failures of a connection in words that say what to do.

mod explain;
mod host_port;
mod tls;

pub use explain::Explained;
pub use host_port::{HostPort, HostPortError};
pub use tls::{Identity, TlsError, TlsFiles};
