//! What a frame costs in memory: it is copied out of where it was captured, and into what goes to the socket, and
//! nowhere else; and a frame costs as much after thousands of others as after a few.

// Clippy knows test functions; their helpers are as much of a test.
#![allow(clippy::unwrap_used)]

#[path = "agent/common.rs"]
#[allow(dead_code)]
mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use common::*;
use teiten_agent::config::{Footage, PictureSize, Rate, Source};
use teiten_footage::Timestamp;

/// The system's allocator, which counts what the agent's threads ask it for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED_BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_THE_AGENTS: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: usize) {
    if IS_THE_AGENTS.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, Relaxed);
        ALLOCATED_BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

// SAFETY: everything is the system allocator's doing; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps to what `GlobalAlloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What one frame cost, in the mean of some.
#[derive(Debug)]
struct Cost {
    frame_bytes: f64,
    allocations: f64,
    allocated_bytes: f64,
}

/// Frames that are sent before any are counted: by then all tables and buffers have their size.
const WARM_UP: usize = 100;

/// Runs an agent that plays pictures of this size from memory, and counts in `parts` of `frames` each.
async fn costs(size: PictureSize, parts: usize, frames: usize) -> Vec<Cost> {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    let place = tempfile::tempdir().unwrap();
    let jpeg = teiten_agent::pattern::Painter::new(&camera(), size).jpeg(Timestamp::Y2020);
    let footage = place.path().join("footage.mjpeg");
    std::fs::write(&footage, jpeg).unwrap();
    let source = Source::Footage(Footage { rate: Rate::new(120.0).unwrap(), ..Footage::new(footage) });
    let config = teiten_agent::Config { source, preview: false, ..config(broker.port) };

    let agents = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(|| IS_THE_AGENTS.set(true))
        .build()
        .unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let agent = agents.spawn(teiten_agent::run(config, shutdown.clone()));
    bridge.frames(WARM_UP).await;
    let mut costs = Vec::new();
    for _ in 0..parts {
        let before = (ALLOCATIONS.load(Relaxed), ALLOCATED_BYTES.load(Relaxed));
        let bytes: usize = bridge.frames(frames).await.iter().map(|frame| frame.jpeg.len()).sum();
        let mean = |now: u64, before: u64| (now - before) as f64 / frames as f64;
        costs.push(Cost {
            frame_bytes: bytes as f64 / frames as f64,
            allocations: mean(ALLOCATIONS.load(Relaxed), before.0),
            allocated_bytes: mean(ALLOCATED_BYTES.load(Relaxed), before.1),
        });
    }
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
    agents.shutdown_background();
    costs
}

/// How many frames there are in each part: more in a measurement than in a test.
fn frames() -> usize {
    std::env::var("TEITEN_FRAMES").map_or(200, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_copied_twice_and_costs_no_more_the_longer_the_agent_runs() {
    let small = costs(PictureSize::new(320, 180).unwrap(), 3, frames()).await;
    let large = costs(PictureSize::new(1920, 1080).unwrap(), 1, frames()).await.remove(0);
    println!("{small:#?}\n{large:#?}");
    let (first, last) = (&small[0], &small[2]);
    assert!(last.allocations < first.allocations * 1.25 + 2.0, "{small:?}");
    // What a longer frame costs more is its copies.
    let copies = (large.allocated_bytes - last.allocated_bytes) / (large.frame_bytes - last.frame_bytes);
    println!("{copies:.2} times its bytes are allocated for a frame");
    assert!(copies < 2.2, "{copies} copies of a frame");
}
