//! `lvs_sync_daemon` in the machine: which thread runs when.

use kr_model::InstanceId;
use kr_model::lvs::{SyncDaemon, SyncRole, SyncSettings};
use kr_model::units::IfName;
use kr_model::vrrp::State;

use super::*;

fn synchronised() -> Configuration {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    config.global.sync = Some(SyncSettings {
        daemon: SyncDaemon {
            interface: IfName::try_from("eth0".to_owned()).unwrap(),
            id: 51,
            max_length: None,
            port: None,
            ttl: None,
            group: None,
        },
        instance: Some(InstanceId(4)),
    });
    config
}

fn roles(lab: &Lab) -> Vec<SyncRole> {
    lab.sync.keys().copied().collect()
}

#[test]
fn the_thread_follows_the_instance_and_ends_with_the_process() {
    let mut lab = Lab::started(synchronised());
    assert_eq!(lab.table.followed(), Some(InstanceId(4)));
    assert_eq!(roles(&lab), []);
    lab.input(Input::Followed(State::Backup));
    assert_eq!(roles(&lab), [SyncRole::Backup]);
    lab.input(Input::Followed(State::Master));
    assert_eq!(roles(&lab), [SyncRole::Master]);
    // Somebody else stops it; the next reading notices.
    lab.sync.clear();
    lab.tick();
    assert_eq!(roles(&lab), [SyncRole::Master]);
    lab.input(Input::Shutdown);
    assert_eq!(roles(&lab), []);
    assert!(lab.finished);
}

#[test]
fn a_successor_does_not_restart_a_thread_that_is_right() {
    let mut lab = Lab::started(synchronised());
    lab.input(Input::Followed(State::Master));
    let mut successor = lab.restarted(synchronised());
    successor.input(Input::Followed(State::Master));
    successor.tick();
    assert_eq!(successor.sync_changes, []);
    assert_eq!(roles(&successor), [SyncRole::Master]);
}

#[test]
fn what_a_predecessor_started_is_stopped_when_a_reload_took_it_away_meanwhile() {
    let mut lab = Lab::started(synchronised());
    lab.input(Input::Followed(State::Master));
    let mut without = synchronised();
    without.global.sync = None;
    without.resume.sync = true;
    let mut successor = Lab::new();
    successor.sync = lab.sync;
    successor.input(Input::Configure(Box::new(without)));
    assert_eq!(roles(&successor), []);
}
