//! Writes what the other programs of a camera's card need of its settings, each in its own form, so that no script
//! has to understand the settings file: `hostname`, `wpa_supplicant.conf`, `chrony.conf`, `syslog` (host:port) and
//! `authorized_keys`. A file of something that is not set is left out.

use std::{
    ffi::CString,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use crate::config::{Address, System, Usable, Wifi};

/// The name of a camera whose settings have none.
const NAMELESS: &str = "teiten-camera";

/// Writes the files of `settings` into `directory`, which is made if it is missing. Only their owner may read them.
///
/// # Errors
/// If a file cannot be written.
pub fn write(settings: &Usable, directory: &Path) -> io::Result<()> {
    let hostname = settings.camera.as_ref().map_or(NAMELESS, |camera| camera.as_str());
    let System { time_servers, syslog, ssh_key } = &settings.system;
    fs::create_dir_all(directory)?;
    let put = |name: &str, text: Option<String>| match text {
        Some(text) => private(&directory.join(name), &text),
        None => match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    };
    put("hostname", Some(format!("{hostname}\n")))?;
    put("wpa_supplicant.conf", settings.wifi.as_ref().map(wpa_supplicant))?;
    put("chrony.conf", Some(chrony(time_servers)))?;
    put("syslog", syslog.as_ref().map(syslog_server))?;
    put("authorized_keys", ssh_key.as_ref().map(|key| format!("{key}\n")))
}

/// Restarts the machine with an argument for its firmware (reboot(2), LINUX_REBOOT_CMD_RESTART2), which neither
/// busybox nor a safe interface can. Nothing is stopped or written before. Returns only if that failed.
pub fn reboot(argument: &str) -> io::Error {
    let Ok(argument) = CString::new(argument) else { return io::ErrorKind::InvalidInput.into() };
    // SAFETY: the kernel reads the argument as a string that ends in a zero byte, and keeps no pointer.
    unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            libc::LINUX_REBOOT_CMD_RESTART2,
            argument.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

fn private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// wpa_supplicant.conf(5). The network's name is in hexadecimal digits, as any bytes can be written so; a password's
/// quotes end at the last one of the line, so one within it does no harm.
fn wpa_supplicant(Wifi { network, password, country }: &Wifi) -> String {
    let mut name = String::new();
    for byte in network.bytes() {
        // Writing to a string does not fail.
        let _infallible = write!(name, "{byte:02x}");
    }
    let key = match password {
        None => "key_mgmt=NONE".to_owned(),
        Some(key) if key.len() == 64 => format!("key_mgmt=WPA-PSK\n\tpsk={key}"),
        Some(phrase) => format!("key_mgmt=WPA-PSK WPA-PSK-SHA256\n\tpsk=\"{phrase}\""),
    };
    format!(
        "ctrl_interface=/run/wpa_supplicant\ncountry={country}\nnetwork={{\n\tssid={name}\n\tscan_ssid=1\n\t{key}\n}}\n"
    )
}

/// As syslogd's -R wants it: an IPv6 address in brackets.
fn syslog_server(Address { host, port }: &Address) -> String {
    let port = port.unwrap_or(514);
    if host.contains(':') { format!("[{host}]:{port}\n") } else { format!("{host}:{port}\n") }
}

/// chrony.conf(5): the clock is set as soon as there is an answer, and stepped later only if it is far off. With rtcsync
/// the kernel is told that it is synchronized, which the agent waits for.
fn chrony(servers: &[Address]) -> String {
    let mut text = String::new();
    for Address { host, port } in servers {
        // An unanswered first burst is repeated after 2^minpoll seconds; the public pool asks for patience.
        let (kind, minpoll) = if host.ends_with("pool.ntp.org") { ("pool", 6) } else { ("server", 3) };
        let port = port.map_or(String::new(), |port| format!(" port {port}"));
        text += &format!("{kind} {host} iburst minpoll {minpoll} maxpoll 10{port}\n");
    }
    text + "makestep 1 -1\nrtcsync\ncmdport 0\nbindcmdaddress /run/chrony/chronyd.sock\npidfile /run/chrony/chronyd.pid\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn written(settings: &str) -> (tempfile::TempDir, impl Fn(&str) -> Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        write(&Config::usable(settings), directory.path()).unwrap();
        let path = directory.path().to_owned();
        (directory, move |name: &str| fs::read_to_string(path.join(name)).ok())
    }

    #[test]
    fn every_program_gets_its_file() {
        let (_directory, file) = written(
            "camera = \"gate\"\n[wifi]\nnetwork = \"Hof 1\"\npassword = 'a \"quoted\" word'\ncountry = \"DE\"\n\
             [system]\ntime_servers = [\"10.0.2.2:1230\", \"ntp.lan\"]\nsyslog = \"log.lan\"\n\
             ssh_key = \"ssh-ed25519 AAAA me\"",
        );
        assert_eq!(file("hostname").unwrap(), "gate\n");
        assert_eq!(
            file("wpa_supplicant.conf").unwrap(),
            "ctrl_interface=/run/wpa_supplicant\ncountry=DE\nnetwork={\n\tssid=486f662031\n\tscan_ssid=1\n\t\
             key_mgmt=WPA-PSK WPA-PSK-SHA256\n\tpsk=\"a \"quoted\" word\"\n}\n"
        );
        let chrony = file("chrony.conf").unwrap();
        assert!(chrony.starts_with(
            "server 10.0.2.2 iburst minpoll 3 maxpoll 10 port 1230\nserver ntp.lan iburst minpoll 3 maxpoll 10\n"
        ));
        assert!(chrony.lines().any(|line| line == "rtcsync"), "{chrony}");
        assert_eq!(file("syslog").unwrap(), "log.lan:514\n");
        assert_eq!(file("authorized_keys").unwrap(), "ssh-ed25519 AAAA me\n");
    }

    #[test]
    fn a_log_server_may_have_an_address_of_ipv6() {
        let syslog = |server: &str| {
            let settings = format!("camera = \"gate\"\n[system]\nsyslog = {server:?}");
            let (_directory, file) = written(&settings);
            file("syslog").unwrap()
        };
        assert_eq!(syslog("fd00::1"), "[fd00::1]:514\n");
        assert_eq!(syslog("[fd00::1]:5140"), "[fd00::1]:5140\n");
    }

    #[test]
    fn an_open_network_needs_no_key() {
        let (_directory, file) = written("camera = \"gate\"\n[wifi]\nnetwork = \"Hof\"\ncountry = \"DE\"");
        let text = file("wpa_supplicant.conf").unwrap();
        assert!(text.contains("\tkey_mgmt=NONE\n") && !text.contains("psk"), "{text}");
    }

    #[test]
    fn without_settings_there_is_a_name_and_the_time() {
        let (_directory, file) = written("not toml");
        assert_eq!(file("hostname").unwrap(), "teiten-camera\n");
        assert!(file("chrony.conf").unwrap().starts_with("pool pool.ntp.org iburst"));
        assert_eq!(file("wpa_supplicant.conf"), None);
        assert_eq!(file("authorized_keys"), None);
    }
}
