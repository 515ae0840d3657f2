//! The multivariant playlist of live footage, for players that want one.

use std::time::Duration;

use bytes::Bytes;
use teiten_archive::{BitRate, Footage, InitSections, PLAYLIST_HEADERS, ShellError, Variant, multivariant};
use teiten_bucket::{Bucket, Condition};
use teiten_footage::{CameraId, ContentHash, SegmentKey, key, limits::target_duration_seconds};

/// The multivariant playlist of live footage. It names one rendition; keyframes have none, live.
#[derive(Debug, Default)]
pub(crate) struct LiveVariants {
    /// The init section that it was written for, and how many bits a second it promises at most.
    written: Option<(ContentHash, u64)>,
}

impl LiveVariants {
    /// Writes it, if what is newly stored is not as it says.
    pub(crate) async fn keep(
        &mut self,
        media: &dyn Bucket,
        camera: &CameraId,
        footage: &[Footage],
    ) -> Result<(), ShellError> {
        let newest = footage.iter().max_by_key(|item| item.key.window.start());
        let Some(SegmentKey { window, init, .. }) = newest.map(|item| &item.key) else { return Ok(()) };
        let sizes = footage.iter().map(|item| (item.key.window, item.size_bytes));
        let rate = BitRate::of(sizes, Duration::from_secs(target_duration_seconds(window.length())));
        if rate.peak == 0 {
            return Ok(());
        }
        let init = *init;
        // What is to come is not known: a step upwards leaves room, and is rarely taken.
        let promised = rate.peak.next_power_of_two();
        if self.written.is_some_and(|(known, most)| known == init && promised <= most) {
            return Ok(());
        }
        let inits = InitSections::of(media, camera, [init]).await?;
        let whole = Variant { uri: "live.m3u8".to_owned(), rate: BitRate { peak: promised, average: None } };
        let text = Bytes::from(multivariant(&whole, None, &inits));
        media.put(&key::live_variants_key(camera), text, PLAYLIST_HEADERS, Condition::Always).await?;
        self.written = Some((init, promised));
        Ok(())
    }
}
