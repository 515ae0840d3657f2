//! `teiten-s3`: an S3 server over a folder, for one machine.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use teiten_s3::{Credentials, MEDIA_BUCKET, Server, Store};
use tokio::net::TcpListener;

/// Serves the buckets `frames` (private) and `media` (readable by anyone, unless `--private`) from a folder.
#[derive(Debug, Parser)]
struct Args {
    /// Folder to keep objects in; created if need be.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Address to serve S3 on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: String,

    /// Address to serve the objects of `media` on, at the root of the origin.
    #[arg(long, value_name = "ADDRESS")]
    public: Option<String>,

    /// Refuse whoever does not sign, for `media` too.
    #[arg(long, conflicts_with = "public")]
    private: bool,

    /// Access key that clients sign with.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "KEY", default_value = "teiten")]
    access_key: String,

    /// Secret key that clients sign with.
    #[arg(
        long,
        env = "AWS_SECRET_ACCESS_KEY",
        value_name = "KEY",
        default_value = "teiten-secret",
        hide_env_values = true
    )]
    secret_key: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    // The protocol library logs every refused request as an error; for a server they are answers.
    teiten_telemetry::init_with("info,s3s=off");
    let args = Args::parse();
    let store = Store::open(&args.dir).context("cannot open the store")?;
    let credentials = Credentials { access_key: args.access_key, secret_key: args.secret_key };
    let server =
        if args.private { Server::private(store, credentials) } else { Server::new(store, credentials) };
    let shutdown = teiten_telemetry::shutdown_on_signal()?;

    let listener = listen(&args.listen).await?;
    println!("S3 at http://{}", listener.local_addr()?);
    let s3 = server.serve(listener, shutdown.clone());
    let Some(address) = args.public else { return Ok(s3.await?) };
    let listener = listen(&address).await?;
    println!("{MEDIA_BUCKET} at http://{}", listener.local_addr()?);
    tokio::try_join!(s3, server.serve_public(listener, MEDIA_BUCKET, shutdown))?;
    Ok(())
}

async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
