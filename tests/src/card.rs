//! The card that `just image-debian` makes, in an emulated Raspberry Pi, or in a machine of QEMU's own where it has to
//! be fast: the Pi's network carries 64 kB/s.
//!
//! QEMU starts a kernel without the Pi's own firmware, so this stands in for it: it reads `autoboot.txt` on the first
//! partition, and starts what is on the partition that the firmware would start
//! (<https://www.raspberrypi.com/documentation/computers/config_txt.html#autoboot-txt>).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    debian::succeed,
    machine::{Board, Hardware, Machine},
    process::project,
};

/// The folder that `just image-debian` makes.
pub fn image_folder() -> PathBuf {
    project().join("target/image-debian")
}

/// The partition of the settings.
const SETTINGS: usize = 1;

/// Why the Pi starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It is switched on, or was restarted without further ado.
    Ordinary,
    /// It was restarted with the firmware's flag set.
    Try,
}

/// A copy of the card with settings of its own.
pub struct Card {
    image: PathBuf,
    ssh_ports: Vec<u16>,
}

impl Card {
    /// Copies the card into `folder`, and replaces its settings by `settings` and the files beside them.
    pub fn with_settings(folder: &Path, settings: &str, beside: &[&Path]) -> anyhow::Result<Self> {
        let card = Self::without_settings(folder)?;
        card.put_settings(folder, settings, beside)?;
        Ok(card)
    }

    /// Copies the card into `folder`, and deletes its settings.
    pub fn without_settings(folder: &Path) -> anyhow::Result<Self> {
        let original = image_folder().join("teiten-debian.img");
        ensure!(original.is_file(), "{} is not built: run ./just image-debian", original.display());
        let image = folder.join("card.img");
        fs::copy(original, &image)?;
        let card = Self { image, ssh_ports: Vec::new() };
        succeed(card.mtool("mdel", SETTINGS)?.arg("::teiten.toml"))?;
        Ok(card)
    }

    /// Puts `settings` onto it, and the files beside them.
    pub fn put_settings(&self, folder: &Path, settings: &str, beside: &[&Path]) -> anyhow::Result<()> {
        let toml = folder.join("teiten.toml");
        fs::write(&toml, settings)?;
        succeed(self.mtool("mcopy", SETTINGS)?.arg("-o").arg(toml).args(beside).arg("::"))?;
        Ok(())
    }

    /// Has port 22 of its machines be this port of 127.0.0.1 here. Once more, it is that of a second network card.
    pub fn with_ssh(mut self, port: u16) -> Self {
        self.ssh_ports.push(port);
        self
    }

    /// Puts it into a Pi and switches that on. `modules` are drivers that no device of it asks for.
    pub async fn boot(&self, name: &str, folder: &Path, modules: &str) -> anyhow::Result<Machine> {
        self.start(Board::Pi3aPlus, Start::Ordinary, name, folder, modules, "").await
    }

    /// Does what the firmware does at a start: finds the partition, reads kernel, device tree and command line from it,
    /// and goes over to the kernel. `modules` are drivers that no device of the machine asks for, `more` is for the kernel's
    /// command line.
    pub async fn start(
        &self,
        board: Board,
        start: Start,
        name: &str,
        folder: &Path,
        modules: &str,
        more: &str,
    ) -> anyhow::Result<Machine> {
        let partition = self.boot_partition(start)?;
        let slot = folder.join(format!("{name}.slot"));
        fs::create_dir_all(&slot)?;
        let config = succeed(self.mtool("mtype", partition)?.arg("::config.txt"))?;
        let files = ["kernel8.img", "initramfs.gz", "cmdline.txt", device_tree(&config)];
        let sources = files.map(|file| format!("::{file}"));
        succeed(self.mtool("mcopy", partition)?.arg("-n").args(sources).arg(&slot))
            .with_context(|| format!("partition {partition} cannot be started"))?;
        let text = fs::read_to_string(slot.join("cmdline.txt"))?;
        // The console is where this machine has one.
        let words: Vec<_> = text.split_whitespace().filter(|word| !word.starts_with("console=")).collect();
        // The emulated Pi's own watchdog resets it when it is opened, so softdog is used in its place.
        let (watchdog, needed) = match board {
            Board::Pi3aPlus => ("/dev/watchdog1", "phy-generic,dwc2,cdc_ether"),
            Board::Virt => ("/dev/watchdog", "virtio_net"),
        };
        let mut networks: Vec<_> = self.ssh_ports.iter().map(|port| vec![(*port, 22)]).collect();
        if networks.is_empty() {
            networks.push(Vec::new());
        }
        let hardware = Hardware {
            board,
            kernel: &slot.join("kernel8.img"),
            initramfs: &slot.join("initramfs.gz"),
            command_line: &format!(
                "{} panic=-1 teiten.watchdog={watchdog} teiten.modules={needed},{modules} {more}",
                words.join(" ")
            ),
            card: Some(&self.image),
            networks: &networks,
        };
        Machine::start(name, folder, &hardware).await
    }

    /// The partition that the firmware starts.
    pub fn boot_partition(&self, start: Start) -> anyhow::Result<usize> {
        let text = succeed(self.mtool("mtype", SETTINGS)?.arg("::autoboot.txt"))?;
        ensure!(text.lines().any(|line| line == "tryboot_a_b=1"), "the card has no slots:\n{text}");
        let (all, tried) = text.split_once("[tryboot]").context("no slot can be tried")?;
        let section = if start == Start::Try { tried } else { all };
        let number = section.lines().find_map(|line| line.strip_prefix("boot_partition="));
        number
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("no partition is named:\n{text}"))
    }

    /// The owner's files on it, by name: everything on the first partition that no update may touch.
    pub fn settings(&self, folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let copies = tempfile::tempdir_in(folder)?;
        succeed(self.mtool("mcopy", SETTINGS)?.args(["-n", "::*"]).arg(copies.path()))?;
        let file = |entry: fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((name, fs::read(entry.path())?))
        };
        let mut files: BTreeMap<_, _> =
            fs::read_dir(copies.path())?.map(|entry| file(entry?)).collect::<anyhow::Result<_>>()?;
        files.remove("autoboot.txt");
        Ok(files)
    }

    /// The kernel's command line on a boot partition.
    pub fn command_line(&self, partition: usize) -> anyhow::Result<String> {
        succeed(self.mtool("mtype", partition)?.arg("::cmdline.txt"))
    }

    /// Whether anything is on a boot partition.
    pub fn is_written(&self, partition: usize) -> anyhow::Result<bool> {
        let mut first = [0; 512];
        File::open(&self.image)?.read_exact_at(&mut first, self.offset(partition)?)?;
        Ok(first.iter().any(|byte| *byte != 0))
    }

    /// What is on it, as a hash.
    pub fn hash(&self) -> anyhow::Result<String> {
        succeed(Command::new("sha256sum").arg("--binary").arg(&self.image))
    }

    /// A program of mtools for one of the first three partitions.
    fn mtool(&self, program: &str, partition: usize) -> anyhow::Result<Command> {
        Ok(mtool(program, &self.image, self.offset(partition)?))
    }

    /// Where one of the first three partitions begins.
    fn offset(&self, partition: usize) -> anyhow::Result<u64> {
        // The partition table of a PC: entries of 16 bytes at 446, with the first sector at their byte 8.
        let mut sector = [0; 4];
        let entry = 446 + 16 * (u64::try_from(partition)? - 1);
        File::open(&self.image)?.read_exact_at(&mut sector, entry + 8)?;
        Ok(u64::from(u32::from_le_bytes(sector)) * 512)
    }
}

/// The name by which a Pi 3A+ asks for its device tree
/// (<https://www.raspberrypi.com/documentation/computers/config_txt.html#upstream_kernel>).
fn device_tree(config: &str) -> &'static str {
    match config.lines().any(|line| line == "upstream_kernel=1") {
        true => "bcm2837-rpi-3-a-plus.dtb",
        false => "bcm2710-rpi-3-a-plus.dtb",
    }
}

/// A program of mtools for the FAT file system at `offset` in `image`.
pub fn mtool(program: &str, image: &Path, offset: u64) -> Command {
    let mut command = Command::new(program);
    command.arg("-i").arg(format!("{}@@{offset}", image.display()));
    command
}
