//! Which cameras the options ask for, as the agents' own configurations.

use std::{net::SocketAddr, path::Path};

use anyhow::Context as _;
use teiten_agent::config::{Broker, Config, Footage, Pattern, Rate, Source, V4l2};
use teiten_footage::CameraId;

use crate::Options;

/// One agent's configuration for each camera.
pub(crate) fn configurations(options: &Options, mqtt: SocketAddr) -> anyhow::Result<Vec<Config>> {
    let rate = Rate::new(options.rate).context("--rate")?;
    let mut cameras: Vec<(CameraId, Source)> = Vec::new();
    for number in 1..=options.cameras {
        let name = CameraId::new(&format!("demo-{number}"))?;
        cameras.push((name, Source::Pattern(Pattern { rate, ..Pattern::default() })));
    }
    for path in &options.footage {
        let name = free_name(path, &cameras)?;
        cameras.push((name, Source::Footage(Footage { rate, ..Footage::new(path) })));
    }
    for device in &options.device {
        let name = free_name(device, &cameras)?;
        cameras.push((name, Source::V4l2(V4l2 { device: device.clone(), ..V4l2::default() })));
    }
    let broker = Broker::plain(mqtt.ip().to_string(), mqtt.port());
    Ok(cameras
        .into_iter()
        .map(|(camera, source)| Config { broker: broker.clone(), source, ..Config::new(camera) })
        .collect())
}

fn free_name(path: &Path, cameras: &[(CameraId, Source)]) -> anyhow::Result<CameraId> {
    let taken: Vec<_> = cameras.iter().map(|(name, _)| name.clone()).collect();
    name_from_path(path, &taken)
}

/// A camera's name made from a file's: what cannot be in a name becomes a hyphen; a number follows where the
/// name is `taken`.
fn name_from_path(path: &Path, taken: &[CameraId]) -> anyhow::Result<CameraId> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let safe: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    let safe = safe.trim_matches('-');
    let base = if safe.is_empty() { "footage" } else { safe };
    (1_usize..)
        .map(|n| if n == 1 { base.to_owned() } else { format!("{base}-{n}") })
        .map(|name| CameraId::new(&name))
        .find(|name| name.as_ref().map_or(true, |name| !taken.contains(name)))
        .context("names never run out")?
        .with_context(|| format!("no camera name can be made of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_camera_a_name() {
        let name = |path: &str, taken: &[CameraId]| name_from_path(Path::new(path), taken).unwrap();
        let vtest = name("target/footage/vtest", &[]);
        assert_eq!(vtest.as_str(), "vtest");
        assert_eq!(name("/x/VTEST.mjpeg", &[vtest]).as_str(), "vtest-2");
        assert_eq!(name("/x/Front Door_(1).mjpeg", &[]).as_str(), "front-door--1");
        assert_eq!(name("/x/é.mjpeg", &[]).as_str(), "footage");
    }
}
