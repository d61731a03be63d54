//! A process that goes on where a predecessor ended.

use kr_model::units::{AdvertInterval, Priority};

use super::*;

fn snapshot(role: Role) -> Snapshot {
    Snapshot {
        id: ID,
        role,
        priority: Priority::DEFAULT,
        counters: Counters {
            advert_sent: 5,
            ..Counters::default()
        },
        signatures: SignatureMarks::default(),
        sequence: 0,
        old_checksum: false,
        since: Instant::from_micros(900_000_000),
        cause: SILENT,
    }
}

#[test]
fn a_resumed_master_sends_an_overdue_advert_at_once_and_says_no_transition() {
    let advert_at = Instant::from_micros(999_990_000);
    let mut bench = Bench::empty();
    let kept = snapshot(Role::Master { advert_at });
    let did = bench.give(configure(instance(100), Some(kept)));
    let expected = [
        Sent(100),
        Addresses(true),
        Announced(100),
        Announced(101),
        Published(State::Master),
    ];
    assert_eq!(did, expected);
    assert_eq!(bench.counters().advert_sent, 6);
}

#[test]
fn a_resumed_master_whose_advert_is_not_due_waits_for_it() {
    let advert_at = Instant::from_micros(1_000_300_000);
    let mut bench = Bench::empty();
    let kept = snapshot(Role::Master { advert_at });
    assert_eq!(
        bench.give(configure(instance(100), Some(kept)))[0],
        Addresses(true)
    );
    assert_eq!(bench.timeout(), 300_000);
}

#[test]
fn a_resumed_backup_waits_the_whole_time_again() {
    let role = Role::Backup {
        master_down_at: Instant::from_micros(999_000_000),
        master: Some((v4(9), 200)),
        interval: AdvertInterval::DEFAULT,
        preempt_at: None,
    };
    let mut bench = Bench::empty();
    let did = bench.give(configure(instance(100), Some(snapshot(role))));
    assert_eq!(did, [Addresses(false), Published(State::Backup)]);
    assert_eq!(bench.timeout(), 3_609_375);
}

#[test]
fn a_resumed_fault_is_looked_at_again() {
    let mut bench = Bench::empty();
    let did = bench.give(configure(instance(100), Some(snapshot(Role::Fault))));
    assert!(did.contains(&Entered(State::Backup, Cause::FaultCleared)));
    let mut bench = Bench::empty();
    bench.give(link(LinkState::Down));
    let did = bench.give(configure(instance(100), Some(snapshot(Role::Fault))));
    assert!(!did.iter().any(|one| matches!(one, Entered(..))), "{did:?}");
}

#[test]
fn a_resumed_master_without_its_link_gives_the_addresses_back() {
    let mut bench = Bench::empty();
    bench.give(link(LinkState::Down));
    let kept = snapshot(Role::Master {
        advert_at: Instant::ZERO,
    });
    let did = bench.give(configure(instance(100), Some(kept)));
    assert_eq!(
        did[..3],
        [
            Sent(0),
            Addresses(false),
            Entered(State::Fault, Cause::InterfaceDown)
        ]
    );
}

#[test]
fn a_resumed_backup_without_a_master_waits_only_for_what_a_new_one_may_need() {
    // The deadline of before in milliseconds (it is resumed at 1,000,000), and how many microseconds it waits.
    for (was, is) in [
        (999_500, 1_609_375),
        (1_002_000, 2_000_000),
        (1_060_000, 3_609_375),
    ] {
        let role = Role::Backup {
            master_down_at: Instant::from_micros(was * 1_000),
            master: None,
            interval: AdvertInterval::DEFAULT,
            preempt_at: None,
        };
        let mut bench = Bench::empty();
        bench.give(configure(instance(100), Some(snapshot(role))));
        assert_eq!(bench.timeout(), is, "{was}");
    }
}

#[test]
fn a_priority_0_and_a_preempt_delay_are_known_to_a_successor() {
    let mut bench = Bench::backup(Instance {
        preemption: Preemption::Delayed(Duration::from_secs(60)),
        ..instance(100)
    });
    assert_eq!(bench.hear(9, 200), [Published(State::Backup)]);
    bench.later(1_000);
    assert_eq!(bench.hear(9, 50), [Published(State::Backup)]);
    let known = bench.router.instances[&ID].router.snapshot().role;
    assert!(
        matches!(
            known,
            Role::Backup {
                preempt_at: Some(_),
                ..
            }
        ),
        "{known:?}"
    );
    bench.later(1_000);
    assert_eq!(bench.hear(9, 0), [Published(State::Backup)]);
    assert_eq!(bench.hear(9, 0), [], "nobody fills the channel with it");
    let known = bench.router.instances[&ID].router.snapshot().role;
    assert!(
        matches!(known, Role::Backup { master: None, .. }),
        "{known:?}"
    );
}

#[test]
fn a_successor_waits_for_the_rest_of_the_startup_delay_unless_there_was_none() {
    let nobody = Role::Backup {
        master_down_at: Instant::from_micros(1_010_000_000),
        master: None,
        interval: AdvertInterval::DEFAULT,
        preempt_at: None,
    };
    let heard = Role::Backup {
        master_down_at: Instant::from_micros(1_001_000_000),
        master: Some((v4(9), 200)),
        interval: AdvertInterval::DEFAULT,
        preempt_at: None,
    };
    for (role, timeout) in [(nobody, 10_000_000), (heard, 3_609_375)] {
        let mut bench = Bench::empty();
        let mut global = global();
        global.startup_delay = Duration::from_secs(7);
        let config = instance(100);
        bench.give(Input::Configure {
            global,
            instances: [(config.id, config.into())].into(),
            resume: [(ID, snapshot(role))].into(),
        });
        assert_eq!(bench.timeout(), timeout, "{role:?}");
    }
}
