//! SIGHUP.

use kr_testkit::process::child_named;
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::Signal;
use std::time::Duration;

use crate::rig::{CHILDREN, Rig, SOON, WHOLE, children, kill, pid_in};

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

/// The configuration with one more address.
fn with_another_address() -> String {
    WHOLE.replace("10.9.0.9/24\n", "10.9.0.9/24\n        10.9.0.10/24\n")
}

#[test]
fn a_reload_while_a_child_is_dead_reaches_its_successor() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    rig.configure(&with_another_address());
    for name in CHILDREN {
        kill(child_named(daemon.pid(), name).unwrap());
    }
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    eventually(SOON, "the new address", || {
        rig.host.has_address("10.9.0.10")
    })
    .unwrap();
    assert!(rig.host.has_address("10.9.0.9"));
    let masters = rig.notes().iter().filter(|note| *note == "master").count();
    assert_eq!(masters, 1, "{:?}", rig.notes());
}

#[test]
fn a_reload_whose_child_dies_on_the_way_comes_to_its_end() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    rig.configure(&with_another_address());
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "the new configuration changes instances");
    kill(child_named(daemon.pid(), "vrrpd").unwrap());
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    eventually(SOON, "the new address", || {
        rig.host.has_address("10.9.0.10")
    })
    .unwrap();
}

#[test]
fn ten_reloads_in_a_row_end_with_the_last_configuration_and_the_same_processes() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let before = children(&daemon);
    for round in 0..10 {
        let text = if round % 2 == 0 {
            with_another_address()
        } else {
            WHOLE.to_owned()
        };
        rig.configure(&text);
        daemon.signal(Signal::SIGHUP).unwrap();
    }
    rig.configure(&with_another_address());
    daemon.signal(Signal::SIGHUP).unwrap();
    eventually(SOON, "the last configuration", || {
        rig.host.has_address("10.9.0.10")
    })
    .unwrap();
    throughout(Duration::from_secs(1), "both addresses", || {
        rig.host.has_address("10.9.0.9") && rig.host.has_address("10.9.0.10")
    })
    .unwrap();
    assert_eq!(children(&daemon), before);
    let masters = rig.notes().iter().filter(|note| *note == "master").count();
    assert_eq!(masters, 1, "{:?}", rig.notes());
}

#[test]
fn a_reload_during_the_start_is_not_lost() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start();
    eventually(SOON, "the pid file", || {
        pid_in(&rig.path("k.pid")).is_some()
    })
    .unwrap();
    rig.configure(&with_another_address());
    daemon.signal(Signal::SIGHUP).unwrap();
    eventually(SOON, "the new address", || {
        rig.host.has_address("10.9.0.10")
    })
    .unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
}

#[test]
fn a_stop_during_the_start_leaves_nothing_behind() {
    let rig = Rig::new(WHOLE);
    let mut daemon = rig.start();
    eventually(SOON, "the pid file", || {
        pid_in(&rig.path("k.pid")).is_some()
    })
    .unwrap();
    let status = daemon.terminate(SOON).unwrap();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(!rig.host.has_address("10.9.0.9"));
    for name in ["k.pid", "vrrpd.pid", "checkerd.pid", "ipvsd.pid"] {
        assert!(!rig.path(name).exists(), "{name}");
    }
}

#[test]
fn a_file_that_is_empty_while_it_is_written_takes_nothing_away() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let before = children(&daemon);
    rig.configure("");
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(
        &daemon,
        "the reload is refused: the configuration holds no vrrp_instance",
    );
    assert!(rig.host.has_address("10.9.0.9"));
    assert_eq!(children(&daemon), before);
}
