//! What the machine under the camera says of itself, in files that Linux has: procfs(5), the kernel's thermal and
//! hwmon classes, and the attribute of the Raspberry Pi's firmware driver. Whatever a machine does not have is
//! `None`.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

/// The machine whose files are in a directory.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    root: PathBuf,
}

/// How the machine is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reading {
    /// Since it was switched on.
    pub(crate) uptime: Option<Duration>,
    /// Of the processor, in °C.
    pub(crate) temperature: Option<f64>,
    /// What slows it down.
    pub(crate) throttling: Option<Throttling>,
    /// How strong the Wi-Fi's signal is, in dBm.
    pub(crate) signal_dbm: Option<i32>,
    /// The kernel's release.
    pub(crate) kernel: Option<String>,
    /// The SD-card image's release.
    pub(crate) image: Option<String>,
    /// What the board is called.
    pub(crate) model: Option<String>,
    /// How far an update is.
    pub(crate) update: Option<String>,
}

/// The names of what the firmware reports, now and since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Throttling {
    pub(crate) now: Vec<&'static str>,
    pub(crate) since_start: Vec<&'static str>,
}

/// The longest text that is taken from a file, in characters.
const TEXT_CHARS_MAX: usize = 100;
/// The same of what an update has to say: why it failed, with the address of its bundle.
const UPDATE_CHARS_MAX: usize = 2000;

impl Machine {
    /// The machine with its files below `root`: `/`, except in tests.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reads everything. Takes a few milliseconds, since the firmware is asked.
    pub(crate) fn read(&self) -> Reading {
        Reading {
            uptime: self.text("proc/uptime").and_then(|text| uptime(&text)),
            temperature: self.temperature(),
            throttling: self.throttling(),
            signal_dbm: self.text("proc/net/wireless").and_then(|text| signal_dbm(&text)),
            kernel: self.line("proc/sys/kernel/osrelease"),
            image: self.line("etc/teiten-release"),
            model: self.line("proc/device-tree/model"),
            update: self.line_of("run/teiten/update-state", UPDATE_CHARS_MAX),
        }
    }

    /// Whether it has an address that others can reach, on a link that is up. (There need be no router: broker and
    /// time server may be on the same network.)
    pub(crate) fn has_network(&self) -> bool {
        let is_up =
            |interface: &str| self.line(format!("sys/class/net/{interface}/carrier")).as_deref() == Some("1");
        let named = |file: &str, interface: fn(&str) -> Option<&str>| {
            self.text(file).is_some_and(|text| text.lines().filter_map(interface).any(is_up))
        };
        named("proc/net/route", routed_by) || named("proc/net/if_inet6", addressed_on)
    }

    fn temperature(&self) -> Option<f64> {
        let zones = self.entries("sys/class/thermal", "thermal_zone");
        let is_cpu = |zone: &PathBuf| self.line(zone.join("type")).is_some_and(|kind| kind.contains("cpu"));
        let zone = zones.iter().find(|zone| is_cpu(zone)).or(zones.first())?;
        self.line(zone.join("temp"))?.parse().ok().map(|millidegrees: i32| f64::from(millidegrees) / 1000.0)
    }

    /// As Raspberry Pi's kernels and the Debian card's module report it, or the part of it that is in other kernels.
    fn throttling(&self) -> Option<Throttling> {
        let firmware = self.line("sys/devices/platform/soc/soc:firmware/get_throttled");
        if let Some(bits) =
            firmware.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok())
        {
            return Some(throttling(bits));
        }
        let voltage = |monitor: &&PathBuf| self.line(monitor.join("name")).as_deref() == Some("rpi_volt");
        let monitors = self.entries("sys/class/hwmon", "hwmon");
        let alarm = self.line(monitors.iter().find(voltage)?.join("in0_lcrit_alarm"))?;
        Some(throttling(u32::from(alarm == "1")))
    }

    /// The entries of a directory whose names start with `prefix`, sorted.
    fn entries(&self, directory: &str, prefix: &str) -> Vec<PathBuf> {
        let listing = fs::read_dir(self.root.join(directory)).into_iter().flatten().flatten();
        let named = listing.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        let mut paths: Vec<PathBuf> =
            named.map(|entry| Path::new(directory).join(entry.file_name())).collect();
        paths.sort();
        paths
    }

    fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        self.line_of(path, TEXT_CHARS_MAX)
    }

    fn line_of(&self, path: impl AsRef<Path>, chars_max: usize) -> Option<String> {
        let text = self.text(path)?;
        let line = text.lines().next()?.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!line.is_empty()).then(|| line.chars().take(chars_max).collect())
    }

    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

/// `35.20 68.10`: since the start, and idle.
fn uptime(text: &str) -> Option<Duration> {
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The level of the first interface: two lines of headings, then `wlan0: 0000   54.  -56.  -256 …`.
fn signal_dbm(text: &str) -> Option<i32> {
    let level = text.lines().nth(2)?.split_whitespace().nth(3)?;
    level.trim_end_matches('.').parse().ok().filter(|dbm| (-120..0).contains(dbm))
}

/// The interface of a route of IPv4, `eth0 0002000A …`: its destination is in hex, as the machine has it in memory. An
/// address has one to its own network. The first line has headings; addresses that a machine takes by itself count for
/// nothing.
fn routed_by(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (interface, destination) = words.next().zip(words.next())?;
    let destination = Ipv4Addr::from(u32::from_str_radix(destination, 16).ok()?.to_ne_bytes());
    (!destination.is_link_local() && !destination.is_loopback()).then_some(interface)
}

/// The interface of an address of IPv6, `fd00…02 02 40 00 80 eth0`: the address, the interface's number, the prefix's
/// length, scope (0 is global) and flags.
fn addressed_on(line: &str) -> Option<&str> {
    /// It may be, or is, somebody else's.
    const TENTATIVE: u8 = 0x40;
    const DUPLICATE: u8 = 0x08;
    let words: Vec<_> = line.split_whitespace().collect();
    let [address, _, _, "00", flags, interface] = words[..] else { return None };
    let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (!address.is_loopback() && flags & (TENTATIVE | DUPLICATE) == 0).then_some(interface)
}

/// The firmware's bits: as they are now, and 16 further up as they were at any time since the start.
fn throttling(bits: u32) -> Throttling {
    const NAMES: [&str; 4] = ["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"];
    let names = |bits: u32| {
        (0..).zip(NAMES).filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| name).collect()
    };
    Throttling { now: names(bits), since_start: names(bits >> 16) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Machine::at(root.path());
        (root, machine)
    }

    #[test]
    fn a_machine_that_has_nothing_says_nothing() {
        let (_root, machine) = machine(&[]);
        assert_eq!(machine.read(), Reading::default());
        assert!(!machine.has_network());
    }

    #[test]
    fn a_raspberry_pi_says_how_it_is() {
        let (_root, machine) = machine(&[
            ("proc/uptime", "35.20 68.10\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "51540\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
            (
                "proc/net/wireless",
                "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n \
                 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n \
                 wlan0: 0000   54.  -56.  -256        0      0      0      3      0        0\n",
            ),
            ("proc/sys/kernel/osrelease", "6.12.41-v8\n"),
            ("etc/teiten-release", "0.1.0\n"),
            ("proc/device-tree/model", "Raspberry Pi 3 Model A Plus Rev 1.0\0"),
            ("run/teiten/update-state", "installing\n"),
        ]);
        let names = || vec!["under_voltage", "throttled"];
        assert_eq!(
            machine.read(),
            Reading {
                uptime: Some(Duration::from_millis(35_200)),
                temperature: Some(51.54),
                throttling: Some(Throttling { now: names(), since_start: names() }),
                signal_dbm: Some(-56),
                kernel: Some("6.12.41-v8".to_owned()),
                image: Some("0.1.0".to_owned()),
                model: Some("Raspberry Pi 3 Model A Plus Rev 1.0".to_owned()),
                update: Some("installing".to_owned()),
            }
        );
    }

    #[test]
    fn a_kernel_without_the_firmwares_attribute_still_tells_of_low_voltage() {
        let (_root, machine) = machine(&[
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ]);
        let throttling = machine.read().throttling.unwrap();
        assert_eq!(throttling, Throttling { now: vec!["under_voltage"], since_start: vec![] });
    }

    #[test]
    fn the_processors_temperature_is_preferred() {
        let (_root, machine) = machine(&[
            ("sys/class/thermal/thermal_zone0/type", "battery\n"),
            ("sys/class/thermal/thermal_zone0/temp", "20000\n"),
            ("sys/class/thermal/thermal_zone1/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone1/temp", "60000\n"),
        ]);
        assert_eq!(machine.read().temperature, Some(60.0));
    }

    #[test]
    fn an_address_on_a_link_that_is_up_is_a_network_without_a_router_too() {
        let has_network = |carrier, routes: &str, addresses: &str| {
            let routes = format!("Iface\tDestination\tGateway \tFlags\n{routes}");
            let (_root, machine) = machine(&[
                ("sys/class/net/eth0/carrier", carrier),
                ("proc/net/route", &routes),
                ("proc/net/if_inet6", addresses),
            ]);
            machine.has_network()
        };
        let local = "fe80000000000000000000000000abcd 02 40 20 80     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\n";
        assert!(!has_network("1\n", "", local));
        // 10.0.2.0, and nothing beyond.
        let destination = u32::from_ne_bytes([10, 0, 2, 0]);
        let route = format!("eth0\t{destination:08X}\t00000000\t0001\n");
        assert!(has_network("1\n", &route, local));
        assert!(!has_network("0\n", &route, local), "the cable is pulled");
        let destination = u32::from_ne_bytes([169, 254, 0, 0]);
        assert!(!has_network("1\n", &format!("eth0\t{destination:08X}\t00000000\t0001\n"), local));
        let address = |flags| format!("{local}fd000000000000000000000000000002 02 40 00 {flags}     eth0\n");
        assert!(has_network("1\n", "", &address("80")));
        assert!(
            !has_network("1\n", "", &address("c0")),
            "it is being found out whether somebody has it already"
        );
    }

    #[test]
    fn why_an_update_failed_is_told_to_its_end() {
        // An address may have 1000 characters.
        let bundle = format!("http://desk/{}.raucb", "a".repeat(980));
        let state =
            format!("failed: {bundle} cannot be downloaded (wget: server returned error: HTTP/1.1 404)");
        let (_root, machine) =
            machine(&[("run/teiten/update-state", &state), ("etc/teiten-release", &bundle)]);
        let reading = machine.read();
        assert_eq!(reading.update, Some(state));
        assert_eq!(reading.image.map(|image| image.len()), Some(TEXT_CHARS_MAX));
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(signal_dbm(""), None);
        assert_eq!(signal_dbm("a\nb\n eth0: 0000 0 0 0\n"), None);
        assert_eq!((uptime("soon"), uptime("-1")), (None, None));
    }
}
