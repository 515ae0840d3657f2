//! What a user can choose.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use teiten_footage::{WindowLength, duration, window::WindowLengthError};

/// All of Teiten in one process: cameras, MQTT broker, bridge, S3 store, functions and viewer.
#[derive(Debug, Clone, Parser)]
#[command(name = "teiten-dev", version)]
pub struct Options {
    /// Synthetic cameras, named demo-1, demo-2, …
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cameras: usize,

    /// Footage to replay in a loop, one camera each: a folder of JPEGs or an .mjpeg file (repeatable).
    #[arg(long, value_name = "PATH")]
    pub footage: Vec<PathBuf>,

    /// A V4L2 camera (repeatable).
    #[arg(long, value_name = "/dev/videoN")]
    pub device: Vec<PathBuf>,

    /// Frames a second of synthetic and replayed cameras.
    #[arg(long, value_name = "HZ", default_value_t = 10.0)]
    pub rate: f64,

    /// Length of a window, and so of a segment: 500ms to 6s, a divisor of a minute.
    #[arg(long, default_value = "1s", value_parser = parse_window)]
    pub window: WindowLength,

    /// Where to keep batches and segments; a temporary folder, deleted at the end, where not given.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Footage older than this is deleted, such as 30m, 12h or 2d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub keep: Duration,

    /// Stop after this time, such as 60s, with exit code 0; else run until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,

    /// Port of the viewer.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub http: u16,

    /// Port of the S3 store.
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    pub s3: u16,

    /// Port of the MQTT broker.
    #[arg(long, value_name = "PORT", default_value_t = 1883)]
    pub mqtt: u16,

    /// The viewer's built files; viewer/dist where not given.
    #[arg(
        long,
        value_name = "DIR",
        hide_default_value = true,
        default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../viewer/dist")
    )]
    pub viewer: PathBuf,
}

fn parse_window(text: &str) -> Result<WindowLength, WindowLengthError> {
    text.parse()
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .ok_or_else(|| format!("{text:?} is no time: use a number with ms, s, m, h or d, such as 60s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footage_can_be_kept_for_days() {
        let options = Options::parse_from(["teiten-dev", "--keep", "1d", "--for", "90s"]);
        let times = (options.keep, options.run_for);
        assert_eq!(times, (Duration::from_secs(24 * 3600), Some(Duration::from_secs(90))));
        let error = Options::try_parse_from(["teiten-dev", "--keep", "1"]).unwrap_err().to_string();
        assert!(error.contains("with ms, s, m, h or d"), "{error}");
    }

    #[test]
    fn help_says_nothing_of_where_it_was_built() {
        let help = <Options as clap::CommandFactory>::command().render_long_help().to_string();
        assert!(help.contains("viewer/dist") && !help.contains(env!("CARGO_MANIFEST_DIR")), "{help}");
    }

    #[test]
    fn the_defaults_are_two_synthetic_cameras_and_one_second() {
        let options = Options::parse_from(["teiten-dev"]);
        assert_eq!((options.cameras, options.window), (2, WindowLength::DEFAULT));
        assert_eq!((options.http, options.s3, options.mqtt), (8080, 9000, 1883));
    }
}
