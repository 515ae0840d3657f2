//! Things in the order in which they came, up to a number of bytes and of things: the oldest make room for new ones.

use std::collections::{BTreeMap, HashMap};

use teiten_footage::FrameId;

/// A bounded shelf of one `T` for each frame.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    bytes_max: u64,
    things_max: usize,
    bytes: u64,
    by_age: BTreeMap<Turn, Item<T>>,
    turns: HashMap<FrameId, Turn>,
    next: Turn,
}

/// The how manieth thing it was that came.
type Turn = u64;

#[derive(Debug)]
struct Item<T> {
    id: FrameId,
    bytes: u64,
    thing: T,
}

impl<T> Shelf<T> {
    pub(super) fn new(bytes_max: u64, things_max: usize) -> Self {
        Self { bytes_max, things_max, bytes: 0, by_age: BTreeMap::new(), turns: HashMap::new(), next: 0 }
    }

    /// Puts a frame's thing on the shelf and takes down the oldest ones until all fit: those that were taken down, the
    /// new one among them only if it alone is too large.
    pub(super) fn put(&mut self, id: FrameId, bytes: usize, thing: T) -> Vec<(FrameId, T)> {
        self.remove(id);
        let bytes = bytes as u64;
        self.bytes += bytes;
        self.by_age.insert(self.next, Item { id, bytes, thing });
        self.turns.insert(id, self.next);
        self.next += 1;
        let mut taken_down = Vec::new();
        while (self.bytes > self.bytes_max || self.by_age.len() > self.things_max)
            && let Some((_, item)) = self.by_age.pop_first()
        {
            self.turns.remove(&item.id);
            self.bytes -= item.bytes;
            taken_down.push((item.id, item.thing));
        }
        taken_down
    }

    pub(super) fn get(&self, id: FrameId) -> Option<&T> {
        self.by_age.get(self.turns.get(&id)?).map(|item| &item.thing)
    }

    pub(super) fn remove(&mut self, id: FrameId) -> Option<T> {
        let item = self.by_age.remove(&self.turns.remove(&id)?)?;
        self.bytes -= item.bytes;
        Some(item.thing)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
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

    #[test]
    fn those_that_came_first_make_room() {
        let mut shelf = Shelf::new(100, 10);
        assert_eq!(shelf.put(id(5), 40, 'a'), []);
        assert_eq!(shelf.put(id(3), 40, 'b'), []);
        assert_eq!(shelf.put(id(9), 40, 'c'), [(id(5), 'a')]);
        assert_eq!(shelf.put(id(1), 100, 'd'), [(id(3), 'b'), (id(9), 'c')]);
        assert_eq!((shelf.get(id(1)), shelf.get(id(3)), shelf.bytes()), (Some(&'d'), None, 100));
    }

    #[test]
    fn there_are_no_more_than_so_many_however_small_they_are() {
        let mut shelf = Shelf::new(100, 2);
        let taken_down: Vec<_> = (0..5).flat_map(|sequence| shelf.put(id(sequence), 1, sequence)).collect();
        assert_eq!(taken_down, [(id(0), 0), (id(1), 1), (id(2), 2)]);
        // One that is put again is no other one.
        assert_eq!(shelf.put(id(3), 1, 3), []);
        assert_eq!((shelf.len(), shelf.bytes()), (2, 2));
    }

    proptest! {
        /// Against a plain list: the same things are there, and no more of them, and of bytes, than allowed.
        #[test]
        fn it_keeps_what_a_list_would_keep(steps in vec((0u64..20, 0usize..60, any::<bool>()), 0..100)) {
            let mut shelf = Shelf::new(200, 8);
            let mut list: Vec<(FrameId, usize)> = Vec::new();
            for (sequence, bytes, remove) in steps {
                list.retain(|(other, _)| *other != id(sequence));
                if remove {
                    shelf.remove(id(sequence));
                } else {
                    list.push((id(sequence), bytes));
                    let mut expected = Vec::new();
                    while list.iter().map(|(_, bytes)| bytes).sum::<usize>() > 200 || list.len() > 8 {
                        expected.push(list.remove(0).0);
                    }
                    let taken_down = shelf.put(id(sequence), bytes, sequence);
                    prop_assert_eq!(taken_down.iter().map(|(id, _)| *id).collect::<Vec<_>>(), expected);
                }
                prop_assert_eq!(shelf.bytes(), list.iter().map(|(_, bytes)| *bytes as u64).sum::<u64>());
                prop_assert_eq!(shelf.len(), list.len());
                for sequence in 0..20 {
                    let there = list.iter().any(|(other, _)| *other == id(sequence));
                    prop_assert_eq!(shelf.get(id(sequence)).copied(), there.then_some(sequence));
                }
            }
        }
    }
}
