use exif::{Field, In, Tag, Value, experimental::Writer};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::frame::{BootId, Frame};

const BASELINE: &[u8] = include_bytes!("../../tests/data/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/data/progressive.jpg");
const CAMERA: &[u8] = include_bytes!("../../tests/data/camera.jpg");
const STAMPED_BY_EXIFTOOL: &[u8] = include_bytes!("../../tests/data/stamped-by-exiftool.jpg");

const ID: FrameId = FrameId { boot: BootId(0xa7), sequence: 17 };

fn captured() -> Timestamp {
    Timestamp::from_unix_micros(1_795_406_701_000_042)
}

/// Golden: every stored frame and every camera in the field has this layout. Readers take any, so it may
/// change, but frames that were stamped before and after differ then.
#[test]
fn a_stamp_is_these_bytes_behind_the_soi() {
    #[rustfmt::skip]
    let expected: [&[u8]; 13] = [
        b"\xFF\xE1\x00\xAAExif\0\0",
        b"MM\0\x2A\0\0\0\x08",
        b"\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1A\0\0\0\0",
        b"\0\x05",
        b"\x90\x00\0\x07\0\0\0\x040231",
        b"\x90\x03\0\x02\0\0\0\x14\0\0\0\x5C",
        b"\x90\x11\0\x02\0\0\0\x07\0\0\0\x70",
        b"\x92\x91\0\x02\0\0\0\x07\0\0\0\x78",
        b"\xA4\x20\0\x02\0\0\0\x21\0\0\0\x80",
        b"\0\0\0\0",
        b"2026:11:23 04:05:01\0",
        b"+00:00\0\x00000042\0\0",
        b"00000000000000a70000000000000011\0\0",
    ];
    let stamped = write(BASELINE, ID, captured()).unwrap();
    let (stamp, rest) = stamped[2..].split_at(SEGMENT_BYTES);
    assert_eq!(stamp, expected.concat());
    assert_eq!((&stamped[..2], rest), (&BASELINE[..2], &BASELINE[2..]));
}

#[test]
fn a_stamp_is_what_exif_readers_expect() {
    let stamped = write(PROGRESSIVE, ID, captured()).unwrap();
    let exif = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(&stamped[..])).unwrap();
    let shown: Vec<_> =
        exif.fields().map(|field| format!("{} = {}", field.tag, field.display_value())).collect();
    assert_eq!(
        shown,
        [
            "ExifVersion = 2.31",
            "DateTimeOriginal = 2026-11-23 04:05:01",
            "OffsetTimeOriginal = \"+00:00\"",
            "SubSecTimeOriginal = \"000042\"",
            "ImageUniqueID = \"00000000000000a70000000000000011\"",
        ]
    );
}

#[test]
fn a_stamp_that_another_tool_wrote_is_read() {
    assert_eq!(read(STAMPED_BY_EXIFTOOL), Ok(Some((ID, captured()))));
}

#[test]
fn peeking_at_a_stamp_needs_nothing_behind_it() {
    let stamped = write(PROGRESSIVE, ID, captured()).unwrap();
    assert_eq!(peek(&stamped[..2 + SEGMENT_BYTES]), Ok(Some((ID, captured()))));
    assert_eq!(read(&stamped[..2 + SEGMENT_BYTES]), Err(StampError::NotAJpeg));
    assert_eq!(peek(&stamped[..1 + SEGMENT_BYTES]), Ok(None), "torn within the stamp");
    assert_eq!(peek(STAMPED_BY_EXIFTOOL), Ok(Some((ID, captured()))));
    assert_eq!(peek(CAMERA), Ok(None));
    assert_eq!(peek(&stamped[1..]), Err(StampError::NotAJpeg));
}

#[test]
fn a_stamp_takes_the_place_of_other_exif() {
    let stamped = write(CAMERA, ID, captured()).unwrap();
    assert_eq!(read(&stamped), Ok(Some((ID, captured()))));
    assert_eq!(jpeg::header(&stamped).filter(is_exif).count(), 1);
    let later = FrameId { sequence: 18, ..ID };
    let again = write(&stamped, later, captured()).unwrap();
    assert_eq!(read(&again), Ok(Some((later, captured()))));
    assert_eq!(again.len(), stamped.len());
    assert_eq!(write(STAMPED_BY_EXIFTOOL, ID, captured()), write(BASELINE, ID, captured()));
}

#[test]
fn pictures_of_others_have_no_stamp() {
    for jpeg in [BASELINE, PROGRESSIVE, CAMERA] {
        assert_eq!(read(jpeg), Ok(None));
        assert_eq!(Frame::parse(Bytes::from_static(jpeg)), Ok(None));
    }
}

#[test]
fn what_is_not_one_whole_picture_is_refused() {
    for bytes in [&b""[..], b"junk", b"\xFF\xD8\xFF\xD9", &BASELINE[..800], &[BASELINE, BASELINE].concat()] {
        assert_eq!(read(bytes), Err(StampError::NotAJpeg));
        assert_eq!(write(bytes, ID, captured()), Err(StampError::NotAJpeg));
        assert_eq!(Frame::parse(Bytes::copy_from_slice(bytes)), Err(StampError::NotAJpeg));
    }
}

#[test]
fn a_frame_is_parsed_in_place_and_without_padding() {
    let frame = Frame::stamp(BASELINE, ID, captured()).unwrap();
    let padded = Bytes::from([&frame.jpeg[..], &[0; 64]].concat());
    let parsed = Frame::parse(padded.clone()).unwrap().unwrap();
    assert_eq!(parsed, frame);
    assert_eq!(parsed.jpeg.as_ptr(), padded.as_ptr());
}

#[test]
fn a_time_that_no_calendar_has_or_no_timestamp_can_hold_is_no_stamp() {
    let frame = write(BASELINE, ID, captured()).unwrap();
    let at = frame.windows(4).position(|window| window == b"2026").unwrap();
    for (wrong, at) in
        [("2026:13", at), ("2026:11:00", at), ("1969", at), ("3000", at), ("2026-", at), ("+1", at)]
    {
        let mut changed = frame.to_vec();
        changed[at..at + wrong.len()].copy_from_slice(wrong.as_bytes());
        assert_eq!(read(&changed), Ok(None), "{wrong}");
    }
    for (form, wrong) in [("+00:00", "+09:00"), ("000042\0", "00042\0\0"), ("00a7", "00A7")] {
        let at = frame.windows(form.len()).position(|window| window == form.as_bytes()).unwrap();
        let mut changed = frame.to_vec();
        changed[at..at + wrong.len()].copy_from_slice(wrong.as_bytes());
        assert_eq!(read(&changed), Ok(None), "{wrong}");
    }
}

/// A directory that refers to itself or to overlapping others, 64 kB of them: general readers follow each
/// (5 million entries here), this one reads each entry of two directories once.
#[test]
fn directories_within_directories_are_not_followed() {
    let (entries, first) = (2000_u16, 10_usize);
    let mut tiff = b"MM\0\x2A\0\0\0\x08".to_vec();
    tiff.extend(entries.to_be_bytes());
    let nested = first + 12 * usize::from(entries) + 4;
    for i in 0..u32::from(entries) {
        tiff.extend([0x87, 0x69, 0, 4, 0, 0, 0, 1]);
        tiff.extend((nested as u32 + i).to_be_bytes());
    }
    tiff.resize(nested + 2400, 0x0A);
    tiff.resize(65_500, 0);
    assert_eq!(read(&with_exif(&tiff)), Ok(None));
}

/// `BASELINE` with EXIF that holds `tiff`.
fn with_exif(tiff: &[u8]) -> Vec<u8> {
    let length = (2 + EXIF.len() + tiff.len()) as u16;
    [&BASELINE[..2], &[0xFF, 0xE1], &length.to_be_bytes(), EXIF, tiff, &BASELINE[2..]].concat()
}

fn stamp() -> impl Strategy<Value = (FrameId, Timestamp)> {
    let micros = 0..=Timestamp::MAX.unix_micros();
    (any::<u64>(), any::<u64>(), micros).prop_map(|(boot, sequence, micros)| {
        (FrameId { boot: BootId(boot), sequence }, Timestamp::from_unix_micros(micros))
    })
}

proptest! {
    #[test]
    fn what_was_stamped_is_read_back((id, captured) in stamp()) {
        for jpeg in [BASELINE, PROGRESSIVE, CAMERA] {
            let frame = Frame::stamp(jpeg, id, captured).unwrap();
            prop_assert_eq!(jpeg::whole(&frame.jpeg), Some(&frame.jpeg[..]));
            prop_assert_eq!(Frame::parse(frame.jpeg.clone()), Ok(Some(frame)));
        }
    }

    /// Written by another implementation, in either byte order, among other fields.
    #[test]
    fn a_stamp_is_read_in_any_layout(
        (id, captured) in stamp(),
        little_endian: bool,
        others in vec((any::<u16>(), vec(1_u8..0x80, 0..40), any::<bool>()), 0..20),
    ) {
        let stamped = write(BASELINE, id, captured).unwrap();
        let ours = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(&stamped[..])).unwrap();
        let others: std::collections::BTreeMap<_, _> = others
            .into_iter()
            .filter(|(number, ..)| ours.fields().all(|field| field.tag.number() != *number))
            .map(|(number, text, exif)| {
                let context = if exif { exif::Context::Exif } else { exif::Context::Tiff };
                let tag = Tag(context, number);
                (number, Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text]) })
            })
            // Strips, tiles and pointers to other directories need more than a field.
            .filter(|(number, _)| !matches!(number, 0x0100..=0x0202 | 0x8769 | 0x8825 | 0xA005))
            .collect();
        let mut writer = Writer::new();
        ours.fields().chain(others.values()).for_each(|field| writer.push_field(field));
        let mut tiff = std::io::Cursor::new(Vec::new());
        writer.write(&mut tiff, little_endian).unwrap();
        prop_assert_eq!(read(&with_exif(tiff.get_ref())), Ok(Some((id, captured))));
    }

    #[test]
    fn damaged_exif_never_makes_reading_panic(changes in vec((0_usize..162, any::<u8>()), 1..8), cut in 0_usize..162) {
        let stamped = write(BASELINE, ID, captured()).unwrap();
        let mut tiff = stamped[12..12 + 162].to_vec();
        for (at, byte) in changes {
            tiff[at] = byte;
        }
        prop_assert!(read(&with_exif(&tiff)).is_ok());
        prop_assert!(read(&with_exif(&tiff[..cut])).is_ok());
    }
}
