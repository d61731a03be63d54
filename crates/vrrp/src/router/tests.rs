use std::time::Duration;

use kr_model::vrrp::{
    AnnouncePace, Authentication, Counters, Preemption, Role, Secret, SignatureMarks, Version,
};
use kr_wire::advert::{Advert, Body};
use kr_wire::{ipv4, ipv6};

use super::*;
use crate::fixture::{ID, advert, bytes, header, instance, interface, v4};

mod authentication;
mod company;
mod compatibility;
mod debounce;
mod fault;
mod groups;
mod overlap;
mod refusals;
mod reload;
mod resume;
mod signatures;
mod tracking;
mod transports;

/// One router with one instance on an interface that works; `now` is moved by hand.
struct Bench {
    router: Router,
    now: Instant,
}

/// An action in short.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Did {
    Sent(u8),
    Addresses(bool),
    Announced(u8),
    Published(State),
    Entered(State, Cause),
    Said(String),
    Group(State),
    LowerHeard,
}

use Did::{Addresses, Announced, Entered, Group, LowerHeard, Published, Said, Sent};

fn short(action: Action) -> Did {
    match action {
        Action::SendAdvert { packet, .. } => Sent(message(&packet)[2]),
        Action::SetAddresses { present, .. } => Addresses(present),
        Action::Announce {
            address: IpAddr::V4(v4),
            ..
        } => Announced(v4.octets()[3]),
        Action::Announce {
            address: IpAddr::V6(_),
            ..
        } => panic!("no IPv6 here"),
        Action::Publish(snapshot) => Published(snapshot.role.state()),
        Action::Transition { to, cause, .. } => Entered(to, cause),
        Action::Event(event) => Said(event.to_string()),
        Action::GroupTransition { to, .. } => Group(to),
        Action::LowerPriorityHeard { .. } => LowerHeard,
    }
}

fn message(packet: &[u8]) -> &[u8] {
    match ipv4::parse(packet) {
        Ok((_, message)) => message,
        Err(_) => ipv6::parse(packet).unwrap().1,
    }
}

fn global() -> VrrpGlobal {
    VrrpGlobal {
        startup_delay: Duration::ZERO,
        delay_after_boot: Duration::ZERO,
        log_unknown_vrids: false,
        pace: AnnouncePace::default(),
        keep_addresses_at_exit: false,
        label: String::new(),
        dynamic_interfaces: false,
        firewall: Default::default(),
        link_delays: Default::default(),
    }
}

fn configure(config: Instance, resume: Option<Snapshot>) -> Input<'static> {
    Input::Configure {
        global: global(),
        instances: [(config.id, config.into())].into(),
        resume: resume.into_iter().map(|kept| (kept.id, kept)).collect(),
    }
}

fn link(state: LinkState) -> Input<'static> {
    Input::Link {
        interface: interface(),
        state,
    }
}

fn source(last: Option<u8>) -> Input<'static> {
    Input::Source {
        interface: interface(),
        family: Family::Inet,
        address: last.map(v4),
    }
}

impl Bench {
    /// Nothing configured yet; the own address is 192.0.2.10.
    fn empty() -> Self {
        let mut bench = Self {
            router: Router::new(),
            now: Instant::from_micros(1_000_000_000),
        };
        assert_eq!(bench.give(link(LinkState::Up)), []);
        assert_eq!(bench.give(source(Some(10))), []);
        bench
    }

    /// Started, in BACKUP.
    fn backup(config: Instance) -> Self {
        let mut bench = Self::empty();
        bench.give(configure(config, None));
        bench
    }

    /// Master since a moment ago, first adverts and announcements are out.
    fn master(config: Instance) -> Self {
        let mut bench = Self::backup(config);
        bench.wait();
        assert_eq!(bench.role().state(), State::Master);
        bench
    }

    /// Master for an advert interval.
    fn old_master(config: Instance) -> Self {
        let mut bench = Self::master(config);
        bench.wait();
        bench
    }

    fn give(&mut self, input: Input<'_>) -> Vec<Did> {
        self.router.handle(input, self.now);
        self.actions().into_iter().map(short).collect()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.router.poll_action()).collect()
    }

    fn hear(&mut self, from: u8, priority: u8) -> Vec<Did> {
        self.hear_this(from, &advert(priority))
    }

    fn hear_this(&mut self, from: u8, advert: &Advert) -> Vec<Did> {
        let payload = bytes(advert, header(from));
        let interface = interface();
        self.give(Input::Packet {
            interface: &interface,
            header: header(from),
            payload: &payload,
        })
    }

    /// Jumps to the next timer and serves it.
    fn wait(&mut self) -> Vec<Did> {
        self.now = self.router.poll_timeout().unwrap();
        self.give(Input::Timer)
    }

    fn later(&mut self, millis: u64) {
        self.now = self.now.saturating_add(Duration::from_millis(millis));
    }

    /// Microseconds until the next timer.
    fn timeout(&self) -> u128 {
        self.router
            .poll_timeout()
            .unwrap()
            .since(self.now)
            .as_micros()
    }

    /// The state as a reload to the same would publish it.
    fn role(&self) -> Role {
        self.router.instances[&ID].router.snapshot().role
    }

    fn counters(&self) -> Counters {
        self.router.instances[&ID].router.snapshot().counters
    }
}

fn entering(state: State, cause: Cause) -> [Did; 3] {
    [
        Entered(state, cause),
        Said(format!("(VI_1) Entering {} STATE: {cause}", state.word())),
        Published(state),
    ]
}

/// The same when something happens to the network or the kernel, between what a successor must know and the words.
fn moving(state: State, cause: Cause, moves: &[Did]) -> Vec<Did> {
    let [entered, said, published] = entering(state, cause);
    [&[published], moves, &[entered, said]].concat()
}

const SILENT: Cause = Cause::MasterSilent {
    late: Duration::ZERO,
};

fn better(last: u8, priority: u8) -> Cause {
    Cause::BetterMaster {
        source: v4(last),
        priority,
    }
}

// RFC 3768 section 6.4.1, Initialize.

#[test]
fn start_waits_as_backup_for_the_master_down_time() {
    let mut bench = Bench::empty();
    let did = bench.give(configure(instance(100), None));
    let expected = [
        vec![Addresses(false)],
        entering(State::Backup, Cause::Start).to_vec(),
    ];
    assert_eq!(did, expected.concat());
    assert_eq!(bench.timeout(), 3_609_375);
}

#[test]
fn an_owner_is_master_at_the_first_turn() {
    let mut bench = Bench::backup(instance(255));
    assert_eq!(bench.timeout(), 0);
    let did = bench.wait();
    assert_eq!(did[1], Sent(255));
    assert!(did.contains(&Entered(State::Master, Cause::Owner)));
}

#[test]
fn the_startup_delay_ignores_adverts_and_counts_timers_from_its_end() {
    let mut bench = Bench::empty();
    let global = VrrpGlobal {
        startup_delay: Duration::from_secs(10),
        delay_after_boot: Duration::ZERO,
        log_unknown_vrids: false,
        pace: AnnouncePace::default(),
        ..global()
    };
    let instances = [(ID, instance(100).into())].into();
    bench.give(Input::Configure {
        global,
        instances,
        resume: BTreeMap::new(),
    });
    assert_eq!(bench.timeout(), 13_609_375);
    bench.later(9_999);
    assert_eq!(bench.hear(9, 200), []);
    assert_eq!(bench.counters(), Counters::default());
    bench.later(1);
    assert_eq!(bench.hear(9, 200), [Published(State::Backup)]);
}

// RFC 3768 section 6.4.2, Backup.

#[test]
fn becoming_master_is_published_first_then_sends_the_advert_and_says_so_last() {
    let mut bench = Bench::backup(instance(100));
    let moves = [
        Sent(100),
        Addresses(true),
        Announced(100),
        Announced(101),
        Announced(100),
        Announced(101),
    ];
    assert_eq!(bench.wait(), moving(State::Master, SILENT, &moves));
    assert_eq!(bench.timeout(), 1_000_000);
    assert_eq!(bench.counters().become_master, 1);
}

#[test]
fn what_a_backup_does_with_an_advert() {
    let delayed = Preemption::Delayed(Duration::from_secs(60));
    // Preemption, priority heard, microseconds until the master-down timer; 2609375 is untouched.
    let rows = [
        (Preemption::Immediate, 0, 609_375),
        (Preemption::Immediate, 99, 2_609_375),
        (Preemption::Immediate, 100, 3_609_375),
        (Preemption::Immediate, 255, 3_609_375),
        (Preemption::Never, 1, 3_609_375),
        (Preemption::Never, 0, 609_375),
        (delayed, 1, 3_609_375),
        (delayed, 0, 609_375),
    ];
    for (preemption, priority, timeout) in rows {
        let mut bench = Bench::backup(Instance {
            preemption,
            ..instance(100)
        });
        bench.later(1_000);
        bench.hear(9, priority);
        assert_eq!(bench.timeout(), timeout, "{preemption:?} hears {priority}");
    }
}

#[test]
fn a_resigned_master_is_the_cause_of_the_takeover() {
    let mut bench = Bench::backup(instance(100));
    bench.hear(9, 200);
    bench.hear(9, 0);
    assert!(
        bench
            .wait()
            .contains(&Entered(State::Master, Cause::MasterResigned))
    );
    assert_eq!(bench.counters().priority_zero_received, 1);
}

#[test]
fn preempt_delay_starts_at_the_first_lower_advert_and_an_equal_one_cancels_it() {
    let preemption = Preemption::Delayed(Duration::from_secs(5));
    let mut bench = Bench::backup(Instance {
        preemption,
        ..instance(100)
    });
    bench.hear(9, 50);
    bench.later(2_000);
    bench.hear(9, 100);
    bench.later(1_000);
    bench.hear(9, 50);
    bench.later(3_000);
    bench.hear(9, 50);
    assert_eq!(
        bench.timeout(),
        3_609_375,
        "the delay runs from the second start"
    );
    bench.later(2_000);
    bench.hear(9, 50);
    assert_eq!(bench.timeout(), 1_609_375, "and is over now");
}

#[test]
fn version_3_learns_the_interval_of_the_master_and_forgets_it_as_master() {
    let version = Version::V3;
    let mut bench = Bench::backup(Instance {
        version,
        ..instance(100)
    });
    assert_eq!(bench.timeout(), 3_609_375);
    let slow = Advert {
        body: Body::V3 { interval: 200 },
        ..advert(200)
    };
    bench.hear_this(9, &slow);
    assert_eq!(bench.timeout(), 7_218_750);
    bench.wait();
    assert_eq!(bench.timeout(), 1_000_000);
}

#[test]
fn a_timer_served_an_interval_late_waits_once_more() {
    let mut bench = Bench::backup(instance(100));
    bench.later(4_700);
    assert!(matches!(bench.give(Input::Timer)[..], [Said(_)]));
    assert_eq!(bench.timeout(), 1_609_375);
    bench.later(5_000);
    assert_eq!(bench.give(Input::Timer)[1], Sent(100), "only once");
}

// RFC 3768 section 6.4.3, Master.

#[test]
fn what_a_master_does_with_an_advert() {
    let lower = |last, priority| {
        Said(format!(
            "(VI_1) 192.0.2.{last} acts as master with priority {priority}, below ours; answering \
             and announcing our addresses again"
        ))
    };
    let yields =
        |last, priority| moving(State::Backup, better(last, priority), &[Addresses(false)]);
    let answers = |last, priority| {
        vec![
            Sent(100),
            lower(last, priority),
            LowerHeard,
            Announced(100),
            Announced(101),
        ]
    };
    let own = "(VI_1) advert from 192.0.2.10: it has the own address and priority: a loop, or an \
               address used twice";
    // The own address ends in 10, the own priority is 100.
    let rows = [
        (9, 0, vec![Sent(100)]),
        (9, 101, yields(9, 101)),
        (9, 255, yields(9, 255)),
        (11, 100, yields(11, 100)),
        (9, 100, answers(9, 100)),
        (11, 99, answers(11, 99)),
        (10, 100, vec![Said(own.to_owned())]),
    ];
    for (last, priority, did) in rows {
        let mut bench = Bench::old_master(instance(100));
        assert_eq!(bench.hear(last, priority), did, "{last} says {priority}");
    }
}

#[test]
fn higher_prio_send_advert_sends_a_last_advert() {
    let mut bench = Bench::master(Instance {
        advert_before_yielding: true,
        ..instance(100)
    });
    assert_eq!(
        bench.hear(9, 200)[..3],
        [Sent(100), Published(State::Backup), Addresses(false)]
    );
}

#[test]
fn lower_prio_no_advert_announces_without_an_answer() {
    let mut bench = Bench::old_master(Instance {
        answer_lower_priority: false,
        ..instance(100)
    });
    let did = bench.hear(9, 50);
    assert!(
        !did.contains(&Sent(100)) && did.contains(&Announced(100)),
        "{did:?}"
    );
}

#[test]
fn yielding_empties_the_announcements_and_counts_a_released_master() {
    let mut bench = Bench::empty();
    let mut settings = global();
    settings.pace.arp = Duration::from_secs(1);
    bench.give(Input::Configure {
        global: settings,
        instances: [(ID, instance(100).into())].into(),
        resume: BTreeMap::new(),
    });
    bench.wait();
    bench.later(500);
    bench.hear(9, 200);
    assert_eq!(bench.counters().release_master, 1);
    // Two addresses twice, one a second; three left over from before would make it longer.
    let mut announced = bench.wait();
    let end = bench.now.saturating_add(Duration::from_millis(4_500));
    while bench.router.poll_timeout().unwrap() < end {
        announced.extend(bench.wait());
    }
    announced.retain(|one| matches!(one, Announced(_)));
    let set = [Announced(100), Announced(101)];
    assert_eq!(announced, [set.clone(), set].concat());
}

#[test]
fn a_late_advert_does_not_shift_the_following_ones() {
    let mut bench = Bench::master(instance(100));
    bench.later(1_200);
    assert_eq!(bench.give(Input::Timer), [Sent(100)]);
    assert_eq!(bench.timeout(), 800_000);
}

#[test]
fn an_advert_so_late_that_a_backup_may_have_taken_over_announces_again() {
    for (adverts, late, again) in [
        (1, 500, false),
        (1, 700, true),
        (3, 2_500, false),
        (3, 2_700, true),
    ] {
        let mut bench = Bench::master(Instance {
            down_timer_adverts: adverts,
            ..instance(100)
        });
        bench.later(1_000 + late);
        let did = bench.give(Input::Timer);
        assert_eq!(did[0], Sent(100));
        let announced = did.contains(&Announced(100));
        assert_eq!(announced, again, "{adverts} adverts, {late} ms late");
    }
}

#[test]
fn adverts_are_the_bytes_of_keepalived() {
    let authentication = Authentication::Password(Secret::new(*b"1111\0\0\0\0"));
    let mut bench = Bench::backup(Instance {
        authentication,
        ..instance(100)
    });
    bench.give(source(Some(1)));
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    let Action::SendAdvert { packet, .. } = bench.actions().remove(1) else {
        panic!("no advert");
    };
    let expected = [
        0x45, 0xc0, 0x00, 0x2c, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0x18, 0x8d, 0xc0, 0x00, 0x02,
        0x01, 0xe0, 0x00, 0x00, 0x12, 0x21, 0x33, 0x64, 0x02, 0x01, 0x01, 0x92, 0x9c, 0xc0, 0x00,
        0x02, 0x64, 0xc0, 0x00, 0x02, 0x65, 0x31, 0x31, 0x31, 0x31, 0x00, 0x00, 0x00, 0x00,
    ];
    assert_eq!(packet, expected);
}

// Log marks and dispatch.

#[test]
fn a_wrong_packet_is_logged_once_until_the_state_changes() {
    let mut bench = Bench::backup(instance(100));
    let wrong = Advert {
        body: Body::V2 {
            auth_type: 1,
            interval: 1,
            auth_data: [0; 8],
        },
        ..advert(200)
    };
    let text = "(VI_1) advert from 192.0.2.9: authentication type 1 is not the auth_type set here";
    assert_eq!(bench.hear_this(9, &wrong), [Said(text.to_owned())]);
    assert_eq!(bench.hear_this(9, &wrong), []);
    assert_eq!(bench.counters().auth_type_mismatch, 2);
    bench.wait();
    assert_eq!(bench.hear_this(9, &wrong), [Said(text.to_owned())]);
}

#[test]
fn invented_senders_fill_neither_the_log_nor_the_parent_s_channel() {
    let mut bench = Bench::backup(instance(100));
    let wrong = Advert {
        addresses: Vec::new(),
        ..advert(200)
    };
    let mut did = Vec::new();
    for round in 0..1_000_u16 {
        let sender = 10 + u8::try_from(round % 200).unwrap();
        did.extend(bench.hear(sender, 200));
        did.extend(bench.hear_this(sender, &wrong));
        bench.later(10);
    }
    let said = did.iter().filter(|one| matches!(one, Said(_))).count();
    let published = did.iter().filter(|one| matches!(one, Published(_))).count();
    assert!(said <= 2, "{said} lines in ten seconds");
    assert!((90..=101).contains(&published), "{published} times");
}

#[test]
fn other_addresses_in_an_advert_are_counted_and_the_advert_still_wins() {
    let mut bench = Bench::master(instance(100));
    let other = Advert {
        addresses: vec![v4(1)],
        ..advert(200)
    };
    let did = bench.hear_this(9, &other);
    assert!(did.contains(&Entered(State::Backup, better(9, 200))));
    assert_eq!(bench.counters().address_list_errors, 1);
}

#[test]
fn packets_of_other_interfaces_and_routers_are_nobodys() {
    let mut bench = Bench::backup(instance(100));
    let elsewhere = IfName::try_from("eth1".to_owned()).unwrap();
    let payload = bytes(&advert(200), header(9));
    let input = Input::Packet {
        interface: &elsewhere,
        header: header(9),
        payload: &payload,
    };
    assert_eq!(bench.give(input), []);
    let mut other = payload.clone();
    other[1] = 52;
    let interface = interface();
    let input = Input::Packet {
        interface: &interface,
        header: header(9),
        payload: &other,
    };
    assert_eq!(bench.give(input), []);
    assert_eq!(bench.counters(), Counters::default());
}

proptest::proptest! {
    /// Whatever comes in, in whatever state: no panic, and only an advert that passes every check can
    /// move a backup's timer.
    #[test]
    fn any_payload_is_taken_and_a_wrong_one_moves_no_timer(
        mut payload in proptest::collection::vec(proptest::num::u8::ANY, 2..60),
        master: bool,
    ) {
        payload[1] = 51;
        let mut bench = if master { Bench::master(instance(100)) } else { Bench::backup(instance(100)) };
        bench.later(500);
        let before = bench.router.poll_timeout();
        let interface = interface();
        bench.give(Input::Packet { interface: &interface, header: header(9), payload: &payload });
        if bench.counters().advert_received == 0 {
            proptest::prop_assert_eq!(bench.router.poll_timeout(), before);
        }
    }
}
