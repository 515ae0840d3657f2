//! What can go wrong with an update of a camera's card. It takes many starts: see `just test-updates`.

use anyhow::ensure;
use teiten_tests::{
    card::Start,
    updates::{Updates, WAIT_MAX, ends},
};

const SLOT_A: usize = 2;
const SLOT_B: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_power_cut_nor_an_update_without_frames_costs_the_slot_that_runs() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut camera = Updates::new(folder.path()).await?;
    camera.owner.bundle("owners", "")?;
    // The virtual camera's driver is not loaded, so that no frame can flow.
    camera.owner.bundle("blind", "module_blacklist=vivid")?;
    // Neither can the settings be read, nor which slot is the one to go back to.
    camera.owner.bundle("lost", "module_blacklist=vfat")?;
    let mut machine = camera.start(Start::Ordinary).await?;
    machine.says("frames flow", WAIT_MAX).await?;

    println!("the power is cut while slot B is written");
    let update = camera.owner.update("owners")?;
    camera.begins_to_write(SLOT_B).await?;
    drop(update);
    machine.cut_power()?;
    let mut machine = camera.start(Start::Ordinary).await?;
    machine.says("frames flow", WAIT_MAX).await?;

    println!("an update without frames");
    let update = camera.owner.update("blind")?;
    let (start, mut machine) = camera.restarted(&mut machine).await?;
    ensure!(start == Start::Try, "the firmware was not told to try the other slot");
    machine.says("back to slot A", WAIT_MAX).await?;
    let (start, mut machine) = camera.restarted(&mut machine).await?;
    ensure!((start, camera.partition()?) == (Start::Ordinary, SLOT_A), "{start:?}");
    machine.says("frames flow", WAIT_MAX).await?;
    ends(update, "gate went back to what it ran before").await?;

    println!("an update that cannot read the first partition");
    let update = camera.owner.update("lost")?;
    let (start, mut machine) = camera.restarted(&mut machine).await?;
    ensure!(start == Start::Try, "the firmware was not told to try the other slot");
    machine.says("cannot be read: write the card again", WAIT_MAX).await?;
    let (start, mut machine) = camera.restarted(&mut machine).await?;
    ensure!((start, camera.partition()?) == (Start::Ordinary, SLOT_A), "{start:?}");
    machine.says("frames flow", WAIT_MAX).await?;
    // No word of it came to the broker.
    ends(update, "gate restarted and runs what it ran before").await?;

    println!("a good one, and another start");
    let update = camera.owner.update("owners")?;
    let (_, mut machine) = camera.restarted(&mut machine).await?;
    ends(update, "gate is updated").await?;
    machine.cut_power()?;
    ensure!(camera.partition()? == SLOT_B, "slot B is confirmed and not started from now on");
    let mut machine = camera.start(Start::Ordinary).await?;
    machine.says("frames flow", WAIT_MAX).await?;
    ensure!(!machine.console().contains("on trial"), "what is confirmed is on trial again");
    machine.cut_power()?;
    camera.the_owners_files_are_untouched()
}
