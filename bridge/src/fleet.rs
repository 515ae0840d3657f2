//! Which bridges there are, and which camera is whose: a value with time as an argument.
//!
//! Every bridge says `online` on its own retained status topic, again and again, and the empty message when it goes
//! or as its last will (docs/formats.md, "Several bridges"). What is heard of a bridge *now* counts; a retained
//! message is what somebody said once, and the hello of whoever subscribes makes all others say it again. So a bridge
//! that went without a word, and whose retained `online` stays, keeps nobody's cameras.
//!
//! Of the bridges that it knows, each works out by itself which one has a camera: the one whose hash with the camera's
//! name is the greatest (rendezvous hashing, also "highest random weight"). Equal views give equal owners, and a
//! bridge that comes or goes moves no camera but its own. While views differ, a camera may have two owners for a
//! moment, which does no harm, for keys follow from what objects hold; or none, if the connection of its owner is cut,
//! until that is noticed. Who can resend, resends then.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use teiten_footage::{CameraId, ContentHash, ReplicaId};

/// How often a bridge says that it is there.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(2);

/// A bridge that has not heard itself for this long has lost touch: others serve its cameras.
const IN_TOUCH_MAX: Duration = Duration::from_secs(5);

/// A bridge that was not heard for this long is no more.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(8);

/// The most other bridges: one more is not believed to be there, and serves nobody's cameras but what it thinks its own.
const OTHERS_MAX: usize = 64;

// Who is cut off gives up its cameras before it takes the others' silence for their end.
const _: () = assert!(IN_TOUCH_MAX.as_millis() + BEAT_EVERY.as_millis() < SILENCE_MAX.as_millis());
const _: () = assert!(2 * BEAT_EVERY.as_millis() < IN_TOUCH_MAX.as_millis());

/// What a change of the fleet means for this bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shift {
    /// Cameras may be this bridge's that were not.
    Gained,
    /// Cameras may be this bridge's no more.
    Ceded,
    /// None: it does not hear itself, and knows of no others, so that all cameras stay its own. Others may be there all the
    /// same, which think so too.
    Unheard,
}

/// This bridge's part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It hears what it says itself.
    InTouch { heard: Instant },
    /// It does not; what it last knew of the others is kept, for their silence says nothing.
    OutOfTouch,
    /// It has said that it goes, and heard itself say so.
    Gone,
}

/// The bridges that share the cameras, as one of them sees it.
#[derive(Debug)]
pub(crate) struct Fleet {
    me: ReplicaId,
    part: Part,
    /// Whether it has heard itself on this connection.
    was_heard: bool,
    /// The others, with when each was heard last.
    others: BTreeMap<ReplicaId, Instant>,
}

impl Fleet {
    /// Alone, until others are heard.
    pub(crate) fn new(me: ReplicaId) -> Self {
        Self { me, part: Part::OutOfTouch, was_heard: false, others: BTreeMap::new() }
    }

    /// This bridge.
    pub(crate) fn me(&self) -> &ReplicaId {
        &self.me
    }

    /// The others.
    pub(crate) fn others(&self) -> impl ExactSizeIterator<Item = &ReplicaId> {
        self.others.keys()
    }

    /// Whether what this bridge says is heard.
    pub(crate) fn is_heard(&self) -> bool {
        self.was_heard && matches!(self.part, Part::InTouch { .. })
    }

    /// Whether this bridge is to store the frames of `camera`.
    pub(crate) fn owns(&self, camera: &CameraId) -> bool {
        if self.others.is_empty() {
            return true;
        }
        let others = self.others.keys();
        match self.part {
            Part::InTouch { .. } => owner(others.chain([&self.me]), camera) == Some(&self.me),
            Part::OutOfTouch | Part::Gone => false,
        }
    }

    /// A new connection hears what is said from now on. Who else is there, the hello will show.
    pub(crate) fn subscribed(&mut self, now: Instant) {
        self.part = Part::InTouch { heard: now };
        self.was_heard = false;
        self.others.clear();
    }

    /// A bridge said just now that it is there, or that it is not any more.
    pub(crate) fn heard(&mut self, replica: &ReplicaId, online: bool, now: Instant) -> Option<Shift> {
        if *replica == self.me {
            return self.heard_myself(online, now);
        }
        if !online {
            return self.others.remove(replica).map(|_| Shift::Gained);
        }
        if let Some(heard) = self.others.get_mut(replica) {
            *heard = now;
            return None;
        }
        if self.others.len() >= OTHERS_MAX {
            return None;
        }
        self.others.insert(replica.clone(), now);
        Some(Shift::Ceded)
    }

    /// A word of this bridge's own went to the broker and back.
    fn heard_myself(&mut self, online: bool, now: Instant) -> Option<Shift> {
        let before = self.part;
        match before {
            Part::Gone => return None,
            // Not said by this process: the last will of an earlier one of the same name. The next word mends it.
            _ if !online => return None,
            Part::InTouch { .. } | Part::OutOfTouch => self.part = Part::InTouch { heard: now },
        }
        self.was_heard = true;
        (before == Part::OutOfTouch && !self.others.is_empty()).then_some(Shift::Gained)
    }

    /// This bridge has heard itself say that it goes: what is sent from now on reaches those who stay.
    pub(crate) fn gone(&mut self) {
        self.part = Part::Gone;
    }

    /// Notices who has not been heard for too long.
    pub(crate) fn on_timer(&mut self, now: Instant) -> Option<Shift> {
        let Part::InTouch { heard } = self.part else { return None };
        if now.duration_since(heard) > IN_TOUCH_MAX {
            self.part = Part::OutOfTouch;
            return Some(if self.others.is_empty() { Shift::Unheard } else { Shift::Ceded });
        }
        let before = self.others.len();
        self.others.retain(|_, heard| now.duration_since(*heard) <= SILENCE_MAX);
        (self.others.len() < before).then_some(Shift::Gained)
    }
}

/// The one of `members` that has `camera`. Golden: bridges of different versions must agree.
pub(crate) fn owner<'a>(
    members: impl IntoIterator<Item = &'a ReplicaId>,
    camera: &CameraId,
) -> Option<&'a ReplicaId> {
    // Names have no slash, so no two pairs make the same text. Equal hashes are settled by name.
    let weight = |member: &ReplicaId| ContentHash::of_parts([member.as_str(), "/", camera.as_str()]).to_u64();
    members.into_iter().max_by_key(|member| (weight(member), *member))
}

#[cfg(test)]
mod tests;
