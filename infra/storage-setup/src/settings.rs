//! What is wanted: `infra/settings/teiten.env`.

use std::{collections::BTreeMap, num::NonZeroU16, path::PathBuf, str::FromStr};

use teiten_bucket::Access;
use teiten_footage::{CameraId, Origin, OriginError};

use crate::policy::Component;

/// How a store is to be set up.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Bucket of batches.
    #[arg(skip)]
    pub frames: String,

    /// Bucket of segments and playlists.
    #[arg(skip)]
    pub media: String,

    /// Days for which batches are kept.
    #[arg(long, env = "TEITEN_FRAMES_RETENTION_DAYS", value_name = "DAYS", default_value = "1")]
    pub frames_days: NonZeroU16,

    /// Days for which footage is kept.
    #[arg(long, env = "TEITEN_MEDIA_RETENTION_DAYS", value_name = "DAYS", default_value = "7")]
    pub media_days: NonZeroU16,

    /// The same for single cameras: `front-door=30 garden=2`.
    #[arg(
        long,
        env = "TEITEN_MEDIA_RETENTION_DAYS_BY_CAMERA",
        value_name = "CAMERA=DAYS …",
        default_value = ""
    )]
    pub media_days_by_camera: ByName<CameraId, NonZeroU16>,

    /// Who may read footage.
    #[arg(long = "media-access", env = "TEITEN_MEDIA_ACCESS", value_enum, default_value_t = Access::Private)]
    pub access: Access,

    /// Origins of the pages that may play footage, separated by commas or spaces; `*` for every page.
    #[arg(long, env = "TEITEN_CORS_ORIGIN", value_name = "ORIGIN …", default_value = "*")]
    pub cors_origins: Origins,

    /// The store's users, where its bucket policies know users (AWS, Ceph): `bridge=arn:aws:iam:::user/bridge …`. A
    /// component that is named here gets its rights from the buckets' policies.
    #[arg(long, env = "TEITEN_STORAGE_PRINCIPALS", value_name = "COMPONENT=ARN …", default_value = "")]
    pub principals: ByName<Component, String>,

    /// A folder to write each component's policy to, `<component>.json`: for what makes users.
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
}

/// Batches that would outlive the footage that is made of them: `reconcile` would make anew what has expired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "batches are kept for {frames_days} days, footage of {of} for {media_days} only: keep batches no longer than footage"
)]
pub struct BatchesOutliveFootage {
    frames_days: NonZeroU16,
    media_days: NonZeroU16,
    of: String,
}

impl Settings {
    /// Whether no footage expires before the batches that it is made of.
    ///
    /// # Errors
    /// Where some does.
    pub fn batches_expire_first(&self) -> Result<(), BatchesOutliveFootage> {
        let by_camera = self.media_days_by_camera.0.iter().map(|(camera, days)| (camera.to_string(), days));
        let all = [("cameras".to_owned(), &self.media_days)].into_iter().chain(by_camera);
        let frames_days = self.frames_days;
        match all.into_iter().find(|(_, days)| **days < frames_days) {
            Some((of, days)) => Err(BatchesOutliveFootage { frames_days, media_days: *days, of }),
            None => Ok(()),
        }
    }
}

/// `name=value name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByName<K, V>(pub BTreeMap<K, V>);

impl<K: FromStr + Ord, V: FromStr> FromStr for ByName<K, V> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for pair in text.split_whitespace() {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not NAME=VALUE"))?;
            let key = name.parse().map_err(|_| format!("{pair:?}: there is no {name:?}"))?;
            let value = value.parse().map_err(|_| format!("{pair:?}: {value:?} is no value"))?;
            if values.insert(key, value).is_some() {
                return Err(format!("{name:?} is there twice"));
            }
        }
        Ok(Self(values))
    }
}

/// Origins separated by commas or spaces, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// As a store takes them.
    pub(crate) fn words(&self) -> Vec<String> {
        self.0.iter().map(Origin::to_string).collect()
    }
}

impl FromStr for Origins {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Origin::list(text).map(Self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        settings: Settings,
    }

    pub(crate) fn of(arguments: &[&str]) -> Settings {
        Args::try_parse_from([&["setup"], arguments].concat()).unwrap().settings
    }

    #[test]
    fn batches_that_outlive_footage_are_refused() {
        let outcome = |frames: &str, media: &str, by_camera: &str| {
            let days = ["--frames-days", frames, "--media-days", media, "--media-days-by-camera", by_camera];
            of(&days).batches_expire_first().map_err(|error| error.to_string())
        };
        assert_eq!(outcome("3", "3", "gate=3 garden=30"), Ok(()));
        assert!(outcome("3", "2", "").unwrap_err().contains("footage of cameras for 2 only"));
        assert!(outcome("3", "7", "gate=3 garden=2").unwrap_err().contains("footage of garden for 2 only"));
    }

    #[test]
    fn days_by_camera_are_pairs() {
        let days: ByName<CameraId, NonZeroU16> = " front-door=30  garden=2 ".parse().unwrap();
        assert_eq!(days.0.len(), 2);
        assert_eq!(days.0[&CameraId::new("garden").unwrap()].get(), 2);
        assert!("".parse::<ByName<CameraId, NonZeroU16>>().unwrap().0.is_empty());
    }

    #[test]
    fn an_origin_that_no_browser_tells_is_refused() {
        let origins = of(&["--cors-origins", "https://a,https://b:8443"]).cors_origins;
        assert_eq!(origins.words(), ["https://a", "https://b:8443"]);
        for text in ["", "https://a/"] {
            assert!(text.parse::<Origins>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_pair_is_named() {
        for (text, word) in [
            ("front-door", "front-door"),
            ("Front=1", "Front"),
            ("a=0", "\"0\""),
            ("a=70000", "70000"),
            ("a=1 a=2", "twice"),
        ] {
            let error = text.parse::<ByName<CameraId, NonZeroU16>>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!("nobody=x".parse::<ByName<Component, String>>().is_err());
    }
}
