//! Clips of much footage: their tables are those of what is stored, and any part is that of the whole.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod endless;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use endless::{Endless, KEYFRAME, OTHER, SAMPLES, ask, second, start, ticks};
use futures::TryStreamExt as _;
use mp4_atom::{Decode as _, Ftyp, Moov, StszSamples};
use teiten_clip::Clip;
use teiten_host::{Admission, Body};

async fn load(body: Body) -> Vec<u8> {
    let chunks: Vec<Bytes> = body.into_data_stream().try_collect().await.unwrap();
    chunks.concat()
}

#[tokio::test]
async fn any_part_of_a_long_clip_is_that_of_the_whole_whatever_is_kept_of_it() {
    let media = Arc::new(Endless::new().await);
    let length = Duration::from_secs(2 * 3600 + 100);
    let clip = Clip::new(media.clone(), Admission::Anybody);
    let whole = load(ask(&clip, length, None).await.into_body()).await;

    // Its tables are those of what is stored.
    let mut rest = whole.as_slice();
    Ftyp::decode(&mut rest).unwrap();
    let stbl = Moov::decode(&mut rest).unwrap().trak.remove(0).mdia.minf.stbl;
    let windows = || (0..length.as_secs()).map(|index| second(start()).plus(index));
    let durations =
        stbl.stts.entries.iter().flat_map(|run| vec![run.sample_delta; run.sample_count as usize]);
    assert!(durations.eq(windows().flat_map(|window| (0..SAMPLES).map(move |sample| ticks(window, sample)))));
    let StszSamples::Different { sizes } = stbl.stsz.samples else { panic!("{:?}", stbl.stsz) };
    let of_window = [vec![KEYFRAME], vec![OTHER; SAMPLES as usize - 1]].concat();
    assert!(sizes.chunks(SAMPLES as usize).all(|sizes| sizes == of_window) && sizes.len() == 7300 * 15);
    assert!(stbl.stss.unwrap().entries.into_iter().eq((0..7300).map(|window| 1 + window * SAMPLES)));
    // And its chunks are one after another, up to the end.
    let offsets = stbl.co64.unwrap().entries;
    let samples = |chunk: usize| {
        let runs = stbl.stsc.entries.iter();
        runs.take_while(|run| run.first_chunk as usize <= chunk + 1).last().unwrap().samples_per_chunk
    };
    let window_bytes = u64::from(of_window.iter().sum::<u32>());
    let mut at = (whole.len() - rest.len()) as u64 + 16;
    for (chunk, offset) in offsets.iter().enumerate() {
        assert_eq!(*offset, at, "chunk {chunk}");
        at += u64::from(samples(chunk) / SAMPLES) * window_bytes;
    }
    assert_eq!((at, offsets.len() < 4096), (whole.len() as u64, true));

    let forgetful = Clip::keeping(media, Admission::Anybody, 0);
    let total = whole.len();
    let parts = (0..48).map(|part| (part * total / 48 + part * 7, 1 + part * part * 40));
    for (start, length_bytes) in parts.chain([(0, total), (total - 1, 1), (0, 1)]) {
        let range = start.min(total - 1)..(start + length_bytes).min(total);
        for clip in [&clip, &forgetful] {
            let part = load(ask(clip, length, Some(range.clone())).await.into_body()).await;
            assert!(part == whole[range.clone()], "{range:?}");
        }
    }
}
