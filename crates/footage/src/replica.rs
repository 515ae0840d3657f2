//! The name of a bridge among those that share the cameras.

use std::{fmt, str::FromStr, sync::Arc};

use crate::camera::is_dns_label;

/// The name of a replica of the bridge: a DNS label, such as its pod's name. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(Arc<str>);

/// A name that is no [`ReplicaId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no name of a bridge: use 1 to 63 lower-case letters, digits and hyphens, with a letter or \
     digit at both ends"
)]
pub struct ReplicaIdError {
    name: String,
}

impl ReplicaId {
    /// Checks `name`.
    pub fn new(name: &str) -> Result<Self, ReplicaIdError> {
        if is_dns_label(name) {
            Ok(Self(name.into()))
        } else {
            Err(ReplicaIdError { name: name.chars().take(80).collect() })
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReplicaId {
    type Err = ReplicaIdError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
