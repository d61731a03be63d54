//! Children that break the rules: the parent ends them, starts others, and does not fall with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_ipc::{MAX_FRAME, codec};
use kr_model::vrrp::State;
use kr_model::{Generation, GroupId, InstanceId};
use kr_testkit::binaries;
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;

use crate::rig::{CHILDREN, Rig, SOON, WHOLE};

/// A daemon whose VRRP process behaves as told (see `fake_vrrpd`).
fn start(rig: &Rig, behaviour: &str) -> Process {
    start_with(rig, WHOLE, behaviour)
}

/// The same with the virtual router of another configuration.
fn start_with(rig: &Rig, configuration: &str, behaviour: &str) -> Process {
    rig.configure(configuration.split("virtual_server").next().unwrap());
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

/// What a child may not send, and why it is ended.
fn hostile_messages() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let encode = |message: &FromVrrpd| codec::encode(message).unwrap();
    let lower = |id| FromVrrpd::LowerPriorityHeard {
        instance: InstanceId(id),
    };
    let mut truncated = encode(&FromVrrpd::Ready(Generation(1)));
    truncated.pop();
    let mut trailing = encode(&FromVrrpd::Ready(Generation(1)));
    trailing.push(0);
    let group = FromVrrpd::GroupTransition {
        group: GroupId(4711),
        to: State::Master,
    };
    let later = FromVrrpd::Ready(Generation(99));
    let itself = FromVrrpd::Misbehaved(Sibling::Vrrpd);
    let malformed = "the other end sent bytes that are no message";
    let longer = "the other end sent 1 bytes after the message";
    let too_long = "the other end sent message longer than";
    vec![
        ("truncated", truncated, malformed),
        ("wrong variant", vec![200, 1, 2, 3], malformed),
        ("trailing", trailing, longer),
        ("oversized", vec![0; MAX_FRAME + 1], too_long),
        (
            "instance",
            encode(&lower(4711)),
            "it speaks of instance 4711",
        ),
        ("group", encode(&group), "it speaks of sync group 4711"),
        ("later", encode(&later), "it speaks of configuration 99"),
        (
            "itself",
            encode(&itself),
            "it says that it broke the protocol itself",
        ),
    ]
}

#[test]
fn every_message_that_a_child_may_not_send_ends_the_child_and_nothing_else() {
    for (what, bytes, why) in hostile_messages() {
        let rig = Rig::new(WHOLE);
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        let daemon = start(&rig, &format!("send {}", numbers.join(" ")));
        rig.wait_for(&daemon, &format!("killing vrrpd: {why}"));
        let again = || daemon.log().matches("started vrrpd").count() > 1;
        assert!(eventually(SOON, what, again).is_ok(), "{}", daemon.log());
        assert!(rig.notes().is_empty(), "{what}: {:?}", rig.notes());
    }
}

#[test]
fn a_descriptor_that_no_message_calls_for_ends_the_child() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "descriptor");
    rig.wait_for(
        &daemon,
        "killing vrrpd: the other end attached a descriptor that was not asked for",
    );
}

#[test]
fn a_child_that_talks_without_end_keeps_the_parent_from_nothing() {
    let rig = Rig::new(WHOLE);
    let mut daemon = start(&rig, "flood");
    rig.wait_for(&daemon, "up: every process");
    daemon.signal(nix::sys::signal::Signal::SIGUSR1).unwrap();
    rig.wait_for(&daemon, "wrote ");
    // It never listens, so it is ended for that.
    rig.wait_for(&daemon, "killing vrrpd: it has not answered for 1.");
    assert_eq!(daemon.terminate(SOON).unwrap().code(), Some(0));
}

#[test]
fn a_child_that_accuses_on_and_on_is_believed_a_few_times() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "accuse");
    rig.wait_for(&daemon, "too often to be believed");
    assert!(!daemon.log().contains("killing vrrpd"), "{}", daemon.log());
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
fn a_child_that_spins_is_replaced_by_the_deadline_of_its_adverts() {
    let rig = Rig::new(WHOLE);
    let often = WHOLE.replace("advert_int 1", "version 3\n    advert_int 0.2");
    let daemon = start_with(&rig, &often, "spins");
    rig.wait_for(&daemon, "up: every process");
    // 0.2 s, longer only on a busy machine.
    rig.wait_for(&daemon, "killing vrrpd: it has not answered for 0.");
    rig.wait_for(&daemon, "starting it again now");
}

#[test]
fn a_child_that_answers_what_nobody_asked_is_replaced() {
    let rig = Rig::new(WHOLE);
    let daemon = start(&rig, "stray answer");
    rig.wait_for(&daemon, "killing vrrpd: it answers what nobody asked");
    rig.wait_for(&daemon, "starting it again now");
}
