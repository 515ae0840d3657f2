//! A camera that Linux knows (Video4Linux), by rscam: MJPEG as it comes, raw pictures encoded here.
//!
//! Capturing blocks, so each opened device has a thread of its own, and a supervisor that waits for its pictures. A
//! device that fails or stalls is closed, and opened anew after a while, for ever; what is wrong is logged when it
//! changes, not each time, and counted. A driver that does not even come back from a call is waited for: nothing can end
//! its thread, and others would hang like it. Only the machine's restart may mend that, so the watchdog is told
//! ([`crate::condition`]).
//!
//! Supervision, times and messages are tested without a camera, behind [`device::Device`]. The lines that call rscam
//! ([`camera`]) are tested with Linux's virtual cameras, in an emulated machine.

mod camera;
mod capture;
mod clock;
mod control;
mod cost;
mod device;
mod devices;
mod encoder;
mod mode;
mod planes;
mod trouble;

use std::{
    future::pending,
    mem::replace,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use teiten_telemetry::Backoff;
use tokio::{
    select,
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{Demand, Health, Outlet};
use crate::{condition::STALLED_AFTER, config::V4l2};
use capture::{Conditions, End, Refused, STALLED, Said, capture, wanted_now};
use device::{Open, Opener};
use mode::Asked;
use trouble::Trouble;

pub use cost::encoding_cost;
pub use devices::list as list_devices;

/// A camera that gave pictures for this long is well again.
const STEADY: Duration = Duration::from_secs(10);

/// A driver that has not come back for this long will not: longer than any camera that is slow on purpose, and known
/// before the missing pictures would count as a stall without a reason.
const HUNG: Duration = Duration::from_secs(50);

const _: () = assert!(HUNG.as_secs() > 3 * STALLED.as_secs() && HUNG.as_secs() < STALLED_AFTER.as_secs());

/// Captures until nobody takes the pictures any more.
pub(super) async fn play(settings: V4l2, outlet: Outlet) {
    let conditions = Conditions {
        rate: settings.rate(),
        quality: settings.quality,
        demand: outlet.demand.clone(),
        losses: Arc::clone(&outlet.losses),
        bad_told: AtomicBool::new(false),
    };
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    supervise(Arc::new(Opener::new(settings)), conditions, HUNG, backoff, outlet).await;
}

/// Keeps a device open, and passes on what it captures.
async fn supervise(
    opener: Arc<dyn Open>,
    conditions: Conditions,
    hung: Duration,
    mut backoff: Backoff,
    mut outlet: Outlet,
) {
    let conditions = Arc::new(conditions);
    let mut known: Option<Trouble> = None;
    let mut refused: Option<Refused> = None;
    loop {
        let wanted = wanted_now(&outlet.demand.borrow(), conditions.rate);
        // What was refused is tried once more, if it is wanted after something else was.
        refused.take_if(|refused| refused.wanted != wanted);
        let asked = refused.map_or(wanted, |refused| refused.instead);
        let mut said = start(Arc::clone(&opener), Arc::clone(&conditions), (asked, refused));
        let mut flowing_since: Option<Instant> = None;
        let end = loop {
            let next = match timeout(hung, said.recv()).await {
                Ok(next) => next,
                Err(_) => {
                    let trouble = Trouble::Hung { after: hung };
                    outlet.losses.add(trouble.loss());
                    outlet.health.send_replace(Health::Hung { why: trouble.to_string() });
                    warn!(%trouble, "the camera gives no pictures, and nothing else can be tried");
                    known = Some(trouble);
                    said.recv().await
                }
            };
            match next {
                Some(Said::Picture(picture)) => {
                    let since = *flowing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STEADY && known.take().is_some() {
                        info!("the camera gives pictures again");
                        backoff.reset();
                    }
                    outlet
                        .health
                        .send_if_modified(|health| replace(health, Health::Flowing) != Health::Flowing);
                    if outlet.pictures.send(picture).await.is_err() {
                        return;
                    }
                }
                Some(Said::Ended(end)) => break end,
                None => break End::Trouble(Trouble::Unexpected),
            }
        };
        let trouble = match end {
            End::Deaf => return,
            End::OtherMode => continue,
            End::Trouble(trouble) => trouble,
        };
        outlet.losses.add(trouble.loss());
        if let Some(instead) = asked.without_what_is_refused(&trouble) {
            warn!(%trouble, "the camera cannot do what is asked of it, and stays nearer to its settings");
            refused = Some(Refused { wanted, instead });
            continue;
        }
        outlet.health.send_replace(Health::Failing { why: trouble.to_string() });
        if known.as_ref() != Some(&trouble) {
            warn!(%trouble, "the camera gives no pictures, it is tried again");
            known = Some(trouble);
        }
        select! {
            () = sleep(backoff.wait()) => {}
            () = other_wish(&mut outlet.demand, |demand| wanted_now(demand, conditions.rate) != wanted) => {}
        }
    }
}

/// Waits until something else is asked for: then there is a reason to try at once.
async fn other_wish(demand: &mut watch::Receiver<Demand>, is_other: impl FnMut(&Demand) -> bool) {
    if demand.wait_for(is_other).await.is_err() {
        // Nobody is left to ask.
        pending().await
    }
}

/// Opens the device on a thread of its own, which ends with the device, or when nobody listens any more.
fn start(
    opener: Arc<dyn Open>,
    conditions: Arc<Conditions>,
    (asked, refused): (Asked, Option<Refused>),
) -> mpsc::Receiver<Said> {
    let (sender, receiver) = mpsc::channel(1);
    let span = tracing::Span::current();
    let run = move || {
        let _entered = span.entered();
        let end = match opener.open(asked) {
            Ok(mut device) => capture(&mut *device, &conditions, (asked, refused), &sender),
            Err(trouble) => End::Trouble(trouble),
        };
        // The device is closed by now, so it can be opened anew.
        let _nobody_listens = sender.blocking_send(Said::Ended(end));
    };
    // If there is no thread to be had, the sender is gone and the supervisor tries again.
    if let Err(error) = std::thread::Builder::new().name("capture".to_owned()).spawn(run) {
        warn!(%error, "no thread to capture on");
    }
    receiver
}

#[cfg(test)]
mod tests;
