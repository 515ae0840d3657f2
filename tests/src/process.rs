//! Processes under test: started, killed with SIGKILL, started again, and never left behind.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
pub use teiten_testing::free_port;

/// A command that is run again and again, and its present process.
pub struct Process {
    name: String,
    command: Box<dyn Fn() -> Command + Send>,
    log: PathBuf,
    /// Bytes that earlier runs wrote.
    log_before: u64,
    child: Option<Child>,
}

impl Process {
    /// Starts what `command` makes; its output is appended to `<logs>/<name>.log`.
    pub fn start(
        name: &str,
        logs: &Path,
        command: impl Fn() -> Command + Send + 'static,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(logs)?;
        let log = logs.join(format!("{name}.log"));
        let mut process =
            Self { name: name.to_owned(), command: Box::new(command), log, log_before: 0, child: None };
        process.restart()?;
        Ok(process)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its present process.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it again, after it ended or was killed.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} is running already", self.name);
        let log = File::options().create(true).append(true).open(&self.log)?;
        self.log_before = log.metadata()?.len();
        let child = (self.command)()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} is not running", self.name))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until it has ended by itself.
    pub async fn stop(&mut self, wait_max: Duration) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        self.ended(wait_max).await
    }

    /// SIGSTOP: it does nothing, and its connections stay.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// SIGCONT.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} is not running", self.name))?;
        let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status()?;
        ensure!(status.success(), "could not signal {}", self.name);
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, wait_max: Duration) -> anyhow::Result<ExitStatus> {
        let started = Instant::now();
        loop {
            let child = self.child.as_mut().with_context(|| format!("{} is not running", self.name))?;
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            if started.elapsed() > wait_max {
                bail!("{} did not end within {wait_max:?}; its log:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Awaits that the present run has written `words`: only then is it sure to heed a signal, for example.
    pub async fn has_said(&self, words: &str, wait_max: Duration) -> anyhow::Result<()> {
        let what = format!("{} says \"{words}\"", self.name);
        eventually(&what, wait_max, async || {
            let mut log = File::open(&self.log)?;
            log.seek(SeekFrom::Start(self.log_before))?;
            let mut text = Vec::new();
            log.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).contains(words).then_some(()))
        })
        .await
        .with_context(|| self.log_tail())
    }

    /// The last lines that it wrote.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            // The test is over; whether the process had ended by itself does not matter.
            let _gone = self.kill();
        }
    }
}

const POLL: Duration = Duration::from_millis(20);

/// Awaits that `condition` gives a value; fails after `wait_max` with what was awaited.
pub async fn eventually<T, F>(what: &str, wait_max: Duration, mut condition: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> anyhow::Result<Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if started.elapsed() > wait_max {
            bail!("waited {wait_max:?} in vain: {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Awaits that something listens on `port`.
pub async fn listening(what: &str, port: u16) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    eventually(&format!("{what} listens on port {port}"), Duration::from_secs(20), async || {
        Ok(tokio::net::TcpStream::connect(address).await.ok().map(drop))
    })
    .await
}

/// A program of this workspace, built by `cargo build --workspace --bins`.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    // target/<profile>/deps/<test> or target/<profile>/<bin>
    let mut folder = std::env::current_exe()?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    ensure!(path.is_file(), "{} is not built: run these tests by ./just test", path.display());
    Ok(path)
}

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Sample footage: 795 JPEGs of a real surveillance camera, 768x576.
pub fn footage() -> anyhow::Result<PathBuf> {
    let output = Command::new(project().join("scripts/footage")).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "scripts/footage failed");
    Ok(project().join(String::from_utf8(output.stdout)?.trim()))
}

/// The first `count` pictures of the sample footage, as a folder of their own in `folder`.
pub fn some_footage(folder: &Path, count: usize) -> anyhow::Result<PathBuf> {
    let some = folder.join("footage");
    fs::create_dir_all(&some)?;
    let mut names: Vec<_> =
        fs::read_dir(footage()?)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    names.sort();
    for path in names.into_iter().take(count) {
        fs::copy(&path, some.join(path.file_name().context("a file of a folder has a name")?))?;
    }
    Ok(some)
}
