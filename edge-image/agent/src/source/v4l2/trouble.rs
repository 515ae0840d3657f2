//! What can go wrong with a camera: why there are no pictures, and what to do.

use std::{io, time::Duration};

use rustix::io::Errno;

use crate::source::Loss;

/// Why there are no pictures, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("there is no {device}: plug the camera in, or name another one in source.device")]
    Missing { device: String },
    #[error("{device} may not be opened: run the agent as a member of the group that owns it (video)")]
    Forbidden { device: String },
    #[error("{device} is in use: stop the other program")]
    InUse { device: String },
    #[error("{device} offers no {asked}: change format, width or height in [source]; it offers {offered}")]
    NotOffered { device: String, asked: String, offered: String },
    #[error(
        "{device} refuses {asked}, though it offers it ({why}): change format, width, height or rate in [source]"
    )]
    Refused { device: String, asked: String, why: String },
    #[error("{device} is no camera ({why}): name another one in source.device")]
    NoCamera { device: String, why: String },
    #[error("{device} failed ({why}): check its cable and its power")]
    Failed { device: String, why: String },
    #[error("no picture for {} s: check the camera's cable and its power", after.as_secs())]
    Stalled { after: Duration },
    #[error("no whole picture for {} s: check the camera's cable and its power, or choose a smaller size", after.as_secs())]
    OnlyTorn { after: Duration },
    #[error("the camera's driver has not come back for {} s: plug the camera in anew, or restart the machine", after.as_secs())]
    Hung { after: Duration },
    #[error("the camera's driver did something that is not expected of one")]
    Unexpected,
}

impl Trouble {
    /// What an error of the operating system means for a device.
    pub(super) fn of(device: &str, error: &io::Error) -> Self {
        let device = device.to_owned();
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NXIO | Errno::NODEV) => Self::Missing { device },
            Some(Errno::ACCESS | Errno::PERM) => Self::Forbidden { device },
            Some(Errno::BUSY) => Self::InUse { device },
            Some(Errno::NOTTY) => Self::NoCamera { device, why: error.to_string() },
            _ => Self::Failed { device, why: error.to_string() },
        }
    }

    /// What it is counted as.
    pub(super) fn loss(&self) -> Loss {
        match self {
            Self::Missing { .. } => Loss::Missing,
            Self::InUse { .. } => Loss::InUse,
            Self::NotOffered { .. } | Self::Refused { .. } => Loss::Refused,
            Self::Stalled { .. } | Self::OnlyTorn { .. } | Self::Hung { .. } => Loss::Stalled,
            Self::Forbidden { .. } | Self::NoCamera { .. } | Self::Failed { .. } | Self::Unexpected => {
                Loss::Failed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_told_apart() {
        let loss = |errno: Errno| Trouble::of("/dev/video0", &errno.into()).loss();
        assert_eq!([Errno::NOENT, Errno::NXIO, Errno::NODEV].map(loss), [Loss::Missing; 3]);
        assert_eq!(loss(Errno::BUSY), Loss::InUse);
        assert_eq!([Errno::IO, Errno::INVAL, Errno::NOTTY].map(loss), [Loss::Failed; 3]);
    }

    #[test]
    fn what_is_wrong_says_what_to_do() {
        let trouble = Trouble::of("/dev/video0", &Errno::NODEV.into());
        assert_eq!(
            trouble.to_string(),
            "there is no /dev/video0: plug the camera in, or name another one in source.device"
        );
    }
}
