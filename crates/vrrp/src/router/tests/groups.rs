//! Sync groups: all or none.

use std::sync::Arc;

use kr_model::units::Priority;
use kr_model::vrrp::WantedState;

use super::*;

const SECOND: InstanceId = InstanceId(8);

fn eth1() -> IfName {
    IfName::try_from("eth1".to_owned()).unwrap()
}

/// Router 51 on eth0 and router 52 on eth1.
fn members(priority: u8) -> BTreeMap<InstanceId, Arc<Instance>> {
    let group = Some(GroupId(ID.0));
    let first = Instance {
        group,
        ..instance(priority)
    };
    let second = Instance {
        id: SECOND,
        name: "VI_2".to_owned(),
        interface: eth1(),
        vrid: 52.try_into().unwrap(),
        ..first.clone()
    };
    [(ID, first.into()), (SECOND, second.into())].into()
}

fn link1(state: LinkState) -> Input<'static> {
    Input::Link {
        interface: eth1(),
        state,
    }
}

fn grouped(priority: u8) -> Bench {
    let mut bench = Bench::empty();
    bench.give(link1(LinkState::Up));
    bench.give(Input::Source {
        interface: eth1(),
        family: Family::Inet,
        address: Some(v4(10)),
    });
    bench.give(Input::Configure {
        global: global(),
        instances: members(priority),
        resume: BTreeMap::new(),
    });
    bench
}

impl Bench {
    fn states(&self) -> [State; 2] {
        [ID, SECOND].map(|id| {
            let snapshot = self.router.instances[&id].router.snapshot();
            snapshot.role.state()
        })
    }

    fn hear_on_eth1(&mut self, priority: u8) -> Vec<Did> {
        let advert = Advert {
            vrid: 52.try_into().unwrap(),
            ..advert(priority)
        };
        let payload = bytes(&advert, header(9));
        self.give(Input::Packet {
            interface: &eth1(),
            header: header(9),
            payload: &payload,
        })
    }
}

#[test]
fn members_become_master_together_when_the_last_is_ready() {
    let mut bench = grouped(100);
    bench.later(1_000);
    bench.hear_on_eth1(99);
    assert_eq!(bench.states(), [State::Backup; 2]);
    bench.hear_on_eth1(200);
    // The first waits for the second, which follows a master for another second.
    bench.wait();
    assert_eq!(bench.states(), [State::Backup; 2]);
    assert_eq!(bench.timeout(), 1_000_000);
    let did = bench.wait();
    assert_eq!(bench.states(), [State::Master; 2]);
    let adverts = did.iter().filter(|one| **one == Sent(100));
    assert_eq!(adverts.count(), 2);
}

#[test]
fn an_owner_in_a_group_starts_as_backup_and_waits_for_the_slowest_member() {
    let mut instances = members(100);
    let owner = Instance {
        priority: Priority::OWNER,
        wanted: WantedState::Master,
        ..(*instances[&ID]).clone()
    };
    instances.insert(ID, owner.into());
    let mut bench = Bench::empty();
    bench.give(link1(LinkState::Up));
    bench.give(Input::Source {
        interface: eth1(),
        family: Family::Inet,
        address: Some(v4(10)),
    });
    bench.give(Input::Configure {
        global: global(),
        instances,
        resume: BTreeMap::new(),
    });
    bench.wait();
    assert_eq!(bench.states(), [State::Backup; 2]);
    assert_eq!(bench.timeout(), 3_609_375);
    bench.wait();
    assert_eq!(bench.states(), [State::Master; 2]);
}

#[test]
fn a_member_that_hears_a_better_master_takes_the_group_along_without_priority_0() {
    let mut bench = grouped(100);
    bench.wait();
    assert_eq!(bench.states(), [State::Master; 2]);
    let did = bench.hear(9, 200);
    assert_eq!(bench.states(), [State::Backup; 2]);
    assert!(
        did.contains(&Entered(State::Backup, Cause::GroupBackup)),
        "{did:?}"
    );
    assert!(!did.contains(&Sent(0)), "{did:?}");
}

#[test]
fn a_fault_of_one_member_is_a_fault_of_all_until_it_is_gone() {
    let mut bench = grouped(100);
    bench.wait();
    let did = bench.give(link1(LinkState::Down));
    assert_eq!(bench.states(), [State::Fault; 2]);
    assert_eq!(did.iter().filter(|one| **one == Sent(0)).count(), 2);
    assert!(did.contains(&Entered(State::Fault, Cause::GroupFault)));
    assert_eq!(bench.router.poll_timeout(), None);
    bench.give(link1(LinkState::Up));
    assert_eq!(bench.states(), [State::Backup; 2]);
    bench.wait();
    assert_eq!(bench.states(), [State::Master; 2]);
}

#[test]
fn a_group_that_starts_with_a_fault_starts_in_fault() {
    let mut bench = Bench::empty();
    let did = bench.give(Input::Configure {
        global: global(),
        instances: members(100),
        resume: BTreeMap::new(),
    });
    assert_eq!(bench.states(), [State::Fault; 2]);
    assert!(
        !did.contains(&Entered(State::Backup, Cause::Start)),
        "{did:?}"
    );
}

#[test]
fn an_owner_of_every_address_takes_the_whole_group_at_once() {
    let mut bench = grouped(255);
    assert_eq!(bench.timeout(), 0);
    bench.wait();
    assert_eq!(bench.states(), [State::Master; 2]);
}

#[test]
fn a_member_that_a_reload_takes_out_of_the_group_goes_its_own_way() {
    let mut bench = grouped(100);
    bench.give(link1(LinkState::Down));
    let instances = members(100).into_iter().map(|(id, one)| {
        let alone = Instance {
            group: None,
            ..Instance::clone(&one)
        };
        (id, alone.into())
    });
    bench.give(Input::Configure {
        global: global(),
        instances: instances.collect(),
        resume: BTreeMap::new(),
    });
    assert_eq!(bench.states(), [State::Backup, State::Fault]);
    bench.wait();
    assert_eq!(bench.states(), [State::Master, State::Fault]);
}

#[test]
fn the_state_of_the_group_is_told_once_when_all_members_share_it() {
    let mut bench = grouped(100);
    let told = |did: Vec<Did>| {
        let groups = did.into_iter().filter(|one| matches!(one, Group(_)));
        groups.collect::<Vec<_>>()
    };
    assert_eq!(told(bench.wait()), [Group(State::Master)]);
    assert_eq!(told(bench.hear_on_eth1(200)), [Group(State::Backup)]);
    assert_eq!(
        told(bench.give(link1(LinkState::Down))),
        [Group(State::Fault)]
    );
    assert_eq!(
        told(bench.give(link1(LinkState::Up))),
        [Group(State::Backup)]
    );
    assert_eq!(told(bench.give(Input::Shutdown)), [Group(State::Stop)]);
}

#[test]
fn a_resumed_group_says_nothing() {
    let mut bench = grouped(100);
    bench.wait();
    let resume = [ID, SECOND].map(|id| (id, bench.router.instances[&id].router.snapshot()));
    let mut successor = Bench::empty();
    successor.now = bench.now;
    successor.give(link1(LinkState::Up));
    successor.give(Input::Source {
        interface: eth1(),
        family: Family::Inet,
        address: Some(v4(10)),
    });
    let did = successor.give(Input::Configure {
        global: global(),
        instances: members(100),
        resume: resume.into(),
    });
    assert_eq!(successor.states(), [State::Master; 2]);
    assert!(
        !did.iter().any(|one| matches!(one, Group(_) | Entered(..))),
        "{did:?}"
    );
}

#[test]
fn a_member_whose_addresses_are_refused_takes_the_group_along_and_back() {
    let mut bench = grouped(100);
    bench.wait();
    assert_eq!(bench.states(), [State::Master; 2]);
    bench.give(Input::Addresses {
        instance: SECOND,
        set: false,
    });
    assert_eq!(bench.states(), [State::Fault; 2]);
    bench.wait();
    assert_eq!(bench.states(), [State::Backup; 2]);
}
