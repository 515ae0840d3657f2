//! `teiten-router --listen ADDRESS --trigger TYPE=URL …`

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use teiten_router::{RetryPolicy, Router, Trigger};
use tokio::net::TcpListener;

/// The most requests under way at once to a subscriber: the functions see to how many of them they do at a time.
const CONCURRENCY_MAX: usize = 128;

/// Routes CloudEvents to subscribers over HTTP as a Knative Broker does, on one machine.
#[derive(Parser)]
struct Options {
    /// Where to take events.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Events of this type go to this URL (repeatable).
    #[arg(long = "trigger", value_name = "TYPE=URL", value_parser = parse_trigger)]
    triggers: Vec<Trigger>,
}

fn parse_trigger(text: &str) -> Result<Trigger, String> {
    match text.split_once('=') {
        Some((kind, subscriber)) if subscriber.starts_with("http://") && !kind.is_empty() => Ok(Trigger {
            kind: kind.to_owned(),
            subscriber: subscriber.to_owned(),
            extensions: Default::default(),
            delivery: RetryPolicy::default(),
            concurrency_max: CONCURRENCY_MAX,
        }),
        _ => Err("expected TYPE=http://…, such as teiten.batch.stored=http://127.0.0.1:8082/".to_owned()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    teiten_telemetry::init();
    let options = Options::parse();
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let shutdown = teiten_telemetry::shutdown_on_signal()?;
    Router::new(options.triggers).serve(listener, shutdown).await?;
    Ok(())
}
