//! kill -9 of a process between each two things that it does, while it takes over, gives way, fails or recovers, alone
//! or in a sync group: its successor ends where it would have ended itself, the other router notices nothing that it
//! would not have noticed, and every change is told once.

#![expect(clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use kr_model::vrrp::{Instance, Preemption, State};
use kr_model::{GroupId, InstanceId};
use kr_test_sim::{Faults, Lan, What, instance};
use kr_vrrp::LinkState;

/// The router of the higher priority, and the other one.
const FIRST: usize = 0;
const SECOND: usize = 1;

/// From the end of a process to the start of its successor.
const GONE: Duration = Duration::from_millis(50);

/// Longer than anything that is decided takes.
const LONG: Duration = Duration::from_secs(12);

/// What happens, and to whom the process belongs that is killed meanwhile.
#[derive(Debug, Clone, Copy)]
enum Story {
    /// The master's host is gone: the backup takes over.
    TakesOver,
    /// The master leaves with priority 0.
    TakesOverFromOneThatLeaves,
    /// The better router comes back: the other one gives way.
    GivesWay,
    /// The better router comes back and takes over.
    Preempts,
    /// The master's link fails.
    Fails,
    /// The link of the better router works again.
    Recovers,
}
use Story::{Fails, GivesWay, Preempts, Recovers, TakesOver, TakesOverFromOneThatLeaves};

impl Story {
    const ALL: [Self; 6] = [
        TakesOver,
        TakesOverFromOneThatLeaves,
        GivesWay,
        Preempts,
        Fails,
        Recovers,
    ];

    /// Up to the moment before it happens.
    fn begin(self, members: u8) -> Lan {
        let mut lan = Lan::new(1, Faults::default());
        for (last, priority) in [(10, 150), (9, 100)] {
            lan.add(last, router(members, priority));
        }
        lan.run(LONG);
        match self {
            GivesWay | Preempts => lan.power_off(FIRST),
            Recovers => lan.link(FIRST, LinkState::Down),
            TakesOver | TakesOverFromOneThatLeaves | Fails => {}
        }
        lan.run(LONG);
        lan
    }

    fn happen(self, lan: &mut Lan) {
        match self {
            TakesOver => lan.power_off(FIRST),
            TakesOverFromOneThatLeaves => lan.stop(FIRST),
            GivesWay | Preempts => lan.start(FIRST),
            Fails => lan.link(FIRST, LinkState::Down),
            Recovers => lan.link(FIRST, LinkState::Up),
        }
    }

    /// Whose process is killed.
    const fn victim(self) -> usize {
        match self {
            TakesOver | TakesOverFromOneThatLeaves | GivesWay => SECOND,
            Preempts | Fails | Recovers => FIRST,
        }
    }
}

fn router(members: u8, priority: u8) -> Vec<Instance> {
    let member = |id| Instance {
        group: (members > 1).then_some(GroupId(0)),
        ..instance(id, priority, Preemption::Immediate)
    };
    (1..=members).map(member).collect()
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct End {
    masters: Vec<Vec<usize>>,
    holders: Vec<Vec<usize>>,
    learned: Vec<Option<usize>>,
    /// What each router told of each instance.
    told: Vec<Vec<State>>,
}

/// Tells a story, with a kill after so many actions: how it ended, when the last state was entered, and whether the
/// process was killed at all.
fn tell(story: Story, members: u8, actions: Option<usize>) -> (End, Duration, bool) {
    let mut lan = story.begin(members);
    let from = lan.history.len();
    let began = lan.now;
    lan.doom(story.victim(), actions.unwrap_or(usize::MAX));
    story.happen(&mut lan);
    let until = began.saturating_add(LONG);
    while lan.now < until {
        lan.run(Duration::from_millis(1));
        if !lan.runs(story.victim()) {
            lan.run(GONE);
            lan.start(story.victim());
        }
    }
    let killed = lan.spare().is_none();
    lan.run(LONG);
    let ids: Vec<_> = (1..=members).map(|id| InstanceId(u32::from(id))).collect();
    let mut last = began;
    let mut told = Vec::new();
    for host in [FIRST, SECOND] {
        for of in &ids {
            let mut states = Vec::new();
            for (at, who, id, what) in &lan.history[from..] {
                if let (true, What::Entered(state)) = ((*who, id) == (host, of), what) {
                    states.push(*state);
                    last = last.max(*at);
                }
            }
            told.push(states);
        }
    }
    let end = End {
        masters: ids.iter().map(|id| lan.masters(*id)).collect(),
        holders: ids.iter().map(|id| lan.holders(*id)).collect(),
        learned: ids.iter().map(|id| lan.learned(*id)).collect(),
        told,
    };
    (end, last.since(began), killed)
}

#[test]
fn a_process_killed_between_any_two_actions_is_resumed_as_if_nothing_had_happened() {
    // A backup that is killed while it waits for a master that is gone waits once more.
    let once_more = Duration::from_millis(3_610) + GONE;
    for story in Story::ALL {
        for members in [1, 3] {
            let (expected, usual, _) = tell(story, members, None);
            let mut kills = 0;
            loop {
                let (end, took, killed) = tell(story, members, Some(kills));
                if !killed {
                    break;
                }
                let what = format!("{story:?} with {members}, killed after {kills} actions");
                assert_eq!(end, expected, "{what}");
                assert!(took <= usual + once_more, "{what}: {took:?}, not {usual:?}");
                kills += 1;
            }
            assert!(kills >= 4 * usize::from(members), "{story:?}: {kills}");
        }
    }
}
