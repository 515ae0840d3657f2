//! The domain below which players reach functions (TEITEN_DOMAIN).

use crate::CameraId;

/// A domain whose names lead to functions, such as `cameras.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    scheme: &'static str,
    host: String,
    /// With a colon before it, if it is not the usual one.
    port: String,
}

/// A text that is no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of functions: expected cameras.example.org, or a URL such as https://cameras.example.org"
)]
pub struct DomainError(String);

impl Domain {
    /// Of `cameras.example.org`, `https://cameras.example.org` or `http://cameras.example.org:8080`; of nothing, none.
    pub fn parse(text: &str) -> Result<Option<Self>, DomainError> {
        if text.is_empty() {
            return Ok(None);
        }
        let (scheme, rest) = match text.split_once("://") {
            None => ("https", text),
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            Some(_) => return Err(DomainError(text.to_owned())),
        };
        let (host, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
        let is_port = port.is_empty() || port[1..].parse::<u16>().is_ok_and(|port| port != 0);
        // A camera's name is a DNS label, and nothing else is one.
        let is_host = host.contains('.') && host.split('.').all(|label| CameraId::new(label).is_ok());
        if is_port && is_host {
            Ok(Some(Self { scheme, host: host.to_owned(), port: port.to_owned() }))
        } else {
            Err(DomainError(text.to_owned()))
        }
    }

    /// The host name of a function.
    pub fn host(&self, function: &str) -> String {
        format!("{function}.{}", self.host)
    }

    /// The address of a function.
    pub fn url(&self, function: &str) -> String {
        format!("{}://{}{}", self.scheme, self.host(function), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_with_tls_unless_it_says_otherwise() {
        assert_eq!(Domain::parse(""), Ok(None));
        for (text, url) in [
            ("cameras.example.org", "https://clip.cameras.example.org"),
            ("https://cameras.example.org", "https://clip.cameras.example.org"),
            ("http://home.arpa:8080", "http://clip.home.arpa:8080"),
        ] {
            assert_eq!(Domain::parse(text).unwrap().unwrap().url("clip"), url);
        }
        for text in
            ["ftp://a.b", "example", "a.b/c", "a..b", "a.b:0", "a.b:x", "*.a.b", "Example.org", "https://"]
        {
            assert_eq!(Domain::parse(text), Err(DomainError(text.to_owned())));
        }
    }
}
