//! What no function could handle: the objects that `dead-letters` keeps (docs/formats.md, "Dead letter").

use teiten_bucket::Bucket;
use teiten_footage::{DeadLetter, key::DEAD_LETTERS_PREFIX};

/// How many are read at most; more are counted.
const READ_MAX: usize = 1000;

/// The dead letters that are kept: how many, and the newest one.
pub(crate) struct DeadLetters {
    /// How many there are, up to a limit.
    pub count: usize,
    /// Whether there are more.
    pub more: bool,
    /// The newest of them.
    pub newest: Option<DeadLetter>,
}

/// Reads the dead letters.
pub(crate) async fn read(frames: &dyn Bucket) -> anyhow::Result<DeadLetters> {
    let (mut count, mut last, mut after) = (0, None, String::new());
    // Keys sort by time, so the newest is the last.
    while count < READ_MAX {
        let page = frames.list_after(DEAD_LETTERS_PREFIX, &after, READ_MAX).await?;
        let Some(end) = page.last() else { break };
        after.clone_from(&end.key);
        count += page.len();
        last = Some(after.clone());
    }
    let newest = match last {
        Some(key) => frames.get(&key).await?.and_then(|object| serde_json::from_slice(&object.bytes).ok()),
        None => None,
    };
    Ok(DeadLetters { count, more: count >= READ_MAX, newest })
}
