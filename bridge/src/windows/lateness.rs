//! Cameras of any rate whose frames come late, in order, and now and then not at all.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use teiten_footage::{
    BootId, FrameId,
    limits::{hold_max, windows_min},
};

use super::*;

/// How long a course is.
const LASTS: Duration = Duration::from_secs(60);

/// One of `millis` milliseconds.
fn millis(millis: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    millis.prop_map(Duration::from_millis)
}

fn start() -> Timestamp {
    Timestamp::Y2020 + Duration::from_secs(86_400)
}

fn frame(captured: Timestamp) -> Frame {
    let id = FrameId { boot: BootId(1), sequence: captured.unix_micros() };
    Frame { id, captured, jpeg: Bytes::from_static(&[0; 10]) }
}

#[derive(Debug, Clone)]
struct Course {
    length: WindowLength,
    /// From frame to frame.
    period: Duration,
    /// From capture to arrival: this, and up to `jitter` more, by turns that these numbers tell.
    late: Duration,
    jitter: Duration,
    turns: Vec<u8>,
    /// Nothing is captured for this long.
    stall: Duration,
    /// Nothing arrives for this long.
    outage: Duration,
}

fn courses() -> impl Strategy<Value = Course> {
    let lengths = [500, 1000, 2000, 4000, 6000].map(|millis| WindowLength::from_millis(millis).unwrap());
    let times = (millis(50..4000), millis(0..8000), millis(0..1000), millis(0..3000), millis(0..2000));
    let turns = prop::collection::vec(any::<u8>(), 1..20);
    (prop::sample::select(lengths.to_vec()), times, turns, any::<[bool; 2]>()).prop_map(
        |(length, (period, late, jitter, stall, outage), turns, [stalls, fails])| Course {
            length,
            period,
            late,
            jitter,
            turns,
            stall: if stalls { stall } else { Duration::ZERO },
            outage: if fails { outage } else { Duration::ZERO },
        },
    )
}

impl Course {
    /// When each frame is captured, and when it arrives.
    fn frames(&self) -> Vec<(Timestamp, Timestamp)> {
        let (stalled, failed) = (start() + LASTS / 3, start() + LASTS / 2);
        let mut frames = Vec::new();
        let mut captured = start();
        let mut arrived = start();
        for turn in self.turns.iter().cycle() {
            if captured >= start() + LASTS {
                break;
            }
            let mut arrives = captured + self.late + self.jitter * u32::from(*turn) / 256;
            if arrives >= failed {
                arrives = arrives.max(failed + self.outage);
            }
            arrived = arrived.max(arrives);
            frames.push((captured, arrived));
            captured = captured + self.period;
            if captured >= stalled && captured < stalled + self.stall {
                captured = stalled + self.stall;
            }
        }
        frames
    }
}

/// Windows that a camera's frames go to, and what came of it.
struct Run {
    windows: Windows,
    camera: CameraId,
    now: Timestamp,
    arrived: Vec<Timestamp>,
    held: Vec<Window>,
    missed: Vec<Window>,
    stored: BTreeSet<Window>,
}

impl Run {
    fn new(length: WindowLength) -> Self {
        Self {
            windows: Windows::new(length, Limits::default()),
            camera: CameraId::new("front-door").unwrap(),
            now: start(),
            arrived: Vec::new(),
            held: Vec::new(),
            missed: Vec::new(),
            stored: BTreeSet::new(),
        }
    }

    fn of(course: &Course) -> Self {
        let mut run = Self::new(course.length);
        for (captured, arrives) in course.frames() {
            run.pass_until(arrives);
            run.take(captured);
        }
        run
    }

    fn pass_until(&mut self, then: Timestamp) {
        while let Some(deadline) = self.windows.next_deadline().filter(|deadline| *deadline <= then) {
            self.now = self.now.max(deadline);
            let actions = self.windows.on_timer(self.now);
            self.note(actions);
        }
        self.now = then;
    }

    fn take(&mut self, captured: Timestamp) {
        let frame = frame(captured);
        let mut actions = Vec::new();
        self.windows.on_frame(&self.camera.clone(), frame, self.now, &mut actions).unwrap();
        self.arrived.push(captured);
        self.note(actions);
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Store { camera, batch } => {
                    self.windows.release(&camera, batch_bytes(&batch));
                    self.stored.insert(batch.window());
                    if batch.is_held() {
                        self.note_held(&batch);
                    }
                }
                Action::Missed { window, .. } => self.missed.push(window),
            }
        }
    }

    fn note_held(&mut self, batch: &Batch) {
        let starts = batch.window().start();
        let newest = self.arrived.iter().filter(|captured| **captured < starts).max();
        assert_eq!(Some(&batch.frames()[0].captured), newest, "held is the newest picture from before");
        self.held.push(batch.window());
    }
}

#[test]
fn one_picture_after_a_silence_gives_as_many_windows_as_a_live_playlist_needs_to_jump_to_them() {
    for length in (500..=6000).filter_map(|millis| WindowLength::from_millis(millis).ok()) {
        for into in [0, 1, length.millis() / 3, length.millis() / 2, length.millis() - 1] {
            let mut run = Run::new(length);
            let captured = start() + Duration::from_millis(into.into());
            run.pass_until(captured);
            run.take(captured);
            run.pass_until(captured + LASTS);
            let missed = run.missed.first().expect("held for a while only").start();
            let in_a_row = run.stored.iter().filter(|window| window.end() <= missed).count();
            assert_eq!(in_a_row, run.stored.len());
            assert!(
                in_a_row >= windows_min(length),
                "{in_a_row} windows of {length}, {into} ms into the first"
            );
        }
    }
}

proptest! {
    #[test]
    fn as_long_as_frames_come_no_window_is_without_a_picture_and_none_is_held_that_has_its_own(
        course in courses(),
    ) {
        let run = Run::of(&course);
        let (captured, arrived): (Vec<_>, Vec<_>) = course.frames().into_iter().unzip();
        let gap = |times: &[Timestamp]| times.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
        if gap(&captured).max(gap(&arrived)) + course.length.duration() <= hold_max(course.length) {
            prop_assert_eq!(run.missed, []);
        }
        if course.outage.is_zero() {
            let own = |window: &&Window| captured.iter().any(|at| Window::containing(*at, course.length) == **window);
            prop_assert_eq!(run.held.iter().find(own), None);
        }
    }
    #[test]
    fn a_camera_that_changes_hands_has_no_window_without_a_picture(
        course in courses(),
        changes in millis(10_000..50_000),
        leaves in any::<bool>(),
    ) {
        let changes = start() + changes;
        let (mut one, mut other) = (Run::new(course.length), Run::new(course.length));
        let (before, after): (Vec<_>, Vec<_>) =
            course.frames().into_iter().partition(|(_, arrives)| *arrives < changes);
        // What is older is held by nobody.
        prop_assume!(before.last().is_some_and(|(newest, _)| changes.since(*newest) <= hold_max(course.length)));
        for (captured, arrives) in &before {
            one.pass_until(*arrives);
            one.take(*captured);
        }
        one.pass_until(changes);
        other.arrived.clone_from(&one.arrived);
        if leaves {
            let actions = one.windows.drain(changes);
            one.note(actions);
            let (newest, arrived) = before[before.len() - 1];
            other.windows.go_on_from(&other.camera, frame(newest), arrived, changes);
        } else {
            // Who has just come has overheard nothing.
            one.windows.hand_over(|_| false, changes);
        }
        for (captured, arrives) in &after {
            other.pass_until(*arrives);
            other.take(*captured);
            one.pass_until(*arrives);
            if one.windows.is_ceding(&one.camera) {
                one.take(*captured);
            }
        }
        one.pass_until(other.now.max(one.now) + hold_max(course.length));
        other.pass_until(one.now);
        let (captured, arrived): (Vec<_>, Vec<_>) = course.frames().into_iter().unzip();
        let gap = |times: &[Timestamp]| times.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
        if gap(&captured).max(gap(&arrived)) + course.length.duration() <= hold_max(course.length) {
            let stored: BTreeSet<_> = one.stored.union(&other.stored).copied().collect();
            let mut window = *stored.first().unwrap();
            let last = *stored.last().unwrap();
            while window < last {
                prop_assert!(stored.contains(&window), "{window}");
                window = window.next();
            }
        }
    }
}
