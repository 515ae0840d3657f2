//! What ffmpeg makes of an address: which pictures it shows, by the clocks in them, and when.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use teiten_agent::pattern::read_clock;
use teiten_footage::Timestamp;

use crate::station::PICTURE;

/// Decodes what ffmpeg finds at `url`, and reads the clock in each picture. Fails if ffmpeg has anything to say.
pub fn clocks(url: &str, options: &[&str]) -> anyhow::Result<Vec<Timestamp>> {
    let (width, height) = PICTURE;
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", url, "-fps_mode", "passthrough"])
        .args(options)
        .args(["-vf", &format!("scale={width}:{height}"), "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.is_empty(), "ffmpeg {url}: {messages}");
    let clock = |picture: &[u8]| {
        let time = read_clock(width, height, |x, y| picture[(y * width + x) as usize]);
        time.with_context(|| format!("{url}: a picture without a clock"))
    };
    output.stdout.chunks_exact((width * height) as usize).map(clock).collect()
}

/// The times of the packets that a player finds at `url`.
fn packet_times(url: &str) -> anyhow::Result<Vec<Timestamp>> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time"])
        .args(["-of", "csv=p=0", url])
        .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.is_empty(), "ffprobe {url}: {messages}");
    let text = String::from_utf8(output.stdout)?;
    let micros = |line: &str| {
        let (seconds, micros) = line.trim_end_matches(',').split_once('.')?;
        Some(Timestamp::from_unix_micros(
            seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?,
        ))
    };
    text.lines().map(|line| micros(line).with_context(|| format!("{url}: {line:?}"))).collect()
}

/// Fails unless ffmpeg shows just these `pictures` at `url`, each at its time.
pub fn shows(what: &str, url: &str, pictures: &[Timestamp]) -> anyhow::Result<()> {
    let clocks = clocks(url, &[])?;
    ensure!(clocks == pictures, "{what}: ffmpeg shows {clocks:?}\ninstead of {pictures:?}");
    let times = packet_times(url)?;
    ensure!(times == pictures, "{what}: ffmpeg times pictures {times:?}\ninstead of {pictures:?}");
    println!("ffmpeg plays {what}: {} pictures", clocks.len());
    Ok(())
}
