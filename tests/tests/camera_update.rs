//! Updates of a camera's card over the network.

use anyhow::ensure;
use teiten_tests::{
    card::Start,
    updates::{Updates, WAIT_MAX, ends},
};

const SLOT_B: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_taken_if_the_owner_has_signed_it_and_kept_once_frames_flow() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut camera = Updates::new(folder.path()).await?;
    camera.owner.strangers_bundle("strangers")?;
    camera.owner.huge_bundle("huge")?;
    camera.owner.bundle("owners", "")?;
    // Whoever asks a camera that is off asks it as soon as it is there.
    let update = camera.owner.update("strangers")?;
    let mut machine = camera.start(Start::Ordinary).await?;
    ends(update, "gate runs on as before: LastError: signature verification failed").await?;
    ensure!(!camera.is_written(SLOT_B)?, "something was installed that is not signed by the owner");
    ends(camera.owner.update("huge")?, "is larger than 128 MiB").await?;
    let update = camera.owner.update("owners")?;
    let (start, mut machine) = camera.restarted(&mut machine).await?;
    ensure!(start == Start::Try, "the other slot is not tried");
    machine.says("update: slot B on trial", WAIT_MAX).await?;
    ends(update, "gate is updated").await?;
    machine.cut_power()?;
    ensure!(camera.partition()? == SLOT_B, "slot B is confirmed and not started from now on");
    camera.the_owners_files_are_untouched()
}
