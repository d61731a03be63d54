//! Children that die, a parent that dies, and a clean stop.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use kr_testkit::harm::Undying;
use kr_testkit::process::{Process, child_named, is_alive};
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::Signal;

use crate::rig::{CHILDREN, Rig, SOON, WHOLE, children, keepalived, kill, pid_in};

#[test]
fn a_killed_child_is_back_at_once_and_the_address_stays() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    for name in CHILDREN {
        for _ in 0..5 {
            let old = child_named(daemon.pid(), name).unwrap();
            let line = format!("{name} runs configuration 1");
            let ready = daemon.log().matches(&line).count();
            let start = Instant::now();
            kill(old);
            let back = eventually(SOON, name, || daemon.log().matches(&line).count() > ready);
            assert!(back.is_ok(), "{name} is not back:\n{}", daemon.log());
            let took = start.elapsed();
            assert!(took < Duration::from_secs(2), "{name}: {took:?}");
            assert!(rig.host.has_address("10.9.0.9"), "{name}");
        }
        let pid_file = rig.path(&format!("{name}.pid"));
        assert_eq!(pid_in(&pid_file), child_named(daemon.pid(), name));
    }
    throughout(Duration::from_secs(1), "the address", || {
        rig.host.has_address("10.9.0.9")
    })
    .unwrap();
    // It never left its state, so nobody was told of another.
    let notes = rig.notes();
    assert_eq!(
        notes.iter().filter(|note| *note == "master").count(),
        1,
        "{notes:?}"
    );
}

#[test]
fn a_stopped_child_is_replaced_within_its_deadline_and_the_address_stays() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    for (name, deadline) in [("vrrpd", 1), ("checkerd", 3), ("ipvsd", 6)] {
        let old = child_named(daemon.pid(), name).unwrap();
        let ready = format!("{name} runs configuration 1");
        let before = daemon.log().matches(&ready).count();
        let start = Instant::now();
        nix::sys::signal::kill(old, Signal::SIGSTOP).unwrap();
        let back = eventually(SOON, name, || daemon.log().matches(&ready).count() > before);
        assert!(back.is_ok(), "{name} is not back:\n{}", daemon.log());
        let took = start.elapsed();
        // A question every 250 ms, the deadline, the start of the successor on a busy machine.
        assert!(
            took < Duration::from_secs(deadline) + Duration::from_secs(3),
            "{name}: {took:?}"
        );
        let line = format!("killing {name}: it has not answered for ");
        assert!(daemon.log().contains(&line), "{}", daemon.log());
        assert!(rig.host.has_address("10.9.0.9"), "{name}");
    }
    let notes = rig.notes();
    assert_eq!(
        notes.iter().filter(|note| *note == "master").count(),
        1,
        "{notes:?}"
    );
}

/// How often systemd's watchdog was fed since the last time this was asked.
fn feedings(socket: &UnixDatagram) -> usize {
    let mut buffer = [0; 256];
    let mut heard = std::iter::from_fn(|| {
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].starts_with(b"WATCHDOG=1"))
    });
    heard.by_ref().filter(|is_watchdog| *is_watchdog).count()
}

#[test]
fn the_successor_of_a_process_that_cannot_end_takes_over_but_no_third_one_is_started() {
    let rig = Rig::new(WHOLE);
    let socket = UnixDatagram::bind(rig.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = rig.command(&["-nlDG"]);
    command
        .env("NOTIFY_SOCKET", rig.path("notify"))
        .env("WATCHDOG_USEC", "900000");
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let current = || pid_in(&rig.path("vrrpd.pid")).unwrap();
    let stop = |pid| {
        let held = Undying::new(pid).unwrap();
        nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
        held
    };
    let is_ready = |times| {
        let ready = || daemon.log().matches("vrrpd runs configuration 1").count() == times;
        let waited = eventually(SOON, "vrrpd", ready);
        assert!(waited.is_ok(), "{}", daemon.log());
    };

    let first = current();
    let held_first = stop(first);
    is_ready(2);
    let second = current();
    assert_ne!(first, second);
    assert!(is_alive(first), "it ended");
    eventually(SOON, "food for the watchdog", || feedings(&socket) > 0).unwrap();

    let held_second = stop(second);
    let killed = || daemon.log().matches("killing vrrpd: it has not").count() == 2;
    eventually(SOON, "the second is killed", killed).unwrap();
    feedings(&socket);
    throughout(Duration::from_secs(2), "nobody replaces it", || {
        current() == second && feedings(&socket) == 0
    })
    .unwrap();
    assert!(rig.host.has_address("10.9.0.9"));

    drop(held_second);
    is_ready(3);
    assert!(is_alive(first), "it ended");
    eventually(SOON, "food for the watchdog", || feedings(&socket) > 0).unwrap();
    drop(held_first);
    eventually(SOON, "the end of the first", || !is_alive(first)).unwrap();
    assert_eq!(
        rig.notes().iter().filter(|note| *note == "master").count(),
        1
    );
}

#[test]
fn children_leave_within_a_second_when_the_parent_is_killed() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let all = children(&daemon);
    kill(daemon.pid());
    let limit = Duration::from_secs(1);
    eventually(limit, "every child to leave", || {
        !all.iter().any(|pid| is_alive(*pid))
    })
    .unwrap();
    assert!(!rig.host.has_address("10.9.0.9"));
}

#[test]
fn a_stop_removes_the_address_and_every_pid_file() {
    let rig = Rig::new(WHOLE);
    let mut daemon = rig.start_and_wait();
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    let files = ["k", "vrrpd", "checkerd", "ipvsd"].map(|name| rig.path(&format!("{name}.pid")));
    assert_eq!(pid_in(&files[0]), Some(daemon.pid()));
    assert!(files.iter().all(|file| file.exists()));
    let status = daemon.terminate(SOON).unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!rig.host.has_address("10.9.0.9"));
    assert!(!files.iter().any(|file| file.exists()));
    assert!(
        daemon.log().trim_end().ends_with("stopped"),
        "{}",
        daemon.log()
    );
}

#[test]
fn without_respawn_the_daemon_stops_when_a_child_dies() {
    let rig = Rig::new(WHOLE);
    let mut command = rig.command(&["-nlGR"]);
    let mut daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process");
    kill(child_named(daemon.pid(), "checkerd").unwrap());
    eventually(SOON, "the daemon's end", || daemon.exited().is_some()).unwrap();
    assert_eq!(daemon.exited().unwrap().code(), Some(1));
    assert!(!rig.host.has_address("10.9.0.9"));
}

#[test]
fn a_child_whose_channel_breaks_is_replaced() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    // SIGTERM to a child alone: it leaves cleanly, and nobody asked for that.
    let old = child_named(daemon.pid(), "checkerd").unwrap();
    nix::sys::signal::kill(old, Signal::SIGTERM).unwrap();
    eventually(SOON, "another checkerd", || {
        child_named(daemon.pid(), "checkerd").is_some_and(|new| new != old)
    })
    .unwrap();
}

#[test]
fn only_the_processes_that_the_configuration_needs_are_started() {
    let rig = Rig::new(WHOLE);
    let mut command = rig.command(&["-nlG", "--vrrp"]);
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process");
    assert!(child_named(daemon.pid(), "vrrpd").is_some());
    assert!(child_named(daemon.pid(), "checkerd").is_none());
    assert!(child_named(daemon.pid(), "ipvsd").is_none());
}

#[test]
fn dumps_and_statistics_are_written_for_root_alone() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the note of the master", || {
        rig.notes().contains(&"master".to_owned())
    })
    .unwrap();
    daemon.signal(Signal::SIGUSR1).unwrap();
    daemon.signal(Signal::SIGUSR2).unwrap();
    for name in [
        "keepalived_parent.data",
        "keepalived.data",
        "keepalived_check.data",
        "keepalived.stats",
    ] {
        let path = rig.path(name);
        eventually(SOON, name, || path.exists()).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let data = std::fs::read_to_string(rig.path("keepalived.data")).unwrap();
    assert!(
        data.contains("------< VRRP Topology >------\n VRRP Instance = VI_1\n   State = MASTER\n"),
        "{data}"
    );
    let statistics = std::fs::read_to_string(rig.path("keepalived.stats")).unwrap();
    assert!(
        statistics.contains("VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n"),
        "{statistics}"
    );
    assert!(statistics.contains("  Became master: 1\n"), "{statistics}");
}

#[test]
fn the_dump_of_the_parent_tells_how_late_every_process_is() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "four processes that say how late they are", || {
        daemon.signal(Signal::SIGUSR1).unwrap();
        let dump = std::fs::read_to_string(rig.path("keepalived_parent.data")).unwrap_or_default();
        let turns = "   Turns of the loop that took = ";
        let told = dump.lines().filter(|line| line.starts_with(turns));
        told.filter(|line| !line.ends_with(" 0 in all")).count() == 4
    })
    .unwrap();
}

#[test]
fn dumps_go_to_a_run_directory_for_root_alone_and_hold_no_password() {
    use std::os::unix::fs::PermissionsExt;
    let text = WHOLE.replace(
        "    priority 255\n",
        "    priority 255\n    authentication {\n        auth_type PASS\n        auth_pass topsecret\n    }\n",
    );
    let rig = Rig::new(&text);
    let mut command = rig.command(&["-nlDG"]);
    command.env_remove("TMPDIR");
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process");
    daemon.signal(Signal::SIGUSR1).unwrap();
    rig.wait_for(&daemon, "wrote /run/keepalived-rs/keepalived_check.data");
    let directory = std::path::Path::new("/run/keepalived-rs");
    let mode = directory.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let dump = std::fs::read_to_string(directory.join("keepalived.data")).unwrap();
    assert!(dump.contains("   Virtual Router ID = 55\n"), "{dump}");
    assert!(dump.contains("password = ********\n") && !dump.contains("topsecre"));
}

#[test]
fn real_time_signals_write_json_and_clear_the_statistics() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    eventually(SOON, "the note of the master", || {
        rig.notes().contains(&"master".to_owned())
    })
    .unwrap();
    let send = |function: &str| {
        let number = keepalived(&[&format!("--signum={function}")]).stdout;
        let number = String::from_utf8(number).unwrap();
        let pid = daemon.pid().to_string();
        let status = std::process::Command::new("kill")
            .args([&format!("-{}", number.trim()), &pid])
            .status();
        assert!(status.unwrap().success());
    };
    send("JSON");
    let json = rig.path("keepalived.json");
    eventually(SOON, "the JSON", || json.exists()).unwrap();
    let text = std::fs::read_to_string(&json).unwrap();
    assert!(
        text.starts_with("[{\"data\":{") && text.contains("\"iname\":\"VI_1\""),
        "{text}"
    );
    let statistics = rig.path("keepalived.stats");
    let became = |count: u32| {
        let line = format!("  Became master: {count}\n");
        std::fs::read_to_string(&statistics).is_ok_and(|text| text.contains(&line))
    };
    send("STATS_CLEAR");
    eventually(SOON, "the statistics", || became(1)).unwrap();
    send("STATS");
    eventually(SOON, "statistics from zero", || became(0)).unwrap();
    // Answered by nobody, and no reason to end.
    send("TDUMP");
    send("DATA");
    let data = rig.path("keepalived.data");
    eventually(SOON, "the data", || data.exists()).unwrap();
}

#[test]
fn local_igmp_is_off_while_the_daemon_runs() {
    let rig = Rig::new(&WHOLE.replace("global_defs {", "global_defs {\n    disable_local_igmp"));
    let reports = || {
        let setting = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";
        let output = rig.host.command("cat").arg(setting).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(reports(), "1\n");
    let mut daemon = rig.start_and_wait();
    assert_eq!(reports(), "0\n");
    rig.configure(WHOLE);
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(
        &daemon,
        "the reload is refused: `disable_local_igmp` cannot change",
    );
    daemon.terminate(SOON).unwrap();
    assert_eq!(reports(), "1\n");
}

#[test]
fn a_kernel_without_ipvs_is_named_once_with_what_to_do_and_the_routers_run() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    // The kernel may have loaded it just now.
    if std::path::Path::new("/proc/net/ip_vs").exists() {
        rig.wait_for(&daemon, "of this kernel");
        return;
    }
    let line = "this kernel has no IPVS, and did not load it by itself; try `modprobe ip_vs`";
    rig.wait_for(&daemon, line);
    eventually(SOON, "the address", || rig.host.has_address("10.9.0.9")).unwrap();
    // It is tried again every five seconds.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(daemon.log().matches(line).count(), 1, "{}", daemon.log());
}
