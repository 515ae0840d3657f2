//! Events that come shuffled, repeated, dropped and at once, to several instances on a store that fails at times, and in which
//! somebody deletes or spoils what they wrote: no two versions of a playlist may ever break the rules, and nothing that was
//! stored in time may be missing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use teiten_archive::LiveSettings;
use teiten_bucket::{Bucket, Condition, Headers};
use teiten_footage::{CameraId, Event, SegmentKey, Timestamp, Window, WindowLength, key};
use teiten_host::{Failure, Function};
use teiten_playlist::Playlist;

use crate::{
    checker::Segment,
    world::{World, segment, stored, window},
};

const CAMERA: &str = "front-door";

/// What happens to one window.
#[derive(Debug, Clone)]
enum Fate {
    /// There is footage of it.
    Stored {
        /// How long after its end the segment is stored, and then how long until its event arrives.
        after: Duration,
        event_after: Duration,
        /// How often the event arrives.
        events: usize,
        /// Late frames make another segment, this much later.
        remade_after: Option<Duration>,
        /// The camera's picture has another size from here on.
        new_init: bool,
    },
    /// There is none, and the bridge says so or not.
    Missing { told: bool },
}

#[derive(Debug, Clone)]
struct Scenario {
    length: WindowLength,
    settings: LiveSettings,
    fates: Vec<Fate>,
    instances: usize,
    /// How many events are handled at once.
    at_once: usize,
    /// The share of the store's operations that fail.
    failing: f64,
    /// How long after the start somebody does something to the playlist.
    meddled: Vec<(Duration, Meddling)>,
    seed: u64,
}

/// What somebody does to the playlist.
#[derive(Debug, Clone, Copy)]
enum Meddling {
    Deleted,
    /// It is overwritten with what is not ours.
    Spoiled,
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

/// How bad it can get.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// How late segments are stored, and then how late their events.
    stored_millis_max: u64,
    event_millis_max: u64,
    /// How many windows in a row are missing.
    missing_max: usize,
    /// How little a playlist is told to list.
    live_window_seconds_min: u64,
    /// How often somebody meddles.
    meddled_max: usize,
}

fn stored_fate(trouble: Trouble) -> impl Strategy<Value = Fate> {
    (
        millis(0..trouble.stored_millis_max),
        millis(0..trouble.event_millis_max),
        prop_oneof![1 => Just(0_usize), 4 => Just(1), 1 => 2..4_usize],
        proptest::option::weighted(0.1, millis(0..trouble.stored_millis_max)),
        proptest::bool::weighted(0.05),
    )
        .prop_map(|(after, event_after, events, remade_after, new_init)| Fate::Stored {
            after,
            event_after,
            events,
            remade_after,
            new_init,
        })
}

/// A run of windows of which all are stored, then some that are not.
fn stretch(trouble: Trouble) -> impl Strategy<Value = Vec<Fate>> {
    let stored = proptest::collection::vec(stored_fate(trouble), 1..20);
    let missing = any::<bool>().prop_map(|told| Fate::Missing { told });
    let missing = proptest::collection::vec(missing, 0..=trouble.missing_max);
    (stored, missing).prop_map(|(stored, missing)| [stored, missing].concat())
}

fn scenario(trouble: Trouble) -> impl Strategy<Value = Scenario> {
    let length = prop_oneof![Just(500), Just(1000), Just(1500), Just(2000), Just(6000)];
    let live_window = prop_oneof![Just(trouble.live_window_seconds_min), Just(12)];
    let meddling = prop_oneof![2 => Just(Meddling::Deleted), 1 => Just(Meddling::Spoiled)];
    let meddled = proptest::collection::vec((millis(0..60_000), meddling), 0..=trouble.meddled_max);
    (
        length.prop_map(|millis| WindowLength::from_millis(millis).unwrap()),
        live_window.prop_map(|seconds| LiveSettings { live_window: Duration::from_secs(seconds) }),
        proptest::collection::vec(stretch(trouble), 1..6),
        1..4_usize,
        1..6_usize,
        prop_oneof![Just(0.0), Just(0.05)],
        meddled,
        any::<u64>(),
    )
        .prop_map(|(length, settings, fates, instances, at_once, failing, meddled, seed)| Scenario {
            length,
            settings,
            fates: fates.concat(),
            instances,
            at_once,
            failing,
            meddled,
            seed,
        })
}

/// Anything at all.
const WILD: Trouble = Trouble {
    stored_millis_max: 20_000,
    event_millis_max: 20_000,
    missing_max: 40,
    live_window_seconds_min: 1,
    meddled_max: 3,
};

/// All is stored before its grace is over; no outage is longer than gaps can be; and nothing has to wait for so long
/// to be told of that it ceases to be live (a dropped window of 6 s, three missing ones, and the delays: 29 s).
const TAME: Trouble = Trouble {
    stored_millis_max: 3900,
    event_millis_max: 1000,
    missing_max: 3,
    live_window_seconds_min: 12,
    meddled_max: 0,
};

/// What happens at some time.
#[derive(Debug, Clone)]
enum Happening {
    Stored(SegmentKey),
    Event(Event),
    Meddled(Meddling),
}

/// All that happens, in the order of time.
struct Course {
    happenings: BTreeMap<Timestamp, VecDeque<Happening>>,
}

impl Course {
    fn of(scenario: &Scenario) -> Self {
        let mut course = Self { happenings: BTreeMap::new() };
        for (after, meddling) in &scenario.meddled {
            course.add(window(scenario.length, 0).start() + *after, Happening::Meddled(*meddling));
        }
        let mut init = 0;
        for (fate, index) in scenario.fates.iter().zip(0..) {
            let window = window(scenario.length, index);
            match fate {
                Fate::Missing { told: false } => {}
                Fate::Missing { told: true } => {
                    let camera = CameraId::new(CAMERA).unwrap();
                    let at = window.end() + Duration::from_secs(2);
                    course.add(at, Happening::Event(Event::WindowMissed { camera, window }));
                }
                Fate::Stored { after, event_after, events, remade_after, new_init } => {
                    init += u32::from(*new_init);
                    let mut remake = |frames: &str, at: Timestamp| {
                        let key = segment(CAMERA, window, &init.to_string(), frames);
                        course.add(at, Happening::Stored(key.clone()));
                        for repeat in 1..=*events {
                            course.add(at + *event_after * repeat as u32, Happening::Event(stored(&key)));
                        }
                    };
                    remake("first", window.end() + *after);
                    if let Some(remade_after) = remade_after {
                        remake("remade", window.end() + *after + *remade_after);
                    }
                }
            }
        }
        course
    }

    fn add(&mut self, at: Timestamp, happening: Happening) {
        self.happenings.entry(at).or_default().push_back(happening);
    }

    fn pop(&mut self) -> Option<(Timestamp, Happening)> {
        let mut entry = self.happenings.first_entry()?;
        let at = *entry.key();
        let happening = entry.get_mut().pop_front();
        if entry.get().is_empty() {
            entry.remove();
        }
        Some((at, happening?))
    }

    /// The next events, up to `most`, of the same half second and with nothing between them; and when the last
    /// of them arrives.
    fn pop_events(&mut self, most: usize) -> (Timestamp, Vec<Event>) {
        let until = self.happenings.keys().next().map(|first| *first + Duration::from_millis(500));
        let (mut at, mut events) = (Timestamp::default(), Vec::new());
        while events.len() < most
            && let Some((time, queue)) = self.happenings.iter().next()
            && Some(*time) <= until
            && let Some(Happening::Event(_)) = queue.front()
            && let Some((time, Happening::Event(event))) = self.pop()
        {
            at = time;
            events.push(event);
        }
        (at, events)
    }
}

/// The scenario, but that no two segments in a row have all their events dropped.
fn with_every_other_event(mut scenario: Scenario) -> Scenario {
    let mut dropped = false;
    for fate in &mut scenario.fates {
        if let Fate::Stored { events, .. } = fate {
            *events = if dropped { (*events).max(1) } else { *events };
            dropped = *events == 0;
        }
    }
    scenario
}

/// Lets a scenario happen; failed events come again. Gives the world as it then is.
async fn play(scenario: &Scenario) -> World {
    let world = World::troubled(window(scenario.length, 0).start(), scenario.seed, scenario.failing);
    let new = || world.playlist_with(scenario.settings);
    let mut dice = StdRng::seed_from_u64(scenario.seed);
    let mut instances: Vec<Playlist> = (0..scenario.instances).map(|_| new()).collect();
    let mut course = Course::of(scenario);
    let mut spoiled = None;
    loop {
        let (at, events) = course.pop_events(scenario.at_once);
        if events.is_empty() {
            match course.pop() {
                Some((_, Happening::Stored(key))) => drop(world.store(&key).await),
                Some((_, Happening::Meddled(meddling))) => spoiled = meddle(&world, meddling).await,
                _ => return world,
            }
            continue;
        }
        world.set_clock(at);
        if dice.random_bool(0.02) {
            instances[0] = new();
        }
        let chosen: Vec<&Playlist> =
            events.iter().map(|_| &instances[dice.random_range(0..instances.len())]).collect();
        let handled =
            join_all(chosen.iter().zip(&events).map(|(instance, event)| instance.handle(event.clone())));
        for (result, event) in handled.await.into_iter().zip(events) {
            match result {
                Ok(reply) => assert_eq!(reply, None),
                Err(Failure::Transient(_)) => {
                    course.add(at + Duration::from_secs(1), Happening::Event(event))
                }
                // It is named, and left as it is until somebody deletes it.
                Err(Failure::Permanent(error)) => assert!(spoiled.is_some(), "{error:#}"),
            }
        }
        if let Some(spoiled) = &spoiled {
            let there = world.bucket.inner.get(&playlist_key()).await.unwrap();
            assert_eq!(there.map(|object| object.bytes).as_ref(), Some(spoiled));
        }
    }
}

/// Deletes or spoils the playlist; says what it is spoiled with.
async fn meddle(world: &World, meddling: Meddling) -> Option<Bytes> {
    let (bucket, key) = (&world.bucket.inner, playlist_key());
    match meddling {
        Meddling::Deleted => {
            bucket.delete(&key).await.unwrap();
            None
        }
        Meddling::Spoiled => {
            let foreign = Bytes::from_static(b"#EXTM3U\nmovie.ts\n");
            bucket.put(&key, foreign.clone(), Headers::default(), Condition::Always).await.unwrap();
            Some(foreign)
        }
    }
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn playlist_key() -> String {
    key::live_playlist_key(&CameraId::new(CAMERA).unwrap())
}

/// Every segment that was ever listed, by media sequence number.
fn listed(world: &World) -> BTreeMap<u64, Segment> {
    let versions = world.bucket.versions(&playlist_key());
    versions
        .iter()
        .flat_map(|version| version.numbered().map(|(number, segment)| (number, segment.clone())))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_version_breaks_the_rules(scenario in scenario(WILD)) {
        // The bucket checks every version; asking for them fails if one was wrong.
        let world = run(play(&scenario));
        world.bucket.versions(&playlist_key());
    }

    #[test]
    fn whatever_is_stored_in_time_is_listed_in_the_end(scenario in scenario(TAME)) {
        let world = run(async {
            let scenario = &with_every_other_event(scenario.clone());
            let world = play(scenario).await;
            let last = scenario.fates.iter().rposition(|fate| matches!(fate, Fate::Stored { .. })).unwrap();
            // Events may all have been lost but this one, which comes when every grace is over.
            let last = window(scenario.length, last as u64);
            let event = stored(&segment(CAMERA, last, "0", "again"));
            world.set_clock(last.end() + Duration::from_secs(5));
            world.store(&segment(CAMERA, last, "0", "again")).await;
            let instance = world.playlist_with(scenario.settings);
            while let Err(failure) = instance.handle(event.clone()).await {
                assert!(matches!(failure, Failure::Transient(_)), "{failure}");
            }
            world
        });
        let listed = listed(&world);
        let begun = *listed.keys().next().unwrap();
        for (fate, index) in scenario.fates.iter().zip(0..) {
            let number = Window::media_sequence(window(scenario.length, index)).unwrap();
            let is_gap = listed.get(&number).map(|segment| segment.gap);
            match fate {
                Fate::Stored { .. } if number >= begun => prop_assert_eq!(is_gap, Some(false), "window {}", index),
                // A gap that would stand at the front is left out.
                Fate::Missing { .. } => prop_assert!(is_gap.unwrap_or(true), "window {}", index),
                Fate::Stored { .. } => {}
            }
        }
    }
}
