//! The certificates that cameras were given, and the list of those that are revoked.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use teiten_footage::{CameraId, Timestamp};

use super::{Cameras, certificate, make_folder, read, write};
use crate::{
    authority::{Authority, Identity, serial_of},
    given::Given,
};

/// The certificates that cameras were given, in the owner's folder.
const GIVEN: &str = "ca.teiten/given";

/// Those that are revoked, for the broker.
pub(super) const REVOKED: &str = "broker.teiten/revoked.pem";

/// Which of a camera's certificates are to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All, once: none if the present one was made after all others were revoked. Who asks a second time has forgotten what
    /// the broker needs, and has the present one in a camera.
    Once,
    /// All, the present one too.
    All,
    /// Those that another one took the place of.
    Replaced,
}

/// What revoking a camera's certificates did.
#[derive(Debug, PartialEq, Eq)]
pub struct Revoked {
    /// How many there were that were not revoked before.
    pub certificates: usize,
    /// The list of all that are revoked, which the broker must have.
    pub list: PathBuf,
    /// The folder of files for the camera's card, if it has a new certificate.
    pub renewed: Option<PathBuf>,
    /// Whether the camera's present certificate stays good.
    pub stays: bool,
}

impl Cameras {
    /// Revokes certificates that `camera` was given, and gives it a new one where its present one is among them and its
    /// folder is there.
    pub fn revoke(&self, camera: &CameraId, which: Which, now: Timestamp) -> anyhow::Result<Revoked> {
        let mut given = self.given(camera)?;
        ensure!(given.has(camera), "no camera {camera} has a certificate of {}", self.folder.display());
        let authority = self.authority(now)?;
        let card = self.card(camera);
        let last = certificate(&card)?.and_then(|certificate| serial_of(&certificate));
        ensure!(
            which != Which::Replaced || last.is_some(),
            "{} has no certificate of {camera}, so which one is in use is not known: put the folder back",
            card.display()
        );
        let stays = last.as_ref().filter(|last| match which {
            Which::Once => given.is_the_replacement(camera, last),
            Which::All => false,
            Which::Replaced => true,
        });
        let certificates = given.revoke(camera, stays, now);
        ensure!(given.has_revoked(camera), "{camera} has no certificate that another one took the place of");
        let stays = stays.is_some();
        // On record before it is anywhere else.
        let identity = match card.exists() && !stays {
            true => Some(self.give(&mut given, &authority, camera, now)?),
            false => self.remember(&given).map(|()| None)?,
        };
        let list = self.list(&authority, &given)?;
        if let Some(identity) = &identity {
            self.write_identity(&card, identity)?;
        }
        Ok(Revoked { certificates, list, renewed: identity.map(|_| card), stays })
    }

    /// What cameras were given, `camera`'s present certificate included.
    pub(super) fn given(&self, camera: &CameraId) -> anyhow::Result<Given> {
        let mut given = self.all_given()?;
        if let Some(serial) = certificate(&self.card(camera))?.and_then(|known| serial_of(&known)) {
            given.add(camera, serial);
        }
        Ok(given)
    }

    pub(super) fn all_given(&self) -> anyhow::Result<Given> {
        let path = self.folder.join(GIVEN);
        if !path.exists() {
            return Ok(Given::default());
        }
        read(&path)?.parse().with_context(|| path.display().to_string())
    }

    /// A new certificate for `camera`, which is remembered.
    pub(super) fn give(
        &self,
        given: &mut Given,
        authority: &Authority,
        camera: &CameraId,
        now: Timestamp,
    ) -> anyhow::Result<Identity> {
        let identity = authority.camera(camera, now)?;
        given.add(camera, serial_of(&identity.certificate).context("a certificate has no serial number")?);
        self.remember(given)?;
        Ok(identity)
    }

    fn remember(&self, given: &Given) -> anyhow::Result<()> {
        write(&self.folder.join(GIVEN), &given.to_string())
    }

    /// Writes the list of revoked certificates for the broker.
    pub(super) fn list(&self, authority: &Authority, given: &Given) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(REVOKED);
        make_folder(&self.folder.join("broker.teiten"))?;
        write(&path, &authority.revoked(given)?)?;
        Ok(path)
    }
}
