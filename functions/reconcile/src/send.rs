//! Sends events again: what the live playlists lack at once, batches one after another.

use teiten_footage::{BatchKey, Event};
use teiten_host::Failure;
use teiten_telemetry::traces::{Cause, Kind, Step};
use tokio::time::Instant;
use tracing::warn;

use crate::{
    found::Found,
    reconcile::Reconcile,
    report::Report,
    share::{self, Lack},
};

impl Reconcile {
    async fn send(&self, event: &Event) -> Result<(), Failure> {
        // What got lost goes on in its window's trace.
        let step = Step::begin("send again", Kind::Producer, &Cause::window_of(event));
        let sent = self.sink.post(&step.as_cause().of(event)).await;
        sent.inspect_err(|error| step.fail(error)).map_err(|error| Failure::Transient(error.into()))
    }

    /// Tells what the live playlists lack.
    pub(crate) async fn send_live(&self, found: &[Found]) -> Result<usize, Failure> {
        let mut stale = 0;
        for found in found {
            if let Some(span) = found.cut_off {
                self.send(&Event::Motion { camera: found.camera.clone(), span }).await?;
            }
            if let Some(key) = &found.unlisted {
                warn!(camera = %found.camera, %key, "live playlist is stale");
                let bucket = self.media.name().to_owned();
                self.send(&Event::SegmentStored { bucket, key: key.clone(), motion: None }).await?;
                stale += 1;
            }
        }
        Ok(stale)
    }

    /// Sends batches without segments, as many as may be encoded at a time, of each camera as many as of the others. The oldest go
    /// first; but of a camera of which nothing comes back some of the newest, which the next runs see.
    pub(crate) async fn send_batches(
        &self,
        found: &[Found],
        end: Instant,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let lacks: Vec<Lack> = found.iter().map(Found::lack).collect();
        let batches_max = self.settings.batches_max;
        let room = share::room(batches_max, &lacks);
        let shares = share::share(room, batches_max, &lacks);
        let mut batches: Vec<(usize, usize, &BatchKey)> = Vec::new();
        for (camera, found) in found.iter().enumerate() {
            let first = found.without_segment.first.iter().take(shares[camera]);
            batches.extend(first.enumerate().map(|(index, key)| (camera, index, key)));
            report.batches_left += found.without_segment.count;
            report.batches_awaited += found.without_segment.awaited.len();
        }
        // By turns: whatever there is no time for is not all of one camera.
        batches.sort_by_key(|(_, index, key)| (*index, key.window.start()));
        let mut sent = vec![Vec::new(); found.len()];
        let outcome = self.send_paced(&batches, room, end, &mut sent).await;
        for (found, sent) in found.iter().zip(&sent) {
            report.batches_sent += sent.len();
            report.batches_left -= sent.len();
            found.memory.note(&found.done(sent));
        }
        outcome
    }

    /// Sends `batches`, each that of a camera by its index, and notes in `sent` which were.
    async fn send_paced(
        &self,
        batches: &[(usize, usize, &BatchKey)],
        room: usize,
        end: Instant,
        sent: &mut [Vec<BatchKey>],
    ) -> Result<(), Failure> {
        let pause = self.settings.spread / room.max(1) as u32;
        let mut next = Instant::now();
        for (camera, _, key) in batches {
            tokio::time::sleep_until(next).await;
            next = Instant::now() + pause;
            let bucket = self.frames.name().to_owned();
            self.send(&Event::BatchStored { bucket, key: (*key).clone(), frames: None }).await?;
            sent[*camera].push((*key).clone());
            if end <= next {
                break;
            }
        }
        Ok(())
    }
}
