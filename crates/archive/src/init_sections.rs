//! Init sections (ISO/IEC 14496-12 §8.2.1, a `moov` without samples), and what they tell of the pictures that need them.

use std::collections::{BTreeMap, BTreeSet};

use mp4_atom::{Avc1, Codec, Decode as _, Ftyp, Moov};
use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, ContentHash, InitKey};
use tracing::warn;

/// What was taken for an init section is none of Teiten's form.
#[derive(Debug, thiserror::Error)]
#[error("it is no init section: {0}")]
pub struct InitError(String);

/// The sample entry in an init section (ISO/IEC 14496-12 §8.5.2).
pub fn sample_entry(mut init: &[u8]) -> Result<Avc1, InitError> {
    let moov = Ftyp::decode(&mut init).and_then(|_| Moov::decode(&mut init));
    let moov = moov.map_err(|error| InitError(error.to_string()))?;
    let entry =
        moov.trak.into_iter().next().and_then(|track| track.mdia.minf.stbl.stsd.codecs.into_iter().next());
    match entry {
        Some(Codec::Avc1(entry)) => Ok(entry),
        _ => Err(InitError("its track is not H.264".to_owned())),
    }
}

/// What init sections tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitSections {
    /// The size of each.
    pub(crate) bytes: BTreeMap<ContentHash, u32>,
    /// The codecs (RFC 6381).
    pub(crate) codecs: BTreeSet<String>,
    /// The largest picture's columns and rows.
    pub(crate) size: (u16, u16),
}

impl InitSections {
    /// Takes in what an init section says of its pictures.
    fn note(&mut self, entry: &Avc1) {
        let (config, picture) = (&entry.avcc, &entry.visual);
        let (profile, level) = (config.avc_profile_indication, config.avc_level_indication);
        self.codecs.insert(format!("avc1.{profile:02x}{:02x}{level:02x}", config.profile_compatibility));
        let area = |(width, height): (u16, u16)| u32::from(width) * u32::from(height);
        self.size = [self.size, (picture.width, picture.height)]
            .into_iter()
            .max_by_key(|size| area(*size))
            .unwrap_or_default();
    }

    /// What the init sections with these `hashes` tell: a request for each. One that is not there, or not ours, tells nothing.
    pub async fn of(
        media: &dyn Bucket,
        camera: &CameraId,
        hashes: impl IntoIterator<Item = ContentHash>,
    ) -> Result<Self, BucketError> {
        let mut inits = Self::default();
        for hash in hashes.into_iter().collect::<BTreeSet<_>>() {
            let key = InitKey { camera: camera.clone(), hash }.to_string();
            let Some(init) = media.get(&key).await? else {
                warn!(key, "init section is gone");
                continue;
            };
            inits.bytes.insert(hash, init.bytes.len() as u32);
            match sample_entry(&init.bytes) {
                Ok(entry) => inits.note(&entry),
                Err(error) => warn!(key, %error, "init section tells no codec"),
            }
        }
        Ok(inits)
    }

    /// The size of one, if it is there.
    pub(crate) fn bytes_of(&self, hash: ContentHash) -> Option<u32> {
        self.bytes.get(&hash).copied()
    }
}
