//! Deliveries: one task for each event and trigger, which ends with the event delivered or a dead letter.

use std::sync::Arc;

use reqwest::StatusCode;
use teiten_footage::{CloudEvent, cloudevent::CloudEventError};
use teiten_telemetry::Backoff;
use tokio::sync::OwnedSemaphorePermit;

use crate::{DEAD_LETTERS_MAX, DeadLetter, Delivered, QUEUE_MAX, Router, Shared, Trigger};

/// A trigger's queue has no room.
#[derive(Debug, thiserror::Error)]
#[error("{QUEUE_MAX} events are waiting for {subscriber} already; send this one again later")]
pub(crate) struct QueueFull {
    subscriber: String,
}

/// What one attempt came to.
enum Attempt {
    /// 2xx, with a reply event or none.
    Delivered(Option<CloudEvent>),
    /// Another attempt may succeed.
    Again(String),
    /// No attempt will.
    Never(String),
}

impl Router {
    /// Queues `event` for every trigger that is for it, or for none of them.
    pub(crate) fn route(&self, event: CloudEvent) -> Result<(), QueueFull> {
        let event = Arc::new(event);
        let mut queued = Vec::new();
        for (index, target) in self.shared.triggers.iter().enumerate() {
            if target.trigger.is_for(&event) {
                let place = Arc::clone(&target.queue)
                    .try_acquire_owned()
                    .map_err(|_full| QueueFull { subscriber: target.trigger.subscriber.clone() })?;
                queued.push((index, place));
            }
        }
        for (index, place) in queued {
            let router = self.clone();
            let event = Arc::clone(&event);
            self.shared.under_way.spawn(async move {
                let delivery = router.deliver(index, &event, place);
                router.shared.given_up.run_until_cancelled(delivery).await
            });
        }
        Ok(())
    }

    async fn deliver(&self, index: usize, event: &CloudEvent, _place: OwnedSemaphorePermit) {
        let target = &self.shared.triggers[index];
        let Trigger { subscriber, delivery, .. } = &target.trigger;
        let mut retries = 0;
        let mut backoff = Backoff::new(delivery.backoff, delivery.backoff_max);
        let why = loop {
            let attempt = async {
                let _slot = target.slots.acquire().await.expect("the semaphore is never closed");
                self.shared.attempt(&target.trigger, event).await
            };
            let in_time = tokio::time::timeout(delivery.attempt_timeout, attempt).await;
            let late = |_| Attempt::Again(format!("no answer within {:?}", delivery.attempt_timeout));
            let why = match in_time.unwrap_or_else(late) {
                Attempt::Delivered(reply) => match reply.map(|reply| self.route(reply)) {
                    None | Some(Ok(())) => {
                        // Nobody has to be listening.
                        let at = teiten_telemetry::now();
                        let _listeners = self.shared.delivered.send(Delivered { event: event.clone(), at });
                        return;
                    }
                    Some(Err(full)) => format!("its reply was not queued: {full}"),
                },
                Attempt::Never(why) => break why,
                Attempt::Again(why) => why,
            };
            if retries == delivery.retries_max {
                break why;
            }
            tracing::debug!(id = event.id, subscriber, why, retries, "delivery will be repeated");
            tokio::time::sleep(backoff.wait()).await;
            retries += 1;
        };
        tracing::error!(id = event.id, kind = event.kind, subscriber, why, "dead letter");
        let mut letters = self.shared.dead_letters.lock().await;
        if letters.len() == DEAD_LETTERS_MAX {
            letters.pop_front();
        }
        letters.push_back(DeadLetter {
            id: event.id.clone(),
            kind: event.kind.clone(),
            subscriber: subscriber.clone(),
            why,
        });
    }
}

impl Shared {
    async fn attempt(&self, trigger: &Trigger, event: &CloudEvent) -> Attempt {
        let (headers, body) = event.to_binary();
        let mut request = self.client.post(&trigger.subscriber).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Again(format!("no answer: {:#}", anyhow::Error::from(error))),
        };
        let status = response.status();
        let headers = response.headers().clone();
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => {
                let why = format!("answer {status} cut short: {:#}", anyhow::Error::from(error));
                return Attempt::Again(why);
            }
        };
        if status.is_success() {
            if !headers.contains_key("ce-type") && body.is_empty() {
                return Attempt::Delivered(None);
            }
            let pairs =
                headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
            return match CloudEvent::from_http(pairs, &body) {
                Ok(reply) => Attempt::Delivered(Some(reply)),
                // Knative's filter makes a 502 of what does not claim to be one, and its ingress a 400 of what is malformed.
                Err(error @ CloudEventError::NotACloudEvent) => {
                    Attempt::Again(format!("its answer is neither empty nor an event: {error}"))
                }
                Err(error) => Attempt::Never(format!("its reply is no event: {error}")),
            };
        }
        let why = format!("answered {status}: {}", String::from_utf8_lossy(&body[..body.len().min(500)]));
        if is_repeated(status) { Attempt::Again(why) } else { Attempt::Never(why) }
    }
}

/// Which answers a Knative Broker takes for temporary.
fn is_repeated(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::NOT_FOUND
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
        )
}
