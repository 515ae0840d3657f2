//! The command line. It is read by hand: clap would be 0.13 of a camera's 3 MiB.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf};

use lexopt::{
    Arg::{Long, Short, Value},
    Error, Parser, ValueExt as _,
};
use teiten_agent::config::PixelFormat;

/// How many pictures the cost of encoding is the mean of, if nothing else is asked for.
const PICTURES_DEFAULT: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

pub(crate) const HELP: &str = "\
Captures pictures, keeps them until they are stored, and publishes them over MQTT.

Usage: teiten-agent [OPTIONS] [COMMAND]

Commands:
  check    Checks the settings file, lists all mistakes in it, and starts nothing
  devices  Lists the cameras of this machine: what each one offers, and which mode \"auto\" picks
  cost     Measures what a picture costs that this machine has to encode
             --format FORMAT    of one format only, by its name in the settings
             --pictures NUMBER  how many pictures the time is the mean of [default: 100]
  system   Writes what the other programs of a camera's card need of the settings (hostname,
           wpa_supplicant.conf, chrony.conf, syslog, authorized_keys). Where the settings have
           mistakes, lists them, and writes what can be used all the same
             --directory DIR    where the files are written
  reboot   Restarts the machine at once, with an argument for its firmware as reboot(2) has it:
           \"0 tryboot\" lets a Raspberry Pi try the other slot of its card once

Options:
  --config FILE        The settings file; teiten.toml.example shows every key [default: teiten.toml]
  --run-directory DIR  Where the file `health` is written, for whatever feeds the watchdog. With it,
                       settings with mistakes, or none, do not end the program: it tells them over
                       MQTT, if the settings of the broker can be used
  -h, --help           Prints this
  -V, --version        Prints the version
";

/// What is asked of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Help,
    Version,
    Run(Arguments),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) config: PathBuf,
    pub(crate) run_directory: Option<PathBuf>,
    /// None: be a camera.
    pub(crate) command: Option<Command>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Check,
    Devices,
    Cost { format: Option<PixelFormat>, pictures: NonZeroU32 },
    System { directory: PathBuf },
    Reboot { argument: String },
}

/// Reads the arguments that follow the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, Error> {
    let mut parser = Parser::from_args(arguments);
    let mut config = PathBuf::from("teiten.toml");
    let (mut run_directory, mut name, mut argument) = (None, None, None);
    let (mut format, mut pictures, mut directory) = (None, None, None);
    while let Some(next) = parser.next()? {
        let command: Option<&str> = name.as_deref();
        match next {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Short('V') | Long("version") => return Ok(Asked::Version),
            Long("config") => config = parser.value()?.into(),
            Long("run-directory") => run_directory = Some(parser.value()?.into()),
            Long("format") if command == Some("cost") => {
                format = Some(parser.value()?.parse_with(raw_format)?)
            }
            Long("pictures") if command == Some("cost") => pictures = Some(parser.value()?.parse()?),
            Long("directory") if command == Some("system") => directory = Some(parser.value()?.into()),
            Value(value) if name.is_none() => name = Some(value.string()?),
            Value(value) if command == Some("reboot") && argument.is_none() => {
                argument = Some(value.string()?)
            }
            other => return Err(other.unexpected()),
        }
    }
    let missing = |what: &str| Error::from(format!("missing: {what}"));
    let command = match name.as_deref() {
        None => None,
        Some("check") => Some(Command::Check),
        Some("devices") => Some(Command::Devices),
        Some("cost") => Some(Command::Cost { format, pictures: pictures.unwrap_or(PICTURES_DEFAULT) }),
        Some("system") => {
            Some(Command::System { directory: directory.ok_or_else(|| missing("--directory"))? })
        }
        Some("reboot") => Some(Command::Reboot { argument: argument.ok_or_else(|| missing("an argument"))? }),
        Some(other) => return Err(format!("no such command: {other}").into()),
    };
    Ok(Asked::Run(Arguments { config, run_directory, command }))
}

/// A format that this machine would have to encode, by its name in the settings.
fn raw_format(name: &str) -> Result<PixelFormat, String> {
    match PixelFormat::ALL.into_iter().find(|format| format.name() == name) {
        Some(format) if format.is_jpeg() => Err(format!("the camera encodes {format} itself")),
        Some(format) => Ok(format),
        None => {
            let raw = PixelFormat::ALL.into_iter().filter(|format| !format.is_jpeg());
            Err(format!("expected one of {}", raw.map(PixelFormat::name).collect::<Vec<_>>().join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Asked, String> {
        parse(line.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    fn run(config: &str, run_directory: Option<&str>, command: Option<Command>) -> Result<Asked, String> {
        let run_directory = run_directory.map(PathBuf::from);
        Ok(Asked::Run(Arguments { config: config.into(), run_directory, command }))
    }

    #[test]
    fn options_stand_before_and_behind_commands() {
        assert_eq!(read(&[]), run("teiten.toml", None, None));
        let line = ["--config", "a.toml", "--run-directory=/run/teiten"];
        assert_eq!(read(&line), run("a.toml", Some("/run/teiten"), None));
        assert_eq!(read(&["check", "--config", "a.toml"]), run("a.toml", None, Some(Command::Check)));
        assert_eq!(read(&["devices"]), run("teiten.toml", None, Some(Command::Devices)));
        let pictures = NonZeroU32::new(7).unwrap();
        let cost = Command::Cost { format: Some(PixelFormat::Yuyv), pictures };
        assert_eq!(
            read(&["cost", "--pictures", "7", "--format", "yuyv"]),
            run("teiten.toml", None, Some(cost))
        );
        let system = Command::System { directory: "/run/x".into() };
        assert_eq!(read(&["--config=a", "system", "--directory", "/run/x"]), run("a", None, Some(system)));
        let reboot = Command::Reboot { argument: "0 tryboot".into() };
        assert_eq!(read(&["reboot", "0 tryboot"]), run("teiten.toml", None, Some(reboot)));
        assert_eq!((read(&["-h"]), read(&["check", "--version"])), (Ok(Asked::Help), Ok(Asked::Version)));
    }

    #[test]
    fn what_is_not_known_or_missing_is_refused() {
        for (line, expected) in [
            (&["--colour"][..], "--colour"),
            (&["fly"], "no such command: fly"),
            (&["check", "more"], "more"),
            (&["check", "--pictures", "3"], "--pictures"),
            (&["cost", "--pictures", "many"], "many"),
            (&["cost", "--pictures", "0"], "\"0\""),
            (&["cost", "--format", "yuyw"], "\"yuyw\": expected one of grey, yu12, yuyv, uyvy, rgb24, bgr24"),
            (&["cost", "--format", "mjpeg"], "the camera encodes mjpeg itself"),
            (&["system"], "missing: --directory"),
            (&["reboot"], "missing: an argument"),
            (&["reboot", "0", "tryboot"], "tryboot"),
            (&["--config"], "--config"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(expected), "{line:?}: {error}");
        }
    }
}
