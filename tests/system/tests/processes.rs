//! How the processes run: priorities, CPUs, locked memory, umask, namespaces, names of files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::rig::{Rig, SOON, WHOLE, children, pid_in};

fn with(more: &str) -> String {
    WHOLE.replace("script_user root", &format!("script_user root\n    {more}"))
}

/// A field of `/proc/PID/status`.
fn status(pid: Pid, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5).
fn stat(pid: Pid, field: usize) -> i64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = text.rsplit_once(") ").unwrap().1;
    behind_name
        .split(' ')
        .nth(field - 3)
        .unwrap()
        .parse()
        .unwrap()
}

fn holds_sys_resource() -> bool {
    let own = status(nix::unistd::getpid(), "CapPrm");
    u64::from_str_radix(&own, 16).unwrap() & 1 << 24 != 0
}

const NICE: usize = 19;
const REALTIME_PRIORITY: usize = 40;
const POLICY: usize = 41;
const SCHED_RR: i64 = 2;

#[test]
fn processes_have_the_priorities_that_are_asked_for_and_a_reload_changes_them() {
    let rig = Rig::new(&with(
        "vrrp_rt_priority 7\n    vrrp_rlimit_rttime 3000000\n    vrrp_no_swap\n    vrrp_cpu_affinity 0\n    \
         checker_priority -3",
    ));
    let daemon = rig.start_and_wait();
    let [vrrpd, checkerd, ipvsd] = children(&daemon);
    assert_eq!(
        (stat(vrrpd, POLICY), stat(vrrpd, REALTIME_PRIORITY)),
        (SCHED_RR, 7)
    );
    assert_eq!(status(vrrpd, "Cpus_allowed_list"), "0");
    // Only CAP_SYS_RESOURCE raises the limit of locked memory, and some containers lack it.
    if holds_sys_resource() {
        assert_ne!(status(vrrpd, "VmLck"), "0 kB");
    } else {
        rig.wait_for(&daemon, "may be swapped out");
    }
    let limits = fs::read_to_string(format!("/proc/{vrrpd}/limits")).unwrap();
    let limit = limits
        .lines()
        .find(|line| line.starts_with("Max realtime timeout"));
    let limit: Vec<&str> = limit.unwrap().split_whitespace().collect();
    assert_eq!(limit[3..5], ["1500000", "3000000"]);
    assert_eq!((stat(checkerd, NICE), stat(ipvsd, NICE)), (-3, -3));
    assert_eq!(
        (stat(daemon.pid(), NICE), stat(daemon.pid(), POLICY)),
        (0, 0)
    );
    assert_eq!(status(checkerd, "VmLck"), "0 kB");

    rig.configure(&with(
        "checker_priority 4\n    vrrp_rt_priority 9\n    vrrp_rlimit_rttime 3000000",
    ));
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    assert_eq!(children(&daemon), [vrrpd, checkerd, ipvsd]);
    assert_eq!((stat(checkerd, NICE), stat(ipvsd, NICE)), (4, 4));
    assert_eq!(stat(vrrpd, REALTIME_PRIORITY), 9);
    assert_ne!(status(vrrpd, "Cpus_allowed_list"), "0");
}

#[test]
fn without_such_keywords_the_parent_has_no_privilege_for_them() {
    let rig = Rig::new(WHOLE);
    let daemon = rig.start_and_wait();
    let before = stat(children(&daemon)[1], NICE);
    rig.configure(&with("checker_priority -3"));
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(
        &daemon,
        "privileges which this process has given up, until a restart",
    );
    rig.wait_for(&daemon, "keeps its old priority, CPUs or limits");
    assert_eq!(stat(children(&daemon)[1], NICE), before);
}

#[test]
fn files_are_for_their_owner_unless_umask_says_otherwise_and_pid_files_for_all() {
    for (keyword, mode) in [("no_email_faults", 0o600), ("umask IRWXO", 0o640)] {
        let rig = Rig::new(&with(&format!("{keyword}\n    notify_fifo {{dir}}/fifo")));
        let daemon = rig.start_and_wait();
        let mode_of =
            |name: &str| fs::metadata(rig.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode_of("fifo"), mode, "{keyword}");
        assert_eq!(mode_of("k.pid"), 0o644);
        assert_eq!(mode_of("vrrpd.pid"), 0o644);
        drop(daemon);
    }
}

#[test]
fn dumps_have_the_configured_names_and_forms() {
    let rig = Rig::new(&with(
        "data_use_instance\n    json_version 2\n    state_dump_file {dir}/out/state.txt\n    stats_dump_file s/",
    ));
    fs::create_dir(rig.path("out")).unwrap();
    let text = fs::read_to_string(rig.path("k.conf")).unwrap();
    rig.configure(&format!("instance blue\n{text}"));
    let daemon = rig.start_and_wait();
    daemon.signal(Signal::SIGUSR1).unwrap();
    daemon.signal(Signal::SIGUSR2).unwrap();
    let json = kr_sys::signals::json();
    let sent = std::process::Command::new("kill")
        .args([format!("-{json}"), daemon.pid().to_string()])
        .status();
    assert!(sent.unwrap().success());
    for name in [
        "out/state.blue.txt",
        "out/state_parent.blue.txt",
        "out/state_check.blue.txt",
        "keepalived.blue.stats",
        "keepalived.blue.json",
    ] {
        eventually(SOON, name, || rig.path(name).exists()).unwrap();
    }
    let text = fs::read_to_string(rig.path("keepalived.blue.json")).unwrap();
    assert!(
        text.starts_with("{\"") && text.contains("\"vrrp\":[{"),
        "{text}"
    );
}

/// A named namespace like those of `ip netns`, with the interface that the configuration needs.
struct Named(String);

impl Named {
    fn new() -> Self {
        let named = Self(format!("kr-test-{}", std::process::id()));
        named.ip(&["netns", "add", &named.0]);
        let inside = ["-n", &named.0];
        named.ip(&[
            &inside[..],
            &[
                "link", "add", "eth0", "type", "veth", "peer", "name", "eth1",
            ],
        ]
        .concat());
        named.ip(&[&inside[..], &["addr", "add", "10.9.0.1/24", "dev", "eth0"]].concat());
        for name in ["eth0", "eth1"] {
            named.ip(&[&inside[..], &["link", "set", name, "up"]].concat());
        }
        named
    }

    fn ip(&self, arguments: &[&str]) {
        let status = std::process::Command::new("ip").args(arguments).status();
        assert!(status.unwrap().success(), "ip {arguments:?}");
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("ip");
        let _ = command.args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn a_configured_namespace_is_entered_with_pid_files_and_log_names_of_its_own() {
    let named = Named::new();
    let rig = Rig::new("");
    rig.configure(&format!("net_namespace {}\n{WHOLE}", named.0));
    let program = kr_testkit::binaries::path("keepalived-rs").unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["-nlDG", "-f"]).arg(rig.path("k.conf"));
    let mut daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
    let directory = std::path::Path::new("/run/keepalived").join(&named.0);
    assert_eq!(
        pid_in(&directory.join("keepalived.pid")),
        Some(daemon.pid())
    );
    let vrrpd = child_named(daemon.pid(), "vrrpd").unwrap();
    assert_eq!(pid_in(&directory.join("vrrp.pid")), Some(vrrpd));
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(network(&vrrpd.to_string()), network("self"));
    assert!(
        daemon
            .log()
            .contains(&format!("Keepalived_vrrp_{}[", named.0)),
        "{}",
        daemon.log()
    );
    rig.configure(&format!("net_namespace other\n{WHOLE}"));
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(
        &daemon,
        "`net_namespace` cannot change while the daemon runs",
    );
    daemon.terminate(SOON).unwrap();
    assert!(!directory.exists());
}
