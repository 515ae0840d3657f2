use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use teiten_footage::{
    BootId, FrameId,
    limits::{CAPTURED_AHEAD_MAX, GAPS_IN_A_ROW_MAX, HOLD_MAX, WINDOW_GRACE},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn start() -> Timestamp {
    Timestamp::Y2020 + Duration::from_secs(86_400)
}

/// `seconds` after the start.
fn at(seconds: f64) -> Timestamp {
    start() + Duration::from_secs_f64(seconds)
}

/// The window that starts `seconds` after the start.
fn window(seconds: u64) -> Window {
    Window::containing(start() + Duration::from_secs(seconds), WindowLength::DEFAULT)
}

/// A frame captured `seconds` after the start; its identity is its time.
fn frame(seconds: f64) -> Frame {
    frame_of(seconds, 10)
}

fn frame_of(seconds: f64, bytes: usize) -> Frame {
    let captured = at(seconds);
    let id = FrameId { boot: BootId(1), sequence: captured.since(start()).as_micros() as u64 };
    Frame { id, captured, jpeg: Bytes::from(vec![0; bytes]) }
}

/// One camera's windows, and what they called for, as text: `store 3: 3.0 3.5`, `hold 4: 3.5`, `missed 5`.
struct Bench {
    windows: Windows,
    camera: CameraId,
    /// When something happened last.
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let windows = Windows::new(WindowLength::DEFAULT, limits);
        Self { windows, camera: CameraId::new("front-door").unwrap(), now: start() }
    }

    fn take(&mut self, frame: Frame, now: f64) -> (Result<Admitted, Excess>, Vec<String>) {
        let mut actions = Vec::new();
        self.now = at(now);
        let admitted = self.windows.on_frame(&self.camera.clone(), frame, at(now), &mut actions);
        (admitted, describe(&actions))
    }

    /// A frame that arrives as it is captured, and what follows from it.
    fn live(&mut self, seconds: f64) -> Vec<String> {
        self.late(seconds, seconds)
    }

    /// A frame that arrives later than it was captured, and what follows from it.
    fn late(&mut self, seconds: f64, now: f64) -> Vec<String> {
        let (admitted, described) = self.take(frame(seconds), now);
        admitted.unwrap();
        described
    }

    /// Another bridge has the camera now.
    fn hand_over(&mut self, now: f64) {
        self.windows.hand_over(|_| false, at(now));
    }

    /// Lets time pass until `now`, with a timer that is always on time and a store that is at once; each
    /// entry says when it happened.
    fn pass_until(&mut self, now: f64) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(deadline) = self.windows.next_deadline().filter(|deadline| *deadline <= at(now)) {
            self.now = self.now.max(deadline);
            let seconds = self.now.since(start()).as_secs_f64();
            let actions = self.windows.on_timer(self.now);
            for action in &actions {
                if let Action::Store { camera, batch } = action {
                    self.windows.release(camera, batch_bytes(batch));
                }
            }
            all.extend(describe(&actions).into_iter().map(|text| format!("{seconds}: {text}")));
        }
        all
    }
}

fn describe(actions: &[Action]) -> Vec<String> {
    let seconds = |time: Timestamp| time.since(start()).as_secs_f64();
    actions
        .iter()
        .map(|action| match action {
            Action::Store { batch, .. } => {
                let verb = if batch.is_held() { "hold" } else { "store" };
                let times: String =
                    batch.frames().iter().map(|frame| format!(" {}", seconds(frame.captured))).collect();
                format!("{verb} {}:{times}", seconds(batch.window().start()))
            }
            Action::Missed { window, .. } => format!("missed {}", seconds(window.start())),
        })
        .collect()
}

#[test]
fn a_frame_of_the_very_next_window_closes_a_window() {
    let mut bench = Bench::new();
    assert!(bench.live(3.0).is_empty());
    assert!(bench.live(3.5).is_empty());
    assert_eq!(bench.live(4.0), ["store 3: 3 3.5"]);
}

#[test]
fn a_window_closes_when_its_grace_is_over() {
    let mut bench = Bench::new();
    bench.live(3.25);
    assert!(bench.live(5.25).is_empty(), "a frame of a window after the next closes nothing");
    assert_eq!(bench.pass_until(6.0), ["6: store 3: 3.25"]);
}

#[test]
fn repeated_frames_collapse() {
    let mut bench = Bench::new();
    bench.live(3.0);
    assert_eq!(bench.take(frame(3.0), 3.1).0, Ok(Admitted::Duplicate));
    assert_eq!(bench.live(4.0), ["store 3: 3"]);
}

#[test]
fn a_late_frame_opens_its_window_again_and_disturbs_no_other() {
    let mut bench = Bench::new();
    bench.live(3.0);
    bench.live(4.0);
    assert!(bench.late(3.5, 4.1).is_empty());
    assert_eq!(bench.live(5.0), ["store 4: 4"]);
    assert_eq!(bench.pass_until(6.5), ["6.1: store 3: 3.5"]);
}

#[test]
fn backlog_and_live_windows_are_open_side_by_side() {
    let mut bench = Bench::new();
    bench.live(100.0);
    assert!(bench.late(40.0, 100.1).is_empty());
    assert_eq!(bench.late(41.0, 100.2), ["store 40: 40"]);
    assert_eq!(bench.live(101.0), ["store 100: 100"]);
    assert_eq!(bench.late(42.0, 101.1), ["store 41: 41"]);
    assert_eq!(bench.live(102.0), ["store 101: 101"]);
}

#[test]
fn an_empty_window_of_a_camera_slower_than_windows_is_held_after_its_grace() {
    let mut bench = Bench::new();
    bench.live(3.5);
    assert_eq!(
        bench.pass_until(7.9),
        ["6: store 3: 3.5", "7: hold 4: 3.5"],
        "windows 5 and later are in their grace"
    );
    bench.late(6.5, 7.95);
    assert_eq!(bench.pass_until(9.0), ["8: hold 5: 3.5"]);
    assert_eq!(
        bench.pass_until(12.0),
        ["9.95: store 6: 6.5", "11.45: hold 7: 6.5"],
        "as late as the last frame may come the next one"
    );
}

#[test]
fn after_ten_seconds_of_holding_three_windows_are_missed_and_then_there_is_silence() {
    let mut bench = Bench::new();
    bench.live(0.5);
    let happened = bench.pass_until(1000.0);
    let count = |verb: &str| happened.iter().filter(|text| text.contains(verb)).count() as u64;
    assert_eq!(happened[0], "3: store 0: 0.5");
    // The last held window is the last one that ends at most 10 s after the frame: it ends at 10.
    assert_eq!(happened[9], "12: hold 9: 0.5");
    assert_eq!(count("hold"), HOLD_MAX.as_secs() - 1);
    assert_eq!(happened[10..], ["13: missed 10", "14: missed 11", "15: missed 12"]);
    assert_eq!(count("missed"), GAPS_IN_A_ROW_MAX);
    assert_eq!(bench.windows.next_deadline(), None, "the camera is forgotten");
    assert_eq!(bench.windows.cameras.len(), 0);
}

#[test]
fn footage_that_returns_after_a_silence_starts_anew_without_a_gap_for_every_window_between() {
    let mut bench = Bench::new();
    bench.live(0.5);
    bench.pass_until(50.0);
    assert!(bench.live(50.5).is_empty());
    assert_eq!(bench.live(51.5), ["store 50: 50.5"]);
    assert_eq!(bench.pass_until(55.0), ["54: store 51: 51.5", "55: hold 52: 51.5"]);
}

#[test]
fn footage_that_returns_while_windows_are_missed_ends_the_gap_at_its_window() {
    let mut bench = Bench::new();
    bench.live(0.5);
    assert_eq!(bench.pass_until(13.5).last().unwrap(), "13: missed 10");
    // Window 13: the gap between is as long as it may be, or shorter, in which case it is missed window by
    // window up to the footage.
    bench.live(13.5);
    assert_eq!(bench.live(14.5), ["store 13: 13.5"]);
    assert_eq!(bench.pass_until(15.9), ["14.5: missed 11", "15: missed 12"]);
    assert_eq!(bench.live(15.95), ["store 14: 14.5"]);
}

#[test]
fn a_straggler_does_not_start_windows_again_that_were_missed() {
    let mut bench = Bench::new();
    bench.live(0.5);
    assert_eq!(bench.pass_until(18.0).last().unwrap(), "15: missed 12");
    bench.late(10.5, 18.0);
    assert_eq!(bench.pass_until(40.0), ["20: store 10: 10.5"]);
}

#[test]
fn a_long_hole_with_footage_behind_it_already_is_jumped_over() {
    let mut bench = Bench::new();
    bench.live(0.5);
    bench.pass_until(12.9);
    // The camera's clock is ahead of the bridge's, within what is tolerated.
    bench.late(21.5, 13.0);
    assert_eq!(bench.late(22.5, 14.0), ["store 21: 21.5"]);
    let happened = bench.pass_until(25.9);
    let missed: Vec<_> = happened.iter().filter(|text| text.contains("missed")).collect();
    assert_eq!(missed, ["14: missed 10", "14: missed 11", "15: missed 12"]);
    assert_eq!(happened.last().unwrap(), "25: store 22: 22.5");
    assert_eq!(bench.pass_until(26.0), ["26: hold 23: 22.5"]);
}

#[test]
fn the_last_seconds_that_a_returning_camera_sends_at_once_are_given_their_grace() {
    let mut bench = Bench::new();
    bench.late(91.5, 100.0);
    for seconds in 92..100 {
        let stored = bench.late(f64::from(seconds) + 0.5, 100.0 + f64::from(seconds - 91) / 10.0);
        assert_eq!(stored, [format!("store {}: {}.5", seconds - 1, seconds - 1)]);
    }
    assert!(bench.pass_until(101.9).is_empty());
}

#[test]
fn frames_that_come_later_than_windows_are_given_grace_are_waited_for() {
    let mut bench = Bench::new();
    let mut happened = Vec::new();
    for captured in (0..60).step_by(6).map(f64::from) {
        happened.extend(bench.pass_until(captured + 6.0));
        happened.extend(bench.late(captured, captured + 6.0));
    }
    let happened: Vec<_> = happened.iter().map(|text| text.split_once(": ").unwrap().1).collect();
    let expected: Vec<_> = (0..happened.len())
        .map(|window| match window % 6 {
            0 => format!("store {window}: {window}"),
            since => format!("hold {window}: {}", window - since),
        })
        .collect();
    assert_eq!(happened, expected);
    assert!(happened.len() > 48);
}

#[test]
fn one_empty_window_of_a_camera_whose_frames_are_late_has_no_other_held() {
    let mut bench = Bench::new();
    let mut happened = Vec::new();
    for captured in (0..15 * 60).map(|number| f64::from(number) / 15.0) {
        happened.extend(bench.pass_until(captured + 4.0));
        if captured.floor() != 20.0 {
            happened.extend(bench.late(captured, captured + 4.0));
        }
    }
    happened.retain(|text| !text.contains("store"));
    assert_eq!(happened, ["25: hold 20: 19.933333"]);
}

#[test]
fn a_frame_from_behind_the_windows_that_are_settled_is_what_is_held() {
    let mut bench = Bench::new();
    bench.live(0.5);
    assert_eq!(bench.pass_until(9.0).last().unwrap(), "9: hold 6: 0.5");
    bench.late(4.5, 9.5);
    // That one was late, and so may others be.
    assert_eq!(bench.pass_until(14.9), ["11.5: store 4: 4.5"]);
    assert_eq!(bench.pass_until(16.0), ["15: hold 7: 4.5", "16: hold 8: 4.5"]);
}

#[test]
fn old_backlog_alone_is_neither_held_nor_missed() {
    let mut bench = Bench::new();
    bench.late(40.0, 100.0);
    bench.late(45.0, 100.1);
    let happened = bench.pass_until(200.0);
    assert_eq!(happened, ["102: store 40: 40", "102.1: store 45: 45"]);
}

#[test]
fn a_clock_that_is_set_back_leaves_no_window_open_for_long() {
    let mut bench = Bench::new();
    bench.live(5000.5);
    let actions = bench.windows.on_timer(at(1000.0));
    assert_eq!(describe(&actions), ["store 5000: 5000.5"]);
    assert!(bench.live(1000.5).is_empty());
    assert_eq!(bench.live(1001.5), ["store 1000: 1000.5"]);
}

#[test]
fn draining_closes_every_window_as_it_is() {
    let mut bench = Bench::new();
    bench.live(100.0);
    bench.late(40.0, 100.1);
    assert_eq!(describe(&bench.windows.drain(at(100.2))), ["store 40: 40", "store 100: 100"]);
    assert_eq!(bench.pass_until(1000.0), [""; 0]);
}

#[test]
fn draining_holds_what_a_slow_camera_leaves_empty() {
    let mut bench = Bench::new();
    bench.live(0.0);
    bench.pass_until(5.0);
    bench.live(5.0);
    assert_eq!(bench.pass_until(6.5).last().unwrap(), "6: hold 3: 0");
    assert_eq!(describe(&bench.windows.drain(at(6.5))), ["store 5: 5", "hold 4: 0", "hold 6: 5"]);
    // What an older picture may not be held for stays empty.
    let mut bench = Bench::new();
    bench.live(0.5);
    bench.pass_until(11.9);
    assert_eq!(describe(&bench.windows.drain(at(11.9))), ["hold 9: 0.5"]);
}

#[test]
fn draining_leaves_windows_to_the_next_bridge_whose_frames_are_on_their_way() {
    let mut bench = Bench::new();
    for tenths in 0..40 {
        bench.late(f64::from(tenths) / 10.0, f64::from(tenths) / 10.0 + 1.5);
    }
    assert_eq!(describe(&bench.windows.drain(at(5.5))), ["store 3: 3 3.1 3.2 3.3 3.4 3.5 3.6 3.7 3.8 3.9"]);
}

#[test]
fn a_camera_that_is_handed_over_is_completed_to_the_end_of_its_window_and_no_further() {
    let mut bench = Bench::new();
    bench.live(100.0);
    bench.hand_over(100.3);
    assert!(bench.windows.is_ceding(&bench.camera));
    bench.live(100.5);
    let (admitted, stored) = bench.take(frame(101.0), 101.0);
    assert_eq!((admitted, stored), (Ok(Admitted::Ceded), vec!["store 100: 100 100.5".to_owned()]));
    assert!(!bench.windows.is_ceding(&bench.camera));
    bench.windows.release(&bench.camera.clone(), 20);
    assert_eq!(bench.pass_until(200.0), [""; 0]);
    assert_eq!(bench.windows.cameras.len(), 0);
}

#[test]
fn whose_camera_is_handed_over_holds_windows_until_its_next_frame() {
    let mut bench = Bench::new();
    bench.live(100.5);
    bench.hand_over(102.5);
    assert_eq!(
        bench.pass_until(107.2),
        [
            "103: store 100: 100.5",
            "104: hold 101: 100.5",
            "105: hold 102: 100.5",
            "106: hold 103: 100.5",
            "107: hold 104: 100.5"
        ]
    );
    // Backlog is nothing that the other bridge could hold.
    assert_eq!(bench.take(frame(40.0), 107.3), (Ok(Admitted::Ceded), Vec::new()));
    assert!(bench.windows.is_ceding(&bench.camera));
    assert_eq!(
        bench.take(frame(107.5), 107.5),
        (Ok(Admitted::Ceded), ["hold 105: 100.5", "hold 106: 100.5"].map(str::to_owned).to_vec())
    );
    assert!(!bench.windows.is_ceding(&bench.camera));
    let camera = bench.camera.clone();
    bench.windows.release(&camera, 10);
    bench.windows.release(&camera, 10);
    assert_eq!(bench.pass_until(200.0), [""; 0]);
    assert_eq!((bench.windows.total_bytes(), bench.windows.cameras.len()), (0, 0));
}

#[test]
fn whose_camera_is_handed_over_and_stays_silent_reports_nothing_missed() {
    let mut bench = Bench::new();
    bench.live(100.5);
    bench.hand_over(102.5);
    let passed = bench.pass_until(200.0);
    assert_eq!(passed.last().unwrap(), "112: hold 109: 100.5");
    assert_eq!((bench.windows.total_bytes(), bench.windows.cameras.len()), (0, 0));
}

#[test]
fn backlog_of_a_camera_that_is_handed_over_is_completed_for_a_while_only() {
    let mut bench = Bench::new();
    bench.live(100.5);
    bench.hand_over(100.6);
    bench.late(40.0, 100.7);
    assert_eq!(bench.take(frame(41.0), 103.0).0, Ok(Admitted::Ceded));
}

#[test]
fn windows_of_a_camera_that_is_handed_over_are_not_held_while_their_frames_are_on_their_way() {
    let mut bench = Bench::new();
    for captured in (0..60).map(|tenths| f64::from(tenths) / 10.0) {
        bench.pass_until(captured + 4.0);
        if captured + 4.0 >= 5.5 {
            bench.hand_over(5.5);
        }
        let (admitted, stored) = bench.take(frame(captured), captured + 4.0);
        assert!(!stored.iter().any(|text| text.contains("hold")), "{stored:?}");
        if admitted == Ok(Admitted::Ceded) {
            break;
        }
    }
    assert_eq!(bench.now, at(8.0));
    assert_eq!(bench.pass_until(200.0), [""; 0]);
}

#[test]
fn of_a_camera_that_was_another_bridges_its_last_picture_is_held() {
    let mut bench = Bench::new();
    bench.windows.go_on_from(&bench.camera, frame(95.0), at(95.0), at(101.5));
    assert_eq!(bench.windows.total_bytes(), 10);
    assert_eq!(bench.pass_until(103.5).last().unwrap(), "103.5: hold 100: 95");
    bench.live(103.6);
    assert_eq!(bench.pass_until(106.5), ["104: hold 101: 95", "105: hold 102: 95", "106: store 103: 103.6"]);
    // One that it has itself is newer.
    bench.windows.go_on_from(&bench.camera, frame(95.0), at(95.0), at(106.6));
    assert_eq!(bench.pass_until(107.1), ["107: hold 104: 103.6"]);
    let mut bench = Bench::new();
    bench.windows.go_on_from(&bench.camera, frame(40.0), at(40.0), at(101.5));
    assert_eq!(bench.pass_until(200.0), [""; 0]);
    assert_eq!((bench.windows.total_bytes(), bench.windows.cameras.len()), (0, 0));
}

#[test]
fn a_camera_that_comes_back_is_served_as_before() {
    let mut bench = Bench::new();
    bench.live(100.0);
    bench.hand_over(100.3);
    bench.windows.hand_over(|_| true, at(100.6));
    bench.live(100.7);
    assert_eq!(bench.live(101.0), ["store 100: 100 100.7"]);
    assert_eq!(bench.pass_until(104.5), ["104: store 101: 101"]);
}

#[test]
fn what_exceeds_a_limit_is_refused_and_the_rest_goes_on() {
    let limits = Limits {
        cameras_max: 2,
        open_windows_max: 2,
        window_frames_max: 2,
        window_bytes_max: 100,
        camera_batches_max: 3,
        camera_bytes_max: 300,
        total_bytes_max: 400,
    };
    let mut bench = Bench::with(limits);
    bench.take(frame_of(40.0, 10), 100.0).0.unwrap();
    bench.take(frame_of(40.1, 10), 100.0).0.unwrap();
    assert_eq!(bench.take(frame_of(40.2, 10), 100.0).0, Err(Excess::WindowFrames));
    assert_eq!(bench.take(frame_of(40.1, 10), 100.0).0, Ok(Admitted::Duplicate));
    bench.take(frame_of(50.0, 60), 100.0).0.unwrap();
    assert_eq!(bench.take(frame_of(50.1, 60), 100.0).0, Err(Excess::WindowBytes));
    let (admitted, stored) = bench.take(frame_of(60.0, 90), 100.0);
    assert_eq!((admitted, &*stored[0]), (Ok(Admitted::New), "store 40: 40 40.1"));
    assert_eq!(bench.take(frame_of(70.0, 90), 100.0).1, ["store 50: 50"]);
    assert_eq!(bench.take(frame_of(80.0, 90), 100.0).0, Err(Excess::CameraBytes));
    let other = CameraId::new("other").unwrap();
    let mut actions = Vec::new();
    let mut elsewhere = |windows: &mut Windows, camera: &CameraId, frame| {
        windows.on_frame(camera, frame, at(100.0), &mut actions)
    };
    assert_eq!(bench.windows.total_bytes(), 260);
    assert_eq!(elsewhere(&mut bench.windows, &other, frame_of(50.0, 100)), Ok(Admitted::New));
    assert_eq!(elsewhere(&mut bench.windows, &other, frame_of(51.0, 60)), Err(Excess::TotalBytes));
    let third = CameraId::new("third").unwrap();
    assert_eq!(elsewhere(&mut bench.windows, &third, frame_of(50.0, 1)), Err(Excess::Cameras));
    bench.windows.release(&other, 100);
    bench.windows.release(&bench.camera.clone(), 20);
    assert_eq!(bench.take(frame_of(80.0, 50), 100.0).1, ["store 60: 60"]);
    assert_eq!(bench.take(frame_of(90.0, 1), 100.0).1, ["store 70: 70"]);
    assert_eq!(bench.take(frame_of(95.0, 1), 100.0).0, Err(Excess::CameraBatches));
}

#[test]
fn one_camera_takes_no_more_than_a_quarter_of_the_memory() {
    let mut bench = Bench::with(Limits::with_total(400));
    bench.take(frame_of(40.0, 100), 100.0).0.unwrap();
    assert_eq!(bench.take(frame_of(40.1, 1), 100.0).0, Err(Excess::CameraBytes));
}

#[test]
fn limits_may_be_reached() {
    let limits = Limits { window_bytes_max: 100, camera_bytes_max: 200, ..Limits::with_total(250) };
    let mut bench = Bench::with(limits);
    let mut take = |camera: &str, seconds, bytes| {
        bench.camera = CameraId::new(camera).unwrap();
        bench.take(frame_of(seconds, bytes), 100.0).0
    };
    take("one", 40.0, 60).unwrap();
    take("one", 40.1, 40).unwrap();
    assert_eq!(take("one", 40.2, 1), Err(Excess::WindowBytes));
    take("one", 50.0, 100).unwrap();
    assert_eq!(take("one", 60.0, 1), Err(Excess::CameraBytes));
    take("other", 40.0, 50).unwrap();
    assert_eq!(take("other", 50.0, 1), Err(Excess::TotalBytes));
}

#[test]
fn a_camera_is_known_until_its_last_batch_is_durable_however_long_it_is_silent() {
    let mut bench = Bench::new();
    bench.live(3.0);
    let mut out = Vec::new();
    for second in 4..200 {
        out.extend(bench.windows.on_timer(at(f64::from(second))));
    }
    assert!(bench.windows.total_bytes() > 0 && bench.windows.cameras.len() == 1);
    for action in out {
        if let Action::Store { camera, batch } = action {
            bench.windows.release(&camera, batch_bytes(&batch));
        }
    }
    assert_eq!(bench.windows.total_bytes(), 0);
    bench.windows.on_timer(at(200.0));
    assert_eq!((bench.windows.cameras.len(), bench.windows.next_deadline()), (0, None));
}

#[test]
fn what_another_bridge_has_changes_nothing_for_one_that_holds_the_camera_already() {
    let mut bench = Bench::new();
    bench.live(3.0);
    bench.windows.go_on_from(&bench.camera, frame(7.5), at(7.5), at(7.6));
    assert_eq!(bench.pass_until(8.5), ["6: store 3: 3", "7: hold 4: 3", "8: hold 5: 3"]);
}

#[test]
fn a_window_of_a_camera_that_is_as_far_ahead_as_may_be_has_its_grace() {
    let mut windows = Windows::new(WindowLength::MAX, Limits::default());
    let (ahead, mut actions) = (frame(36.0), Vec::new());
    assert_eq!(Window::containing(ahead.captured, WindowLength::MAX).start(), ahead.captured);
    let now = ahead.captured - CAPTURED_AHEAD_MAX;
    windows.on_frame(&CameraId::new("gate").unwrap(), ahead, now, &mut actions).unwrap();
    actions.extend(windows.on_timer(now));
    assert_eq!(actions, []);
}

#[test]
fn what_another_bridge_has_is_not_held_where_there_is_no_room_for_it() {
    let mut bench = Bench::with(Limits { camera_bytes_max: 100, ..Limits::with_total(100) });
    bench.take(frame_of(99.0, 60), 100.0).0.unwrap();
    let other = CameraId::new("other").unwrap();
    for (bytes, total) in [(50, 60), (40, 100)] {
        bench.windows.go_on_from(&other, frame_of(99.5, bytes), at(99.5), at(100.0));
        assert_eq!(bench.windows.total_bytes(), total);
    }
}

/// What happens to a bridge: a frame arrives (its camera, its window before or after the present, its
/// number within it), or time passes.
#[derive(Debug, Clone)]
enum Step {
    Frame { camera: u8, window: i64, number: u64 },
    Pass { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let frame = (0..3u8, prop_oneof![4 => -3..=1i64, 1 => -60..9i64], 0..4u64)
        .prop_map(|(camera, window, number)| Step::Frame { camera, window, number });
    let pass = prop_oneof![8 => 0..900u64, 1 => 0..20_000u64].prop_map(|millis| Step::Pass { millis });
    prop::collection::vec(prop_oneof![3 => frame, 1 => pass], 0..300)
}

/// When the newest frame of each window that has any was captured.
type Arrived = BTreeMap<(CameraId, Window), Timestamp>;

/// Everything that came of a run, kept as a store would keep it.
#[derive(Default)]
struct Stored {
    batches: BTreeMap<(CameraId, Window), Batch>,
    closed: usize,
    /// Windows that were held or missed, with what was known of the window then.
    empty: Vec<(CameraId, Window)>,
    missed_in_a_row: BTreeMap<CameraId, (u64, Option<Window>)>,
}

impl Stored {
    fn take(&mut self, actions: Vec<Action>, windows: &mut Windows, arrived: &Arrived) {
        for action in actions {
            match action {
                Action::Store { camera, batch } => {
                    windows.release(&camera, batch_bytes(&batch));
                    let window = batch.window();
                    if batch.is_held() {
                        let last = batch.frames()[0].captured;
                        assert!(window.end().since(last) <= HOLD_MAX, "held for too long");
                        let before =
                            arrived.iter().filter(|((of, before), _)| *of == camera && *before < window);
                        let newest = before.map(|(_, captured)| *captured).max();
                        assert_eq!(Some(last), newest, "held is the newest picture from before");
                        self.note_empty(&camera, window, arrived);
                    } else {
                        self.closed += 1;
                    }
                    let merged = match self.batches.remove(&(camera.clone(), window)) {
                        Some(stored) => stored.merge(batch),
                        None => batch,
                    };
                    self.batches.insert((camera, window), merged);
                }
                Action::Missed { camera, window } => {
                    self.note_empty(&camera, window, arrived);
                    let (count, last) = self.missed_in_a_row.entry(camera).or_default();
                    *count = if last.is_some_and(|last| last.next() == window) { *count + 1 } else { 1 };
                    *last = Some(window);
                    assert!(*count <= GAPS_IN_A_ROW_MAX, "too many gaps in a row");
                }
            }
        }
    }

    fn note_empty(&mut self, camera: &CameraId, window: Window, arrived: &Arrived) {
        let key = (camera.clone(), window);
        assert!(!arrived.contains_key(&key), "a window with frames of its own was held or missed");
        assert!(!self.empty.contains(&key), "a window was held or missed twice");
        self.empty.push(key);
    }
}

proptest! {
    #[test]
    fn whatever_the_order_every_frame_is_stored_once_and_no_window_is_empty_by_mistake(steps in steps()) {
        let mut windows = Windows::new(WindowLength::DEFAULT, Limits::default());
        let cameras: Vec<_> = (0..3).map(|i| CameraId::new(&format!("camera-{i}")).unwrap()).collect();
        let mut now = start();
        let mut sent = BTreeSet::new();
        let mut arrived = Arrived::new();
        let mut stored = Stored::default();
        for step in steps {
            match step {
                Step::Frame { camera, window, number } => {
                    let camera = &cameras[usize::from(camera)];
                    let present = Window::containing(now, WindowLength::DEFAULT).start();
                    let begins = if window < 0 { present - SECOND * window.unsigned_abs() as u32 } else { present + SECOND * window as u32 };
                    let captured = begins + Duration::from_millis(250) * number as u32;
                    let id = FrameId { boot: BootId(1), sequence: captured.unix_millis() };
                    let frame = Frame { id, captured, jpeg: Bytes::from_static(&[0; 10]) };
                    let mut actions = Vec::new();
                    let window = Window::containing(captured, WindowLength::DEFAULT);
                    windows.on_frame(camera, frame, now, &mut actions).unwrap();
                    stored.take(actions, &mut windows, &arrived);
                    sent.insert((camera.clone(), window, id));
                    let newest = arrived.entry((camera.clone(), window)).or_insert(captured);
                    *newest = captured.max(*newest);
                }
                Step::Pass { millis } => {
                    let until = now + Duration::from_millis(millis);
                    while let Some(deadline) = windows.next_deadline().filter(|deadline| *deadline <= until) {
                        now = now.max(deadline);
                        let actions = windows.on_timer(now);
                        stored.take(actions, &mut windows, &arrived);
                    }
                    now = until;
                }
            }
            prop_assert!(windows.total_bytes() <= 10 * (sent.len() + stored.closed));
        }
        let actions = windows.drain(now);
        stored.take(actions, &mut windows, &arrived);
        prop_assert_eq!(windows.total_bytes(), 0);
        let kept: Vec<_> = stored.batches.iter().filter(|(_, batch)| !batch.is_held())
            .flat_map(|((camera, window), batch)| {
                batch.frames().iter().map(|frame| (camera.clone(), *window, frame.id))
            })
            .collect();
        prop_assert_eq!(kept, sent.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn memory_stays_within_its_limits_whatever_arrives(
        frames in prop::collection::vec((0..6u8, 0..200u64, 1..60usize), 0..400),
    ) {
        let limits = Limits {
            cameras_max: 4,
            open_windows_max: 3,
            window_frames_max: 5,
            window_bytes_max: 120,
            camera_batches_max: 8,
            camera_bytes_max: 400,
            total_bytes_max: 1000,
        };
        let mut windows = Windows::new(WindowLength::DEFAULT, limits);
        let mut out: Vec<(CameraId, Batch)> = Vec::new();
        for (i, (camera, tenths, bytes)) in frames.into_iter().enumerate() {
            let camera = CameraId::new(&format!("camera-{camera}")).unwrap();
            let id = FrameId { boot: BootId(1), sequence: i as u64 };
            let captured = start() + Duration::from_millis(100 * tenths);
            let frame = Frame { id, captured, jpeg: Bytes::from(vec![0; bytes]) };
            let mut actions = Vec::new();
            // Old footage only: nothing is kept for holding.
            let _ = windows.on_frame(&camera, frame, start() + SECOND * 1000, &mut actions);
            for action in actions {
                if let Action::Store { camera, batch } = action {
                    prop_assert!(batch.frames().len() <= limits.window_frames_max);
                    prop_assert!(batch_bytes(&batch) <= limits.window_bytes_max);
                    out.push((camera, batch));
                }
            }
            prop_assert!(windows.total_bytes() <= limits.total_bytes_max);
            prop_assert!(windows.cameras.len() <= limits.cameras_max);
            prop_assert!(out.len() <= limits.cameras_max * (limits.camera_batches_max + limits.open_windows_max));
            if i % 50 == 49 {
                for (camera, batch) in out.drain(..) {
                    windows.release(&camera, batch_bytes(&batch));
                }
            }
        }
    }

    #[test]
    fn a_window_is_open_no_longer_than_its_grace(late in 0..30u64, now in 0..10u64) {
        let mut bench = Bench::new();
        let arrival = 100.0 + now as f64;
        bench.late(arrival - late as f64, arrival);
        let deadline = bench.windows.next_deadline().unwrap();
        let window = window((arrival - late as f64) as u64);
        prop_assert_eq!(deadline, window.end().max(at(arrival)) + WINDOW_GRACE);
    }
}
