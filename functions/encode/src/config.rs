//! The command line, which the environment can fill in.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use teiten_bucket::S3Args;
use teiten_footage::Window;

use crate::settings::{Codec, Qp, Settings};

/// Encodes batches of JPEGs to CMAF segments: on AWS Lambda where AWS_LAMBDA_RUNTIME_API is set, else as an HTTP
/// server on $PORT (8080) that takes CloudEvents and S3 notifications.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to encode.
    #[command(flatten)]
    pub encoding: Encoding,

    /// Where batches and segments are.
    #[command(flatten)]
    pub s3: S3Args,
}

/// How to encode.
#[derive(Debug, Args)]
pub struct Encoding {
    /// Quantisation parameter, 24 (finest) to 51 (coarsest).
    #[arg(long, env = "TEITEN_QP", default_value_t = Qp::DEFAULT, global = true)]
    pub qp: Qp,

    /// Encoder.
    #[arg(long, env = "TEITEN_CODEC", value_enum, default_value_t = Codec::default(), global = true)]
    pub codec: Codec,

    /// Decode on a second thread: sooner where a core is idle.
    #[arg(long, env = "TEITEN_DECODE_AHEAD", global = true)]
    pub decode_ahead: bool,
}

impl Encoding {
    /// As the encoder takes it.
    pub fn settings(&self) -> Settings {
        Settings { codec: self.codec, qp: self.qp, decode_ahead: self.decode_ahead }
    }
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Encode one batch to a playable file.
    File {
        /// The batch, JPEGs one after another.
        input: PathBuf,
        /// The MP4 to write.
        output: PathBuf,
        /// The window, such as 20261123T040501.000Z-1000; else the batch's name says it.
        #[arg(long)]
        window: Option<Window>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn settings_come_before_or_behind_the_command() {
        for line in [["x", "--qp", "30", "file", "a", "b"], ["x", "file", "a", "b", "--qp", "30"]] {
            assert_eq!(Config::try_parse_from(line).unwrap().encoding.settings().qp.get(), 30);
        }
        assert!(Config::try_parse_from(["x", "--qp", "52"]).is_err());
    }
}
