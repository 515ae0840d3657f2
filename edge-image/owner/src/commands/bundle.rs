//! `bundle`.

use std::{fs, path::PathBuf};

use clap::Args;

use crate::{
    bundle::{Slot, make},
    cameras::Cameras,
};

/// What an update is made of.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The folder with the image's boot.vfat, root.squashfs and release.
    image: PathBuf,
    /// The bundle to write.
    bundle: PathBuf,
}

/// Makes an update.
pub fn bundle(cameras: &Cameras, Bundle { image, bundle }: &Bundle) -> anyhow::Result<()> {
    let signer = cameras.updates(teiten_telemetry::now())?;
    let slot = Slot::in_folder(image)?;
    make(&slot, &signer, bundle)?;
    let mebibytes = fs::metadata(bundle)?.len() as f64 / f64::from(1 << 20);
    println!(
        "{} ({}, {mebibytes:.1} MiB) is signed. Put it where cameras can fetch it",
        bundle.display(),
        slot.release
    );
    println!("by HTTP and tell them so, or do both by ./just camera update NAME.");
    Ok(())
}
