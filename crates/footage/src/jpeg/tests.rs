use proptest::{collection::vec, prelude::*};

use super::*;
use crate::Unstamped;

const BASELINE: &[u8] = include_bytes!("../../tests/data/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/data/progressive.jpg");
const CAMERA: &[u8] = include_bytes!("../../tests/data/camera.jpg");
const REAL: [&[u8]; 3] = [BASELINE, PROGRESSIVE, CAMERA];

fn pieces(bytes: &[u8]) -> Vec<Piece<'_>> {
    split(bytes).collect()
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

#[test]
fn real_pictures_are_split_where_they_end() {
    let joined = REAL.concat();
    assert_eq!(pieces(&joined), REAL.map(Piece::Jpeg));
    for jpeg in REAL {
        assert_eq!(whole(jpeg), Some(jpeg));
        assert_eq!(dimensions(jpeg), Some((32, 24)));
        assert!(has_huffman_tables(jpeg));
    }
}

#[test]
fn padding_around_pictures_is_nothing() {
    let (zeros, fill) = ([0; 5], [0xFF; 3]);
    let joined = [&zeros[..], BASELINE, &fill, PROGRESSIVE, &zeros, &fill, CAMERA, &fill, &zeros].concat();
    assert_eq!(pieces(&joined), REAL.map(Piece::Jpeg));
    assert_eq!(pieces(&[&zeros[..], &fill].concat()), []);
    assert_eq!(pieces(&[]), []);
}

#[test]
fn a_capture_buffer_gives_its_picture_without_padding() {
    assert_eq!(whole(&[BASELINE, &[0; 100]].concat()), Some(BASELINE));
    assert_eq!(whole(&[BASELINE, &[0xFF; 3]].concat()), Some(BASELINE));
    for not_one in [
        &[][..],
        &BASELINE[..BASELINE.len() - 1],
        &[&[0], BASELINE].concat(),
        &[BASELINE, BASELINE].concat(),
        &[BASELINE, b"x"].concat(),
        b"\xFF\xD8\xFF\xD9",
    ] {
        assert_eq!(whole(not_one), None);
    }
}

#[test]
fn what_is_no_picture_is_reported_with_its_place() {
    let joined = [b"junk", BASELINE, b"\xFF\xD8\xFF\xD9", BASELINE, b"\0more"].concat();
    let n = BASELINE.len();
    assert_eq!(
        pieces(&joined),
        [
            Piece::Foreign { offset: 0, length: 4 },
            Piece::Jpeg(BASELINE),
            Piece::Foreign { offset: 4 + n, length: 4 },
            Piece::Jpeg(BASELINE),
            Piece::Foreign { offset: 9 + 2 * n, length: 4 },
        ]
    );
}

#[test]
fn a_torn_picture_does_not_hide_the_next_one() {
    let last_scan = |jpeg: &[u8]| jpeg.windows(2).rposition(|marker| marker == [0xFF, SOS]).unwrap();
    for torn in REAL {
        for length in 2..torn.len() {
            let joined = [&torn[..length], BASELINE].concat();
            let Some(&Piece::Jpeg(last)) = pieces(&joined).last() else {
                panic!("torn after {length} bytes")
            };
            // Before that: if what is missing of a segment is just what the next picture has before one of
            // its markers, then the two are one well-formed picture.
            let is_next = last == BASELINE
                || length <= last_scan(torn) && last.ends_with(&BASELINE[last_scan(BASELINE)..]);
            assert!(is_next, "torn after {length} bytes");
        }
    }
}

#[test]
fn a_picture_torn_in_its_scan_is_one_foreign_piece_and_its_thumbnail_no_frame() {
    let joined = [&CAMERA[..CAMERA.len() - 2], BASELINE].concat();
    let torn = Piece::Foreign { offset: 0, length: CAMERA.len() - 2 };
    assert_eq!(pieces(&joined), [torn, Piece::Jpeg(BASELINE)]);
    assert_eq!(pieces(&CAMERA[..CAMERA.len() - 2]), [torn]);
}

/// Golden: the bytes that ffmpeg writes for Annex K.3.
#[test]
fn the_standard_tables_are_those_that_encoders_write() {
    let start = position(BASELINE, &[0xFF, DHT]);
    let (before, rest) = BASELINE.split_at(start);
    let (tables, after) = rest.split_at(420);
    assert_eq!(huffman::standard_segment(), tables);

    let stripped = [before, after].concat();
    assert!(!has_huffman_tables(&stripped));
    let scan = position(&stripped, &[0xFF, SOS]);
    let expected = [&stripped[..scan], tables, &stripped[scan..]].concat();
    assert_eq!(Unstamped::new(&stripped).unwrap().jpeg(), expected);
    assert_eq!(whole(&expected), Some(&expected[..]));
}

#[test]
fn dimensions_that_a_frame_header_leaves_open_are_none() {
    let mut open = BASELINE.to_vec();
    let height = position(&open, &[0xFF, 0xC0]) + 5;
    open[height..height + 2].fill(0);
    assert_eq!(dimensions(&open), None);
    assert_eq!(dimensions(b"\xFF\xD8\xFF\xC0\x00\x04\x08\x00\xFF\xDA\x00\x02"), None);
}

/// Splits `bytes` and tells how many bytes were looked at for it.
fn looked_at(bytes: &[u8]) -> usize {
    let mut spans = Spans { source: Source::new(bytes), at: 0 };
    while spans.next().is_some() {}
    spans.source.looked_at()
}

/// What any input may cost, in bytes looked at.
fn looked_at_max(length: usize) -> usize {
    8 * length + 16
}

#[test]
fn hostile_input_costs_linear_time() {
    // Segments that claim to end at `target`, each in a JPEG of its own, 10 kB of them.
    let jumps_to = |target: usize| -> Vec<u8> {
        let jump =
            |at: usize| [&[0xFF, SOI, 0xFF, APP1][..], &((target - at - 4) as u16).to_be_bytes()].concat();
        (0..10_000).step_by(6).flat_map(jump).collect()
    };
    let n = 1_000_000;
    let jumps = jumps_to(10_002);
    assert_eq!(jumps.len(), 10_002);
    let cases: [(&str, Vec<u8>); 11] = [
        ("SOIs", [0xFF, SOI].repeat(n / 2)),
        ("SOIs apart", [0xFF, SOI, 0].repeat(n / 3)),
        ("fill", vec![0xFF; n]),
        ("an SOI and fill", [&[0xFF, SOI], &vec![0xFF; n][..]].concat()),
        ("torn segments", [0xFF, SOI, 0xFF, APP1, 0xFF, 0xFF].repeat(n / 6)),
        ("scans without end", [0xFF, SOI, 0xFF, SOS, 0, 2].repeat(n / 6)),
        ("empty segments", [&[0xFF, SOI], &[0xFF, APP1, 0, 2].repeat(n / 4)[..]].concat()),
        ("jumps into fill", [&jumps[..], &vec![0xFF; n]].concat()),
        ("jumps into fill before no marker", [&jumps[..], &vec![0xFF; n], &[0]].concat()),
        ("jumps into a scan", [&jumps[..], &[0xFF, SOS, 0, 2], &vec![1; n]].concat()),
        ("jumps into empty segments", [&jumps[..], &[0xFF, APP1, 0, 2].repeat(n / 4)].concat()),
    ];
    for (name, bytes) in cases {
        let cost = looked_at(&bytes);
        assert!(cost <= looked_at_max(bytes.len()), "{name}: looked at {cost} of {} bytes", bytes.len());
    }
}

/// Bytes that look like JPEGs more often than chance has it.
fn jpeg_like() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => Just(vec![0xFF, SOI]),
        2 => Just(vec![0xFF, EOI]),
        2 => Just(vec![0xFF, SOS, 0, 2]),
        2 => (0_u8..40).prop_map(|length| vec![0xFF, APP1, 0, length]),
        1 => (0_u8..4).prop_map(|high| vec![0xFF, APP1, high, 0]),
        1 => Just(vec![0xFF]),
        1 => Just(vec![0xFF, 0]),
        1 => Just(vec![0xFF, RST0]),
        1 => (1_usize..50).prop_map(|length| vec![0xFF; length]),
        2 => vec(any::<u8>(), 0..10),
    ];
    vec(token, 0..200).prop_map(|tokens| tokens.concat())
}

/// A well-formed JPEG around arbitrary content.
fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    let fill = || (0_usize..3).prop_map(|length| vec![0xFF; length]);
    let segment = || {
        (fill(), 0xE0_u8..=0xEF, jpeg_like()).prop_map(|(fill, code, payload)| {
            let length = (payload.len() as u16 + 2).to_be_bytes();
            [&fill[..], &[0xFF, code], &length, &payload].concat()
        })
    };
    let entropy = vec(
        prop_oneof![
            8 => (0_u8..0xFF).prop_map(|byte| vec![byte]),
            1 => Just(vec![0xFF, 0]),
            1 => (RST0..=RST7).prop_map(|code| vec![0xFF, code]),
        ],
        0..60,
    );
    let scan = (vec(segment(), 0..2), entropy).prop_map(|(between, entropy)| {
        [between.concat(), vec![0xFF, SOS, 0, 4, 0xFF, 0], entropy.concat()].concat()
    });
    (vec(segment(), 0..4), vec(scan, 1..4), fill()).prop_map(|(segments, scans, fill)| {
        [vec![0xFF, SOI], segments.concat(), scans.concat(), fill, vec![0xFF, EOI]].concat()
    })
}

fn padding() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(0xFF)], 0..8)
}

proptest! {
    #[test]
    fn well_formed_pictures_with_padding_are_found_as_they_were(
        pictures in vec((well_formed(), padding()), 0..6),
        before in padding(),
    ) {
        let joined = pictures.iter().fold(before, |joined, (jpeg, after)| [&joined[..], jpeg, after].concat());
        let expected: Vec<_> = pictures.iter().map(|(jpeg, _)| Piece::Jpeg(jpeg)).collect();
        prop_assert_eq!(pieces(&joined), expected);
        for (jpeg, after) in &pictures {
            let padded = [&jpeg[..], after].concat();
            prop_assert_eq!(whole(&padded), Some(&jpeg[..]));
        }
    }

    #[test]
    fn any_bytes_are_covered_once_in_order_at_linear_cost(bytes in jpeg_like()) {
        let mut at = 0;
        for span in spans(&bytes) {
            prop_assert!(at <= span.bytes.start && span.bytes.start < span.bytes.end);
            prop_assert!(bytes[at..span.bytes.start].iter().all(|byte| matches!(byte, 0 | 0xFF)));
            let slice = &bytes[span.bytes.clone()];
            prop_assert_eq!(whole(slice).is_some_and(|jpeg| jpeg.len() == slice.len()), span.is_jpeg);
            at = span.bytes.end;
        }
        prop_assert!(bytes[at..].iter().all(|byte| matches!(byte, 0 | 0xFF)));
        prop_assert!(looked_at(&bytes) <= looked_at_max(bytes.len()));
    }

    #[test]
    fn no_bytes_make_anything_panic(bytes in prop_oneof![jpeg_like(), vec(any::<u8>(), 0..2000)]) {
        let _ = dimensions(&bytes);
        let unstamped = Unstamped::new(&bytes);
        prop_assert_eq!(unstamped.is_ok(), whole(&bytes).is_some());
        if let Ok(unstamped) = unstamped {
            prop_assert_eq!(whole(unstamped.jpeg()), Some(unstamped.jpeg()));
        }
    }
}
