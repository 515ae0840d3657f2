//! What a frame costs in memory. It is copied out of where it was captured, to where its stamp is written and the spool
//! keeps it, and from there into what the MQTT client writes to its socket; TLS copies it into its records, and
//! encrypts it there. That is all, and a frame costs as much after thousands of others as after a few.
//!
//! The client's buffer is used again, so allocations alone would not show a copy into it: bytes that are copied are
//! counted where they are, in `memcpy` and `memmove`.

// Clippy knows test functions; their helpers are as much of a test.
#![allow(clippy::unwrap_used)]

#[path = "agent/common.rs"]
#[allow(dead_code)]
mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ffi::{CStr, c_void},
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use common::*;
use teiten_agent::config::{Broker, Footage, PictureSize, Rate, Source};
use teiten_footage::Timestamp;
use teiten_mqtt::TlsFiles;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED_BYTES: AtomicU64 = AtomicU64::new(0);
static COPIED_BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_THE_AGENTS: Cell<bool> = const { Cell::new(false) };
}

fn is_the_agents() -> bool {
    IS_THE_AGENTS.try_with(Cell::get).unwrap_or(false)
}

fn count(bytes: usize) {
    if is_the_agents() {
        ALLOCATIONS.fetch_add(1, Relaxed);
        ALLOCATED_BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

fn count_copied(bytes: usize) {
    if is_the_agents() {
        COPIED_BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

type Copying = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;

/// In place of the C library's `memcpy`, which it calls.
///
/// # Safety
/// As `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, bytes: usize) -> *mut c_void {
    static REAL: AtomicUsize = AtomicUsize::new(UNKNOWN);
    count_copied(bytes);
    // SAFETY: the caller keeps to what `memcpy` asks for.
    unsafe { copy_by(&REAL, c"memcpy", to, from, bytes) }
}

/// In place of the C library's `memmove`, which it calls.
///
/// # Safety
/// As `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, bytes: usize) -> *mut c_void {
    static REAL: AtomicUsize = AtomicUsize::new(UNKNOWN);
    count_copied(bytes);
    // SAFETY: the caller keeps to what `memmove` asks for.
    unsafe { copy_by(&REAL, c"memmove", to, from, bytes) }
}

// What is known of the C library's function, if not its address.
const UNKNOWN: usize = 0;
const ASKED_FOR: usize = 1;

/// Copies by the C library's function of this name, whose address is kept in `real`.
///
/// # Safety
/// As `memmove`, and for the function's own.
unsafe fn copy_by(
    real: &AtomicUsize,
    name: &CStr,
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
) -> *mut c_void {
    if real.compare_exchange(UNKNOWN, ASKED_FOR, Relaxed, Relaxed).is_ok() {
        // SAFETY: the name ends with a NUL.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        real.store(found as usize, Relaxed);
    }
    match real.load(Relaxed) {
        // While it is asked for, and by whoever asks: byte by byte, and so that no compiler makes a call of it.
        UNKNOWN | ASKED_FOR => {
            let (target, source) = (to.cast::<u8>(), from.cast::<u8>());
            let forwards = (target as usize) < source as usize;
            for step in 0..bytes {
                let at = if forwards { step } else { bytes - 1 - step };
                // SAFETY: `at` is within both, which the caller vouches for.
                unsafe { target.add(at).write_volatile(source.add(at).read_volatile()) };
            }
            to
        }
        address => {
            // SAFETY: the C library has a function of this kind there.
            let copy = unsafe { std::mem::transmute::<usize, Copying>(address) };
            // SAFETY: the caller keeps to what it asks for.
            unsafe { copy(to, from, bytes) }
        }
    }
}

/// The system's allocator, which counts what the agent's threads ask it for.
struct Counting;

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
        let moved = unsafe { System.realloc(block, layout, new_size) };
        if moved != block {
            count_copied(layout.size().min(new_size));
        }
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What has been counted.
#[derive(Debug, Clone, Copy)]
struct Counts {
    allocations: u64,
    allocated_bytes: u64,
    copied_bytes: u64,
}

impl Counts {
    fn now() -> Self {
        Self {
            allocations: ALLOCATIONS.load(Relaxed),
            allocated_bytes: ALLOCATED_BYTES.load(Relaxed),
            copied_bytes: COPIED_BYTES.load(Relaxed),
        }
    }
}

/// What one frame cost, in the mean of some.
#[derive(Debug)]
struct Cost {
    frame_bytes: f64,
    allocations: f64,
    allocated_bytes: f64,
    copied_bytes: f64,
}

impl Cost {
    fn of(frames: usize, frame_bytes: usize, before: Counts, after: Counts) -> Self {
        let mean = |total: u64| total as f64 / frames as f64;
        Self {
            frame_bytes: mean(frame_bytes as u64),
            allocations: mean(after.allocations - before.allocations),
            allocated_bytes: mean(after.allocated_bytes - before.allocated_bytes),
            copied_bytes: mean(after.copied_bytes - before.copied_bytes),
        }
    }
}

/// Frames that are sent before any are counted: by then all tables and buffers have their size.
const WARM_UP: usize = 100;

/// How many frames there are in each part: more in a measurement than in a test.
fn frames() -> usize {
    std::env::var("TEITEN_FRAMES").map_or(200, |text| text.parse().unwrap())
}

/// A broker, and the port at which it speaks TLS. `folder` gets its certificate, `broker.pem`, which is its own authority.
async fn broker_with_tls(folder: &Path) -> (Mosquitto, u16) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("broker.pem"), folder.join("broker-key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.display(), key.display());
    // As root it would become somebody who may not read the key.
    let settings =
        |port| format!("user root\nlistener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n");
    Mosquitto::start_with(settings).await
}

/// Runs an agent that plays pictures of this size from memory, over TLS or not, and counts in `parts` of as many
/// frames each.
async fn costs(size: PictureSize, tls: bool, parts: usize) -> Vec<Cost> {
    let place = tempfile::tempdir().unwrap();
    let (broker, tls_port) = broker_with_tls(place.path()).await;
    let mut bridge = Bridge::start(broker.port, true);
    bridge.ready().await;
    let jpeg = teiten_agent::pattern::Painter::new(&camera(), size).jpeg(Timestamp::Y2020);
    let footage = place.path().join("footage.mjpeg");
    std::fs::write(&footage, jpeg).unwrap();
    let source = Source::Footage(Footage { rate: Rate::new(120.0).unwrap(), ..Footage::new(footage) });
    let mut config = teiten_agent::Config { source, preview: false, ..config(broker.port) };
    if tls {
        let files = TlsFiles { ca: place.path().join("broker.pem"), identity: None };
        config.broker = Broker { port: tls_port, tls: Some(files), ..config.broker };
    }

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
        let before = Counts::now();
        let bytes = bridge.frames(frames()).await.iter().map(|frame| frame.jpeg.len()).sum();
        costs.push(Cost::of(frames(), bytes, before, Counts::now()));
    }
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
    agents.shutdown_background();
    costs
}

/// What is counted for each byte that a frame has more: so many times it is allocated, and copied.
async fn times_a_frame(tls: bool) -> (f64, f64) {
    let small = costs(PictureSize::new(320, 180).unwrap(), tls, 3).await;
    let large = costs(PictureSize::new(1920, 1080).unwrap(), tls, 1).await.remove(0);
    println!("TLS: {tls}. {small:#?}\n{large:#?}");
    let (first, last) = (&small[0], &small[2]);
    assert!(last.allocations < first.allocations * 1.25 + 2.0, "{small:?}");
    let more = large.frame_bytes - last.frame_bytes;
    let allocated = (large.allocated_bytes - last.allocated_bytes) / more;
    let copied = (large.copied_bytes - last.copied_bytes) / more;
    println!("TLS: {tls}. A frame's bytes are allocated {allocated:.2} times and copied {copied:.2} times");
    (allocated, copied)
}

/// A frame that is late on a busy machine falls into the next count.
fn is_about(times: f64, expected: f64) -> bool {
    (times - expected).abs() < 0.25
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_copied_to_its_stamp_to_the_socket_and_for_tls_and_costs_no_more_the_longer_the_agent_runs()
 {
    let (allocated, copied) = times_a_frame(false).await;
    assert!(
        is_about(allocated, 1.0) && is_about(copied, 2.0),
        "{allocated} times allocated, {copied} copied"
    );
    // Records are allocated.
    let (allocated, copied) = times_a_frame(true).await;
    assert!(
        is_about(allocated, 2.0) && is_about(copied, 3.0),
        "{allocated} times allocated, {copied} copied"
    );
}
