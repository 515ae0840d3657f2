//! What moved in hours, from what is stored: what no event told in time, and what was written down and is gone.

use std::{collections::BTreeMap, time::Duration};

use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{CameraId, Hour, MotionMap, MotionSettings, SensorEvent, SensorKey, Timestamp, Window};

use crate::{
    hour::{HourPlaylist, advance::is_over, update::update_hour},
    listing::Listing,
    live::advance::Footage,
    motion::{self, Told, level_of_head, write_down},
    shell::ShellError,
};

/// The most segments of one camera whose heads one run should read.
pub const HEADS_MAX: usize = 600;

/// How long something may be overdue before it is seen to.
const OVERDUE_MAX: Duration = Duration::from_secs(150);

/// Writes down what moved in those of `segments` (of a camera) whose events were lost, what sensors saw and is not there,
/// and ends what was not ended. The playlists of hours that are over get their marks. It reads the heads of `heads_left` segments at
/// most, and takes them off. Answers how many hours were written.
pub async fn mend_motion(
    media: &dyn Bucket,
    camera: &CameraId,
    segments: &[Footage],
    sensor: &[SensorKey],
    heads_left: &mut usize,
    now: Timestamp,
) -> Result<usize, ShellError> {
    let overdue = (now - OVERDUE_MAX).unix_millis();
    let mut hours: BTreeMap<Hour, (Vec<&Footage>, Vec<SensorEvent>)> = BTreeMap::new();
    for segment in segments {
        hours.entry(Hour::of(segment.key.window)).or_default().0.push(segment);
    }
    for SensorKey { event, .. } in sensor.iter().filter(|key| key.event.at.unix_millis() <= overdue) {
        hours.entry(Hour::containing(event.at)).or_default().1.push(*event);
    }
    let mut mended = 0;
    let mut settings: Option<MotionSettings> = None;
    for (hour, (segments, mut sensor)) in hours {
        let motion = motion::read(media, camera, hour).await?;
        let known = motion.as_ref().map(|(known, ..)| known);
        let is_due = |segment: &&Footage| {
            segment.modified_unix_millis <= overdue
                && known.is_none_or(|known| !known.knows(segment.key.window))
        };
        sensor.retain(|event| known.is_none_or(|known| !known.knows_sensor(event)));
        let due: Vec<_> = segments.into_iter().filter(is_due).take(*heads_left).collect();
        let is_ended = motion.as_ref().is_none_or(|(known, bytes, _)| known.to_json(true) == *bytes);
        if due.is_empty() && sensor.is_empty() && (is_ended || !is_over(hour, now - OVERDUE_MAX)) {
            continue;
        }
        *heads_left -= due.len();
        let segments = due.into_iter().map(|segment| (segment.key.clone(), None)).collect();
        let untold = Told { segments, sensor, ..Told::default() };
        let settings = match &mut settings {
            Some(settings) => settings,
            none => none.insert(motion::motion_settings(media, camera).await?),
        };
        let (_, written) = write_down(media, camera, hour, untold, settings, now).await?;
        if written {
            mended += 1;
            if is_over(hour, now) {
                update_hour(media, camera, hour, now).await?;
            }
        }
    }
    Ok(mended)
}

/// Writes down what moved in those parts of packs that an ended `playlist` lists, and with it what sensors saw, where that is not
/// written down. The playlist gets its marks. It takes a request for each pack of which something is not known. Answers whether
/// anything was written.
pub async fn mend_packed_motion(
    media: &dyn Bucket,
    playlist: &HourPlaylist,
    sensor: &[SensorKey],
    now: Timestamp,
) -> Result<bool, ShellError> {
    let (camera, hour) = (playlist.camera(), playlist.hour());
    let known = motion::read(media, camera, hour).await?.map(|(known, ..)| known);
    let is_unknown = |window| known.as_ref().is_none_or(|known| !known.knows(window));
    let mut packs: BTreeMap<String, Vec<&Listing>> = BTreeMap::new();
    for part in playlist.listings().iter().filter(|part| part.is_packed() && is_unknown(part.window)) {
        packs.entry(part.object(camera)).or_default().push(part);
    }
    if packs.is_empty() {
        return Ok(false);
    }
    let settings = motion::motion_settings(media, camera).await?;
    let mut told = Told { sensor: sensor.iter().map(|key| key.event).collect(), ..Told::default() };
    for (pack, parts) in &packs {
        told.levels.extend(levels_in_pack(media, pack, parts, &settings).await?);
    }
    let (_, written) = write_down(media, camera, hour, told, &settings, now).await?;
    if written {
        update_hour(media, camera, hour, now).await?;
    }
    Ok(written)
}

/// How much moves in these `parts` of a pack, which are in the order of time: one request, which begins with the first of them and
/// ends with the head of the last.
async fn levels_in_pack(
    media: &dyn Bucket,
    pack: &str,
    parts: &[&Listing],
    settings: &MotionSettings,
) -> Result<Vec<(Window, u8)>, BucketError> {
    let head_bytes = MotionMap::SEGMENT_HEAD_BYTES as u64;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(Vec::new()) };
    let (begin, end) = (first.offset(), last.offset() + head_bytes);
    let Some(object) = media.get_range(pack, begin, end - begin).await? else { return Ok(Vec::new()) };
    let level = |part: &&Listing| {
        let start = (part.offset() - begin) as usize;
        let head = object.bytes.get(start..start + MotionMap::SEGMENT_HEAD_BYTES)?;
        Some((part.window, level_of_head(head, settings)))
    };
    Ok(parts.iter().filter_map(level).collect())
}
