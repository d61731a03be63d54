//! Parent and IPVS process.

use kr_model::check::SocketRule;
use kr_model::lateness::LoopTimes;
use kr_model::lvs::{
    ConnectionTimeouts, IpvsGlobal, PoolSnapshot, RealServer, ServiceKey, VirtualServer,
};
use kr_model::{CheckerId, Generation, InstanceId, RealServerId, VirtualServerId};
use serde::{Deserialize, Serialize};

use crate::edge::Sibling;

/// Most ids in one [`ToIpvsd::Kept`].
pub const MOST_KEPT: usize = 8192;

/// What the parent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToIpvsd {
    /// A configuration follows.
    Begin(Generation),
    /// Its global part, exactly once.
    Global(IpvsGlobal),
    /// One virtual server; its real servers follow.
    VirtualServer(Box<VirtualServer>),
    /// One real server.
    RealServer(Box<RealServer>),
    /// Virtual servers that are as in the configuration in force, and so is each of their real servers; at most
    /// [`MOST_KEPT`].
    Kept(Vec<VirtualServerId>),
    /// A socket that a checker of this configuration may ask for.
    CheckSocket(Box<SocketRule>),
    /// What a predecessor of this process last published of a pool of this configuration or a departed one; one with many
    /// checkers in several parts.
    Resume(Box<PoolSnapshot>),
    /// A virtual server that a reload took away while a predecessor of this process was there, and some of whose
    /// servers drain; which ones follows with [`ToIpvsd::Resume`].
    Departed(Box<VirtualServer>),
    /// A service that a predecessor of this process may have left in the kernel, and this configuration does
    /// not have: a reload took it away while no process was there to remove it.
    Former(ServiceKey),
    /// What a predecessor of this process published with [`FromIpvsd::Timeouts`].
    OriginalTimeouts(ConnectionTimeouts),
    /// A predecessor of this process may have started threads of `lvs_sync_daemon`.
    FormerSync,
    /// The configuration is complete.
    Commit(Generation),
    /// The end of the channel to this process comes with this message and replaces an older one.
    Sibling(Sibling),
    /// Leave cleanly: the table is removed as configured, exit.
    Stop,
    /// Answer with the same number, to show that the process still turns its loop.
    Ping {
        /// Number of the question.
        nonce: u64,
    },
    /// The log file was opened anew: its descriptor comes with this message and replaces the older one.
    LogFile,
    /// The table is that of another network namespace (`net_namespace_ipvs`): a generic netlink socket of that
    /// comes with this message. It comes before the first configuration, or never.
    Table,
    /// Part of a configuration: an instance, of which the VRRP process may speak.
    Instance(InstanceId),
}

/// What the IPVS process says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromIpvsd {
    /// The configuration is in force in the kernel, as far as the kernel took it.
    Ready(Generation),
    /// A pool as it is now, with the verdicts that are new. The parent keeps them for a successor and for
    /// dumps. One of a virtual server that a reload took away has nothing but the servers that drain.
    Snapshot(Box<PoolSnapshot>),
    /// The kernel's own connection timeouts, before they are changed; `None` once they are in force again.
    Timeouts(Option<ConnectionTimeouts>),
    /// Services of former configurations are still in the kernel, for the connections of their servers
    /// (`drain_timeout`), or are not any more.
    Remains(bool),
    /// A real server went up or down: scripts are due.
    RealServerChanged {
        /// The real server.
        real_server: RealServerId,
        /// Alive.
        up: bool,
        /// Why it is said.
        reason: ServerReason,
    },
    /// A checker's verdict changed: mail is due.
    CheckerChanged {
        /// The checker.
        checker: CheckerId,
        /// Healthy.
        up: bool,
        /// The verdict changed the real server too.
        with_server: bool,
    },
    /// A virtual server gained or lost quorum: scripts and mail are due.
    QuorumChanged {
        /// The virtual server.
        virtual_server: VirtualServerId,
        /// It has quorum.
        up: bool,
        /// Weight of its living real servers.
        weight: u64,
        /// Why it is said.
        reason: ServerReason,
    },
    /// Whether the kernel's IPVS can be programmed, said at start and at every change.
    Kernel {
        /// It can.
        usable: bool,
    },
    /// This process broke the protocol of its channel, which is closed.
    Misbehaved(Sibling),
    /// The answer to a ping.
    Pong {
        /// Number of the question.
        nonce: u64,
    },
    /// How late its loop is, now and then after a pong.
    Times(Box<LoopTimes>),
}

/// Why a change of a server or a quorum is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerReason {
    /// Its checks, or their sum, changed.
    Checks,
    /// The process installs it for the first time.
    Start,
    /// The daemon stops (only with `omega`).
    Shutdown,
    /// A reload removes it.
    Removed,
}
