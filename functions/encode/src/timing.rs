//! When the samples of a segment begin and end: a segment covers its whole window, and within it every frame
//! keeps its capture time.

use teiten_footage::{Ticks, Timestamp, Window, WindowLength, limits::WINDOW_FRAMES_MAX};

// Every sample of a full window can last a tick.
const _: () = assert!(WINDOW_FRAMES_MAX as u64 <= WindowLength::MIN.ticks().0);

/// The durations, in ticks, of samples captured at `captured` (ascending). The first sample starts with the
/// window whenever it was captured, the last one ends with it, and the others start at the tick of their
/// capture. Where that leaves a sample no time (captured within one tick of another or of the window's end),
/// it is moved by the fewest ticks that give each sample one.
///
/// # Panics
/// If there are more than [`WINDOW_FRAMES_MAX`] samples.
pub fn durations(window: Window, captured: &[Timestamp]) -> Vec<u32> {
    assert!(captured.len() <= WINDOW_FRAMES_MAX, "a window has at most {WINDOW_FRAMES_MAX} frames");
    let Ticks(length) = window.length().ticks();
    let Ticks(start) = window.start().ticks();
    let mut begins: Vec<u64> = captured.iter().map(|time| time.ticks().0.saturating_sub(start)).collect();
    if let Some(first) = begins.first_mut() {
        *first = 0;
    }
    for i in 1..begins.len() {
        begins[i] = begins[i].max(begins[i - 1] + 1);
    }
    let mut end = length;
    let mut durations = vec![0; begins.len()];
    for (begin, duration) in begins.iter().zip(&mut durations).rev() {
        let begin = (*begin).min(end - 1);
        // A window is at most 540,000 ticks long.
        *duration = (end - begin) as u32;
        end = begin;
    }
    durations
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn window() -> Window {
        "20261123T040501.000Z-1000".parse().unwrap()
    }

    fn at(micros: &[i64]) -> Vec<Timestamp> {
        let start = window().start().unix_micros() as i64;
        micros.iter().map(|micros| Timestamp::from_unix_micros((start + micros) as u64)).collect()
    }

    #[test]
    fn samples_start_when_their_frames_were_captured() {
        assert_eq!(durations(window(), &at(&[0, 100_000, 200_011])), [9000, 9000, 72_000]);
        assert_eq!(durations(window(), &at(&[100_000, 200_012])), [18_001, 71_999]);
    }

    #[test]
    fn one_frame_fills_its_window_wherever_it_was_captured() {
        for micros in [0, 500_000, 999_999, -10_000_000] {
            assert_eq!(durations(window(), &at(&[micros])), [90_000]);
        }
    }

    #[test]
    fn frames_of_one_tick_are_a_tick_apart() {
        assert_eq!(durations(window(), &at(&[0, 0, 1])), [1, 1, 89_998]);
        assert_eq!(durations(window(), &at(&[0, 999_999, 999_999])), [89_998, 1, 1]);
        assert_eq!(durations(window(), &at(&[999_997, 999_998, 999_999])), [89_998, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_sample_lasts_and_together_they_fill_the_window(
            millis in prop::sample::select(vec![500_u32, 1000, 1500, 6000]),
            index in 1_000_000_000_u64..1_700_000_000,
            mut offsets in prop::collection::vec(0_u64..6_000_000, 1..=WINDOW_FRAMES_MAX),
        ) {
            let length = WindowLength::from_millis(millis).unwrap();
            let time = Timestamp::from_unix_millis(index * 1000);
            let window = Window::containing(time, length);
            for offset in &mut offsets {
                *offset %= u64::from(millis) * 1000;
            }
            offsets.sort_unstable();
            let captured: Vec<Timestamp> =
                offsets.iter().map(|offset| window.start() + Duration::from_micros(*offset)).collect();
            let durations = durations(window, &captured);
            prop_assert_eq!(durations.len(), captured.len());
            prop_assert!(durations.iter().all(|duration| *duration >= 1));
            prop_assert_eq!(durations.iter().map(|d| u64::from(*d)).sum::<u64>(), length.ticks().0);
            // Frames that have room around them keep their tick exactly.
            let apart = captured.windows(2).all(|pair| pair[0].ticks() < pair[1].ticks());
            if apart {
                let mut begin = window.start().ticks().0;
                for i in 1..captured.len() {
                    begin += u64::from(durations[i - 1]);
                    let true_begin = captured[i].ticks().0;
                    // The second may have met the first, which was moved to the start.
                    prop_assert!(begin == true_begin || (begin == true_begin + 1 && i == 1 && offsets[1] < 12));
                }
            }
        }
    }
}
