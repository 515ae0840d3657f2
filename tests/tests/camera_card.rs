//! The card that `just image-debian` makes, booted in an emulated Raspberry Pi 3A+ with Linux's virtual camera.

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use teiten_footage::{Frame, Timestamp, WindowLength};
use teiten_owner::cameras::{Cameras, Home};
use teiten_tests::{
    card::{Card, Start, image_folder},
    debian::{kernel_version, succeed},
    machine::{Board, Machine},
    mosquitto::{Mosquitto, tls_listener},
    pipeline::{Options, Pipeline, camera},
    process::{eventually, free_port},
    sntp::TimeServer,
    ssh::Key,
    updates::Owner,
    verify::{Recording, list_all},
};
use tokio::net::UdpSocket;

/// The emulated Pi, on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(300);

/// The frames of the cut follow behind live ones.
const CATCH_UP_MAX: Duration = Duration::from_secs(400);

/// The pin of a Pi 3A+'s own LED.
const LED_PIN: u32 = 29;

/// How long the cable is pulled.
const CUT: Duration = Duration::from_secs(30);

/// A stalled agent's word grows old in 15 s; then the watchdog is not fed for 10.
const WATCHDOG_MAX: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_cards_frames_go_by_tls_to_the_playlist_and_a_cut_link_loses_none_of_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let gate = camera("gate")?;
    // The emulated Pi knows this machine as 10.0.2.2.
    let port = free_port()?;
    let home = Home { broker: ["10.0.2.2", "127.0.0.1"].map(str::to_owned).into(), port, wifi: None };
    let cameras = folder.path().join("cameras");
    let added = Cameras::at(&cameras).add(&gate, &home, false, teiten_telemetry::now())?;
    let mosquitto = tls_listener(port, &cameras.join("broker.teiten"));
    let options = Options { mosquitto, ..Options::default() };
    let pipeline = Pipeline::start_with(folder.path(), WindowLength::DEFAULT, options).await?;

    let time_server = TimeServer::silent().await?;
    let log = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (owner, stranger) =
        (Key::generate(folder.path(), "owner")?, Key::generate(folder.path(), "stranger")?);
    let system = format!(
        "time_servers = [\"10.0.2.2:{}\"]\nsyslog = \"10.0.2.2:{}\"\nssh_key = {:?}",
        time_server.port,
        log.local_addr()?.port(),
        owner.public,
    );
    let settings = with_virtual_camera(&added.folder.join("teiten.toml"), system)?;
    let beside = ["ca.pem", "certificate.pem", "key.pem", "updates.pem"];
    let beside = beside.map(|file| added.folder.join(file));
    let card = Card::with_settings(folder.path(), &settings, &beside.each_ref().map(PathBuf::as_path))?;
    let ssh_port = free_port()?;
    let card = card.with_ssh(ssh_port);
    let before = card.hash()?;
    let mut machine = card.boot("pi", folder.path(), "vivid,softdog").await?;

    // Without the time there is no frame, but everything else.
    machine.says("the clock is not set", BOOT_MAX).await?;
    nothing_can_be_written(&owner, ssh_port).await.with_context(|| machine.console())?;
    the_boards_own_led_flashes(2, &mut machine).await?;
    let refused = stranger.run(ssh_port, "true").await?;
    let complaint = String::from_utf8_lossy(&refused.stderr);
    ensure!(complaint.contains("Permission denied (publickey)"), "a stranger's login: {complaint}");
    let kept = list_all(&*pipeline.frames(), "").await?;
    ensure!(kept.is_empty(), "frames of a camera without the time: {kept:?}");
    let started = teiten_telemetry::now();
    time_server.answer_from_now_on();

    machine.says("frames flow", BOOT_MAX).await?;
    the_log_is_heard(&log, "connected broker=10.0.2.2").await.with_context(|| machine.console())?;
    println!("{}", machine.console().split("Seconds from power to frames:").last().unwrap_or_default());
    let (frames, media) = (pipeline.frames(), pipeline.media());
    let listed = eventually("a playlist", BOOT_MAX, async || Ok(media.get("gate/live.m3u8").await?)).await;
    listed.inspect_err(|_| println!("{}{}", machine.console(), pipeline.logs()))?;

    machine.cable(false)?;
    tokio::time::sleep(CUT).await;
    machine.cable(true)?;
    let plugged_in = teiten_telemetry::now();
    let recording = eventually("every frame of before, while and after", CATCH_UP_MAX, async || {
        let Ok(recording) = Recording::read(&*frames, &*media, &gate).await else { return Ok(None) };
        let caught_up = recording.frames().last().is_some_and(|frame| frame.captured > plugged_in + CUT / 3);
        Ok((caught_up && recording.every_frame_is_there_once().is_ok()).then_some(recording))
    });
    let recording = recording.await.inspect_err(|_| println!("{}{}", machine.console(), pipeline.logs()))?;
    recording.every_sample_is_at_its_capture_time()?;
    let counts = recording.every_frame_is_there_once()?;
    println!("{} frames of {} runs, none lost", counts.values().sum::<u64>(), counts.len());
    ensure!(counts.len() == 1, "the agent was started {} times", counts.len());
    no_fewer_are_captured_while_there_is_no_network(&recording, plugged_in)?;
    let first = recording.frames().next().context("no frame")?.captured;
    ensure!(first >= started, "a frame of {first}, before the clock was set");
    the_boards_own_led_is_lit(&mut machine).await?;

    what_slows_the_pi_down_is_known(&owner, ssh_port).await.with_context(|| machine.console())?;
    no_partition_is_left_to_the_firmware(&owner, ssh_port).await.with_context(|| machine.console())?;
    what_fills_var_costs_no_health_word(&owner, ssh_port).await.with_context(|| machine.console())?;
    ensure!(card.hash()? == before, "something was written to the card");
    an_update_is_to_be_tried_once(folder.path(), &card, &mut machine).await
}

/// Installs an update that nothing could start from. (How a slot is tried and kept is seen in `camera_update.rs`, on a machine
/// that has no firmware.)
async fn an_update_is_to_be_tried_once(
    folder: &Path,
    card: &Card,
    machine: &mut Machine,
) -> anyhow::Result<()> {
    const SLOT_A: usize = 2;
    const SLOT_B: usize = 3;
    let (owner, settings) = (Owner::of(folder)?, card.settings(folder)?);
    owner.small_bundle("owners")?;
    let update = owner.update("owners")?;
    machine.off(BOOT_MAX).await.with_context(|| update.log_tail())?;
    ensure!(
        machine.asked_to_try(),
        "the firmware was not told to try the other slot:\n{}",
        machine.console()
    );
    ensure!(card.command_line(SLOT_B)?.trim() == "rauc.slot=B root=PARTUUID=54494554-06");
    let partition = card.boot_partition(Start::Ordinary)?;
    ensure!(partition == SLOT_A, "a slot was made the one that is started before it was tried");
    ensure!(card.settings(folder)? == settings, "something of the owner's was changed");
    Ok(())
}

/// The cable that was pulled until `plugged_in` costs no picture: as many a second as otherwise. (2 are asked for, so
/// that 60 are captured; but a machine that is too busy for them is so all the time.)
fn no_fewer_are_captured_while_there_is_no_network(
    recording: &Recording,
    plugged_in: Timestamp,
) -> anyhow::Result<()> {
    let pulled = plugged_in - CUT;
    let during = |frame: &&Frame| (pulled..plugged_in).contains(&frame.captured);
    let captured = recording.frames().filter(during).count();
    let (first, last) =
        recording.frames().next().zip(recording.frames().last()).context("frames before and after")?;
    let others = recording.frames().count() - captured;
    let seconds = (last.captured.since(first.captured) - CUT).as_secs_f64();
    let expected = others as f64 / seconds * CUT.as_secs_f64();
    println!("{captured} of them while the cable was pulled, where {expected:.1} are usual");
    // A sixth, ten pictures, is left to moments in which the machine is busier than otherwise.
    ensure!(captured as f64 >= expected * 5.0 / 6.0, "{captured} frames while the cable was pulled");
    Ok(())
}

/// Without a status LED in the settings, the board's own shows how the camera is: by groups of so many flashes.
async fn the_boards_own_led_flashes(flashes: usize, machine: &mut Machine) -> anyhow::Result<()> {
    let what = format!("{flashes} flashes of the board's own LED");
    eventually(&what, BOOT_MAX, async || {
        Ok((flashes_of_the_boards_own_led(machine).await? == flashes).then_some(()))
    })
    .await
}

/// Or by being lit, for longer than a group of flashes and the pause after it.
async fn the_boards_own_led_is_lit(machine: &mut Machine) -> anyhow::Result<()> {
    const LIT: Duration = Duration::from_secs(4);
    const LOOKS: usize = 40;
    let started = Instant::now();
    let (mut lit_since, mut looks) = (started, 0);
    while looks < LOOKS || lit_since.elapsed() < LIT {
        ensure!(started.elapsed() < BOOT_MAX, "the board's own LED does not stay lit");
        if machine.pin_is_high(LED_PIN).await? {
            looks += 1;
        } else {
            (lit_since, looks) = (Instant::now(), 0);
        }
    }
    Ok(())
}

/// Awaits a group of flashes, and counts them. (A machine that is too busy may miss one: then the next group counts.)
async fn flashes_of_the_boards_own_led(machine: &mut Machine) -> anyhow::Result<usize> {
    /// More than between two flashes of a group, and less than between two groups.
    const PAUSE: Duration = Duration::from_millis(900);
    let (mut flashes, mut was_lit, mut dark_since) = (None, false, Instant::now());
    let started = dark_since;
    while started.elapsed() < BOOT_MAX {
        let (now, is_lit) = (Instant::now(), machine.pin_is_high(LED_PIN).await?);
        match (was_lit, is_lit) {
            (false, true) => flashes = flashes.map(|flashes| flashes + 1),
            (true, false) => dark_since = now,
            (false, false) if now - dark_since > PAUSE => match flashes {
                Some(flashes) if flashes > 0 => return Ok(flashes),
                _ => flashes = Some(0),
            },
            _ => {}
        }
        was_lit = is_lit;
    }
    anyhow::bail!("the board's own LED is {}", if was_lit { "lit all the time" } else { "dark" })
}

/// The card's root is for reading, whoever asks. And the board's own LED is nobody else's.
async fn nothing_can_be_written(owner: &Key, ssh_port: u16) -> anyhow::Result<()> {
    let attempts =
        ["touch /new", "echo >>/usr/bin/teiten-agent", "rm /etc/hosts", "mount -o remount,rw /; touch /new"];
    // One login takes the emulated Pi seconds.
    let tries = attempts.map(|attempt| format!("echo; ({attempt}) 2>&1 && echo it was let")).join("; ");
    let all = format!("id -u; cat /sys/class/leds/ACT/trigger; {tries}; true");
    let said = owner.succeed(ssh_port, &all, BOOT_MAX).await?;
    let mut parts = said.split("\n\n");
    let before = parts.next().unwrap_or_default();
    ensure!(before.starts_with("0\n"), "the owner is not root: {said}");
    ensure!(before.contains("[none]"), "the LED is somebody else's: {said}");
    for attempt in attempts {
        let complaint = parts.next().with_context(|| said.clone())?;
        ensure!(!complaint.contains("it was let"), "{attempt}: it was let");
        ensure!(complaint.to_lowercase().contains("read-only"), "{attempt}: {complaint}");
    }
    Ok(())
}

/// As under Raspberry Pi's own kernel. The firmware of the emulated Pi has nothing to complain of.
async fn what_slows_the_pi_down_is_known(owner: &Key, ssh_port: u16) -> anyhow::Result<()> {
    let said =
        owner.succeed(ssh_port, "cat /sys/devices/platform/soc/soc:firmware/get_throttled", BOOT_MAX).await?;
    ensure!(said == "0\n", "{said}");
    Ok(())
}

/// A partition's number in the register that a Pi's firmware looks at (BCM2837's PM_RSTS) would outdo `autoboot.txt`. What
/// forgets it at a restart does so when it is loaded, too.
async fn no_partition_is_left_to_the_firmware(owner: &Key, ssh_port: u16) -> anyhow::Result<()> {
    let reload = "devmem 0x3f100020 32 0x5a000575; devmem 0x3f100020; \
                  modprobe -r rpi_additions && modprobe rpi_additions; devmem 0x3f100020";
    let said = owner.succeed(ssh_port, reload, BOOT_MAX).await?;
    let registers = said.split_whitespace().map(|digits| {
        Ok(u32::from_str_radix(digits.strip_prefix("0x").context("devmem prints a number")?, 16)? & 0xFFF)
    });
    let registers = registers.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(registers == [0x575, 0x020], "{said}");
    Ok(())
}

/// A spool in a directory may fill `/var`: the watchdog is told how the camera is all the same.
async fn what_fills_var_costs_no_health_word(owner: &Key, ssh_port: u16) -> anyhow::Result<()> {
    let fill = "mkdir -p /var/lib/teiten/spool; dd if=/dev/zero of=/var/lib/teiten/spool/full bs=1M 2>&1; \
                read -r full _ </proc/uptime; full=${full%.*}; up=$full since=0; \
                until [ $since -gt $full ] || [ $((${up%.*} - full)) -gt 20 ]; do usleep 200000; \
                read -r word since _ </run/teiten/health; read -r up _ </proc/uptime; done; \
                rm /var/lib/teiten/spool/full; echo; echo $word $((since - full))";
    let said = owner.succeed(ssh_port, fill, BOOT_MAX).await?;
    ensure!(said.contains("No space left on device"), "/var has no end: {said}");
    let (word, later) = said.lines().last().and_then(|line| line.split_once(' ')).context("a word")?;
    ensure!(word == "flowing" && later.parse::<i64>()? > 0, "no word since /var is full: {said}");
    Ok(())
}

/// Awaits that the agent's log comes to a syslog server, by UDP (RFC 3164).
async fn the_log_is_heard(server: &UdpSocket, text: &str) -> anyhow::Result<()> {
    let heard = async {
        let mut line = [0; 2048];
        loop {
            let length = server.recv(&mut line).await?;
            let line = String::from_utf8_lossy(&line[..length]);
            if line.starts_with('<') && line.contains("teiten-agent") && line.contains(text) {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(BOOT_MAX, heard).await.context("no log was heard")?
}

/// Ready settings, with Linux's virtual camera for a camera, and this `[system]`.
fn with_virtual_camera(ready: &Path, system: String) -> anyhow::Result<String> {
    let mut settings: toml::Table = fs::read_to_string(ready)?.parse()?;
    let table = |text: String| text.parse::<toml::Table>().map(toml::Value::Table);
    let source = "kind = \"v4l2\"\nwidth = 320\nheight = 180\nrate = 2".to_owned();
    settings.insert("source".to_owned(), table(source)?);
    settings.insert("system".to_owned(), table(system)?);
    // The emulated Pi's network carries some 70 kB/s: few pictures, and the backlog may have what they leave.
    settings.insert("uplink".to_owned(), table("backlog_share = 1.0".to_owned())?);
    Ok(settings.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_settings_are_told_on_the_console_and_those_with_mistakes_to_the_broker_too()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let card = Card::without_settings(folder.path())?;
    let mut machine = card.start(Board::Virt, Start::Ordinary, "bare", folder.path(), "softdog", "").await?;
    // Once by what prepares the other programs, and once by the agent, which goes on.
    let told = "/run/teiten/card/teiten.toml. On a camera's card the settings belong on the first partition";
    machine.says(told, BOOT_MAX).await?;
    let seen = machine.console().find(told).map_or(0, |at| at + told.len());
    machine.says_after(seen, told, BOOT_MAX).await?;
    machine.cut_power()?;

    let mosquitto = Mosquitto::start(folder.path()).await?;
    let settings = format!(
        "camera = \"gate\"\ncolour = \"green\"\n[source]\nrate = -1\n[broker]\nhost = \"10.0.2.2\"\nport = {}\n",
        mosquitto.port
    );
    let ssh_port = free_port()?;
    card.put_settings(folder.path(), &settings, &[])?;
    let card = card.with_ssh(ssh_port);
    let mut machine = card.boot("pi", folder.path(), "softdog").await?;
    machine.says("colour: no such key here", BOOT_MAX).await?;
    machine.says("source.rate: -1 will not do", BOOT_MAX).await?;
    let told = mosquitto.messages("teiten/gate/mistakes", 1, BOOT_MAX).await;
    let told = told.inspect_err(|_| println!("{}", machine.console()))?;
    let told: Value = serde_json::from_slice(&told[0])?;
    let keys = told["mistakes"].as_array().context("a list of mistakes")?.iter();
    let keys: Vec<_> = keys.filter_map(|mistake| mistake["key"].as_str()).collect();
    ensure!(keys == ["colour", "source.rate"], "{told}");

    the_boards_own_led_flashes(5, &mut machine).await?;

    // Without a key in the settings nobody can log in: nothing listens.
    let mut ssh = TcpStream::connect((Ipv4Addr::LOCALHOST, ssh_port))?;
    ssh.set_read_timeout(Some(BOOT_MAX))?;
    let mut banner = Vec::new();
    // An end without a word, or a connection that is reset.
    let ended = ssh.read_to_end(&mut banner);
    ensure!(banner.is_empty(), "{ended:?}: {}", String::from_utf8_lossy(&banner));
    Ok(())
}

/// Where a machine with two network cards answers. Both networks have the same addresses, as at home cable and Wi-Fi are
/// one network, and name servers of their own.
struct Networks {
    owner: Key,
    first: u16,
    second: u16,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_whose_networks_come_and_go_has_an_address_names_and_the_time_again() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let owner = Key::generate(folder.path(), "owner")?;
    let time_server = TimeServer::answering().await?;
    let settings = format!(
        "camera = \"gate\"\n[system]\ntime_servers = [\"time.test:{}\"]\nssh_key = {:?}\n",
        time_server.port, owner.public
    );
    let networks = Networks { owner, first: free_port()?, second: free_port()? };
    let card = Card::with_settings(folder.path(), &settings, &[])?;
    let card = card.with_ssh(networks.first).with_ssh(networks.second);
    let board = Board::Virt;
    let more = "teiten.patience=15 softdog.soft_margin=10 teiten.age=15";
    let mut machine = card.start(board, Start::Ordinary, "virt", folder.path(), "softdog", more).await?;
    let steps = async {
        networks.the_first_is_preferred().await?;
        networks.an_update_begins_whose_rauc_is_mute().await?;
        networks.the_time_is_asked_for_soon_after_its_servers_name_is_known().await?;
        networks.another_goes_on_while_the_cable_is_pulled(&mut machine).await?;
        networks.an_adapter_that_comes_back_has_its_address_again().await?;
        networks.what_dhcp_says_of_one_leaves_the_rest_alone().await?;
        networks.the_time_is_asked_for_without_a_router().await?;
        networks.the_update_has_failed().await?;
        networks.a_stalled_agent_has_the_watchdog_restart_the_machine(&mut machine).await
    };
    let done = steps.await;
    done.with_context(|| machine.console())
}

impl Networks {
    /// What `command` prints when it is run by way of the second network.
    async fn second(&self, command: &str) -> anyhow::Result<String> {
        self.owner.succeed(self.second, command, BOOT_MAX).await
    }

    /// Awaits that what `command` prints by way of the network at `port`, if anything, is right.
    async fn eventually(
        &self,
        what: &str,
        port: u16,
        command: &str,
        is_right: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let mut last = String::new();
        let awaited = eventually(what, BOOT_MAX, async || {
            let Ok(said) = self.owner.run(port, command).await else { return Ok(None) };
            last = String::from_utf8_lossy(&said.stdout).into_owned();
            Ok((said.status.success() && is_right(&last)).then_some(()))
        });
        awaited.await.with_context(|| format!("{command} last printed:\n{last}"))
    }

    async fn the_first_is_preferred(&self) -> anyhow::Result<()> {
        let ways = "ip route get 10.0.2.2; ip route; cat /run/resolv.conf";
        self.eventually("the first network is preferred", self.first, ways, |said| {
            said.matches("default via 10.0.2.2").count() == 2
                && said.matches("10.0.2.0/24").count() == 2
                && said.lines().next().is_some_and(|way| way.contains("src 10.0.2.15"))
                && said.ends_with("nameserver 10.0.2.3\nnameserver 10.0.2.4\n")
        })
        .await
    }

    /// Then the address of the first is asked for anew: there may be another router at the cable's end.
    async fn another_goes_on_while_the_cable_is_pulled(&self, machine: &mut Machine) -> anyhow::Result<()> {
        let asked = "logread | grep -c 'dhcp: address 10.0.2.15 on eth0'";
        let before = self.owner.succeed(self.first, asked, BOOT_MAX).await?;
        ensure!(before.trim() == "1", "it was given its address {before} times");
        machine.cable(false)?;
        let ways = "ip route get 10.0.2.2; cat /run/resolv.conf";
        self.eventually("the camera answers by the second network", self.second, ways, |said| {
            said.contains("src 10.0.2.16") && said.contains("nameserver 10.0.2.4\n")
        })
        .await?;
        machine.cable(true)?;
        let what = "the camera answers by the first network again, where it asked anew";
        self.eventually(what, self.first, asked, |said| said == "2\n").await
    }

    /// An adapter is pulled and plugged in: its driver makes a new interface of the same name. (Not on the emulated Pi:
    /// where an adapter goes with packets under way, QEMU's USB goes on serving them, and the next one may stay deaf.)
    async fn an_adapter_that_comes_back_has_its_address_again(&self) -> anyhow::Result<()> {
        let numbers = "cat /sys/class/net/eth0/ifindex /sys/class/net/eth1/ifindex";
        let before = self.owner.succeed(self.first, numbers, BOOT_MAX).await?;
        let (old, other) = before.trim().split_once('\n').context("two interfaces' numbers")?;
        // The shell's own connection ends with it.
        let pull = "{ port=$(basename $(readlink -f /sys/class/net/eth0/device)); echo $port >/run/port; sleep 1; \
                    echo $port >/sys/bus/virtio/drivers/virtio_net/unbind; } >/dev/null 2>/dev/console </dev/null &";
        self.owner.succeed(self.first, pull, BOOT_MAX).await?;
        let names = "cat /run/resolv.conf";
        let what = "the name servers of an adapter that is gone are asked no more";
        self.eventually(what, self.second, names, |said| said == "nameserver 10.0.2.4\n").await?;
        self.second("cat /run/port >/sys/bus/virtio/drivers/virtio_net/bind").await?;
        let look = format!("{numbers}; pidof udhcpc | wc -w; ls /run/teiten/interfaces; {names}");
        let what = "a new interface has its address, and it and the other alone are asked for";
        self.eventually(what, self.second, &look, |said| {
            let Some((new, _)) = said.split_once('\n') else { return false };
            // It comes behind the other now.
            let servers = "nameserver 10.0.2.4\nnameserver 10.0.2.3\n";
            new != old && said == format!("{new}\n{other}\n2\n{other}\n{new}\n{servers}")
        })
        .await
    }

    /// The words of a DHCP server, as udhcpc hands them on.
    async fn what_dhcp_says_of_one_leaves_the_rest_alone(&self) -> anyhow::Result<()> {
        let anew = "ip -6 addr add fd00::5/64 dev eth0; \
                    export interface=eth0 ip=10.0.2.15 mask=24 router='10.0.2.2 10.0.2.9' dns= metric=9; \
                    for word in deconfig bound renew; do /usr/lib/teiten/dhcp $word; done; \
                    ip addr show dev eth0; ip route; cat /run/resolv.conf";
        let said = self.second(anew).await?;
        for kept in
            ["inet6 fd00::5/64", "inet 10.0.2.15/24", "default via 10.0.2.2 dev eth0", "nameserver 10.0.2.3"]
        {
            ensure!(said.contains(kept), "{kept:?} is gone:\n{said}");
        }
        ensure!(!said.contains("default via 10.0.2.9"), "the last of several routers is taken:\n{said}");
        Ok(())
    }

    async fn the_time_is_asked_for_soon_after_its_servers_name_is_known(&self) -> anyhow::Result<()> {
        let first = "until pidof chronyd; do usleep 100000; done";
        let first = self.owner.succeed(self.first, first, BOOT_MAX).await?;
        let what = "chronyd is started anew";
        let is_another = |said: &str| !said.is_empty() && said != first;
        self.eventually(what, self.first, "pidof chronyd", is_another).await?;

        // As if there were a name server more from now on, which knew it. Were it not looked for, this would take almost twice as
        // many of such seconds.
        let known = "echo '10.0.2.2 time.test' >/run/hosts; mount --bind /run/hosts /etc/hosts; \
                     old=$(pidof chronyd); echo 'nameserver 10.0.2.3' >>/run/resolv.conf; \
                     for i in $(seq 8); do new=$(pidof chronyd) && [ $new != $old ] && break; sleep 1; done; \
                     echo $old ${new:-none}";
        let said = self.owner.succeed(self.first, known, BOOT_MAX).await?;
        let (old, new) = said.trim().split_once(' ').context("two numbers")?;
        ensure!(new != "none" && new != old, "a name server that has come is not asked: {said}");
        let is_set = |said: &str| said.contains("status:") && !said.contains("UNSYNC");
        self.eventually("the clock is set", self.first, "adjtimex", is_set).await
    }

    /// The time server may be on the camera's own network.
    async fn the_time_is_asked_for_without_a_router(&self) -> anyhow::Result<()> {
        let anew = "while ip route del default 2>/dev/null; do :; done; old=$(pidof chronyd) && kill $old; \
                    for i in $(seq 40); do new=$(pidof chronyd) && [ $new != $old ] && break; sleep 1; done; \
                    echo $old ${new:-none}";
        let said = self.second(anew).await?;
        let (old, new) = said.trim().split_once(' ').context("two numbers")?;
        ensure!(new != "none" && new != old, "without a default route nobody asks for the time: {said}");
        Ok(())
    }

    /// RAUC's service neither answers nor ends.
    async fn an_update_begins_whose_rauc_is_mute(&self) -> anyhow::Result<()> {
        let begin = "cd /run; printf '#!/bin/sh\nexec sleep 9999\n' >mute; chmod +x mute; \
                     mount --bind mute /usr/sbin/rauc; mkdir www; echo bundle >www/bundle; \
                     httpd -p 127.0.0.1:8000 -h /run/www; echo http://127.0.0.1:8000/bundle >/run/teiten/update";
        self.owner.succeed(self.first, begin, BOOT_MAX).await?;
        Ok(())
    }

    async fn the_update_has_failed(&self) -> anyhow::Result<()> {
        let state = "cat /run/teiten/update-state /run/teiten/takes-updates";
        let what = "an update is given up, and another one can be asked for";
        let failed = "failed: RAUC's service does not answer\n";
        self.eventually(what, self.second, state, |said| said == failed).await
    }

    /// (And QEMU ends with that.)
    async fn a_stalled_agent_has_the_watchdog_restart_the_machine(
        &self,
        machine: &mut Machine,
    ) -> anyhow::Result<()> {
        self.second("kill -STOP $(pidof teiten-agent)").await?;
        machine.off(WATCHDOG_MAX).await.context("the watchdog lets a stalled agent be")
    }
}

/// Unpacks a folder of the card's root below another one. Returns where the root is then.
fn unpacked(folder: &str, to: &Path) -> anyhow::Result<PathBuf> {
    let root = to.join("root");
    let squashfs = image_folder().join("root.squashfs");
    let mut unsquashfs = Command::new("unsquashfs");
    unsquashfs.args(["-quiet", "-no-xattrs", "-dest"]).args([&root, &squashfs]).arg(folder);
    succeed(&mut unsquashfs)?;
    Ok(root)
}

#[test]
fn a_card_has_the_licences_of_what_is_on_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let share = unpacked("usr/share", folder.path())?.join("usr/share");
    let packages = fs::read_to_string(share.join("doc/packages"))?;
    let kernel = format!("linux-image-{}", kernel_version()?);
    for package in ["busybox-static", "chrony", "rauc", "raspi-firmware", "firmware-brcm80211", &kernel] {
        ensure!(share.join("doc").join(package).join("copyright").is_file(), "there is none of {package}");
        ensure!(
            packages.contains(&format!("{package}_")),
            "{package}: its source is of a version that is not told"
        );
    }
    let agent = fs::read_to_string(share.join("doc/teiten-agent/copyright"))?;
    ensure!(agent.contains("Independent JPEG Group") && agent.contains("\n  rumqttc "), "{agent}");
    ensure!(share.join("common-licenses/GPL-2").is_file(), "texts that the packages' refer to are missing");
    Ok(())
}

#[test]
fn a_card_has_the_drivers_of_usb_adapters_for_ethernet() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let root = unpacked("lib", folder.path())?;
    // As the kernel says of devices what they are: maker, product, and of one of their interfaces class, subclass and
    // protocol.
    let adapters = [
        ("ASIX AX88772B", "0B95", "772B", "FFFF00", "asix"),
        ("ASIX AX88179", "0B95", "1790", "FFFF00", "ax88179_178a"),
        ("ASIX AX88179A", "0B95", "1790", "020D00", "cdc_ncm"),
        ("Aquantia AQC111U", "2ECA", "C101", "FFFF00", "aqc111"),
        ("Realtek RTL8152", "0BDA", "8152", "FFFF00", "r8152"),
        ("Realtek RTL8156", "0BDA", "8156", "FFFF00", "r8152"),
        ("Realtek RTL8150", "0BDA", "8150", "FFFF00", "rtl8150"),
        ("Microchip LAN7500", "0424", "7500", "FF00FF", "smsc75xx"),
        ("Microchip LAN7800", "0424", "7800", "FF00FF", "lan78xx"),
        ("Microchip LAN9500A", "0424", "9E00", "FF00FF", "smsc95xx"),
        ("Davicom DM9601", "0A46", "9601", "000000", "dm9601"),
        ("MosChip MCS7830", "9710", "7830", "FF00FF", "mcs7830"),
        ("CoreChip SR9700", "0FE6", "9700", "000000", "sr9700"),
        ("CoreChip SR9800", "0FE6", "9800", "FFFF00", "sr9800"),
        ("QinHeng CH9200", "1A86", "E092", "FFFF00", "ch9200"),
        ("one of no maker's own", "1234", "5678", "020600", "cdc_ether"),
    ];
    for (name, maker, product, interface, driver) in adapters {
        let [class, subclass, protocol] = [0, 2, 4].map(|at| &interface[at..at + 2]);
        let device =
            format!("usb:v{maker}p{product}d0100dc00dsc00dp00ic{class}isc{subclass}ip{protocol}in00");
        let mut modprobe = Command::new("/sbin/modprobe");
        modprobe.arg("--dirname").arg(&root).args(["--set-version", &kernel_version()?]);
        let found = succeed(modprobe.args(["--resolve-alias", &device])).unwrap_or_default();
        ensure!(found.lines().any(|found| found == driver), "{name}: {device} has {found:?}, not {driver}");
    }
    Ok(())
}
