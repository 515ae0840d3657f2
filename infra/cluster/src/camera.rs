//! The test camera: a real agent that draws its pictures and sends them to the broker as every camera does, from outside.
//! It leaves nothing behind.

use std::{fs, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use teiten_agent::config::{Broker, Config};
use teiten_archive::{Cameras, Content, LivePlaylist};
use teiten_bucket::{Bucket, Condition, Put};
use teiten_footage::{
    CameraId, Timestamp, Topic, WindowLength,
    key::{CAMERAS_KEY, live_playlist_key},
    limits::hold_max,
};
use teiten_mqtt::{Explained, HostPort, Identity as ClientIdentity, TlsFiles};
use teiten_owner::authority::Identity;
use teiten_telemetry::now;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Its name, which no camera should have.
pub(crate) const NAME: &str = "test-camera";

/// How often the playlist is looked at: delays are this much too long at worst.
const LOOK: Duration = Duration::from_millis(50);
/// How many delays make a median.
const DELAYS: usize = 8;
/// How long the first segment may take: functions may have to start.
const FIRST_MAX: Duration = Duration::from_secs(120);
/// How long all of them may take.
const ALL_MAX: Duration = Duration::from_secs(120);
/// The bridge goes on with a camera's last picture for [`hold_max`] after it; then it reports some windows missed, and all
/// of that takes its way through the functions, for this long at most.
const AFTER_HELD: Duration = Duration::from_secs(15);
/// How often what came meanwhile is cleared up.
const CLEAR: Duration = Duration::from_secs(1);
/// How long the broker may be away when it is to forget the camera.
const FORGET_MAX: Duration = Duration::from_secs(20);
/// How many objects are deleted between two listings.
const PAGE: usize = 500;

/// A camera that is sending.
pub(crate) struct TestCamera {
    camera: CameraId,
    broker: Broker,
    stop: CancellationToken,
    agent: JoinHandle<anyhow::Result<()>>,
    // Its certificate is in here until it ends.
    _folder: tempfile::TempDir,
}

impl TestCamera {
    /// Starts one that sends to `broker` as `identity`.
    pub(crate) fn start(broker: &HostPort, ca: &str, identity: &Identity) -> anyhow::Result<Self> {
        let camera = CameraId::new(NAME)?;
        let folder = tempfile::tempdir()?;
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).map(|()| path)
        };
        let files = TlsFiles {
            ca: file("ca.pem", ca)?,
            identity: Some(ClientIdentity {
                certificate: file("certificate.pem", &identity.certificate)?,
                key: file("key.pem", &identity.key)?,
            }),
        };
        let broker = Broker { tls: Some(files), ..Broker::plain(broker.host.clone(), broker.port) };
        let config = Config { broker: broker.clone(), ..Config::new(camera.clone()) };
        let stop = CancellationToken::new();
        let agent = tokio::spawn(teiten_agent::run(config, stop.clone()));
        Ok(Self { camera, broker, stop, agent, _folder: folder })
    }

    /// The median time from a window's first instant until the playlist lists it.
    pub(crate) async fn delay(&self, media: &dyn Bucket) -> anyhow::Result<Duration> {
        let started = (Instant::now(), now());
        let mut measured = Delays::since(started.1);
        while measured.delays.len() < DELAYS {
            let limit = if measured.delays.is_empty() { FIRST_MAX } else { FIRST_MAX + ALL_MAX };
            if self.agent.is_finished() {
                bail!("the test camera's agent ended by itself; its log is above");
            }
            if started.0.elapsed() > limit {
                bail!(
                    "no footage of the test camera came within {} s. Does the camera reach the broker (its log is above)? \
                     ./just status says whether a part is ill",
                    limit.as_secs()
                );
            }
            if let Some(playlist) = playlist(media, &self.camera).await? {
                measured.note(&playlist, now());
            }
            sleep(LOOK).await;
        }
        measured.median().context("there are delays")
    }

    /// Ends it, and deletes what it left in the store, in windows of `length`, and with the broker.
    pub(crate) async fn end(self, store: &Store, length: WindowLength) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = self.agent.await;
        let cleared = clear_away(store, &self.camera, length).await;
        // Not before: a bridge that still stores something of it knows it again.
        let forgotten = forget(&self.broker, &self.camera).await;
        ended??;
        cleared?;
        forgotten
    }
}

/// The delays of windows as they come into a playlist.
struct Delays {
    /// Windows that began before are of an earlier camera.
    since: Timestamp,
    seen: Option<Timestamp>,
    delays: Vec<Duration>,
}

impl Delays {
    fn since(since: Timestamp) -> Self {
        Self { since, seen: None, delays: Vec::new() }
    }

    /// Notes the newest window of `playlist`, as it is at `now`.
    fn note(&mut self, playlist: &LivePlaylist, now: Timestamp) {
        let newest =
            playlist.entries().filter(|(_, entry)| matches!(entry.content, Content::Segment { .. })).last();
        let Some(start) = newest.map(|(window, _)| window.start()).filter(|start| *start >= self.since)
        else {
            return;
        };
        match self.seen {
            Some(seen) if seen >= start => {}
            Some(_) => {
                self.seen = Some(start);
                self.delays.push(now.since(start));
            }
            // Parts may have had to start for the first one.
            None => self.seen = Some(start),
        }
    }

    fn median(&mut self) -> Option<Duration> {
        self.delays.sort_unstable();
        self.delays.get(self.delays.len() / 2).copied()
    }
}

/// The live playlist of `camera`, if there is one.
pub(crate) async fn playlist(media: &dyn Bucket, camera: &CameraId) -> anyhow::Result<Option<LivePlaylist>> {
    let key = live_playlist_key(camera);
    let Some(object) = media.get(&key).await? else { return Ok(None) };
    let text = std::str::from_utf8(&object.bytes).map_err(anyhow::Error::from);
    let playlist = text.and_then(|text| Ok(LivePlaylist::parse(camera, text)?));
    playlist.map(Some).with_context(|| {
        format!("{key} was not written by Teiten, or was changed (delete it, and a new one is begun)")
    })
}

/// Deletes what there is of `camera`, and what comes until nothing more can.
async fn clear_away(store: &Store, camera: &CameraId, length: WindowLength) -> anyhow::Result<()> {
    let quiet = Instant::now() + hold_max(length) + AFTER_HELD;
    loop {
        let over = Instant::now() >= quiet;
        delist(&*store.media, camera).await?;
        for bucket in [&store.media, &store.frames] {
            clear(&**bucket, &format!("{camera}/")).await?;
        }
        if over {
            return Ok(());
        }
        sleep(CLEAR).await;
    }
}

/// Has `broker` forget the status of `camera`, which is `offline` now and would be for ever.
async fn forget(broker: &Broker, camera: &CameraId) -> anyhow::Result<()> {
    let mut trouble = anyhow!("it does not answer");
    let tries = async {
        while let Err(error) = clear_status(broker, camera).await {
            trouble = error;
            sleep(CLEAR).await;
        }
    };
    let forgotten = timeout(FORGET_MAX, tries).await;
    forgotten.map_err(|_| trouble.context(format!("the broker keeps the status of {camera}")))
}

async fn clear_status(broker: &Broker, camera: &CameraId) -> anyhow::Result<()> {
    // The agent's own client id: where the broker still takes it for connected, its last will comes now, and not later.
    let mut options = MqttOptions::new(format!("teiten-{camera}"), broker.bare_host(), broker.port);
    options.set_clean_session(true);
    if let Some(tls) = &broker.tls {
        options.set_transport(tls.transport()?);
    }
    let (client, mut events) = AsyncClient::new(options, 4);
    client.try_publish(Topic::Status(camera.clone()).to_string(), QoS::AtLeastOnce, true, [])?;
    loop {
        match events.poll().await.map_err(|error| anyhow!("{}", Explained(&error)))? {
            Event::Incoming(Packet::PubAck(_)) => client.try_disconnect()?,
            Event::Outgoing(Outgoing::Disconnect) => return Ok(()),
            _ => {}
        }
    }
}

/// Takes `camera` off the list of cameras.
async fn delist(media: &dyn Bucket, camera: &CameraId) -> anyhow::Result<()> {
    loop {
        let Some(object) = media.get(CAMERAS_KEY).await? else { return Ok(()) };
        let mut list = Cameras::parse(&object.bytes).context(CAMERAS_KEY)?;
        if !list.cameras.remove(camera) {
            return Ok(());
        }
        // Else a camera has just come onto the list: once more.
        if let Put::Stored(_) = list.put(media, Condition::IfMatch(object.etag)).await? {
            return Ok(());
        }
    }
}

/// Deletes everything below `prefix`.
async fn clear(bucket: &dyn Bucket, prefix: &str) -> anyhow::Result<()> {
    loop {
        let page = bucket.list_after(prefix, "", PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        for object in page {
            bucket.delete(&object.key).await?;
        }
    }
}
