use teiten_footage::{BootId, ContentHash, limits::CAPTURED_AHEAD_MAX};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    Timestamp::Y2020 + Duration::from_secs(1000)
}

fn camera() -> CameraId {
    CameraId::new("front-door").unwrap()
}

fn jpeg() -> Bytes {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner().into()
}

fn stamped(sequence: u64, captured: Timestamp) -> Frame {
    Frame::stamp(&jpeg(), FrameId { boot: BootId(1), sequence }, captured).unwrap()
}

fn intake() -> Intake {
    Intake::new(2)
}

#[test]
fn a_stamped_frame_is_taken_as_it_is() {
    for captured in [Timestamp::Y2020, now(), now() + CAPTURED_AHEAD_MAX] {
        let sent = stamped(7, captured);
        assert_eq!(intake().frame(&camera(), &sent.jpeg, now()), Ok((sent, TimeSource::Camera)));
    }
}

#[test]
fn jpegs_without_a_stamp_get_identities_of_their_bytes_and_rising_times() {
    let mut intake = intake();
    let mut frames = Vec::new();
    // A clock that stands still, goes on, and is set back by very little.
    for micros in [0, 0, 500, 400] {
        let arrival = now() + Duration::from_micros(micros);
        assert_eq!(Intake::capture_time(&jpeg()), Ok(None));
        let (frame, source) = intake.frame(&camera(), &jpeg(), arrival).unwrap();
        assert_eq!(source, TimeSource::ArrivalUnstamped);
        assert_eq!(Frame::parse(frame.jpeg.clone()).unwrap().as_ref(), Some(&frame));
        assert_eq!(Intake::capture_time(&frame.jpeg), Ok(Some(frame.captured)));
        assert_eq!(frame.id, FrameId { boot: BootId::NONE, sequence: ContentHash::of(&jpeg()).to_u64() });
        frames.push(frame.captured.since(now()).as_micros());
    }
    assert_eq!(frames, [0, 1, 500, 501]);
}

#[test]
fn arrival_times_follow_a_clock_that_is_set_back() {
    let mut intake = intake();
    intake.frame(&camera(), &jpeg(), now()).unwrap();
    let earlier = now() - Duration::from_secs(3600);
    assert_eq!(intake.frame(&camera(), &jpeg(), earlier).unwrap().0.captured, earlier);
}

#[test]
fn a_frame_with_an_impossible_time_keeps_its_identity_and_stays_one_frame_when_sent_again() {
    let mut intake = intake();
    let before_2020 = stamped(1, Timestamp::Y2020 - Duration::from_secs(1));
    let ahead = stamped(2, now() + CAPTURED_AHEAD_MAX + Duration::from_micros(1));
    let (first, source) = intake.frame(&camera(), &before_2020.jpeg, now()).unwrap();
    assert_eq!((first.id, first.captured, source), (before_2020.id, now(), TimeSource::ArrivalImpossible));
    let (second, _) = intake.frame(&camera(), &ahead.jpeg, now()).unwrap();
    assert_eq!((second.id, second.captured), (ahead.id, now() + Duration::from_micros(1)));
    let later = now() + Duration::from_secs(15);
    assert_eq!(intake.frame(&camera(), &before_2020.jpeg, later).unwrap().0, first);
}

/// Frames of one run of a camera whose clock is `ahead`, 15 a second from `now()` on, as they arrive.
fn run_ahead(
    intake: &mut Intake,
    ahead: Duration,
    numbers: std::ops::Range<u64>,
) -> Vec<(Frame, Frame, TimeSource)> {
    let send = |number: u64| {
        let arrival = now() + Duration::from_millis(66) * number as u32;
        let sent = stamped(number, arrival + ahead);
        let (taken, source) = intake.frame(&camera(), &sent.jpeg, arrival).unwrap();
        (sent, taken, source)
    };
    numbers.map(send).collect()
}

#[test]
fn any_number_of_frames_of_a_clock_that_is_ahead_stay_as_many_when_sent_again() {
    let mut intake = intake();
    let run = run_ahead(&mut intake, Duration::from_secs(60), 0..1000);
    for (sent, taken, source) in &run {
        assert_eq!(taken.captured, sent.captured - Duration::from_secs(60));
        assert_eq!(*source, TimeSource::ArrivalImpossible);
    }
    // The last one's time is possible by then.
    for later in [67, 82, 142, 5000].map(Duration::from_secs) {
        for (sent, taken, _) in run.iter().step_by(100) {
            assert_eq!(intake.frame(&camera(), &sent.jpeg, now() + later).unwrap().0, *taken);
        }
    }
    assert_eq!(intake.arrivals[&camera()].wrong_clocks.len(), 1);
}

#[test]
fn frames_that_an_earlier_bridge_had_are_moved_by_what_the_clock_is_off_too() {
    let mut intake = intake();
    run_ahead(&mut intake, Duration::from_secs(60), 200..210);
    let earlier = stamped(50, now() + Duration::from_millis(66 * 50) + Duration::from_secs(60));
    let (taken, _) = intake.frame(&camera(), &earlier.jpeg, now() + Duration::from_secs(14)).unwrap();
    assert_eq!(taken.captured, earlier.captured - Duration::from_secs(60));
}

#[test]
fn a_clock_that_is_set_right_is_followed_and_what_it_said_before_stays_as_it_was() {
    let mut intake = intake();
    let wrong = run_ahead(&mut intake, Duration::from_secs(60), 0..10);
    for (sent, taken, source) in run_ahead(&mut intake, Duration::ZERO, 10..20) {
        assert_eq!((taken, source), (sent, TimeSource::Camera));
    }
    let wronger = run_ahead(&mut intake, Duration::from_secs(3600), 20..30);
    let right = stamped(15, now() + Duration::from_millis(66 * 15));
    let later = now() + Duration::from_secs(90);
    for (sent, taken, _) in wrong.iter().chain(&wronger) {
        assert!(taken.captured <= now() + Duration::from_secs(2), "{taken:?}");
        assert_eq!(intake.frame(&camera(), &sent.jpeg, later).unwrap().0, *taken);
        assert_eq!(intake.frame(&camera(), &right.jpeg, later).unwrap(), (right.clone(), TimeSource::Camera));
    }
}

#[test]
fn a_clock_that_is_ahead_and_drifts_is_never_far_off_its_frames_arrivals() {
    let mut intake = intake();
    for number in 0..100 {
        let arrival = now() + Duration::from_secs(10) * number;
        let sent = stamped(number.into(), arrival + Duration::from_secs(60) + SECOND * number);
        let taken = intake.frame(&camera(), &sent.jpeg, arrival).unwrap().0;
        assert!(taken.captured <= arrival + OFF_MAX && arrival <= taken.captured, "{number}: {taken:?}");
        assert!(intake.arrivals[&camera()].wrong_clocks.len() <= WRONG_CLOCKS_MAX);
    }
}

#[test]
fn what_is_no_frame_is_rejected() {
    let whole = jpeg();
    let torn = whole.slice(..whole.len() / 2);
    let mut two = whole.to_vec();
    two.extend_from_slice(&whole);
    for payload in [Bytes::new(), Bytes::from_static(b"hello"), torn, two.into()] {
        assert_eq!(intake().frame(&camera(), &payload, now()), Err(Rejected::NoJpeg));
    }
    let large = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
    assert_eq!(intake().frame(&camera(), &large, now()), Err(Rejected::TooLarge));
}

#[test]
fn cameras_without_stamps_are_kept_track_of_up_to_a_limit_and_forgotten_in_time() {
    let mut intake = intake();
    let named = |name| CameraId::new(name).unwrap();
    intake.frame(&named("a"), &jpeg(), now()).unwrap();
    intake.frame(&named("b"), &jpeg(), now()).unwrap();
    assert_eq!(intake.frame(&named("c"), &jpeg(), now()), Err(Rejected::TooManyCameras));
    assert!(intake.frame(&named("c"), &stamped(1, now()).jpeg, now()).is_ok());
    assert!(intake.frame(&named("c"), &jpeg(), now() + FORGET_AFTER).is_ok());
}

#[test]
fn a_frame_keeps_no_network_buffer_alive() {
    let buffer = stamped(1, now()).jpeg;
    let (frame, _) = intake().frame(&camera(), &buffer, now()).unwrap();
    assert_ne!(frame.jpeg.as_ptr(), buffer.as_ptr());
}
