//! What a run finds of a camera, and what of that is remembered.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    ops::Range,
    sync::Arc,
};

use teiten_archive::{Footage, HEADS_MAX};
use teiten_footage::{BatchKey, CameraId, Hour, MotionSpan, SegmentKey, Timestamp, Window};
use tokio::time::Instant;

use crate::{
    memory::{Done, Memory},
    share::Lack,
};

/// How a run looks at a camera.
pub(crate) struct Sight {
    pub(crate) now: Timestamp,
    /// From when on.
    pub(crate) from: Timestamp,
    /// When it looks no farther back than every run does.
    pub(crate) until: Instant,
    /// What earlier runs sent.
    pub(crate) sent: HashSet<BatchKey>,
    /// The most batches of which it keeps what they are.
    pub(crate) batches_max: usize,
    /// Whether those are the newest, and not the oldest.
    pub(crate) is_newest: bool,
}

impl Sight {
    /// Whether there is no time for more than every run does.
    pub(crate) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}

/// What was found of one camera.
pub(crate) struct Found {
    pub(crate) camera: CameraId,
    pub(crate) memory: Arc<Memory>,
    /// From when on it was looked at.
    pub(crate) from: Timestamp,
    /// From when on there was no time to look at it, up to where every run looks.
    pub(crate) unseen: Option<Range<Timestamp>>,
    pub(crate) batches: usize,
    pub(crate) without_segment: WithoutSegment,
    /// Hours with segments.
    pub(crate) filmed: BTreeSet<Hour>,
    /// Segments that can be part of the live playlist.
    pub(crate) live: Vec<Footage>,
    pub(crate) heads_left: usize,
    pub(crate) unlisted: Option<SegmentKey>,
    /// What moved when the camera fell silent, just now.
    pub(crate) cut_off: Option<MotionSpan>,
    /// Whether `cameras.json` is to name it.
    pub(crate) is_listed: bool,
    pub(crate) hours_mended: usize,
    pub(crate) motion_mended: usize,
    pub(crate) archive_rebuilt: bool,
}

/// Batches of one camera that have no segment.
#[derive(Default)]
pub(crate) struct WithoutSegment {
    /// Those to be sent first, one more than a run may send.
    pub(crate) first: VecDeque<BatchKey>,
    /// The oldest one's window.
    pub(crate) oldest: Option<Window>,
    /// How many there are.
    pub(crate) count: usize,
    /// Those beside them that earlier runs sent.
    pub(crate) awaited: Vec<BatchKey>,
    /// How many of what earlier runs sent has its segment now.
    pub(crate) encoded: usize,
}

impl Found {
    pub(crate) fn nothing_of(camera: CameraId, memory: Arc<Memory>, from: Timestamp) -> Self {
        Self {
            camera,
            memory,
            from,
            unseen: None,
            batches: 0,
            without_segment: WithoutSegment::default(),
            filmed: BTreeSet::new(),
            live: Vec::new(),
            heads_left: HEADS_MAX,
            unlisted: None,
            cut_off: None,
            is_listed: false,
            hours_mended: 0,
            motion_mended: 0,
            archive_rebuilt: false,
        }
    }

    /// From when on nothing of it was left out.
    pub(crate) fn seen_from(&self) -> Timestamp {
        self.unseen.as_ref().map_or(self.from, |unseen| unseen.end)
    }

    pub(crate) fn lack(&self) -> Lack {
        let WithoutSegment { first, awaited, encoded, .. } = &self.without_segment;
        // What was sent and not looked for may be under way still.
        let unseen = self.unseen.as_ref().map_or(0, |unseen| self.memory.sent_within(unseen));
        Lack {
            batches: first.len(),
            awaited: awaited.len() + unseen,
            encoded: *encoded,
            is_unanswered: self.memory.is_unanswered(),
            is_partial: self.unseen.is_some(),
        }
    }

    /// What is to be remembered once so much was `sent`.
    pub(crate) fn done<'a>(&'a self, sent: &'a [BatchKey]) -> Done<'a> {
        let WithoutSegment { first, oldest, count, awaited, encoded } = &self.without_segment;
        let next = || {
            if self.memory.is_unanswered() { *oldest } else { first.get(sent.len()).map(|key| key.window) }
        };
        let left = if sent.len() < *count { next() } else { None };
        let unseen = self.unseen.as_ref().map(|unseen| unseen.start);
        Done {
            from: self.from,
            unseen: self.unseen.clone(),
            sent,
            awaited,
            encoded: *encoded,
            left: left.map(Window::start).into_iter().chain(unseen).min(),
        }
    }
}

impl WithoutSegment {
    /// Notes the batches that are `missing` a segment in an hour, and how many there are in it that were `sent`. The older hours come
    /// first.
    pub(crate) fn note(&mut self, sent: usize, missing: &[&BatchKey], sight: &Sight) {
        let awaited_before = self.awaited.len();
        for key in missing {
            if sight.sent.contains(key) {
                self.awaited.push((*key).clone());
                continue;
            }
            self.count += 1;
            self.oldest.get_or_insert(key.window);
            if sight.is_newest {
                self.first.push_front((*key).clone());
                self.first.truncate(sight.batches_max + 1);
            } else if self.first.len() <= sight.batches_max {
                self.first.push_back((*key).clone());
            }
        }
        self.encoded += sent - (self.awaited.len() - awaited_before);
    }
}
