//! The kernel's IPVS table as values: what a service and a destination are made of, and the operations
//! that change them. `lvs` derives the wanted table and the operations, `netlink` reads the present table
//! and carries the operations out, so neither needs to know the other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use crate::lvs::{
    ConnectionTimeouts, Forwarding, Persistence, Scheduler, ServiceFlags, ServiceKey, SyncDaemon,
    SyncRole,
};
use crate::units::Weight;

/// Settings of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Scheduler.
    pub scheduler: Scheduler,
    /// Flags, without the one for persistence.
    pub flags: ServiceFlags,
    /// Persistence, when on.
    pub persistence: Option<Persistence>,
}

/// Settings of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// Weight; 0 takes no new connections.
    pub weight: Weight,
    /// Connections above which it takes no new ones; 0 is no bound.
    pub upper_threshold: u32,
    /// Connections below which it takes new ones again; 0 is three quarters of the upper bound.
    pub lower_threshold: u32,
}

/// A service as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedService {
    /// Its settings.
    pub service: Service,
    /// Its destinations by address and port.
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// A service as the kernel holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresentService {
    /// Its settings; `None` when it has some that no configuration can ask for (a scheduler or an engine
    /// of other software), which therefore differ from anything wanted.
    pub service: Option<Service>,
    /// Its destinations; `None` for the same reason.
    pub destinations: BTreeMap<SocketAddr, Option<Destination>>,
}

/// One change of the kernel's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Empties the whole table, foreign services too.
    Flush,
    /// Makes a service.
    AddService {
        /// Which.
        key: ServiceKey,
        /// Its settings.
        service: Service,
    },
    /// Changes a service; its destinations and connections stay.
    SetService {
        /// Which.
        key: ServiceKey,
        /// Its new settings.
        service: Service,
    },
    /// Removes a service with its destinations.
    RemoveService {
        /// Which.
        key: ServiceKey,
    },
    /// Makes a destination.
    AddDestination {
        /// Its service.
        key: ServiceKey,
        /// Its address and port.
        address: SocketAddr,
        /// Its settings.
        destination: Destination,
    },
    /// Changes a destination; its connections stay.
    SetDestination {
        /// Its service.
        key: ServiceKey,
        /// Its address and port.
        address: SocketAddr,
        /// Its new settings.
        destination: Destination,
    },
    /// Removes a destination.
    RemoveDestination {
        /// Its service.
        key: ServiceKey,
        /// Its address and port.
        address: SocketAddr,
    },
    /// Changes when idle connections are forgotten.
    SetTimeouts(ConnectionTimeouts),
}

impl Operation {
    /// The service it is about; `None` for what concerns all.
    #[must_use]
    pub const fn service(&self) -> Option<ServiceKey> {
        match self {
            Self::Flush | Self::SetTimeouts(_) => None,
            Self::AddService { key, .. }
            | Self::SetService { key, .. }
            | Self::RemoveService { key }
            | Self::AddDestination { key, .. }
            | Self::SetDestination { key, .. }
            | Self::RemoveDestination { key, .. } => Some(*key),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flush => f.write_str("empty the table"),
            Self::AddService { key, service } => {
                write!(
                    f,
                    "add service {key} scheduler {}",
                    service.scheduler.name()
                )
            }
            Self::SetService { key, service } => {
                write!(
                    f,
                    "change service {key} to scheduler {}",
                    service.scheduler.name()
                )
            }
            Self::RemoveService { key } => write!(f, "remove service {key}"),
            Self::AddDestination {
                key,
                address,
                destination,
            } => {
                write!(
                    f,
                    "add {address} to {key} with weight {}",
                    destination.weight
                )
            }
            Self::SetDestination {
                key,
                address,
                destination,
            } => {
                write!(
                    f,
                    "change {address} of {key} to weight {}",
                    destination.weight
                )
            }
            Self::RemoveDestination { key, address } => {
                write!(f, "remove {address} from {key}")
            }
            Self::SetTimeouts(ConnectionTimeouts { tcp, tcp_fin, udp }) => {
                write!(
                    f,
                    "set the connection timeouts to tcp {tcp} tcpfin {tcp_fin} udp {udp}"
                )
            }
        }
    }
}

/// One change of the threads that synchronise connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncChange {
    /// Starts one.
    Start(SyncRole, SyncDaemon),
    /// Stops the one of this role, which has this id.
    Stop(SyncRole, u8),
}

impl fmt::Display for SyncChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(role, SyncDaemon { interface, id, .. }) => write!(
                f,
                "start the {} of connection synchronisation on {interface} with id {id}",
                role.name()
            ),
            Self::Stop(role, id) => write!(
                f,
                "stop the {} of connection synchronisation with id {id}",
                role.name()
            ),
        }
    }
}

/// An address as the kernel keeps it: without IPv6 scope and flow information, so that what was
/// configured and what was read compare equal.
#[must_use]
pub const fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}
