//! Looks at one camera: lists its batches and what is published of it, an hour at a time, and mends what needs no event.

use std::time::Duration;

use teiten_archive::{Footage, LIVE_AGE_MAX, LivePlaylist};
use teiten_bucket::{BucketError, Listed, listing::Hours};
use teiten_footage::{CameraId, Hour, PackKey, SensorKey, Timestamp, key};
use teiten_host::turns;
use tokio::time::Instant;
use tracing::warn;

use crate::{
    archive::{self, Survey},
    found::{Found, Sight},
    plan::{self, StoredBatch},
    reconcile::Reconcile,
    settings::Settings,
    share,
};

/// A camera that filmed within this time is there, whatever is left of its footage.
const PRESENT_WITHIN: Duration = Duration::from_secs(24 * 3600);

impl Reconcile {
    /// What there is of a camera; farther back than every run looks it looks `until` then.
    pub(crate) async fn look(
        &self,
        camera: CameraId,
        now: Timestamp,
        until: Instant,
    ) -> Result<Found, BucketError> {
        let Settings { period, horizon, batches_max, .. } = self.settings;
        let (run, memory) = (turns::run_of(&camera, now, period), self.memories.of(&camera));
        let is_newest = memory.is_unanswered();
        let sight = Sight {
            now,
            from: memory.from(turns::look_from(run, now, period, horizon)),
            until,
            sent: memory.all_sent(),
            batches_max: if is_newest { share::of_camera(batches_max) } else { batches_max },
            is_newest,
        };
        let mut found = Found::nothing_of(camera, memory, sight.from);
        self.look_at_hours(&sight, &mut found).await?;
        self.look_at_playlist(&mut found, now).await?;
        let survey = found.memory.survey().or_else(|| plan::is_surveys_turn(run).then(Survey::default));
        if survey.is_some() || plan::is_archives_turn(run) {
            let mended = archive::mend_archive(&*self.media, &found, &sight, survey).await?;
            found.memory.note_survey(mended.survey);
            found.archive_rebuilt = mended.is_rebuilt;
        }
        Ok(found)
    }

    /// An hour at a time, for a horizon may be weeks.
    async fn look_at_hours(&self, sight: &Sight, found: &mut Found) -> Result<(), BucketError> {
        let now = sight.now;
        let (camera, horizon) = (found.camera.clone(), now - self.settings.horizon);
        let mut from = sight.from;
        let mut batches = Hours::since(&*self.frames, &camera, from);
        if from < horizon {
            // What is published is of interest from the first batch on.
            from = batches.next().await?.map_or(horizon, |first| horizon.min(first.start()));
        }
        let mut published = Hours::since(&*self.media, &camera, plan::listed_from(from, now));
        let recent = now - self.settings.period * turns::PERIODS_MIN;
        loop {
            let next = (batches.next().await?, published.next().await?);
            let Some(hour) = next.0.into_iter().chain(next.1).min() else { return Ok(()) };
            if hour.end() <= recent && sight.is_over() {
                found.unseen = Some(from.max(hour.start())..recent);
                from = recent;
                batches = Hours::since(&*self.frames, &camera, from);
                published = Hours::since(&*self.media, &camera, plan::listed_from(from, now));
                continue;
            }
            let batches = batches.take(hour, stored_batch).await?;
            let published = published.take(hour, Some).await?;
            self.look_at_hour(hour, &batches, published, from, sight, found).await?;
        }
    }

    async fn look_at_hour(
        &self,
        hour: Hour,
        batches: &[StoredBatch],
        published: Vec<Listed>,
        from: Timestamp,
        sight: &Sight,
        found: &mut Found,
    ) -> Result<(), BucketError> {
        let now = &sight.now;
        let (mut segments, mut packs, mut sensor) = (Vec::new(), Vec::new(), Vec::new());
        for object in published {
            if let Ok(key) = object.key.parse::<SensorKey>() {
                sensor.push(key);
            } else if let Ok(key) = object.key.parse::<PackKey>() {
                packs.push(key);
            } else {
                segments.extend(footage(object).filter(|segment| segment.key.window.end() > from));
            }
        }
        // What is about to expire may outlive its segment by a moment.
        let written = *now - self.settings.horizon..=*now - self.settings.delay;
        let missing = plan::without_segment(batches, &segments, &packs, &written);
        let was_sent =
            |batch: &&StoredBatch| sight.sent.contains(&batch.key) && written.contains(&batch.modified());
        let sent = batches.iter().filter(was_sent).count();
        found.without_segment.note(sent, &missing, sight);
        found.batches += batches.len();
        let (media, camera) = (&*self.media, &found.camera);
        found.hours_mended +=
            usize::from(archive::mend_hour(media, camera, hour, &segments, from, *now).await?);
        found.motion_mended +=
            archive::mend_motion(media, camera, &segments, &sensor, &mut found.heads_left, *now).await?;
        if !segments.is_empty() {
            found.filmed.insert(hour);
        }
        found.live.extend(segments.into_iter().filter(|item| *now < item.key.window.end() + LIVE_AGE_MAX));
        Ok(())
    }

    async fn look_at_playlist(&self, found: &mut Found, now: Timestamp) -> Result<(), BucketError> {
        let camera = &found.camera;
        let Some(object) = self.media.get(&key::live_playlist_key(camera)).await? else {
            found.unlisted = plan::unlisted(None, &found.live, now).cloned();
            // A camera may have a past alone.
            found.is_listed = archive::names_hours(&*self.media, camera).await?;
            return Ok(());
        };
        found.is_listed = true;
        match LivePlaylist::parse(camera, &String::from_utf8_lossy(&object.bytes)) {
            Ok(playlist) => {
                let silent = now.since(playlist.next().start());
                // Twice at least, for an event may be lost, and no longer.
                let told = LIVE_AGE_MAX..LIVE_AGE_MAX + 2 * self.settings.period;
                found.cut_off = teiten_archive::cut_off(&playlist).filter(|_| told.contains(&silent));
                found.unlisted = plan::unlisted(Some(&playlist), &found.live, now).cloned();
                // One that is gone for good leaves with its footage: its live playlist does not expire.
                if silent >= PRESENT_WITHIN {
                    found.is_listed = archive::names_hours(&*self.media, camera).await?;
                }
            }
            Err(error) => {
                warn!(%camera, %error, "live playlist was not written by Teiten: delete it, and a new one is begun");
            }
        }
        Ok(())
    }
}

fn stored_batch(object: Listed) -> Option<StoredBatch> {
    let key = object.key.parse().ok()?;
    Some(StoredBatch { key, modified_unix_millis: object.modified_unix_millis })
}

fn footage(object: Listed) -> Option<Footage> {
    let key = object.key.parse().ok()?;
    let Listed { modified_unix_millis, size_bytes, .. } = object;
    Some(Footage { key, modified_unix_millis, size_bytes })
}
