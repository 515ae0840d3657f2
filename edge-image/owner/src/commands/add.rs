//! `camera add`.

use std::env;

use clap::Args;
use teiten_footage::CameraId;

use super::{ask::ask, tell_renewed};
use crate::{
    Wifi,
    authority::BrokerHost,
    cameras::{Cameras, Home, TLS_PORT},
};

/// Which camera, and what is other than for the last one.
#[derive(Debug, Args)]
pub struct Add {
    /// The camera's name: 1 to 63 lower-case letters, digits and hyphens.
    name: CameraId,
    /// A name or address of your MQTT broker; the first is the one that the camera uses. May be given again.
    #[arg(long)]
    broker: Vec<BrokerHost>,
    /// The broker's port for TLS.
    #[arg(long)]
    port: Option<u16>,
    /// The wireless network's name; empty for a camera on a cable.
    #[arg(long)]
    wifi: Option<String>,
    /// The wireless network's password; empty for an open network. Without this, that in TEITEN_WIFI_PASSWORD.
    #[arg(long, requires = "wifi")]
    wifi_password: Option<String>,
    /// The country that the camera is in, as two letters (DE, US, …): its rules for Wi-Fi hold.
    #[arg(long, requires = "wifi")]
    country: Option<String>,
    /// Gives a camera that is there a new certificate.
    #[arg(long)]
    renew: bool,
}

/// Adds a camera, or renews its certificate.
pub fn add(cameras: &Cameras, arguments: &Add) -> anyhow::Result<()> {
    let home = home(arguments, cameras.home()?)?;
    let added = cameras.add(&arguments.name, &home, arguments.renew, teiten_telemetry::now())?;
    let (folder, name) = (added.folder.display(), &arguments.name);
    if arguments.renew {
        println!(
            "{folder} has a new certificate. Copy ca.pem, certificate.pem, key.pem and updates.pem from there"
        );
        println!("onto the card's first partition (TEITEN): the settings that are there stay as they are.");
        println!("For a new card, with the settings of {folder}: ./just flash DEVICE {name}");
    } else {
        println!("{folder} is ready for its card: ./just flash DEVICE {name}");
        println!("Its settings are in teiten.toml there; the key in key.pem is the camera's identity.");
    }
    if added.broker_renewed {
        let broker = added.folder.with_file_name("broker.teiten");
        println!("The broker has a new certificate for {}:", home.broker.join(", "));
        println!("give it the files of {} and ask clients for a certificate.", broker.display());
    }
    for folder in &added.others_renewed {
        tell_renewed(folder);
    }
    Ok(())
}

/// What the arguments say, else what was last told, else what the owner answers.
fn home(arguments: &Add, last: Option<Home>) -> anyhow::Result<Home> {
    let mut home = match last {
        Some(home) => home,
        None => Home {
            broker: match arguments.broker.is_empty() {
                true => {
                    vec![ask("Your MQTT broker's name or address", "--broker")?.trim().to_owned()]
                }
                false => Vec::new(),
            },
            port: TLS_PORT,
            wifi: match arguments.wifi {
                None => {
                    wifi(ask("Wi-Fi network (empty: the camera is on a cable)", "--wifi \"\"")?, arguments)?
                }
                Some(_) => None,
            },
        },
    };
    for host in arguments.broker.iter().rev() {
        home.broker.retain(|known| *known != host.to_string());
        home.broker.insert(0, host.to_string());
    }
    home.port = arguments.port.unwrap_or(home.port);
    if let Some(network) = &arguments.wifi {
        home.wifi = wifi(network.clone(), arguments)?;
    }
    Ok(home)
}

fn wifi(network: String, arguments: &Add) -> anyhow::Result<Option<Wifi>> {
    if network.is_empty() {
        return Ok(None);
    }
    let given = |value: Option<String>, question, flag| value.map_or_else(|| ask(question, flag), Ok);
    // It may be in the environment of one who adds a camera on a cable, too.
    let password = arguments.wifi_password.clone().or_else(|| env::var("TEITEN_WIFI_PASSWORD").ok());
    let password =
        given(password, "Its password (shown as you type; empty: it has none)", "--wifi-password")?;
    let country = given(arguments.country.clone(), "Country, as two letters", "--country")?;
    Ok(Some(Wifi {
        network,
        password: Some(password).filter(|password| !password.is_empty()),
        country: country.trim().to_ascii_uppercase(),
    }))
}
