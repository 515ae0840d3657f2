//! The owner's desk as a program.

use std::{
    env, fs,
    io::{self, BufRead, IsTerminal as _, Write as _},
    net::UdpSocket,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Error, anyhow, bail, ensure};
use clap::{Args, Parser, Subcommand};
use teiten_footage::CameraId;
use teiten_owner::{
    Wifi,
    authority::BrokerHost,
    bundle::{self, Slot},
    cameras::{CARD_FILES, Cameras, Home, TLS_PORT},
    flash::{Facts, Objection, System, open, prepare, verdict, write},
    serve::Served,
    update::{Broker, Outcome, update},
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
    /// Cameras: their certificates and settings.
    #[command(subcommand)]
    Camera(Camera),
    /// Writes an image and a camera's settings onto a card, and reads it back.
    Flash(Flash),
    /// Makes an update of what an image is made of, signed with your key.
    Bundle(Bundle),
}

#[derive(Args)]
struct Bundle {
    /// The folder with the image's boot.vfat, root.squashfs and release.
    image: PathBuf,
    /// The bundle to write.
    bundle: PathBuf,
}

#[derive(Args)]
struct Flash {
    /// The card: a whole disk such as /dev/sdb or /dev/mmcblk0, or a file.
    device: PathBuf,
    /// The camera, made by `camera add`.
    name: CameraId,
    /// The image to write; `./just image-debian` makes this one.
    #[arg(long, default_value = "target/image-debian/teiten-debian.img")]
    image: PathBuf,
    /// Writes even to a disk that is mounted, in use or not removable; never to one that this machine runs from.
    #[arg(long)]
    force: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Subcommand)]
enum Camera {
    /// Makes a camera's certificate and its ready settings. What is not given is as it was for the last camera,
    /// or asked.
    Add(Add),
    /// Updates a camera over the network, and says how that goes. Its picture is away for a minute or two; what does
    /// not work goes back to what ran before.
    Update(Update),
}

#[derive(Args)]
struct Update {
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

#[derive(Args)]
struct Add {
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

fn main() -> anyhow::Result<()> {
    let Arguments { folder, command } = Arguments::parse();
    let cameras = Cameras::at(folder);
    match command {
        Command::Camera(Camera::Add(arguments)) => add(&cameras, &arguments),
        Command::Camera(Camera::Update(arguments)) => update_camera(&cameras, &arguments),
        Command::Flash(arguments) => flash(&cameras, &arguments),
        Command::Bundle(arguments) => bundle(&cameras, &arguments),
    }
}

fn add(cameras: &Cameras, arguments: &Add) -> anyhow::Result<()> {
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

fn tell_renewed(folder: &Path) {
    println!("{} has a new certificate, as the one of before ends soon:", folder.display());
    println!("who has a copy of its files needs these.");
}

fn flash(cameras: &Cameras, arguments: &Flash) -> anyhow::Result<()> {
    let Flash { device, name, image, force, yes } = arguments;
    let card = cameras.card(name);
    ensure!(card.is_dir(), "there is no camera {name} yet: ./just camera add {name}");
    let device = fs::canonicalize(device).with_context(|| format!("{} is not there", device.display()))?;
    let kind = fs::metadata(&device)?.file_type();
    ensure!(kind.is_file() || kind.is_block_device(), "{} is neither a disk nor a file", device.display());
    let bytes = fs::metadata(image)
        .with_context(|| {
            format!(
                "there is no image {}: make it (./just image-debian), or name another (--image)",
                image.display()
            )
        })?
        .len();
    let (facts, overruled) = match kind.is_block_device() {
        true => allowed(&device, bytes, *force).map(|(facts, overruled)| (Some(facts), overruled))?,
        false => (None, Vec::new()),
    };
    // Before anything is asked or copied.
    let disk =
        open(&device, overruled.iter().any(Objection::is_use)).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                let command = as_root(arguments, card.parent().unwrap_or(&card));
                anyhow!("you may not write to {}. This may:\n    {command}", device.display())
            }
            _ => Error::from(error).context(format!("{} cannot be opened", device.display())),
        })?;
    if let Some(Facts { model, bytes, .. }) = facts {
        let gigabytes = bytes.unwrap_or_default() as f64 / 1e9;
        println!("{}: {model}, {gigabytes:.1} GB. Everything on it will be lost.", device.display());
        let sure = *yes
            || ask(&format!("Write {} with the settings of {name}? [y/N]", image.display()), "--yes")?
                .trim()
                .eq_ignore_ascii_case("y");
        ensure!(sure, "nothing was written");
    }
    let files: Vec<PathBuf> = CARD_FILES.iter().map(|file| card.join(file)).collect();
    // The settings have a key in them: the folder is for this user alone, and gone afterwards.
    let folder = tempfile::tempdir()?;
    let prepared = prepare(image, &files, folder.path())?;
    write(&prepared, disk, &device, |done| {
        eprint!(
            "\r{} {:3} %",
            if done <= bytes { "writing" } else { "reading back" },
            done * 50 / bytes.max(1)
        );
    })?;
    eprintln!();
    println!("{} is the card of {name}: put it into the Raspberry Pi.", device.display());
    Ok(())
}

/// What is known of a disk that may be written, and what `force` has overruled.
fn allowed(device: &Path, bytes: u64, force: bool) -> anyhow::Result<(Facts, Vec<Objection>)> {
    let disk = device.file_name().context("a device without a name")?.to_string_lossy();
    let facts = System::default().disk(&disk)?;
    let objections = match verdict(&facts, bytes, force) {
        Ok(overruled) => return Ok((facts, overruled)),
        Err(objections) => objections,
    };
    for objection in &objections {
        eprintln!("{}: {objection}", device.display());
    }
    let forced = objections.iter().all(Objection::can_be_forced);
    bail!("nothing was written{}", if forced { " (--force writes all the same)" } else { "" })
}

/// The command that flashes as root: of this program, for `sudo ./just` would build everything as root.
fn as_root(Flash { device, name, image, force, yes }: &Flash, folder: &Path) -> String {
    let program = env::current_exe().unwrap_or_else(|_| "teiten-owner".into());
    let [program, folder, device, image] = [program.as_path(), folder, device, image].map(in_shell);
    let flags = [(*force, " --force"), (*yes, " --yes")];
    let flags: String = flags.iter().filter_map(|(given, flag)| given.then_some(*flag)).collect();
    format!("sudo {program} --folder {folder} flash {device} {name} --image {image}{flags}")
}

/// A path as a shell's word.
fn in_shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if is_plain { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn bundle(cameras: &Cameras, Bundle { image, bundle }: &Bundle) -> anyhow::Result<()> {
    let signer = cameras.updates(teiten_telemetry::now())?;
    let slot = Slot::in_folder(image)?;
    bundle::make(&slot, &signer, bundle)?;
    let mebibytes = fs::metadata(bundle)?.len() as f64 / f64::from(1 << 20);
    println!(
        "{} ({}, {mebibytes:.1} MiB) is signed. Put it where cameras can fetch it",
        bundle.display(),
        slot.release
    );
    println!("by HTTP and tell them so, or do both by ./just camera update NAME.");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn update_camera(cameras: &Cameras, arguments: &Update) -> anyhow::Result<()> {
    let Update { name, bundle, address, broker, minutes } = arguments;
    ensure!(!bundle.starts_with("https://"), "cameras fetch by http:// alone: the bundle is signed");
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
    match update(&broker, name, &url, wait_max, |news| println!("{name}: {news}")).await? {
        Outcome::Kept { image } => println!("{name} is updated: it runs {image}."),
        Outcome::Refused { why } => bail!("{name} runs on as before: {why}"),
        Outcome::NotTried { image } => bail!(
            "{name} restarted and runs what it ran before, {image}; nothing was heard of the other slot. Either it was \
             started and failed before it reached the broker, or the board's firmware did not start it (a Pi 4 may need \
             a newer EEPROM; README, \"Updates\"): then updates come to this board by flashing its card"
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

/// Asks on the terminal; without one, `flag` is what is missing.
fn ask(question: &str, flag: &str) -> anyhow::Result<String> {
    ensure!(io::stdin().is_terminal(), "missing: {flag}");
    eprint!("{question}: ");
    io::stderr().flush()?;
    answer(io::stdin().lock())
}

/// A line without its end: names and passwords may begin or end with spaces. One that is broken off is no answer.
fn answer(mut input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).context("the answer cannot be read")?;
    let answer = line.strip_suffix('\n').context("there was no answer, so nothing was done")?;
    Ok(answer.strip_suffix('\r').unwrap_or(answer).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_whole_line_as_it_was_typed() {
        let answer = |typed: &str| answer(typed.as_bytes()).ok();
        assert_eq!(answer(" my net \n").as_deref(), Some(" my net "));
        assert_eq!(answer("windows\r\n").as_deref(), Some("windows"));
        assert_eq!(answer("\nlater\n").as_deref(), Some(""));
        assert_eq!((answer(""), answer("half an ans")), (None, None));
    }
}
