//! What every [`Bucket`] must do, as one suite: Teiten's correctness rests on conditional puts that hold and
//! listings in byte order, and stores differ in both. It needs an empty corner of a bucket, nothing else,
//! and so runs against any store.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{BoxFuture, try_join_all};
use tokio::task::JoinSet;

use crate::{Bucket, BucketError, Condition, ETag, Headers, Object, Put};

const RACERS: usize = 8;
const RACE_ROUNDS: usize = 40;
const INCREMENTS_PER_RACER: usize = 20;

/// More than fits one page of an S3 listing.
const PAGED_OBJECTS: usize = 1040;

/// How many requests are under way at once where many objects are written.
const PARALLEL_REQUESTS_MAX: usize = 16;

const TEXT: Headers = Headers { content_type: "text/plain", cache_control: "no-cache", ..Headers::NONE };

/// Names of objects that something between client and disk might mangle. Left out is what common stores
/// refuse outright: control characters, `.` and `..` as path segments, doubled or trailing slashes.
const AWKWARD_NAMES: [&str; 12] = [
    "with space",
    "plus+and%percent",
    "%2F%00",
    "query?mark=1&two#three",
    "quotes'\"`",
    "<xml>&amp;",
    "(round)[square]{curly}",
    "star*semi;comma,at@dollar$bang!",
    "colon:equals=tilde~pipe|",
    "定点/カメラ-1",
    "é\u{301}🎥",
    "camera-1/2026-11-23/04/20261123T040501.000Z-1000.mjpeg",
];

/// What a case found.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store failed where it should have worked.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The store answered, wrongly.
    #[error("{what}: expected {expected}, saw {seen}")]
    Wrong {
        /// What was looked at.
        what: String,
        /// What it should have been.
        expected: String,
        /// What it was.
        seen: String,
    },
    /// A case's own task died.
    #[error("a writer died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// How one case went.
#[derive(Debug)]
pub struct Outcome {
    /// The case, as a sentence.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// What it found.
    pub result: Result<(), Failure>,
}

/// How all cases went.
#[derive(Debug)]
pub struct Report {
    /// One outcome a case, in order.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Whether every case held.
    pub fn passed(&self) -> bool {
        self.failures_count() == 0
    }

    /// How many cases did not hold.
    pub fn failures_count(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.result.is_err()).count()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.result.is_ok() { "ok" } else { "FAILED" };
        write!(f, "{verdict:6} {:>6} ms  {}", self.took.as_millis(), self.name)?;
        match &self.result {
            Ok(()) => Ok(()),
            Err(failure) => write!(f, "\n       {failure}"),
        }
    }
}

/// One line a case (a second one where it failed), and a last line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in &self.outcomes {
            writeln!(f, "{outcome}")?;
        }
        write!(f, "{} cases, {} failed", self.outcomes.len(), self.failures_count())
    }
}

/// Runs every case under a prefix of its own, and deletes what they wrote.
pub async fn run(bucket: Arc<dyn Bucket>) -> Report {
    let corner = Corner { bucket, prefix: unique_prefix() };
    let mut outcomes = Vec::with_capacity(CASES.len());
    for (name, case) in CASES {
        let start = Instant::now();
        let result = case(corner.clone()).await;
        outcomes.push(Outcome { name, took: start.elapsed(), result });
    }
    Report { outcomes }
}

/// A prefix that no other run uses, on this machine or another one.
fn unique_prefix() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    format!("conformance-{}-{}-{run}/", teiten_telemetry::now().unix_micros(), std::process::id())
}

type Case = fn(Corner) -> BoxFuture<'static, Result<(), Failure>>;

const CASES: [(&str, Case); 16] = [
    ("an absent object is absent", |corner| Box::pin(absent(corner))),
    ("what is put can be got", |corner| Box::pin(round_trip(corner))),
    ("a part of an object can be got", |corner| Box::pin(parts(corner))),
    ("an object that is too large is not got", |corner| Box::pin(too_large(corner))),
    ("an empty object is an object", |corner| Box::pin(empty_object(corner))),
    ("awkward keys are kept as they are", |corner| Box::pin(awkward_keys(corner))),
    ("overwriting changes the entity tag", |corner| Box::pin(overwrite(corner))),
    ("put-if-absent happens once", |corner| Box::pin(if_absent(corner))),
    ("put-if-match needs the current version", |corner| Box::pin(if_match(corner))),
    ("put-if-match on an absent object is refused", |corner| Box::pin(if_match_absent(corner))),
    ("a listing is in byte order, after a key, under a prefix", |corner| Box::pin(listing(corner))),
    ("a listing goes on over pages", |corner| Box::pin(paged_listing(corner))),
    ("deleting is idempotent", |corner| Box::pin(delete(corner))),
    ("of 8 racing put-if-absent exactly one wins", |corner| Box::pin(race(corner))),
    ("160 compare-and-swap increments by 8 writers add up to 160", |corner| Box::pin(increments(corner))),
    ("everything can be deleted again", |corner| Box::pin(clean_up(corner))),
];

/// The corner of a bucket that a run writes to.
#[derive(Debug, Clone)]
struct Corner {
    bucket: Arc<dyn Bucket>,
    prefix: String,
}

impl Corner {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn put(&self, name: &str, bytes: &[u8], condition: Condition) -> Result<Put, BucketError> {
        self.bucket.put(&self.key(name), Bytes::copy_from_slice(bytes), TEXT, condition).await
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, BucketError> {
        self.bucket.get(&self.key(name)).await
    }

    /// A put that must happen.
    async fn store(&self, name: &str, bytes: &[u8], condition: Condition) -> Result<ETag, Failure> {
        match self.put(name, bytes, condition).await? {
            Put::Stored(etag) => Ok(etag),
            Put::Refused => Err(wrong(&format!("put {name:?}"), "stored", "refused")),
        }
    }

    /// A put that must not happen.
    async fn refused(&self, name: &str, bytes: &[u8], condition: Condition) -> Result<(), Failure> {
        let what = format!("put {name:?} with {condition:?}");
        expect(&what, Put::Refused, self.put(name, bytes, condition).await?)
    }

    /// A get that must find `bytes`; gives the object's tag.
    async fn holds(&self, name: &str, bytes: &[u8]) -> Result<ETag, Failure> {
        let what = format!("get {name:?}");
        let Some(object) = self.get(name).await? else { return Err(wrong(&what, "an object", "none")) };
        expect(&what, Bytes::copy_from_slice(bytes), object.bytes)?;
        Ok(object.etag)
    }

    /// The names (without the corner's prefix) that a listing gives.
    async fn names(&self, prefix: &str, after: &str, count_max: usize) -> Result<Vec<String>, Failure> {
        let after = if after.is_empty() { String::new() } else { self.key(after) };
        let listed = self.bucket.list_after(&self.key(prefix), &after, count_max).await?;
        let own = |key: &str| key.strip_prefix(&self.prefix).map(str::to_owned);
        listed
            .iter()
            .map(|one| own(&one.key).ok_or_else(|| wrong("a listed key", &self.prefix, &one.key)))
            .collect()
    }
}

fn wrong(what: &str, expected: &str, seen: &str) -> Failure {
    Failure::Wrong { what: what.to_owned(), expected: expected.to_owned(), seen: seen.to_owned() }
}

fn expect<T: fmt::Debug + PartialEq>(what: &str, expected: T, seen: T) -> Result<(), Failure> {
    if seen == expected {
        return Ok(());
    }
    Err(wrong(what, &format!("{expected:?}"), &format!("{seen:?}")))
}

/// Runs `writer` as [`RACERS`] tasks at once, and gives what each one returned.
async fn race_of<T, F>(writer: impl Fn(usize) -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for racer in 0..RACERS {
        tasks.spawn(writer(racer));
    }
    let mut results = Vec::with_capacity(RACERS);
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

async fn absent(corner: Corner) -> Result<(), Failure> {
    expect("get of an absent object", true, corner.get("absent").await?.is_none())
}

async fn round_trip(corner: Corner) -> Result<(), Failure> {
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let put = corner.store("round-trip", &bytes, Condition::Always).await?;
    let got = corner.holds("round-trip", &bytes).await?;
    expect("the tag of a get and of its put", put, got)
}

async fn parts(corner: Corner) -> Result<(), Failure> {
    let put = corner.store("parts", b"0123456789", Condition::Always).await?;
    for (offset, length, part) in
        [(0, 10, "0123456789"), (0, 4, "0123"), (3, 4, "3456"), (9, 1, "9"), (6, 100, "6789"), (3, 0, "")]
    {
        let what = format!("get of {length} bytes from {offset} on");
        let Some(object) = corner.bucket.get_range(&corner.key("parts"), offset, length).await? else {
            return Err(wrong(&what, "an object", "none"));
        };
        expect(&what, Bytes::from_static(part.as_bytes()), object.bytes)?;
        expect("the tag of a part", put.clone(), object.etag)?;
    }
    let absent = corner.bucket.get_range(&corner.key("no-parts"), 0, 4).await?;
    expect("get of a part of an absent object", true, absent.is_none())
}

async fn too_large(corner: Corner) -> Result<(), Failure> {
    let key = corner.key("too-large");
    let put = corner.store("too-large", b"0123456789", Condition::Always).await?;
    let got = corner.bucket.get_up_to(&key, 10).await?;
    let got = got.map(|object| (object.bytes, object.etag));
    expect("get of up to 10 bytes of 10", Some((Bytes::from_static(b"0123456789"), put)), got)?;
    match corner.bucket.get_up_to(&key, 9).await {
        Err(BucketError::TooLarge { bytes, .. }) => expect("the size told", 10, bytes)?,
        Err(error) => return Err(error.into()),
        Ok(got) => return Err(wrong("get of up to 9 bytes of 10", "a refusal", &format!("{got:?}"))),
    }
    let absent = corner.bucket.get_up_to(&corner.key("nothing-large"), 9).await?;
    expect("get of up to 9 bytes of an absent object", true, absent.is_none())
}

async fn empty_object(corner: Corner) -> Result<(), Failure> {
    corner.store("empty", b"", Condition::Always).await?;
    corner.holds("empty", b"").await?;
    let listed = corner.bucket.list_after(&corner.key("empty"), "", 10).await?;
    expect("the sizes listed", vec![0], listed.iter().map(|one| one.size_bytes).collect())
}

async fn awkward_keys(corner: Corner) -> Result<(), Failure> {
    let names = AWKWARD_NAMES.map(|name| format!("awkward/{name}"));
    for name in &names {
        corner.store(name, name.as_bytes(), Condition::IfAbsent).await?;
    }
    for name in &names {
        corner.holds(name, name.as_bytes()).await?;
    }
    let in_order: Vec<String> = names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    expect("the listing", in_order.clone(), corner.names("awkward/", "", 100).await?)?;
    for (i, name) in in_order.iter().enumerate() {
        let rest = in_order[i + 1..].to_vec();
        expect(&format!("the listing after {name:?}"), rest, corner.names("awkward/", name, 100).await?)?;
    }
    for name in &names {
        corner.bucket.delete(&corner.key(name)).await?;
    }
    expect("the listing after deleting", Vec::new(), corner.names("awkward/", "", 100).await?)
}

async fn overwrite(corner: Corner) -> Result<(), Failure> {
    let first = corner.store("overwrite", b"first", Condition::Always).await?;
    let second = corner.store("overwrite", b"other", Condition::Always).await?;
    expect("whether the tag changed", true, first != second)?;
    let current = corner.holds("overwrite", b"other").await?;
    expect("the tag of a get and of the last put", second, current)
}

async fn if_absent(corner: Corner) -> Result<(), Failure> {
    let etag = corner.store("if-absent", b"first", Condition::IfAbsent).await?;
    corner.refused("if-absent", b"second", Condition::IfAbsent).await?;
    let current = corner.holds("if-absent", b"first").await?;
    expect("the tag after a refused put", etag, current)?;
    corner.bucket.delete(&corner.key("if-absent")).await?;
    corner.store("if-absent", b"third", Condition::IfAbsent).await?;
    corner.holds("if-absent", b"third").await.map(drop)
}

async fn if_match(corner: Corner) -> Result<(), Failure> {
    let first = corner.store("if-match", b"1", Condition::Always).await?;
    let second = corner.store("if-match", b"2", Condition::IfMatch(first.clone())).await?;
    corner.refused("if-match", b"stale", Condition::IfMatch(first)).await?;
    let current = corner.holds("if-match", b"2").await?;
    expect("the tag after a refused put", second, current.clone())?;
    corner.store("if-match", b"3", Condition::IfMatch(current)).await?;
    corner.holds("if-match", b"3").await.map(drop)
}

async fn if_match_absent(corner: Corner) -> Result<(), Failure> {
    let stale = corner.store("if-match-absent", b"1", Condition::Always).await?;
    corner.bucket.delete(&corner.key("if-match-absent")).await?;
    corner.refused("if-match-absent", b"2", Condition::IfMatch(stale)).await?;
    expect("whether it stayed absent", true, corner.get("if-match-absent").await?.is_none())
}

async fn listing(corner: Corner) -> Result<(), Failure> {
    // Byte order puts '-' and '.' before '/', and '/' before digits: what a walk of folders gets wrong.
    let in_order = ["list/a-b", "list/a.b", "list/a/1", "list/a/2", "list/a0", "list/b/c/d", "list/c"];
    for name in in_order.iter().rev() {
        corner.store(name, name.as_bytes(), Condition::Always).await?;
    }
    // (prefix, after, count_max, expected)
    let cases: [(&str, &str, usize, &[&str]); 11] = [
        ("list/", "", 100, &in_order),
        ("list/", "", 3, &in_order[..3]),
        ("list/", "", 0, &[]),
        ("list/", "list/a.b", 100, &in_order[2..]),
        ("list/", "list/a/1", 2, &in_order[3..5]),
        ("list/", "list/a/", 100, &in_order[2..]),
        ("list/", "list/a/zzz", 100, &in_order[4..]),
        ("list/", "list/c", 100, &[]),
        ("list/a", "", 100, &in_order[..5]),
        ("list/a/", "list/a", 100, &in_order[2..4]),
        ("list/b/c/", "list/a", 100, &in_order[5..6]),
    ];
    for (prefix, after, count_max, expected) in cases {
        let what = format!("at most {count_max} under {prefix:?} after {after:?}");
        let expected: Vec<String> = expected.iter().map(|&name| name.to_owned()).collect();
        expect(&what, expected, corner.names(prefix, after, count_max).await?)?;
    }
    let listed = corner.bucket.list_after(&corner.key("list/c"), "", 1).await?;
    let (size, modified) = listed.first().map_or((0, 0), |one| (one.size_bytes, one.modified_unix_millis));
    expect("the size listed", "list/c".len() as u64, size)?;
    let off_by = teiten_telemetry::now().unix_millis().abs_diff(modified);
    expect("whether the time listed is this hour", true, off_by < 3_600_000)
}

async fn paged_listing(corner: Corner) -> Result<(), Failure> {
    let names: Vec<String> = (0..PAGED_OBJECTS).map(|i| format!("pages/{:02}/{i:05}", i / 100)).collect();
    for some in names.chunks(PARALLEL_REQUESTS_MAX) {
        try_join_all(some.iter().map(|name| corner.store(name, b"", Condition::Always))).await?;
    }
    expect("all", names.clone(), corner.names("pages/", "", usize::MAX).await?)?;
    expect("all but the last", names[..PAGED_OBJECTS - 1].to_vec(), {
        corner.names("pages/", "", PAGED_OBJECTS - 1).await?
    })?;
    let rest = names[11..].to_vec();
    expect("after the 11th", rest, corner.names("pages/", &names[10], PAGED_OBJECTS).await?)
}

async fn delete(corner: Corner) -> Result<(), Failure> {
    corner.store("delete", b"x", Condition::Always).await?;
    corner.bucket.delete(&corner.key("delete")).await?;
    expect("whether it is gone", true, corner.get("delete").await?.is_none())?;
    corner.bucket.delete(&corner.key("delete")).await?;
    corner.bucket.delete(&corner.key("never/was")).await?;
    corner.store("delete", b"x", Condition::Always).await?;
    let keys = ["never/was", "delete", "<never>/&was"].map(|name| corner.key(name));
    corner.bucket.delete_all(&keys).await?;
    expect("whether it is gone with others", true, corner.get("delete").await?.is_none())
}

async fn race(corner: Corner) -> Result<(), Failure> {
    for round in 0..RACE_ROUNDS {
        let name = format!("race/{round}");
        let results = race_of(|racer| {
            let (corner, name) = (corner.clone(), name.clone());
            async move {
                let put = corner.put(&name, racer.to_string().as_bytes(), Condition::IfAbsent).await?;
                Ok((racer, put))
            }
        })
        .await?;
        let winners: Vec<_> = results.into_iter().filter(|(_, put)| *put != Put::Refused).collect();
        expect(&format!("the number of winners of round {round}"), 1, winners.len())?;
        let (winner, put) = &winners[0];
        let etag = corner.holds(&name, winner.to_string().as_bytes()).await?;
        expect("the winner's tag", put.clone(), Put::Stored(etag))?;
    }
    Ok(())
}

async fn increments(corner: Corner) -> Result<(), Failure> {
    corner.store("counter", b"0", Condition::IfAbsent).await?;
    race_of(|_racer| {
        let corner = corner.clone();
        async move {
            for _ in 0..INCREMENTS_PER_RACER {
                while !increment(&corner).await? {}
            }
            Ok(())
        }
    })
    .await?;
    corner.holds("counter", (RACERS * INCREMENTS_PER_RACER).to_string().as_bytes()).await.map(drop)
}

/// One attempt to add one to the counter; whether it succeeded.
async fn increment(corner: &Corner) -> Result<bool, Failure> {
    let Some(object) = corner.get("counter").await? else {
        return Err(wrong("the counter", "an object", "none"));
    };
    let text = String::from_utf8_lossy(&object.bytes).into_owned();
    let count: usize = text.parse().map_err(|_| wrong("the counter", "a number", &text))?;
    let next = (count + 1).to_string();
    let put = corner.put("counter", next.as_bytes(), Condition::IfMatch(object.etag)).await?;
    Ok(put != Put::Refused)
}

async fn clean_up(corner: Corner) -> Result<(), Failure> {
    let listed = corner.bucket.list_after(&corner.prefix, "", usize::MAX).await?;
    let keys: Vec<String> = listed.into_iter().map(|one| one.key).collect();
    corner.bucket.delete_all(&keys).await?;
    expect("what is left", Vec::new(), corner.names("", "", 10).await?)
}
