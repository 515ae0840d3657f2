//! The functions that links to a range of time lead to: where they are, and what they ask for.

use http::Uri;
use teiten_footage::{CameraId, Domain, RangeForm, TimeRange, Timestamp};
use teiten_host::Bearer;

/// What of a camera's past a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// A playlist of a range: `playback` answers.
    Playlist(TimeRange, RangeForm),
    /// One file of a range, perhaps so many times faster: `clip` answers.
    File(TimeRange, Option<u32>),
}

/// Where `playback` and `clip` are, as players reach them, and the token that they ask for.
#[derive(Debug, Clone)]
pub struct Functions {
    token: Bearer,
    playback: Option<String>,
    clip: Option<String>,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of functions: expected cameras.example.org, or a URL such as https://cameras.example.org"
)]
pub struct AddressError(String);

impl Functions {
    /// Functions that ask for `token`, below a domain, or at addresses that nobody knows.
    pub fn new(token: Bearer, domain: Option<&Domain>) -> Self {
        let at = |function| domain.map(|domain| domain.url(function));
        Self { token, playback: at("playback"), clip: at("clip") }
    }

    /// Those that are at addresses of their own; where one is empty, it is as it was.
    pub fn at(self, playback: &str, clip: &str) -> Result<Self, AddressError> {
        let Self { token, playback: old_playback, clip: old_clip } = self;
        let new = |url: &str, old| if url.is_empty() { Ok(old) } else { address(url).map(Some) };
        Ok(Self { token, playback: new(playback, old_playback)?, clip: new(clip, old_clip)? })
    }

    /// What they ask for.
    pub fn token(&self) -> &Bearer {
        &self.token
    }

    /// A request for `past` that holds until `expires`; without an address of its function, that function's name.
    pub(crate) fn link(
        &self,
        camera: &CameraId,
        past: Past,
        expires: Timestamp,
    ) -> Result<String, &'static str> {
        let (address, name, function, range, lapse) = match past {
            Past::Playlist(range, form) => {
                (&self.playback, format!("{camera}{}", form.extension()), "playback", range, None)
            }
            Past::File(range, lapse) => (&self.clip, format!("{camera}.mp4"), "clip", range, lapse),
        };
        let address = address.as_ref().ok_or(function)?;
        let (from, to) = (range.from().to_string(), range.to().to_string());
        let lapse = lapse.map(|lapse| lapse.to_string());
        let mut query = vec![("from", from.as_str()), ("to", &to)];
        query.extend(lapse.as_deref().map(|lapse| ("lapse", lapse)));
        Ok(format!("{address}/{}", self.token.sign_link(&name, &query, expires)))
    }
}

/// A URL of a server, perhaps with a path, without a slash at its end.
fn address(url: &str) -> Result<String, AddressError> {
    let url = url.trim_end_matches('/');
    let parsed: Option<Uri> = url.parse().ok();
    let is_one = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    });
    if is_one { Ok(url.to_owned()) } else { Err(AddressError(url.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(domain: &str) -> Functions {
        let token = Bearer::new("0123456789abcdef0123456789abcdef").unwrap();
        Functions::new(token, Domain::parse(domain).unwrap().as_ref())
    }

    fn range() -> TimeRange {
        let noon = Timestamp::from_unix_millis(1_795_435_200_000);
        TimeRange::new(noon, noon + std::time::Duration::from_secs(60)).unwrap()
    }

    fn link(functions: &Functions, past: Past) -> Result<String, &'static str> {
        functions.link(&CameraId::new("gate").unwrap(), past, Timestamp::from_unix_millis(1_795_435_200_000))
    }

    #[test]
    fn functions_are_below_their_domain_unless_they_have_an_address_of_their_own() {
        let functions = below("cameras.example.org");
        let found = link(&functions, Past::Playlist(range(), RangeForm::Whole)).unwrap();
        let expected = "https://playback.cameras.example.org/gate.m3u8?from=2026-11-23T12:00:00.000000Z\
                        &to=2026-11-23T12:01:00.000000Z&expires=1795435200&signature=";
        assert!(found.starts_with(expected), "{found}");
        let functions = functions.at("", "http://[::1]:8080/clips/").unwrap();
        let found = link(&functions, Past::File(range(), Some(60))).unwrap();
        assert!(
            found.starts_with("http://[::1]:8080/clips/gate.mp4?from=")
                && found.contains("&lapse=60&expires=")
        );
    }

    #[test]
    fn without_an_address_the_function_is_named() {
        let functions = below("").at("", "http://clip.example").unwrap();
        assert_eq!(link(&functions, Past::Playlist(range(), RangeForm::Variants)), Err("playback"));
        assert!(link(&functions, Past::File(range(), None)).is_ok());
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for url in ["clip.example", "http://", "ftp://a", "http://a?b=c"] {
            assert!(below("").at("", url).is_err(), "{url}");
        }
    }
}
