//! Mosquitto, which is there when it says so itself: whoever answers on its port may be somebody else's server.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::free_port;

/// Nothing that it is to say takes this long unless it never says it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many ports are tried at most: that one is taken meanwhile is rare.
const PORTS_MAX: usize = 10;

/// A broker on 127.0.0.1 without persistence, killed as by `kill -9` when dropped: it has forgotten everything then.
#[derive(Debug)]
pub struct Mosquitto {
    port: u16,
    folder: TempDir,
    process: Child,
    log: Arc<Log>,
}

impl Mosquitto {
    /// Starts one whose listener has these settings, and waits until it listens.
    pub fn start(settings: &str) -> io::Result<Self> {
        Self::start_with(|| Ok(settings.to_owned()))
    }

    /// The same with settings that are made anew when it is tried with another port, because one was taken meanwhile:
    /// they may have more ports in them.
    pub fn start_with(settings: impl Fn() -> io::Result<String>) -> io::Result<Self> {
        let mut ports = 0;
        loop {
            ports += 1;
            let (folder, port) = (tempfile::tempdir()?, free_port()?);
            let log = "log_type error\nlog_type information\n";
            let settings = format!("listener {port} 127.0.0.1\npersistence false\n{log}{}", settings()?);
            fs::write(config(&folder), settings)?;
            let (process, log) = spawn(&folder)?;
            let broker = Self { port, folder, process, log };
            match broker.runs() {
                Ok(()) => return Ok(broker),
                Err(_) if ports < PORTS_MAX && broker.log().contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it; the port stays its own.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Starts another one on the same port, which knows nothing, and waits until it listens.
    pub fn restart(&mut self) -> io::Result<()> {
        (self.process, self.log) = spawn(&self.folder)?;
        self.runs()
    }

    /// What it has said since it was started.
    pub fn log(&self) -> String {
        self.log.said().text.clone()
    }

    /// Whether it says `words`, now or soon.
    pub fn says(&self, words: &str) -> bool {
        let going_on = |said: &mut Said| !said.ended && !said.text.contains(words);
        let said = self.log.changed.wait_timeout_while(self.log.said(), PATIENCE, going_on);
        let (said, _) = said.unwrap_or_else(PoisonError::into_inner);
        said.text.contains(words)
    }

    fn runs(&self) -> io::Result<()> {
        if self.says(" running\n") {
            return Ok(());
        }
        Err(io::Error::other(format!("Mosquitto does not run:\n{}", self.log())))
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // The test is over; whether it had ended by itself does not matter.
        let _gone = self.kill();
    }
}

/// Mosquitto with the settings in a file.
pub fn command(config: &Path) -> Command {
    // Debian keeps it where only root's PATH looks.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(config).env("PATH", path);
    command
}

/// The settings of a listener that takes those alone who have a certificate of the authority `ca`, whose name is theirs.
/// `certificate` and `key` are the broker's own.
pub fn tls(ca: &Path, certificate: &Path, key: &Path) -> String {
    let [ca, certificate, key] = [ca, certificate, key].map(Path::display);
    // As root it would become somebody who may not read the key.
    format!(
        "user root\nrequire_certificate true\nuse_identity_as_username true\n\
         cafile {ca}\ncertfile {certificate}\nkeyfile {key}\n"
    )
}

fn config(folder: &TempDir) -> PathBuf {
    folder.path().join("mosquitto.conf")
}

fn spawn(folder: &TempDir) -> io::Result<(Child, Arc<Log>)> {
    let mut command = command(&config(folder));
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut process = process
        .map_err(|error| io::Error::new(error.kind(), format!("Mosquitto cannot be started: {error}")))?;
    let log = Arc::<Log>::default();
    if let Some(stderr) = process.stderr.take() {
        let log = Arc::clone(&log);
        thread::spawn(move || log.follow(stderr));
    }
    Ok((process, log))
}

/// What a broker says, as it says it.
#[derive(Debug, Default)]
struct Log {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    /// It says no more: its process has ended.
    ended: bool,
}

impl Log {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, stderr: ChildStderr) {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            self.said().text.push_str(&String::from_utf8_lossy(&line));
            self.changed.notify_all();
            line.clear();
        }
        self.said().ended = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_broker_whose_port_is_taken_meanwhile_gets_another_and_no_other_server_is_taken_for_it() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap().port();
        let tries = Cell::new(0);
        let broker = Mosquitto::start_with(|| {
            tries.set(tries.get() + 1);
            let more = if tries.get() == 1 { taken } else { free_port()? };
            Ok(format!("listener {more} 127.0.0.1\n"))
        });
        assert!(broker.unwrap().says("running"));
        assert_eq!(tries.get(), 2);
    }

    #[test]
    fn settings_that_it_does_not_know_are_said_to_be_the_reason() {
        let error = Mosquitto::start("no_such_setting true\n").unwrap_err();
        assert!(error.to_string().contains("no_such_setting"), "{error}");
    }

    #[test]
    fn a_broker_that_was_killed_is_there_again_on_its_port() {
        let mut broker = Mosquitto::start("allow_anonymous true\n").unwrap();
        let connect = |broker: &Mosquitto| std::net::TcpStream::connect(("127.0.0.1", broker.port()));
        connect(&broker).unwrap();
        broker.kill().unwrap();
        connect(&broker).unwrap_err();
        broker.restart().unwrap();
        connect(&broker).unwrap();
    }
}
