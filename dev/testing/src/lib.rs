//! What tests of several crates start: Mosquitto, and the ports that servers get.

mod mosquitto;

use std::{
    collections::BTreeSet,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

pub use mosquitto::{Mosquitto, command, tls};

/// A port that is free, and below those that the kernel gives to clients: while a killed server is away, no
/// connection of somebody else can take its port. None is given twice: who got it may not listen yet.
pub fn free_port() -> io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    let first_ephemeral: u16 =
        first.ok_or_else(|| io::Error::other(format!("{range:?} is no range of ports")))?;
    for _ in 0..1000 {
        let port = rand::random_range(10_000..first_ephemeral.max(10_001));
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(io::Error::other(format!("no free port from 10000 to {first_ephemeral}")))
}
