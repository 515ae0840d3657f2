//! A segment as another encoder than ours makes it: x264 by ffmpeg, in H.264's High profile.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use teiten_footage::{Batch, Pictures, Ticks, Window};

/// The init section and the segment of a batch whose frames are spread evenly over its window, and what the segment's key says.
pub fn encode(batch: &Batch) -> anyhow::Result<(Bytes, Bytes, Pictures)> {
    let file = ffmpeg(batch)?;
    let [mut init, mut segment] = [Vec::new(), Vec::new()];
    let mut chunks = Vec::new();
    for (kind, bytes) in boxes(&file) {
        match &kind {
            b"ftyp" | b"moov" => init.extend_from_slice(bytes),
            b"moof" => segment.extend(begun_at(bytes, batch.window())?),
            b"mdat" => {
                segment.extend_from_slice(bytes);
                chunks.push(segment.len() as u32);
            }
            _ => {}
        }
    }
    let (count, keyframe) = (chunks.len(), chunks.first());
    ensure!(count == batch.frames().len() && !init.is_empty(), "ffmpeg made {count} chunks");
    let keyframe_bytes = *keyframe.context("a batch without frames")?;
    Ok((init.into(), segment.into(), Pictures { frames: batch.frames_hash(), keyframe_bytes }))
}

/// A chunk for each picture. The first sample has the parameter sets in it, as ours have.
fn ffmpeg(batch: &Batch) -> anyhow::Result<Vec<u8>> {
    let window = batch.window();
    let millis = window.end().since(window.start()).as_millis();
    let rate = format!("{}/{millis}", batch.frames().len() * 1000);
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "mjpeg", "-framerate", &rate, "-i", "-", "-pix_fmt", "yuvj420p"])
        .args(["-c:v", "libx264", "-profile:v", "high", "-preset", "ultrafast", "-bf", "0", "-g", "1000"])
        .args(["-bsf:v", "dump_extra", "-movflags", "empty_moov+default_base_moof+frag_every_frame"])
        .args(["-video_track_timescale", &Ticks::PER_SECOND.to_string(), "-f", "mp4", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null()) // it warns of full range
        .spawn()?;
    let mut input = ffmpeg.stdin.take().context("ffmpeg has no input")?;
    let jpegs = batch.to_bytes();
    let fed = thread::spawn(move || input.write_all(&jpegs));
    let output = ffmpeg.wait_with_output()?;
    ensure!(output.status.success(), "ffmpeg did not encode the pictures of {window}");
    fed.join().ok().context("ffmpeg was not fed")??;
    Ok(output.stdout)
}

/// Has a chunk begin that much after `window` does, and not after zero.
fn begun_at(moof: &[u8], window: Window) -> anyhow::Result<Vec<u8>> {
    let mut moof = moof.to_vec();
    let at = moof.windows(4).position(|kind| kind == b"tfdt").context("no tfdt")?;
    let time = moof.get_mut(at + 4..at + 16).context("a short tfdt")?;
    ensure!(time[0] == 1, "tfdt has 32 bits");
    let after = u64::from_be_bytes(time[4..].try_into()?);
    time[4..].copy_from_slice(&(window.start().ticks().0 + after).to_be_bytes());
    Ok(moof)
}

/// The boxes that stand in `bytes` one after another.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        let kind = *bytes.get(4..)?.first_chunk()?;
        let (one, rest) = bytes.split_at_checked(size.max(8))?;
        bytes = rest;
        Some((kind, one))
    })
}
