//! `teiten-storage-setup`: makes an object store what Teiten needs, and says what it did.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use teiten_bucket::S3Args;
use teiten_storage_setup::{Outcome, Settings, SetupError, policy::Component};

/// How long a store that does not answer is waited for: it may be starting.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(2);

/// Makes an object store what Teiten needs: buckets, lifecycle rules, CORS, who may read, what each component may do.
/// The keys are an administrator's. A second run changes nothing; what a store lacks is left out with a message.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    s3: S3Args,

    /// Only prints what each component's user has to be allowed: its policy. Needs no keys.
    #[arg(long)]
    print_policies: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let Args { mut settings, s3, print_policies } = Args::parse();
    (settings.frames, settings.media) = (s3.frames_bucket.clone(), s3.media_bucket.clone());
    if print_policies {
        for component in Component::all() {
            println!("{}: {}", component.name(), component.user_policy(&settings));
        }
        return Ok(());
    }
    settings.batches_expire_first()?;
    let config = s3.config()?;
    if let Some(folder) = &settings.policies {
        write_policies(folder, &settings)?;
    }
    await_store(config.client(), &settings.media).await?;
    // AWS's buckets are in a region; other stores have names of their own for where they keep them.
    let region = (config.endpoint().is_none() && s3.region != "us-east-1").then_some(s3.region.as_str());
    teiten_storage_setup::run(config.client(), &settings, region, |step| {
        let word = match step.outcome {
            Outcome::Kept => "kept",
            Outcome::Made => "made",
            Outcome::LeftOut => "LEFT OUT",
        };
        println!("{word:8} {}", step.words);
    })
    .await?;
    Ok(())
}

fn write_policies(folder: &Path, settings: &Settings) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    for component in Component::all() {
        let path = folder.join(format!("{}.json", component.name()));
        fs::write(&path, component.user_policy(settings).to_string())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Waits until the store answers anything at all.
async fn await_store(client: &aws_sdk_s3::Client, bucket: &str) -> Result<(), SetupError> {
    let mut tries = 1;
    loop {
        match client.head_bucket().bucket(bucket).send().await {
            Err(error) if error.raw_response().is_none_or(|response| response.status().is_server_error()) => {
                if tries == TRIES {
                    let why = aws_sdk_s3::error::DisplayErrorContext(error).to_string();
                    return Err(SetupError::Store { what: "the store does not answer".to_owned(), why });
                }
            }
            _ => return Ok(()),
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
