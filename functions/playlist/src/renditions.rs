//! What there is of an hour beside its playlist, once it is ended: its keyframes alone (EXT-X-I-FRAMES-ONLY, draft-pantos-hls-rfc8216bis
//! §4.4.3.6), for players that wind through it, and the multivariant playlist that names both (§4.4.6). All are of the same objects.
//! Live footage has a multivariant playlist too.

use std::fmt::Write as _;

use bytes::Bytes;
use teiten_bucket::{Bucket, Condition};
use teiten_footage::{CameraId, ContentHash, Window, key};

use crate::{
    advance::Footage,
    hour::HourPlaylist,
    init_sections::InitSections,
    listing::Stored,
    shell::{PLAYLIST_HEADERS, ShellError},
    sizes::Sizes,
};

/// One way to play the footage (EXT-X-STREAM-INF and EXT-X-I-FRAME-STREAM-INF, §4.4.6.2 and §4.4.6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Where its playlist is.
    pub uri: String,
    /// How much it takes.
    pub rate: BitRate,
}

/// How many bits a second it takes to play something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BitRate {
    /// In the window that takes most.
    pub peak: u64,
    /// On average, if that is known.
    pub average: Option<u64>,
}

impl BitRate {
    /// Of windows with so many bytes each.
    pub fn of(windows: impl IntoIterator<Item = (Window, u64)>) -> Self {
        let (mut peak, mut bytes, mut millis) = (0, 0, 0);
        for (window, size) in windows {
            let length = u64::from(window.length().millis());
            peak = peak.max((size * 8000).div_ceil(length));
            bytes += size;
            millis += length;
        }
        Self { peak, average: (bytes * 8000).checked_div(millis) }
    }

    /// Of what is stored, and of its keyframes.
    pub fn of_stored(stored: &[Stored]) -> (Self, Self) {
        let whole = stored.iter().map(|item| (item.listing.window, item.size_bytes));
        let keyframes = stored
            .iter()
            .filter_map(|item| Some((item.listing.window, item.listing.keyframe_bytes()?.into())));
        (Self::of(whole), Self::of(keyframes))
    }
}

/// The multivariant playlist of what is the same footage: as a whole and, if there is such a playlist, by its keyframes.
pub fn multivariant(whole: &Variant, keyframes: Option<&Variant>, inits: &InitSections) -> String {
    let attributes = |rate: BitRate| {
        let mut text = format!("BANDWIDTH={}", rate.peak.max(1));
        if let Some(average) = rate.average {
            let _ = write!(text, ",AVERAGE-BANDWIDTH={}", average.max(1));
        }
        if !inits.codecs.is_empty() {
            let codecs: Vec<&str> = inits.codecs.iter().map(String::as_str).collect();
            let (width, height) = inits.size;
            let _ = write!(text, ",CODECS=\"{}\",RESOLUTION={width}x{height}", codecs.join(","));
        }
        text
    };
    let mut text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
    let _ = writeln!(text, "#EXT-X-STREAM-INF:{}\n{}", attributes(whole.rate), whole.uri);
    if let Some(Variant { uri, rate }) = keyframes {
        let _ = writeln!(text, "#EXT-X-I-FRAME-STREAM-INF:{},URI=\"{uri}\"", attributes(*rate));
    }
    text
}

/// Writes what is beside an ended playlist, whose keyframes are known. `sizes` are those of what it lists.
pub(crate) async fn write_renditions(
    media: &dyn Bucket,
    playlist: &HourPlaylist,
    sizes: &Sizes<'_>,
) -> Result<(), ShellError> {
    let (camera, hour) = (playlist.camera(), playlist.hour());
    let listed: Vec<Stored> = playlist
        .listings()
        .iter()
        .map(|listing| Stored {
            listing: *listing,
            modified_unix_millis: 0,
            size_bytes: sizes.segment(listing).unwrap_or_default(),
        })
        .collect();
    let (whole, keyframes) = BitRate::of_stored(&listed);
    let beside = |key: String| key.rsplit('/').next().unwrap_or_default().to_owned();
    let keyframes_key = key::hour_keyframes_key(camera, hour);
    let variants = multivariant(
        &Variant { uri: beside(key::hour_playlist_key(camera, hour)), rate: whole },
        Some(&Variant { uri: beside(keyframes_key.clone()), rate: keyframes }),
        sizes.inits,
    );
    for (key, text) in
        [(keyframes_key, playlist.keyframes(sizes)), (key::hour_variants_key(camera, hour), variants)]
    {
        media.put(&key, Bytes::from(text), PLAYLIST_HEADERS, Condition::Always).await?;
    }
    Ok(())
}

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
        let rate = BitRate::of(footage.iter().map(|item| (item.key.window, item.size_bytes)));
        let Some(init) = newest.map(|item| item.key.init).filter(|_| rate.peak > 0) else { return Ok(()) };
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
