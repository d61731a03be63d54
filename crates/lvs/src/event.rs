//! What the machine tells: lines for the log, and notices from which the parent makes scripts, FIFO
//! records and mail.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use kr_model::ipvs::{Operation, SyncChange};
use kr_model::lvs::ServiceKey;
use kr_model::{CheckerId, RealServerId, VirtualServerId};

/// Why a change of a server or a quorum is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A check, or the sum of them, changed.
    Checks,
    /// It is installed for the first time.
    Start,
    /// The daemon stops (only with `omega`).
    Shutdown,
    /// A reload removes it.
    Removed,
}

/// Something the parent must know. Their order matters: a real server's notice precedes the notice of
/// the quorum it changed (FIFO records), which precedes the checker's (mail).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A real server went up or down.
    RealServerChanged {
        /// Which.
        real_server: RealServerId,
        /// Alive.
        up: bool,
        /// Why it is said.
        reason: Reason,
    },
    /// A checker's verdict changed.
    CheckerChanged {
        /// Which.
        checker: CheckerId,
        /// Healthy.
        up: bool,
        /// The verdict changed the real server too.
        with_server: bool,
    },
    /// A virtual server gained or lost quorum.
    QuorumChanged {
        /// Which.
        virtual_server: VirtualServerId,
        /// It has quorum.
        up: bool,
        /// Weight of its living real servers.
        weight: u64,
        /// Why it is said.
        reason: Reason,
    },
    /// The kernel's IPVS became usable or unusable.
    Kernel {
        /// It can be programmed.
        usable: bool,
    },
}

/// A line for the log; the text says what happened and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A real server changed.
    RealServer {
        /// Its label.
        server: String,
        /// The label of its virtual server.
        service: String,
        /// Alive.
        up: bool,
        /// It stays in the table with weight 0 (`inhibit_on_failure`).
        inhibited: bool,
    },
    /// The weight of a living real server changed.
    Weight {
        /// Its label.
        server: String,
        /// The label of its virtual server.
        service: String,
        /// Weight before.
        from: u32,
        /// Weight now.
        to: u32,
    },
    /// A quorum changed.
    Quorum {
        /// The label of the virtual server.
        service: String,
        /// It has quorum now.
        up: bool,
        /// Weight of its living real servers.
        weight: u64,
        /// The weight that decided: `quorum` plus or less `hysteresis`.
        threshold: u32,
        /// A sorry server takes the traffic without quorum.
        sorry: bool,
    },
    /// The kernel's table cannot be used.
    KernelUnusable {
        /// What failed and what to do.
        reason: String,
    },
    /// It can be used (again).
    KernelUsable,
    /// The kernel refused an operation.
    Refused {
        /// Which.
        operation: Operation,
        /// Why.
        reason: String,
    },
    /// A thread that synchronises connections was started or stopped, or not.
    Sync {
        /// What was to be done.
        change: SyncChange,
        /// Why the kernel refused, if it did.
        refused: Option<String>,
    },
    /// Somebody else changed a service of ours.
    Drifted {
        /// Which service.
        service: ServiceKey,
    },
    /// A reload took a server away that keeps its connections for a while (`drain_timeout`).
    Leaves {
        /// Its address and port.
        server: SocketAddr,
        /// The label of its virtual server.
        service: String,
        /// How long it stays.
        time: Duration,
    },
    /// That while is over.
    Left {
        /// Its address and port.
        server: SocketAddr,
        /// The label of its virtual server.
        service: String,
        /// Nobody uses it any more; otherwise its time is over.
        idle: bool,
    },
    /// The table at a commit.
    Reconciled {
        /// Services wanted.
        services: usize,
        /// Operations needed to get there.
        operations: usize,
    },
}

impl Event {
    /// True for what an operator should look at.
    #[must_use]
    pub const fn is_warning(&self) -> bool {
        match self {
            Self::RealServer { up, .. } | Self::Quorum { up, .. } => !*up,
            Self::KernelUnusable { .. }
            | Self::Refused { .. }
            | Self::Sync {
                refused: Some(_), ..
            }
            | Self::Drifted { .. } => true,
            Self::Weight { .. }
            | Self::Leaves { .. }
            | Self::Left { .. }
            | Self::Sync { refused: None, .. }
            | Self::KernelUsable
            | Self::Reconciled { .. } => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealServer {
                server,
                service,
                up: true,
                ..
            } => {
                write!(
                    f,
                    "real server {server} of {service} is up: every check passes"
                )
            }
            Self::RealServer {
                server,
                service,
                up: false,
                inhibited,
            } => write!(
                f,
                "real server {server} of {service} is down: a check fails; {}",
                if *inhibited {
                    "it keeps its connections with weight 0"
                } else {
                    "it leaves the table"
                }
            ),
            Self::Weight {
                server,
                service,
                from,
                to,
            } => write!(
                f,
                "weight of real server {server} of {service} changes from {from} to {to}"
            ),
            Self::Quorum {
                service,
                up: true,
                weight,
                threshold,
                ..
            } => write!(
                f,
                "{service} has quorum: living weight {weight} reaches {threshold}"
            ),
            Self::Quorum {
                service,
                up: false,
                weight,
                threshold,
                sorry,
            } => write!(
                f,
                "{service} has no quorum: living weight {weight} is below {threshold}; {}",
                if *sorry {
                    "the sorry server takes over"
                } else {
                    "it has no sorry server, the living servers stay"
                }
            ),
            Self::KernelUnusable { reason } => write!(f, "IPVS cannot be programmed: {reason}"),
            Self::KernelUsable => f.write_str("the kernel's IPVS can be programmed"),
            Self::Refused { operation, reason } => {
                write!(f, "the kernel refused to {operation}: {reason}")?;
                // The table is emptied once, at the start; everything else is compared for ever.
                match operation {
                    Operation::Flush => Ok(()),
                    Operation::AddService { .. }
                    | Operation::SetService { .. }
                    | Operation::RemoveService { .. }
                    | Operation::AddDestination { .. }
                    | Operation::SetDestination { .. }
                    | Operation::RemoveDestination { .. }
                    | Operation::SetTimeouts(_) => f.write_str("; tried again at every reading"),
                }
            }
            Self::Sync {
                change,
                refused: None,
            } => write!(f, "asked the kernel to {change}"),
            Self::Sync {
                change,
                refused: Some(reason),
            } => write!(
                f,
                "the kernel refused to {change}: {reason}; tried again at every reading"
            ),
            Self::Drifted { service } => write!(
                f,
                "service {service} was changed by another program; it is put back as configured"
            ),
            Self::Leaves {
                server,
                service,
                time,
            } => write!(
                f,
                "real server {server} of {service} was taken away: it keeps its connections for {} s",
                time.as_secs_f64()
            ),
            Self::Left {
                server,
                service,
                idle,
            } => write!(
                f,
                "real server {server} of {service} leaves the table: {}",
                if *idle {
                    "it has no connection left"
                } else {
                    "the time to end its connections is over"
                }
            ),
            Self::Reconciled {
                services,
                operations,
            } => write!(
                f,
                "configuration in force: services: {services}, changes of the kernel's table: {operations}"
            ),
        }
    }
}
