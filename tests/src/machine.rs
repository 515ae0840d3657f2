//! Emulated computers (QEMU): booted, watched through their serial console, and never left behind.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    debian,
    process::{Process, eventually},
};

/// Which computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// QEMU's own: two cores, boots fast, knows the time.
    Virt,
    /// A Raspberry Pi 3A+: 512 MiB, an SD card, no clock.
    Pi3aPlus,
}

/// What a computer is started with.
#[derive(Debug)]
pub struct Hardware<'a> {
    /// Which computer.
    pub board: Board,
    /// The kernel to start.
    pub kernel: &'a Path,
    /// The initramfs to start it with.
    pub initramfs: &'a Path,
    /// The kernel's command line, but for the console.
    pub command_line: &'a str,
    /// The image of the SD card in it. Its size must be a power of two.
    pub card: Option<&'a Path>,
    /// Its network cards, all in one network: of each, ports of the computer that are ports of 127.0.0.1 here: (here,
    /// there).
    pub networks: &'a [Vec<(u16, u16)>],
}

/// A running computer. From inside it, 10.0.2.2 is the 127.0.0.1 of the host.
pub struct Machine {
    qemu: Process,
    console: UnixStream,
    monitor: UnixStream,
    console_log: PathBuf,
    monitor_log: PathBuf,
    firmware_log: PathBuf,
    board: Board,
}

/// How QEMU's trace writes that the firmware was told to try the other slot once: the tag "set reboot flags", which
/// QEMU itself does not know.
const SET_REBOOT_FLAGS: &str = "mbox property tag:0x00038064";

/// What the first network card gets as the last part of its address, 10.0.2.15.
const FIRST_ADDRESS: usize = 15;

/// And its name server, 10.0.2.3.
const FIRST_NAME_SERVER: usize = 3;

impl Machine {
    /// Switches it on; what its console says is in `<folder>/<name>.console`.
    pub async fn start(name: &str, folder: &Path, hardware: &Hardware<'_>) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        let [console_log, console, monitor_log, monitor, firmware_log] =
            ["console", "console-socket", "monitor", "monitor-socket", "firmware"].map(file);
        // A socket of an earlier start.
        for socket in [&console, &monitor] {
            let _none_before = fs::remove_file(socket);
        }
        let mut arguments =
            arguments(hardware, folder, [(&console, &console_log), (&monitor, &monitor_log)])?;
        if hardware.board == Board::Pi3aPlus {
            // What is asked of the Pi's firmware.
            arguments
                .extend(["-trace", "bcm2835_mbox_property", "-D", text(&firmware_log)?].map(str::to_owned));
        }
        let qemu = Process::start(name, folder, move || {
            // Ends with this process, even if that is killed.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "qemu-system-aarch64"]).args(&arguments);
            command
        })?;
        let connected = async |path: &Path| {
            eventually("QEMU opens its sockets", Duration::from_secs(20), async || {
                Ok(UnixStream::connect(path).ok())
            })
            .await
            .with_context(|| qemu.log_tail())
        };
        let (console, monitor) = (connected(&console).await?, connected(&monitor).await?);
        drain(&console)?;
        drain(&monitor)?;
        Ok(Self { qemu, console, monitor, console_log, monitor_log, firmware_log, board: hardware.board })
    }

    /// Whether it has restarted with the wish that the other slot is tried: as a Pi's firmware was told, or where
    /// there is none, as the kernel says.
    pub fn asked_to_try(&self) -> bool {
        match self.board {
            Board::Pi3aPlus => {
                fs::read_to_string(&self.firmware_log).unwrap_or_default().contains(SET_REBOOT_FLAGS)
            }
            Board::Virt => self.console().contains("Restarting system with command '0 tryboot'"),
        }
    }

    /// All that the console has said.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console_log).unwrap_or_default()).replace('\r', "")
    }

    /// Awaits a line on the console, from its beginning on, that contains `text`, and returns it.
    pub async fn says(&self, text: &str, wait_max: Duration) -> anyhow::Result<String> {
        self.says_after(0, text, wait_max).await
    }

    /// As [`Machine::says`], but leaves out the first `seen` bytes of [`Machine::console`].
    pub async fn says_after(&self, seen: usize, text: &str, wait_max: Duration) -> anyhow::Result<String> {
        eventually(&format!("the console says {text:?}"), wait_max, async || {
            let console = self.console();
            let mut lines = console.get(seen..).unwrap_or_default().split_inclusive('\n');
            let line = lines.find(|line| line.ends_with('\n') && line.contains(text));
            Ok(line.map(|line| line.trim_end().to_owned()))
        })
        .await
        .with_context(|| format!("the console:\n{}\nQEMU:\n{}", self.console(), self.qemu.log_tail()))
    }

    /// Types `line` on the console.
    pub fn types(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.console, "{line}")?)
    }

    /// Pulls the cable of the first network card, or plugs it in again.
    pub fn cable(&mut self, plugged_in: bool) -> anyhow::Result<()> {
        let state = if plugged_in { "on" } else { "off" };
        Ok(writeln!(self.monitor, "set_link n0 {state}")?)
    }

    /// Whether a pin of a Pi (0 to 31) is high, without asking what runs on it.
    pub async fn pin_is_high(&mut self, pin: u32) -> anyhow::Result<bool> {
        // The register that has the pins' levels: BCM2837's GPLEV0.
        const LEVELS: &str = "3f200034";
        let said = || String::from_utf8_lossy(&fs::read(&self.monitor_log).unwrap_or_default()).into_owned();
        let seen = said().len();
        writeln!(&self.monitor, "xp /1wx 0x{LEVELS}")?;
        let answer = format!("{LEVELS}: 0x");
        let levels = eventually("the monitor tells the pins' levels", Duration::from_secs(60), async || {
            let said = said();
            let digits = said.get(seen..).and_then(|said| said.split_once(&answer)?.1.get(..8));
            Ok(digits.map(|digits| u32::from_str_radix(digits, 16)).transpose()?)
        });
        Ok(levels.await? >> pin & 1 == 1)
    }

    /// Awaits that it has switched itself off, or has restarted (which ends QEMU too).
    pub async fn off(&mut self, wait_max: Duration) -> anyhow::Result<()> {
        self.qemu.ended(wait_max).await.with_context(|| self.console())?;
        Ok(())
    }

    /// Pulls its plug.
    pub fn cut_power(&mut self) -> anyhow::Result<()> {
        self.qemu.kill()
    }
}

/// Reads what QEMU writes there until it ends: it stands still while nobody does.
fn drain(socket: &UnixStream) -> anyhow::Result<()> {
    let mut socket = socket.try_clone()?;
    std::thread::spawn(move || io::copy(&mut socket, &mut io::sink()));
    Ok(())
}

/// Console and monitor are sockets, each with a file of what was said there.
fn arguments(
    hardware: &Hardware<'_>,
    folder: &Path,
    [console, monitor]: [(&Path, &Path); 2],
) -> anyhow::Result<Vec<String>> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
    add(&["-no-reboot", "-display", "none"]);
    add(&["-kernel", text(hardware.kernel)?, "-initrd", text(hardware.initramfs)?]);
    let network_card = match hardware.board {
        Board::Virt => "virtio-net-device",
        Board::Pi3aPlus => "usb-net",
    };
    // Linux finds the last one first.
    for (number, ports) in hardware.networks.iter().enumerate().rev() {
        let forward = |(here, there): &(u16, u16)| format!(",hostfwd=tcp:127.0.0.1:{here}-:{there}");
        let forwards: String = ports.iter().map(forward).collect();
        // Each is a network to itself, whose first address it gets, with a name server of its own.
        let (address, name_server) = (FIRST_ADDRESS + number, FIRST_NAME_SERVER + number);
        let addresses = format!("dhcpstart=10.0.2.{address},dns=10.0.2.{name_server}");
        add(&["-netdev", &format!("user,id=n{number},{addresses}{forwards}")]);
        add(&["-device", &format!("{network_card},netdev=n{number}")]);
    }
    for (id, (socket, log)) in [("console", console), ("monitor", monitor)] {
        let (socket, log) = (text(socket)?, text(log)?);
        add(&["-chardev", &format!("socket,id={id},path={socket},server=on,wait=off,logfile={log}")]);
    }
    add(&["-mon", "chardev=monitor"]);
    let console_tty = match hardware.board {
        Board::Virt => {
            add(&["-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512"]);
            add(&["-serial", "chardev:console"]);
            "ttyAMA0"
        }
        Board::Pi3aPlus => {
            add(&["-M", "raspi3ap", "-dtb", text(&pi_device_tree(folder)?)?]);
            add(&["-serial", "null", "-serial", "chardev:console"]);
            "ttyS1,115200"
        }
    };
    add(&["-append", &format!("console={console_tty} {}", hardware.command_line)]);
    if let Some(card) = hardware.card {
        let file = format!("format=raw,file={}", text(card)?);
        match hardware.board {
            Board::Virt => {
                add(&["-drive", &format!("if=none,id=card,{file}")]);
                add(&["-device", "sdhci-pci", "-device", "sd-card,drive=card"]);
            }
            Board::Pi3aPlus => add(&["-drive", &format!("if=sd,{file}")]),
        }
    }
    Ok(arguments)
}

/// The Pi's device tree, without the power domains that QEMU's Pi does not have: the kernel's driver for them
/// would bring it down.
fn pi_device_tree(folder: &Path) -> anyhow::Result<PathBuf> {
    let original = debian::device_tree("bcm2837-rpi-3-a-plus")?;
    let changed = folder.join("pi.dtb");
    fs::copy(original, &changed)?;
    for (kind, property, value) in [
        ("s", "compatible", ["brcm,bcm2835-pm-wdt"].as_slice()),
        ("x", "reg", &["7e100000", "114"]),
        ("s", "reg-names", &["pm"]),
    ] {
        let mut fdtput = Command::new("fdtput");
        fdtput.args(["-t", kind]).arg(&changed).args(["/soc/watchdog@7e100000", property]).args(value);
        debian::succeed(&mut fdtput)?;
    }
    // Its red LED, which is the firmware's: QEMU's knows of none, and the driver would give up the green one with it.
    debian::succeed(Command::new("fdtput").arg("-r").arg(&changed).arg("/leds/led-pwr"))?;
    // Its second card reader, which has no card on a Pi but Wi-Fi, and costs ten seconds of waiting.
    let mut off = Command::new("fdtput");
    debian::succeed(off.args(["-t", "s"]).arg(&changed).args(["/soc/mmc@7e300000", "status", "disabled"]))?;
    Ok(changed)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}
