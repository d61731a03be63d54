//! A pair of directors before two servers, which does what an operator sees in a year: start, a server that dies
//! and comes back, children that are killed, reload, dumps, takeover, return, stop.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kr_test_vm::Farm;
use kr_testkit::binaries;
use kr_testkit::netns::{Host, Network};
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{self, CHECKERD, Heard, NOTIFY_SOCKET, PARENT};

/// Longest time for one step in an emulated machine.
const SOON: Duration = Duration::from_secs(90);

/// The children.
pub(crate) const CHILDREN: [&str; 3] = ["vrrpd", "checkerd", "ipvsd"];

/// The configuration of the checks alone.
const ALONE: &str = "/etc/keepalived/alone.conf";

const DIRECTOR: &str = include_str!("director.conf");

/// What is asserted of every process while it runs.
pub(crate) struct Labels {
    /// Of the parent.
    pub(crate) parent: &'static str,
    /// Of vrrpd, checkerd, ipvsd.
    pub(crate) children: [&'static str; 3],
    /// Of scripts.
    pub(crate) script: &'static str,
}

/// A director whose daemon runs.
struct Director<'a> {
    name: &'static str,
    process: Process,
    host: &'a Host,
    log: &'a Heard,
}

impl<'a> Director<'a> {
    fn start(number: u8, host: &'a Host, log: &'a Heard) -> Self {
        let name = ["lb1", "lb2"][usize::from(number - 1)];
        let file = format!("/etc/keepalived/{name}.conf");
        fs::write(format!("/etc/keepalived/switch_{name}"), "0\n").unwrap();
        fs::write(&file, configuration(number)).unwrap();
        let mut command = host.command(PARENT);
        command.args(["--dont-fork", "-D", "-f", &file]);
        command.env("NOTIFY_SOCKET", NOTIFY_SOCKET);
        let process = Process::spawn(&mut command, Path::new("/dev/null")).unwrap();
        Self {
            name,
            process,
            host,
            log,
        }
    }

    fn child(&self, name: &str) -> Option<Pid> {
        child_named(self.process.pid(), name)
    }

    /// Waits until it is so.
    fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let found = eventually(SOON, what, || holds(self));
        found.unwrap_or_else(|error| panic!("{}: {error}\n{}", self.name, self.log.end()));
    }

    fn holds_address(&self) -> bool {
        self.host.has_address("10.20.0.100")
    }

    /// The kernel's table, of which the server of checks that pass is a part.
    fn table(&self) -> String {
        self.host.run("ipvsadm", &["-Sn"]).unwrap()
    }

    fn has_server(&self, address: &str) -> bool {
        self.table()
            .contains(&format!("-t 10.20.0.100:80 -r {address}:80"))
    }

    fn is_whole(&self) -> bool {
        CHILDREN.iter().all(|name| self.child(name).is_some())
            && self.has_server("10.30.0.11")
            && self.has_server("10.30.0.12")
    }
}

fn configuration(number: u8) -> String {
    let other = 3 - number;
    DIRECTOR
        .replace("NAME", &format!("lb{number}"))
        .replace("PRIORITY", &(160 - 10 * u16::from(number)).to_string())
        .replace("OTHER", &other.to_string())
        .replace("OWN", &number.to_string())
}

/// Plays it; fails where a step does not happen.
pub(crate) fn play(labels: &Labels, log: &Heard, told: &Heard) {
    let farm = Farm::routed(2).unwrap();
    let backup = farm.network.host("backup").unwrap();
    for (device, segment, address) in [
        ("eth0", "front", "10.20.0.2/24"),
        ("eth1", "back", "10.30.0.2/24"),
    ] {
        farm.network
            .connect(&backup, device, segment, &[address])
            .unwrap();
    }
    backup.sysctl("net/ipv4/ip_forward", "1").unwrap();
    for server in &farm.servers {
        server
            .ip("route replace default via 10.30.0.254\n")
            .unwrap();
    }
    let first = Director::start(1, &farm.director, log);
    let second = Director::start(2, &backup, log);
    first.wait("master with both servers", |it| {
        it.holds_address() && it.is_whole()
    });
    second.wait("backup with both servers", |it| {
        !it.holds_address() && it.is_whole()
    });
    eventually(SOON, "an answer", || farm.request().is_ok()).unwrap();
    eventually(SOON, "READY=1", || told.text().contains("READY=1")).unwrap();
    assert_labels(&first, labels);

    farm.set_status(1, 503);
    first.wait("the sick server is out", |it| !it.has_server("10.30.0.11"));
    farm.set_status(1, 200);
    first.wait("it is back", Director::is_whole);

    for name in CHILDREN {
        let before = first.child(name).unwrap();
        kill(before, Signal::SIGKILL).unwrap();
        first.wait("a successor", |it| {
            it.child(name).is_some_and(|pid| pid != before)
        });
    }
    first.wait("whole again", Director::is_whole);
    assert_labels(&first, labels);

    reload_and_dump(&first);
    upgrade(&first);
    assert_labels(&first, labels);
    take_over(first, &second, &farm);
}

/// The checks of a director's configuration alone, as an account of its own, as the unit starts them. `through` are
/// the words that lead into the profile or domain, where the program's path does not.
pub(crate) fn play_alone(through: &[String], label: &str, log: &Heard) {
    // An ordinary account has no low ports.
    fs::write(ALONE, configuration(1).replace("bind_port 888", "")).unwrap();
    let network = Network::new().unwrap();
    let host = network.host("probe").unwrap();
    for name in ["eth0", "eth1"] {
        host.ip(&format!("link add {name} type dummy\n")).unwrap();
    }
    let mut command = host.command("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]);
    command
        .args(["--no-new-privs", "--bounding-set=-all"])
        .args(through);
    command.args([CHECKERD, "-f", ALONE]).current_dir("/");
    command.args(["--listen", "127.0.0.1:9165", "-D"]);
    let process = Process::spawn(&mut command, Path::new("/dev/null")).unwrap();
    let before = host::notes().lines().count();
    let failed = eventually(SOON, "a failed check and a program", || {
        host.run("curl", &["--silent", "http://127.0.0.1:9165/metrics"])
            .is_ok_and(|page| page.lines().any(is_failed_check))
            && host::notes().lines().count() > before
    });
    failed.unwrap_or_else(|error| panic!("{error}\n{}", log.end()));
    assert_eq!(host::label(process.pid()), label);
    let notes = host::notes();
    assert!(notes.ends_with(&format!("[{label}]\n")), "{notes}");
}

fn is_failed_check(line: &str) -> bool {
    line.starts_with("keepalived_check_up{") && line.ends_with("} 0")
}

/// Every process is where it belongs.
fn assert_labels(director: &Director<'_>, labels: &Labels) {
    assert_eq!(host::label(director.process.pid()), labels.parent);
    for (name, expected) in CHILDREN.into_iter().zip(labels.children) {
        let child = director.child(name).unwrap();
        assert_eq!(host::label(child), expected, "{name}");
    }
    director.wait("a script", |_| {
        host::notes().contains("INSTANCE VI_1 MASTER")
    });
    for line in host::notes().lines() {
        assert!(line.ends_with(&format!("[{}]", labels.script)), "{line}");
    }
}

/// A changed configuration, and everything that can be asked for by a signal.
fn reload_and_dump(director: &Director<'_>) {
    let file = format!("/etc/keepalived/{}.conf", director.name);
    let longer = configuration(1).replace("delay_loop 2", "delay_loop 3");
    fs::write(file, longer).unwrap();
    director.process.signal(Signal::SIGHUP).unwrap();
    director.wait("reloaded", |it| it.log.text().contains("reload"));
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
        director.process.signal(signal).unwrap();
    }
    director.wait("dumps", |_| {
        let files = fs::read_dir("/run/keepalived-rs").unwrap();
        files.count() >= 2
    });
    let metrics = director
        .host
        .run("curl", &["--silent", "http://127.0.0.1:9165/metrics"])
        .unwrap();
    assert!(metrics.contains("10.30.0.11"), "{metrics}");
    // The tracked file takes a server out and puts it back.
    let switch = format!("/etc/keepalived/switch_{}", director.name);
    fs::write(&switch, "1\n").unwrap();
    director.wait("switched off", |it| !it.has_server("10.30.0.12"));
    fs::write(&switch, "0\n").unwrap();
    director.wait("switched on", Director::is_whole);
}

/// Another version in place: every program is replaced, the parent keeps its process. A child that dies before is
/// started from the file that is not there any more, and confined as ever.
fn upgrade(director: &Director<'_>) {
    for name in CHILDREN {
        let old = director.child(name).unwrap();
        let label = host::label(old);
        host::copy(&binaries::path(name).unwrap(), &host::installed(name));
        kill(old, Signal::SIGKILL).unwrap();
        director.wait("the old file", |it| {
            it.child(name)
                .is_some_and(|now| now != old && host::label(now) == label)
        });
        let now = director.child(name).unwrap();
        let file = fs::read_link(format!("/proc/{now}/exe")).unwrap();
        assert!(file.to_string_lossy().ends_with(" (deleted)"), "{file:?}");
    }
    director.wait("whole before the upgrade", Director::is_whole);
    let before = CHILDREN.map(|name| director.child(name));
    let file = format!("/etc/keepalived/{}.conf", director.name);
    let answer = director.host.run(PARENT, &["--upgrade", "-f", &file]);
    answer.unwrap_or_else(|error| panic!("{error}\n{}", director.log.end()));
    director.wait("all children replaced", |it| {
        CHILDREN.iter().zip(before).all(|(name, before)| {
            let now = it.child(name);
            now.is_some() && now != before
        })
    });
    director.wait("whole after the upgrade", Director::is_whole);
}

/// The master stops, the backup takes over, the master comes back.
fn take_over(mut first: Director<'_>, second: &Director<'_>, farm: &Farm) {
    first.process.terminate(SOON).unwrap();
    assert!(!first.holds_address());
    assert_eq!(first.table(), "");
    second.wait("takeover", Director::holds_address);
    eventually(SOON, "an answer of the other", || farm.request().is_ok()).unwrap();
    let mut again = Director::start(1, first.host, first.log);
    again.wait("master again", |it| it.holds_address() && it.is_whole());
    second.wait("backup again", |it| !it.holds_address());
    again.process.terminate(SOON).unwrap();
}
