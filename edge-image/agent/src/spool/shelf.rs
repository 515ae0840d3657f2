//! Things in the order of their age, up to a number of bytes: the oldest make room for new ones.

use std::collections::{BTreeMap, HashMap};

use teiten_footage::{FrameId, Timestamp};

/// A bounded shelf of one `T` for each frame.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    bytes_max: u64,
    bytes: u64,
    by_age: BTreeMap<(Timestamp, FrameId), Item<T>>,
    captured: HashMap<FrameId, Timestamp>,
}

#[derive(Debug)]
struct Item<T> {
    bytes: u64,
    thing: T,
}

impl<T> Shelf<T> {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, by_age: BTreeMap::new(), captured: HashMap::new() }
    }

    /// Puts a frame's thing on the shelf and takes down the oldest ones until all fit, the new one perhaps
    /// among them: those that were taken down.
    pub(super) fn put(
        &mut self,
        id: FrameId,
        captured: Timestamp,
        bytes: usize,
        thing: T,
    ) -> Vec<(FrameId, T)> {
        self.remove(id);
        let bytes = bytes as u64;
        self.bytes += bytes;
        self.by_age.insert((captured, id), Item { bytes, thing });
        self.captured.insert(id, captured);
        let mut taken_down = Vec::new();
        while self.bytes > self.bytes_max
            && let Some(((_, id), item)) = self.by_age.pop_first()
        {
            self.captured.remove(&id);
            self.bytes -= item.bytes;
            taken_down.push((id, item.thing));
        }
        taken_down
    }

    pub(super) fn get(&self, id: FrameId) -> Option<&T> {
        let captured = self.captured.get(&id)?;
        self.by_age.get(&(*captured, id)).map(|item| &item.thing)
    }

    pub(super) fn remove(&mut self, id: FrameId) -> Option<T> {
        let captured = self.captured.remove(&id)?;
        let item = self.by_age.remove(&(captured, id))?;
        self.bytes -= item.bytes;
        Some(item.thing)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use teiten_footage::BootId;

    use super::*;

    fn id(sequence: u64) -> FrameId {
        FrameId { boot: BootId(1), sequence }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_millis(1000 * second)
    }

    #[test]
    fn the_oldest_make_room_whenever_they_came() {
        let mut shelf = Shelf::new(100);
        assert_eq!(shelf.put(id(0), at(5), 40, 'a'), []);
        assert_eq!(shelf.put(id(1), at(3), 40, 'b'), []);
        assert_eq!(shelf.put(id(2), at(9), 40, 'c'), [(id(1), 'b')]);
        assert_eq!(shelf.put(id(3), at(1), 40, 'd'), [(id(3), 'd')]);
        assert_eq!(shelf.put(id(4), at(10), 100, 'e'), [(id(0), 'a'), (id(2), 'c')]);
        assert_eq!((shelf.get(id(4)), shelf.get(id(0)), shelf.bytes()), (Some(&'e'), None, 100));
    }

    proptest! {
        /// Against a plain list: the same things are there, and no more bytes than allowed.
        #[test]
        fn it_keeps_what_a_list_would_keep(steps in vec((0u64..20, 0u64..20, 0usize..60, any::<bool>()), 0..100)) {
            let mut shelf = Shelf::new(200);
            let mut list: Vec<(Timestamp, FrameId, usize)> = Vec::new();
            for (sequence, second, bytes, remove) in steps {
                list.retain(|(_, other, _)| *other != id(sequence));
                if remove {
                    shelf.remove(id(sequence));
                } else {
                    list.push((at(second), id(sequence), bytes));
                    list.sort();
                    let mut expected = Vec::new();
                    while list.iter().map(|(_, _, bytes)| bytes).sum::<usize>() > 200 {
                        expected.push(list.remove(0).1);
                    }
                    let taken_down = shelf.put(id(sequence), at(second), bytes, sequence);
                    prop_assert_eq!(taken_down.iter().map(|(id, _)| *id).collect::<Vec<_>>(), expected);
                }
                prop_assert_eq!(shelf.bytes(), list.iter().map(|(_, _, bytes)| *bytes as u64).sum::<u64>());
                for sequence in 0..20 {
                    let there = list.iter().any(|(_, other, _)| *other == id(sequence));
                    prop_assert_eq!(shelf.get(id(sequence)).copied(), there.then_some(sequence));
                }
            }
        }
    }
}
