//! A segment with a router and an observer, and the parent's side of the channel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kr_ipc::channel::pair;
use kr_ipc::edge::parentd_vrrpd::{FromVrrpd, ToVrrpd};
use kr_ipc::{Channel, ChannelError};
use kr_model::net::{Cidr, Family};
use kr_model::units::{AdvertInterval, IfName, Priority, Vrid};
use kr_model::vrrp::{
    AddressFlags, Announce, AnnouncePace, Authentication, ChecksumMode, Instance, MULTICAST_V4,
    Preemption, Snapshot, State, Transport, Version, VirtualAddress, VrrpGlobal, WantedState,
};
use kr_model::{Generation, InstanceId};
use kr_testkit::capture::{Capture, Frame, is_vrrp};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Long enough for anything that takes three seconds, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const OBSERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// Two hosts on one segment, each with `eth0`.
pub(crate) struct Lan {
    pub(crate) router: Host,
    pub(crate) observer: Host,
    _network: Network,
}

impl Lan {
    pub(crate) fn new() -> Self {
        let network = Network::new().unwrap();
        network.segment("lan").unwrap();
        let host = |name: &str, address: &str| {
            let host = network.host(name).unwrap();
            network.connect(&host, "eth0", "lan", &[address]).unwrap();
            host
        };
        let router = host("router", "10.9.0.1/24");
        let observer = host("observer", "10.9.0.2/24");
        Self {
            router,
            observer,
            _network: network,
        }
    }

    /// The adverts that cross the segment, as the observer sees them.
    pub(crate) fn adverts(&self) -> Capture {
        Capture::start(&self.observer, is_vrrp).unwrap()
    }
}

/// Priorities of captured adverts.
pub(crate) fn priorities(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.bytes[36]).collect()
}

/// `10.9.0.100/24` on `eth0`.
pub(crate) fn address(text: &str) -> VirtualAddress {
    let (ip, prefix) = text.split_once('/').unwrap();
    VirtualAddress {
        address: Cidr::new(ip.parse().unwrap(), prefix.parse().unwrap()).unwrap(),
        device: None,
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        tracked: true,
        preferred_lifetime: None,
        own_link: false,
        lifetime: None,
    }
}

/// Router id 51, priority 100, adverts each second; takes over after one missed advert.
pub(crate) fn instance(addresses: &[&str]) -> Instance {
    Instance {
        id: InstanceId(1),
        name: "VI_1".to_owned(),
        version: Version::V2,
        family: Family::Inet,
        interface: IfName::try_from("eth0".to_owned()).unwrap(),
        vrid: Vrid::try_from(51).unwrap(),
        priority: Priority::DEFAULT,
        wanted: WantedState::Backup,
        advert_interval: AdvertInterval::DEFAULT,
        transport: Transport::Multicast {
            group: MULTICAST_V4.into(),
            source: None,
        },
        checksum: ChecksumMode::Standard,
        authentication: Authentication::None,
        group: None,
        preemption: Preemption::Immediate,
        down_timer_adverts: 1,
        addresses: addresses.iter().map(|text| address(text)).collect(),
        excluded: Vec::new(),
        announce: Announce {
            repeat: 3,
            delay: Duration::ZERO,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 3,
            lower_priority_delay: Duration::ZERO,
            extra: None,
        },
        tracked_interfaces: Vec::new(),
        trackers: Vec::new(),
        own_link: None,
        address_link_prefix: String::new(),
        track_primary: true,
        answer_lower_priority: true,
        advert_before_yielding: false,
        ignore_adverts: false,
        yields_when_late: None,
        track_source: false,
        check_addresses_once: false,
        accept: true,
        promote_secondaries: false,
    }
}

/// Settings of the process that change nothing.
pub(crate) fn global() -> VrrpGlobal {
    VrrpGlobal {
        startup_delay: Duration::ZERO,
        delay_after_boot: Duration::ZERO,
        log_unknown_vrids: false,
        pace: AnnouncePace::default(),
        keep_addresses_at_exit: false,
        label: String::new(),
        dynamic_interfaces: false,
        firewall: Default::default(),
        link_delays: Default::default(),
    }
}

/// A running `vrrpd` with the account and capabilities that its parent gives it. Dropping it kills it.
pub(crate) struct Vrrpd {
    child: Child,
    channel: Channel<ToVrrpd, FromVrrpd>,
    generation: Generation,
    /// The latest of each instance.
    pub(crate) snapshots: BTreeMap<InstanceId, Snapshot>,
    /// All so far.
    pub(crate) transitions: Vec<State>,
    directory: TempDir,
}

impl Vrrpd {
    pub(crate) fn start(host: &Host) -> Self {
        let (ours, theirs) = pair().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        // Standard input carries the descriptor through `ip` and becomes number 3.
        let child = host
            .command("sh")
            .args(["-c", "exec \"$@\" 3<&0 </dev/null", "sh"])
            .args([
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ])
            .args(["--inh-caps=-all,+net_admin,+net_raw"])
            .args(["--ambient-caps=-all,+net_admin,+net_raw"])
            .args(["--bounding-set=-all,+net_admin,+net_raw"])
            .arg(env!("CARGO_BIN_EXE_vrrpd"))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            channel: Channel::new(ours),
            generation: Generation(0),
            snapshots: BTreeMap::new(),
            transitions: Vec::new(),
            directory,
        }
    }

    /// Starts one with a first configuration of one instance.
    pub(crate) fn with(host: &Host, instance: Instance) -> Self {
        let mut vrrpd = Self::start(host);
        vrrpd.configure(vec![instance], Vec::new());
        vrrpd
    }

    pub(crate) fn send(&mut self, message: &ToVrrpd) {
        self.channel.send(message).unwrap();
    }

    pub(crate) fn send_with(&mut self, message: &ToVrrpd, descriptor: OwnedFd) {
        self.channel.send_with(message, descriptor).unwrap();
    }

    /// Sends a whole configuration and waits until it is in force.
    pub(crate) fn configure(&mut self, instances: Vec<Instance>, resume: Vec<Snapshot>) {
        self.configure_with(global(), instances, resume);
    }

    /// The same with settings of the process.
    pub(crate) fn configure_with(
        &mut self,
        global: VrrpGlobal,
        instances: Vec<Instance>,
        resume: Vec<Snapshot>,
    ) {
        self.generation = self.generation.next();
        let generation = self.generation;
        self.send(&ToVrrpd::Begin(generation));
        self.send(&ToVrrpd::Global(global));
        for instance in instances {
            self.send(&ToVrrpd::Instance(Box::new(instance)));
        }
        for snapshot in resume {
            self.send(&ToVrrpd::Resume(Box::new(snapshot)));
        }
        self.send(&ToVrrpd::Commit(generation));
        let mut ready = false;
        let waited = eventually(PATIENCE, "configuration in force", || {
            ready |= self.read().contains(&FromVrrpd::Ready(generation));
            ready
        });
        assert!(waited.is_ok(), "{waited:?}: {}", self.log());
    }

    /// Takes what it has said.
    pub(crate) fn read(&mut self) -> Vec<FromVrrpd> {
        let mut said = Vec::new();
        loop {
            match self.channel.recv() {
                Ok(Some(message)) => {
                    match &message {
                        FromVrrpd::Snapshots(snapshots) => {
                            let all = snapshots.iter().cloned();
                            self.snapshots
                                .extend(all.map(|snapshot| (snapshot.id, snapshot)));
                        }
                        FromVrrpd::Transition { to, .. } => self.transitions.push(*to),
                        FromVrrpd::Ready(_)
                        | FromVrrpd::GroupTransition { .. }
                        | FromVrrpd::Misbehaved(_)
                        | FromVrrpd::LowerPriorityHeard { .. }
                        | FromVrrpd::Bfd(_)
                        | FromVrrpd::OwnLink(_)
                        | FromVrrpd::Pong { .. }
                        | FromVrrpd::Times(_) => {}
                    }
                    said.push(message);
                }
                Ok(None) | Err(ChannelError::Closed) => return said,
                Err(error) => panic!("{error}: {}", self.log()),
            }
        }
    }

    /// Waits until its last transition was to `state`.
    pub(crate) fn until(&mut self, state: State) {
        let waited = eventually(PATIENCE, state.word(), || {
            self.read();
            self.transitions.last() == Some(&state)
        });
        assert!(waited.is_ok(), "{waited:?}: {}", self.log());
    }

    /// The transitions so far.
    pub(crate) fn transitions(&mut self) -> &[State] {
        self.read();
        &self.transitions
    }

    /// It became master once and nothing else since.
    pub(crate) fn stayed_master(&mut self) {
        self.read();
        assert_eq!(
            self.transitions,
            [State::Backup, State::Master],
            "{}",
            self.log()
        );
    }

    /// The latest snapshot of the only instance.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.read();
        self.snapshots[&InstanceId(1)].clone()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Stops its execution, or lets it go on.
    pub(crate) fn pause(&self, paused: bool) {
        let signal = if paused {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Kills it and takes its place in the process table.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its own end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let waited = eventually(PATIENCE, "end of vrrpd", || {
            self.read();
            !self.is_running()
        });
        assert!(waited.is_ok(), "{waited:?}: {}", self.log());
        self.child.wait().unwrap()
    }

    /// Closes the parent's end of the channel, as the parent's death does, and waits for the end.
    pub(crate) fn ended_by_parents_death(mut self) -> ExitStatus {
        let (unconnected, _) = pair().unwrap();
        drop(std::mem::replace(
            &mut self.channel,
            Channel::new(unconnected),
        ));
        let waited = eventually(PATIENCE, "end of vrrpd", || !self.is_running());
        assert!(waited.is_ok(), "{waited:?}: {}", self.log());
        self.child.wait().unwrap()
    }
}

impl Drop for Vrrpd {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// Waits until the host has the address, or has it no more.
pub(crate) fn until_address(host: &Host, ip: &str, there: bool) {
    eventually(PATIENCE, &format!("{ip} there: {there}"), || {
        host.has_address(ip) == there
    })
    .unwrap();
}

/// Waits until a capture holds a frame for which `wanted` is true, and returns all of it.
pub(crate) fn until_frame(
    capture: &Capture,
    what: &str,
    wanted: impl Fn(&Frame) -> bool,
) -> Vec<Frame> {
    eventually(PATIENCE, what, || capture.frames().iter().any(&wanted)).unwrap();
    capture.frames()
}

/// The longest time between two frames, and from the last one to now.
pub(crate) fn longest_gap(frames: &[Frame]) -> Duration {
    let ends = frames
        .iter()
        .skip(1)
        .map(|frame| frame.at)
        .chain([Instant::now()]);
    frames
        .iter()
        .zip(ends)
        .map(|(frame, end)| end.duration_since(frame.at))
        .max()
        .unwrap_or_default()
}

/// Runs `ip` in a host.
pub(crate) fn ip(host: &Host, arguments: &[&str]) -> String {
    let mut command: Command = host.command("ip");
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
