//! Files that are worked out, or were a short while ago. A player that seeks asks for part after part of one; who breaks off
//! and comes back finds it ready.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, FutureExt as _, Shared};
use http::StatusCode;
use teiten_host::Refusal;

/// How long a file is remembered after it was asked for: a download may take ten minutes before it has to go on.
const KEPT: Duration = Duration::from_secs(900);

/// How many files are remembered. The longest take half a megabyte each, and what is kept of heads has a limit of its own.
const FILES_MAX: usize = 24;

/// What will become of working something out, for whoever waits for it.
pub(crate) type Plan<Value> = Shared<BoxFuture<'static, Result<Arc<Value>, Refusal>>>;

/// Values by what they were asked by.
#[derive(Debug)]
pub(crate) struct Recent<Key, Value>(Mutex<VecDeque<Remembered<Key, Value>>>);

#[derive(Debug)]
struct Remembered<Key, Value> {
    key: Key,
    asked: Instant,
    plan: Plan<Value>,
}

impl<Key: PartialEq, Value: Send + Sync + 'static> Recent<Key, Value> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// What is remembered by `key` and will do, which is asked of what is worked out.
    pub(crate) fn get(
        &self,
        key: &Key,
        now: Instant,
        will_do: impl Fn(&Value) -> bool,
    ) -> Option<Plan<Value>> {
        let mut files = self.known(now);
        let is_it = |known: &Remembered<Key, Value>| {
            known.key == *key && matches!(known.plan.peek(), Some(Ok(value)) if will_do(value))
        };
        let index = files.iter().position(is_it)?;
        let known = files.remove(index)?;
        let plan = known.plan.clone();
        files.push_front(Remembered { asked: now, ..known });
        Some(plan)
    }

    /// What is remembered by `key` and will do, which `Some` is asked of what is worked out; else `begin` is, and takes its
    /// place, or that of what was asked for longest ago. It goes on when nobody waits for it any more.
    pub(crate) fn get_or_begin<Working>(
        &self,
        key: Key,
        now: Instant,
        will_do: impl Fn(Option<&Value>) -> bool,
        begin: impl FnOnce() -> Working,
    ) -> Plan<Value>
    where
        Working: Future<Output = Result<Value, Refusal>> + Send + 'static,
    {
        let mut files = self.known(now);
        let known = files.iter().position(|known| known.key == key).and_then(|index| files.remove(index));
        let known = known.filter(|known| match known.plan.peek() {
            None => will_do(None),
            Some(Ok(value)) => will_do(Some(value)),
            Some(Err(_)) => false,
        });
        let plan = known.map_or_else(|| spawn(begin()), |known| known.plan);
        files.truncate(FILES_MAX - 1);
        files.push_front(Remembered { key, asked: now, plan: plan.clone() });
        plan
    }
}

impl<Key, Value> Recent<Key, Value> {
    /// What is still remembered.
    fn known(&self, now: Instant) -> MutexGuard<'_, VecDeque<Remembered<Key, Value>>> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|known| now.saturating_duration_since(known.asked) < KEPT);
        files
    }
}

fn spawn<Value: Send + Sync + 'static>(
    working: impl Future<Output = Result<Value, Refusal>> + Send + 'static,
) -> Plan<Value> {
    let task = tokio::spawn(working);
    let outcome = async {
        let panicked = |_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "panicked"));
        task.await.unwrap_or_else(panicked).map(Arc::new)
    };
    let plan = outcome.boxed().shared();
    // So that it is known when it is over, even if nobody waits for it.
    tokio::spawn(plan.clone());
    plan
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Works out how often it was asked to, and fails the first time where that is wanted.
    #[derive(Default)]
    struct World {
        recent: Option<Recent<u32, u32>>,
        begun: Arc<AtomicU32>,
    }

    impl World {
        fn get(&self, key: u32, at: Instant, will_do: impl Fn(Option<&u32>) -> bool) -> Plan<u32> {
            let begun = Arc::clone(&self.begun);
            self.recent.as_ref().unwrap().get_or_begin(key, at, will_do, || async move {
                match begun.fetch_add(1, Ordering::Relaxed) {
                    3 => Err(Refusal::unavailable("the fourth one fails")),
                    begun => Ok(begun),
                }
            })
        }
    }

    #[tokio::test]
    async fn a_file_is_worked_out_once_while_it_is_asked_for() {
        let world = World { recent: Some(Recent::new()), ..World::default() };
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let any = |_: Option<&u32>| true;
        for (seconds, expected) in [(0, 0), (800, 0), (1600, 0), (2600, 1)] {
            assert_eq!(
                world.get(7, at(seconds), any).await.map(|value| *value).ok(),
                Some(expected),
                "{seconds}"
            );
        }
        let others = |value: Option<&u32>| value != Some(&1);
        assert_eq!(world.get(7, at(2600), others).await.map(|value| *value).ok(), Some(2));
        // What failed is not remembered.
        assert!(world.get(8, at(2600), any).await.is_err());
        assert_eq!(world.get(8, at(2600), any).await.map(|value| *value).ok(), Some(4));
        for key in 100..100 + FILES_MAX as u32 {
            world.get(key, at(2700), any).await.unwrap();
        }
        let begun = world.begun.load(Ordering::Relaxed);
        world.get(8, at(2700), any).await.unwrap();
        assert_eq!(world.begun.load(Ordering::Relaxed), begun + 1, "it made way for newer ones");
    }

    #[tokio::test]
    async fn what_is_begun_is_finished_for_whoever_comes_back() {
        let (recent, gate) = (Recent::new(), Arc::new(Semaphore::new(0)));
        let work = |gate: &Arc<Semaphore>| {
            let gate = Arc::clone(gate);
            || async move {
                gate.acquire().await.unwrap().forget();
                Ok(1)
            }
        };
        let any = |_: Option<&i32>| true;
        drop(recent.get_or_begin("key", Instant::now(), any, work(&gate)));
        let waiting = recent.get_or_begin("key", Instant::now(), any, work(&gate));
        gate.add_permits(1);
        assert_eq!(*waiting.await.unwrap(), 1);
    }
}
