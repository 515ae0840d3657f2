//! The camera's agent as a program.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use teiten_agent::{Config, Ended, Host};

/// Captures pictures, keeps them until they are stored, and publishes them over MQTT.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The settings file; teiten.toml.example shows every key.
    #[arg(long, global = true, default_value = "teiten.toml")]
    config: PathBuf,
    /// Where the file `health` is written, for whatever feeds the watchdog.
    #[arg(long)]
    run_directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Checks the settings file, lists all mistakes in it, and starts nothing.
    Check,
    /// Lists the cameras of this machine: what each one offers, and which mode "auto" picks.
    Devices,
    /// Writes what the other programs of a camera's card need of the settings (hostname, wpa_supplicant.conf,
    /// chrony.conf, syslog, authorized_keys). Where the settings have mistakes, lists them, and writes what can
    /// be used all the same.
    System {
        /// Where the files are written.
        #[arg(long)]
        directory: PathBuf,
    },
}

/// The exit status that asks whoever started the agent to start it anew (EX_TEMPFAIL of sysexits.h).
const RESTART_STATUS: u8 = 75;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(Command::Devices) = arguments.command {
        print!("{}", teiten_agent::list_devices());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Command::System { directory }) = &arguments.command {
        let text = std::fs::read(&arguments.config).unwrap_or_default();
        teiten_agent::system::write(&Config::usable(&String::from_utf8_lossy(&text)), directory)
            .with_context(|| directory.display().to_string())?;
        // All that is wrong with the settings.
        return read(&arguments.config).map(|_| ExitCode::SUCCESS);
    }
    let config = read(&arguments.config)?;
    if let Some(Command::Check) = arguments.command {
        if let Some(tls) = &config.broker.tls {
            tls.transport().context("broker")?;
        }
        println!(
            "{}: camera {}, {}, broker {}",
            arguments.config.display(),
            config.camera,
            config.source,
            config.broker
        );
        return Ok(ExitCode::SUCCESS);
    }
    teiten_telemetry::init();
    let host = Host { run_directory: arguments.run_directory, ..Host::default() };
    Ok(match teiten_agent::run_on(host, config, teiten_telemetry::shutdown_on_signal()?).await? {
        Ended::Stopped => ExitCode::SUCCESS,
        Ended::RestartAsked => ExitCode::from(RESTART_STATUS),
    })
}

fn read(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
    let config = Config::from_toml(&text).with_context(|| path.display().to_string())?;
    Ok(config.in_folder(path.parent().unwrap_or(Path::new(""))))
}
