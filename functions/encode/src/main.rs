//! `teiten-encode`: serves the function, or encodes one file.

use std::{path::Path, sync::Arc};

use clap::Parser;
use teiten_bucket::S3Bucket;
use teiten_encode::{
    Encode,
    config::{Command, Config},
    file,
};
use teiten_footage::Window;
use tracing::{info, warn};

fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let config = Config::parse();
    match &config.command {
        Some(Command::File { input, output, window }) => encode_file(&config, input, output, *window),
        None => serve(&config),
    }
}

#[tokio::main]
async fn serve(config: &Config) -> anyhow::Result<()> {
    let s3 = config.s3.config()?;
    let frames = Arc::new(S3Bucket::new(&s3, &config.s3.frames_bucket));
    let media = Arc::new(S3Bucket::new(&s3, &config.s3.media_bucket));
    teiten_host::run(Encode::new(frames, media, config.encoding.settings())).await
}

fn encode_file(config: &Config, input: &Path, output: &Path, window: Option<Window>) -> anyhow::Result<()> {
    let encoded = file::encode_file(input, output, window, &config.encoding.settings())?;
    for dropped in &encoded.dropped {
        warn!(frame = %dropped.id, why = %dropped.why, "frame dropped");
    }
    info!(
        window = %encoded.window, frames_total = encoded.frames_count, size_bytes = encoded.segment.len(),
        "segment written"
    );
    Ok(())
}
