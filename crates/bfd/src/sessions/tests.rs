//! Several sessions, and two ends on a link under virtual time.

use std::time::Duration;

use kr_model::bfd::{Micros, Reach};
use kr_model::rng::Rng;
use kr_model::units::Multiplier;
use proptest::prelude::*;

use super::*;
use crate::event::EventKind;
use crate::packet::LEN;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

fn settings(id: u32, neighbor: [u8; 4]) -> Settings {
    Settings {
        id: TrackerId(id),
        name: format!("B{id}"),
        neighbor: neighbor.into(),
        source: None,
        path: Path::SingleHop,
        passive: false,
        min_rx: Micros(10_000),
        min_tx: Micros(10_000),
        idle_tx: Micros::SECOND,
        multiplier: Multiplier::try_from(5).unwrap(),
        ttl: 255,
        min_ttl: 255,
    }
}

fn configure(sessions: Vec<Settings>) -> Input<'static> {
    resume(sessions, Vec::new())
}

fn resume(sessions: Vec<Settings>, snapshots: Vec<Snapshot>) -> Input<'static> {
    Input::Configure {
        sessions: sessions.into_iter().map(|one| (one.id, one)).collect(),
        resume: snapshots.into_iter().map(|one| (one.id, one)).collect(),
    }
}

fn header(source: [u8; 4], destination: [u8; 4]) -> Header {
    Header {
        source: source.into(),
        destination: destination.into(),
        ttl: 255,
        path: Path::SingleHop,
    }
}

fn drain(sessions: &mut Sessions) -> Vec<Action> {
    std::iter::from_fn(|| sessions.poll_action()).collect()
}

fn sent(actions: &[Action]) -> Vec<(TrackerId, Packet)> {
    let packets = actions.iter().filter_map(|action| match action {
        Action::Send { session, packet } => Some((*session, Packet::parse(packet).unwrap())),
        Action::Reach { .. } | Action::Publish(_) | Action::Event(_) => None,
    });
    packets.collect()
}

/// One end of the link.
struct End {
    sessions: Sessions,
    address: [u8; 4],
    neighbor: [u8; 4],
    /// Does not run until then.
    paused_until: Instant,
    waiting: VecDeque<[u8; LEN]>,
    reach: Vec<(Instant, Reach)>,
    snapshot: Option<Snapshot>,
    packets: u64,
}

impl End {
    fn new(seed: u64, address: [u8; 4], neighbor: [u8; 4]) -> Self {
        Self {
            sessions: Sessions::new(Rng::new(seed)),
            address,
            neighbor,
            paused_until: Instant::ZERO,
            waiting: VecDeque::new(),
            reach: Vec::new(),
            snapshot: None,
            packets: 0,
        }
    }

    fn is_up(&self) -> bool {
        self.reach.last().map(|(_, reach)| *reach) == Some(Reach::Up)
    }

    /// Hears what waits, then its timer; returns what it sends.
    fn turn(&mut self, now: Instant) -> Vec<[u8; LEN]> {
        if now < self.paused_until {
            return Vec::new();
        }
        while let Some(payload) = self.waiting.pop_front() {
            let input = Input::Packet {
                header: header(self.neighbor, self.address),
                payload: &payload,
            };
            self.sessions.handle(input, now);
        }
        if self.sessions.poll_timeout().is_some_and(|at| at <= now) {
            self.sessions.handle(Input::Timer, now);
        }
        let mut out = Vec::new();
        while let Some(action) = self.sessions.poll_action() {
            match action {
                Action::Send { packet, .. } => out.push(packet),
                Action::Reach { reach, .. } => self.reach.push((now, reach)),
                Action::Publish(snapshot) => self.snapshot = Some(*snapshot),
                Action::Event(_) => {}
            }
        }
        self.packets += u64::try_from(out.len()).unwrap();
        out
    }
}

/// Two ends and the way between them.
struct Link {
    ends: [End; 2],
    now: Instant,
    random: Rng,
    /// Packets lost in each direction, of a thousand.
    loss: [u64; 2],
    delay: Duration,
    flying: BTreeMap<(Instant, u64), (usize, [u8; LEN])>,
    number: u64,
}

impl Link {
    fn new(seed: u64) -> Self {
        let mut link = Self {
            ends: [End::new(seed, A, B), End::new(seed + 1, B, A)],
            now: Instant::from_micros(1_000_000),
            random: Rng::new(seed + 2),
            loss: [0, 0],
            delay: Duration::from_micros(300),
            flying: BTreeMap::new(),
            number: 0,
        };
        for end in &mut link.ends {
            let one = settings(1, end.neighbor);
            end.sessions.handle(configure(vec![one]), link.now);
        }
        link
    }

    fn run(&mut self, millis: u64) {
        let until = self.now.saturating_add(Duration::from_millis(millis));
        while self.now < until {
            for side in 0..2 {
                for packet in self.ends[side].turn(self.now) {
                    if self.random.next() % 1_000 >= self.loss[side] {
                        let at = self.now.saturating_add(self.delay);
                        self.number += 1;
                        self.flying.insert((at, self.number), (1 - side, packet));
                    }
                }
            }
            let next = self.next_moment().unwrap_or(until);
            self.now = next
                .max(self.now.saturating_add(Duration::from_micros(1)))
                .min(until);
            while let Some(entry) = self.flying.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (side, packet) = entry.remove();
                self.ends[side].waiting.push_back(packet);
            }
        }
    }

    /// When something happens next.
    fn next_moment(&self) -> Option<Instant> {
        let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
        let timers = self.ends.iter().filter_map(|end| {
            let at = end.sessions.poll_timeout()?;
            Some(at.max(end.paused_until))
        });
        timers.chain(arrival).min()
    }

    fn both_up(&self) -> bool {
        self.ends.iter().all(End::is_up)
    }
}

#[test]
fn two_ends_come_up_within_a_moment_and_stay_up() {
    let mut link = Link::new(1);
    link.run(10);
    assert!(link.both_up());
    let before = [link.ends[0].packets, link.ends[1].packets];
    link.run(10_000);
    assert!(link.both_up());
    for (end, before) in link.ends.iter().zip(before) {
        assert_eq!(end.reach.len(), 2, "{:?}", end.reach);
        // 10 s of 7.5 to 10 ms.
        let packets = end.packets - before;
        assert!((1_000..=1_340).contains(&packets), "{packets}");
    }
}

#[test]
fn an_end_that_starts_later_comes_up_within_a_second() {
    let mut link = Link::new(2);
    link.ends[1].paused_until = Instant::from_micros(8_000_000);
    link.run(7_000);
    assert_eq!(link.ends[0].reach.last().unwrap().1, Reach::Down);
    link.run(1_010);
    assert!(link.both_up());
}

#[test]
fn a_cut_is_seen_by_both_within_the_detection_time() {
    let mut link = Link::new(3);
    link.run(1_000);
    link.loss = [1_000, 1_000];
    link.run(60);
    for end in &link.ends {
        let (at, reach) = end.reach.last().unwrap();
        assert_eq!(*reach, Reach::Down);
        let after = at.since(Instant::from_micros(2_000_000)).as_millis();
        assert!((35..=51).contains(&after), "{after}");
    }
    link.loss = [0, 0];
    link.run(1_100);
    assert!(link.both_up());
}

#[test]
fn a_link_of_one_direction_takes_both_ends_down() {
    let mut link = Link::new(4);
    link.run(1_000);
    link.loss = [1_000, 0];
    link.run(70);
    assert!(!link.ends[0].is_up() && !link.ends[1].is_up());
    link.run(5_000);
    assert!(!link.ends[0].is_up() && !link.ends[1].is_up());
    link.loss = [0, 0];
    link.run(2_100);
    assert!(link.both_up());
}

#[test]
fn a_short_pause_is_survived_by_the_one_that_paused_and_by_the_other() {
    let mut link = Link::new(5);
    link.run(1_000);
    link.ends[0].paused_until = link.now.saturating_add(Duration::from_millis(30));
    link.run(1_000);
    for end in &link.ends {
        assert_eq!(end.reach.len(), 2, "{:?}", end.reach);
    }
}

#[test]
fn a_long_pause_is_seen_by_the_other_and_mended_by_itself() {
    let mut link = Link::new(6);
    link.run(1_000);
    link.ends[0].paused_until = link.now.saturating_add(Duration::from_secs(2));
    link.run(100);
    assert!(!link.ends[1].is_up());
    link.run(3_000);
    assert!(link.both_up());
}

#[test]
fn a_successor_takes_over_without_the_other_end_seeing_it() {
    let mut link = Link::new(7);
    link.run(1_000);
    let snapshot = link.ends[0].snapshot.clone().unwrap();
    // Gone for 30 ms, then a new process.
    link.ends[0].paused_until = link.now.saturating_add(Duration::from_millis(30));
    link.run(30);
    let mut successor = End::new(99, A, B);
    let input = resume(vec![settings(1, B)], vec![snapshot]);
    successor.sessions.handle(input, link.now);
    link.ends[0] = successor;
    link.run(2_000);
    assert!(link.both_up());
    assert_eq!(link.ends[0].reach.len(), 1, "{:?}", link.ends[0].reach);
    assert_eq!(link.ends[1].reach.len(), 2, "{:?}", link.ends[1].reach);
}

#[test]
fn a_reload_that_changes_intervals_keeps_the_session_up() {
    let mut link = Link::new(8);
    link.run(1_000);
    for (min_tx, min_rx, multiplier) in [
        (100_000, 300_000, 3),
        (10_000, 10_000, 3),
        (300_000, 50_000, 5),
        (5_000, 5_000, 4),
    ] {
        let changed = Settings {
            min_tx: Micros(min_tx),
            min_rx: Micros(min_rx),
            multiplier: Multiplier::try_from(multiplier).unwrap(),
            ..settings(1, B)
        };
        let now = link.now;
        link.ends[0].sessions.handle(configure(vec![changed]), now);
        link.run(5_000);
    }
    for end in &link.ends {
        assert_eq!(end.reach.len(), 2, "{:?}", end.reach);
    }
}

#[test]
fn a_reload_without_a_change_does_nothing() {
    let mut sessions = Sessions::new(Rng::new(1));
    let both = || vec![settings(1, B), settings(2, A)];
    sessions.handle(configure(both()), Instant::ZERO);
    drain(&mut sessions);
    sessions.handle(configure(both()), Instant::from_micros(50));
    assert_eq!(drain(&mut sessions), []);
}

#[test]
fn a_session_that_goes_says_farewell_and_a_moved_one_starts_anew() {
    let mut sessions = Sessions::new(Rng::new(1));
    sessions.handle(configure(vec![settings(1, B)]), Instant::ZERO);
    let first = sent(&drain(&mut sessions));
    let moved = settings(1, [10, 0, 0, 3]);
    sessions.handle(configure(vec![moved]), Instant::from_micros(10));
    let words = sent(&drain(&mut sessions));
    assert_eq!(words[0].1.state, kr_model::bfd::PeerState::AdminDown);
    assert_eq!(words[1].1.state, kr_model::bfd::PeerState::Down);
    assert_ne!(words[1].1.mine, first[0].1.mine);
    sessions.handle(configure(Vec::new()), Instant::from_micros(20));
    assert_eq!(sent(&drain(&mut sessions)).len(), 1);
    assert_eq!(sessions.poll_timeout(), None);
}

#[test]
fn shutdown_tells_every_neighbour() {
    let mut sessions = Sessions::new(Rng::new(1));
    let both = vec![settings(1, B), settings(2, [10, 0, 0, 3])];
    sessions.handle(configure(both), Instant::ZERO);
    drain(&mut sessions);
    sessions.handle(Input::Shutdown, Instant::from_micros(10));
    let words = sent(&drain(&mut sessions));
    assert_eq!(words.len(), 2);
    assert_eq!(sessions.poll_timeout(), None);
}

/// A hello of a neighbour that does not know us.
fn hello() -> Packet {
    Packet {
        diagnostic: kr_model::bfd::Diagnostic::NONE,
        state: kr_model::bfd::PeerState::Down,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        multiplier: Multiplier::try_from(3).unwrap(),
        mine: Discriminator::try_from(9).unwrap(),
        yours: None,
        min_tx: Micros::SECOND,
        min_rx: Micros(10_000),
        min_echo_rx: Micros(0),
    }
}

#[test]
fn a_packet_finds_its_session_by_neighbour_path_and_discriminator() {
    let multi = Settings {
        path: Path::MultiHop,
        ..settings(2, B)
    };
    let bound = Settings {
        source: Some([10, 0, 0, 7].into()),
        ..settings(3, [10, 0, 0, 3])
    };
    let other = Settings {
        source: Some([10, 0, 0, 8].into()),
        ..settings(4, [10, 0, 0, 3])
    };
    let mut sessions = Sessions::new(Rng::new(1));
    let all = vec![settings(1, B), multi, bound, other];
    sessions.handle(configure(all), Instant::ZERO);
    let first = sent(&drain(&mut sessions));
    let local = |id: u32| first.iter().find(|(one, _)| one.0 == id).unwrap().1.mine;
    let mut answers = |header: Header, yours: Option<Discriminator>| {
        let payload = Packet { yours, ..hello() }.emit();
        let input = Input::Packet {
            header,
            payload: &payload,
        };
        sessions.handle(input, Instant::from_micros(10));
        let ids: Vec<u32> = sent(&drain(&mut sessions))
            .iter()
            .map(|(id, _)| id.0)
            .collect();
        ids
    };
    let wide = |mut one: Header| {
        one.path = Path::MultiHop;
        one
    };
    assert_eq!(answers(header(B, A), None), [1]);
    assert_eq!(answers(wide(header(B, A)), Some(local(2))), [2]);
    assert_eq!(answers(header([10, 0, 0, 3], [10, 0, 0, 8]), None), [4]);
    assert_eq!(
        answers(header([10, 0, 0, 3], [10, 0, 0, 7]), Some(local(3))),
        [3]
    );
    // A stranger, the wrong port, the wrong address of ours, and somebody else's discriminator.
    assert_eq!(answers(header([10, 0, 0, 99], A), None), []);
    assert_eq!(
        answers(wide(header([10, 0, 0, 3], [10, 0, 0, 7])), None),
        []
    );
    assert_eq!(answers(header([10, 0, 0, 3], A), None), []);
    assert_eq!(answers(header(B, A), Some(local(2))), []);
    assert_eq!(
        answers(header([10, 0, 0, 3], [10, 0, 0, 7]), Some(local(1))),
        []
    );
}

#[test]
fn bytes_of_the_neighbour_that_are_no_packet_are_counted_and_said_once() {
    let mut sessions = Sessions::new(Rng::new(1));
    sessions.handle(configure(vec![settings(1, B)]), Instant::ZERO);
    drain(&mut sessions);
    let mut complaints = 0;
    let mut counters = None;
    for second in 1..=5 {
        let input = Input::Packet {
            header: header(B, A),
            payload: &[0; 10],
        };
        sessions.handle(input, Instant::from_micros(second * 1_000_001));
        for action in drain(&mut sessions) {
            match action {
                Action::Event(event) => {
                    assert!(matches!(event.kind, EventKind::Complaint(_)));
                    complaints += 1;
                }
                Action::Publish(snapshot) => counters = Some(snapshot.counters),
                Action::Send { .. } | Action::Reach { .. } => {}
            }
        }
    }
    assert_eq!(complaints, 1);
    assert_eq!(counters.unwrap().malformed, 5);
}

#[test]
fn discriminators_are_never_shared() {
    let mut sessions = Sessions::new(Rng::new(1));
    let first = settings(1, B);
    sessions.handle(configure(vec![first.clone()]), Instant::ZERO);
    let actions = drain(&mut sessions);
    let published = actions.into_iter().find_map(|action| match action {
        Action::Publish(snapshot) => Some(*snapshot),
        Action::Send { .. } | Action::Reach { .. } | Action::Event(_) => None,
    });
    // A parent that gives two sessions one number gets two numbers all the same.
    let snapshot = published.unwrap();
    let twin = Snapshot {
        id: TrackerId(2),
        ..snapshot.clone()
    };
    let mut sessions = Sessions::new(Rng::new(5));
    let both = vec![first, settings(2, [10, 0, 0, 3])];
    sessions.handle(resume(both, vec![snapshot, twin]), Instant::ZERO);
    let numbers: BTreeSet<Discriminator> = sent(&drain(&mut sessions))
        .into_iter()
        .map(|(_, packet)| packet.mine)
        .collect();
    assert_eq!(numbers.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was lost: with a whole link both ends are up soon, and when they say so they agree.
    #[test]
    fn a_whole_link_is_up_after_any_past(seed: u64, losses in proptest::collection::vec((0_u64..=1_000, 0_u64..=1_000, 1_u64..400), 1..6)) {
        let mut link = Link::new(seed % 1_000_000);
        for (there, back, millis) in losses {
            link.loss = [there, back];
            link.run(millis);
        }
        link.loss = [0, 0];
        // A detection time of the slow rate, and one idle interval.
        link.run(6_100);
        prop_assert!(link.both_up());
    }

    /// Any bytes from the neighbour do not stop the session from coming up with the true one.
    #[test]
    fn hostile_packets_do_not_last(seed: u64, payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20), plain: bool) {
        let mut link = Link::new(seed % 1_000_000);
        link.run(100);
        for mut payload in payloads {
            if let (true, [first, flags, _, length, ..]) = (plain, payload.as_mut_slice()) {
                *first = 0x20;
                *flags &= !0x05;
                *length = 24;
            }
            let now = link.now;
            let input = Input::Packet { header: header(B, A), payload: &payload };
            link.ends[0].sessions.handle(input, now);
            link.run(5);
        }
        link.run(20_000);
        prop_assert!(link.both_up());
    }
}
