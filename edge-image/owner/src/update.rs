//! Updates a camera over the network, as its owner: tells it by MQTT where the bundle is, and follows its telemetry
//! until it keeps the update, or does not.

mod progress;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use rumqttc::{AsyncClient, ClientError, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use serde::Deserialize;
use teiten_footage::{CameraId, Topic, limits::MQTT_PACKET_BYTES_MAX};
use teiten_mqtt::{Explained, Identity, TlsFiles};
use teiten_telemetry::Backoff;
use tokio::time::{interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use progress::{Progress, Telemetry};

use crate::{authority::BrokerHost, cameras::Home};

pub use progress::Outcome;

/// How the owner reaches the broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS, with the owner's certificate.
    pub tls: TlsFiles,
}

impl Broker {
    /// The broker of `home`, or what is called `host` from here, with the certificate in the folder `identity`.
    pub fn of(home: &Home, host: Option<&BrokerHost>, identity: &Path) -> anyhow::Result<Self> {
        let host = host.map(ToString::to_string).or_else(|| home.broker.first().cloned());
        let [ca, certificate, key] = ["ca.pem", "certificate.pem", "key.pem"].map(|file| identity.join(file));
        Ok(Self {
            host: host.context("the broker's name is missing")?,
            port: home.port,
            tls: TlsFiles { ca, identity: Some(Identity { certificate, key }) },
        })
    }
}

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// A request is repeated until the camera answers: it may be restarting just now, or be offline for a while.
const REPEAT_PERIOD: Duration = Duration::from_secs(20);

/// A camera that was heard so often, and has not answered, hardly will: it tells how it is each 10 s, so it was asked three
/// times meanwhile.
const UNANSWERED_MAX: usize = 7;

/// Asks `camera` to update itself from `url`, and follows it for at most `wait_max`. `say` is told what happens.
///
/// # Errors
/// If the broker cannot be reached at first, the camera refuses to try, or nothing came of it in that time.
pub async fn update(
    broker: &Broker,
    camera: &CameraId,
    url: &str,
    wait_max: Duration,
    mut say: impl FnMut(&str),
) -> anyhow::Result<Outcome> {
    // TLS takes no brackets of an IPv6 address in a server's name.
    let host = broker.host.trim_matches(['[', ']']);
    let mut options =
        MqttOptions::new(format!("teiten-owner-{:08x}", rand::random::<u32>()), host, broker.port);
    options
        .set_clean_session(true)
        .set_max_packet_size(MQTT_PACKET_BYTES_MAX, MQTT_PACKET_BYTES_MAX)
        .set_transport(broker.tls.transport()?);
    let (client, events) = AsyncClient::new(options, 16);
    let mut follower = Follower {
        topics: Topics::of(camera),
        request: Request { id: format!("{:016x}", rand::random::<u64>()), update: url },
        client,
        progress: Progress::default(),
        asking: None,
        answered: false,
        unanswered: 0,
        is_online: None,
    };
    let followed = timeout(wait_max, follower.follow(events, &mut say)).await;
    let (minutes, answered) = (wait_max.as_secs() / 60, follower.answered);
    followed.with_context(|| match answered {
        true => format!(
            "{camera} has not said within {minutes} min how its update ended: it may still come to an end"
        ),
        false => format!("{camera} has not answered within {minutes} min"),
    })?
}

#[derive(serde::Serialize)]
struct Request<'a> {
    id: String,
    update: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    id: Option<String>,
    ok: bool,
    reason: Option<String>,
}

struct Topics {
    control: String,
    reply: String,
    telemetry: String,
    status: String,
}

impl Topics {
    fn of(camera: &CameraId) -> Self {
        let name = |topic: fn(CameraId) -> Topic| topic(camera.clone()).to_string();
        Self {
            control: name(Topic::Control),
            reply: name(Topic::ControlReply),
            telemetry: name(Topic::Telemetry),
            status: name(Topic::Status),
        }
    }
}

struct Follower<'a> {
    topics: Topics,
    request: Request<'a>,
    client: AsyncClient,
    progress: Progress,
    /// Sends the request, again and again.
    asking: Option<AbortOnDropHandle<()>>,
    answered: bool,
    /// How often the camera was heard before it answered.
    unanswered: usize,
    is_online: Option<bool>,
}

impl Follower<'_> {
    async fn follow(&mut self, mut events: EventLoop, say: &mut impl FnMut(&str)) -> anyhow::Result<Outcome> {
        let mut backoff = BACKOFF;
        let mut was_connected = false;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if !std::mem::replace(&mut was_connected, true) {
                        say("waiting to hear from it");
                    }
                    backoff.reset();
                    self.subscribe()?;
                }
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    if let Some(outcome) = self.hear(&message, say)? {
                        return Ok(outcome);
                    }
                }
                Ok(_) => {}
                Err(error) if was_connected => {
                    // Requests would pile up; after the next telemetry it is asked again.
                    self.asking = None;
                    say(&format!("the broker is away: {}", Explained(&error)));
                    tokio::time::sleep(backoff.wait()).await;
                }
                Err(error) => bail!("the broker cannot be reached: {}", Explained(&error)),
            }
        }
    }

    fn subscribe(&self) -> Result<(), ClientError> {
        let Topics { reply, telemetry, status, .. } = &self.topics;
        [reply, telemetry, status]
            .into_iter()
            .try_for_each(|topic| self.client.try_subscribe(topic, QoS::AtLeastOnce))
    }

    fn hear(&mut self, message: &Publish, say: &mut impl FnMut(&str)) -> anyhow::Result<Option<Outcome>> {
        let Publish { topic, payload, .. } = message;
        if *topic == self.topics.status {
            let online = &**payload == teiten_footage::topic::ONLINE.as_bytes();
            if self.is_online.replace(online) != Some(online) {
                say(if online { "online" } else { "offline" });
            }
        } else if *topic == self.topics.telemetry {
            // Of a version that tells it in another way: the next one may be another.
            let Ok(telemetry) = serde_json::from_slice::<Telemetry>(payload) else { return Ok(None) };
            if !self.answered {
                self.progress.before(&telemetry);
                self.ask()?;
                self.unanswered += 1;
                if self.unanswered == UNANSWERED_MAX {
                    say(
                        "it is there and does not answer: is [control] off in its settings, or barred by the ACL?",
                    );
                }
                return Ok(None);
            }
            let (news, outcome) = self.progress.heard(&telemetry);
            news.iter().for_each(|news| say(news));
            return Ok(outcome);
        } else if *topic == self.topics.reply {
            let Ok(Reply { id, ok, reason }) = serde_json::from_slice(payload) else { return Ok(None) };
            if id.as_ref() == Some(&self.request.id) {
                self.asking = None;
                self.answered = true;
                anyhow::ensure!(ok, "it refuses: {}", reason.unwrap_or_default());
            }
        }
        Ok(None)
    }

    /// Asks once it is known what the camera runs, and again until there is an answer.
    fn ask(&mut self) -> anyhow::Result<()> {
        if self.asking.is_some() {
            return Ok(());
        }
        let (client, topic) = (self.client.clone(), self.topics.control.clone());
        let request = serde_json::to_vec(&self.request)?;
        self.asking = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut again = interval(REPEAT_PERIOD);
            loop {
                again.tick().await;
                // Without a connection; the next one is soon enough.
                let _sent = client.try_publish(&topic, QoS::AtLeastOnce, false, request.clone());
            }
        })));
        Ok(())
    }
}
