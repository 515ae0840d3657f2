//! The name of a camera: a DNS label (RFC 1123 §2.1), so that it is safe in topics, keys, host names and
//! certificates alike.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a camera, `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CameraId(Arc<str>);

/// A name that is no [`CameraId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no camera name: use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit \
     at both ends"
)]
pub struct CameraIdError {
    name: String,
}

impl CameraId {
    /// The longest name, in bytes.
    pub const LENGTH_MAX: usize = 63;

    /// Checks `name`.
    pub fn new(name: &str) -> Result<Self, CameraIdError> {
        if is_dns_label(name) {
            Ok(Self(name.into()))
        } else {
            Err(CameraIdError { name: name.chars().take(80).collect() })
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `name` is `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
pub(crate) fn is_dns_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= CameraId::LENGTH_MAX
        && bytes.iter().copied().all(inside)
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

impl FromStr for CameraId {
    type Err = CameraIdError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for CameraId {
    type Error = CameraIdError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<CameraId> for String {
    fn from(camera: CameraId) -> Self {
        camera.as_str().to_owned()
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_a_camera_name_and_nothing_else_is() {
        for name in ["a", "7", "front-door", "x--y", &"a".repeat(63)] {
            assert_eq!(CameraId::new(name).unwrap().as_str(), name);
        }
        for name in ["", "-a", "a-", "A", "a_b", "a/b", "a.b", "é", "a+b", "#", &"a".repeat(64)] {
            assert!(CameraId::new(name).is_err(), "{name:?}");
        }
    }
}
