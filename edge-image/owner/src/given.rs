//! Which certificates cameras were given, so that those of a stolen one can be revoked, replaced ones too. In the owner's
//! folder, one a line, and behind it when it was revoked if it was:
//!
//! ```text
//! front-door 5d0c6f1ab8f04f2db5b1c6a2a7d1e90c 2026-11-23T04:05:01.234000Z
//! front-door 7a61e2c80e3d4b1f9a6cf0d3b2c4817e
//! ```
//!
//! What is revoked goes to the end, as what is given does: the second one was made after the first one was revoked.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use teiten_footage::{CameraId, Timestamp};

/// A certificate's serial number, as the bytes of a positive number.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Serial(Vec<u8>);

impl Serial {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// In hexadecimal digits, as openssl prints it.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Certificate {
    camera: CameraId,
    serial: Serial,
    revoked: Option<Timestamp>,
}

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Given {
    certificates: Vec<Certificate>,
}

/// A line that is not as the head of this file says, counted from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no certificate: put the file back from a copy")]
pub(crate) struct GivenError(usize);

impl Given {
    /// A camera has this certificate, known before or not.
    pub(crate) fn add(&mut self, camera: &CameraId, serial: Serial) {
        if !self.certificates.iter().any(|known| known.serial == serial) {
            self.certificates.push(Certificate { camera: camera.clone(), serial, revoked: None });
        }
    }

    /// Whether the camera had any.
    pub(crate) fn has(&self, camera: &CameraId) -> bool {
        self.certificates.iter().any(|known| known.camera == *camera)
    }

    /// Whether any of the camera's is revoked.
    pub(crate) fn has_revoked(&self, camera: &CameraId) -> bool {
        self.certificates.iter().any(|known| known.camera == *camera && known.revoked.is_some())
    }

    /// Whether this one of the camera's was made after all its others were revoked.
    pub(crate) fn is_the_replacement(&self, camera: &CameraId, serial: &Serial) -> bool {
        let mut newest_first = self.certificates.iter().rev().filter(|known| known.camera == *camera);
        newest_first.next().is_some_and(|last| last.serial == *serial && last.revoked.is_none())
            && self.has_revoked(camera)
            && newest_first.all(|known| known.revoked.is_some())
    }

    /// Revokes all certificates of the camera but one; how many were not revoked before.
    pub(crate) fn revoke(&mut self, camera: &CameraId, but: Option<&Serial>, now: Timestamp) -> usize {
        let is_hit = |known: &mut Certificate| {
            known.camera == *camera && known.revoked.is_none() && Some(&known.serial) != but
        };
        let hit: Vec<_> = self.certificates.extract_if(.., is_hit).collect();
        let count = hit.len();
        self.certificates.extend(hit.into_iter().map(|known| Certificate { revoked: Some(now), ..known }));
        count
    }

    /// Those that are revoked, and since when.
    pub(crate) fn revoked(&self) -> impl Iterator<Item = (&Serial, Timestamp)> {
        self.certificates.iter().filter_map(|known| Some((&known.serial, known.revoked?)))
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Certificate { camera, serial, revoked } in &self.certificates {
            write!(f, "{camera} {serial}")?;
            if let Some(revoked) = revoked {
                write!(f, " {revoked}")?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

impl FromStr for Given {
    type Err = GivenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines = text.lines().enumerate();
        let certificates = lines.map(|(at, line)| certificate(line).ok_or(GivenError(at + 1)));
        Ok(Self { certificates: certificates.collect::<Result<_, _>>()? })
    }
}

fn certificate(line: &str) -> Option<Certificate> {
    let mut words = line.split(' ');
    let (camera, digits) = (CameraId::new(words.next()?).ok()?, words.next()?);
    let revoked = words.next().map(|time| Timestamp::from_rfc3339(time).ok_or(())).transpose().ok()?;
    let serial = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    let serial = Serial(serial.collect::<Option<_>>()?);
    (words.next().is_none() && !serial.0.is_empty()).then_some(Certificate { camera, serial, revoked })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "yard 4a01 2026-11-23T04:05:01.234000Z\nyard 4b02\ngate 4c03\n";

    fn revoked(given: &Given) -> Vec<String> {
        given.revoked().map(|(serial, _)| serial.to_string()).collect()
    }

    #[test]
    fn what_was_given_and_revoked_is_written_and_read() {
        let now = Timestamp::from_unix_millis(1_795_406_701_234);
        let [yard, gate] = ["yard", "gate"].map(|name| CameraId::new(name).unwrap());
        let mut given = Given::default();
        given.add(&yard, Serial::new(&[0x4A, 1]));
        assert_eq!(given.revoke(&yard, None, now), 1);
        given.add(&yard, Serial::new(&[0x4B, 2]));
        given.add(&gate, Serial::new(&[0x4C, 3]));
        given.add(&gate, Serial::new(&[0x4C, 3]));
        assert_eq!(given.to_string(), TEXT);
        assert_eq!(TEXT.parse::<Given>().unwrap().to_string(), TEXT);
        for wrong in ["yard", "yard 4", "yard 4x", "yard 4a01 yesterday", "Yard 4a01", "yard 4a01 a b"] {
            assert_eq!(
                format!("gate 4c03\n{wrong}\n").parse::<Given>().err(),
                Some(GivenError(2)),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_cameras_certificates_are_revoked_once_and_no_others() {
        let (mut given, yard) = (TEXT.parse::<Given>().unwrap(), CameraId::new("yard").unwrap());
        given.add(&yard, Serial::new(&[0x4D, 4]));
        assert_eq!(given.revoke(&yard, Some(&Serial::new(&[0x4D, 4])), Timestamp::Y2020), 1);
        assert_eq!(revoked(&given), ["4a01", "4b02"]);
        assert_eq!(given.revoke(&yard, None, Timestamp::Y2020), 1);
        assert_eq!(revoked(&given), ["4a01", "4b02", "4d04"]);
        assert!(given.has(&yard) && !given.has(&CameraId::new("shed").unwrap()));
    }

    #[test]
    fn a_replacement_is_what_was_made_after_all_others_were_revoked() {
        let mut given = Given::default();
        let [yard, gate] = ["yard", "gate"].map(|name| CameraId::new(name).unwrap());
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|number| Serial::new(&[number]));
        given.add(&yard, first.clone());
        given.add(&gate, Serial::new(&[5]));
        assert!(!given.is_the_replacement(&yard, &first), "nothing was revoked");
        given.add(&yard, second.clone());
        given.revoke(&yard, Some(&second), Timestamp::Y2020);
        assert!(!given.is_the_replacement(&yard, &second), "it was there when the first one was revoked");
        given.revoke(&yard, None, Timestamp::Y2020);
        assert!(!given.is_the_replacement(&yard, &second), "it is revoked itself");
        given.add(&yard, third.clone());
        given.add(&gate, Serial::new(&[6]));
        let mut given: Given = given.to_string().parse().unwrap();
        assert!(given.is_the_replacement(&yard, &third));
        given.add(&yard, fourth.clone());
        assert!(!given.is_the_replacement(&yard, &fourth), "the third one is still good");
    }
}
