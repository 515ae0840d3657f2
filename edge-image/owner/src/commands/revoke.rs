//! `camera revoke`.

use clap::Args;
use teiten_footage::CameraId;

use crate::cameras::{Cameras, Revoked};

/// Which camera, and which of its certificates.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The camera.
    name: CameraId,
    /// Only those that `camera add --renew` took the place of: the last one stays good.
    #[arg(long)]
    replaced: bool,
}

/// Revokes a camera's certificates, and says how the broker comes to know.
pub fn revoke(cameras: &Cameras, arguments: &Revoke) -> anyhow::Result<()> {
    let Revoke { name, replaced } = arguments;
    let Revoked { certificates, list, renewed } = cameras.revoke(name, *replaced, teiten_telemetry::now())?;
    println!(
        "{name}: certificates that are revoked now: {certificates}. Whoever has one is shut out once the broker"
    );
    println!("has the new list, and is started anew (a connection that is there would go on):");
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
