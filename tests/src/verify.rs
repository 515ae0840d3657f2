//! Reads what a run left in the buckets and checks it against what the formats promise: every frame in exactly
//! one window, every segment's samples at its frames' capture times, segments that join.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use mp4_atom::{Any, ReadFrom as _};
use teiten_bucket::Bucket;
use teiten_footage::{Batch, BatchKey, BootId, CameraId, Frame, SegmentKey, Ticks, Window};

/// What is in the buckets of one camera.
pub struct Recording {
    /// The batches, by window.
    pub batches: BTreeMap<Window, Batch>,
    /// The segments that match their window's batch, by window.
    pub segments: BTreeMap<Window, (SegmentKey, Bytes)>,
    /// The init sections, by the segments that need them.
    pub inits: BTreeMap<Window, Bytes>,
}

/// Objects that one listing asks for.
const PAGE: usize = 1000;

/// How many pictures a player finds at `url`: ffprobe's count of packets.
pub fn packets(url: &str) -> anyhow::Result<usize> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", url])
        .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.is_empty(), "ffprobe {url}: {messages}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().trim().parse().with_context(|| format!("ffprobe {url}: {text:?}"))
}

/// The keys of all objects under `prefix`.
pub async fn list_all(bucket: &dyn Bucket, prefix: &str) -> anyhow::Result<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let after = keys.last().cloned().unwrap_or_default();
        let page = bucket.list_after(prefix, &after, PAGE).await?;
        let last = page.len() < PAGE;
        keys.extend(page.into_iter().map(|object| object.key));
        if last {
            return Ok(keys);
        }
    }
}

/// The batches of `camera`.
pub async fn batches(frames: &dyn Bucket, camera: &CameraId) -> anyhow::Result<BTreeMap<Window, Batch>> {
    let mut batches = BTreeMap::new();
    for key in list_all(frames, &format!("{camera}/")).await? {
        let parsed_key: BatchKey = key.parse()?;
        let object = frames.get(&key).await?.with_context(|| format!("{key} is gone"))?;
        let parsed = teiten_footage::batch::parse(parsed_key.window, &object.bytes);
        ensure!(parsed.rejected.is_empty(), "{key}: {:?}", parsed.rejected);
        batches.insert(parsed_key.window, parsed.batch.with_context(|| format!("{key} is empty"))?);
    }
    Ok(batches)
}

impl Recording {
    /// Reads all of `camera`. Fails if a batch has no segment with just its frames.
    pub async fn read(frames: &dyn Bucket, media: &dyn Bucket, camera: &CameraId) -> anyhow::Result<Self> {
        let batches = batches(frames, camera).await?;
        let mut segments = BTreeMap::new();
        let mut inits = BTreeMap::new();
        for key in list_all(media, &teiten_footage::key::segments_prefix(camera)).await? {
            if !key.ends_with(".m4s") {
                continue; // what there is of an hour: its playlist, what moved, thumbnails
            }
            let key: SegmentKey = key.parse()?;
            let batch = batches.get(&key.window).with_context(|| format!("{key} has no batch"))?;
            if batch.frames_hash() != key.pictures.frames {
                continue; // superseded when late frames were merged into its batch
            }
            let object = media.get(&key.to_string()).await?.context("a listed segment is gone")?;
            let init = media.get(&key.init_key().to_string()).await?;
            inits.insert(key.window, init.with_context(|| format!("{key} has no init section"))?.bytes);
            segments.insert(key.window, (key, object.bytes));
        }
        for (window, batch) in &batches {
            ensure!(
                segments.contains_key(window),
                "window {window} of {camera} has a batch of {} frames and no segment of them",
                batch.frames().len()
            );
        }
        Ok(Self { batches, segments, inits })
    }

    /// The batches of `camera` alone, without their segments.
    pub async fn of_batches(frames: &dyn Bucket, camera: &CameraId) -> anyhow::Result<Self> {
        let batches = batches(frames, camera).await?;
        Ok(Self { batches, segments: BTreeMap::new(), inits: BTreeMap::new() })
    }

    /// The frames of all windows, held ones left out, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.batches.values().filter(|batch| !batch.is_held()).flat_map(Batch::frames)
    }

    /// Fails unless every frame is there exactly once: sequence numbers of each boot from 0 on without a hole.
    /// Answers how many there are of each boot.
    pub fn every_frame_is_there_once(&self) -> anyhow::Result<BTreeMap<BootId, u64>> {
        let mut seen: BTreeMap<BootId, BTreeSet<u64>> = BTreeMap::new();
        for frame in self.frames() {
            let new = seen.entry(frame.id.boot).or_default().insert(frame.id.sequence);
            ensure!(new, "frame {} is stored twice", frame.id);
        }
        for (boot, sequences) in &seen {
            for (expected, found) in sequences.iter().enumerate() {
                ensure!(
                    expected as u64 == *found,
                    "frame {expected} of boot {boot} was lost (next is {found})"
                );
            }
        }
        Ok(seen.into_iter().map(|(boot, sequences)| (boot, sequences.len() as u64)).collect())
    }

    /// Fails unless each segment's samples lie at its frames' capture ticks, the first at the window's start,
    /// the last one ending at the window's end.
    pub fn every_sample_is_at_its_capture_time(&self) -> anyhow::Result<()> {
        for (window, batch) in &self.batches {
            let (key, bytes) = &self.segments[window];
            let samples = sample_starts(key, bytes).with_context(|| key.to_string())?;
            let mut expected: Vec<Ticks> =
                batch.frames().iter().map(|frame| frame.captured.ticks()).collect();
            expected[0] = window.start().ticks();
            expected.push(window.end().ticks());
            ensure!(samples == expected, "{key}: samples at {samples:?}, frames at {expected:?}");
        }
        Ok(())
    }

    /// Fails unless every window from the first to the last has a segment: then, as each covers its window
    /// exactly, they join without gap or overlap.
    pub fn windows_follow_each_other(&self) -> anyhow::Result<()> {
        let windows: Vec<_> = self.batches.keys().copied().collect();
        for pair in windows.windows(2) {
            ensure!(pair[0].next() == pair[1], "no window between {} and {}", pair[0], pair[1]);
        }
        Ok(())
    }

    /// All segments as one file: an init section wherever it changes, then the segments in order.
    pub fn write_mp4(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(path)?;
        let mut current: Option<&Bytes> = None;
        for (window, (_, bytes)) in &self.segments {
            let init = &self.inits[window];
            if current != Some(init) {
                file.write_all(init)?;
                current = Some(init);
            }
            file.write_all(bytes)?;
        }
        Ok(())
    }

    /// The frames that the segments were made of, held ones too, as one `.mjpeg` file.
    pub fn write_mjpeg(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(path)?;
        for frame in self.batches.values().flat_map(Batch::frames) {
            file.write_all(&frame.jpeg)?;
        }
        Ok(())
    }

    /// Samples in all segments.
    pub fn sample_count(&self) -> usize {
        self.batches.values().map(|batch| batch.frames().len()).sum()
    }
}

/// The decode times of a segment's samples, and where the last one ends. Fails unless its chunks join, and the first ends where
/// its key says.
fn sample_starts(key: &SegmentKey, segment: &Bytes) -> anyhow::Result<Vec<Ticks>> {
    let mut reader = segment.as_ref();
    let mut starts: Vec<Ticks> = Vec::new();
    while !reader.is_empty() {
        let Any::Moof(moof) = Any::read_from(&mut reader)? else { continue };
        let [traf] = moof.traf.as_slice() else { bail!("expected one track fragment") };
        let mut at = traf.tfdt.as_ref().context("no tfdt")?.base_media_decode_time;
        let end = starts.pop();
        ensure!(end.is_none_or(|end| end.0 == at), "a chunk starts at {at}, the one before ends at {end:?}");
        starts.push(Ticks(at));
        for entry in traf.trun.iter().flat_map(|run| &run.samples) {
            at += u64::from(entry.duration.context("a sample without a duration")?);
            starts.push(Ticks(at));
        }
        if end.is_none() {
            ensure!(starts.len() == 2, "the first chunk has {} samples", starts.len() - 1);
            Any::read_from(&mut reader)?; // mdat
            let bytes = segment.len() - reader.len();
            ensure!(bytes == key.pictures.keyframe_bytes as usize, "the first chunk ends at {bytes}");
        }
    }
    ensure!(!starts.is_empty(), "no moof in the segment");
    Ok(starts)
}

/// Decodes `mp4` with ffmpeg; fails if it has anything to say. Answers the number of frames decoded.
pub fn decode_without_a_message(mp4: &Path) -> anyhow::Result<usize> {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(mp4)
        .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .stdin(Stdio::null())
        .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.is_empty(), "ffmpeg says of {}: {messages}", mp4.display());
    let frames = String::from_utf8(output.stdout)?;
    Ok(frames.lines().filter(|line| !line.starts_with('#')).count())
}

/// The mean SSIM (all planes) of `mp4` against the JPEGs it was made of.
pub fn ssim(mp4: &Path, mjpeg: &Path) -> anyhow::Result<f64> {
    // Frames are compared by number: times differ at the first frame of each window by design.
    let compare =
        "[0:v]settb=1/25,setpts=N,format=yuv420p[a];[1:v]settb=1/25,setpts=N,format=yuv420p[b];[a][b]ssim";
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(mp4)
        .args(["-f", "mjpeg", "-i"])
        .arg(mjpeg)
        .args(["-fps_mode", "passthrough", "-lavfi", compare, "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = report.rsplit_once("All:").with_context(|| format!("no SSIM in {report}"))?.1;
    Ok(all.split_whitespace().next().context("no number")?.parse()?)
}
