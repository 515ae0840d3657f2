//! The camera's agent as a program.

mod arguments;

use std::{num::NonZeroU32, path::Path, process::ExitCode, time::Duration};

use anyhow::Context;
use arguments::{Arguments, Asked, Command};
use teiten_agent::{
    Config, ConfigErrors, Ended, Host,
    config::{PictureSize, PixelFormat},
};
use tokio_util::sync::CancellationToken;

/// The exit status that asks whoever started the agent to start it anew (EX_TEMPFAIL of sysexits.h).
const RESTART_STATUS: u8 = 75;

/// The exit status of a command line that is not understood.
const USAGE_STATUS: u8 = 2;

/// How long a camera that could not start says so before it tries again. (Mistakes in settings stay.)
const START_AGAIN_AFTER: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Run(arguments)) => arguments,
        Ok(Asked::Help) => {
            print!("{}", arguments::HELP);
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Asked::Version) => {
            println!("teiten-agent {}", env!("CARGO_PKG_VERSION"));
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            eprintln!("{error}\n\n{}", arguments::HELP);
            return Ok(ExitCode::from(USAGE_STATUS));
        }
    };
    match &arguments.command {
        None => camera(&arguments).await,
        Some(Command::Check) => check(&arguments.config),
        Some(Command::Devices) => {
            print!("{}", teiten_agent::list_devices());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Cost { format, pictures }) => cost(*format, *pictures),
        Some(Command::System { directory }) => {
            teiten_agent::system::write(&Config::usable_of_file(&arguments.config), directory)
                .with_context(|| directory.display().to_string())?;
            // All that is wrong with the settings.
            read(&arguments.config).map(|_| ExitCode::SUCCESS)
        }
        Some(Command::Reboot { argument }) => {
            Err(teiten_agent::system::reboot(argument)).context("the machine cannot be restarted")
        }
    }
}

/// Is a camera until it is told to stop. On a card (with a run directory), one that cannot start says why, and stays.
async fn camera(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { config, run_directory, .. } = arguments;
    teiten_telemetry::init();
    let shutdown = teiten_telemetry::shutdown_on_signal()?;
    let settings = match Config::from_file(config) {
        Ok(settings) => settings,
        Err(mistakes) if run_directory.is_some() => return Ok(tell(arguments, &mistakes, shutdown).await),
        Err(mistakes) => return Err(mistakes).with_context(|| config.display().to_string()),
    };
    match teiten_agent::run_on(host(arguments), settings, shutdown.clone()).await {
        Ok(Ended::Stopped) => Ok(ExitCode::SUCCESS),
        Ok(Ended::RestartAsked) => Ok(ExitCode::from(RESTART_STATUS)),
        Err(error) if run_directory.is_some() => {
            let again = shutdown.child_token();
            let timer = again.clone();
            tokio::spawn(async move {
                tokio::time::sleep(START_AGAIN_AFTER).await;
                timer.cancel();
            });
            Ok(tell(arguments, &ConfigErrors::of_the_whole(format!("{error:#}")), again).await)
        }
        Err(error) => Err(error),
    }
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let (Config { camera, source, broker, .. }, hints) = teiten_agent::check(path)?;
    hints.iter().for_each(|hint| eprintln!("{hint}"));
    println!("{}: camera {camera}, {source}, broker {broker}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Config> {
    Config::from_file(path).with_context(|| path.display().to_string())
}

fn host(arguments: &Arguments) -> Host {
    Host { run_directory: arguments.run_directory.clone(), ..Host::default() }
}

/// Prints what encoding costs, of 1280x720 as "auto" picks it at most.
fn cost(format: Option<PixelFormat>, pictures: NonZeroU32) -> anyhow::Result<ExitCode> {
    let size = PictureSize::new(1280, 720)?;
    for known in PixelFormat::ALL {
        if format.is_none_or(|format| format == known)
            && let Some(cost) = teiten_agent::encoding_cost(known, size, pictures.get())?
        {
            println!("{known} {size}: {} us", cost.as_micros());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says why this camera cannot start, on its console and wherever else it can.
async fn tell(arguments: &Arguments, mistakes: &ConfigErrors, shutdown: CancellationToken) -> ExitCode {
    eprintln!("{}: {mistakes}", arguments.config.display());
    let usable = Config::usable_of_file(&arguments.config);
    teiten_agent::tell_mistakes(host(arguments), usable, mistakes, shutdown).await;
    ExitCode::FAILURE
}
