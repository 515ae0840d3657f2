//! `camera update`.

use std::{net::UdpSocket, path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use teiten_footage::CameraId;

use super::tell_renewed;
use crate::{
    authority::BrokerHost,
    cameras::Cameras,
    serve::Served,
    update::{self, Broker, Outcome},
};

/// Which camera, and which update.
#[derive(Debug, Args)]
pub struct Update {
    /// The camera.
    name: CameraId,
    /// The update that `./just update-bundle` makes: a file, which is served to the camera from here for as long as this
    /// runs, or an address (http://…; it is signed, so https is not needed, and not taken) that the camera can reach.
    #[arg(long, default_value = "target/image-debian/teiten-debian.raucb")]
    bundle: String,
    /// This machine's name or address, as the camera can reach it. [default: that which talks to the broker]
    #[arg(long)]
    address: Option<BrokerHost>,
    /// The broker's name or address, if it is another one from here than from cameras. The broker's certificate must
    /// be good for it.
    #[arg(long)]
    broker: Option<BrokerHost>,
    /// How long to follow it, in minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

/// Updates a camera, and follows how that goes.
pub async fn update(cameras: &Cameras, arguments: &Update) -> anyhow::Result<()> {
    let Update { name, bundle, address, broker, minutes } = arguments;
    ensure!(!bundle.starts_with("https://"), "cameras fetch by http:// alone: the bundle is signed");
    if let Some(address) = address.as_ref().filter(|address| address.is_mdns_name()) {
        bail!("no camera finds {address}: its card has no mDNS. Give this machine's address by --address");
    }
    ensure!(cameras.card(name).is_dir(), "there is no camera {name}: ./just camera add {name}");
    let identity = cameras.owner(teiten_telemetry::now())?;
    if identity.renewed {
        tell_renewed(&identity.folder);
    }
    let home = cameras.home()?.context("no broker is known: ./just camera add NAME")?;
    let broker = Broker::of(&home, broker.as_ref(), &identity.folder)?;
    let served = if bundle.starts_with("http://") {
        None
    } else {
        Some(Served::file(Path::new(bundle)).await.context("./just update-bundle makes an update")?)
    };
    let url = match (&served, address) {
        (None, _) => bundle.clone(),
        (Some(served), Some(address)) => served.at(address),
        (Some(served), None) => served.at(&address_towards(&broker)?),
    };
    println!("{name}: {url}");
    let wait_max = Duration::from_secs(minutes * 60);
    match update::update(&broker, name, &url, wait_max, |news| println!("{name}: {news}")).await? {
        Outcome::Kept { image } => println!("{name} is updated: it runs {image}."),
        Outcome::Refused { why } => bail!("{name} runs on as before: {why}"),
        Outcome::NotTried { image } => bail!(
            "{name} restarted and runs what it ran before, {image}; nothing was heard of the other slot. Either it was \
             started and failed before it reached the broker, or the board's firmware did not start it (a Pi 4 may need \
             a newer EEPROM; docs/cameras.md, \"Updates\"): then updates come to this board by flashing its card"
        ),
        Outcome::WentBack { image, last } => {
            bail!("{name} went back to what it ran before, {image}. It last said of the update: {last}")
        }
    }
    Ok(())
}

/// This machine's address on the network that leads to the broker, where cameras are too.
fn address_towards(broker: &Broker) -> anyhow::Result<BrokerHost> {
    let told = "say by --address how the camera reaches this machine";
    let any = if broker.host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    // Nothing is sent.
    let host = broker.host.trim_matches(['[', ']']);
    socket.connect((host, broker.port)).with_context(|| format!("there is no way to {host}: {told}"))?;
    let address = socket.local_addr()?.ip();
    ensure!(!address.is_loopback(), "the broker is on this machine: {told}");
    Ok(address.to_string().parse()?)
}
