//! What is in the pictures: decoded by ffmpeg and compared with what was drawn.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use support::*;
use teiten_encode::{EncodeError, Qp, Settings, encode, jpeg::FrameError};
use teiten_footage::Batch;
use turbojpeg::Subsamp;

/// Each plane must be at least this like the drawn one, in dB.
const PSNR_MIN: f64 = 36.0;

/// Splits 4:2:0 pictures into their planes.
fn planes(pictures: &[u8], width: usize, height: usize) -> Vec<[&[u8]; 3]> {
    let (luma, chroma) = (width * height, width / 2 * (height / 2));
    assert_eq!(pictures.len() % (luma + 2 * chroma), 0);
    pictures
        .chunks_exact(luma + 2 * chroma)
        .map(|p| [&p[..luma], &p[luma..luma + chroma], &p[luma + chroma..]])
        .collect()
}

#[test]
fn pictures_of_every_sampling_look_like_what_was_drawn() {
    for subsamp in
        [Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::None, Subsamp::Sub4x1, Subsamp::Gray]
    {
        let frames = (0..5).map(|i| frame(window(), i, i * 200, jpeg(160, 120, subsamp, i as usize)));
        let encoded = encoded(&Batch::new(window(), frames).unwrap());
        let pictures = Media::of(&encoded).pictures();
        let pictures = planes(&pictures, 160, 120);
        assert_eq!(pictures.len(), 5);
        for (i, picture) in pictures.iter().enumerate() {
            let drawn = draw(160, 120, Subsamp::Sub2x2, i).pixels;
            let drawn = if subsamp == Subsamp::Gray {
                [&drawn[..160 * 120], &vec![128; 160 * 120 / 2]].concat()
            } else {
                drawn
            };
            let drawn = planes(&drawn, 160, 120);
            for plane in 0..3 {
                let psnr = psnr(picture[plane], drawn[0][plane]);
                assert!(psnr > PSNR_MIN, "{subsamp:?}, picture {i}, plane {plane}: {psnr} dB");
            }
        }
    }
}

#[test]
fn an_odd_last_column_and_row_are_left_out() {
    for (subsamp, width, height) in [
        (Subsamp::Sub2x2, 161, 121),
        (Subsamp::Sub2x1, 163, 120),
        (Subsamp::None, 160, 123),
        (Subsamp::Gray, 175, 99),
    ] {
        let jpeg = jpeg(width, height, subsamp, 0);
        let encoded = encoded(&Batch::new(window(), [frame(window(), 0, 0, jpeg)]).unwrap());
        let (even_width, even_height) = (width & !1, height & !1);
        let pictures = Media::of(&encoded).pictures();
        let picture = planes(&pictures, even_width, even_height)[0][0];
        let drawn = draw(width, height, subsamp, 0);
        let drawn: Vec<u8> = drawn
            .pixels
            .chunks(drawn.y_width())
            .take(even_height)
            .flat_map(|row| &row[..even_width])
            .copied()
            .collect();
        let psnr = psnr(picture, &drawn);
        assert!(psnr > PSNR_MIN, "{subsamp:?} {width}x{height}: {psnr} dB");
    }
}

#[test]
fn frames_of_two_sizes_take_the_size_of_the_last_one() {
    let large = (0..3).map(|i| frame(window(), i, i * 100, jpeg(320, 240, Subsamp::Sub2x1, 0)));
    let small = (3..6).map(|i| frame(window(), i, i * 100, jpeg(160, 120, Subsamp::Sub2x1, 0)));
    let encoded = encoded(&Batch::new(window(), large.chain(small)).unwrap());
    assert_eq!((encoded.frames_count, encoded.dropped.len()), (6, 0));
    let media = Media::of(&encoded);
    assert_eq!(media.stream(&["width", "height"]), ["160", "120"]);
    assert_eq!(planes(&media.pictures(), 160, 120).len(), 6);
}

#[test]
fn a_corrupt_last_frame_does_not_decide_the_size() {
    let good = (0..3).map(|i| frame(window(), i, i * 100, jpeg(160, 120, Subsamp::Sub2x2, 0)));
    let whole = jpeg(320, 240, Subsamp::Sub2x2, 0);
    let torn = frame(window(), 3, 500, whole.slice(..whole.len() / 2));
    let encoded = encoded(&Batch::new(window(), good.chain([torn])).unwrap());
    assert_eq!((encoded.frames_count, encoded.dropped.len()), (3, 1));
    assert_eq!(Media::of(&encoded).stream(&["width", "height"]), ["160", "120"]);
}

fn torn(jpeg: &Bytes) -> Bytes {
    jpeg.slice(..jpeg.len() / 2)
}

/// A piece of the picture data is missing, but the end of the image is there.
fn gapped(jpeg: &Bytes) -> Bytes {
    let length = jpeg.len();
    [&jpeg[..length / 2], &jpeg[length - 40..]].concat().into()
}

fn flipped(jpeg: &Bytes) -> Bytes {
    let mut bytes = jpeg.to_vec();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 64] {
        *byte = 0xff;
    }
    bytes.into()
}

/// A size that the format allows and the decoder does not.
fn immense(jpeg: &Bytes) -> Bytes {
    let mut bytes = jpeg.to_vec();
    let header = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    bytes[header + 5..header + 9].fill(0xff);
    bytes.into()
}

fn hollow(_: &Bytes) -> Bytes {
    Bytes::from_static(b"\xff\xd8\xff\xd9")
}

fn empty(_: &Bytes) -> Bytes {
    Bytes::new()
}

#[test]
fn corrupt_frames_are_left_out_and_named_and_their_neighbours_stay() {
    for damage in [torn, gapped, flipped, immense, hollow, empty] {
        let good = jpeg(160, 120, Subsamp::Sub2x1, 0);
        let frames = (0..5)
            .map(|i| frame(window(), i, i * 100, if i % 2 == 1 { damage(&good) } else { good.clone() }));
        let encoded = encoded(&Batch::new(window(), frames).unwrap());
        let dropped: Vec<u64> = encoded.dropped.iter().map(|dropped| dropped.id.sequence).collect();
        assert_eq!(dropped, [1, 3]);
        assert!(encoded.dropped.iter().all(|dropped| matches!(dropped.why, FrameError::Corrupt { .. })));
        assert_eq!(encoded.frames_count, 3);
        // The key names the frames that are in the segment, not those of the batch.
        let good = (0..5).step_by(2).map(|i| frame(window(), i, i * 100, good.clone()));
        let good = Batch::new(window(), good).unwrap();
        assert_eq!(encoded.pictures.frames, good.frames_hash());
        assert_eq!(encoded.segment, support::encoded(&good).segment);
    }
}

#[test]
fn a_batch_without_a_good_frame_is_an_error_that_says_so() {
    let good = jpeg(160, 120, Subsamp::Sub2x1, 0);
    let frames = (0..3).map(|i| frame(window(), i, i * 100, torn(&good)));
    let error = encode(&Batch::new(window(), frames).unwrap(), &Settings::default()).unwrap_err();
    assert!(
        matches!(&error, EncodeError::NothingToShow { count: 3, last, .. } if last.id.sequence == 2),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("none of the 3 frames of window 20261123T040501.000Z-1000"),
        "{error}"
    );
}

#[test]
fn padding_before_the_end_of_an_image_is_no_corruption() {
    let good = jpeg(160, 120, Subsamp::Sub2x1, 0);
    let padded: Bytes = [&good[..good.len() - 2], &[0; 9], &good[good.len() - 2..]].concat().into();
    let batch = |jpeg: Bytes| Batch::new(window(), [frame(window(), 0, 0, jpeg)]).unwrap();
    assert_eq!(encoded(&batch(padded)).segment, encoded(&batch(good)).segment);
}

#[test]
fn pictures_that_no_encoder_takes_cost_only_themselves() {
    let mut bomb = jpeg(160, 120, Subsamp::Sub2x2, 0).to_vec();
    let header = bomb.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    bomb[header + 5..header + 9].copy_from_slice(&[0xff, 0, 0xff, 0]);
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_subsamp(Subsamp::None).unwrap();
    let cmyk = turbojpeg::Image {
        pixels: &[0_u8; 64 * 64 * 4][..],
        width: 64,
        pitch: 256,
        height: 64,
        format: turbojpeg::PixelFormat::CMYK,
    };
    let cmyk: Bytes = compressor.compress_to_vec(cmyk).unwrap().into();
    let frames = [
        (Bytes::from(bomb), FrameError::Size { width: 65_280, height: 65_280 }),
        (jpeg(8, 8, Subsamp::Sub2x2, 0), FrameError::Size { width: 8, height: 8 }),
        (cmyk, FrameError::Colour),
    ];
    let good = frame(window(), 9, 900, jpeg(160, 120, Subsamp::Sub2x2, 0));
    for (jpeg, why) in frames {
        let batch = Batch::new(window(), [frame(window(), 0, 0, jpeg), good.clone()]).unwrap();
        let encoded = encoded(&batch);
        assert_eq!(encoded.frames_count, 1);
        assert_eq!(encoded.dropped[0].why, why);
    }
}

#[test]
fn colours_are_signalled_as_a_jpeg_has_them() {
    let media = Media::of(&encoded(&batch(window(), 3)));
    let entries = ["profile", "pix_fmt", "color_range", "color_space", "color_transfer", "color_primaries"];
    assert_eq!(media.stream(&entries), ["Main", "yuvj420p", "pc", "bt470bg", "smpte170m", "bt470bg"]);
}

/// Black and white noise in all planes, the most that a picture can hold; every other one is the inverse of the
/// one before, so that prediction does not help.
#[test]
fn the_noisiest_pictures_are_encoded_more_coarsely() {
    let (width, height) = (640, 480);
    let mut image = draw(width, height, Subsamp::Sub2x2, 0);
    let mut noise = 1_u64;
    for sample in &mut image.pixels {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *sample = if noise >> 63 == 0 { 0 } else { 255 };
    }
    let frames = (0..4).map(|i| {
        image.pixels.iter_mut().for_each(|sample| *sample = 255 - *sample);
        let mut compressor = turbojpeg::Compressor::new().unwrap();
        compressor.set_quality(100).unwrap();
        frame(window(), i, i * 200, compressor.compress_yuv_to_vec(image.as_deref()).unwrap().into())
    });
    let settings = Settings { qp: Qp::MIN, ..Settings::default() };
    let encoded = encode(&Batch::new(window(), frames).unwrap(), &settings).unwrap();
    assert_eq!(encoded.qp, Qp::new(30).unwrap());
    assert_eq!(Media::of(&encoded).pictures().len(), 4 * width * height * 3 / 2);
}

#[test]
fn the_largest_and_the_smallest_pictures_can_be_encoded() {
    for (width, height) in [(4096, 2304), (16, 16), (16, 4096), (17, 500)] {
        let frames = (0..2).map(|i| frame(window(), i, i * 300, jpeg(width, height, Subsamp::Sub2x2, 0)));
        let encoded = encoded(&Batch::new(window(), frames).unwrap());
        assert_eq!(Media::of(&encoded).pictures().len(), 2 * (width & !1) * height * 3 / 2);
    }
}
