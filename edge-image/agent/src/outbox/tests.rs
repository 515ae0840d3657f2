//! What the outbox does case by case, and that nothing is lost whatever happens.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};
use teiten_footage::BootId;

use super::*;

const KIB: usize = 1 << 10;

fn id(sequence: u64) -> FrameId {
    FrameId { boot: BootId(7), sequence }
}

fn frame(sequence: u64) -> Entry {
    sized(sequence, 60 * KIB)
}

fn sized(sequence: u64, bytes: usize) -> Entry {
    Entry { id: id(sequence), captured: Timestamp::Y2020 + Duration::from_millis(100 * sequence), bytes }
}

fn stored(sequences: impl IntoIterator<Item = u64>) -> Stored {
    Stored::of_frames(sequences.into_iter().map(id)).remove(0)
}

fn connected() -> Outbox {
    let mut outbox = Outbox::default();
    outbox.connected();
    outbox
}

/// Everything that may be sent at `now`, each acked at once.
fn flush(outbox: &mut Outbox, now: Instant) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some(id) = outbox.next(now) {
        sent.push(id.sequence);
        outbox.acked(id, now);
    }
    sent
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_captured_frame_is_sent_at_once_and_kept_until_it_is_stored() {
    let (mut outbox, now) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), now));
    outbox.acked(id(0), now);
    assert_eq!((outbox.unstored(), outbox.sent()), (1, 1));
    assert_eq!(outbox.stored(&stored([0])), [id(0)]);
    assert_eq!((outbox.unstored(), outbox.sent(), outbox.wake_at()), (0, 0, None));
}

#[test]
fn of_stored_frames_it_is_known_since_when_the_broker_has_the_last_one() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..3 {
        assert!(outbox.captured(frame(sequence), now));
    }
    assert_eq!(outbox.last_acked(&stored([0, 1, 2])), None);
    outbox.acked(id(1), now + seconds(2));
    outbox.acked(id(0), now + seconds(3));
    outbox.hello(now + seconds(4));
    assert_eq!(outbox.last_acked(&stored([0, 1, 2])), Some(now + seconds(3)));
    assert_eq!(outbox.last_acked(&stored([1, 7])), Some(now + seconds(2)));
    outbox.stored(&stored([0, 1]));
    assert_eq!(outbox.last_acked(&stored([0, 1, 2])), None);
}

#[test]
fn frames_captured_without_a_connection_are_sent_oldest_first_once_there_is_one() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    for sequence in [2, 0, 1] {
        assert!(!outbox.captured(frame(sequence), now));
    }
    outbox.found(Entry { id: FrameId { boot: BootId(99), sequence: 50 }, ..frame(0) });
    assert_eq!(outbox.next(now), None);
    outbox.connected();
    assert_eq!(flush(&mut outbox, now), [0, 50, 1, 2]);
}

#[test]
fn a_live_frame_goes_before_a_long_backlog() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    for sequence in 0..1000 {
        outbox.found(sized(sequence, KIB));
    }
    outbox.connected();
    let mut under_way = 0;
    while outbox.next(now).is_some() {
        under_way += 1;
    }
    assert_eq!(under_way, PORTION_FRAMES);
    assert!(outbox.captured(frame(1000), now));
}

#[test]
fn live_frames_on_a_long_way_hold_up_no_backlog() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    (0..100).for_each(|sequence| outbox.found(frame(sequence)));
    outbox.connected();
    for sequence in 100..100 + 2 * PORTION_FRAMES as u64 {
        assert!(outbox.captured(frame(sequence), now));
    }
    let mut given = 0;
    while outbox.next(now).is_some() {
        given += 1;
    }
    assert_eq!(given, PORTION_FRAMES);
}

#[test]
fn backlog_of_large_frames_is_handed_over_one_by_one() {
    let (mut outbox, now) = (connected(), Instant::now());
    outbox.found(sized(0, 900 * KIB));
    outbox.found(sized(1, 900 * KIB));
    assert_eq!(outbox.next(now), Some(id(0)));
    assert_eq!(outbox.next(now), None);
    outbox.acked(id(0), now);
    assert_eq!(outbox.next(now), Some(id(1)));
}

#[test]
fn backlog_waits_while_too_much_of_it_is_unstored_and_live_frames_do_not() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..100 {
        outbox.found(frame(sequence));
    }
    assert_eq!(flush(&mut outbox, now).len(), UNSTORED_FRAMES_MAX);
    for sequence in 100..300 {
        assert!(outbox.captured(frame(sequence), now));
        outbox.acked(id(sequence), now);
    }
    assert_eq!(outbox.next(now), None);
    outbox.stored(&stored(0..10));
    assert_eq!(flush(&mut outbox, now), (64..74).collect::<Vec<_>>());
}

#[test]
fn backlog_is_limited_in_bytes_too() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..20 {
        outbox.found(sized(sequence, 1000 * KIB));
    }
    assert_eq!(flush(&mut outbox, now).len(), 8);
}

#[test]
fn live_frames_that_the_link_cannot_take_become_backlog() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..UNSTORED_FRAMES_MAX as u64 {
        assert!(outbox.captured(frame(sequence), now));
    }
    assert!(!outbox.captured(frame(64), now));
    assert_eq!(outbox.next(now), None, "the link is full");
    outbox.acked(id(0), now);
    assert!(outbox.captured(frame(65), now));
    for sequence in 1..=63 {
        outbox.acked(id(sequence), now);
    }
    assert_eq!(outbox.next(now), Some(id(64)));
}

#[test]
fn after_a_reconnect_only_what_had_no_puback_is_sent_again() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..4 {
        assert!(outbox.captured(frame(sequence), now));
    }
    outbox.acked(id(0), now);
    outbox.acked(id(2), now);
    outbox.disconnected();
    assert_eq!(outbox.wake_at(), None);
    outbox.connected();
    assert_eq!(flush(&mut outbox, now), [1, 3]);
}

#[test]
fn three_seconds_after_a_hello_what_was_sent_before_it_is_sent_again() {
    let (mut outbox, start) = (connected(), Instant::now());
    for sequence in 0..3 {
        assert!(outbox.captured(frame(sequence), start));
        outbox.acked(id(sequence), start);
    }
    let hello = start + seconds(5);
    outbox.hello(hello);
    assert!(outbox.captured(frame(3), hello));
    outbox.acked(id(3), hello);
    outbox.stored(&stored([1]));
    assert_eq!(outbox.wake_at(), Some(hello + AFTER_HELLO));
    assert_eq!(flush(&mut outbox, hello + seconds(2)), [] as [u64; 0]);
    assert_eq!(flush(&mut outbox, hello + seconds(3)), [0, 2]);
    assert_eq!(flush(&mut outbox, hello + seconds(14)), [] as [u64; 0]);
    assert_eq!(flush(&mut outbox, hello + seconds(15)), [3]);
}

#[test]
fn a_hello_counts_for_a_frame_whose_puback_comes_after_it() {
    let (mut outbox, start) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), start) && outbox.captured(frame(1), start));
    outbox.hello(start);
    outbox.acked(id(0), start + seconds(1));
    assert_eq!(outbox.wake_at(), Some(start + seconds(3)));
    outbox.acked(id(1), start + seconds(9));
    assert_eq!(flush(&mut outbox, start + seconds(9)), [0, 1]);
}

#[test]
fn hellos_in_a_row_put_nothing_off() {
    let (mut outbox, start) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), start));
    outbox.acked(id(0), start);
    for second in 0..3 {
        outbox.hello(start + seconds(second));
    }
    assert_eq!(outbox.wake_at(), Some(start + seconds(3)));
}

#[test]
fn an_unstored_frame_is_sent_again_ever_more_rarely() {
    let (mut outbox, mut now) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), now));
    outbox.acked(id(0), now);
    for wait in [15, 30, 60, 120, 120] {
        assert_eq!(outbox.wake_at(), Some(now + seconds(wait)));
        now += seconds(wait);
        assert_eq!(flush(&mut outbox, now), [0]);
    }
}

#[test]
fn a_frame_without_a_puback_is_not_sent_again_on_the_same_connection() {
    let (mut outbox, now) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), now));
    outbox.hello(now);
    assert_eq!(outbox.next(now + seconds(1000)), None);
}

#[test]
fn stored_may_come_before_the_puback_and_twice_and_for_strangers() {
    let (mut outbox, now) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), now));
    assert_eq!(outbox.stored(&stored([0, 5])), [id(0)]);
    assert_eq!(outbox.stored(&stored([0])), []);
    outbox.acked(id(0), now);
    outbox.acked(id(0), now);
    assert_eq!((outbox.unstored(), outbox.wake_at()), (0, None));
    let of_another = Stored::of_frames([FrameId { boot: BootId(8), sequence: 0 }]).remove(0);
    assert_eq!(outbox.stored(&of_another), []);
}

#[test]
fn a_dropped_frame_still_fills_the_link_until_its_puback() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..UNSTORED_FRAMES_MAX as u64 {
        assert!(outbox.captured(frame(sequence), now));
    }
    outbox.forget(id(0));
    assert!(!outbox.captured(frame(64), now));
    outbox.acked(id(0), now);
    assert!(outbox.captured(frame(65), now));
}

#[test]
fn a_frame_that_cannot_be_read_makes_way_for_the_next() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..100 {
        outbox.found(sized(sequence, 900 * KIB));
    }
    for sequence in 0..100 {
        assert_eq!(outbox.next(now), Some(id(sequence)));
        outbox.unreadable(id(sequence));
    }
    assert_eq!((outbox.unstored(), outbox.sent()), (0, 0));
}

#[test]
fn a_frame_that_cannot_be_had_just_now_is_asked_for_again_ever_more_rarely() {
    let (mut outbox, now) = (connected(), Instant::now());
    outbox.found(frame(0));
    let mut due = now;
    for wait in [15, 30] {
        assert_eq!(outbox.next(due), Some(id(0)));
        outbox.unavailable(id(0), due);
        due += seconds(wait);
        assert_eq!((outbox.unstored(), outbox.wake_at()), (1, Some(due)));
    }
    assert_eq!((outbox.sent(), outbox.next(due - seconds(1))), (0, None));
    outbox.disconnected();
    assert_eq!(outbox.wake_at(), None);
    outbox.connected();
    assert_eq!(outbox.next(due), Some(id(0)));
}

#[test]
fn frames_that_cannot_be_had_just_now_hold_up_no_other_however_many_they_are() {
    let (mut outbox, mut now) = (connected(), Instant::now());
    (0..60).for_each(|sequence| outbox.found(frame(sequence)));
    for sequence in 0..50 {
        assert_eq!(outbox.next(now), Some(id(sequence)));
        outbox.unavailable(id(sequence), now);
        // As long as the agent asks for none after that: the first ones are due again before the last ones were asked for.
        now += seconds(3);
    }
    let rest = (50..60).chain(0..50);
    assert_eq!(flush(&mut outbox, now + RESEND_FIRST), rest.collect::<Vec<_>>());
}

#[test]
fn a_frame_that_was_lost_with_its_bridge_is_sent_again_before_newer_ones() {
    let (mut outbox, now) = (connected(), Instant::now());
    for sequence in 0..2 {
        assert!(outbox.captured(frame(sequence), now));
        outbox.acked(id(sequence), now);
    }
    outbox.stored(&stored([1]));
    (2..5).for_each(|sequence| outbox.found(frame(sequence)));
    assert_eq!(flush(&mut outbox, now + seconds(15)), [0, 2, 3, 4]);
}

#[test]
fn frames_that_are_never_stored_hold_up_no_other_while_others_are_stored() {
    let (mut outbox, mut now) = (connected(), Instant::now());
    (0..200).for_each(|sequence| outbox.found(frame(sequence)));
    let mut given = BTreeSet::new();
    for live in 200..500 {
        assert!(outbox.captured(frame(live), now));
        outbox.acked(id(live), now);
        outbox.stored(&stored([live]));
        while let Some(id) = outbox.next(now) {
            given.insert(id.sequence);
            outbox.acked(id, now);
            if id.sequence >= UNSTORED_FRAMES_MAX as u64 {
                outbox.stored(&stored([id.sequence]));
            }
        }
        now += seconds(1);
    }
    assert_eq!(given, (0..200).collect(), "within five minutes");
}

#[test]
fn while_nothing_is_stored_it_is_the_oldest_frames_that_are_sent_again() {
    let (mut outbox, mut now) = (connected(), Instant::now());
    (0..200).for_each(|sequence| outbox.found(frame(sequence)));
    let first: Vec<u64> = (0..UNSTORED_FRAMES_MAX as u64).collect();
    for wait in [15, 30, 60] {
        assert_eq!(flush(&mut outbox, now), first);
        now += seconds(wait);
    }
    // Somebody stores again.
    outbox.stored(&stored(0..64));
    assert_eq!(flush(&mut outbox, now), (64..128).collect::<Vec<_>>());
}

#[test]
fn frames_that_may_be_left_are_not_sent_unless_they_were_before() {
    let (mut outbox, now) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), now));
    (1..5).for_each(|sequence| outbox.found(frame(sequence)));
    assert_eq!(outbox.next(now), Some(id(1)));
    outbox.unavailable(id(1), now);
    assert_eq!(outbox.leave_waiting(|id| id.sequence < 4), 3);
    assert_eq!((outbox.unstored(), outbox.sent()), (2, 1));
    assert_eq!(flush(&mut outbox, now + seconds(60)), [4]);
}

#[test]
fn frames_that_the_broker_takes_and_nobody_stores_are_noticed_after_a_minute() {
    let (mut outbox, start) = (connected(), Instant::now());
    let take = |outbox: &mut Outbox, sequence, now| {
        assert!(outbox.captured(frame(sequence), now));
        outbox.acked(id(sequence), now);
    };
    for sequence in 0..60 {
        take(&mut outbox, sequence, start + seconds(sequence));
    }
    assert_eq!(outbox.unstored_for(start + seconds(59)), None);
    assert_eq!(outbox.unstored_for(start + seconds(61)), Some(seconds(61)));
    // Whoever it is that says so, somebody is there.
    outbox.stored(&stored([1]));
    assert_eq!(outbox.unstored_for(start + seconds(300)), None);
    take(&mut outbox, 60, start + seconds(300));
    assert_eq!(outbox.unstored_for(start + seconds(360)), Some(seconds(60)));
    outbox.disconnected();
    assert_eq!(outbox.unstored_for(start + seconds(500)), None);
}

#[test]
fn a_frame_that_is_stored_before_its_puback_is_waited_for_no_longer() {
    let (mut outbox, start) = (connected(), Instant::now());
    assert!(outbox.captured(frame(0), start));
    outbox.stored(&stored([0]));
    outbox.acked(id(0), start);
    assert_eq!(outbox.unstored_for(start + seconds(600)), None);
}

/// One thing that can happen; numbers choose among the frames that it can happen to.
#[derive(Debug, Clone)]
enum Step {
    Capture {
        kib: usize,
    },
    Connect,
    Disconnect,
    Ack(usize),
    Hello,
    Store {
        first: u64,
        frames: u64,
    },
    Forget(u64),
    Send,
    /// The frame that is to be sent cannot be had.
    Miss,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..=1024).prop_map(|kib| Step::Capture { kib }),
        2 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        8 => any::<usize>().prop_map(Step::Ack),
        1 => Just(Step::Hello),
        2 => (0u64..300, 1u64..40).prop_map(|(first, frames)| Step::Store { first, frames }),
        1 => (0u64..300).prop_map(Step::Forget),
        8 => Just(Step::Send),
        1 => Just(Step::Miss),
        2 => (0u64..40_000).prop_map(Step::Pass),
    ]
}

/// Recounts everything that is kept twice.
fn check(outbox: &Outbox) {
    let mut waiting = BTreeSet::new();
    let mut due = BTreeSet::new();
    let mut put_off = BTreeSet::new();
    let mut backlog_unstored = Load::default();
    for (id, item) in &outbox.items {
        match item.state {
            State::Waiting => drop(waiting.insert((item.in_vain, item.captured, *id))),
            State::UnderWay { .. } => assert!(outbox.flights.ids().any(|other| other == id)),
            State::Acked { due: at, .. } => drop(due.insert((at, *id))),
            State::PutOff { due: at } => drop(put_off.insert((at, *id))),
        }
        if matches!(
            item.state,
            State::UnderWay { way: Way::Backlog, .. } | State::Acked { way: Way::Backlog, .. }
        ) {
            backlog_unstored.add(item.bytes);
        }
    }
    assert_eq!((&waiting, &due, &put_off), (&outbox.waiting, &outbox.due, &outbox.put_off));
    assert_eq!(backlog_unstored, outbox.backlog_unstored);
    assert!(outbox.flights.total().frames <= UNACKED_MAX);
    for load in [outbox.flights.live(), backlog_unstored] {
        assert!(load.frames <= UNSTORED_FRAMES_MAX && load.bytes <= UNSTORED_BYTES_MAX);
    }
    assert!(outbox.connected || outbox.flights.total() == Load::default());
}

proptest! {
    /// Whatever happens, every frame that is neither stored nor dropped is known, the limits hold, the first
    /// waiting frame goes first; and once all is well again, all frames are stored within a few minutes.
    #[test]
    fn nothing_is_lost_whatever_happens(steps in vec(step(), 0..400)) {
        let mut now = Instant::now();
        let mut outbox = Outbox::default();
        let mut kept = BTreeSet::new();
        let mut sequence = 0;
        for step in steps {
            match step {
                Step::Capture { kib } => {
                    let sent = outbox.captured(sized(sequence, kib * KIB), now);
                    prop_assert!(outbox.connected || !sent);
                    kept.insert(id(sequence));
                    sequence += 1;
                }
                Step::Connect => outbox.connected(),
                Step::Disconnect => outbox.disconnected(),
                Step::Ack(choice) => {
                    let under_way: Vec<FrameId> = outbox.flights.ids().copied().collect();
                    if !under_way.is_empty() {
                        outbox.acked(under_way[choice % under_way.len()], now);
                    }
                }
                Step::Hello => outbox.hello(now),
                Step::Store { first, frames } => {
                    let gone = outbox.stored(&stored(first..first + frames));
                    for id in &gone {
                        prop_assert!(kept.remove(id));
                    }
                }
                Step::Forget(sequence) => {
                    outbox.forget(id(sequence));
                    kept.remove(&id(sequence));
                }
                Step::Send => {
                    outbox.collect_due(now);
                    let first = outbox.waiting.first().map(|(_, _, id)| *id);
                    if let Some(sent) = outbox.next(now) {
                        prop_assert_eq!(Some(sent), first);
                    }
                }
                Step::Miss => {
                    if let Some(missed) = outbox.next(now) {
                        outbox.unavailable(missed, now);
                    }
                }
                Step::Pass(millis) => now += Duration::from_millis(millis),
            }
            check(&outbox);
            prop_assert!(outbox.items.keys().eq(kept.iter()));
        }

        outbox.connected();
        let end = now + seconds(600);
        while outbox.unstored() > 0 {
            for id in outbox.flights.ids().copied().collect::<Vec<_>>() {
                outbox.acked(id, now);
            }
            while let Some(id) = outbox.next(now) {
                outbox.acked(id, now);
                outbox.stored(&stored([id.sequence]));
            }
            check(&outbox);
            now = outbox.wake_at().unwrap_or(now);
            prop_assert!(now < end, "{outbox:?}");
        }
    }
}
