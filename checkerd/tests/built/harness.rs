//! Starts the built checker process and plays its parent and the IPVS process.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_ipc::Channel;
use kr_ipc::channel::pair;
use kr_ipc::edge::checkerd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_ipc::edge::parentd_checkerd::{AUTHORITIES_PIECE, FromCheckerd, ToCheckerd};
use kr_ipc::edge::{Sibling, vrrpd_checkerd};
use kr_model::check::{
    Checker, CheckerGlobal, CheckerSnapshot, Connection, HttpProbe, HttpVersion, Probe, Timing,
    TlsOptions, Url,
};
use kr_model::lvs::Verdict;
use kr_model::{CheckerId, Generation, InstanceId};

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const TICK: Duration = Duration::from_millis(100);

/// A running checker process.
pub(crate) struct Checkerd {
    child: Child,
    directory: tempfile::TempDir,
    pub(crate) parent: Channel<ToCheckerd, FromCheckerd>,
    pub(crate) ipvsd: Channel<FromIpvsd, ToIpvsd>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) snapshots: Vec<CheckerSnapshot>,
    pub(crate) scripts: Vec<(CheckerId, u64)>,
    pub(crate) ready: Vec<Generation>,
    pub(crate) misbehaved: Vec<Sibling>,
}

impl Checkerd {
    /// Starts it with its two channels and without a configuration.
    pub(crate) fn start() -> Self {
        Self::start_after("")
    }

    /// The same, with shell commands before it.
    fn start_after(commands: &str) -> Self {
        let (ours, theirs) = pair().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        // The shell moves its standard input to descriptor 3, where a child finds its channel.
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "{commands}exec \"$0\" --unconfined --sandbox=on 3<&0 0</dev/null"
            ))
            .arg(env!("CARGO_BIN_EXE_checkerd"))
            .stdin(Stdio::from(theirs))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut parent: Channel<ToCheckerd, FromCheckerd> = Channel::new(ours);
        let (ipvsd, end) = pair().unwrap();
        parent
            .send_with(&ToCheckerd::Sibling(Sibling::Ipvsd), end)
            .unwrap();
        Self {
            child,
            directory,
            parent,
            ipvsd: Channel::new(ipvsd),
            verdicts: Vec::new(),
            snapshots: Vec::new(),
            scripts: Vec::new(),
            ready: Vec::new(),
            misbehaved: Vec::new(),
        }
    }

    /// Starts it with these checkers and waits until they are in force.
    pub(crate) fn with(checkers: &[Checker]) -> Self {
        let mut daemon = Self::start();
        daemon.configure(1, &CheckerGlobal::default(), checkers, &[]);
        daemon
    }

    /// The same in a process that may have so many descriptors.
    pub(crate) fn with_descriptors(most: u32, checkers: &[Checker]) -> Self {
        let mut daemon = Self::start_after(&format!("ulimit -n {most}; "));
        daemon.configure(1, &CheckerGlobal::default(), checkers, &[]);
        daemon
    }

    pub(crate) fn configure(
        &mut self,
        generation: u64,
        global: &CheckerGlobal,
        checkers: &[Checker],
        resume: &[CheckerSnapshot],
    ) {
        let generation = Generation(generation);
        self.send(&ToCheckerd::Begin(generation));
        self.send(&ToCheckerd::Instance(InstanceId(1)));
        let mut global = global.clone();
        let authorities = global.trusted_authorities.as_mut().map(std::mem::take);
        self.send(&ToCheckerd::Global(Box::new(global)));
        let pieces = authorities
            .iter()
            .flat_map(|pem| pem.chunks(AUTHORITIES_PIECE));
        for piece in pieces {
            self.send(&ToCheckerd::Authorities(piece.to_vec()));
        }
        for checker in checkers {
            self.send(&ToCheckerd::Checker(Box::new(checker.clone())));
        }
        for snapshot in resume {
            self.send(&ToCheckerd::Resume(*snapshot));
        }
        self.send(&ToCheckerd::Commit(generation));
        self.until("configuration in force", |d| d.ready.contains(&generation));
    }

    pub(crate) fn send(&mut self, message: &ToCheckerd) {
        self.parent.send(message).unwrap();
    }

    /// Replaces the IPVS process.
    pub(crate) fn new_ipvsd(&mut self) {
        let (ours, theirs) = pair().unwrap();
        self.ipvsd = Channel::new(ours);
        self.parent
            .send_with(&ToCheckerd::Sibling(Sibling::Ipvsd), theirs)
            .unwrap();
    }

    /// Gives it a channel to a VRRP process, which this process plays.
    pub(crate) fn new_vrrpd(
        &mut self,
    ) -> Channel<vrrpd_checkerd::ToCheckerd, vrrpd_checkerd::FromCheckerd> {
        let (ours, theirs) = pair().unwrap();
        let message = ToCheckerd::Sibling(Sibling::Vrrpd);
        self.parent.send_with(&message, theirs).unwrap();
        Channel::new(ours)
    }

    /// Takes what came over both channels.
    pub(crate) fn read(&mut self) {
        self.parent.flush().ok();
        while let Ok(Some(message)) = self.parent.recv() {
            match message {
                FromCheckerd::Ready(generation) => self.ready.push(generation),
                FromCheckerd::Snapshot(snapshot) => self.snapshots.push(snapshot),
                FromCheckerd::RunScript { checker, run } => self.scripts.push((checker, run)),
                FromCheckerd::Misbehaved(sibling) => self.misbehaved.push(sibling),
                FromCheckerd::Pong { .. } | FromCheckerd::Times(_) => {}
            }
        }
        while let Ok(Some(ToIpvsd::Verdict { verdict, .. })) = self.ipvsd.recv() {
            self.verdicts.push(verdict);
        }
    }

    /// Waits until something holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        loop {
            self.read();
            if holds(self) {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "no {what}; verdicts {:?}; log:\n{}",
                self.verdicts,
                self.log()
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the verdict of a checker.
    pub(crate) fn until_verdict(&mut self, id: u32, up: bool) {
        self.until(&format!("verdict {up} of {id}"), |d| {
            d.verdict(id) == Some(up)
        });
    }

    /// Waits for a part of a log line.
    pub(crate) fn until_log(&mut self, text: &str) {
        self.until(text, |d| d.log().contains(text));
    }

    /// The last verdict of a checker.
    pub(crate) fn verdict(&self, id: u32) -> Option<bool> {
        let last = self.verdicts.iter().rev();
        last.into_iter()
            .find(|verdict| verdict.checker == CheckerId(id))
            .map(|verdict| verdict.up)
    }

    #[allow(dead_code, reason = "the test of system calls alone needs it")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// The most memory it ever held, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end and says whether it was a success.
    pub(crate) fn ended(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(start.elapsed() < PATIENCE, "still running:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Checkerd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn connection(target: SocketAddr) -> Connection {
    Connection {
        target,
        source: None,
        source_port: None,
        interface: None,
        mark: 0,
        timeout: Duration::from_secs(1),
    }
}

/// A checker that runs every 100 ms, without retries and warm-up.
pub(crate) fn checker(id: u32, probe: Probe) -> Checker {
    Checker {
        id: CheckerId(id),
        server: id.to_string(),
        service: "test".to_owned(),
        probe,
        timing: Timing {
            delay_loop: TICK,
            retry: 0,
            delay_before_retry: TICK,
            warmup: Duration::ZERO,
        },
        alpha: false,
        log_all_failures: false,
    }
}

pub(crate) fn tcp(id: u32, target: SocketAddr) -> Checker {
    checker(id, Probe::Tcp(connection(target)))
}

pub(crate) fn http(id: u32, target: SocketAddr, paths: &[&str]) -> Checker {
    let url = |path: &&str| Url {
        path: (*path).to_owned(),
        host: target.to_string(),
        server_name: None,
        digest: None,
        status: Vec::new(),
        close_notify: true,
        pattern: None,
    };
    let probe = HttpProbe {
        connection: connection(target),
        tls: None,
        version: HttpVersion::V1_0,
        urls: paths.iter().map(url).collect(),
        fast_recovery: false,
    };
    checker(id, Probe::Http(probe))
}

pub(crate) fn https(id: u32, target: SocketAddr, name: Option<&str>) -> Checker {
    let mut checker = http(id, target, &["/"]);
    if let Probe::Http(http) = &mut checker.probe {
        http.tls = Some(TlsOptions {
            server_name: name.map(str::to_owned),
        });
    }
    checker
}

pub(crate) fn smtp(id: u32, targets: &[SocketAddr]) -> Checker {
    let probe = Probe::Smtp {
        helo: "director".to_owned(),
        hosts: targets.iter().map(|target| connection(*target)).collect(),
    };
    checker(id, probe)
}

pub(crate) fn misc(id: u32, dynamic: bool) -> Checker {
    let timeout = Duration::from_secs(5);
    checker(id, Probe::Misc { dynamic, timeout })
}

/// An address of loopback where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
