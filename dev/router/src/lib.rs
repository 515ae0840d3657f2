//! Routes CloudEvents to subscribers over HTTP as a Knative Broker and its Triggers do, on one machine.
//!
//! An event that is posted to the ingress is accepted (202) once it is queued for every trigger that is for it.
//! Each trigger delivers to one subscriber: again, with exponential back-off, on a connection error, 5xx, 404,
//! 408, 409 or 429, and on 2xx with a body that does not claim to be an event; never again on another 4xx. What
//! cannot be delivered becomes a dead letter, which is logged and shown at `GET /dead-letters`. A reply that is an
//! event is routed as a new one, so no function knows another's address. Queues are in memory, as in Knative's
//! in-memory channel: what is queued when the process is killed is gone (the objects that the events speak of are
//! not).

mod delivery;
mod ingress;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use teiten_footage::CloudEvent;
use tokio::sync::{Mutex, Semaphore, broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Which events go where.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The CloudEvents type.
    pub kind: String,
    /// Extensions that they have, and with which values.
    pub extensions: BTreeMap<String, String>,
    /// The URL to post them to.
    pub subscriber: String,
    /// The most requests under way at once, as Knative's `containerConcurrency`.
    pub concurrency_max: usize,
    /// How they are delivered.
    pub delivery: RetryPolicy,
}

impl Trigger {
    fn is_for(&self, event: &CloudEvent) -> bool {
        let has = |(name, value): (&String, &String)| event.extensions.get(name) == Some(value);
        self.kind == event.kind && self.extensions.iter().all(has)
    }
}

/// How often and how fast a delivery is repeated (Knative's `delivery.retry` and `backoffDelay`).
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The most attempts after the first.
    pub retries_max: u32,
    /// The pause before the first retry; it doubles with each.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long one attempt may take (Knative's `timeoutSeconds` of the subscriber), with the time for which it waits until fewer
    /// are under way: there, too, that is the attempt's own.
    pub attempt_timeout: Duration,
}

impl RetryPolicy {
    /// For a chore that may take so long: it is called again anyway, so a failure is tried once more and no oftener.
    pub fn of_chore(attempt_timeout: Duration) -> Self {
        let backoff = Duration::from_secs(5);
        Self { retries_max: 1, backoff, backoff_max: backoff, attempt_timeout }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 12,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
        }
    }
}

/// An event that reached its subscriber, and when the answer came.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The event.
    pub event: CloudEvent,
    /// When its subscriber had answered 2xx.
    pub at: teiten_footage::Timestamp,
}

/// An event that no attempt could deliver.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DeadLetter {
    /// The event's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Where it should have gone.
    pub subscriber: String,
    /// What the last attempt came to.
    pub why: String,
}

/// The router. Cloning is cheap.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    triggers: Vec<QueuedTrigger>,
    client: reqwest::Client,
    under_way: TaskTracker,
    /// Ends what is under way.
    given_up: CancellationToken,
    delivered: broadcast::Sender<Delivered>,
    dead_letters: Mutex<VecDeque<DeadLetter>>,
}

struct QueuedTrigger {
    trigger: Trigger,
    /// Room in the queue.
    queue: Arc<Semaphore>,
    /// Requests that may still start.
    slots: Semaphore,
}

/// The most events queued for one trigger; beyond it the ingress answers 503, and the sender tries again.
const QUEUE_MAX: usize = 10_000;
/// The most dead letters kept; the oldest go first.
const DEAD_LETTERS_MAX: usize = 1000;
/// The most deliveries that a slow listener of [`Router::delivered`] may be behind.
const DELIVERED_BEHIND_MAX: usize = 1024;

impl Router {
    /// A router with these triggers.
    pub fn new(triggers: Vec<Trigger>) -> Self {
        let triggers = triggers
            .into_iter()
            .map(|trigger| QueuedTrigger {
                slots: Semaphore::new(trigger.concurrency_max.max(1)),
                queue: Arc::new(Semaphore::new(QUEUE_MAX)),
                trigger,
            })
            .collect();
        let client = reqwest::Client::builder()
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .expect("an HTTP client without TLS needs nothing from the system");
        Self {
            shared: Arc::new(Shared {
                triggers,
                client,
                under_way: TaskTracker::new(),
                given_up: CancellationToken::new(),
                delivered: broadcast::channel(DELIVERED_BEHIND_MAX).0,
                dead_letters: Mutex::default(),
            }),
        }
    }

    /// Every delivery from now on.
    pub fn delivered(&self) -> broadcast::Receiver<Delivered> {
        self.shared.delivered.subscribe()
    }

    /// The dead letters, oldest first.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared.dead_letters.lock().await.iter().cloned().collect()
    }
}
