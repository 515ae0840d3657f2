use teiten_footage::{BootId, ContentHash, limits::CAPTURED_AHEAD_MAX};

use super::*;

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
        assert!(Intake::is_unstamped(&jpeg()));
        let (frame, source) = intake.frame(&camera(), &jpeg(), arrival).unwrap();
        assert_eq!(source, TimeSource::ArrivalUnstamped);
        assert_eq!(Frame::parse(frame.jpeg.clone()).unwrap().as_ref(), Some(&frame));
        assert!(!Intake::is_unstamped(&frame.jpeg));
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
