//! The card that `just image-debian` makes, in an emulated Raspberry Pi.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::ensure;

use crate::{
    debian::succeed,
    machine::{Board, Hardware, Machine},
    process::project,
};

/// Where the first partition is in the image.
const BOOT_OFFSET: &str = "1M";

/// A copy of the card with settings of its own.
pub struct Card {
    image: PathBuf,
}

impl Card {
    /// Copies the card into `folder`, and replaces its settings by `settings` and the files beside them.
    pub fn with_settings(folder: &Path, settings: &str, beside: &[&Path]) -> anyhow::Result<Self> {
        let original = project().join("target/image-debian/teiten-debian.img");
        ensure!(original.is_file(), "{} is not built: run ./just image-debian", original.display());
        let image = folder.join("card.img");
        fs::copy(original, &image)?;
        let toml = folder.join("teiten.toml");
        fs::write(&toml, settings)?;
        let partition = format!("{}@@{BOOT_OFFSET}", image.display());
        succeed(Command::new("mcopy").args(["-o", "-i", &partition]).arg(toml).args(beside).arg("::"))?;
        Ok(Self { image })
    }

    /// Puts it into a Pi and switches that on. `modules` are drivers that no device of it asks for.
    pub async fn boot(&self, name: &str, folder: &Path, modules: &str) -> anyhow::Result<Machine> {
        let boot = project().join("target/image-debian/boot");
        let hardware = Hardware {
            board: Board::Pi3aPlus,
            kernel: &boot.join("kernel8.img"),
            initramfs: &boot.join("initramfs.gz"),
            // The emulated Pi's own watchdog resets it when it is opened, so softdog is used in its place.
            command_line: &format!(
                "quiet panic=-1 iomem=relaxed teiten.watchdog=/dev/watchdog1 \
                 teiten.modules=phy-generic,dwc2,cdc_ether,{modules}"
            ),
            card: Some(&self.image),
            ports: &[],
        };
        Machine::start(name, folder, &hardware).await
    }

    /// What is on it, as a hash.
    pub fn hash(&self) -> anyhow::Result<String> {
        succeed(Command::new("sha256sum").arg("--binary").arg(&self.image))
    }
}
