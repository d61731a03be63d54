//! The built `ipvsd`, with this process as its parent and its checker process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code that starts a program"
)]

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use kr_ipc::edge::parentd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_ipc::edge::{Sibling, checkerd_ipvsd, vrrpd_ipvsd};
use kr_ipc::{Channel, ChannelError, channel};
use kr_model::check::SocketRule;
use kr_model::lvs::{
    CheckerBinding, Forwarding, IpvsGlobal, PoolSnapshot, Protocol, RealServer, Removal, Scheduler,
    ServiceFlags, ServiceKey, TimeoutSettings, Verdict, VirtualServer,
};
use kr_model::units::Weight;
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, InstanceId, RealServerId, VirtualServerId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;

/// Longest wait for anything, also in an emulated machine.
pub(crate) const PATIENCE_MS: u16 = 30_000;

/// A running `ipvsd`; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Ipvsd {
    child: Child,
    /// The parent's end.
    pub(crate) parent: Channel<ToIpvsd, FromIpvsd>,
}

/// The checker process's end.
pub(crate) type Checkerd = Channel<checkerd_ipvsd::ToIpvsd, checkerd_ipvsd::FromIpvsd>;

/// The VRRP process's end.
pub(crate) type Vrrpd = Channel<vrrpd_ipvsd::ToIpvsd, vrrpd_ipvsd::FromIpvsd>;

impl Ipvsd {
    /// Starts it in its sandbox, but with the privileges of this process.
    pub(crate) fn start() -> Self {
        Self::run("")
    }

    /// Starts it unable to change any kernel table, whatever kernel this is.
    pub(crate) fn start_powerless() -> Self {
        Self::run(if geteuid().is_root() {
            "setpriv --bounding-set=-net_admin --inh-caps=-net_admin --"
        } else {
            ""
        })
    }

    /// Starts it for checks with marks and low ports, of which it can do what this process can.
    pub(crate) fn start_for_low_ports() -> Self {
        Self::run_with("", "--duty=low-ports")
    }

    fn run(wrapper: &str) -> Self {
        Self::run_with(wrapper, "")
    }

    fn run_with(wrapper: &str, duty: &str) -> Self {
        let (ours, theirs) = channel::pair().unwrap();
        let program = env!("CARGO_BIN_EXE_ipvsd");
        let script =
            format!("exec {wrapper} '{program}' --unconfined {duty} --sandbox=on 3<&0 0</dev/null");
        let child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::from(theirs))
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap(),
            parent: Channel::new(ours),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a configuration.
    pub(crate) fn configure(
        &mut self,
        generation: u64,
        virtual_servers: &[VirtualServer],
        real_servers: &[RealServer],
        resume: &[PoolSnapshot],
    ) {
        self.configure_with_sockets(generation, virtual_servers, real_servers, resume, &[]);
    }

    /// The same with sockets that the checker process may ask for.
    pub(crate) fn configure_with_sockets(
        &mut self,
        generation: u64,
        virtual_servers: &[VirtualServer],
        real_servers: &[RealServer],
        resume: &[PoolSnapshot],
        sockets: &[SocketRule],
    ) {
        let generation = Generation(generation);
        let mut messages = vec![
            ToIpvsd::Begin(generation),
            ToIpvsd::Global(IpvsGlobal {
                flush_at_start: false,
                keep_at_exit: false,
                removal: Removal::OneByOne,
                announce_at_start: false,
                timeouts: TimeoutSettings::NONE,
                sync: None,
            }),
            ToIpvsd::Instance(InstanceId(1)),
        ];
        let boxed = |server: &VirtualServer| ToIpvsd::VirtualServer(Box::new(server.clone()));
        messages.extend(virtual_servers.iter().map(boxed));
        let boxed = |server: &RealServer| ToIpvsd::RealServer(Box::new(server.clone()));
        messages.extend(real_servers.iter().map(boxed));
        messages.extend(
            resume
                .iter()
                .map(|pool| ToIpvsd::Resume(Box::new(pool.clone()))),
        );
        let boxed = |rule: &SocketRule| ToIpvsd::CheckSocket(Box::new(rule.clone()));
        messages.extend(sockets.iter().map(boxed));
        messages.push(ToIpvsd::Commit(generation));
        for message in messages {
            self.parent.send(&message).unwrap();
        }
    }

    /// Gives it a channel to a checker process, which this process plays.
    pub(crate) fn meet_checkerd(&mut self) -> Checkerd {
        Channel::new(self.meet(Sibling::Checkerd))
    }

    /// Gives it a channel to a VRRP process, which this process plays.
    pub(crate) fn meet_vrrpd(&mut self) -> Vrrpd {
        Channel::new(self.meet(Sibling::Vrrpd))
    }

    fn meet(&mut self, sibling: Sibling) -> OwnedFd {
        let (ours, theirs) = channel::pair().unwrap();
        let message = ToIpvsd::Sibling(sibling);
        self.parent.send_with(&message, theirs).unwrap();
        ours
    }

    /// What it says next.
    pub(crate) fn next(&mut self) -> FromIpvsd {
        match self.recv() {
            Ok(message) => message,
            Err(error) => panic!("{error}"),
        }
    }

    /// What it says, up to and with the first message that `wanted` accepts.
    pub(crate) fn until(&mut self, wanted: impl Fn(&FromIpvsd) -> bool) -> Vec<FromIpvsd> {
        let mut said = Vec::new();
        loop {
            said.push(self.next());
            if said.last().is_some_and(&wanted) {
                return said;
            }
        }
    }

    /// What it says until a configuration is in force.
    pub(crate) fn until_ready(&mut self, generation: u64) -> Vec<FromIpvsd> {
        self.until(|message| *message == FromIpvsd::Ready(Generation(generation)))
    }

    fn recv(&mut self) -> Result<FromIpvsd, ChannelError> {
        loop {
            if let Some(message) = self.parent.recv()? {
                return Ok(message);
            }
            let mut fds = [PollFd::new(self.parent.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(PATIENCE_MS)).unwrap();
            assert_ne!(ready, 0, "ipvsd says nothing");
        }
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, taking what it still says.
    pub(crate) fn end(&mut self) -> (Vec<FromIpvsd>, ExitStatus) {
        let mut said = Vec::new();
        while let Ok(message) = self.recv() {
            said.push(message);
        }
        (said, self.wait())
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        for _ in 0..PATIENCE_MS / 10 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("ipvsd does not end");
    }

    /// Closes the parent's end, as a parent that is gone does.
    pub(crate) fn abandon(&mut self) {
        let (end, _) = channel::pair().unwrap();
        self.parent = Channel::new(end);
    }
}

impl Drop for Ipvsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The virtual server 1 at 192.0.2.1:80.
pub(crate) fn virtual_server() -> VirtualServer {
    VirtualServer {
        id: VirtualServerId(1),
        services: vec![ServiceKey::Address {
            address: SocketAddr::from(([192, 0, 2, 1], 80)),
            protocol: Protocol::Tcp,
        }],
        label: "[192.0.2.1]:tcp:80".to_owned(),
        scheduler: Scheduler::RoundRobin,
        flags: ServiceFlags::empty(),
        persistence: None,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        omega: false,
    }
}

/// Real server `n` at 10.0.0.n:80 with checker `n`.
pub(crate) fn real_server(n: u8) -> RealServer {
    RealServer {
        id: RealServerId(n.into()),
        virtual_server: VirtualServerId(1),
        address: SocketAddr::from(([10, 0, 0, n], 80)),
        label: format!("[10.0.0.{n}]:tcp:80"),
        weight: Weight::ONE,
        forwarding: Forwarding::Nat,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        drain: Duration::ZERO,
        checkers: vec![CheckerBinding {
            id: CheckerId(n.into()),
            alpha: false,
        }],
    }
}

/// A verdict of a checker process that runs `generation`.
pub(crate) fn verdict(generation: u64, checker: u32, up: bool) -> checkerd_ipvsd::ToIpvsd {
    checkerd_ipvsd::ToIpvsd::Verdict {
        generation: Generation(generation),
        verdict: Verdict {
            checker: CheckerId(checker),
            up,
            weight: None,
        },
    }
}

/// What a VRRP process that runs `generation` says of an instance.
pub(crate) const fn state(generation: u64, instance: u32, state: State) -> vrrpd_ipvsd::ToIpvsd {
    vrrpd_ipvsd::ToIpvsd::Instance {
        generation: Generation(generation),
        instance: InstanceId(instance),
        state,
    }
}
