use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn replica(number: usize) -> ReplicaId {
    ReplicaId::new(&format!("bridge-{number}")).unwrap()
}

fn camera(number: usize) -> CameraId {
    CameraId::new(&format!("camera-{number}")).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

/// Golden: bridges of different versions share the cameras during an update.
#[test]
fn the_owner_of_a_camera_is_the_same_in_every_version() {
    let members = [replica(0), replica(1), replica(2)];
    let owners: String =
        (0..16).map(|i| owner(&members, &camera(i)).unwrap().as_str().replace("bridge-", "")).collect();
    assert_eq!(owners, "2221020201220201");
    assert_eq!(owner(&[], &camera(0)), None);
}

#[test]
fn cameras_are_shared_about_evenly() {
    let members: Vec<_> = (0..3).map(replica).collect();
    for member in &members {
        let share = (0..3000).filter(|i| owner(&members, &camera(*i)) == Some(member)).count();
        assert!((900..1100).contains(&share), "{member} has {share} of 3000");
    }
}

#[test]
fn one_bridge_alone_has_every_camera_whether_or_not_it_is_connected() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    assert!(fleet.owns(&camera(1)));
    fleet.subscribed(start);
    for second in 1..60 {
        fleet.on_timer(start + SECOND * second);
        assert!(fleet.owns(&camera(1)));
    }
}

#[test]
fn one_bridge_alone_that_does_not_hear_itself_tells_so_once_a_connection() {
    let mut now = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    assert!(!fleet.is_heard());
    for _connection in 0..2 {
        fleet.subscribed(now);
        let told: Vec<u32> =
            (0..60).filter(|second| fleet.on_timer(now + SECOND * *second) == Some(Shift::Unheard)).collect();
        assert_eq!(told, [6]);
        assert!(!fleet.is_heard());
        now += SECOND * 60;
    }
    fleet.subscribed(now);
    assert!(!fleet.is_heard(), "nobody knows yet");
    fleet.heard(&replica(0), true, now);
    assert!(fleet.is_heard());
    assert_eq!(fleet.on_timer(now + SECOND * 5), None);
}

#[test]
fn a_bridge_that_joins_takes_its_share_and_one_that_goes_gives_it_back() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    assert_eq!(fleet.heard(&replica(1), true, start), Some(Shift::Ceded));
    assert_eq!(fleet.heard(&replica(1), true, start), None);
    assert!((0..20).any(|i| !fleet.owns(&camera(i))) && (0..20).any(|i| fleet.owns(&camera(i))));
    assert_eq!(fleet.heard(&replica(1), false, start), Some(Shift::Gained));
    assert_eq!(fleet.heard(&replica(1), false, start), None);
    assert!((0..20).all(|i| fleet.owns(&camera(i))));
}

#[test]
fn a_bridge_that_falls_silent_is_given_up() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    fleet.heard(&replica(1), true, start);
    for second in 1..=8 {
        let now = start + SECOND * second;
        fleet.heard(&replica(0), true, now);
        assert_eq!(fleet.on_timer(now), None);
    }
    let now = start + SECOND * 9;
    fleet.heard(&replica(0), true, now);
    assert_eq!(fleet.on_timer(now), Some(Shift::Gained));
    assert_eq!(fleet.others().len(), 0);
}

#[test]
fn a_bridge_that_is_cut_off_has_no_camera_until_it_hears_itself_again() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    fleet.heard(&replica(1), true, start);
    assert_eq!(fleet.on_timer(start + SECOND * 5), None);
    assert_eq!(fleet.on_timer(start + SECOND * 6), Some(Shift::Ceded));
    for second in 7..60 {
        assert_eq!(fleet.on_timer(start + SECOND * second), None, "the others' silence says nothing");
        assert!((0..20).all(|i| !fleet.owns(&camera(i))));
    }
    assert_eq!(fleet.heard(&replica(0), true, start + SECOND * 60), Some(Shift::Gained));
    assert!((0..20).any(|i| fleet.owns(&camera(i))));
}

#[test]
fn a_new_connection_takes_nobody_for_granted() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    fleet.heard(&replica(1), true, start);
    fleet.subscribed(start + SECOND);
    assert!((0..20).all(|i| fleet.owns(&camera(i))), "better twice than not at all");
}

#[test]
fn the_last_will_of_an_earlier_process_of_the_same_name_costs_no_camera() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    fleet.heard(&replica(1), true, start);
    let owned: Vec<bool> = (0..20).map(|i| fleet.owns(&camera(i))).collect();
    assert_eq!(fleet.heard(&replica(0), false, start), None);
    assert_eq!((0..20).map(|i| fleet.owns(&camera(i))).collect::<Vec<_>>(), owned);
}

#[test]
fn a_bridge_that_has_gone_owns_nothing_unless_it_was_alone() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    fleet.gone();
    assert!(fleet.owns(&camera(0)));
    fleet.subscribed(start);
    fleet.heard(&replica(1), true, start);
    fleet.gone();
    assert_eq!(fleet.heard(&replica(0), true, start), None, "an echo from before");
    assert!((0..20).all(|i| !fleet.owns(&camera(i))));
}

#[test]
fn no_more_bridges_are_believed_in_than_the_limit() {
    let start = Instant::now();
    let mut fleet = Fleet::new(replica(0));
    fleet.subscribed(start);
    for number in 1..1000 {
        fleet.heard(&replica(number), true, start);
    }
    assert_eq!(fleet.others().len(), OTHERS_MAX);
}

/// What happens in a world of four bridges and a broker, in which words take no time.
#[derive(Debug, Clone)]
enum Step {
    Start(usize),
    Kill(usize),
    Leave(usize),
    Cut(usize),
    Mend(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bridge = 0..4usize;
    let step = prop_oneof![
        3 => bridge.clone().prop_map(Step::Start),
        1 => bridge.clone().prop_map(Step::Kill),
        1 => bridge.clone().prop_map(Step::Leave),
        1 => bridge.clone().prop_map(Step::Cut),
        2 => bridge.prop_map(Step::Mend),
        4 => (1..15u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..60)
}

/// Bridges by number, each with whether the broker hears it.
struct World {
    bridges: [Option<(Fleet, bool)>; 4],
    now: Instant,
}

impl World {
    fn say(&mut self, who: usize, online: bool) {
        let now = self.now;
        for (fleet, connected) in self.bridges.iter_mut().flatten() {
            if *connected {
                fleet.heard(&replica(who), online, now);
            }
        }
    }

    fn subscribe(&mut self, who: usize) {
        let now = self.now;
        if let Some((fleet, connected)) = &mut self.bridges[who] {
            *connected = true;
            fleet.subscribed(now);
        }
        // Its own status, and everybody's answer to its hello.
        for number in self.connected() {
            self.say(number, true);
        }
    }

    fn connected(&self) -> Vec<usize> {
        (0..4).filter(|i| self.bridges[*i].as_ref().is_some_and(|(_, connected)| *connected)).collect()
    }

    fn pass(&mut self, seconds: u64) {
        for second in 0..seconds {
            self.now += SECOND;
            if second % BEAT_EVERY.as_secs() == 0 {
                for number in self.connected() {
                    self.say(number, true);
                }
            }
            let now = self.now;
            for (fleet, _) in self.bridges.iter_mut().flatten() {
                fleet.on_timer(now);
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Start(who) if self.bridges[who].is_none() => {
                self.bridges[who] = Some((Fleet::new(replica(who)), false));
                self.subscribe(who);
            }
            // The broker keeps what it believed, and a will that is lost is the worse case.
            Step::Kill(who) => self.bridges[who] = None,
            Step::Leave(who) if self.connected().contains(&who) => {
                self.say(who, false);
                self.bridges[who] = None;
            }
            Step::Cut(who) => {
                if let Some((_, connected)) = &mut self.bridges[who] {
                    *connected = false;
                }
            }
            Step::Mend(who) if self.bridges[who].as_ref().is_some_and(|(_, connected)| !connected) => {
                self.subscribe(who);
            }
            Step::Pass(seconds) => self.pass(seconds),
            Step::Start(_) | Step::Leave(_) | Step::Mend(_) => {}
        }
    }

    fn owners(&self, camera: &CameraId) -> Vec<usize> {
        let owns = |i: &usize| self.bridges[*i].as_ref().is_some_and(|(fleet, _)| fleet.owns(camera));
        (0..4).filter(owns).collect()
    }
}

proptest! {
    #[test]
    fn a_bridge_more_or_less_moves_no_camera_but_its_own(count in 1..8usize, cameras in 1..200usize) {
        let fewer: Vec<_> = (0..count).map(replica).collect();
        let more: Vec<_> = (0..=count).map(replica).collect();
        for number in 0..cameras {
            let (before, after) = (owner(&fewer, &camera(number)), owner(&more, &camera(number)));
            prop_assert!(after == before || after == Some(&replica(count)));
            let shuffled: Vec<_> = more.iter().rev().collect();
            prop_assert_eq!(owner(shuffled, &camera(number)), after, "the order of members does not matter");
        }
    }

    #[test]
    fn whatever_happened_a_quiet_while_later_each_camera_has_exactly_one_owner_that_is_connected(steps in steps()) {
        let mut world = World { bridges: [const { None }; 4], now: Instant::now() };
        for step in &steps {
            world.take(step);
        }
        world.pass(SILENCE_MAX.as_secs() + 2 * BEAT_EVERY.as_secs());
        let connected: BTreeSet<usize> = world.connected().into_iter().collect();
        if !connected.is_empty() {
            for number in 0..20 {
                let owners = world.owners(&camera(number));
                let serving: Vec<_> = owners.iter().filter(|owner| connected.contains(owner)).collect();
                prop_assert_eq!(serving.len(), 1, "camera {} is served by {:?}", number, owners);
            }
        }
    }

    #[test]
    fn while_all_are_connected_no_camera_is_ever_without_an_owner(
        steps in prop::collection::vec((0..4usize, 0..3u8, 1..15u64), 1..60),
    ) {
        let mut world = World { bridges: [const { None }; 4], now: Instant::now() };
        for (who, what, seconds) in steps {
            match what {
                0 => world.take(&Step::Start(who)),
                1 => world.take(&Step::Leave(who)),
                _ => world.take(&Step::Pass(seconds)),
            }
            if !world.connected().is_empty() {
                for number in 0..20 {
                    prop_assert!(!world.owners(&camera(number)).is_empty(), "camera {} is nobody's", number);
                }
            }
        }
    }
}
