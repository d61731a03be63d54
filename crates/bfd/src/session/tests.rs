//! One session against written packets.

use kr_model::TrackerId;
use kr_model::bfd::{Path, PeerState};
use kr_model::units::Multiplier;

use super::*;
use crate::packet::Packet;

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

fn number(value: u64) -> Discriminator {
    Discriminator::try_from(value).unwrap()
}

fn settings() -> Settings {
    Settings {
        id: TrackerId(1),
        name: "B".to_owned(),
        neighbor: [10, 0, 0, 2].into(),
        source: None,
        path: Path::SingleHop,
        passive: false,
        min_rx: Micros(50_000),
        min_tx: Micros(20_000),
        idle_tx: Micros::SECOND,
        multiplier: Multiplier::try_from(3).unwrap(),
        ttl: 255,
        min_ttl: 255,
    }
}

/// What the neighbour says: 30 ms, multiplier 4.
fn says(state: PeerState) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        multiplier: Multiplier::try_from(4).unwrap(),
        mine: number(77),
        yours: Some(number(5)),
        min_tx: Micros(30_000),
        min_rx: Micros(10_000),
        min_echo_rx: Micros(0),
    }
}

/// A session with what it did.
struct Rig {
    session: Session,
    rng: Rng,
    actions: VecDeque<Action>,
}

impl Rig {
    fn new(settings: Settings) -> Self {
        Self::of(Session::new(settings, number(5), at(0)))
    }

    fn of(session: Session) -> Self {
        Self {
            session,
            rng: Rng::new(1),
            actions: VecDeque::new(),
        }
    }

    /// A session that is up and whose Poll Sequence is over, at 10 ms.
    fn up(settings: Settings) -> Self {
        let mut rig = Self::new(settings);
        rig.timer(0);
        rig.hear(says(PeerState::Down), 5);
        let answer = Packet {
            is_final: true,
            ..says(PeerState::Up)
        };
        rig.hear(says(PeerState::Up), 6);
        rig.hear(answer, 10);
        assert_eq!(rig.session.state, State::Up);
        assert_eq!(rig.session.poll, Poll::Idle);
        rig
    }

    fn with(&mut self, millis: u64, act: impl FnOnce(&mut Session, &mut Turn<'_>)) -> Vec<Packet> {
        self.actions.clear();
        act(
            &mut self.session,
            &mut Turn {
                now: at(millis),
                rng: &mut self.rng,
                actions: &mut self.actions,
            },
        );
        let sent = self.actions.iter().filter_map(|action| match action {
            Action::Send { packet, .. } => Some(Packet::parse(packet).unwrap()),
            Action::Reach { .. } | Action::Publish(_) | Action::Event(_) => None,
        });
        sent.collect()
    }

    fn hear(&mut self, packet: Packet, millis: u64) -> Vec<Packet> {
        self.with(millis, |session, turn| session.receive(&packet, 255, turn))
    }

    fn timer(&mut self, millis: u64) -> Vec<Packet> {
        self.with(millis, Session::timer)
    }

    fn reach(&self) -> Option<Reach> {
        let mut said = self.actions.iter().filter_map(|action| match action {
            Action::Reach { reach, .. } => Some(*reach),
            Action::Send { .. } | Action::Publish(_) | Action::Event(_) => None,
        });
        said.next_back()
    }

    fn expires(&self) -> Option<Instant> {
        self.session.heard.map(|heard| heard.expire_at)
    }

    /// Time from the last packet to the next one that is due.
    fn gap(&self) -> Option<Duration> {
        Some(self.session.send_at?.since(self.session.sent_at?))
    }
}

#[test]
fn every_state_follows_every_word_of_the_neighbour() {
    // RFC 5880 section 6.2: rows are our states, columns what the neighbour says.
    use PeerState as P;
    use State::{Down, Init, Up};
    let said = [P::AdminDown, P::Down, P::Init, P::Up];
    for (state, expected) in [
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ] {
        assert_eq!(said.map(|word| after(state, word)), expected, "{state:?}");
    }
}

#[test]
fn a_new_session_speaks_once_a_second_until_it_is_heard() {
    let mut rig = Rig::new(settings());
    let [first] = rig.timer(0)[..] else { panic!() };
    assert_eq!((first.state, first.yours), (PeerState::Down, None));
    assert_eq!(
        (first.min_tx, first.min_rx),
        (Micros::SECOND, Micros(50_000))
    );
    assert!(!first.poll && !first.is_final && !first.demand);
    assert_eq!(rig.reach(), Some(Reach::Untried));
    let gap = rig.gap().unwrap();
    assert!((750..=1_000).contains(&gap.as_millis()), "{gap:?}");
    assert_eq!(rig.timer(700), []);
    assert_eq!(rig.timer(1_000).len(), 1);
}

#[test]
fn a_session_that_never_came_up_is_down_after_its_first_detection_time() {
    let mut rig = Rig::new(settings());
    rig.timer(0);
    rig.timer(2_999);
    assert_eq!(rig.reach(), None);
    rig.timer(3_000);
    assert_eq!(rig.reach(), Some(Reach::Down));
}

#[test]
fn the_handshake_comes_up_and_tells_the_fast_intervals_by_a_poll() {
    let mut rig = Rig::new(settings());
    rig.timer(0);
    let hello = Packet {
        yours: None,
        ..says(PeerState::Down)
    };
    let [init] = rig.hear(hello, 5)[..] else {
        panic!()
    };
    assert_eq!(
        (init.state, init.yours),
        (PeerState::Init, Some(number(77)))
    );
    assert_eq!(rig.reach(), None);
    let [up] = rig.hear(says(PeerState::Up), 6)[..] else {
        panic!()
    };
    assert_eq!(
        (up.state, up.poll, up.min_tx),
        (PeerState::Up, true, Micros(20_000))
    );
    assert_eq!(rig.reach(), Some(Reach::Up));
    // Until it is answered, every packet asks.
    assert!(rig.timer(26)[0].poll);
    let answer = Packet {
        is_final: true,
        ..says(PeerState::Up)
    };
    assert_eq!(rig.hear(answer, 27), []);
    assert!(!rig.timer(46)[0].poll);
}

#[test]
fn a_poll_is_answered_at_once_in_every_state() {
    let poll = |state| Packet {
        poll: true,
        ..says(state)
    };
    let mut rig = Rig::up(settings());
    let due = rig.session.send_at;
    let [answer] = rig.hear(poll(PeerState::Up), 11)[..] else {
        panic!()
    };
    assert!(answer.is_final && !answer.poll);
    assert_eq!(
        rig.session.send_at, due,
        "the periodic packets go on as before"
    );
    let mut rig = Rig::new(settings());
    let sent = rig.hear(poll(PeerState::AdminDown), 1);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].is_final);
}

#[test]
fn the_detection_time_is_the_neighbours_multiplier_of_the_slower_interval() {
    // Ours is 50 ms, theirs 30 ms.
    let mut rig = Rig::up(settings());
    rig.hear(says(PeerState::Up), 100);
    assert_eq!(rig.expires(), Some(at(300)));
    let slower = Packet {
        min_tx: Micros(80_000),
        multiplier: Multiplier::try_from(1).unwrap(),
        ..says(PeerState::Up)
    };
    rig.hear(slower, 200);
    assert_eq!(rig.expires(), Some(at(280)));
}

#[test]
fn silence_takes_the_session_down_and_is_said_with_its_reason() {
    let mut rig = Rig::up(settings());
    rig.hear(says(PeerState::Up), 100);
    rig.timer(299);
    assert_eq!(rig.session.state, State::Up);
    let sent = rig.timer(302);
    assert_eq!(rig.reach(), Some(Reach::Down));
    let down = sent[0];
    assert_eq!(
        (down.state, down.diagnostic),
        (PeerState::Down, Diagnostic::EXPIRED)
    );
    assert_eq!(
        (down.yours, down.min_tx),
        (Some(number(77)), Micros::SECOND)
    );
    let cause = DownCause::Silent {
        within: Duration::from_millis(200),
        late: Duration::from_millis(2),
    };
    let said = rig.actions.iter().any(
        |action| matches!(action, Action::Event(event) if event.kind == EventKind::Down(cause)),
    );
    assert!(said, "{:?}", rig.actions);
    // From now on the neighbour is unknown.
    let later = rig.timer(1_302);
    assert_eq!((later[0].yours, later[0].poll), (None, false));
}

#[test]
fn the_neighbour_can_take_the_session_down() {
    for (word, cause) in [
        (
            PeerState::Down,
            DownCause::NeighborDown(Diagnostic::EXPIRED),
        ),
        (PeerState::AdminDown, DownCause::NeighborStopped),
    ] {
        let mut rig = Rig::up(settings());
        let packet = Packet {
            diagnostic: Diagnostic::EXPIRED,
            ..says(word)
        };
        let [down] = rig.hear(packet, 20)[..] else {
            panic!()
        };
        assert_eq!(
            (down.state, down.diagnostic),
            (PeerState::Down, Diagnostic::NEIGHBOR_DOWN)
        );
        assert_eq!(rig.reach(), Some(Reach::Down));
        let said = rig.actions.iter().any(
            |action| matches!(action, Action::Event(event) if event.kind == EventKind::Down(cause)),
        );
        assert!(said, "{:?}", rig.actions);
    }
}

#[test]
fn a_passive_session_waits_for_the_neighbour_and_falls_silent_with_it() {
    let passive = Settings {
        passive: true,
        ..settings()
    };
    let mut rig = Rig::new(passive);
    assert_eq!(rig.timer(0), []);
    assert_eq!(rig.with(1, Session::farewell), []);
    assert_eq!(
        rig.hear(says(PeerState::Down), 10)[0].state,
        PeerState::Init
    );
    assert!(rig.gap().is_some());
    rig.timer(250);
    assert_eq!(rig.session.heard.map(|_| ()), None);
    assert_eq!(rig.session.send_at, None);
}

#[test]
fn packets_come_as_fast_as_both_ends_allow() {
    let mut rig = Rig::up(settings());
    for _ in 0..200 {
        let due = rig.session.send_at.unwrap();
        rig.hear(says(PeerState::Up), due.as_micros() / 1_000);
        rig.with(due.as_micros() / 1_000 + 1, Session::timer);
        let gap = rig.gap().unwrap().as_micros();
        assert!((15_000..=20_000).contains(&gap), "{gap}");
    }
    let slow = Packet {
        min_rx: Micros(500_000),
        ..says(PeerState::Up)
    };
    let now = rig.session.send_at.unwrap().as_micros() / 1_000;
    rig.hear(slow, now);
    rig.timer(now + 1);
    let gap = rig.gap().unwrap().as_millis();
    assert!((375..=500).contains(&gap), "{gap}");
    // Faster again: not only after the long wait.
    rig.hear(says(PeerState::Up), now + 2);
    assert!(rig.session.send_at.unwrap() <= at(now + 22));
    let silent = Packet {
        min_rx: Micros(0),
        ..says(PeerState::Up)
    };
    rig.hear(silent, now + 3);
    assert_eq!(rig.session.send_at, None);
}

#[test]
fn multiplier_one_leaves_room_for_the_way() {
    let single = Settings {
        multiplier: Multiplier::try_from(1).unwrap(),
        ..settings()
    };
    let mut rig = Rig::up(single);
    for _ in 0..200 {
        let due = rig.session.send_at.unwrap().as_micros() / 1_000 + 1;
        rig.hear(says(PeerState::Up), due);
        rig.timer(due);
        let gap = rig.gap().unwrap().as_micros();
        assert!((15_000..=18_000).contains(&gap), "{gap}");
    }
}

#[test]
fn a_neighbour_in_demand_mode_gets_packets_only_while_something_is_asked() {
    let demand = Packet {
        demand: true,
        ..says(PeerState::Up)
    };
    let mut rig = Rig::up(settings());
    rig.hear(demand, 20);
    assert_eq!(rig.session.send_at, None);
    let faster = Settings {
        min_rx: Micros(40_000),
        ..settings()
    };
    rig.with(30, |session, turn| session.reconfigure(faster, turn));
    assert!(rig.session.send_at.is_some());
}

#[test]
fn slower_sending_and_quicker_detection_wait_for_the_neighbours_answer() {
    let mut rig = Rig::up(settings());
    let other = Settings {
        min_tx: Micros(200_000),
        min_rx: Micros(40_000),
        ..settings()
    };
    rig.with(20, |session, turn| session.reconfigure(other, turn));
    rig.hear(says(PeerState::Up), 25);
    assert_eq!(rig.expires(), Some(at(25 + 200)));
    let asked = rig.timer(60)[0];
    assert!(asked.poll);
    assert_eq!(
        (asked.min_tx, asked.min_rx),
        (Micros(200_000), Micros(40_000))
    );
    assert!(rig.gap().unwrap() <= Duration::from_millis(20));
    let answer = Packet {
        is_final: true,
        ..says(PeerState::Up)
    };
    rig.hear(answer, 70);
    assert_eq!(rig.expires(), Some(at(70 + 160)));
    rig.timer(80);
    assert!(rig.gap().unwrap() >= Duration::from_millis(150));
    assert_eq!(rig.session.state, State::Up);
}

#[test]
fn quicker_sending_and_slower_detection_hold_at_once() {
    let mut rig = Rig::up(settings());
    let other = Settings {
        min_tx: Micros(15_000),
        min_rx: Micros(100_000),
        ..settings()
    };
    rig.with(20, |session, turn| session.reconfigure(other, turn));
    assert!(rig.gap().unwrap() <= Duration::from_millis(20));
    rig.hear(says(PeerState::Up), 25);
    assert_eq!(rig.expires(), Some(at(25 + 400)));
}

#[test]
fn a_change_during_a_poll_needs_an_answer_of_its_own() {
    let mut rig = Rig::up(settings());
    for min_tx in [300_000, 400_000] {
        let other = Settings {
            min_tx: Micros(min_tx),
            ..settings()
        };
        rig.with(20, |session, turn| session.reconfigure(other, turn));
    }
    let answer = Packet {
        is_final: true,
        ..says(PeerState::Up)
    };
    rig.hear(answer, 30);
    assert_eq!(rig.session.used.tx, Micros(20_000));
    assert!(rig.timer(50)[0].poll);
    rig.hear(answer, 60);
    assert_eq!(rig.session.used.tx, Micros(400_000));
}

#[test]
fn packets_from_too_far_are_counted_and_said_once() {
    let mut rig = Rig::up(settings());
    let expires = rig.expires();
    for millis in 20..30 {
        let far = says(PeerState::AdminDown);
        rig.with(millis, |session, turn| session.receive(&far, 254, turn));
        let said = rig.actions.iter().filter(|a| matches!(a, Action::Event(_)));
        assert_eq!(said.count(), usize::from(millis == 20));
    }
    assert_eq!(rig.session.counters.far, 10);
    assert_eq!(rig.session.state, State::Up);
    assert_eq!(rig.expires(), expires);
}

#[test]
fn the_farewell_says_that_it_was_wanted() {
    let mut rig = Rig::up(settings());
    let [last] = rig.with(20, Session::farewell)[..] else {
        panic!()
    };
    assert_eq!(
        (last.state, last.diagnostic),
        (PeerState::AdminDown, Diagnostic::ADMIN_DOWN)
    );
    assert_eq!(last.yours, Some(number(77)));
}

#[test]
fn a_successor_goes_on_with_the_same_numbers_and_polls() {
    let before = Rig::up(settings());
    let (snapshot, _) = before.session.published.clone().unwrap();
    assert_eq!(snapshot.state, State::Up);
    let mut rig = Rig::of(Session::resume(settings(), &snapshot, at(100)));
    let [first] = rig.timer(100)[..] else {
        panic!()
    };
    assert_eq!((first.mine, first.yours), (number(5), Some(number(77))));
    assert_eq!((first.state, first.poll), (PeerState::Up, true));
    assert_eq!(rig.reach(), Some(Reach::Up));
    // A whole detection time from now on.
    assert_eq!(rig.expires(), Some(at(300)));
    assert_eq!(rig.session.since, snapshot.since);
}

#[test]
fn a_successor_without_a_neighbour_is_down() {
    let (mut snapshot, _) = Rig::up(settings()).session.published.unwrap();
    snapshot.remote = None;
    let mut rig = Rig::of(Session::resume(settings(), &snapshot, at(100)));
    assert_eq!(rig.timer(100)[0].state, PeerState::Down);
    assert_eq!(rig.reach(), Some(Reach::Down));
}

#[test]
fn counters_alone_are_published_once_a_second() {
    let mut rig = Rig::up(settings());
    let mut published = 0;
    for millis in 11..3_011 {
        rig.hear(says(PeerState::Up), millis);
        let now = rig
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Publish(_)));
        published += now.count();
    }
    assert_eq!(published, 3);
}
