//! Updates of a camera's card over the network.

use anyhow::ensure;
use teiten_tests::{
    card::Start,
    machine::Board,
    updates::{Updates, WAIT_MAX, ends},
};

const SLOT_A: usize = 2;
const SLOT_B: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_pi_installs_what_the_owner_has_signed_alone_and_tells_its_firmware_to_try_it_once()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut camera = Updates::new(Board::Pi3aPlus, folder.path()).await?;
    camera.strangers_bundle("strangers")?;
    camera.small_bundle("owners")?;
    let mut machine = camera.start(Start::Ordinary).await?;
    machine.says("frames flow", WAIT_MAX).await?;
    ends(camera.update("strangers")?, "gate runs on as before: LastError: signature verification failed")
        .await?;
    ensure!(!camera.is_written(SLOT_B)?, "something was installed that is not signed by the owner");
    let update = camera.update("owners")?;
    machine.off(WAIT_MAX).await?;
    drop(update);
    ensure!(
        machine.asked_to_try(),
        "the firmware was not told to try the other slot:\n{}",
        machine.console()
    );
    ensure!(camera.command_line(SLOT_B)?.trim() == "rauc.slot=B root=PARTUUID=54494554-06");
    ensure!(camera.partition()? == SLOT_A, "a slot was made the one that is started before it was tried");
    camera.the_owners_files_are_untouched()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_kept_once_frames_flow() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut camera = Updates::new(Board::Virt, folder.path()).await?;
    camera.bundle("owners", "")?;
    camera.huge_bundle("huge")?;
    let mut machine = camera.start(Start::Ordinary).await?;
    machine.says("frames flow", WAIT_MAX).await?;
    ends(camera.update("huge")?, "is larger than 128 MiB").await?;
    let update = camera.update("owners")?;
    let (start, mut machine) = camera.restarted(&mut machine).await?;
    ensure!(start == Start::Try, "the other slot is not tried");
    machine.says("update: slot B on trial", WAIT_MAX).await?;
    ends(update, "gate is updated").await?;
    machine.cut_power()?;
    ensure!(camera.partition()? == SLOT_B, "slot B is confirmed and not started from now on");
    camera.the_owners_files_are_untouched()
}
