//! The agent behind a link that is slower than its camera: a real Mosquitto, and a proxy that lets only so many
//! bytes a second through.

use std::time::{Duration, Instant};

use teiten_agent::{
    Config,
    config::{Pattern, PictureSize, Rate, Source},
    pattern::Painter,
};
use teiten_footage::{Topic, topic::ONLINE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{sleep_until, timeout},
};

use crate::common::*;

const CHUNK_BYTES: usize = 1_500;
const LATE_MAX: Duration = Duration::from_millis(200);

/// Listens on a port of its own; what comes goes on to `broker` slowly, what goes back is not held up.
async fn slow_link(broker: u16, bytes_per_second: usize) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    // Little room: what waits shall wait at the camera.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((camera, _)) = listener.accept().await {
            let (mut from_camera, mut to_camera) = camera.into_split();
            let (mut from_broker, to_broker) =
                TcpStream::connect(("127.0.0.1", broker)).await.unwrap().into_split();
            tokio::spawn(async move { copy(&mut from_broker, &mut to_camera).await });
            tokio::spawn(async move { trickle(&mut from_camera, to_broker, bytes_per_second).await });
        }
    });
    port
}

/// A camera of 25 frames a second behind a link that carries so many.
async fn camera_on_slow_link(broker: &Mosquitto, frames_per_second: usize) -> Agent {
    let size = PictureSize::new(320, 180).unwrap();
    let pattern = Pattern { size, rate: Rate::new(25.0).unwrap() };
    let frame_bytes = Painter::new(&camera(), size).jpeg(teiten_telemetry::now()).len();
    let port = slow_link(broker.port, frames_per_second * frame_bytes).await;
    Agent::start(Config { source: Source::Pattern(pattern), ..config(port) })
}

/// Listens on a port of its own, and loses one PUBACK of the first connection on its way back.
async fn link_that_loses_a_puback(broker: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut lost = 5;
        while let Ok((camera, _)) = listener.accept().await {
            let (mut from_camera, to_camera) = camera.into_split();
            let (from_broker, mut to_broker) =
                TcpStream::connect(("127.0.0.1", broker)).await.unwrap().into_split();
            tokio::spawn(async move { copy(&mut from_camera, &mut to_broker).await });
            tokio::spawn(lose_puback(from_broker, to_camera, std::mem::take(&mut lost)));
        }
    });
    port
}

/// Passes on all packets but PUBACK number `lost`.
async fn lose_puback(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: usize) -> std::io::Result<()> {
    const PUBACK: u8 = 0x40;
    let mut pubacks = 0;
    loop {
        // The packet's kind, and its length, seven bits a byte.
        let mut packet = vec![from.read_u8().await?];
        let mut bytes = 0;
        for shift in (0..).step_by(7) {
            let digit = from.read_u8().await?;
            packet.push(digit);
            bytes |= usize::from(digit & 0x7F) << shift;
            if digit & 0x80 == 0 {
                break;
            }
        }
        let head = packet.len();
        packet.resize(head + bytes, 0);
        from.read_exact(&mut packet[head..]).await?;
        pubacks += usize::from(packet[0] == PUBACK);
        if packet[0] != PUBACK || pubacks != lost {
            to.write_all(&packet).await?;
        }
    }
}

async fn trickle(
    from: &mut (impl AsyncReadExt + Unpin),
    mut to: OwnedWriteHalf,
    bytes_per_second: usize,
) -> std::io::Result<()> {
    let mut chunk = [0; CHUNK_BYTES];
    let mut due = Instant::now();
    loop {
        let bytes = from.read(&mut chunk).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        // A machine that wakes this up late makes the link no slower, as long as it is not very late.
        due = due.max(Instant::now() - LATE_MAX)
            + Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64);
        sleep_until(due.into()).await;
        to.write_all(&chunk[..bytes]).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_frame_gets_through_a_link_that_takes_most_of_a_minute_for_it() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    let place = tempfile::tempdir().unwrap();
    let source = footage(place.path(), 1, 10.0, false);
    let file = place.path().join("000001.jpg");
    let mut large = std::fs::read(&file).unwrap();
    // Comments behind SOI, 1 MB of them.
    let comment = [[0xFF, 0xFE, 0xEA, 0x60].as_slice(), &[b' '; 0xEA60 - 2]].concat();
    large.splice(2..2, comment.repeat(17));
    std::fs::write(&file, large).unwrap();
    let port = slow_link(broker.port, 20_000).await;
    let agent = Agent::start(Config { source, preview: false, ..config(port) });
    let frame = timeout(Duration::from_secs(75), bridge.frame_sometime()).await;
    assert!(frame.unwrap().jpeg.len() > 1_020_000);
    agent.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_puback_that_is_lost_costs_a_connection_and_not_the_rate_for_good() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    let agent = Agent::start(config(link_that_loses_a_puback(broker.port).await));
    bridge.status(ONLINE).await;
    // The rate falls to one in ten seconds, since a live frame is late; on another connection it rises.
    let again = timeout(Duration::from_secs(100), bridge.status_sometime(ONLINE)).await;
    again.expect("there is another connection");
    soon(bridge.frames(20)).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_slow_link_fewer_frames_come_evenly_and_without_growing_delay() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    let agent = camera_on_slow_link(&broker, 13).await;

    // Until the agent has found out, frames queue up; from then on the delay stays small.
    let started = Instant::now();
    let (mut steady, mut delays, mut newest) = (Vec::new(), Vec::new(), None);
    while steady.len() < 25 {
        assert!(started.elapsed() < Duration::from_secs(90), "the delay does not fall: {delays:.1?}");
        let frame = bridge.frame().await;
        // What comes behind newer ones is the backlog, which may be late.
        if newest > Some(frame.captured) {
            continue;
        }
        newest = Some(frame.captured);
        let delay = teiten_telemetry::now().since(frame.captured);
        delays.push(delay);
        if delay > Duration::from_secs(1) {
            steady.clear();
        } else {
            steady.push(frame.captured);
        }
    }
    agent.stop().await;
    let spaces: Vec<Duration> = steady.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    let mean = spaces.iter().sum::<Duration>() / spaces.len() as u32;
    assert!(mean > Duration::from_millis(80), "fewer than 25 a second: one each {mean:?}");
    let uneven = spaces.iter().filter(|space| **space > mean * 2 || **space < mean / 2).count();
    assert!(uneven <= 2, "{uneven} of {} spaces are uneven: {spaces:?}", spaces.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_slow_link_previews_leave_it_to_the_frames() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let agent = camera_on_slow_link(&broker, 5).await;
    let (frame, preview) = (Topic::Frame(camera()).to_string(), Topic::Preview(camera()).to_string());
    visitor.hear(&preview).await;
    // The agent finds out.
    for _ in 0..30 {
        visitor.hear(&frame).await;
    }
    let (mut frames, mut previews) = (0, 0);
    while frames < 60 {
        let heard = soon(visitor.heard.recv()).await.unwrap();
        frames += u32::from(heard.topic == frame);
        previews += u32::from(heard.topic == preview);
    }
    agent.stop().await;
    // At one a second there is one to some five frames.
    assert!(previews * 12 <= frames, "{previews} previews in the time of {frames} frames");
}
