//! A Linux guest that does what a test tells it: Debian's kernel, busybox, the modules and files that the test
//! wants, and a shell at its console.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::{
    debian,
    machine::{Board, Hardware, Machine},
};

/// What a guest is made of.
#[derive(Debug, Default)]
pub struct Ingredients {
    /// Kernel modules to load, each perhaps with options: `vivid n_devs=1`.
    pub modules: Vec<String>,
    /// Modules that Debian's kernel does not have, built for it, with their options. They come last.
    pub built: Vec<(PathBuf, String)>,
    /// Files: where they are here, and where they are to be in the guest (an absolute path).
    pub files: Vec<(PathBuf, String)>,
    /// More for the kernel's command line.
    pub command_line: String,
}

/// A running guest. Its agent is `/bin/teiten-agent`; the 127.0.0.1 of this host is its 10.0.2.2.
pub struct Guest {
    /// The computer that it runs on.
    pub machine: Machine,
}

/// An emulated computer on a busy machine takes this long at most until it has a shell.
const BOOT_MAX: Duration = Duration::from_secs(300);

impl Guest {
    /// Boots a guest on `board`; everything of it is kept in `folder`.
    pub async fn boot(board: Board, folder: &Path, ingredients: &Ingredients) -> anyhow::Result<Self> {
        let initramfs = folder.join("guest.initramfs");
        build(board, &folder.join("guest-root"), ingredients, &initramfs)?;
        let hardware = Hardware {
            board,
            kernel: &debian::kernel()?,
            initramfs: &initramfs,
            command_line: &format!("quiet panic=-1 {}", ingredients.command_line),
            card: None,
            networks: &[Vec::new()],
        };
        let machine = Machine::start("guest", folder, &hardware).await?;
        machine.says("@@ready", BOOT_MAX).await?;
        Ok(Self { machine })
    }

    /// Runs a shell command (one line) and returns what it prints. Something that is to go on running ends
    /// with `&`.
    ///
    /// # Errors
    /// If it fails, or takes longer than `wait_max`.
    pub async fn run(&mut self, command: &str, wait_max: Duration) -> anyhow::Result<String> {
        ensure!(!command.contains('\n'), "a command is one line");
        let seen = self.machine.console().len();
        self.machine.types(command)?;
        let done =
            self.machine.says_after(seen, "@@done", wait_max).await.with_context(|| command.to_owned())?;
        let console = self.machine.console();
        let said = console[seen..].split("@@done").next().unwrap_or_default().to_owned();
        ensure!(done.ends_with("@@done 0"), "{command}: {done}\n{said}");
        Ok(said)
    }
}

/// The shell at the console: runs each line that it is given, and says when it is done.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module options; do
  insmod "/modules/$module" $options || echo "no module $module"
done </modules/list
until ip link set "$(cat /interface)" up 2>/dev/null; do usleep 20000; done
ip link set lo up
ip addr add 10.0.2.15/24 dev "$(cat /interface)"
ip route add default via 10.0.2.2
stty -echo
echo @@ready
while read -r line; do
  eval "$line" </dev/null
  echo "@@done $?"
done
poweroff -f
"#;

fn build(board: Board, root: &Path, ingredients: &Ingredients, initramfs: &Path) -> anyhow::Result<()> {
    for folder in ["bin", "dev", "proc", "sys", "tmp", "modules"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = debian::root()?.join("bin/busybox");
    let (modules, interface): (&[&str], _) = match board {
        Board::Virt => (&["virtio_mmio", "virtio_net"], "eth0"),
        Board::Pi3aPlus => (&["bcm2835_wdt", "phy-generic", "dwc2", "cdc_ether"], "usb0"),
    };
    for (from, to) in [(busybox, "/bin/busybox"), (debian::agent()?, "/bin/teiten-agent")] {
        copy(&from, root, to)?;
    }
    symlink("busybox", root.join("bin/sh"))?;
    for (from, to) in &ingredients.files {
        copy(from, root, to)?;
    }
    let mut list = String::new();
    let mut listed = HashSet::new();
    let mut all = Vec::new();
    for module in modules.iter().copied().chain(ingredients.modules.iter().map(String::as_str)) {
        all.extend(debian::modules_for(module)?);
    }
    all.extend(ingredients.built.iter().cloned());
    for (path, options) in all {
        let name = path.file_name().and_then(|name| name.to_str()).context("a module's name")?.to_owned();
        if listed.insert(name.clone()) {
            copy(&path, root, &format!("/modules/{name}"))?;
            list += &format!("{name} {options}\n");
        }
    }
    fs::write(root.join("modules/list"), list)?;
    fs::write(root.join("interface"), interface)?;
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    debian::pack_initramfs(root, initramfs)
}

fn copy(from: &Path, root: &Path, to: &str) -> anyhow::Result<()> {
    let to = root.join(to.trim_start_matches('/'));
    fs::create_dir_all(to.parent().context("a file in a folder")?)?;
    fs::copy(from, &to).with_context(|| from.display().to_string())?;
    Ok(())
}
