//! Children that break the rules: the parent ends them, starts others, and does not fall with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use kr_testkit::binaries;
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;

use crate::rig::{CHILDREN, Rig, SOON, WHOLE};

/// A daemon whose VRRP process behaves as told (see `fake_vrrpd`).
fn start(rig: &Rig, behaviour: &str) -> Process {
    rig.configure(WHOLE.split("virtual_server").next().unwrap());
    let libexec = rig.path("libexec");
    fs::create_dir(&libexec).unwrap();
    // The child runs under another account than the test.
    for directory in [rig.directory.path(), &libexec] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in CHILDREN {
        fs::copy(binaries::path("fake_vrrpd").unwrap(), libexec.join(name)).unwrap();
    }
    fs::write(libexec.join("behaviour"), behaviour).unwrap();
    let option = format!("--libexec={}", libexec.display());
    Process::spawn(&mut rig.command(&["-nlDG", &option]), &rig.path("log")).unwrap()
}

#[test]
fn bytes_that_are_no_message_end_the_child_which_is_replaced() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "garbage");
    rig.wait_for(
        &daemon,
        "killing vrrpd: the other end sent bytes that are no message",
    );
    rig.wait_for(&daemon, "vrrpd was ended by SIGKILL");
    eventually(SOON, "another one", || {
        daemon.log().matches("started vrrpd").count() > 1
    })
    .unwrap();
}

#[test]
fn an_object_that_a_child_was_not_given_ends_the_child() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "unknown instance");
    rig.wait_for(
        &daemon,
        "killing vrrpd: it speaks of instance 4711, which it was not given",
    );
    eventually(SOON, "another one", || {
        daemon.log().matches("started vrrpd").count() > 1
    })
    .unwrap();
    assert!(rig.notes().is_empty(), "{:?}", rig.notes());
}

#[test]
fn a_child_that_closes_its_channel_and_stays_is_killed() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "close");
    rig.wait_for(&daemon, "killing vrrpd: it does not leave");
}

#[test]
fn a_child_that_crashes_without_end_is_started_less_and_less_often() {
    let rig = Rig::new(WHOLE);
    // Not one of the codes that stop the daemon.
    let daemon = start(&rig, "exit 3");
    for wait in ["again now", "again in 1 s", "again in 2 s"] {
        rig.wait_for(&daemon, wait);
    }
    assert!(child_named(daemon.pid(), "checkerd").is_none());
}

#[test]
fn a_child_that_cannot_run_its_configuration_stops_the_start_with_its_code() {
    let rig = Rig::new(WHOLE);
    let mut daemon = start(&rig, "exit 2");
    eventually(SOON, "the daemon's end", || daemon.exited().is_some()).unwrap();
    assert_eq!(daemon.exited().unwrap().code(), Some(2), "{}", daemon.log());
}

#[test]
fn a_child_that_does_not_hear_the_stop_is_killed_after_child_wait_time() {
    let rig = Rig::new(WHOLE);
    let mut daemon = start(&rig, "does not leave");
    rig.wait_for(&daemon, "up: every process");
    let begin = Instant::now();
    let status = daemon.terminate(SOON).unwrap();
    assert_eq!(status.code(), Some(0));
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(8),
        "{took:?}"
    );
}

#[test]
fn a_child_that_answers_no_ping_is_replaced() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "silent");
    rig.wait_for(&daemon, "up: every process");
    let begin = Instant::now();
    rig.wait_for(&daemon, "killing vrrpd: it has not answered for 1.");
    rig.wait_for(&daemon, "starting it again now");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_child_that_answers_what_nobody_asked_is_replaced() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "stray answer");
    rig.wait_for(&daemon, "killing vrrpd: it answers what nobody asked");
    rig.wait_for(&daemon, "starting it again now");
}
