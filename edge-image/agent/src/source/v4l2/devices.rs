//! `teiten-agent devices`: what each video device of this machine offers.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use super::{
    camera::{Camera, Offered},
    device::auto_mode,
    mode::Sizes,
    trouble::Trouble,
};

/// A table of all video devices: formats, sizes and rates, controls with their ranges, and the mode that `auto` picks.
pub fn list() -> String {
    let devices = video_devices(Path::new("/dev"));
    if devices.is_empty() {
        return "There is no video device (/dev/video*): is the camera plugged in, is its driver loaded?\n"
            .to_owned();
    }
    let mut text = String::new();
    for device in devices {
        let node = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = fs::read_to_string(Path::new("/sys/class/video4linux").join(&node).join("name"));
        let _ = writeln!(text, "{}  {}", device.display(), name.unwrap_or_default().trim());
        match describe(&device) {
            Ok(described) => text.push_str(&described),
            Err(trouble) => {
                let _ = writeln!(text, "  {trouble}");
            }
        }
    }
    text
}

/// `/dev/video0`, `/dev/video1`, … in this order.
fn video_devices(folder: &Path) -> Vec<PathBuf> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("video")?.parse::<u32>().ok();
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    let mut devices: Vec<_> = listing
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((number(&path)?, path))
        })
        .collect();
    devices.sort();
    devices.into_iter().map(|(_, path)| path).collect()
}

fn describe(device: &Path) -> Result<String, Trouble> {
    let camera = Camera::open(device)?;
    let offered = camera.offered()?;
    let mut text = String::new();
    if offered.is_empty() {
        text.push_str("  no pictures in a format that JPEGs can be made of\n");
        return Ok(text);
    }
    for Offered { format, sizes } in &offered {
        if let Sizes::Steps { .. } | Sizes::Unknown = sizes {
            let _ = writeln!(text, "  {:<6} {sizes}, for example", format.name());
        }
        for size in sizes.candidates(None) {
            let intervals = camera.intervals(*format, size);
            let size = format!("{}x{}", size.0, size.1);
            let _ = writeln!(text, "  {:<6} {size:<10} {intervals}", format.name());
        }
    }
    let controls = camera.controls();
    let width = controls.iter().map(|control| control.name.len()).max().unwrap_or(0);
    if !controls.is_empty() {
        text.push_str("  [source.controls]\n");
    }
    for control in &controls {
        let _ = writeln!(text, "  {:<width$}  {}", control.name, control.range);
    }
    drop(camera);
    match auto_mode(device)? {
        Some(mode) => {
            let _ = writeln!(text, "  auto: {mode}");
        }
        None => text.push_str("  auto: none, as no size is from 320x180 to 3840x2160\n"),
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_listed_by_their_numbers() {
        let place = tempfile::tempdir().unwrap();
        for name in ["video10", "video2", "video0", "videodisc", "media0"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        let names: Vec<_> = video_devices(place.path())
            .into_iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["video0", "video2", "video10"]);
    }

    #[test]
    fn what_is_no_camera_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(describe(file.path()), Err(Trouble::NoCamera { .. })));
    }
}
