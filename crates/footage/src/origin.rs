//! Whose pages may read footage: origins (RFC 6454 §6.2) as browsers tell them, for those are compared letter by letter.

use std::{fmt, net::Ipv6Addr, str::FromStr};

const EVERY: &str = "*";

/// The origin of pages, such as `https://cameras.example.org` or `http://192.168.1.20:8000`; or `*`, every page's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// Text that no browser tells as an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It is written otherwise.
    #[error("no browser tells its pages' origin as {origin:?}: write {instead}")]
    Written {
        /// What is written.
        origin: String,
        /// What browsers tell in its place.
        instead: String,
    },
    /// It is none at all.
    #[error("{origin:?} is no origin: write https://HOST or https://HOST:PORT, or * for every page")]
    Other {
        /// What is written.
        origin: String,
    },
}

impl Origin {
    /// Checks `text`.
    pub fn new(text: &str) -> Result<Self, OriginError> {
        let origin = || text.chars().take(80).collect();
        match told(text) {
            Some(told) if told == text => Ok(Self(told)),
            Some(instead) => Err(OriginError::Written { origin: origin(), instead }),
            None => Err(OriginError::Other { origin: origin() }),
        }
    }

    /// Origins with commas or spaces between them, at least one.
    pub fn list(text: &str) -> Result<Vec<Self>, OriginError> {
        let between = |character: char| character == ',' || character.is_whitespace();
        let origins: Vec<Self> =
            text.split(between).filter(|word| !word.is_empty()).map(Self::new).collect::<Result<_, _>>()?;
        if origins.is_empty() { Err(OriginError::Other { origin: String::new() }) } else { Ok(origins) }
    }

    /// The origin.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How browsers tell the origin that is meant.
fn told(text: &str) -> Option<String> {
    if text == EVERY {
        return Some(text.to_owned());
    }
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", &text));
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (format!("[{}]", host.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            (Some(host.to_owned()).filter(|host| !host.is_empty() && host.bytes().all(is_host))?, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => usual,
        None => return None,
        Some(port) => port.parse::<u16>().ok().filter(|port| *port != 0)?,
    };
    Some(if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") })
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_tell_it() {
        for origin in [
            "*",
            "https://cameras.example.org",
            "https://cameras.example.org:8443",
            "http://192.168.1.20:8000",
            "http://localhost",
            "http://nas_1",
            "https://xn--bcher-kva.example",
            "http://[fd00::20]:9000",
        ] {
            assert_eq!(Origin::new(origin).unwrap().as_str(), origin);
        }
    }

    #[test]
    fn what_no_browser_tells_is_refused_with_what_to_write() {
        for (text, instead) in [
            ("https://cameras.example.org/", "https://cameras.example.org"),
            ("https://cameras.example.org/wall?camera=gate#now", "https://cameras.example.org"),
            ("cameras.example.org", "https://cameras.example.org"),
            ("cameras.example.org:8443/", "https://cameras.example.org:8443"),
            ("HTTPS://Cameras.Example.org", "https://cameras.example.org"),
            ("https://cameras.example.org:443", "https://cameras.example.org"),
            ("http://nas:80", "http://nas"),
            ("http://nas:443", "http://nas:443"),
            ("http://[FD00:0::20]:80", "http://[fd00::20]"),
        ] {
            match Origin::new(text) {
                Ok(origin) => assert_eq!(origin.as_str(), instead),
                Err(error) => assert!(error.to_string().ends_with(&format!(": write {instead}")), "{error}"),
            }
        }
        for text in [
            "",
            "https://",
            "https:///wall",
            "ftp://cameras.example.org",
            "https://*.example.org",
            "https://user@cameras.example.org",
            "https://bücher.example",
            "https://nas:0",
            "https://nas:65536",
            "https://[fd00::20",
            "https://[fd00::20]9000",
            "https://fd00::20",
        ] {
            let error = Origin::new(text).unwrap_err().to_string();
            assert!(
                error.ends_with("write https://HOST or https://HOST:PORT, or * for every page"),
                "{error}"
            );
        }
    }

    #[test]
    fn several_have_commas_or_spaces_between_them() {
        let origins = [Origin::new("https://a").unwrap(), Origin::new("https://b:8443").unwrap()];
        for text in ["https://a,https://b:8443", "https://a https://b:8443", " https://a, https://b:8443,"] {
            assert_eq!(Origin::list(text).unwrap(), origins, "{text}");
        }
        assert_eq!(Origin::list("*").unwrap(), [Origin::new("*").unwrap()]);
        for text in ["", " , ", "https://a,b"] {
            assert!(Origin::list(text).is_err(), "{text:?}");
        }
    }
}
