//! What can happen to the process that keeps the kernel's table, and to the clock of the whole machine: the table is
//! never touched, every request through it is answered, and no router changes its state. The other processes, and
//! both sides of a pair, suffer the same in the tests with namespaces, which need no IPVS.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use kr_test_vm::{Farm, VIP};
use kr_testkit::binaries;
use kr_testkit::capture::{self, Capture, Frame};
use kr_testkit::harm::{self, Harm};
use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, run};
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::{eventually, throughout};
use kr_testkit::web::Client;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

/// The harms, and what the log says of each.
const TABLE: [(Harm, &str); 9] = [
    (Harm::Kill, "ipvsd was ended by SIGKILL"),
    (Harm::Fault, "ipvsd was ended by SIGSEGV"),
    (Harm::Stop, "killing ipvsd: it has not answered for 6"),
    // It goes on, or is replaced.
    (Harm::NoProcessor, ""),
    (Harm::NoMemory, "ipvsd was ended by SIGABRT"),
    (Harm::NoDescriptors, "checkerd was ended by SIGKILL"),
    (Harm::FullDisk, "ipvsd was ended by SIGKILL"),
    (Harm::ClockAhead, "the clock was set 3600 s ahead"),
    (Harm::ClockBack, "the clock was set 3600 s back"),
];

/// Longer than the master-down time of the backup, and time for a new process to be at work.
const SETTLED: Duration = Duration::from_secs(12);

/// Time for everything to start in an emulated machine, and for two elections.
const STARTED: Duration = Duration::from_secs(300);

/// Who is master of VI_51, and of VI_52.
const OURS: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 2);

const SERVICE: [&str; 3] = [
    "-A -t 10.20.0.100:80 -s rr",
    "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
];

/// A router of this state and priority. A second between adverts would be too little for an emulated machine.
fn router(vrid: u8, state: &str, priority: u8, address: &str) -> String {
    format!(
        "vrrp_instance VI_{vrid} {{
            state {state}
            interface eth0
            virtual_router_id {vrid}
            priority {priority}
            advert_int 3
            virtual_ipaddress {{
                {address}/24
            }}
        }}\n"
    )
}

fn configuration(large: bool) -> String {
    let server = |address: &str| {
        format!("real_server {address} 80 {{\n TCP_CHECK {{\n connect_timeout 3\n }}\n }}\n")
    };
    let service = |address: &str, delay: u32, servers: &str| {
        format!(
            "virtual_server {address} 80 {{
                delay_loop {delay}
                warmup {delay}
                lb_algo rr
                lb_kind NAT
                protocol TCP
                {servers}
            }}\n"
        )
    };
    let usual = [server("10.30.0.11"), server("10.30.0.12")].concat();
    // It backs the other pair's master, and is master of its own.
    let mut text = router(51, "MASTER", 150, "10.20.0.100")
        + &router(52, "BACKUP", 100, "10.20.0.101")
        + &service("10.20.0.100", 1, &usual);
    if large {
        let many = (1..=2_000).map(|n| server(&format!("10.40.{}.{}", n / 250, n % 250 + 1)));
        text += &service("10.20.0.102", 600, &many.collect::<String>());
    }
    text
}

/// The farm, with ours on the director and a stock keepalived beside it, each master of one router.
struct Scene {
    daemon: Process,
    stock: Keepalived,
    client: Client,
    adverts: Capture,
    small_disk: PathBuf,
    directory: TempDir,
    /// Of the stock keepalived.
    _beside: Host,
    farm: Farm,
}

impl Scene {
    fn start() -> Self {
        let farm = Farm::routed(2).unwrap();
        let beside = farm.network.host("beside").unwrap();
        farm.network
            .connect(&beside, "eth0", "front", &["10.20.0.2/24"])
            .unwrap();
        // As the backup of either router sees them.
        let adverts = Capture::start(&farm.client, capture::is_vrrp).unwrap();
        let theirs =
            router(51, "BACKUP", 100, "10.20.0.100") + &router(52, "MASTER", 150, "10.20.0.101");
        let stock = Keepalived::start(Peer::Stock, &beside, Parts::Vrrp, &theirs).unwrap();
        // Before ours is there: otherwise ours would be master for a moment.
        let there = eventually(STARTED, "a master to back", || {
            last_state(&stock, "(VI_52)") == Some("MASTER")
        });
        assert!(there.is_ok(), "{}", stock.log());
        let directory = tempfile::tempdir().unwrap();
        let small_disk = directory.path().join("small");
        fs::create_dir(&small_disk).unwrap();
        let file = directory.path().join("k.conf");
        fs::write(&file, configuration(false)).unwrap();
        let mut command = harm::on_small_disk(&farm.director, &small_disk);
        command
            .arg(binaries::path("keepalived-rs").unwrap())
            .args(["-nlDG", "--use-file"])
            .arg(&file)
            .arg(format!("--log-file={}", small_disk.join("log").display()));
        for name in ["pid", "vrrp_pid", "checkers_pid", "ipvs_pid"] {
            command.arg(format!("--{name}")).arg(small_disk.join(name));
        }
        let daemon = Process::spawn(&mut command, &directory.path().join("log")).unwrap();
        let address = SocketAddr::new(IpAddr::V4(VIP), 80);
        let (pause, limit) = (Duration::from_millis(200), Duration::from_secs(5));
        let client = Client::start(&farm.client, address, pause, limit).unwrap();
        let scene = Self {
            daemon,
            stock,
            client,
            adverts,
            small_disk,
            directory,
            _beside: beside,
            farm,
        };
        let settled = eventually(STARTED, "two masters and answers", || {
            scene.is_untouched()
                && scene.farm.director.has_address("10.20.0.100")
                && last_state(&scene.stock, "(VI_51)") == Some("BACKUP")
                && last_state(&scene.stock, "(VI_52)") == Some("MASTER")
                && scene.client.answered() > 5
        });
        assert!(settled.is_ok(), "{settled:?}\n{}", scene.daemon.log());
        sleep(SETTLED);
        scene
    }

    /// The table holds the service as configured, whatever else it holds.
    fn is_untouched(&self) -> bool {
        let mut table = self.farm.table().unwrap();
        table.retain(|line| line.contains(" 10.20.0.100:80 "));
        table == SERVICE
    }

    /// Does it, and checks that nothing changes from then on.
    fn suffer(&self, harm: Harm, text: &str) {
        let (log, entered) = (self.daemon.log().len(), self.stock.logged("Entering"));
        let adverts = self.adverts.frames().len();
        let (answered, _earlier) = (self.client.answered(), self.client.take_failures());
        std::thread::scope(|scope| {
            let harm = scope.spawn(|| harm.befall(self));
            while !harm.is_finished() {
                assert!(self.is_untouched(), "{}", self.daemon.log());
            }
            harm.join().unwrap().unwrap();
        });
        throughout(SETTLED, "the table stays", || self.is_untouched()).unwrap();
        let log = self.daemon.log().split_off(log);
        assert!(log.contains(text), "{harm:?}: no `{text}` in:\n{log}");
        let stock = self.stock.log();
        assert_eq!(self.stock.logged("Entering"), entered, "{harm:?}: {stock}");
        let frames = self.adverts.frames();
        let sent: BTreeSet<_> = frames[adverts..].iter().filter_map(of_advert).collect();
        assert_eq!(sent, [(51, OURS), (52, THEIRS)].into(), "{harm:?}: {log}");
        for word in ["MASTER", "BACKUP", "FAULT"] {
            assert!(
                !log.contains(&format!(" is {word} with")),
                "{harm:?}: {log}"
            );
        }
        let failures = self.client.take_failures();
        assert!(failures.is_empty(), "{harm:?}: {failures:?}\n{log}");
        assert!(self.client.answered() > answered + 10, "{harm:?}");
    }
}

/// The virtual router and the sender of an advert of version 2 over IPv4 without options.
fn of_advert(frame: &Frame) -> Option<(u8, Ipv4Addr)> {
    Some((
        *frame.bytes.get(14 + 20 + 1)?,
        capture::source(&frame.bytes)?,
    ))
}

/// The state that the stock keepalived entered last.
fn last_state(stock: &Keepalived, router: &str) -> Option<&'static str> {
    let entered = format!("{router} Entering ");
    let log = stock.log();
    let last = log.lines().rfind(|line| line.contains(&entered))?;
    let states = ["MASTER", "BACKUP", "FAULT"].into_iter();
    let mut states = states.filter(|state| last.contains(&format!("{entered}{state}")));
    states.next()
}

impl harm::Scene for Scene {
    fn victim(&self) -> Pid {
        child_named(self.parent(), "ipvsd").unwrap()
    }

    fn parent(&self) -> Pid {
        self.daemon.pid()
    }

    fn sibling(&self) -> Option<Pid> {
        child_named(self.parent(), "checkerd")
    }

    fn reload(&self, large: bool) -> io::Result<()> {
        fs::write(self.directory.path().join("k.conf"), configuration(large))?;
        self.daemon.signal(Signal::SIGHUP)
    }

    fn small_disk(&self) -> &Path {
        &self.small_disk
    }

    fn host(&self) -> &Host {
        &self.farm.director
    }
}

#[test]
fn whatever_happens_to_ipvsd_or_the_clock_the_table_stays_and_every_request_is_answered() {
    assert!(
        std::env::var_os("KR_LAB").is_some(),
        "this test sets the clock: run it in the lab"
    );
    let groups = Path::new("/sys/fs/cgroup");
    if !groups.join("cgroup.procs").exists() {
        run(Command::new("mount")
            .args(["-t", "cgroup2", "none"])
            .arg(groups))
        .unwrap();
    }
    let scene = Scene::start();
    for (harm, text) in TABLE {
        scene.suffer(harm, text);
        sleep(Duration::from_secs(1));
    }
}
