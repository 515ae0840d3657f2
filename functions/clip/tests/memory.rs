//! How much memory clips take. It is that of the process, so there is no other test beside this one.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod endless;

use std::{sync::Arc, time::Duration};

use endless::{Endless, ask};
use futures::TryStreamExt as _;
use teiten_clip::Clip;
use teiten_host::Admission;

/// The most memory that this process has had since it was last asked, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_clip_of_any_length_takes_the_same_memory() {
    let media = Arc::new(Endless::new().await);
    let mut peaks = Vec::new();
    for hours in [1, 12] {
        let clip = Clip::keeping(media.clone(), Admission::Anybody, 1 << 20);
        peak_kib();
        let response = ask(&clip, Duration::from_secs(hours * 3600), None).await;
        let length: u64 = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let sent = response
            .into_body()
            .into_data_stream()
            .try_fold(0, async |sum, chunk| Ok(sum + chunk.len() as u64));
        assert_eq!(sent.await.unwrap(), length);
        peaks.push(peak_kib());
    }
    // Tables of what is longer alone would take 7 MiB, and as much again for where its pictures are.
    assert!(peaks[1] < peaks[0] + 4096, "{peaks:?} KiB");
}
