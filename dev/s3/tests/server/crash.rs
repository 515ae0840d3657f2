//! What is left when the server's process is killed while clients write.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use teiten_bucket::{Bucket, BucketError, Condition, Headers, Put, S3Bucket};
use tokio::{sync::watch, task::JoinSet};

use crate::support::{ACCESS_KEY, SECRET_KEY, bucket};

const ROUNDS: u64 = 5;
const WRITERS: u64 = 6;

/// The server is killed once so many writes of a round are acknowledged, and others are under way.
const ACKNOWLEDGED_PER_ROUND: usize = 120;

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_teiten-s3"))
            .arg("--dir")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0", "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("S3 at http://").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a test that failed; a second kill does no harm.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// An object that says what it must look like: a number, and as many bytes as follow from it.
fn object(number: u64) -> Bytes {
    let length = 8 + (number.wrapping_mul(7_919) % 300_000) as usize;
    let mut bytes = vec![(number % 251) as u8; length];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

/// The number of an object, which must be whole.
fn number_of(key: &str, bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(*bytes.first_chunk().unwrap_or_else(|| panic!("{key} is cut short")));
    assert!(*bytes == object(number), "{key} is torn");
    number
}

/// The last number that was acknowledged of each key.
#[derive(Default)]
struct Acknowledged {
    numbers: Mutex<BTreeMap<String, u64>>,
    count: watch::Sender<usize>,
}

impl Acknowledged {
    fn add(&self, key: &str, number: u64) {
        self.numbers.lock().unwrap().insert(key.to_owned(), number);
        self.count.send_modify(|count| *count += 1);
    }
}

/// Writes new objects and replaces one, until the server is gone.
async fn write(bucket: S3Bucket, writer: u64, round: u64, acknowledged: Arc<Acknowledged>) -> BucketError {
    let replaced = format!("replaced/{writer}");
    for step in 0.. {
        let number = round * 1_000_000 + step;
        let new = format!("new/{writer}/{round:02}/{step:06}");
        for (key, condition) in [(&new, Condition::IfAbsent), (&replaced, Condition::Always)] {
            match bucket.put(key, object(number), Headers::default(), condition).await {
                Ok(Put::Stored(_)) => acknowledged.add(key, number),
                Ok(Put::Refused) => panic!("{key} was there already"),
                Err(error) => return error,
            }
        }
    }
    unreachable!("the steps do not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_whole_objects_and_all_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(Acknowledged::default());
    for round in 1..=ROUNDS {
        let mut process = Process::start(folder.path());
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let bucket = bucket(process.address, "frames");
            writers.spawn(write(bucket, writer, round, acknowledged.clone()));
        }
        let target = *acknowledged.count.borrow() + ACKNOWLEDGED_PER_ROUND;
        let mut count = acknowledged.count.subscribe();
        count.wait_for(|count| *count >= target).await.unwrap();
        process.kill();
        while let Some(error) = writers.join_next().await {
            let error = error.unwrap();
            assert!(error.is_retryable(), "{error}");
        }
        check(folder.path(), &acknowledged).await;
    }
}

/// Starts the server again, and compares what it has with what it acknowledged.
async fn check(folder: &Path, acknowledged: &Acknowledged) {
    let process = Process::start(folder);
    assert_eq!(std::fs::read_dir(folder.join(".temporary")).unwrap().count(), 0);
    let bucket = bucket(process.address, "frames");
    let mut found = BTreeMap::new();
    for listed in bucket.list_after("", "", usize::MAX).await.unwrap() {
        let object = bucket.get(&listed.key).await.unwrap().unwrap();
        assert_eq!(object.bytes.len() as u64, listed.size_bytes);
        found.insert(listed.key.clone(), number_of(&listed.key, &object.bytes));
    }
    for (key, number) in acknowledged.numbers.lock().unwrap().iter() {
        // A later write may have happened without its acknowledgement arriving.
        assert!(found.get(key) >= Some(number), "{key}: {:?} < {number}", found.get(key));
    }
}
