//! A card that takes updates: its camera, and the owner who signs them and asks for them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::ensure;
use teiten_owner::{
    bundle::{self, Slot},
    cameras::{Cameras, Home},
};

use crate::{
    card::{Card, Start, image_folder},
    debian::succeed,
    machine::{Board, Machine},
    mosquitto::{Mosquitto, tls_listener},
    pipeline::camera,
    process::{Process, eventually, free_port, program, project},
    sntp::TimeServer,
};

/// An emulated machine, on a busy one.
pub const WAIT_MAX: Duration = Duration::from_secs(300);

/// A trial that is shorter than that of a camera on a wall.
const TRIAL: &str = "teiten.proof=5 teiten.trial=100";

/// The owner of the camera `gate`.
pub struct Owner {
    folder: PathBuf,
    signer: PathBuf,
}

/// See the head of this file.
pub struct Updates {
    /// Who signs updates and asks for them.
    pub owner: Owner,
    folder: PathBuf,
    card: Card,
    _broker: Mosquitto,
    owned: BTreeMap<String, Vec<u8>>,
    starts: usize,
}

impl Updates {
    /// A card of the camera `gate`, and its owner.
    pub async fn new(folder: &Path) -> anyhow::Result<Self> {
        let now = teiten_telemetry::now();
        let cameras = Cameras::at(folder.join("cameras"));
        let port = free_port()?;
        // The card knows this machine as 10.0.2.2.
        let home = Home { broker: ["10.0.2.2", "127.0.0.1"].map(str::to_owned).into(), port, wifi: None };
        let added = cameras.add(&camera("gate")?, &home, false, now)?;
        // With the rights that a cluster's broker gives.
        let rights = project().join("infra/base/broker/acl");
        let broker = tls_listener(port, &folder.join("cameras/broker.teiten"));
        let broker = format!("{broker}acl_file {}\n", rights.display());
        let broker = Mosquitto::start_with(folder, port, &broker).await?;
        let settings = format!(
            "camera = \"gate\"\n[broker]\nhost = \"10.0.2.2\"\nport = {port}\n\
             ca = \"ca.pem\"\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n[source]\nkind = \"v4l2\"\nwidth = 320\nheight = 180\nrate = 1\n[preview]\nenabled = false\n\
             [system]\ntime_servers = [\"10.0.2.2:{}\"]\n",
            TimeServer::answering().await?.port
        );
        let beside = ["ca.pem", "certificate.pem", "key.pem", "updates.pem"];
        let beside = beside.map(|file| added.folder.join(file));
        let card = Card::with_settings(folder, &settings, &beside.each_ref().map(PathBuf::as_path))?;
        let owned = card.settings(folder)?;
        ensure!(owned.contains_key("teiten.toml") && owned.contains_key("updates.pem"), "{:?}", owned.keys());
        Ok(Self {
            owner: Owner::of(folder)?,
            folder: folder.to_owned(),
            card,
            _broker: broker,
            owned,
            starts: 0,
        })
    }

    /// Starts the camera.
    pub async fn start(&mut self, start: Start) -> anyhow::Result<Machine> {
        self.starts += 1;
        let name = format!("start-{}", self.starts);
        self.card.start(Board::Virt, start, &name, &self.folder, "vivid,softdog", TRIAL).await
    }

    /// Awaits that the camera restarts, and does what the firmware does then.
    pub async fn restarted(&mut self, machine: &mut Machine) -> anyhow::Result<(Start, Machine)> {
        machine.off(WAIT_MAX).await?;
        let start = if machine.asked_to_try() { Start::Try } else { Start::Ordinary };
        Ok((start, self.start(start).await?))
    }

    /// The partition that the camera starts from when it is switched on.
    pub fn partition(&self) -> anyhow::Result<usize> {
        self.card.boot_partition(Start::Ordinary)
    }

    /// Awaits that something is written on a boot partition.
    pub async fn begins_to_write(&self, partition: usize) -> anyhow::Result<()> {
        let what = "the other slot is written";
        eventually(what, WAIT_MAX, async || Ok(self.is_written(partition)?.then_some(()))).await
    }

    /// Whether anything is on a boot partition.
    pub fn is_written(&self, partition: usize) -> anyhow::Result<bool> {
        self.card.is_written(partition)
    }

    /// The owner's files are as they were.
    pub fn the_owners_files_are_untouched(&self) -> anyhow::Result<()> {
        ensure!(self.card.settings(&self.folder)? == self.owned, "something of the owner's was changed");
        Ok(())
    }
}

impl Owner {
    /// The owner of the camera `gate` whose `cameras` are in `folder`.
    pub fn of(folder: &Path) -> anyhow::Result<Self> {
        let signer = Cameras::at(folder.join("cameras")).updates(teiten_telemetry::now())?;
        fs::create_dir(folder.join("bundles"))?;
        Ok(Self { folder: folder.to_owned(), signer })
    }

    /// A bundle of the image as it is built, with `more` on the kernel's command line.
    pub fn bundle(&self, name: &str, more: &str) -> anyhow::Result<()> {
        let mut slot = Slot::in_folder(&image_folder())?;
        if !more.is_empty() {
            let [boot, line] = ["boot.vfat", "cmdline.txt"].map(|file| self.folder.join(file));
            fs::copy(&slot.boot, &boot)?;
            let text = succeed(crate::card::mtool("mtype", &boot, 0).arg("::cmdline.txt"))?;
            fs::write(&line, format!("{} {more}\n", text.trim_end()))?;
            succeed(crate::card::mtool("mcopy", &boot, 0).arg("-o").arg(&line).arg("::"))?;
            slot.boot = boot;
        }
        bundle::make(&slot, &self.signer, &self.bundle_file(name))
    }

    /// A small bundle that nothing could start from, signed by the owner.
    pub fn small_bundle(&self, name: &str) -> anyhow::Result<()> {
        self.small_bundle_of(&self.signer, name)
    }

    /// The same, signed by somebody else.
    pub fn strangers_bundle(&self, name: &str) -> anyhow::Result<()> {
        let now = teiten_telemetry::now();
        let stranger = Cameras::at(self.folder.join("others"));
        let home = Home { broker: vec!["10.0.2.2".to_owned()], port: 1, wifi: None };
        stranger.add(&camera("gate")?, &home, false, now)?;
        self.small_bundle_of(&stranger.updates(now)?, name)
    }

    fn small_bundle_of(&self, signer: &Path, name: &str) -> anyhow::Result<()> {
        let [boot, root, line] =
            ["small.vfat", "small.squashfs", "cmdline.txt"].map(|file| self.folder.join(file));
        fs::write(&boot, vec![0; 1 << 20])?;
        succeed(crate::card::mtool("mformat", &boot, 0).args(["-T", "2048", "::"]))?;
        fs::write(&line, "rauc.slot=A root=PARTUUID=54494554-05\n")?;
        succeed(crate::card::mtool("mcopy", &boot, 0).arg("-o").arg(&line).arg("::"))?;
        // RAUC makes no bundle of less than a block.
        fs::write(&root, rand::random_iter().take(8192).collect::<Vec<u8>>())?;
        let slot = Slot { boot, root, release: "small".to_owned() };
        bundle::make(&slot, signer, &self.bundle_file(name))
    }

    /// What is no bundle, and would fill the camera's memory.
    pub fn huge_bundle(&self, name: &str) -> anyhow::Result<()> {
        Ok(fs::File::create(self.bundle_file(name))?.set_len(130 << 20)?)
    }

    fn bundle_file(&self, name: &str) -> PathBuf {
        self.folder.join("bundles").join(name)
    }

    /// The owner has the camera update itself: `just camera update`. It ends once that has ended.
    pub fn update(&self, name: &str) -> anyhow::Result<Process> {
        let (owner, cameras) = (program("teiten-owner")?, self.folder.join("cameras"));
        let bundle = self.bundle_file(name);
        Process::start(&format!("update-{name}"), &self.folder, move || {
            let mut command = Command::new(&owner);
            command.arg("--folder").arg(&cameras).args(["camera", "update", "gate", "--bundle"]).arg(&bundle);
            // What it says is for people.
            command.args(["--address", "10.0.2.2", "--broker", "127.0.0.1"]).env_remove("RUST_BACKTRACE");
            command
        })
    }
}

/// Awaits that an update has ended, and that the owner was told so in these words.
pub async fn ends(mut update: Process, words: &str) -> anyhow::Result<()> {
    update.ended(WAIT_MAX).await?;
    let said = update.log_tail();
    println!("{said}");
    ensure!(said.contains(words), "it does not say {words:?}:\n{said}");
    Ok(())
}
