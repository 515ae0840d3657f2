//! May this device be overwritten? A decision over facts.

use std::{fmt, path::Path};

use super::Facts;

/// A reason not to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// A partition, not the disk: a card boots from its partition table.
    Partition {
        /// The disk that it is on.
        disk: String,
    },
    /// A reader, or a slot of one, without a card.
    Empty,
    /// The image is larger.
    TooSmall {
        /// The image's bytes.
        needed: u64,
    },
    /// Its file systems are in use.
    Mounted {
        /// Where.
        at: Vec<String>,
    },
    /// It is swapped to.
    Swap {
        /// The disk or partition.
        name: String,
    },
    /// LVM, RAID or encryption is on top of it.
    Held {
        /// Which devices.
        by: Vec<String>,
    },
    /// A disk that stays in its computer.
    NotRemovable,
}

impl Objection {
    /// Whether `--force` overrules it. What could not work anyway, or would write under a running system, it
    /// does not.
    pub fn can_be_forced(&self) -> bool {
        match self {
            Self::Partition { .. } | Self::Empty | Self::TooSmall { .. } | Self::Swap { .. } => false,
            Self::Mounted { at } => !at.iter().any(|at| is_of_the_system(at)),
            Self::Held { .. } | Self::NotRemovable => true,
        }
    }

    /// Whether the kernel refuses to open such a disk for one user alone.
    pub fn is_use(&self) -> bool {
        !matches!(self, Self::NotRemovable)
    }
}

/// Whether a running system, or its user's files, may be what is mounted there.
fn is_of_the_system(at: &str) -> bool {
    at == "/" || ["/boot", "/home", "/usr", "/var"].iter().any(|folder| Path::new(at).starts_with(folder))
}

/// What is wrong, and what to do.
impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { disk } => write!(f, "it is a partition: give the whole disk, {disk}"),
            Self::Empty => f.write_str("there is no card in it: a reader has a disk for each of its slots"),
            Self::TooSmall { needed } => write!(f, "it is too small: the image has {needed} bytes"),
            Self::Mounted { at } => {
                write!(f, "it is mounted at {}: unmount it, if it is the right disk", at.join(", "))
            }
            Self::Swap { name } => write!(f, "{name} is swap space: is this the right disk?"),
            Self::Held { by } => write!(f, "it is in use by {}: is this the right disk?", by.join(", ")),
            Self::NotRemovable => f.write_str("it is not removable: is this the right disk?"),
        }
    }
}

/// Everything that speaks against writing `image_bytes` to the device of `facts`; or, if nothing is left of that, what
/// `force` has overruled.
pub fn verdict(facts: &Facts, image_bytes: u64, force: bool) -> Result<Vec<Objection>, Vec<Objection>> {
    let mut objections = Vec::new();
    if let Some(disk) = &facts.partition_of {
        objections.push(Objection::Partition { disk: disk.clone() });
    }
    match facts.bytes {
        Some(0) => objections.push(Objection::Empty),
        Some(bytes) if bytes < image_bytes => objections.push(Objection::TooSmall { needed: image_bytes }),
        _ => {}
    }
    if !facts.mounted_at.is_empty() {
        objections.push(Objection::Mounted { at: facts.mounted_at.clone() });
    }
    objections.extend(facts.swap.iter().map(|name| Objection::Swap { name: name.clone() }));
    if !facts.holders.is_empty() {
        objections.push(Objection::Held { by: facts.holders.clone() });
    }
    if !facts.removable {
        objections.push(Objection::NotRemovable);
    }
    let (overruled, objections): (Vec<_>, Vec<_>) =
        objections.into_iter().partition(|objection| force && objection.can_be_forced());
    if objections.is_empty() { Ok(overruled) } else { Err(objections) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Facts {
        Facts {
            name: "sdb".into(),
            model: "Reader".into(),
            bytes: Some(8 << 30),
            partition_of: None,
            mounted_at: Vec::new(),
            swap: Vec::new(),
            holders: Vec::new(),
            removable: true,
        }
    }

    #[test]
    fn a_removable_disk_that_nobody_uses_may_be_written() {
        assert_eq!(verdict(&card(), 1 << 28, false), Ok(Vec::new()));
    }

    #[test]
    fn a_disk_in_use_is_refused_unless_forced() {
        for (facts, is_use) in [
            (Facts { mounted_at: vec!["/media/card".into()], ..card() }, true),
            (Facts { mounted_at: vec!["/homes".into()], ..card() }, true),
            (Facts { holders: vec!["dm-0".into()], ..card() }, true),
            (Facts { removable: false, ..card() }, false),
        ] {
            let objections = verdict(&facts, 1 << 28, false).unwrap_err();
            assert!(objections.len() == 1 && objections[0].can_be_forced(), "{facts:?}");
            // The kernel's own word counts where nobody has overruled that.
            assert_eq!(objections[0].is_use(), is_use, "{facts:?}");
            assert_eq!(verdict(&facts, 1 << 28, true), Ok(objections));
        }
    }

    #[test]
    fn the_disk_of_a_running_system_is_refused_even_if_forced() {
        let mounted = |at: &str| Facts {
            mounted_at: vec![at.into(), "/media/card".into()],
            removable: false,
            ..card()
        };
        for facts in [
            mounted("/"),
            mounted("/boot/efi"),
            mounted("/usr"),
            mounted("/var/lib/mysql"),
            mounted("/home"),
            Facts { swap: vec!["sdb2".into()], ..card() },
        ] {
            let objections = verdict(&facts, 1 << 28, true).unwrap_err();
            assert!(objections.len() == 1 && !objections[0].can_be_forced(), "{facts:?}: {objections:?}");
        }
    }

    #[test]
    fn a_partition_or_a_small_card_is_refused_even_if_forced() {
        let partition = Facts { partition_of: Some("/dev/sdb".into()), ..card() };
        assert!(verdict(&partition, 1 << 28, true).unwrap_err()[0].to_string().contains("/dev/sdb"));
        assert!(verdict(&card(), 9 << 30, true).is_err());
    }

    #[test]
    fn a_slot_without_a_card_is_not_called_too_small() {
        let objections = verdict(&Facts { bytes: Some(0), ..card() }, 1 << 28, true).unwrap_err();
        assert_eq!(objections, [Objection::Empty]);
        assert!(objections[0].to_string().contains("no card"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let system_disk = Facts {
            mounted_at: vec!["/".into(), "/boot/efi".into()],
            swap: vec!["sda2".into()],
            holders: vec!["dm-0".into()],
            removable: false,
            ..card()
        };
        assert_eq!(verdict(&system_disk, 1, false).unwrap_err().len(), 4);
    }
}
