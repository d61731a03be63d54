//! `--no-setuid`: an account that is not root, with CAP_NET_ADMIN and CAP_NET_RAW and nothing else, as a
//! container grants them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use kr_sys::privilege::{Account, Duty, Holdings, Role};
use kr_testkit::binaries;
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;
use nix::unistd::{Gid, Uid, chown};

use crate::rig::{Rig, SOON, WHOLE, children};

const ACCOUNT: u32 = 12_345;

fn command(rig: &Rig, capabilities: &str) -> std::process::Command {
    let mut command = rig.host.command("setpriv");
    command
        .args([
            format!("--reuid={ACCOUNT}"),
            format!("--regid={ACCOUNT}"),
            "--clear-groups".to_owned(),
            format!("--inh-caps={capabilities}"),
            format!("--ambient-caps={capabilities}"),
            format!("--bounding-set={capabilities}"),
        ])
        .arg(binaries::path("keepalived-rs").unwrap())
        .args(["-nlDG", "--no-setuid"]);
    for (option, name) in [
        ("--use-file", "k.conf"),
        ("--pid", "k.pid"),
        ("--vrrp_pid", "vrrpd.pid"),
        ("--checkers_pid", "checkerd.pid"),
        ("--ipvs_pid", "ipvsd.pid"),
    ] {
        command.arg(option).arg(rig.path(name));
    }
    command
}

#[test]
fn two_capabilities_and_no_root_are_enough() {
    let rig = Rig::new(&WHOLE.replace("script_user root", "enable_script_security"));
    chown(
        rig.directory.path(),
        Some(Uid::from_raw(ACCOUNT)),
        Some(Gid::from_raw(ACCOUNT)),
    )
    .unwrap();
    let mut command = command(&rig, "-all,+net_admin,+net_raw");
    let mut daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    for (role, pid) in Role::ALL.into_iter().zip(children(&daemon)) {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let held = Holdings::parse(&text).unwrap();
        assert_eq!(held.uids, [ACCOUNT; 4]);
        held.verify(role, Duty::Usual, Account::Shared).unwrap();
        assert!(text.contains("Seccomp:\t2\n"), "{text}");
    }
    eventually(SOON, "notes", || {
        rig.notes()
            .contains(&"any INSTANCE VI_1 MASTER 255".to_owned())
    })
    .unwrap();
    daemon.terminate(SOON).unwrap();
    assert!(!rig.host.has_address("10.9.0.9"));
}

#[test]
fn no_process_leaves_its_memory_to_a_core_dump_or_to_others_of_its_account() {
    let rig = Rig::new(&WHOLE.replace("script_user root", "enable_script_security"));
    let owner = (Some(Uid::from_raw(ACCOUNT)), Some(Gid::from_raw(ACCOUNT)));
    chown(rig.directory.path(), owner.0, owner.1).unwrap();
    let mut command = command(&rig, "-all,+net_admin,+net_raw");
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
    let [vrrpd, checkerd, ipvsd] = children(&daemon);
    for pid in [daemon.pid(), vrrpd, checkerd, ipvsd] {
        // The kernel gives what concerns such a process to root, whatever its account.
        let memory = fs::metadata(format!("/proc/{pid}/mem")).unwrap();
        assert_eq!(memory.uid(), 0, "{pid}");
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert_eq!(Holdings::parse(&text).unwrap().uids, [ACCOUNT; 4]);
    }
}

#[test]
fn without_a_capability_the_start_says_which_process_lacks_it() {
    let rig = Rig::new(WHOLE);
    chown(
        rig.directory.path(),
        Some(Uid::from_raw(ACCOUNT)),
        Some(Gid::from_raw(ACCOUNT)),
    )
    .unwrap();
    let mut command = command(&rig, "-all,+net_raw");
    let mut daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    eventually(SOON, "the end", || daemon.exited().is_some()).unwrap();
    let log = daemon.log();
    assert!(
        log.contains("could not be started: the capabilities of its role are not to be had"),
        "{log}"
    );
}
