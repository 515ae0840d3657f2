//! Footage of the past: what a camera sends after its network was away, in moments instead of hours.

use std::{net::Ipv4Addr, ops::Range, time::Duration};

use anyhow::Context as _;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use teiten_agent::{config::PictureSize, pattern::Painter};
use teiten_footage::{BootId, CameraId, Frame, FrameId, Timestamp, Topic};

/// Nothing here takes this long unless it never happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Publishes pictures with a clock in them, captured at each `step` of `spans`, to the broker at `port`; returns when
/// it has them all.
pub async fn send(
    port: u16,
    camera: &CameraId,
    spans: &[Range<Timestamp>],
    step: Duration,
) -> anyhow::Result<()> {
    // Painting keeps a processor busy, while others send.
    let painting = {
        let (camera, spans) = (camera.clone(), spans.to_vec());
        tokio::task::spawn_blocking(move || paint(&camera, &spans, step))
    };
    let frames = painting.await??;

    // A camera may have several backlogs sent at once.
    let client = format!("backlog-{camera}-{}", frames.first().context("there is nothing to send")?.captured);
    let mut options = MqttOptions::new(client, Ipv4Addr::LOCALHOST.to_string(), port);
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut eventloop) = AsyncClient::new(options, 8);
    let topic = Topic::Frame(camera.clone()).to_string();
    let count = frames.len();
    let publishing = tokio::spawn(async move {
        for frame in frames {
            client.publish(&topic, QoS::AtLeastOnce, false, frame.jpeg).await?;
        }
        anyhow::Ok(client)
    });
    let mut acknowledged = 0;
    while acknowledged < count {
        let event = tokio::time::timeout(PATIENCE, eventloop.poll()).await;
        let event =
            event.with_context(|| format!("{acknowledged} of {count} frames were acknowledged"))??;
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
    publishing.await??;
    Ok(())
}

/// What a camera would have captured.
fn paint(camera: &CameraId, spans: &[Range<Timestamp>], step: Duration) -> anyhow::Result<Vec<Frame>> {
    let mut painter = Painter::new(camera, PictureSize::new(640, 480)?);
    let boot = BootId(0xbac109);
    let mut frames = Vec::new();
    for span in spans {
        let mut captured = span.start;
        while captured < span.end {
            let id = FrameId { boot, sequence: frames.len() as u64 };
            frames.push(Frame::stamp(&painter.jpeg(captured), id, captured)?);
            captured = captured + step;
        }
    }
    Ok(frames)
}
