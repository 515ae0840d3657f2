//! The owner's folder, kept outside of version control: the authority, the certificates of broker and bridge,
//! and for each camera the folder of files that goes onto its card.
//!
//! ```text
//! cameras/owner.toml                                    what was last told: broker, Wi-Fi
//! cameras/ca.teiten/{ca.pem,key.pem}                    the authority; `given` are the certificates that cameras were given
//! cameras/broker.teiten/{ca,certificate,key}.pem        for the broker; `names` are those that it is good for
//! cameras/broker.teiten/revoked.pem                     whom it is not to let in any more
//! cameras/bridge.teiten/{ca,certificate,key}.pem        for the bridge
//! cameras/owner.teiten/{ca,certificate,key}.pem         for the owner's own tools
//! cameras/updates.teiten/{ca,certificate,key}.pem       signs updates
//! cameras/NAME/{teiten.toml,ca.pem,certificate.pem,key.pem,updates.pem}   for the card of NAME
//! ```
//!
//! A camera's name has no dot, so the names cannot meet.

mod revocation;

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use teiten_footage::{CameraId, Timestamp};

use crate::{
    authority::{Authority, BRIDGE, BrokerHost, Identity, OWNER, ends_soon},
    settings::{self, Wifi},
};

use revocation::REVOKED;
pub use revocation::{Revoked, Which};

/// The port of MQTT over TLS, as registered.
pub const TLS_PORT: u16 = 8883;

/// The files of a camera's card, in the order in which they are useful to look at.
pub const CARD_FILES: [&str; 5] = ["teiten.toml", "ca.pem", "certificate.pem", "key.pem", UPDATES];

/// The authority whose updates a camera takes: the owner's, in a file of its own, for a broker can have another one.
const UPDATES: &str = "updates.pem";

/// What is the same for all cameras of an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// The broker's names and addresses, in the order in which they were told. Its certificate is good for all
    /// of them; cameras use the first.
    pub broker: Vec<String>,
    /// The broker's port.
    pub port: u16,
    /// The wireless network; none for cameras on a cable.
    pub wifi: Option<Wifi>,
}

/// The owner's folder.
pub struct Cameras {
    folder: PathBuf,
}

/// What adding a camera did beside it.
#[derive(Debug, PartialEq, Eq)]
pub struct Added {
    /// The folder of files for its card.
    pub folder: PathBuf,
    /// Whether the broker has a new certificate, which must be installed.
    pub broker_renewed: bool,
    /// Folders of other certificates that are new, as those of before end soon. Who has copies of those needs new ones.
    pub others_renewed: Vec<PathBuf>,
}

/// A certificate that is made when it is missing, and anew before it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// The folder that it is in.
    pub folder: PathBuf,
    /// Whether it takes the place of one that ends soon. Who has a copy of that needs a new one.
    pub renewed: bool,
}

/// What a broker and its bridge need.
#[derive(Debug)]
pub struct Desk {
    /// The authority's certificate.
    pub ca: String,
    /// The broker's server certificate.
    pub broker: Identity,
    /// Whom the broker is not to let in any more: a list of revoked certificates (PEM).
    pub revoked: String,
    /// The bridge's client certificate.
    pub bridge: Identity,
}

impl Cameras {
    /// The owner's folder at `folder`, which need not be there yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// What was last told; `None` before the first camera.
    pub fn home(&self) -> anyhow::Result<Option<Home>> {
        let path = self.folder.join("owner.toml");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("{} cannot be read", path.display()))?,
        };
        toml::from_str(&text).map(Some).with_context(|| path.display().to_string())
    }

    /// The folder of files for the card of `camera`.
    pub fn card(&self, camera: &CameraId) -> PathBuf {
        self.folder.join(camera.as_str())
    }

    /// The folder of the certificate that signs updates. (Cameras know the authority that has signed it, so they take
    /// another one, too.)
    pub fn updates(&self, now: Timestamp) -> anyhow::Result<PathBuf> {
        Ok(self.identity("updates.teiten", |authority| authority.updates(now), now)?.folder)
    }

    /// The certificate by which a broker knows the owner's own tools.
    pub fn owner(&self, now: Timestamp) -> anyhow::Result<Kept> {
        self.identity(OWNER, |authority| authority.owner(now), now)
    }

    fn identity(
        &self,
        name: &str,
        make: impl FnOnce(&Authority) -> Result<Identity, rcgen::Error>,
        now: Timestamp,
    ) -> anyhow::Result<Kept> {
        ensure!(
            self.home()?.is_some(),
            "{} has no camera yet, and thus no key: ./just camera add NAME",
            self.folder.display()
        );
        let authority = self.authority(now)?;
        self.keep(name, now, || make(&authority))
    }

    /// Makes what is missing, and the folder of `camera`. One that is there is refused, or with `renew` gets a
    /// new certificate; its settings stay as they are.
    pub fn add(&self, camera: &CameraId, home: &Home, renew: bool, now: Timestamp) -> anyhow::Result<Added> {
        let card = self.card(camera);
        let exists = card.exists();
        ensure!(
            renew || !exists,
            "the camera {camera} is there already, in {}. Take another name, or give it a new certificate with \
             --renew (its settings stay as they are)",
            card.display()
        );
        ensure!(exists || !renew, "there is no camera {camera} in {} to renew", self.folder.display());
        let hosts = home
            .broker
            .iter()
            .map(|host| host.parse::<BrokerHost>())
            .collect::<Result<Vec<_>, _>>()
            .context("the broker")?;
        let Some(host) = hosts.first() else { bail!("the broker's name or address is missing") };
        ensure!(
            !host.is_mdns_name(),
            "no camera finds {host}: its card has no mDNS. Give the broker's address first, or a name that your router \
             knows: --broker"
        );
        let text = settings::ready(camera, host, home.port, home.wifi.as_ref());
        teiten_agent::Config::from_toml(&text).context("a camera would not accept this")?;

        make_folder(&self.folder)?;
        let authority = self.authority(now)?;
        let broker_renewed = self.broker(&authority, &hosts, now)?;
        let others = [
            self.keep(BRIDGE, now, || authority.bridge(now))?,
            self.keep(OWNER, now, || authority.owner(now))?,
        ];
        let others = others.into_iter().filter(|kept| kept.renewed);
        let others_renewed = others.map(|kept| kept.folder).collect();
        let mut given = self.given(camera)?;
        let identity = self.give(&mut given, &authority, camera, now)?;
        let trusted = read(&self.folder.join("ca.teiten/ca.pem"))?;
        if exists {
            write(&card.join(UPDATES), &trusted)?;
            self.write_identity(&card, &identity)?;
        } else {
            // All or nothing: a folder that is there is complete.
            let unfinished = self.folder.join(format!("{camera}.unfinished"));
            make_folder(&unfinished)?;
            write(&unfinished.join("teiten.toml"), &text)?;
            write(&unfinished.join(UPDATES), &trusted)?;
            self.write_identity(&unfinished, &identity)?;
            fs::rename(&unfinished, &card).with_context(|| format!("{} cannot be made", card.display()))?;
        }
        write(&self.folder.join("owner.toml"), &toml::to_string(home)?)?;
        Ok(Added { folder: card, broker_renewed, others_renewed })
    }

    /// The authority's certificate; `None` where the folder has no authority yet.
    pub fn trusted(&self) -> anyhow::Result<Option<String>> {
        let folder = self.folder.join("ca.teiten");
        if !folder.join("key.pem").exists() {
            return Ok(None);
        }
        read(&folder.join("ca.pem")).map(Some)
    }

    fn authority(&self, now: Timestamp) -> anyhow::Result<Authority> {
        let folder = self.folder.join("ca.teiten");
        let key = folder.join("key.pem");
        if !key.exists() {
            ensure!(
                !self.folder.join("owner.toml").exists(),
                "{} is gone, and every camera trusts it alone: put it back from a copy",
                key.display()
            );
            let Identity { certificate, key: private } = Authority::create(now)?;
            make_folder(&folder)?;
            write(&folder.join("ca.pem"), &certificate)?;
            write(&key, &private)?;
        }
        Authority::from_key(&read(&key)?).with_context(|| format!("{} is no private key", key.display()))
    }

    /// Makes what is missing of what a broker and its bridge need elsewhere: the broker's certificate is good for all
    /// of `hosts`, and for all that it was good for before.
    pub fn desk(&self, hosts: &[BrokerHost], now: Timestamp) -> anyhow::Result<Desk> {
        make_folder(&self.folder)?;
        let authority = self.authority(now)?;
        self.broker(&authority, hosts, now)?;
        self.keep(BRIDGE, now, || authority.bridge(now))?;
        // Who has a copy of it would not hear that it is another one: `add` tells.
        if !self.folder.join(OWNER).exists() {
            self.keep(OWNER, now, || authority.owner(now))?;
        }
        let identity = |name: &str| -> anyhow::Result<Identity> {
            let folder = self.folder.join(name);
            Ok(Identity {
                certificate: read(&folder.join("certificate.pem"))?,
                key: read(&folder.join("key.pem"))?,
            })
        };
        Ok(Desk {
            ca: read(&self.folder.join("ca.teiten/ca.pem"))?,
            broker: identity("broker.teiten")?,
            revoked: read(&self.folder.join(REVOKED))?,
            bridge: identity(BRIDGE)?,
        })
    }

    /// A certificate for `camera` that is kept nowhere.
    pub fn passing(&self, camera: &CameraId, now: Timestamp) -> anyhow::Result<Identity> {
        Ok(self.authority(now)?.camera(camera, now)?)
    }

    /// The broker's certificate, made if it is missing, not good for all hosts, or ends soon. Its names are beside it, and the
    /// list of revoked certificates.
    fn broker(&self, authority: &Authority, hosts: &[BrokerHost], now: Timestamp) -> anyhow::Result<bool> {
        let folder = self.folder.join("broker.teiten");
        let names = folder.join("names");
        let known = match fs::read_to_string(&names) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(_) => self.home()?.map(|home| home.broker).unwrap_or_default(),
        };
        let known = known.iter().map(|host| host.parse()).collect::<Result<Vec<BrokerHost>, _>>()?;
        if !self.folder.join(REVOKED).exists() {
            self.list(authority, &self.all_given()?)?;
        }
        let lasts = certificate(&folder)?.is_some_and(|certificate| !ends_soon(&certificate, now));
        if lasts && hosts.iter().all(|host| known.contains(host)) {
            return Ok(false);
        }
        let mut all = hosts.to_vec();
        all.extend(known.into_iter().filter(|host| !hosts.contains(host)));
        self.write_identity(&folder, &authority.broker(&all, now)?)?;
        write(&names, &all.iter().map(|host| format!("{host}\n")).collect::<String>())?;
        Ok(true)
    }

    fn keep(
        &self,
        name: &str,
        now: Timestamp,
        make: impl FnOnce() -> Result<Identity, rcgen::Error>,
    ) -> anyhow::Result<Kept> {
        let folder = self.folder.join(name);
        let known = certificate(&folder)?;
        let renewed = known.as_ref().is_some_and(|certificate| ends_soon(certificate, now));
        if renewed || known.is_none() {
            make_folder(&folder)?;
            self.write_identity(&folder, &make()?)?;
        }
        Ok(Kept { folder, renewed })
    }

    /// The key first, the certificate last: where there is a certificate, the rest is there too.
    fn write_identity(&self, folder: &Path, identity: &Identity) -> anyhow::Result<()> {
        write(&folder.join("ca.pem"), &read(&self.folder.join("ca.teiten/ca.pem"))?)?;
        write(&folder.join("key.pem"), &identity.key)?;
        write(&folder.join("certificate.pem"), &identity.certificate)
    }
}

/// The certificate in a folder, if it has one.
fn certificate(folder: &Path) -> anyhow::Result<Option<String>> {
    let path = folder.join("certificate.pem");
    path.exists().then(|| read(&path)).transpose()
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("{} cannot be made", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Replaces a file as a whole; only its owner can read it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let result = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    })();
    result.with_context(|| format!("{} cannot be written", path.display()))
}
