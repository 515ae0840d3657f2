//! Where a broker is, as one text.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// `host:port`; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Text that is no [`HostPort`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected host:port, such as broker:1883 or [::1]:1883")]
pub struct HostPortError;

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(HostPortError)?;
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match address {
            Some(address) => address.parse::<Ipv6Addr>().map_err(|_| HostPortError)?.to_string(),
            None if host.is_empty() || host.contains([':', '/', '[', ']', ' ']) => return Err(HostPortError),
            None => host.to_owned(),
        };
        Ok(Self { host, port })
    }
}

impl HostPort {
    /// The host as it stands before `:port`.
    fn socket_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.socket_host(), self.port)
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        let parsed: HostPort = "broker.local:1883".parse().unwrap();
        assert_eq!((&*parsed.host, parsed.port), ("broker.local", 1883));
        let parsed: HostPort = "[::1]:1883".parse().unwrap();
        assert_eq!((&*parsed.host, &*parsed.to_string()), ("::1", "[::1]:1883"));
        for text in
            ["", "broker", "broker:", ":1883", "broker:0", "broker:65536", "::1:1883", "[x]:1", "tcp://a:1"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
    }
}
