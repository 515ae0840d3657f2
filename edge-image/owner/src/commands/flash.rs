//! `flash`.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Error, anyhow, bail, ensure};
use clap::Args;
use teiten_footage::CameraId;

use super::ask::ask;
use crate::{
    cameras::{CARD_FILES, Cameras},
    flash::{Facts, Objection, System, open, prepare, verdict, write},
};

/// What is written where.
#[derive(Debug, Args)]
pub struct Flash {
    /// The card: a whole disk such as /dev/sdb or /dev/mmcblk0, or a file.
    device: PathBuf,
    /// The camera, made by `camera add`.
    name: CameraId,
    /// The image to write; `./just image-debian` makes this one.
    #[arg(long, default_value = "target/image-debian/teiten-debian.img")]
    image: PathBuf,
    /// Writes even to a disk that is mounted, in use or not removable; never to one that this machine runs from.
    #[arg(long)]
    force: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

/// Writes a card.
pub fn flash(cameras: &Cameras, arguments: &Flash) -> anyhow::Result<()> {
    let Flash { device, name, image, force, yes } = arguments;
    let card = cameras.card(name);
    ensure!(card.is_dir(), "there is no camera {name} yet: ./just camera add {name}");
    let files = checked_files(&card, name)?;
    let device = fs::canonicalize(device).with_context(|| format!("{} is not there", device.display()))?;
    let kind = fs::metadata(&device)?.file_type();
    ensure!(kind.is_file() || kind.is_block_device(), "{} is neither a disk nor a file", device.display());
    let bytes = fs::metadata(image)
        .with_context(|| {
            format!(
                "there is no image {}: make it (./just image-debian), or name another (--image)",
                image.display()
            )
        })?
        .len();
    ensure!(
        fs::canonicalize(image).is_ok_and(|image| image != device),
        "{} is the image itself: the card comes first",
        image.display()
    );
    let (facts, overruled) = match kind.is_block_device() {
        true => allowed(&device, bytes, *force).map(|(facts, overruled)| (Some(facts), overruled))?,
        false => (None, Vec::new()),
    };
    // Before anything is asked or copied.
    let disk =
        open(&device, overruled.iter().any(Objection::is_use)).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                let command = as_root(arguments, card.parent().unwrap_or(&card));
                anyhow!("you may not write to {}. This may:\n    {command}", device.display())
            }
            _ => Error::from(error).context(format!("{} cannot be opened", device.display())),
        })?;
    if let Some(Facts { model, bytes, .. }) = facts {
        let gigabytes = bytes.unwrap_or_default() as f64 / 1e9;
        println!("{}: {model}, {gigabytes:.1} GB. Everything on it will be lost.", device.display());
        let sure = *yes
            || ask(&format!("Write {} with the settings of {name}? [y/N]", image.display()), "--yes")?
                .trim()
                .eq_ignore_ascii_case("y");
        ensure!(sure, "nothing was written");
    }
    // The settings have a key in them: the folder is for this user alone, and gone before the minutes begin in which somebody
    // may end this.
    let folder = tempfile::tempdir()?;
    let prepared = File::open(prepare(image, &files, folder.path())?)?;
    drop(folder);
    write(prepared, disk, &device, |done| {
        eprint!(
            "\r{} {:3} %",
            if done <= bytes { "writing" } else { "reading back" },
            done * 50 / bytes.max(1)
        );
    })?;
    eprintln!();
    println!("{} is the card of {name}: put it into the Raspberry Pi.", device.display());
    Ok(())
}

/// The files in the folder `card`, if with them a card is that of the camera `name`. Says what in its settings is hardly
/// meant so.
fn checked_files(card: &Path, name: &CameraId) -> anyhow::Result<Vec<PathBuf>> {
    let settings = card.join("teiten.toml");
    let (config, hints) = teiten_agent::check(&settings)?;
    let camera = config.camera;
    ensure!(
        camera == *name,
        "{} is of {camera}: for {name} it has to say camera = \"{name}\"",
        settings.display()
    );
    hints.iter().for_each(|hint| eprintln!("{}: {hint}", settings.display()));
    let files = CARD_FILES.map(|file| card.join(file));
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        bail!("{} is missing: ./just camera add {name} --renew makes it anew", missing.display());
    }
    Ok(files.into())
}

/// What is known of a disk that may be written, and what `force` has overruled.
fn allowed(device: &Path, bytes: u64, force: bool) -> anyhow::Result<(Facts, Vec<Objection>)> {
    let disk = device.file_name().context("a device without a name")?.to_string_lossy();
    let facts = System::default().disk(&disk)?;
    let objections = match verdict(&facts, bytes, force) {
        Ok(overruled) => return Ok((facts, overruled)),
        Err(objections) => objections,
    };
    for objection in &objections {
        eprintln!("{}: {objection}", device.display());
    }
    let forced = objections.iter().all(Objection::can_be_forced);
    bail!("nothing was written{}", if forced { " (--force writes all the same)" } else { "" })
}

/// The command that flashes as root: of this program, for `sudo ./just` would build everything as root.
fn as_root(Flash { device, name, image, force, yes }: &Flash, folder: &Path) -> String {
    let program = env::current_exe().unwrap_or_else(|_| "teiten-owner".into());
    let [program, folder, device, image] = [program.as_path(), folder, device, image].map(in_shell);
    let flags = [(*force, " --force"), (*yes, " --yes")];
    let flags: String = flags.iter().filter_map(|(given, flag)| given.then_some(*flag)).collect();
    format!("sudo {program} --folder {folder} flash {device} {name} --image {image}{flags}")
}

/// A path as a shell's word.
fn in_shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if is_plain { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
