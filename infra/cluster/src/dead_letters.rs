//! What no function could handle: the objects that `dead-letters` keeps (docs/formats.md, "Dead letter").

use teiten_bucket::{Bucket, BucketError};
use teiten_footage::{DeadLetter, key::DEAD_LETTERS_PREFIX};

/// How many are counted at most: what one request to the store lists.
const COUNT_MAX: usize = 1000;

/// How many requests look for the newest of more. Days take as many as are kept, hours, minutes and seconds as a clock has.
const REQUESTS_MAX: usize = 1000;

/// How far keys of one day are the same, of one hour, of one minute, of one second.
const SAME: [&str; 4] =
    ["2026-11-23/", "2026-11-23/04/", "2026-11-23/04/20261123T0405", "2026-11-23/04/20261123T040501Z-"];

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
    let page = frames.list_after(DEAD_LETTERS_PREFIX, "", COUNT_MAX).await?;
    let count = page.len();
    let Some(last) = page.into_iter().next_back().map(|listed| listed.key) else {
        return Ok(DeadLetters { count, more: false, newest: None });
    };
    let newest = if count == COUNT_MAX { newest(frames, last.clone()).await? } else { last.clone() };
    let object = frames.get(&newest).await?;
    Ok(DeadLetters {
        count,
        more: newest != last,
        newest: object.and_then(|object| serde_json::from_slice(&object.bytes).ok()),
    })
}

/// The last key, and so the newest, from `last` on. Leaps over the rest of its day until there is no other day, then of its hour and
/// so on, for there may be hundreds of thousands.
async fn newest(frames: &dyn Bucket, mut last: String) -> Result<String, BucketError> {
    let mut requests = 0..REQUESTS_MAX;
    for same in SAME {
        while let (Some(begin), Some(_)) =
            (last.get(..DEAD_LETTERS_PREFIX.len() + same.len()), requests.next())
        {
            // Nothing that begins so comes behind this.
            let end = format!("{begin}~");
            match frames.list_after(DEAD_LETTERS_PREFIX, &end, 1).await?.pop() {
                Some(later) => last = later.key,
                None => break,
            }
        }
    }
    for _ in requests {
        match frames.list_after(DEAD_LETTERS_PREFIX, &last, COUNT_MAX).await?.pop() {
            Some(later) => last = later.key,
            None => break,
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::json;
    use teiten_bucket::{Condition, Headers, MemoryBucket};
    use teiten_footage::{CloudEvent, Timestamp};

    use super::*;

    /// Keeps a dead letter of each of these seconds.
    async fn kept(seconds: impl Iterator<Item = u64>) -> MemoryBucket {
        let frames = MemoryBucket::new("frames");
        for (id, seconds) in seconds.enumerate() {
            let event = CloudEvent {
                id: id.to_string(),
                source: "/teiten/bridge".to_owned(),
                kind: "teiten.batch.stored".to_owned(),
                subject: Some("gate".to_owned()),
                time: None,
                extensions: BTreeMap::new(),
                data: json!({}),
            };
            let (letter, key) = DeadLetter::of(event, Timestamp::Y2020 + Duration::from_secs(seconds));
            let json = serde_json::to_vec(&letter).unwrap();
            frames.put(&key, json.into(), Headers::default(), Condition::Always).await.unwrap();
        }
        frames
    }

    /// How many are counted, whether there are more, and how many seconds the newest is behind the first.
    async fn found(frames: &MemoryBucket) -> (usize, bool, Option<u64>) {
        let DeadLetters { count, more, newest } = read(frames).await.unwrap();
        let at = newest.map(|letter| Timestamp::from_rfc3339(&letter.at).unwrap());
        (count, more, at.map(|at| at.since(Timestamp::Y2020).as_secs()))
    }

    #[tokio::test]
    async fn the_newest_is_found_however_many_there_are() {
        assert_eq!(found(&kept([].into_iter()).await).await, (0, false, None));
        assert_eq!(found(&kept(0..1000).await).await, (1000, false, Some(999)));
        assert_eq!(found(&kept(0..1001).await).await, (1000, true, Some(1000)));
        // In the same second as the last that are counted; in another hour; over days.
        assert_eq!(found(&kept((0..2500).map(|_| 7)).await).await, (1000, true, Some(7)));
        assert_eq!(found(&kept((0..3000).map(|id| 4 * id)).await).await, (1000, true, Some(11_996)));
        assert_eq!(found(&kept((0..1500).map(|id| 997 * id)).await).await, (1000, true, Some(1_494_503)));
    }
}
