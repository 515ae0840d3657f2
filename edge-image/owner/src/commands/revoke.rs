//! `camera revoke`.

use clap::Args;
use teiten_footage::CameraId;

use crate::cameras::{Cameras, Revoked, Which};

/// Which camera, and which of its certificates.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The camera.
    name: CameraId,
    /// Only those that `camera add --renew` took the place of: the last one stays good.
    #[arg(long)]
    replaced: bool,
    /// The one that it was given when the others were revoked, too: that card is gone as well.
    #[arg(long, conflicts_with = "replaced")]
    again: bool,
}

/// Revokes a camera's certificates, and says how the broker comes to know.
pub fn revoke(cameras: &Cameras, arguments: &Revoke) -> anyhow::Result<()> {
    let Revoke { name, replaced, again } = arguments;
    let which = match (replaced, again) {
        (true, _) => Which::Replaced,
        (false, true) => Which::All,
        (false, false) => Which::Once,
    };
    let revoked = cameras.revoke(name, which, teiten_telemetry::now())?;
    let Revoked { certificates, list, renewed, stays } = revoked;
    println!("{name}: certificates that are revoked now: {certificates}.");
    if which == Which::Once && stays {
        println!(
            "All others were revoked before, and its present certificate was made after that; if that card is"
        );
        println!("gone too: ./just camera revoke {name} --again");
    }
    println!(
        "Whoever has a revoked one is shut out once the broker has the list, and is started anew (a connection"
    );
    println!("that is there would go on):");
    println!("    sudo install -o mosquitto -m 400 -t /etc/mosquitto/teiten {}", list.display());
    println!("    sudo systemctl restart mosquitto");
    println!(
        "Its settings have to name it: crlfile /etc/mosquitto/teiten/revoked.pem. In the cluster: ./just deploy"
    );
    if let Some(folder) = renewed {
        println!("{} has a new certificate. For a new card: ./just flash DEVICE {name}", folder.display());
    }
    println!("A stolen card has the Wi-Fi's password, too: change that.");
    Ok(())
}
