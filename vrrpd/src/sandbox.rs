//! Start-up: from a fresh process to one that holds what its loop needs and nothing more.

use std::fmt;
use std::io;

use kr_child::{Role, StartError};
use kr_event::EventLoop;
use kr_netlink::fib;
use kr_netlink::route::{Events, Requests};
use nix::errno::Errno;

use crate::daemon::{Daemon, FIRST_PORT_TOKEN};
use crate::firewall::Firewall;
use crate::routing::Routing;
use crate::sockets::Sockets;

/// Why the process cannot start; the text names the step.
#[derive(Debug)]
pub(crate) enum SandboxError {
    /// Descriptor 3 is not the channel, or rights could not be given up.
    Child(StartError),
    /// No netlink socket.
    Netlink(Errno),
    /// No raw socket.
    Packet(io::Error),
    /// No event loop.
    Loop(io::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Child(error) => error.fmt(f),
            Self::Netlink(errno) => write!(f, "cannot open a netlink socket: {errno}"),
            Self::Packet(error) => write!(
                f,
                "cannot open a packet socket: {error}; the process needs CAP_NET_RAW"
            ),
            Self::Loop(error) => write!(f, "cannot make the event loop: {error}"),
        }
    }
}

impl std::error::Error for SandboxError {}

/// Takes the channel and gives up rights, opens what every configuration needs, and reads the kernel's
/// tables, then enters the sandbox. Interface sockets follow with the configuration, so `CAP_NET_RAW` stays.
pub(crate) fn enter() -> Result<Daemon, SandboxError> {
    let started = kr_child::start(Role::Vrrpd).map_err(SandboxError::Child)?;
    let events = EventLoop::new().map_err(SandboxError::Loop)?;
    let kernel_events = Events::open().map_err(SandboxError::Netlink)?;
    let requests = Requests::open().map_err(SandboxError::Netlink)?;
    let routing = Routing::new(
        fib::Requests::open().map_err(SandboxError::Netlink)?,
        fib::Events::open().map_err(SandboxError::Netlink)?,
    );
    let sockets = Sockets::open(FIRST_PORT_TOKEN).map_err(SandboxError::Packet)?;
    let firewall = Firewall::open(started.duty);
    let sandbox = started.sandbox;
    let daemon = Daemon::new(
        started,
        events,
        kernel_events,
        requests,
        routing,
        sockets,
        firewall,
    )
    .map_err(SandboxError::Loop)?;
    sandbox.enter().map_err(SandboxError::Child)?;
    Ok(daemon)
}
