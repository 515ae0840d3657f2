//! What is around the pictures: boxes, times and names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use mp4_atom::{Codec, Ftyp, Moov, ReadFrom};
use support::*;
use teiten_encode::{Encoded, Qp, Settings, encode};
use teiten_footage::{Batch, CameraId, ContentHash, MotionMap, Timestamp, Window, WindowLength};
use turbojpeg::Subsamp;

/// All boxes of `bytes`, by name and size.
fn boxes(bytes: &[u8]) -> Vec<(String, usize)> {
    let mut rest = bytes;
    let mut boxes = Vec::new();
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        boxes.push((String::from_utf8(rest[4..8].to_vec()).unwrap(), size));
        rest = &rest[size..];
    }
    boxes
}

#[test]
fn an_init_section_is_what_an_independent_reader_expects() {
    let init = encoded(&batch(window(), 3)).init;
    assert_eq!(boxes(&init).iter().map(|b| b.0.as_str()).collect::<Vec<_>>(), ["ftyp", "moov"]);
    let mut cursor = std::io::Cursor::new(&init);
    let ftyp = Ftyp::read_from(&mut cursor).unwrap();
    assert!(ftyp.compatible_brands.contains(&b"cmfc".into()));
    let moov = Moov::read_from(&mut cursor).unwrap();
    assert_eq!((moov.mvhd.timescale, moov.mvhd.creation_time, moov.mvhd.next_track_id), (90_000, 0, 2));
    assert_eq!(moov.mvex.unwrap().trex[0].track_id, 1);
    let track = &moov.trak[0];
    assert_eq!((track.tkhd.track_id, track.tkhd.enabled), (1, true));
    assert_eq!(track.mdia.mdhd.timescale, 90_000);
    let Codec::Avc1(avc1) = &track.mdia.minf.stbl.stsd.codecs[0] else { panic!("no avc1") };
    assert_eq!((avc1.visual.width, avc1.visual.height), (160, 120));
    assert_eq!((avc1.avcc.avc_profile_indication, avc1.avcc.length_size), (77, 4));
    assert_eq!((avc1.avcc.sequence_parameter_sets.len(), avc1.avcc.picture_parameter_sets.len()), (1, 1));
    let colr = avc1.colr.clone().unwrap();
    assert_eq!(
        format!("{colr:?}"),
        "Nclx { colour_primaries: 5, transfer_characteristics: 6, matrix_coefficients: 5, full_range_flag: true }"
    );
}

#[test]
fn a_segment_is_what_an_independent_reader_expects() {
    let encoded = encoded(&batch(window(), 4));
    let segment = &encoded.segment;
    assert_eq!(
        boxes(segment).iter().map(|b| b.0.as_str()).collect::<Vec<_>>(),
        ["styp", "uuid", "moof", "mdat", "moof", "mdat"]
    );
    assert_eq!(
        MotionMap::of_segment(&segment[..MotionMap::SEGMENT_HEAD_BYTES]).as_ref(),
        Some(&encoded.motion)
    );
    // Captured at 7, 257, 507 and 757 ms; the first is shown from the start of the window.
    assert_eq!(durations(segment), [257 * 90, 22_500, 22_500, 243 * 90]);

    // The samples fill the mdats, and the first begins with the parameter sets that the init section has.
    let mut kinds = Vec::new();
    let mut starts = Vec::new();
    for (index, (moof, mut data)) in chunks(segment).into_iter().enumerate() {
        let sequence = window().media_sequence().unwrap() * 2 + index as u64;
        assert_eq!(u64::from(moof.mfhd.sequence_number), sequence);
        let traf = &moof.traf[0];
        starts.push(traf.tfdt.as_ref().unwrap().base_media_decode_time);
        for entry in &traf.trun[0].samples {
            let (sample, others) = data.split_at(entry.size.unwrap() as usize);
            data = others;
            let units = teiten_encode::h264::nal::units(sample);
            kinds.push(units.map(teiten_encode::h264::nal::kind).collect::<Vec<u8>>());
        }
        assert!(data.is_empty());
    }
    let start = window().start().ticks().0;
    assert_eq!(starts, [start, start + 257 * 90]);
    assert_eq!(kinds, [vec![7, 8, 5], vec![1], vec![1], vec![1]]);
}

#[test]
fn only_the_first_sample_is_a_place_to_start() {
    let packets = Media::of(&encoded(&batch(window(), 4))).packets();
    assert_eq!(packets.iter().map(|packet| packet.1).collect::<Vec<_>>(), [true, false, false, false]);
}

#[test]
fn a_segment_begins_with_one_that_has_the_keyframe_alone() {
    let whole = encoded(&batch(window(), 4));
    let bytes = whole.pictures.keyframe_bytes as usize;
    let keyframe = Encoded { segment: whole.segment.slice(..bytes), ..whole.clone() };
    assert_eq!(boxes(&keyframe.segment).len(), 4);
    assert_eq!(Media::of(&keyframe).packets(), Media::of(&whole).packets()[..1]);
    assert_eq!(Media::of(&keyframe).pictures(), Media::of(&whole).pictures()[..160 * 120 * 3 / 2]);
    let single = encoded(&batch(window(), 1));
    assert_eq!(single.pictures.keyframe_bytes as usize, single.segment.len());
}

#[test]
fn consecutive_segments_join_without_gap_or_overlap() {
    let windows: Vec<Window> = (0..4).map(|i| window().plus(i)).collect();
    let counts = [5, 1, 30, 7];
    let encoded: Vec<_> = windows.iter().zip(counts).map(|(w, count)| encoded(&batch(*w, count))).collect();
    let segments: Vec<&Bytes> = encoded.iter().map(|encoded| &encoded.segment).collect();
    let media = Media::new(&encoded[0].init, &segments);
    // Each sample begins where the one before it ends, in its own segment and in the next.
    let mut end = window().start().ticks().0;
    let begins = segments.iter().flat_map(|segment| durations(segment)).map(|duration| {
        let begin = end;
        end += u64::from(duration);
        begin
    });
    let begins: Vec<u64> = begins.collect();
    assert_eq!(media.packets().iter().map(|packet| packet.0).collect::<Vec<_>>(), begins);
    assert_eq!(end, windows[3].end().ticks().0);
    assert_eq!(media.pictures().len(), 43 * 160 * 120 * 3 / 2);
}

#[test]
fn a_held_frame_fills_its_window() {
    let earlier = window().start().unix_millis() - 3210;
    let mut held = frame(window(), 0, 0, jpeg(160, 120, Subsamp::Sub2x1, 0));
    held.captured = Timestamp::from_unix_millis(earlier);
    let batch = Batch::new(window(), [held]).unwrap();
    assert!(batch.is_held());
    let encoded = encoded(&batch);
    assert_eq!(durations(&encoded.segment), [90_000]);
    assert_eq!(Media::of(&encoded).packets(), [(window().start().ticks().0, true)]);
}

#[test]
fn windows_of_every_length_are_covered() {
    for millis in [500, 600, 1500, 6000] {
        let length = WindowLength::from_millis(millis).unwrap();
        let window = Window::containing(window().start(), length).next();
        let encoded = encoded(&batch(window, 3));
        assert_eq!(durations(&encoded.segment).iter().sum::<u32>(), millis * 90);
        assert_eq!(Media::of(&encoded).packets()[0].0, window.start().ticks().0);
    }
}

#[test]
fn an_init_section_depends_on_nothing_but_size_and_settings() {
    let of = |width, height, count: u64, qp: u8| {
        let window = window().plus(count);
        let frames = (0..count)
            .map(|i| frame(window, i, i * 30, jpeg(width, height, Subsamp::Sub2x1, (i + count) as usize)));
        let settings = Settings { qp: Qp::new(qp).unwrap(), ..Settings::default() };
        encode(&Batch::new(window, frames).unwrap(), &settings).unwrap().init
    };
    let init = of(160, 120, 1, 26);
    assert_eq!(init, of(160, 120, 7, 26));
    assert_eq!(init, of(160, 120, 30, 40));
    assert_ne!(init, of(320, 240, 1, 26));
}

#[test]
fn decoding_ahead_changes_nothing() {
    let mut frames = batch(window(), 12).frames().to_vec();
    frames[3].jpeg = frames[3].jpeg.slice(..200);
    frames[11].jpeg = jpeg(320, 240, Subsamp::Sub2x2, 0);
    let batch = Batch::new(window(), frames).unwrap();
    let ahead = Settings { decode_ahead: true, ..Settings::default() };
    assert_eq!(encode(&batch, &ahead), encode(&batch, &Settings::default()));
}

#[test]
fn keys_are_made_of_camera_window_init_and_frames() {
    let batch = batch(window(), 2);
    let encoded = encoded(&batch);
    let camera = CameraId::new("front-door").unwrap();
    let key = encoded.segment_key(camera.clone());
    assert_eq!(key.init_key(), encoded.init_key(camera));
    assert_eq!(key.init, ContentHash::of(&encoded.init));
    assert_eq!((key.window, key.pictures.frames), (window(), batch.frames_hash()));
}

/// Golden: the same on every machine and architecture. It changes with the encoder's version or settings and
/// with the boxes; then segments of before and after meet in a playlist, which is fine as long as the init
/// section stays the same or the playlist says DISCONTINUITY.
#[test]
fn a_batch_gives_the_same_bytes_everywhere() {
    let jpegs: Vec<_> = batch(window(), 10).frames().iter().map(|frame| frame.jpeg.clone()).collect();
    assert_eq!(ContentHash::of_parts(jpegs).to_string(), "5d01dc428f45b3db", "the JPEGs themselves");
    let encoded = encoded(&batch(window(), 10));
    assert_eq!(ContentHash::of(&encoded.init).to_string(), "a23f4b7036242b14");
    assert_eq!(ContentHash::of(&encoded.segment).to_string(), "452272283c311151");
}
