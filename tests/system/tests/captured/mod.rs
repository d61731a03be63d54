//! Every process of a running daemon is taken over, as by somebody who found a way to run code in it, and made to
//! try what it must not be able to do ([`attacks`]). These are the shipped programs, started by the real parent with
//! their real accounts; the attempts are made by the processes themselves, out of the wait of their loop.
//!
//! Each attempt is made by a process of root outside of the daemon as well, where it has to work: an attack that
//! fails everywhere shows nothing.

mod attacks;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::Command;

use kr_sys::privilege::Duty;
use kr_testkit::captive::{Argument, Captive, End};
use kr_testkit::process::{Process, child_named};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid, chown};

use crate::rig::{CHILDREN, Rig, SOON, WHOLE, children};
use attacks::{ATTACKS, Attack, WITH_SOCKETS};

/// Whoever waits is in one of these: the loops of our processes, a script that sleeps.
pub(crate) const WAITS: [i64; 5] = [
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
];

/// The account of a stranger on this host.
const STRANGER: u32 = 12_345;

/// Where the abstract socket of a stranger listens.
const ABSTRACT: &[u8] = b"kr-test-captured";

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The call is made.
    Works,
    /// The call gets as far as its arguments, which are wrong on purpose: nothing else was in its way.
    Reaches(Errno),
    /// The same, on a kernel that was built with the call at all.
    ReachesWhereBuilt(Errno),
    /// It fails as for somebody without the right to it.
    Refused,
    /// The kernel ends the process.
    Killed,
    /// The process can do it, for this reason, so it is not tried.
    Its(&'static str),
}

impl Fate {
    fn is(self, end: End) -> bool {
        match self {
            Self::ReachesWhereBuilt(errno) => {
                matches!(end, End::Failed(error) if error == errno || error == Errno::ENOSYS)
            }
            Self::Works => matches!(end, End::Returned(_) | End::Replaced),
            Self::Reaches(errno) => end == End::Failed(errno),
            Self::Refused => {
                matches!(end, End::Failed(Errno::EACCES | Errno::EPERM))
            }
            Self::Killed => end == End::Killed(Signal::SIGSYS),
            Self::Its(_) => false,
        }
    }
}

/// What attacks aim at. All of it is there.
struct Scene {
    /// A process of root that has nothing to do with the daemon.
    victim: Process,
    /// The captive's parent and the other children of that.
    daemon: Pid,
    sibling: Pid,
    configuration: CString,
    /// A file of a stranger, for him alone.
    foreign: CString,
    /// A path that is free, in a directory of root.
    free: CString,
    /// An empty directory.
    directory: CString,
    /// The path of a local server.
    server: CString,
    _servers: (UnixListener, UnixDatagram),
}

impl Scene {
    fn new(rig: &Rig, daemon: &Process) -> Self {
        let text = |name: &str| CString::new(rig.path(name).to_str().unwrap()).unwrap();
        fs::write(rig.path("foreign"), "private").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(rig.path("foreign"), mode).unwrap();
        chown(&rig.path("foreign"), Some(Uid::from_raw(STRANGER)), None).unwrap();
        fs::create_dir_all(rig.path("empty")).unwrap();
        for path in ["server", "free"] {
            let _ = fs::remove_file(rig.path(path));
        }
        let listener = UnixListener::bind(rig.path("server")).unwrap();
        let datagrams = rig.host.enter(|| {
            let address = SocketAddr::from_abstract_name(ABSTRACT)?;
            UnixDatagram::bind_addr(&address)
        });
        Self {
            victim: sleeper(rig, "victim"),
            daemon: daemon.pid(),
            sibling: children(daemon)[0],
            configuration: text("k.conf"),
            foreign: text("foreign"),
            free: text("free"),
            directory: text("empty"),
            server: text("server"),
            _servers: (listener, datagrams.unwrap().unwrap()),
        }
    }
}

/// A process of root on the daemon's host, which nothing confines.
fn sleeper(rig: &Rig, name: &str) -> Process {
    let mut command: Command = rig.host.command("sleep");
    Process::spawn(command.arg("600"), &rig.path(name)).unwrap()
}

fn captive(pid: Pid) -> Captive {
    Captive::take_in(pid, &WAITS, SOON).unwrap()
}

/// The version of Landlock's interface; 0 without Landlock.
fn landlock(rig: &Rig) -> i64 {
    let process = sleeper(rig, "asked");
    // LANDLOCK_CREATE_RULESET_VERSION.
    let version = captive(process.pid()).call(
        libc::SYS_landlock_create_ruleset,
        &[number(0), number(0), number(1)],
    );
    match version.unwrap() {
        End::Returned(version) => version,
        End::Failed(_) | End::Killed(_) | End::Replaced => 0,
    }
}

/// A script of `nobody` runs beside the usual.
fn configuration() -> String {
    WHOLE
        .replace(
            "vrrp_instance VI_1 {",
            "vrrp_script long {\n    script \"/bin/sleep 600\"\n    interval 900\n    timeout 800\n    \
             user nobody\n    init_fail\n}\nvrrp_instance VI_1 {",
        )
        .replace(
            "    virtual_ipaddress {",
            "    track_script {\n        long weight 0\n    }\n    virtual_ipaddress {",
        )
}

/// Lets one process make one attempt.
fn attempt(pid: Pid, attack: &Attack, scene: &Scene) -> io::Result<End> {
    let mut captive = captive(pid);
    let end = (attack.attempt)(&mut captive, scene)?;
    captive.release()?;
    Ok(end)
}

/// Tries one attack everywhere, in a daemon of its own, and says what went otherwise than it should. `duty`: what
/// ipvsd does beyond its usual work.
fn tried(rig: &Rig, attack: &Attack, duty: Duty, wrong: &mut Vec<String>) {
    let _ = fs::remove_file(rig.path("log"));
    let mut daemon = rig.start_and_wait();
    let scene = Scene::new(rig, &daemon);
    let script = child_named(daemon.pid(), "sleep").unwrap();
    let [vrrpd, checkerd, ipvsd] = children(&daemon);
    let processes = [vrrpd, checkerd, ipvsd, daemon.pid(), script];
    let names = [
        CHILDREN[0],
        CHILDREN[1],
        CHILDREN[2],
        "the parent",
        "a script",
    ];
    for ((name, pid), fate) in names.into_iter().zip(processes).zip(attack.fates) {
        let with_sockets = WITH_SOCKETS.iter().find(|(what, _)| *what == attack.name);
        let fate = match (name, duty, with_sockets) {
            ("ipvsd", Duty::LowPorts, Some((_, other))) => *other,
            (_, _, _) => fate,
        };
        if let Fate::Its(reason) = fate {
            assert!(!reason.is_empty());
            continue;
        }
        let end = attempt(pid, attack, &scene);
        let is_absent = |end| {
            matches!(attack.outside, Fate::ReachesWhereBuilt(_))
                && matches!(fate, Fate::Refused)
                && end == End::Failed(Errno::ENOSYS)
        };
        if !end
            .as_ref()
            .is_ok_and(|end| fate.is(*end) || is_absent(*end))
        {
            wrong.push(format!("{name}: {}: {end:?}, not {fate:?}", attack.name));
        }
        if matches!(fate, Fate::Killed) {
            rig.wait_for(
                &daemon,
                &format!("{name} made a system call outside its sandbox"),
            );
        }
    }
    // Last, for it leaves things behind.
    let outside = attempt(sleeper(rig, "outside").pid(), attack, &scene);
    if !outside.as_ref().is_ok_and(|end| attack.outside.is(*end)) {
        let fate = attack.outside;
        wrong.push(format!(
            "outside: {}: {outside:?}, not {fate:?}",
            attack.name
        ));
    }
    daemon.kill_tree();
}

fn try_all(configuration: &str, duty: Duty) {
    let rig = Rig::new(configuration);
    let landlock = landlock(&rig);
    let mut wrong = Vec::new();
    for attack in ATTACKS.iter().filter(|attack| attack.landlock <= landlock) {
        tried(&rig, attack, duty, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whoever_takes_over_a_process_can_do_nothing_that_is_not_its_work() {
    try_all(&configuration(), Duty::Usual);
}

#[test]
fn whoever_takes_over_a_process_that_does_more_than_usual_can_do_little_more() {
    let more = configuration()
        .replace(
            "connect_timeout 1",
            "connect_timeout 1\n bindto 10.9.0.1\n bind_port 514",
        )
        .replace(
            "    virtual_ipaddress {",
            "    no_accept\n    virtual_ipaddress {",
        );
    try_all(&more, Duty::LowPorts);
}

/// Words of a call's arguments.
fn number(value: impl Into<i64>) -> Argument<'static> {
    Argument::Number(value.into())
}
