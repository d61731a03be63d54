//! Going into the background, and pid files as locks.

use std::fs;
use std::os::unix::net::UnixDatagram;

use kr_testkit::process::{Process, is_alive};
use kr_testkit::wait::eventually;
use nix::sys::signal::{Signal, kill};

use crate::rig::{Rig, SOON, WHOLE, pid_in};

#[test]
fn the_starting_command_succeeds_when_the_daemon_is_up() {
    let rig = Rig::new(WHOLE);
    let log = rig.path("daemon.log");
    let logging = format!("--log-file={}", log.display());
    let output = rig.command(&["-G", &logging]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let pid = pid_in(&rig.path("k.pid")).unwrap();
    assert!(is_alive(pid));
    let text = fs::read_to_string(&log).unwrap();
    assert!(
        text.contains("up: every process runs its configuration"),
        "{text}"
    );
    // Its children write into the same file.
    assert!(text.contains("Keepalived_vrrp["), "{text}");

    // A second one is told about the first.
    let output = rig.command(&["-G"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains(&format!("already running as process {pid}")),
        "{text}"
    );

    kill(pid, Signal::SIGTERM).unwrap();
    eventually(SOON, "the daemon's end", || !is_alive(pid)).unwrap();
    assert!(!rig.path("k.pid").exists());
}

#[test]
fn the_starting_command_fails_with_the_reason_and_code_of_the_daemon() {
    let rig = Rig::new(&WHOLE.replace("interface eth0", "interface nosuch0"));
    let output = rig.command(&["-G"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("nosuch0"), "{text}");
    assert!(!rig.path("k.pid").exists());
}

#[test]
fn a_configuration_without_anything_to_run_ends_with_code_6() {
    let rig = Rig::new("global_defs {\n    router_id X\n}\n");
    let output = rig.command(&["-nG"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
}

#[test]
fn missing_children_are_reported_with_the_place_they_were_looked_for() {
    let rig = Rig::new(WHOLE);
    let output = rig
        .command(&["-nG", "--libexec=/no/such/place"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("are not all in /no/such/place"), "{text}");
}

#[test]
fn systemd_hears_of_readiness_reload_and_stop() {
    let rig = Rig::new(WHOLE);
    let socket = UnixDatagram::bind(rig.path("notify")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let next = || heard(&socket);
    let mut command = rig.command(&["-nlG"]);
    command.env("NOTIFY_SOCKET", rig.path("notify"));
    let mut daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    assert_eq!(next(), "READY=1");
    daemon.signal(Signal::SIGHUP).unwrap();
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(), "READY=1");
    daemon.terminate(SOON).unwrap();
    assert_eq!(next(), "STOPPING=1");
}

#[test]
fn the_watchdog_of_systemd_is_fed_while_the_children_answer() {
    let rig = Rig::new(WHOLE);
    let socket = UnixDatagram::bind(rig.path("notify")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut command = rig.command(&["-nlG"]);
    command
        .env("NOTIFY_SOCKET", rig.path("notify"))
        .env("WATCHDOG_USEC", "900000");
    let _daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    let mut fed = 0;
    eventually(SOON, "five feedings", || {
        fed += u32::from(heard(&socket).starts_with("WATCHDOG=1"));
        fed == 5
    })
    .unwrap();
}

/// The next message to systemd.
fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                return String::from_utf8_lossy(buffer.get(..length).unwrap())
                    .trim_end()
                    .to_owned();
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_log_file_that_was_rotated_away_is_opened_again_by_every_process() {
    let rig = Rig::new(WHOLE);
    let (path, rotated) = (rig.path("daemon.log"), rig.path("daemon.log.1"));
    let logging = format!("--log-file={}", path.display());
    let mut command = rig.command(&["-nlDG", &logging]);
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process");
    fs::rename(&path, &rotated).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    let text = || fs::read_to_string(&path).unwrap_or_default();
    for ident in [
        "Keepalived[",
        "Keepalived_vrrp[",
        "Keepalived_healthcheckers[",
        "Keepalived_ipvs[",
        "reloaded: configuration 2 is in force",
    ] {
        eventually(SOON, ident, || text().contains(ident)).unwrap();
    }
    let old = fs::read_to_string(&rotated).unwrap();
    assert!(!old.contains("configuration 2"), "{old}");
}
