//! Whose batch is encoded next: the newest. Where more comes than can be encoded, what is newest is still live in time, and what has
//! waited is late anyway.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use teiten_footage::{BatchKey, ContentHash, Timestamp};
use tokio::sync::oneshot;

/// The most batches that wait for their turn: what is older than so many is sent away, to come again.
pub const WAITING_MAX: usize = 64;

/// Somebody newer took the place in which this one waited.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{WAITING_MAX} newer batches are waiting to be encoded; this one has to come again later")]
pub(crate) struct SentAway;

/// Who may encode, so many at a time.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// How many more may begin at once.
    free: usize,
    /// Those who wait, the newest last.
    waiting: BTreeMap<(Place, u64), oneshot::Sender<Turn>>,
    /// How many have had to wait.
    came: u64,
}

/// How new a batch is. The windows of all cameras end at the same times, so among these it is drawn by lot, for each window anew: who
/// came first would be the same camera each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    time: Timestamp,
    lot: u64,
}

impl Place {
    /// That of a batch, `now`. A camera whose clock is ahead is no newer than others are.
    pub(crate) fn of(batch: &BatchKey, now: Timestamp) -> Self {
        let lot = ContentHash::of(batch.to_string().as_bytes()).to_u64();
        Self { time: batch.window.end().min(now), lot }
    }
}

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Turns);

/// Somebody's place among those who wait, until it is dropped.
struct Waiting<'a> {
    turns: &'a Turns,
    place: (Place, u64),
}

impl Turns {
    /// So many at a time, one at least.
    pub(crate) fn new(at_a_time: usize) -> Self {
        let state = State { free: at_a_time.max(1), waiting: BTreeMap::new(), came: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits until somebody has ended and nobody newer waits. Who gives up waiting leaves nothing behind.
    pub(crate) async fn turn(&self, place: Place) -> Result<Turn, SentAway> {
        let (mut receiver, waiting) = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            let place = (place, state.came);
            state.came += 1;
            state.waiting.insert(place, sender);
            if state.waiting.len() > WAITING_MAX {
                state.waiting.pop_first();
            }
            (receiver, Waiting { turns: self, place })
        };
        let turn = (&mut receiver).await.map_err(|_dropped| SentAway);
        drop(waiting);
        turn
    }

    /// Hands a turn that is over to the newest who waits.
    fn pass_on(&self) {
        let next = {
            let mut state = self.state();
            let next = state.waiting.pop_last();
            if next.is_none() {
                state.free += 1;
            }
            next
        };
        if let Some((_, next)) = next {
            // Whoever has gone meanwhile drops it, which passes it on.
            drop(next.send(Turn(self.clone())));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No statement that holds the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.state().waiting.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, future::join_all};
    use teiten_footage::{CameraId, Window, WindowLength, key::BatchFormat};

    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_millis(1_795_435_200_000);

    fn at(second: u64) -> Place {
        Place { time: NOON + Duration::from_secs(second), lot: 0 }
    }

    fn batch(camera: &str, second: u64) -> BatchKey {
        let camera = CameraId::new(camera).unwrap();
        let window = Window::containing(NOON + Duration::from_secs(second), WindowLength::DEFAULT);
        BatchKey { camera, window, format: BatchFormat::Mjpeg }
    }

    #[tokio::test]
    async fn the_newest_is_next() {
        let turns = Turns::new(1);
        let first = turns.turn(at(0)).await.unwrap();
        let order = Mutex::new(Vec::new());
        let waiting = [(3, 'a'), (1, 'b'), (4, 'c'), (2, 'd')].map(|(second, name)| {
            let (turns, order) = (&turns, &order);
            async move {
                let _turn = turns.turn(at(second)).await.unwrap();
                order.lock().unwrap().push(name);
            }
        });
        let begins = async { drop(first) };
        tokio::join!(join_all(waiting), begins);
        assert_eq!(*order.lock().unwrap(), ['c', 'a', 'd', 'b']);
    }

    #[test]
    fn of_one_time_each_camera_is_first_now_and_then() {
        let cameras = ["back-yard", "front-door", "gate"];
        let first = |second: u64| {
            let place =
                |camera: &&str| Place::of(&batch(camera, second), NOON + Duration::from_secs(second + 1));
            cameras.into_iter().max_by_key(place).unwrap()
        };
        for camera in cameras {
            let times = (0..300).filter(|second| first(*second) == camera).count();
            assert!((70..130).contains(&times), "{camera} is first {times} times of 300");
        }
    }

    #[test]
    fn a_camera_whose_clock_is_ahead_is_no_newer_than_others() {
        let now = NOON + Duration::from_secs(1);
        assert_eq!(Place::of(&batch("gate", 30), now).time, Place::of(&batch("gate", 0), now).time);
        let older = BatchKey {
            window: Window::containing(NOON - Duration::from_secs(1), WindowLength::DEFAULT),
            ..batch("gate", 0)
        };
        assert!(Place::of(&batch("gate", 30), now) > Place::of(&older, now));
    }

    #[tokio::test]
    async fn no_more_than_so_many_have_a_turn() {
        let turns = Turns::new(2);
        let (first, _second) = (turns.turn(at(0)).await.unwrap(), turns.turn(at(1)).await.unwrap());
        let mut third = Box::pin(turns.turn(at(2)));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!(third.now_or_never().unwrap().is_ok());
        assert!(turns.turn(at(3)).now_or_never().unwrap().is_ok(), "the third one's was over at once");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_turn_and_no_place() {
        let turns = Turns::new(1);
        let first = turns.turn(at(0)).await.unwrap();
        let (mut gone, mut told) = (Box::pin(turns.turn(at(1))), Box::pin(turns.turn(at(2))));
        assert!((&mut gone).now_or_never().is_none() && (&mut told).now_or_never().is_none());
        drop(gone);
        assert_eq!(turns.state().waiting.len(), 1);
        // This one has been given its turn, and goes before it knows.
        drop(first);
        drop(told);
        assert!(turns.turn(at(0)).now_or_never().unwrap().is_ok());
        assert_eq!(turns.state().free, 1);
    }

    #[tokio::test]
    async fn where_too_many_wait_the_oldest_is_sent_away() {
        let turns = Turns::new(1);
        let first = turns.turn(at(0)).await.unwrap();
        let mut old = Box::pin(turns.turn(at(0)));
        assert!((&mut old).now_or_never().is_none());
        let mut others: Vec<_> =
            (1..=WAITING_MAX as u64).map(|second| Box::pin(turns.turn(at(second)))).collect();
        for other in &mut others {
            assert!(other.now_or_never().is_none());
        }
        assert_eq!(old.now_or_never().unwrap().unwrap_err(), SentAway);
        // An older one yet does not get in.
        assert_eq!(turns.turn(at(0)).now_or_never().unwrap().unwrap_err(), SentAway);
        drop(first);
        assert!(others.pop().unwrap().now_or_never().unwrap().is_ok());
    }
}
