//! Debian's arm64 packages, unpacked: the kernel and programs of the tests' guests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::process::project;

/// The folder that the packages are unpacked in.
pub fn root() -> anyhow::Result<PathBuf> {
    let mut fetch = Command::new(project().join("edge-image/debian/fetch"));
    Ok(project().join(succeed(fetch.stderr(Stdio::inherit()))?.trim()))
}

/// A camera's agent is no larger than this. (A static glibc is a quarter of it.)
pub const AGENT_BYTES_MAX: u64 = 3 << 20;

/// The camera's agent for arm64, as `just agent` leaves it.
pub fn agent() -> anyhow::Result<PathBuf> {
    let agent = project().join("target/agent/teiten-agent");
    ensure!(agent.is_file(), "{} is not built: run ./just agent", agent.display());
    Ok(agent)
}

/// The version of the kernel, `6.1.0-1-arm64`.
pub fn kernel_version() -> anyhow::Result<String> {
    let modules = root()?.join("lib/modules");
    let entry = fs::read_dir(&modules)?.next().context("no kernel was unpacked")??;
    entry.file_name().into_string().ok().context("a kernel's version is no text")
}

/// The kernel.
pub fn kernel() -> anyhow::Result<PathBuf> {
    Ok(root()?.join("boot").join(format!("vmlinuz-{}", kernel_version()?)))
}

/// A Broadcom device tree by its name.
pub fn device_tree(name: &str) -> anyhow::Result<PathBuf> {
    Ok(root()?.join(format!("usr/lib/linux-image-{}/broadcom/{name}.dtb", kernel_version()?)))
}

/// What has to be loaded, in this order, for `module` (its name, perhaps followed by options): paths, each with
/// its options.
pub fn modules_for(module: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut words = module.split(' ');
    let mut modprobe = Command::new("/sbin/modprobe");
    modprobe.arg("--dirname").arg(root()?).args(["--set-version", &kernel_version()?, "--show-depends"]);
    modprobe.args(words.next());
    let options = words.collect::<Vec<_>>().join(" ");
    let listed = succeed(&mut modprobe)?;
    let paths: Vec<_> =
        listed.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim).collect();
    let last = paths.len().saturating_sub(1);
    let with_options = |(at, path): (usize, &&str)| {
        (PathBuf::from(path), if at == last { options.clone() } else { String::new() })
    };
    Ok(paths.iter().enumerate().map(with_options).collect())
}

/// V4l2loopback, built of Debian's source package for the kernel.
pub fn v4l2loopback() -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(root()?.join("usr/src"))?;
    let is_its = |path: &PathBuf| path.to_string_lossy().contains("/v4l2loopback-");
    let source = entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_its);
    let mut build = Command::new(project().join("edge-image/debian/module"));
    build.arg(source.context("v4l2loopback's sources were not unpacked")?);
    let folder = succeed(build.stderr(Stdio::inherit()))?;
    Ok(PathBuf::from(folder.trim()).join("v4l2loopback.ko"))
}

/// Packs `folder` as an initramfs.
pub fn pack_initramfs(folder: &Path, packed: &Path) -> anyhow::Result<()> {
    let pipeline = "find . | cpio --create --format=newc --owner=0:0 --quiet | gzip -1 >\"$0\"";
    succeed(Command::new("sh").current_dir(folder).args(["-c", pipeline]).arg(packed))?;
    Ok(())
}

/// Runs a command that must succeed, and returns what it prints.
pub fn succeed(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} failed:\n{said}{complaint}");
    Ok(said.into_owned())
}
