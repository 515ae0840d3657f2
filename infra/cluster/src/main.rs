//! `teiten-cluster`: Teiten in a Kubernetes cluster.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use teiten_cluster::{Deploy, Kubectl, settings::Settings};

/// Puts Teiten into a Kubernetes cluster, shows how it is there, and takes it out again. The settings are in
/// infra/settings/teiten.env.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The cluster, by the name of its kubectl context; the current one if not given.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The folder of manifests.
    #[arg(long, global = true, value_name = "FOLDER", default_value = "infra")]
    infra: PathBuf,
    /// Your folder of certificates, as `./just camera add` makes it.
    #[arg(long, global = true, env = "TEITEN_CAMERAS", default_value = "cameras")]
    cameras: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Applies everything, waits until it is ready, and sends a test camera through. Run again, it changes nothing.
    Deploy {
        /// The viewer's page, as `./just viewer` builds it.
        #[arg(long, value_name = "FOLDER", default_value = "viewer/dist")]
        viewer: PathBuf,
        /// Which images were built last, as `./just images` tells it: they run where the settings leave TEITEN_VERSION empty.
        #[arg(long, value_name = "FILE", default_value = "target/images/version")]
        built: PathBuf,
        /// How long to wait until all is ready, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        wait: u64,
        /// Only says what the cluster lacks.
        #[arg(long)]
        check: bool,
        /// Makes keys for the components where the store is your own MinIO, whose set-up job makes users of them. (With
        /// another store, make the users there, and put their keys into the secrets.)
        #[arg(long)]
        make_keys: bool,
        /// Gives the broker in the cluster the authority of your folder, though it has another one. Every camera then needs a
        /// new certificate.
        #[arg(long)]
        new_authority: bool,
        /// Sends no test camera.
        #[arg(long)]
        no_test_camera: bool,
    },
    /// Cameras, delays and what is wrong, in plain words. Ends with status 1 if anything is wrong.
    Status,
    /// Takes Teiten out of the cluster. The footage, the keys and the addresses that cameras know stay, for another `deploy`.
    Undeploy {
        /// The footage in the cluster and all keys go, too.
        #[arg(long)]
        footage: bool,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
        /// How long to wait until each kind of what is taken out is gone, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    // What this program prints is for people; the log is for what went wrong on the way.
    teiten_telemetry::init_with("warn");
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let Arguments { context, infra, cameras, command } = arguments;
    let kubectl = Kubectl::new(context);
    let file = infra.join("settings/teiten.env");
    match command {
        Command::Deploy { viewer, built, wait, check, make_keys, new_authority, no_test_camera } => {
            let settings = Settings::read(&file)?;
            let options = Deploy {
                infra,
                cameras,
                viewer,
                built,
                wait,
                check_only: check,
                make_keys,
                new_authority,
                test_camera: !no_test_camera,
            };
            teiten_cluster::deploy(&kubectl, &settings, &options).await
        }
        Command::Status => teiten_cluster::status(&kubectl, &Settings::read(&file)?).await,
        Command::Undeploy { footage, yes, wait } => {
            teiten_cluster::undeploy(&kubectl, footage, yes, wait).map(|()| true)
        }
    }
}
