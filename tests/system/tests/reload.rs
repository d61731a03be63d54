//! SIGHUP.

use kr_testkit::process::child_named;
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::Signal;
use std::time::Duration;

use crate::rig::{Rig, SOON, WHOLE, children};

#[test]
fn a_configuration_with_an_error_is_refused_and_the_old_one_runs_on() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let before = children(&daemon);
    rig.configure(&WHOLE.replace("virtual_router_id 55", "virtual_router_id 555"));
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "the reload is refused");
    assert!(daemon.log().contains("k.conf:8:"), "{}", daemon.log());
    throughout(Duration::from_millis(500), "the address", || {
        rig.host.has_address("10.9.0.9")
    })
    .unwrap();
    assert_eq!(children(&daemon), before);
}

#[test]
fn an_added_address_arrives_without_a_restart_or_a_transition() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let before = children(&daemon);
    rig.configure(&WHOLE.replace("10.9.0.9/24\n", "10.9.0.9/24\n        10.9.0.10/24\n"));
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(
        &daemon,
        "the new configuration changes instances: 0 added, 1 changed, 0 removed",
    );
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    eventually(SOON, "the new address", || {
        rig.host.has_address("10.9.0.10")
    })
    .unwrap();
    assert!(rig.host.has_address("10.9.0.9"));
    assert_eq!(children(&daemon), before);
    assert_eq!(
        rig.notes().iter().filter(|note| *note == "master").count(),
        1
    );
}

#[test]
fn processes_come_and_go_with_their_part_of_the_configuration() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    let router_only = WHOLE.split("virtual_server").next().unwrap();
    rig.configure(router_only);
    daemon.signal(Signal::SIGHUP).unwrap();
    eventually(SOON, "ipvsd and checkerd to leave", || {
        child_named(daemon.pid(), "ipvsd").is_none()
            && child_named(daemon.pid(), "checkerd").is_none()
    })
    .unwrap();
    assert!(child_named(daemon.pid(), "vrrpd").is_some());
    rig.configure(WHOLE);
    daemon.signal(Signal::SIGHUP).unwrap();
    eventually(SOON, "ipvsd and checkerd to come", || {
        child_named(daemon.pid(), "ipvsd").is_some()
            && child_named(daemon.pid(), "checkerd").is_some()
    })
    .unwrap();
    rig.wait_for(&daemon, "reloaded: configuration 3 is in force");
}
