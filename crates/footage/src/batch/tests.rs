use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{time::Timestamp, window::WindowLength};

const BASELINE: &[u8] = include_bytes!("../../tests/data/baseline.jpg");
const CAMERA: &[u8] = include_bytes!("../../tests/data/camera.jpg");

fn window() -> Window {
    "20261123T040501.000Z-1000".parse().unwrap()
}

fn id(boot: u64, sequence: u64) -> FrameId {
    FrameId { boot: BootId(boot), sequence }
}

/// The frame `sequence` of boot a7, captured `millis` after the window's start.
fn frame(sequence: u64, millis: i64) -> Frame {
    let apart = Duration::from_millis(millis.unsigned_abs());
    let captured = if millis < 0 { window().start() - apart } else { window().start() + apart };
    Frame::stamp(BASELINE, id(0xa7, sequence), captured).unwrap()
}

fn batch(frames: impl IntoIterator<Item = Frame>) -> Batch {
    Batch::new(window(), frames).unwrap()
}

fn sequences(batch: &Batch) -> Vec<u64> {
    batch.frames().iter().map(|frame| frame.id.sequence).collect()
}

fn parsed(bytes: &[u8]) -> Parsed {
    parse(window(), &Bytes::copy_from_slice(bytes))
}

fn rejected(offset: usize, length: usize, why: RejectedWhy) -> Rejected {
    Rejected { offset, length, why }
}

#[test]
fn frames_are_in_the_order_of_their_capture_and_none_is_twice() {
    let frames = [frame(3, 200), frame(2, 0), frame(3, 200), frame(1, 999)];
    assert_eq!(sequences(&batch(frames)), [2, 3, 1]);
}

#[test]
fn a_held_frame_stays_only_while_there_is_no_other() {
    let held = batch([frame(1, -2000), frame(2, -1), frame(3, -300)]);
    assert!(held.is_held());
    assert_eq!(sequences(&held), [2]);
    let real = held.merge(batch([frame(4, 0)]));
    assert!(!real.is_held());
    assert_eq!(sequences(&real), [4]);
    assert_eq!(sequences(&real.merge(batch([frame(2, -1)]))), [4]);
}

#[test]
fn frames_after_the_window_and_no_frames_make_no_batch() {
    assert_eq!(Batch::new(window(), []), Err(BatchError::Empty { window: window() }));
    let late = BatchError::TooLate { window: window(), id: id(0xa7, 2) };
    assert_eq!(Batch::new(window(), [frame(1, 0), frame(2, 1000)]), Err(late));
}

/// Golden: keys of stored segments contain this. A change gives every batch that is encoded again a second
/// segment.
#[test]
fn the_hash_of_a_batch_is_that_of_its_frames_identities() {
    // printf '00000000000000a7000000000000001100000000000000a70000000000000012' | xxd -r -p | sha256sum
    let hash = batch([frame(18, 100), frame(17, 0)]).frames_hash();
    assert_eq!(hash.to_string(), "1b3507b35229d755");
}

#[test]
fn a_stored_batch_is_read_back_as_slices_of_it() {
    let stored = batch([frame(1, 0), frame(2, 100), frame(3, 200)]);
    let bytes = stored.to_bytes();
    let Parsed { batch, rejected } = parse(window(), &bytes);
    assert_eq!((batch.as_ref(), &rejected[..]), (Some(&stored), &[][..]));
    assert_eq!(batch.unwrap().frames()[0].jpeg.as_ptr(), bytes.as_ptr());
}

#[test]
fn what_is_unusable_costs_itself_only() {
    let (first, late, last) = (frame(1, 0).jpeg, frame(2, 1000).jpeg, frame(3, 300).jpeg);
    let torn = &last[..last.len() - 2];
    let object = [&first[..], b"junk\0junk", torn, &late, BASELINE, &[0, 0], &last, torn].concat();
    let Parsed { batch, rejected: found } = parsed(&object);
    assert_eq!(sequences(&batch.unwrap()), [1, 3]);
    let n = first.len();
    assert_eq!(
        found,
        [
            // Foreign pieces that follow one another are one.
            rejected(n, 9 + n - 2, RejectedWhy::Foreign),
            rejected(2 * n + 7, n, RejectedWhy::TooLate),
            rejected(3 * n + 7, BASELINE.len(), RejectedWhy::Unstamped),
            rejected(4 * n + BASELINE.len() + 9, n - 2, RejectedWhy::Foreign),
        ]
    );
    assert_eq!(found[0].to_string(), format!("{} bytes at {n}: not a whole JPEG", n + 7));
}

#[test]
fn an_object_without_a_usable_frame_gives_no_batch() {
    assert_eq!(parsed(b""), Parsed { batch: None, rejected: vec![] });
    assert_eq!(parsed(b"junk"), Parsed { batch: None, rejected: vec![rejected(0, 4, RejectedWhy::Foreign)] });
    let late = frame(1, 1000).jpeg;
    let why = rejected(0, late.len(), RejectedWhy::TooLate);
    assert_eq!(parsed(&late), Parsed { batch: None, rejected: vec![why] });
}

#[test]
fn a_frame_that_is_too_large_is_left_out() {
    let comment = [&[0xFF, 0xFE, 0xFF, 0xFF][..], &[b' '; 0xFFFD]].concat().repeat(16);
    let large =
        Frame::stamp(&[&BASELINE[..2], &comment, &BASELINE[2..]].concat(), id(1, 1), window().start())
            .unwrap();
    let Parsed { batch, rejected: found } = parsed(&[&large.jpeg[..], &frame(2, 0).jpeg].concat());
    assert_eq!(sequences(&batch.unwrap()), [2]);
    assert_eq!(found, [rejected(0, large.jpeg.len(), RejectedWhy::TooLarge)]);
}

#[test]
fn a_picture_that_its_stamp_makes_too_large_is_left_out() {
    let stamp = Frame::stamp(TINY, id(1, 1), window().start()).unwrap().jpeg.len() - TINY.len();
    for (length, is_taken) in
        [(FRAME_BYTES_MAX - stamp, true), (FRAME_BYTES_MAX - stamp + 1, false), (FRAME_BYTES_MAX, false)]
    {
        let mut large = [&TINY[..6], &vec![1; length - TINY.len()], &TINY[6..]].concat();
        assert_eq!(large.len(), length);
        large.extend_from_slice(BASELINE);
        let Parsed { batch, rejected: found } = parsed(&large);
        let why = rejected(0, length, RejectedWhy::TooLarge);
        let expected = if is_taken { (vec![0, 1], vec![]) } else { (vec![1], vec![why]) };
        assert_eq!((sequences(&batch.unwrap()), found), expected, "{length} bytes");
    }
}

#[test]
fn frames_beyond_what_a_window_may_have_are_left_out_in_one() {
    let jpeg = |sequence| Frame::stamp(TINY, id(1, sequence), window().start()).unwrap().jpeg;
    let n = jpeg(0).len();
    let object: Vec<u8> = (0..WINDOW_FRAMES_MAX as u64 + 7).flat_map(jpeg).collect();
    let Parsed { batch, rejected: found } = parsed(&object);
    assert_eq!(batch.unwrap().frames().len(), WINDOW_FRAMES_MAX);
    assert_eq!(found, [rejected(WINDOW_FRAMES_MAX * n, 7 * n, RejectedWhy::TooMany)]);
}

#[test]
fn a_hostile_object_gives_few_rejections() {
    let object = [TINY, b"x\0y\0z\0\xFF\xD8\0"].concat().repeat(WINDOW_FRAMES_MAX * 4);
    assert!(parsed(&object).rejected.len() <= WINDOW_FRAMES_MAX + 1);
}

#[test]
fn pictures_that_another_tool_put_there_are_spread_over_the_window() {
    let object = [BASELINE, CAMERA, BASELINE, b"junk", CAMERA].concat();
    let Parsed { batch, rejected: found } = parsed(&object);
    let batch = batch.unwrap();
    let times: Vec<_> = batch.frames().iter().map(|frame| frame.captured.since(window().start())).collect();
    assert_eq!(times, [0, 250, 500, 750].map(Duration::from_millis));
    let boot = BootId(ContentHash::of(&object).to_u64());
    let ids: Vec<_> = batch.frames().iter().map(|frame| frame.id).collect();
    assert_eq!(ids, [0, 1, 2, 3].map(|sequence| FrameId { boot, sequence }));
    assert_eq!(found.len(), 1);
    // They are frames like any other now: what is stored of them is read back as it is.
    assert_eq!(parsed(&object).batch.as_ref(), Some(&batch));
    assert_eq!(parsed(&batch.to_bytes()), Parsed { batch: Some(batch), rejected: vec![] });
}

/// No picture, but a JPEG to all who look at its outside only.
const TINY: &[u8] = b"\xFF\xD8\xFF\xDA\x00\x02\xFF\xD9";

/// Frames around a window, few identities among them, some with two capture times or contents.
fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (0_u64..12, -2_i64..6, 0_u8..2).prop_map(|(sequence, tenths, content)| {
        let mut frame = frame(sequence, tenths * 100);
        if content > 0 {
            frame.jpeg = Bytes::from_static(CAMERA);
        }
        frame
    });
    vec(frame, 1..12)
}

proptest! {
    #[test]
    fn the_order_and_repetition_of_merges_does_not_matter(a in frames(), b in frames(), c in frames()) {
        let all = batch(a.iter().chain(&b).chain(&c).cloned());
        let [a, b, c] = [a, b, c].map(batch);
        prop_assert_eq!(&a.clone().merge(a.clone()), &a);
        prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
        let left = a.clone().merge(b.clone()).merge(c.clone());
        prop_assert_eq!(&left, &a.merge(b.merge(c)));
        prop_assert_eq!(left, all);
    }

    #[test]
    fn a_batch_is_ordered_and_has_no_identity_twice(frames in frames()) {
        let batch = batch(frames);
        prop_assert!(batch.frames().is_sorted_by_key(|frame| (frame.captured, frame.id)));
        let ids: std::collections::BTreeSet<_> = batch.frames().iter().map(|frame| frame.id).collect();
        prop_assert_eq!(ids.len(), batch.frames().len());
        prop_assert!(batch.frames().len() == 1 || !batch.is_held());
    }

    #[test]
    fn what_is_stored_is_read_back(
        micros in vec(0_u64..6_000_000, 1..20),
        millis in prop::sample::select(&[500, 1000, 1500, 2000, 6000][..]),
    ) {
        let length = WindowLength::from_millis(millis).unwrap();
        let window = Window::containing(Timestamp::Y2020, length);
        let frames = (0..).zip(&micros).map(|(sequence, micros)| {
            let captured = window.start() + Duration::from_micros(micros % (u64::from(millis) * 1000));
            Frame::stamp(BASELINE, id(1, sequence), captured).unwrap()
        });
        let stored = Batch::new(window, frames).unwrap();
        let found = parse(window, &stored.to_bytes());
        prop_assert_eq!(found, Parsed { batch: Some(stored), rejected: vec![] });
    }

    #[test]
    fn no_bytes_make_parsing_panic(pieces in vec(
        prop_oneof![
            Just(BASELINE.to_vec()),
            Just(TINY.to_vec()),
            Just(frame(1, 0).jpeg.to_vec()),
            vec(any::<u8>(), 0..50),
            (2_usize..800).prop_map(|length| BASELINE[..length].to_vec()),
        ],
        0..12,
    )) {
        let object = pieces.concat();
        let found = parsed(&object);
        for rejected in &found.rejected {
            prop_assert!(rejected.length > 0 && rejected.offset + rejected.length <= object.len());
        }
        prop_assert!(found.rejected.is_sorted_by_key(|rejected| rejected.offset));
    }
}
