//! The owner's desk as a program.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use teiten_owner::{
    cameras::Cameras,
    commands::{Add, Bundle, Flash, Revoke, Update, add, bundle, flash, revoke, update},
};

/// Makes cameras' certificates and settings, and writes cards.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Your folder: the authority's key is in it. Keep a copy of it in a safe place.
    #[arg(long, global = true, env = "TEITEN_CAMERAS", default_value = "cameras")]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Cameras: their certificates, settings and updates.
    #[command(subcommand)]
    Camera(Camera),
    /// Writes an image and a camera's settings onto a card, and reads it back.
    Flash(Flash),
    /// Makes an update of what an image is made of, signed with your key.
    Bundle(Bundle),
}

#[derive(Subcommand)]
enum Camera {
    /// Makes a camera's certificate and its ready settings. What is not given is as it was for the last camera,
    /// or asked.
    Add(Add),
    /// Shuts a camera out that was stolen or lost: revokes its certificates, and gives it a new one for a new card.
    Revoke(Revoke),
    /// Updates a camera over the network, and says how that goes. Its picture is away for a minute or two; what does
    /// not work goes back to what ran before.
    Update(Update),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { folder, command } = Arguments::parse();
    let cameras = Cameras::at(folder);
    match command {
        Command::Camera(Camera::Add(arguments)) => add(&cameras, &arguments),
        Command::Camera(Camera::Revoke(arguments)) => revoke(&cameras, &arguments),
        Command::Camera(Camera::Update(arguments)) => update(&cameras, &arguments).await,
        Command::Flash(arguments) => flash(&cameras, &arguments),
        Command::Bundle(arguments) => bundle(&cameras, &arguments),
    }
}
