//! Makes an update: a RAUC bundle of what a slot of a card is made of, signed with the owner's key
//! (<https://rauc.readthedocs.io>, "Bundle Formats": verity).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

/// What the cameras of this project call themselves in `/etc/rauc/system.conf`.
const COMPATIBLE: &str = "teiten-camera";

/// Runs on the camera after a boot partition is written.
const HOOK: &str = include_str!("../../update/hook");

/// The contents of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The image of the boot partition (FAT).
    pub boot: PathBuf,
    /// The image of the root (squashfs).
    pub root: PathBuf,
    /// What the image calls itself.
    pub release: String,
}

impl Slot {
    /// As a build of the card leaves it in `folder`: `boot.vfat`, `root.squashfs`, `release`.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let release = folder.join("release");
        let text = fs::read_to_string(&release)
            .with_context(|| format!("{} cannot be read: build the image first", release.display()))?;
        let [boot, root] = ["boot.vfat", "root.squashfs"].map(|file| folder.join(file));
        for file in [&boot, &root] {
            ensure!(file.is_file(), "{} is missing: build the image first", file.display());
        }
        Ok(Self { boot, root, release: text.trim().to_owned() })
    }
}

/// Makes `bundle` of `slot`, signed with the certificate and key in the folder `signer`. A bundle that is there is
/// replaced as a whole.
pub fn make(slot: &Slot, signer: &Path, bundle: &Path) -> anyhow::Result<()> {
    let beside = bundle.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let content = tempfile::tempdir_in(beside).with_context(|| beside.display().to_string())?;
    let folder = content.path().join("content");
    fs::create_dir(&folder)?;
    for (from, to) in [(&slot.boot, "boot.vfat"), (&slot.root, "root.squashfs")] {
        fs::copy(from, folder.join(to)).with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    let hook = folder.join("hook");
    fs::write(&hook, HOOK)?;
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::write(folder.join("manifest.raucm"), manifest(&slot.release))?;
    let unfinished = content.path().join("bundle");
    let output = Command::new("rauc")
        .arg("bundle")
        .arg(format!("--cert={}", signer.join("certificate.pem").display()))
        .arg(format!("--key={}", signer.join("key.pem").display()))
        .args([&folder, &unfinished])
        .output()
        .context("rauc cannot be started")?;
    ensure!(
        output.status.success(),
        "rauc makes no bundle of {} and {}: {}",
        slot.boot.display(),
        slot.root.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    fs::rename(&unfinished, bundle).with_context(|| format!("{} cannot be written", bundle.display()))
}

fn manifest(release: &str) -> String {
    format!(
        "[update]\ncompatible={COMPATIBLE}\nversion={release}\n\n[bundle]\nformat=verity\n\n\
         [hooks]\nfilename=hook\n\n\
         [image.boot]\nfilename=boot.vfat\nhooks=post-install\n\n\
         [image.root]\nfilename=root.squashfs\n"
    )
}
