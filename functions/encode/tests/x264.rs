//! The same promises, kept by x264.
#![cfg(feature = "x264")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::*;
use teiten_encode::{
    Codec, Encoded, Qp, Settings, encode,
    h264::nal::{kind, units},
};
use turbojpeg::Subsamp;

fn with_x264(count: usize, qp: u8) -> Encoded {
    let settings = Settings { codec: Codec::X264, qp: Qp::new(qp).unwrap(), decode_ahead: false };
    encode(&batch(window().plus(count as u64), count), &settings).unwrap()
}

#[test]
fn pictures_and_colours_are_as_with_the_other_encoder() {
    let media = Media::of(&with_x264(4, 24));
    let entries = ["profile", "pix_fmt", "color_range", "color_space", "color_transfer", "color_primaries"];
    assert_eq!(media.stream(&entries), ["Main", "yuvj420p", "pc", "bt470bg", "smpte170m", "bt470bg"]);
    let pictures = media.pictures();
    let size = 160 * 120 * 3 / 2;
    assert_eq!(pictures.len(), 4 * size);
    for (i, picture) in pictures.chunks_exact(size).enumerate() {
        let psnr = psnr(picture, &draw(160, 120, Subsamp::Sub2x2, i).pixels);
        assert!(psnr > 36.0, "picture {i}: {psnr} dB");
    }
}

#[test]
fn an_init_section_depends_on_nothing_but_size() {
    let init = with_x264(1, 26).init;
    assert_eq!(with_x264(7, 26).init, init);
    assert_eq!(with_x264(30, 40).init, init);
}

#[test]
fn the_first_sample_alone_is_a_place_to_start_and_has_the_parameter_sets() {
    let encoded = with_x264(3, 26);
    let sizes = samples(&encoded.segment);
    let total: u32 = sizes.iter().map(|sample| sample.size.unwrap()).sum();
    let mut data = &encoded.segment[encoded.segment.len() - total as usize..];
    let kinds = sizes.iter().map(|sample| {
        let access_unit = data.split_off(..sample.size.unwrap() as usize).unwrap();
        units(access_unit).map(kind).collect::<Vec<u8>>()
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [vec![7, 8, 5], vec![1], vec![1]]);
    assert_eq!(with_x264(3, 26), encoded);
}
