//! Recorded JPEGs, played at a steady rate as if they were captured now.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use teiten_footage::{
    Unstamped,
    jpeg::{self, Piece},
};
use tokio::fs;
use tracing::{info, warn};

use super::{Health, Outlet, Ticker};
use crate::{config::Rate, stamper::Picture};

/// The largest `.mjpeg` file: it is held in memory.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The JPEGs to play, in order; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reel(Vec<Still>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Still {
    File(PathBuf),
    Bytes(Bytes),
}

impl Still {
    async fn picture(&self) -> io::Result<Unstamped> {
        let unstamped = match self {
            Self::Bytes(jpeg) => Unstamped::new(jpeg),
            Self::File(path) => Unstamped::new(&fs::read(path).await?),
        };
        unstamped.map_err(io::Error::other)
    }
}

/// Where it is from.
impl fmt::Display for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes(jpeg) => write!(f, "one of {} bytes", jpeg.len()),
        }
    }
}

impl Reel {
    /// The JPEGs of a directory, or of a file of concatenated ones.
    pub(super) async fn open(path: &Path) -> anyhow::Result<Self> {
        let what = || format!("footage {} cannot be played", path.display());
        let metadata = fs::metadata(path).await.with_context(what)?;
        let stills = if metadata.is_dir() {
            directory(path).await.with_context(what)?
        } else if metadata.len() > FILE_BYTES_MAX {
            bail!("{}: it has more than {FILE_BYTES_MAX} bytes, split it to files in a directory", what());
        } else {
            file(path).await.with_context(what)?
        };
        ensure!(!stills.is_empty(), "{}: there is no JPEG in it", what());
        Ok(Self(stills))
    }
}

async fn directory(path: &Path) -> io::Result<Vec<Still>> {
    let mut paths = Vec::new();
    let mut listing = fs::read_dir(path).await?;
    while let Some(file) = listing.next_entry().await? {
        let path = file.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["jpg", "jpeg"].contains(&extension.to_ascii_lowercase().as_str()) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(Still::File).collect())
}

async fn file(path: &Path) -> io::Result<Vec<Still>> {
    let bytes = Bytes::from(fs::read(path).await?);
    let mut foreign_bytes = 0;
    let mut stills = Vec::new();
    for piece in jpeg::split(&bytes) {
        match piece {
            Piece::Jpeg(jpeg) => stills.push(Still::Bytes(bytes.slice_ref(jpeg))),
            Piece::Foreign { length, .. } => foreign_bytes += length,
        }
    }
    if foreign_bytes > 0 {
        warn!(path = %path.display(), bytes = foreign_bytes, "the footage has bytes that are no JPEG, left out");
    }
    Ok(stills)
}

/// Gives one picture at each tick: once, or (`repeat`) again and again.
pub(super) async fn play(Reel(mut stills): Reel, rate: Rate, repeat: bool, outlet: Outlet) {
    let mut ticker = Ticker::new(rate.period());
    outlet.health.send_replace(Health::Flowing);
    let mut at = 0;
    while let Some(still) = stills.get(at) {
        match still.picture().await {
            Ok(jpeg) => {
                let rate = outlet.demand.borrow().rate(rate);
                let captured = ticker.tick(rate.period()).await;
                if outlet.pictures.send(Picture { captured, jpeg }).await.is_err() {
                    return;
                }
                at += 1;
            }
            Err(error) => {
                warn!(%still, %error, "a picture of the footage cannot be played, left out");
                stills.remove(at);
            }
        }
        if repeat && at == stills.len() {
            at = 0;
        }
    }
    info!("the footage has ended");
}

#[cfg(test)]
mod tests {
    use teiten_footage::CameraId;

    use super::*;
    use crate::{config::PictureSize, pattern::Painter, source::tests::outlet};

    fn jpegs(count: u64) -> Vec<Vec<u8>> {
        let mut painter = Painter::new(&CameraId::new("a").unwrap(), PictureSize::default());
        (0..count).map(|i| painter.jpeg(teiten_footage::Timestamp::from_unix_millis(1 + i))).collect()
    }

    async fn played(path: &Path, repeat: bool, count: usize) -> Vec<Bytes> {
        let reel = Reel::open(path).await.unwrap();
        let (outlet, mut receiver) = outlet();
        let task = tokio::spawn(play(reel, Rate::new(120.0).unwrap(), repeat, outlet));
        let mut jpegs = Vec::new();
        while jpegs.len() < count
            && let Some(picture) = receiver.recv().await
        {
            jpegs.push(Bytes::copy_from_slice(picture.jpeg.jpeg()));
        }
        drop(receiver);
        task.await.unwrap();
        jpegs
    }

    #[tokio::test]
    async fn a_directory_is_played_in_the_order_of_its_names() {
        let place = tempfile::tempdir().unwrap();
        let jpegs = jpegs(3);
        for (name, jpeg) in ["10.jpg", "2.JPEG", "a.jpg"].iter().zip(&jpegs) {
            std::fs::write(place.path().join(name), jpeg).unwrap();
        }
        std::fs::write(place.path().join("notes.txt"), b"no picture").unwrap();
        assert_eq!(played(place.path(), false, 10).await, jpegs);
        assert_eq!(played(place.path(), true, 6).await, [jpegs.clone(), jpegs].concat());
    }

    #[tokio::test]
    async fn a_file_that_vanished_or_is_torn_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        let jpegs = jpegs(3);
        for (name, jpeg) in ["1.jpg", "2.jpg", "3.jpg"].iter().zip(&jpegs) {
            std::fs::write(place.path().join(name), jpeg).unwrap();
        }
        let reel = Reel::open(place.path()).await.unwrap();
        std::fs::remove_file(place.path().join("3.jpg")).unwrap();
        std::fs::write(place.path().join("2.jpg"), &jpegs[1][..jpegs[1].len() / 2]).unwrap();
        let (outlet, mut receiver) = outlet();
        play(reel, Rate::new(120.0).unwrap(), false, outlet).await;
        assert_eq!(receiver.recv().await.unwrap().jpeg.jpeg(), jpegs[0]);
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_file_of_concatenated_jpegs_is_played_one_by_one_and_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("yard.mjpeg");
        let jpegs = jpegs(3);
        std::fs::write(&path, jpegs.concat()).unwrap();
        assert_eq!(played(&path, false, 10).await, jpegs);
        assert_eq!(played(&path, true, 6).await, [jpegs.clone(), jpegs].concat());
    }

    #[tokio::test]
    async fn footage_without_a_jpeg_is_an_error_at_start() {
        let place = tempfile::tempdir().unwrap();
        let empty = Reel::open(place.path()).await.unwrap_err();
        assert!(empty.to_string().ends_with("there is no JPEG in it"), "{empty:#}");
        assert!(Reel::open(&place.path().join("nowhere")).await.is_err());
    }
}
