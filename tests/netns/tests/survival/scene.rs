//! A column of the table: a daemon of ours with a stock keepalived as its peer, and a client that never stops asking.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, VIP, instance};
use kr_testkit::binaries;
use kr_testkit::capture::{self, Capture};
use kr_testkit::harm::{self, Harm};
use kr_testkit::keepalived::{Instance, Keepalived, Parts, Peer};
use kr_testkit::netns::Host;
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use kr_testkit::web::{Client, WebServer};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use super::Outcome;

/// Which process suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Parentd,
    Vrrpd,
    Checkerd,
    Ipvsd,
}

impl Victim {
    pub(super) const ALL: [Self; 4] = [Self::Parentd, Self::Vrrpd, Self::Checkerd, Self::Ipvsd];

    /// The name of its executable.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Parentd => "keepalived-rs",
            Self::Vrrpd => "vrrpd",
            Self::Checkerd => "checkerd",
            Self::Ipvsd => "ipvsd",
        }
    }
}

/// What the router of ours is, when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Master,
    Backup,
}

/// Longer than the master-down time of either router (3 s and the skew, 0.6 s): what went wrong shows by then.
const SETTLED: Duration = Duration::from_millis(4_000);

/// Time for everything that should happen at once, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// A peer that heard priority 0 waits for the skew time alone (0.6 s); one that heard nothing waits for 3.6 s.
const HANDED_OVER: Duration = Duration::from_millis(2_500);

/// The service of a large configuration, whose servers do not exist.
const MANY: &str = "in [192.168.77.101]:tcp:80 failed";

const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);

/// Two routers, and a client that talks to the one that is master.
pub(super) struct Scene {
    victim: Victim,
    side: Side,
    daemon: Process,
    /// Where its log begins, behind those of its predecessors.
    log_starts: usize,
    stock: Keepalived,
    client: Client,
    adverts: Capture,
    _servers: [WebServer; 2],
    _client_host: Host,
    /// Of pid files and the log file.
    small_disk: PathBuf,
    directory: TempDir,
    pair: Pair,
}

/// What has been seen so far.
struct Seen {
    log: usize,
    entered: usize,
    adverts: usize,
    answered: u64,
}

impl Scene {
    /// Starts everything and waits until the right router is master and answers the client.
    pub(super) fn start(victim: Victim, side: Side) -> Self {
        let pair = Pair::new().unwrap();
        let client_host = pair.network.host("client").unwrap();
        let address = ["192.168.77.9/24"];
        pair.network
            .connect(&client_host, "eth0", "lan", &address)
            .unwrap();
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
        let servers =
            [(&pair.a, "a"), (&pair.b, "b")].map(|(host, name)| WebServer::start(host, any, name));
        let directory = tempfile::tempdir().unwrap();
        let small_disk = directory.path().join("small");
        fs::create_dir(&small_disk).unwrap();
        fs::write(directory.path().join("k.conf"), configuration(side, false)).unwrap();
        let adverts = Capture::start(&client_host, capture::is_vrrp).unwrap();
        let stock = Keepalived::start(
            Peer::Stock,
            &pair.b,
            Parts::Vrrp,
            &routers(side).1.to_string(),
        );
        let daemon = spawn(&pair.a, &directory);
        let vip = SocketAddr::from((VIP.parse::<Ipv4Addr>().unwrap(), 80));
        // A lost packet of a connection is sent again after a second.
        let limit = Duration::from_secs(4);
        let pause = Duration::from_millis(50);
        let client = Client::start(&client_host, vip, pause, limit).unwrap();
        let mut scene = Self {
            victim,
            side,
            daemon,
            log_starts: 0,
            stock: stock.unwrap(),
            client,
            adverts,
            _servers: servers.map(Result::unwrap),
            _client_host: client_host,
            small_disk,
            directory,
            pair,
        };
        scene.wait_until_settled();
        scene
    }

    /// Does `harm` to the victim and returns what should not be, with the log from then on.
    pub(super) fn suffer(&mut self, harm: Harm, outcome: Outcome) -> (Vec<String>, String) {
        let before = self.seen();
        let pid = self.pid();
        harm.befall(self).unwrap();
        let mut complaints = match outcome {
            Outcome::Ends(_) => self.has_ended(&before),
            Outcome::Replaced(_) | Outcome::Lives(_) | Outcome::Survives(_) => {
                std::thread::sleep(SETTLED);
                self.is_as_before(&before)
            }
        };
        let log = self.log_since(&before);
        let replaced = self.pid() != pid;
        let (right, text) = match outcome {
            Outcome::Ends(text) | Outcome::Replaced(text) => (replaced, text),
            Outcome::Lives(text) => (!replaced, text),
            Outcome::Survives(text) => (true, if replaced { text } else { "" }),
        };
        if !right {
            complaints.push(format!("not {outcome:?}: replaced is {replaced}"));
        }
        if !log.contains(text) {
            complaints.push(format!("the log lacks `{text}`"));
        }
        self.wait_until_settled();
        (complaints, log)
    }

    fn pid(&self) -> Pid {
        let parent = self.daemon.pid();
        if self.victim == Victim::Parentd {
            return parent;
        }
        let name = self.victim.name();
        let mut pid = None;
        let there = eventually(SOON, name, || {
            pid = child_named(parent, name);
            pid.is_some()
        });
        assert!(there.is_ok(), "{}", self.daemon.log());
        pid.unwrap()
    }

    fn seen(&self) -> Seen {
        let _earlier = self.client.take_failures();
        Seen {
            log: self.daemon.log().len(),
            entered: self.stock.logged("Entering"),
            adverts: self.adverts.frames().len(),
            answered: self.client.answered(),
        }
    }

    fn log_since(&self, before: &Seen) -> String {
        self.daemon.log().split_off(before.log)
    }

    /// The router that should send adverts.
    fn master(&self) -> Ipv4Addr {
        match self.side {
            Side::Master => OURS,
            Side::Backup => THEIRS,
        }
    }

    /// Who has sent adverts since `before`, without repetitions.
    fn masters_since(&self, before: usize) -> Vec<Ipv4Addr> {
        let frames = self.adverts.frames();
        let mut sources: Vec<Ipv4Addr> = frames[before..]
            .iter()
            .filter_map(|frame| capture::source(&frame.bytes))
            .collect();
        sources.dedup();
        sources
    }

    /// Complaints unless nothing has changed for anybody.
    fn is_as_before(&self, before: &Seen) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut expect = |right: bool, text: String| {
            if !right {
                complaints.push(text);
            }
        };
        let masters = self.masters_since(before.adverts);
        expect(
            masters == [self.master()],
            format!("adverts came from {masters:?}"),
        );
        let entered = self.stock.logged("Entering");
        expect(
            entered == before.entered,
            format!("the peer changed its state:\n{}", self.stock.log()),
        );
        let log = self.log_since(before);
        for word in ["MASTER", "BACKUP", "FAULT"] {
            let change = format!("VI_1 is {word} with");
            expect(!log.contains(&change), format!("a transition: {change}"));
        }
        let mut failed = log.lines().filter(|line| line.ends_with("now down"));
        let failed = failed.any(|line| !line.contains(MANY));
        expect(!failed, "a check failed".to_owned());
        let failures = self.client.take_failures();
        expect(failures.is_empty(), format!("requests: {failures:?}"));
        let answered = self.client.answered() - before.answered;
        expect(answered > 20, format!("only {answered} requests"));
        complaints
    }

    /// Waits for the end of the whole daemon, starts it again as systemd would, and complains unless the peer took
    /// over at once and for as long.
    fn has_ended(&mut self, before: &Seen) -> Vec<String> {
        let mut complaints = Vec::new();
        let ended = eventually(SOON, "the end of the daemon", || {
            self.daemon.exited().is_some()
        });
        if let Err(error) = ended {
            return vec![error.to_string()];
        }
        if self.side == Side::Master {
            let taken = eventually(HANDED_OVER, "the peer to take over", || {
                self.masters_since(before.adverts).last() == Some(&THEIRS)
            });
            complaints.extend(taken.err().map(|error| error.to_string()));
        }
        self.log_starts = self.daemon.log().len();
        self.daemon = spawn(&self.pair.a, &self.directory);
        self.wait_until_settled();
        std::thread::sleep(SETTLED);
        let masters = self.masters_since(before.adverts);
        let expected: &[Ipv4Addr] = match self.side {
            Side::Master => &[OURS, THEIRS, OURS],
            Side::Backup => &[THEIRS],
        };
        if masters != expected {
            complaints.push(format!("adverts came from {masters:?}"));
        }
        // The one that was on its way when the address moved may be lost.
        let failures = self.client.take_failures();
        if failures.len() > 1 {
            complaints.push(format!("requests: {failures:?}"));
        }
        complaints
    }

    /// Waits until the daemon is up, the right router alone is master, and the client is answered.
    fn wait_until_settled(&mut self) {
        let up = "up: every process runs its configuration";
        let started = eventually(SOON, up, || {
            self.daemon.log().split_off(self.log_starts).contains(up)
        });
        assert!(started.is_ok(), "{}", self.daemon.log());
        let holder = match self.side {
            Side::Master => 'a',
            Side::Backup => 'b',
        };
        let held = self.pair.wait_holder(holder, ELECTION);
        assert!(held.is_ok(), "{held:?}\n{}", self.daemon.log());
        let answered = self.client.answered();
        eventually(SOON, "answers", || self.client.answered() > answered + 2).unwrap();
    }
}

impl harm::Scene for Scene {
    fn victim(&self) -> Pid {
        self.pid()
    }

    fn parent(&self) -> Pid {
        self.daemon.pid()
    }

    fn sibling(&self) -> Option<Pid> {
        let other = match self.victim {
            Victim::Parentd => return None,
            Victim::Vrrpd => "checkerd",
            Victim::Checkerd => "ipvsd",
            Victim::Ipvsd => "vrrpd",
        };
        child_named(self.daemon.pid(), other)
    }

    fn reload(&self, large: bool) -> io::Result<()> {
        let path = self.directory.path().join("k.conf");
        fs::write(path, configuration(self.side, large))?;
        self.daemon.signal(Signal::SIGHUP)
    }

    fn small_disk(&self) -> &Path {
        &self.small_disk
    }

    fn host(&self) -> &Host {
        &self.pair.a
    }
}

/// Ours and the peer's instance.
fn routers(side: Side) -> (Instance, Instance) {
    match side {
        Side::Master => (instance("MASTER", 150), instance("BACKUP", 100)),
        Side::Backup => (instance("BACKUP", 100), instance("MASTER", 150)),
    }
}

/// The daemon's configuration: its instance depends on a script, and one server on another.
fn configuration(side: Side, large: bool) -> String {
    let mut ours = routers(side).0;
    ours.more.push("track_script {\n        always\n    }");
    let mut text = format!(
        "global_defs {{
            script_user root
        }}
        vrrp_script always {{
            script /bin/true
            interval 1
            fall 2
        }}
        {ours}
        virtual_server {VIP} 80 {{
            delay_loop 1
            protocol TCP
            lb_algo rr
            lb_kind NAT
            real_server {THEIRS} 80 {{
                TCP_CHECK {{
                    connect_timeout 3
                }}
            }}
            real_server 192.168.77.3 80 {{
                MISC_CHECK {{
                    misc_path /bin/true
                }}
            }}
        }}\n"
    );
    if large {
        let lines = |line: fn(u32) -> String| (0..1_000).map(line).collect::<String>();
        let addresses = lines(|n| format!("10.98.{}.{}/32 dev lo\n", n / 250, n % 250));
        text += &format!("static_ipaddress {{\n{addresses}}}\n");
        text += "virtual_server 192.168.77.101 80 {\n delay_loop 600\n warmup 600\n protocol TCP\n lb_algo rr\n lb_kind NAT\n";
        text += &lines(|n| {
            let address = format!("10.97.{}.{}", n / 250, n % 250 + 1);
            format!("real_server {address} 80 {{\n TCP_CHECK {{\n connect_timeout 3\n }}\n }}\n")
        });
        text += "}\n";
    }
    text
}

/// Starts the daemon with a small file system of its own, which goes away with it.
fn spawn(host: &Host, directory: &TempDir) -> Process {
    let path = |name: &str| directory.path().join(name);
    let small = path("small");
    let mut command = harm::on_small_disk(host, &small);
    command
        .arg(binaries::path("keepalived-rs").unwrap())
        .args([
            "-nlDG",
            &format!("--log-file={}", small.join("log").display()),
        ])
        .env("TMPDIR", &small);
    for (option, name) in [
        ("--pid", "parent.pid"),
        ("--vrrp_pid", "vrrpd.pid"),
        ("--checkers_pid", "checkerd.pid"),
        ("--ipvs_pid", "ipvsd.pid"),
    ] {
        command.arg(option).arg(small.join(name));
    }
    command.arg("--use-file").arg(path("k.conf"));
    Process::spawn(&mut command, &path("log")).unwrap()
}
