//! The camera's agent as a program.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use teiten_agent::{
    Config, ConfigErrors, Ended, Host,
    config::{PictureSize, PixelFormat, Usable},
};

/// Captures pictures, keeps them until they are stored, and publishes them over MQTT.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The settings file; teiten.toml.example shows every key.
    #[arg(long, global = true, default_value = "teiten.toml")]
    config: PathBuf,
    /// Where the file `health` is written, for whatever feeds the watchdog. With it, settings with mistakes do not
    /// end the program: it tells them over MQTT, if the settings of the broker can be used.
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
    /// Measures what a picture costs that this machine has to encode.
    Cost {
        /// Of one format only, by its name in the settings.
        #[arg(long)]
        format: Option<String>,
        /// How many pictures the time is the mean of.
        #[arg(long, default_value_t = 100)]
        pictures: u32,
    },
    /// Writes what the other programs of a camera's card need of the settings (hostname, wpa_supplicant.conf,
    /// chrony.conf, syslog, authorized_keys). Where the settings have mistakes, lists them, and writes what can
    /// be used all the same.
    System {
        /// Where the files are written.
        #[arg(long)]
        directory: PathBuf,
    },
    /// Restarts the machine at once, with an argument for its firmware: "0 tryboot" lets a Raspberry Pi try the
    /// other slot of its card once.
    Reboot {
        /// As reboot(2) has it.
        argument: String,
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
    if let Some(Command::Cost { format, pictures }) = &arguments.command {
        return cost(format.as_deref(), *pictures).map(|()| ExitCode::SUCCESS);
    }
    if let Some(Command::Reboot { argument }) = &arguments.command {
        return Err(teiten_agent::system::reboot(argument)).context("the machine cannot be restarted");
    }
    if let Some(Command::System { directory }) = &arguments.command {
        teiten_agent::system::write(&usable(&arguments.config), directory)
            .with_context(|| directory.display().to_string())?;
        // All that is wrong with the settings.
        return read(&arguments.config).map(|_| ExitCode::SUCCESS);
    }
    let config = match read(&arguments.config) {
        Ok(config) => config,
        Err(error) => return mistaken(&arguments, error).await,
    };
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

/// Prints what encoding costs, of 1280x720 as "auto" picks it at most.
fn cost(format: Option<&str>, pictures: u32) -> anyhow::Result<()> {
    let size = PictureSize::new(1280, 720)?;
    for known in PixelFormat::ALL {
        if format.is_none_or(|name| name == known.name())
            && let Some(cost) = teiten_agent::encoding_cost(known, size, pictures)?
        {
            println!("{known} {size}: {} us", cost.as_micros());
        }
    }
    Ok(())
}

/// What there is to be done with settings that have mistakes.
async fn mistaken(arguments: &Arguments, error: anyhow::Error) -> anyhow::Result<ExitCode> {
    let (None, Some(run_directory), Some(mistakes)) =
        (&arguments.command, &arguments.run_directory, error.downcast_ref::<ConfigErrors>())
    else {
        return Err(error);
    };
    teiten_telemetry::init();
    eprintln!("{error:#}");
    teiten_agent::tell_mistakes(
        usable(&arguments.config),
        mistakes,
        run_directory,
        teiten_telemetry::shutdown_on_signal()?,
    )
    .await;
    Ok(ExitCode::FAILURE)
}

/// What can be used of the settings.
fn usable(path: &Path) -> Usable {
    let text = std::fs::read(path).unwrap_or_default();
    Config::usable(&String::from_utf8_lossy(&text)).in_folder(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn read(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
    let config = Config::from_toml(&text).with_context(|| path.display().to_string())?;
    Ok(config.in_folder(folder(path)))
}
