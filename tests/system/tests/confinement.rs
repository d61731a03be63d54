//! What each child holds, read from `/proc` while the daemon runs.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::rig::{Rig, SOON, WHOLE, children};
use kr_sys::privilege::{Account, Duty, Holdings, Role};
use kr_testkit::binaries;
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn every_child_holds_exactly_its_row_of_the_privilege_table() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    for (role, pid) in [Role::Vrrpd, Role::Checkerd, Role::Ipvsd]
        .into_iter()
        .zip(children(&daemon))
    {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let holdings = Holdings::parse(&text).unwrap();
        holdings
            .verify(role, Duty::Usual, Account::Own)
            .unwrap_or_else(|excess| panic!("{}: {excess}", role.program()));
        assert!(text.contains("Groups:\t \n"), "{text}");
        assert!(text.contains("Seccomp:\t2\n"), "{text}");
    }
    let expected = [
        (Role::Vrrpd, 0x3000),
        (Role::Checkerd, 0),
        (Role::Ipvsd, 0x1000),
    ];
    for (role, mask) in expected {
        assert_eq!(role.mask(), mask, "{}", role.program());
    }
}

fn holdings(pid: Pid) -> Holdings {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    Holdings::parse(&text).unwrap()
}

#[test]
fn the_parent_keeps_what_starting_others_needs_and_root_scripts_find_root_s_capabilities() {
    let own = Holdings::of_this_process().unwrap();
    let rig = Rig::new(WHOLE);
    rig.script(
        "note.sh",
        &format!(
            "grep CapEff /proc/self/status > {0}.new; mv {0}.new {0}\n",
            rig.path("caps").display()
        ),
    );
    let daemon = rig.start_and_wait();
    let held = holdings(daemon.pid());
    // CAP_CHOWN, DAC_READ_SEARCH, KILL, SETGID, SETUID, SETPCAP; and of the children NET_ADMIN, NET_RAW
    // and, when checks have low source ports, NET_BIND_SERVICE.
    assert_eq!(held.permitted, 0x35e5);
    assert_eq!(held.effective, 0x35e5);
    assert_eq!((held.inheritable, held.ambient), (0, 0));
    assert_eq!(held.bounding, own.bounding);
    eventually(SOON, "the script", || rig.path("caps").exists()).unwrap();
    let text = fs::read_to_string(rig.path("caps")).unwrap();
    assert_eq!(text.trim(), format!("CapEff:\t{:016x}", own.bounding));
}

#[test]
fn without_scripts_of_root_nothing_can_ever_hold_more_than_the_parent() {
    let rig = Rig::new(&WHOLE.replace("script_user root", "script_user nobody"));
    let daemon = rig.start_and_wait();
    assert_eq!(holdings(daemon.pid()).bounding, 0x35e5);
    rig.configure(WHOLE);
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "it runs without most of root's capabilities");
}

/// How many descriptors of each kind a process has: `socket`, `eventpoll`, ...
fn descriptors(pid: Pid) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        let target = target.to_string_lossy();
        let kind = target
            .trim_start_matches("anon_inode:")
            .trim_matches(['[', ']'])
            .split(":[")
            .next()
            .unwrap();
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
    }
    kinds
}

#[test]
fn no_child_inherits_a_descriptor_that_is_not_its_own() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    let log = rig.path("log").to_string_lossy().into_owned();
    let [vrrpd, checkerd, ipvsd] = children(&daemon);
    // The sockets: each has its channel and those to its two siblings. Beside them vrrpd has four of rtnetlink
    // (links and addresses, routes and rules), one for adverts and one for ARP; checkerd two of rtnetlink, which
    // only read (a check opens another for an instant); ipvsd generic netlink where the kernel has IPVS.
    for (pid, sockets) in [(vrrpd, 9..=9), (checkerd, 5..=6), (ipvsd, 3..=5)] {
        let mut kinds = descriptors(pid);
        assert_eq!(kinds.remove("/dev/null"), Some(2), "{kinds:?}");
        assert_eq!(kinds.remove(&log), Some(1), "{kinds:?}");
        assert_eq!(kinds.remove("signalfd"), Some(1), "{kinds:?}");
        assert_eq!(kinds.remove("eventpoll"), Some(1), "{kinds:?}");
        assert_eq!(kinds.remove("timerfd"), Some(1), "{kinds:?}");
        let count = kinds.remove("socket").unwrap();
        assert!(sockets.contains(&count), "{count} sockets in {pid}");
        assert!(kinds.is_empty(), "{kinds:?}");
    }
}

#[test]
fn a_child_that_leaves_its_sandbox_is_named_and_replaced() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    let [_, checkerd, _] = children(&daemon);
    // What the kernel does at a forbidden system call.
    kill(checkerd, Signal::SIGSYS).unwrap();
    rig.wait_for(&daemon, "checkerd made a system call outside its sandbox");
    let replaced = eventually(SOON, "another checkerd", || {
        child_named(daemon.pid(), "checkerd").is_some_and(|pid| pid != checkerd)
    });
    replaced.unwrap();
}

#[test]
fn the_sandbox_that_only_logs_says_so_in_every_child() {
    let rig = Rig::new(WHOLE);
    let mut command = rig.command(&["-nlDG", "--sandbox=log"]);
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
    let warnings = daemon.log().matches("started with --sandbox=log").count();
    assert_eq!(warnings, 3, "{}", daemon.log());
}

/// A daemon on a kernel without Landlock.
fn without_landlock(rig: &Rig) -> Process {
    let daemon = rig.command(&["-nlDG"]);
    // `ip netns exec HOST PROGRAM ARGUMENT...`
    let words: Vec<_> = daemon.get_args().collect();
    let (inside, program) = words.split_at(3);
    let mut command = Command::new(daemon.get_program());
    command
        .args(inside)
        .arg(binaries::path("without_landlock").unwrap())
        .args(program);
    Process::spawn(&mut command, &rig.path("log")).unwrap()
}

#[test]
fn a_kernel_that_lacks_a_feature_is_told_and_with_sandbox_strict_refused() {
    let rig = Rig::new(WHOLE);
    let daemon = without_landlock(&rig);
    rig.wait_for(&daemon, "up: every process runs its configuration");
    let told = "this kernel lacks Landlock, or it is switched off: running without that";
    assert_eq!(daemon.log().matches(told).count(), 3, "{}", daemon.log());
    drop(daemon);

    let strict = WHOLE.replace("script_user root", "script_user root\n    sandbox strict");
    let rig = Rig::new(&strict);
    let mut daemon = without_landlock(&rig);
    eventually(SOON, "the end", || daemon.exited().is_some()).unwrap();
    assert_eq!(daemon.exited().unwrap().code(), Some(4), "{}", daemon.log());
    let why = "refusing to run outside the sandbox: this kernel lacks Landlock";
    assert!(daemon.log().contains(why), "{}", daemon.log());
    assert!(!rig.host.has_address("10.9.0.9"));
}

#[test]
fn a_child_started_by_hand_says_who_starts_it() {
    for role in Role::ALL {
        let output = Command::new(binaries::path(role.program()).unwrap())
            .output()
            .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains("is started by keepalived-rs, not by hand"),
            "{text}"
        );
    }
}

#[test]
fn a_child_that_holds_more_than_its_role_refuses_to_start() {
    let (own, theirs) = nix::sys::socket::socketpair(
        nix::sys::socket::AddressFamily::Unix,
        nix::sys::socket::SockType::SeqPacket,
        None,
        nix::sys::socket::SockFlag::empty(),
    )
    .unwrap();
    // The shell puts its standard input where a child looks for the channel, and keeps root's privileges.
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" 3<&0 0</dev/null 2>&1"])
        .arg(binaries::path("checkerd").unwrap())
        .stdin(Stdio::from(theirs))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("refusing to run with other privileges"),
        "{text}"
    );
    drop(own);
}
