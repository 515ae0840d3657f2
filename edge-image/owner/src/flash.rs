//! Writes an image with a camera's settings onto a card, and reads it back.
//!
//! The settings are put into the FAT partition of a copy of the image (by mtools, so nothing is mounted), and the
//! copy is written as a whole.

mod facts;
mod verdict;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek as _, SeekFrom, Write},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

pub use facts::{Facts, System};
pub use verdict::{Objection, verdict};

/// What is written or compared at once.
const CHUNK_BYTES: usize = 4 << 20;

/// Where the partition table of a PC begins, and how long an entry is (type at 4, first sector at 8).
const TABLE_AT: usize = 446;
const ENTRY_BYTES: usize = 16;
const SECTOR_BYTES: u64 = 512;
/// FAT16 and FAT32, with and without LBA.
const FAT_TYPES: [u8; 5] = [0x04, 0x06, 0x0B, 0x0C, 0x0E];

/// A copy of `image`, in `folder`, with `files` in the first FAT partition.
pub fn prepare(image: &Path, files: &[PathBuf], folder: &Path) -> anyhow::Result<PathBuf> {
    let copy = folder.join("card.img");
    fs::copy(image, &copy).with_context(|| format!("{} cannot be copied", image.display()))?;
    let offset = fat_offset(&copy)?;
    let mut command = Command::new("mcopy");
    command.arg("-o").arg("-i").arg(format!("{}@@{offset}", copy.display())).args(files).arg("::");
    let output = command.output().context("mcopy (mtools) cannot be started")?;
    ensure!(
        output.status.success(),
        "the settings do not fit into {}: {}",
        image.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(copy)
}

/// Where the first FAT partition of an image begins, in bytes.
fn fat_offset(image: &Path) -> anyhow::Result<u64> {
    let mut sector = [0; SECTOR_BYTES as usize];
    File::open(image)?
        .read_exact(&mut sector)
        .with_context(|| format!("{} is too short for an image", image.display()))?;
    let entries = sector[TABLE_AT..TABLE_AT + 4 * ENTRY_BYTES].chunks(ENTRY_BYTES);
    let fat = entries.into_iter().find(|entry| FAT_TYPES.contains(&entry[4]));
    match fat {
        Some(entry) if sector.ends_with(&[0x55, 0xAA]) => {
            Ok(u64::from(u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]])) * SECTOR_BYTES)
        }
        _ => bail!("{} is no card image: it has no FAT partition", image.display()),
    }
}

/// Opens a card to write it. A disk that the kernel itself knows to be in use is refused, unless that is overruled.
pub fn open(device: &Path, use_is_overruled: bool) -> io::Result<File> {
    let is_disk = fs::metadata(device)?.file_type().is_block_device();
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if is_disk && !use_is_overruled {
        // The kernel refuses a disk that is in use (open(2), O_EXCL without O_CREAT): a last safeguard.
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_EXCL);
    }
    options.open(device)
}

/// Writes all of `image` to `card`, which is called `device`, waits until it is there, and reads it back. `progress` is
/// told the bytes written and read, of twice the image's.
pub fn write(
    mut image: File,
    mut card: File,
    device: &Path,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<()> {
    let bytes = image.metadata()?.len();
    let is_disk = card.metadata()?.file_type().is_block_device();
    let mut done = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    each_chunk(&mut image, &mut chunk, |data| {
        card.write_all(data).with_context(|| format!("writing to {} failed", device.display()))?;
        // Chunk by chunk, so that progress is what is on the card.
        card.sync_data().with_context(|| format!("{} does not keep what is written", device.display()))?;
        done += data.len() as u64;
        progress(done);
        Ok(())
    })?;
    card.sync_all()?;
    if is_disk {
        forget_cached(&card, bytes)?;
    }
    card.seek(SeekFrom::Start(0))?;
    image.seek(SeekFrom::Start(0))?;
    let mut read_back = vec![0; CHUNK_BYTES];
    let mut at = 0;
    each_chunk(&mut image, &mut chunk, |data| {
        let back = &mut read_back[..data.len()];
        card.read_exact(back).with_context(|| format!("{} cannot be read back", device.display()))?;
        if let Some(wrong) = back.iter().zip(data).position(|(back, data)| back != data) {
            bail!(
                "{} reads back something else than was written, at byte {}: take another card",
                device.display(),
                at + wrong as u64
            );
        }
        at += data.len() as u64;
        progress(bytes + at);
        Ok(())
    })
}

fn each_chunk(
    source: &mut File,
    chunk: &mut [u8],
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    loop {
        let mut filled = 0;
        while filled < chunk.len() {
            match source.read(&mut chunk[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        each(&chunk[..filled])?;
    }
}

/// Drops what the kernel has in memory of the card, so that reading back reads the card.
fn forget_cached(card: &File, bytes: u64) -> anyhow::Result<()> {
    rustix::fs::fadvise(card, 0, std::num::NonZeroU64::new(bytes), rustix::fs::Advice::DontNeed)
        .context("what was written cannot be read back from the card itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 MiB with a FAT partition in its second half.
    fn image(folder: &Path) -> PathBuf {
        let path = folder.join("image.img");
        let mut bytes = vec![0; 2 << 20];
        bytes[TABLE_AT + 4] = 0x0C;
        bytes[TABLE_AT + 8..TABLE_AT + 12].copy_from_slice(&2048_u32.to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        fs::write(&path, bytes).unwrap();
        let partition = format!("{}@@1M", path.display());
        let made = Command::new("mformat").args(["-i", &partition, "-T", "2048", "::"]).status().unwrap();
        assert!(made.success());
        path
    }

    #[test]
    fn a_card_has_the_image_and_the_settings_and_the_image_stays_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let image = image(place.path());
        let before = fs::read(&image).unwrap();
        let settings = place.path().join("teiten.toml");
        fs::write(&settings, "camera = \"yard\"\n").unwrap();
        let copy = File::open(prepare(&image, &[settings], place.path()).unwrap()).unwrap();
        let card = place.path().join("card");
        fs::write(&card, vec![0xFF; 5 << 20]).unwrap();
        let mut steps = Vec::new();
        write(copy, open(&card, false).unwrap(), &card, |done| steps.push(done)).unwrap();
        assert_eq!(steps.last(), Some(&(4 << 20)));
        let output = Command::new("mtype")
            .args(["-i", &format!("{}@@1M", card.display()), "::teiten.toml"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"camera = \"yard\"\n");
        let written = fs::read(&card).unwrap();
        assert_eq!(written.len(), 5 << 20, "a card keeps its size");
        assert!(written[2 << 20..].iter().all(|byte| *byte == 0xFF), "nothing behind the image is touched");
        assert_eq!(fs::read(&image).unwrap(), before);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("holiday.jpg");
        for content in [vec![], vec![0xD8; 4096]] {
            fs::write(&path, content).unwrap();
            assert!(prepare(&path, &[], place.path()).is_err());
        }
    }

    #[test]
    fn a_card_that_is_too_small_or_full_fails() {
        let place = tempfile::tempdir().unwrap();
        let image = File::open(image(place.path())).unwrap();
        let full = Path::new("/dev/full");
        assert!(write(image, open(full, false).unwrap(), full, |_| {}).is_err());
    }
}
