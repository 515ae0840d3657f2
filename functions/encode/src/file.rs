//! Encodes one batch from file to file, without a network: to look at what a batch gives, and to measure it.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Context, bail};
use bytes::Bytes;
use teiten_footage::{Window, batch, limits::BATCH_BYTES_MAX};

use crate::{
    encode::{Encoded, encode},
    settings::Settings,
};

/// Encodes the batch in `input` and writes init section and segment, which is a playable file, to `output`.
/// Without `window`, the name of `input` says which window it is (`20261123T040501.000Z-1000.mjpeg`).
pub fn encode_file(
    input: &Path,
    output: &Path,
    window: Option<Window>,
    settings: &Settings,
) -> anyhow::Result<Encoded> {
    let window = match window {
        Some(window) => window,
        None => window_of(input)?,
    };
    let bytes = Bytes::from(fs::read(input).with_context(|| format!("{} cannot be read", input.display()))?);
    if bytes.len() > BATCH_BYTES_MAX {
        bail!("{} has {} bytes; a batch has at most {BATCH_BYTES_MAX}", input.display(), bytes.len());
    }
    let batch = batch::parse(window, &bytes).batch;
    let batch = batch.with_context(|| format!("there is no frame in {}", input.display()))?;
    let encoded = encode(&batch, settings)?;
    fs::write(output, [encoded.init.as_ref(), encoded.segment.as_ref()].concat())
        .with_context(|| format!("{} cannot be written", output.display()))?;
    Ok(encoded)
}

fn window_of(input: &Path) -> anyhow::Result<Window> {
    let stem = input.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    stem.parse().context("the file's name says no window; give one with --window")
}
