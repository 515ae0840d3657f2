//! What there is of an hour beside its playlist, once it is ended: its keyframes alone (EXT-X-I-FRAMES-ONLY, draft-pantos-hls-rfc8216bis
//! §4.4.3.6), for players that wind through it, and the multivariant playlist that names both (§4.4.6). All are of the same objects.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use teiten_bucket::{Bucket, Condition};
use teiten_footage::{Window, key};

use crate::{
    hour::{HourPlaylist, TARGET_DURATION_SECONDS},
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
    /// In the run of windows that takes most (BANDWIDTH, §4.4.6.2).
    pub peak: u64,
    /// On average, if that is known.
    pub average: Option<u64>,
}

impl BitRate {
    /// Of windows in a row with so many bytes each. The peak is that of runs of half a `target` duration to one and a half; where
    /// there are none, of all.
    pub fn of(windows: impl IntoIterator<Item = (Window, u64)>, target: Duration) -> Self {
        let windows: Vec<(u64, u64)> =
            windows.into_iter().map(|(window, bytes)| (u64::from(window.length().millis()), bytes)).collect();
        let (least, most) = ((target / 2).as_millis() as u64, (target * 3 / 2).as_millis() as u64);
        let mut peak: Option<u64> = None;
        for first in 0..windows.len() {
            let (mut millis, mut bytes) = (0, 0);
            for (length, size) in &windows[first..] {
                (millis, bytes) = (millis + length, bytes + size);
                if millis > most {
                    break;
                }
                if millis >= least && peak.is_none_or(|peak| bytes * 8000 > peak * millis) {
                    peak = Some((bytes * 8000).div_ceil(millis));
                }
            }
        }
        let millis: u64 = windows.iter().map(|(millis, _)| millis).sum();
        let bytes: u64 = windows.iter().map(|(_, bytes)| bytes).sum();
        let average = (bytes * 8000).checked_div(millis);
        Self { peak: peak.or(average).unwrap_or_default(), average }
    }

    /// Of what is stored, and of its keyframes, in playlists of this target duration.
    pub fn of_stored(stored: &[Stored], target: Duration) -> (Self, Self) {
        let whole = stored.iter().map(|item| (item.listing.window, item.size_bytes));
        let keyframes = stored
            .iter()
            .filter_map(|item| Some((item.listing.window, item.listing.keyframe_bytes()?.into())));
        (Self::of(whole, target), Self::of(keyframes, target))
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
    let (whole, keyframes) = BitRate::of_stored(&listed, Duration::from_secs(TARGET_DURATION_SECONDS));
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

#[cfg(test)]
mod tests {
    use teiten_footage::{Timestamp, WindowLength};

    use super::*;

    /// Of seconds with so many bytes each.
    fn rate(bytes: &[u64], target_seconds: u64) -> (u64, Option<u64>) {
        let first = Window::containing(Timestamp::Y2020, WindowLength::DEFAULT);
        let windows = (0..).map(|index| first.plus(index)).zip(bytes.iter().copied());
        let BitRate { peak, average } = BitRate::of(windows, Duration::from_secs(target_seconds));
        (peak, average)
    }

    #[test]
    fn the_peak_is_that_of_runs_about_as_long_as_the_target_duration() {
        let mut minutes = [1000; 300];
        minutes[100] = 61_000;
        assert_eq!(rate(&minutes, 60), (3000 * 8, Some(1200 * 8)), "of thirty seconds with the large one");
        minutes[130..160].fill(4000);
        assert_eq!(rate(&minutes, 60).0, 4000 * 8);
        // 61 kB, 29 kB and 120 kB in 60 seconds are less than 4 kB each; here they are more.
        minutes[159] = 64_000;
        assert_eq!(rate(&minutes, 60).0, 6000 * 8);
        assert_eq!(rate(&minutes, 1).0, 64_000 * 8, "no run of two is short enough");
        assert_eq!(rate(&[1000, 2000, 3000], 60), (2000 * 8, Some(2000 * 8)), "there is no run as long");
        assert_eq!(rate(&[], 60), (0, None));
    }
}
