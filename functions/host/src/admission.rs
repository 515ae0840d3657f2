//! Who gets an answer of a function: anybody, or who brings the token, or a link that was signed with it.
//!
//! A link to a function is an ordinary request with two keys more in its query: `expires`, the Unix second at which it ends,
//! and behind all others `signature`, the HMAC (RFC 2104, with SHA-256, in hex) of what is asked for and until when, with the token
//! for a key. So whoever has a link can ask for that, and for nothing else, with any player and without a header.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use teiten_footage::Timestamp;

use crate::{Asked, Bearer, Refusal};

const EXPIRES: &str = "expires";
const SIGNATURE: &str = "signature";

/// What every signed text begins with: the token signs nothing else.
const PURPOSE: &str = "teiten link 1";

/// What is escaped in a query that we write.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// Who gets an answer.
#[derive(Debug, Clone)]
pub enum Admission {
    /// Anybody.
    Anybody,
    /// Who brings the token, or a link that was signed with it.
    Token(Bearer),
}

impl Admission {
    /// What caches may do with an answer that can change: where it is not for anybody, none but the asker's own may keep it.
    pub fn cache_control(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Anybody => "no-cache",
            Self::Token(_) => "private, no-cache",
        })
    }

    /// Lets a request in, without what only its admission needed; or refuses it: 401 where it brings nothing, 403 where
    /// it brings a link that does not hold.
    pub fn admit(&self, mut asked: Asked, now: Timestamp) -> Result<Asked, Refusal> {
        if let Self::Token(token) = self {
            match asked.value(SIGNATURE)? {
                Some(signature) => token.check_link(&asked, signature, now)?,
                None => token.check(&asked.headers)?,
            }
        }
        asked.query.retain(|(key, _)| key != EXPIRES && key != SIGNATURE);
        Ok(asked)
    }
}

impl Bearer {
    /// A request for `name` (the last part of its path) with `query`, as a link that holds until `expires` (to the second):
    /// `gate.m3u8?from=…&to=…&expires=…&signature=…`.
    pub fn sign_link(&self, name: &str, query: &[(&str, &str)], expires: Timestamp) -> String {
        let expires = (expires.unix_millis() / 1000).to_string();
        let pairs = || query.iter().copied().chain([(EXPIRES, expires.as_str())]);
        let signature = hmac::sign(&self.key(), &signed_text(name, pairs()));
        let mut link = format!("{name}?");
        for (key, value) in pairs() {
            let _ = write!(link, "{key}={}&", utf8_percent_encode(value, ESCAPED));
        }
        let _ = write!(link, "{SIGNATURE}=");
        for byte in signature.as_ref() {
            let _ = write!(link, "{byte:02x}");
        }
        link
    }

    fn check_link(&self, asked: &Asked, signature: &str, now: Timestamp) -> Result<(), Refusal> {
        let refused = |why: String| Err(Refusal::new(StatusCode::FORBIDDEN, why));
        let pairs = asked.query.iter().filter(|(key, _)| key != SIGNATURE);
        let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str()));
        let given = unhex(signature).unwrap_or_default();
        if hmac::verify(&self.key(), &signed_text(asked.name(), pairs), &given).is_err() {
            return refused(
                "this link is not as it was made, or what it was signed with was exchanged".to_owned(),
            );
        }
        let expires = asked.value(EXPIRES)?.and_then(|seconds| seconds.parse::<u64>().ok()).unwrap_or(0);
        let expires = Timestamp::from_unix_millis(expires.saturating_mul(1000));
        if expires <= now {
            return refused(format!("this link expired at {expires}: ask for another one"));
        }
        Ok(())
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.bytes())
    }
}

/// What is signed: each part behind its length, so that no two requests have the same text.
fn signed_text<'a>(name: &'a str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let parts = [PURPOSE, name].into_iter().chain(pairs.flat_map(|(key, value)| [key, value]));
    parts.flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat()).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    digits.map(|digits| {
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request, header};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    const RANGE: [(&str, &str); 2] = [("from", "2026-11-23T04:00:00Z"), ("to", "2026-11-23T05:00:00+00:30")];

    fn noon() -> Timestamp {
        Timestamp::from_unix_millis(1_795_435_200_000)
    }

    fn later(seconds: u64) -> Timestamp {
        noon() + std::time::Duration::from_secs(seconds)
    }

    fn guarded() -> Admission {
        Admission::Token(Bearer::new(TOKEN).unwrap())
    }

    fn asked(link: &str) -> Asked {
        Asked::read(&Request::get(format!("http://playback.example/teiten/{link}")).body(()).unwrap())
            .unwrap()
    }

    /// What becomes of a request at noon.
    fn outcome(admission: &Admission, asked: Asked) -> String {
        match admission.admit(asked, noon()) {
            Ok(asked) => format!("{:?}", asked.query),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_link_is_a_request_until_a_time_with_its_signature() {
        let link = Bearer::new(TOKEN).unwrap().sign_link("gate.m3u8", &RANGE, later(60));
        // The signature is what Python's hmac makes of the same text. It may change with PURPOSE alone: links are out there.
        assert_eq!(
            link,
            "gate.m3u8?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00%2B00:30&expires=1795435260\
             &signature=d521f1811d95d376eb146d1ad5f4afaf514e97b77824e8b2536b9f0ee820dc23"
        );
        let admitted = guarded().admit(asked(&link), noon()).unwrap();
        let expected = RANGE.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!((admitted.name(), &admitted.query), ("gate.m3u8", &expected.to_vec()));
    }

    #[test]
    fn a_link_ends_with_its_second() {
        let link = Bearer::new(TOKEN).unwrap().sign_link("gate.m3u8", &RANGE, later(60));
        assert!(guarded().admit(asked(&link), later(59)).is_ok());
        for seconds in [60, 61, 1_000_000] {
            let refusal = guarded().admit(asked(&link), later(seconds)).unwrap_err().to_string();
            assert!(
                refusal.starts_with("403") && refusal.contains("expired at 2026-11-23T12:01:00"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn whatever_is_changed_in_a_link_it_holds_no_longer() {
        let link = Bearer::new(TOKEN).unwrap().sign_link("gate.m3u8", &RANGE, later(60));
        let (request, signature) = link.split_once("&signature=").unwrap();
        let other = Bearer::new("another token of thirty-two chars".replace(' ', "-").as_str()).unwrap();
        for changed in [
            link.replace("gate.m3u8", "gate.mp4"),
            link.replace("gate", "garden"),
            link.replace("04:00", "03:00"),
            link.replace("expires=1795435260", "expires=1795435261"),
            link.replace("&expires=1795435260", ""),
            link.replace("from=", "form="),
            format!("{link}&lapse=60"),
            format!("{request}&lapse=60&signature={signature}"),
            format!("{request}&signature="),
            format!("{request}&signature={}", &signature[2..]),
            format!("{request}&signature={signature}0"),
            format!("{request}&signature=定"),
            other.sign_link("gate.m3u8", &RANGE, later(60)),
        ] {
            let outcome = outcome(&guarded(), asked(&changed));
            assert!(
                outcome.starts_with("403") && outcome.contains("not as it was made"),
                "{changed}: {outcome}"
            );
        }
        let twice = outcome(&guarded(), asked(&format!("{link}&signature={signature}")));
        assert!(twice.starts_with("400"), "{twice}");
    }

    #[test]
    fn who_brings_neither_token_nor_link_is_refused_where_footage_is_private() {
        let plain = "gate.m3u8?from=2026-11-23T04:00:00Z";
        assert!(outcome(&guarded(), asked(plain)).starts_with("401"));
        assert!(outcome(&guarded(), asked(&format!("{plain}&expires=9999999999"))).starts_with("401"));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
        let with_token = Asked { headers, ..asked(plain) };
        assert_eq!(outcome(&guarded(), with_token), r#"[("from", "2026-11-23T04:00:00Z")]"#);
    }

    #[test]
    fn where_anybody_is_let_in_a_link_is_as_good_as_its_request() {
        let link = Bearer::new(TOKEN).unwrap().sign_link("gate.m3u8", &RANGE[..1], later(0));
        assert_eq!(outcome(&Admission::Anybody, asked(&link)), r#"[("from", "2026-11-23T04:00:00Z")]"#);
    }
}
