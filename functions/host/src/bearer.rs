//! Bearer tokens (RFC 6750 §2.1) of functions that answer whoever asks: what they give out is not for everybody.

use std::fmt;

use anyhow::Context as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;

use crate::Refusal;

/// The shortest token: 32 characters of hex are 128 bits.
const TOKEN_CHARACTERS_MIN: usize = 32;

const SCHEME: &[u8] = b"Bearer ";

/// The token that a request has to bring.
#[derive(Clone)]
pub struct Bearer {
    token: Box<[u8]>,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// It can be guessed.
    #[error(
        "the token has {0} characters, and needs {TOKEN_CHARACTERS_MIN} or more: `openssl rand -hex 32` makes one"
    )]
    Short(usize),
    /// It does not fit into a header.
    #[error("the token has a character that is no visible ASCII")]
    Character,
}

impl Bearer {
    /// Asks for `token`.
    pub fn new(token: &str) -> Result<Self, BearerError> {
        if token.len() < TOKEN_CHARACTERS_MIN {
            return Err(BearerError::Short(token.len()));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BearerError::Character);
        }
        Ok(Self { token: token.as_bytes().into() })
    }

    /// The token's own bytes, for what is signed with it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.token
    }

    /// Refused (401) unless a request with these headers brings the token. It takes as long for a token that is nearly
    /// right as for one that is all wrong.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let given = match (values.next(), values.next()) {
            (Some(value), None) => value.as_bytes().split_at_checked(SCHEME.len()),
            _ => None,
        };
        match given {
            Some((scheme, token))
                if scheme.eq_ignore_ascii_case(SCHEME) && bool::from(token.ct_eq(&self.token)) =>
            {
                Ok(())
            }
            _ => {
                let why = "this needs the header Authorization: Bearer TOKEN, or a signed link (./just link)";
                let refusal = Refusal::new(StatusCode::UNAUTHORIZED, why);
                Err(refusal.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
        }
    }
}

/// The flag of a program that admits by token; flatten into its own.
#[derive(Clone, clap::Args)]
pub struct TokenArgs {
    /// What lets in where footage is private: requests bring it as `Authorization: Bearer TOKEN`, and links are signed with
    /// it. 32 characters or more.
    #[arg(long, env = "TEITEN_LINK_TOKEN", value_name = "TOKEN", hide_env_values = true, default_value = "")]
    token: String,
}

impl TokenArgs {
    /// The token.
    ///
    /// # Errors
    /// If there is none, or none that will do.
    pub fn bearer(&self) -> anyhow::Result<Bearer> {
        Bearer::new(&self.token).context("TEITEN_LINK_TOKEN")
    }
}

impl fmt::Debug for TokenArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenArgs").finish_non_exhaustive()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn admitted(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Bearer::new(TOKEN).unwrap().check(&headers).is_ok()
    }

    #[test]
    fn the_token_admits_and_nothing_else_does() {
        assert!(admitted(&[&format!("Bearer {TOKEN}")]));
        assert!(admitted(&[&format!("bearer {TOKEN}")]));
        for values in [
            &[][..],
            &[""],
            &["Bearer "],
            &[TOKEN],
            &[&format!("Bearer {TOKEN}0")],
            &[&format!("Bearer {}", &TOKEN[1..])],
            &[&format!("Bearer 1{}", &TOKEN[1..])],
            &[&format!("Basic  {TOKEN}")],
            &[&format!("Bearer {TOKEN}"), "Bearer other"],
        ] {
            assert!(!admitted(values), "{values:?}");
        }
    }

    #[test]
    fn a_token_that_can_be_guessed_is_an_error() {
        assert_eq!(Bearer::new("").unwrap_err(), BearerError::Short(0));
        assert_eq!(Bearer::new(&TOKEN[1..]).unwrap_err(), BearerError::Short(31));
        assert_eq!(Bearer::new(&format!("{TOKEN}\n")).unwrap_err(), BearerError::Character);
    }

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", Bearer::new(TOKEN).unwrap()).contains("0123"));
        assert!(!format!("{:?}", TokenArgs { token: TOKEN.to_owned() }).contains("0123"));
    }

    #[test]
    fn a_program_without_the_token_is_told_which_variable_is_missing() {
        let error = TokenArgs { token: String::new() }.bearer().unwrap_err();
        assert!(
            format!("{error:#}").starts_with("TEITEN_LINK_TOKEN: the token has 0 characters"),
            "{error:#}"
        );
    }
}
