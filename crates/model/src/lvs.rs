//! Virtual and real servers: what the IPVS process is given, and what it publishes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{CheckerId, InstanceId, RealServerId, VirtualServerId};
use crate::net::Family;
use crate::time::Instant;
use crate::units::{IfName, Weight};

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Lower-case name, as in labels and FIFO lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// What makes a packet belong to a service; also the identity of a service in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceKey {
    /// An address, port (0: every port) and protocol.
    Address {
        /// Virtual address and port.
        address: SocketAddr,
        /// Transport protocol.
        protocol: Protocol,
    },
    /// A firewall mark.
    Fwmark {
        /// Family of the packets.
        family: Family,
        /// The mark.
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// The family of the service.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address.ip()),
            Self::Fwmark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    /// `[ADDR]:PROTO:PORT` or `FWM MARK`, as keepalived's FIFO lines name services.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, protocol } => {
                write!(
                    f,
                    "[{}]:{}:{}",
                    address.ip(),
                    protocol.name(),
                    address.port()
                )
            }
            Self::Fwmark { mark, .. } => write!(f, "FWM {mark}"),
        }
    }
}

/// How packets reach a real server (`lb_kind`, `lvs_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Forwarding {
    /// Address translation.
    Nat,
    /// Direct routing: same segment, address unchanged.
    Direct,
    /// A tunnel; the only one that reaches servers of the other family.
    Tunnel(Tunnel),
}

impl Forwarding {
    /// True for every kind of tunnel.
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Tunnel(_))
    }
}

/// Encapsulation of a tunnel (`type` and the checksum options after `TUN`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tunnel {
    /// IP in IP (RFC 2003).
    Ipip,
    /// Generic UDP encapsulation; needs Linux 5.3.
    Gue {
        /// UDP port of the server.
        port: NonZeroU16,
        /// Checksum.
        checksum: GueChecksum,
    },
    /// Generic routing encapsulation (RFC 2784); needs Linux 5.3.
    Gre {
        /// `csum`: the header has a checksum.
        checksum: bool,
    },
}

/// Checksum of generic UDP encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GueChecksum {
    /// `nocsum`.
    None,
    /// `csum`: of the UDP header.
    Full,
    /// `remcsum`: remote checksum offload.
    Remote,
}

/// IPVS scheduler (`lb_algo`, `lvs_sched`), one per kernel module `ip_vs_NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are the kernel's own; see Scheduler::name"
)]
pub enum Scheduler {
    RoundRobin,
    WeightedRoundRobin,
    LeastConnection,
    WeightedLeastConnection,
    LocalityBased,
    LocalityBasedReplicated,
    DestinationHash,
    SourceHash,
    Maglev,
    ShortestExpectedDelay,
    NeverQueue,
    Failover,
    Overflow,
    TwoChoices,
}

impl Scheduler {
    /// Every scheduler with its kernel name.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::RoundRobin, "rr"),
        (Self::WeightedRoundRobin, "wrr"),
        (Self::LeastConnection, "lc"),
        (Self::WeightedLeastConnection, "wlc"),
        (Self::LocalityBased, "lblc"),
        (Self::LocalityBasedReplicated, "lblcr"),
        (Self::DestinationHash, "dh"),
        (Self::SourceHash, "sh"),
        (Self::Maglev, "mh"),
        (Self::ShortestExpectedDelay, "sed"),
        (Self::NeverQueue, "nq"),
        (Self::Failover, "fo"),
        (Self::Overflow, "ovf"),
        (Self::TwoChoices, "twos"),
    ];

    /// The kernel's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(scheduler, _)| *scheduler == self)
            .map_or("wlc", |(_, name)| name)
    }

    /// The scheduler of a kernel name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(scheduler, _)| *scheduler)
    }
}

bitflags::bitflags! {
    /// Service flags of the kernel that a configuration can set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    pub struct ServiceFlags: u32 {
        /// `ops`: one-packet scheduling.
        const ONE_PACKET = 0x4;
        /// `flag-1`, `sh-fallback`, `mh-fallback`.
        const SCHED_1 = 0x8;
        /// `flag-2`, `sh-port`, `mh-port`.
        const SCHED_2 = 0x10;
        /// `flag-3`.
        const SCHED_3 = 0x20;
    }
}

/// `persistence_timeout` and its companions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds a client stays with its server, 1 to 2678400.
    pub timeout_seconds: u32,
    /// `persistence_granularity` as a prefix length: clients of one prefix share a server.
    pub granularity: u8,
    /// `persistence_engine`: what else but its address makes a client.
    pub engine: Option<PersistenceEngine>,
}

/// `persistence_engine`, one per kernel module `ip_vs_pe_NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PersistenceEngine {
    /// Calls of one SIP Call-ID stay together (UDP).
    Sip,
}

impl PersistenceEngine {
    /// The kernel's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
        }
    }

    /// The engine of a kernel name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        (name == Self::Sip.name()).then_some(Self::Sip)
    }
}

/// One `virtual_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// Identity, kept over reloads while the key stays.
    pub id: VirtualServerId,
    /// The kernel services it stands for; one, or one per member of a group.
    pub services: Vec<ServiceKey>,
    /// Name in logs, mail and FIFO lines.
    pub label: String,
    /// Scheduler.
    pub scheduler: Scheduler,
    /// Flags.
    pub flags: ServiceFlags,
    /// Persistence, when on.
    pub persistence: Option<Persistence>,
    /// Weight of living real servers needed (`quorum`), at least 1.
    pub quorum: u32,
    /// `hysteresis`, below `quorum`.
    pub hysteresis: u32,
    /// `sorry_server`.
    pub sorry_server: Option<SorryServer>,
    /// `omega`: notifications run also for what goes away at stop.
    pub omega: bool,
}

/// `sorry_server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Address and port.
    pub address: SocketAddr,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// `sorry_server_inhibit`: stays in the table with weight 0 while it is not needed.
    pub inhibit: bool,
}

/// One `real_server`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Identity, kept over reloads while virtual server, address and port stay.
    pub id: RealServerId,
    /// Its virtual server.
    pub virtual_server: VirtualServerId,
    /// Address and port; the port is that of the service for direct routing and tunnels.
    pub address: SocketAddr,
    /// Name in logs, mail and FIFO lines: `[ADDR]:PROTO:PORT`.
    pub label: String,
    /// Configured weight.
    pub weight: Weight,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// `inhibit_on_failure`: weight 0 instead of removal.
    pub inhibit_on_failure: bool,
    /// `uthreshold`; 0 is none.
    pub upper_threshold: u32,
    /// `lthreshold`; 0 is none.
    pub lower_threshold: u32,
    /// `drain_timeout`: how long it keeps its connections once a reload took it away; zero is not at all.
    pub drain: Duration,
    /// Its checkers. None means that it is always alive.
    pub checkers: Vec<CheckerBinding>,
}

/// A checker as the IPVS process knows it: whose verdict counts, and what to assume until it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerBinding {
    /// The checker.
    pub id: CheckerId,
    /// `alpha`: taken as failed until its first verdict.
    pub alpha: bool,
}

/// What a checker said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The checker.
    pub checker: CheckerId,
    /// Healthy.
    pub up: bool,
    /// Weight that a dynamic check asks for, in place of the configured one.
    pub weight: Option<Weight>,
}

/// Times without a packet after which the kernel forgets a connection, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTimeouts {
    /// Open TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// `lvs_timeouts`, in seconds above 0; `None` leaves the kernel's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutSettings {
    /// `tcp`.
    pub tcp: Option<u32>,
    /// `tcpfin`.
    pub tcp_fin: Option<u32>,
    /// `udp`.
    pub udp: Option<u32>,
}

impl TimeoutSettings {
    /// Every value is the kernel's.
    pub const NONE: Self = Self {
        tcp: None,
        tcp_fin: None,
        udp: None,
    };

    /// These settings where there are some, the kernel's values elsewhere.
    #[must_use]
    pub fn over(self, kernel: ConnectionTimeouts) -> ConnectionTimeouts {
        ConnectionTimeouts {
            tcp: self.tcp.unwrap_or(kernel.tcp),
            tcp_fin: self.tcp_fin.unwrap_or(kernel.tcp_fin),
            udp: self.udp.unwrap_or(kernel.udp),
        }
    }
}

/// Which end of connection synchronisation a thread of the kernel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncRole {
    /// Tells others of its connections.
    Master,
    /// Hears of those of others.
    Backup,
}

impl SyncRole {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

/// A thread of the kernel that synchronises connections. `None` leaves a value to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Where messages go out and come in.
    pub interface: IfName,
    /// `id`: messages of others are ignored.
    pub id: u8,
    /// `maxlen`: longest message in bytes; by default what fits the interface.
    pub max_length: Option<NonZeroU16>,
    /// `port`: of UDP, by default 8848.
    pub port: Option<NonZeroU16>,
    /// `ttl`, by default 1.
    pub ttl: Option<NonZeroU8>,
    /// `group`: multicast group, by default 224.0.0.81.
    pub group: Option<IpAddr>,
}

impl SyncDaemon {
    /// True when a thread with these settings does what `wanted` asks for.
    #[must_use]
    pub fn serves(&self, wanted: &Self) -> bool {
        fn fits<T: PartialEq>(present: &Option<T>, wanted: &Option<T>) -> bool {
            wanted.is_none() || present == wanted
        }
        self.interface == wanted.interface
            && self.id == wanted.id
            && fits(&self.max_length, &wanted.max_length)
            && fits(&self.port, &wanted.port)
            && fits(&self.ttl, &wanted.ttl)
            && fits(&self.group, &wanted.group)
    }
}

/// `lvs_sync_daemon`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSettings {
    /// How its threads are set.
    pub daemon: SyncDaemon,
    /// `inst`: a master while this instance is master, otherwise a backup. Without it both run.
    pub instance: Option<InstanceId>,
}

/// Settings of the IPVS process that belong to no service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpvsGlobal {
    /// `lvs_flush`: the whole table is emptied at the first start.
    pub flush_at_start: bool,
    /// `-I`: the table stays at exit.
    pub keep_at_exit: bool,
    /// What is removed at exit.
    pub removal: Removal,
    /// `rs_init_notifies`: servers put into service at start are announced too.
    pub announce_at_start: bool,
    /// `lvs_timeouts`.
    pub timeouts: TimeoutSettings,
    /// `lvs_sync_daemon`.
    pub sync: Option<SyncSettings>,
}

/// `lvs_flush_on_stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// Own services, and with `omega` each of their servers is announced (the default).
    OneByOne,
    /// `lvs_flush_on_stop VS`: own services, and no server is announced.
    Services,
    /// `lvs_flush_on_stop`: the whole table, foreign services too.
    Everything,
}

/// What the IPVS process publishes of a pool at every change, and gets back after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSnapshot {
    /// The virtual server.
    pub id: VirtualServerId,
    /// Whether it has quorum, once that was decided.
    pub quorum: Option<bool>,
    /// Weight of its living real servers.
    pub weight: u64,
    /// Last verdicts of its checkers. What is published holds those that are new since the last time; a pool
    /// with many comes in several parts, of at most [`PoolSnapshot::MOST_VERDICTS`] each.
    pub verdicts: Vec<Verdict>,
    /// Servers that a reload took away and that still serve their connections, at most
    /// [`PoolSnapshot::MOST_LEAVING`].
    pub leaving: Vec<Leaving>,
}

/// A real server that a reload took away and that still serves its connections (`drain_timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Address and port.
    pub address: SocketAddr,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// When it leaves the table.
    pub until: Instant,
}

impl PoolSnapshot {
    /// Verdicts in one message, which so stays far below the longest one.
    pub const MOST_VERDICTS: usize = 2048;

    /// Servers that can leave a pool at the same time; beyond that they leave at once.
    pub const MOST_LEAVING: usize = 512;

    /// The same pool with some of its verdicts, cut to messages; at least one.
    #[must_use]
    pub fn parts(&self, verdicts: &[Verdict]) -> Vec<Self> {
        let part = |verdicts: &[Verdict]| Self {
            verdicts: verdicts.to_vec(),
            leaving: self.leaving.clone(),
            ..*self
        };
        if verdicts.is_empty() {
            return vec![part(&[])];
        }
        verdicts.chunks(Self::MOST_VERDICTS).map(part).collect()
    }
}

/// The address part of a socket address with its family, for tables keyed by family.
#[must_use]
pub const fn family_of(address: SocketAddr) -> Family {
    match address {
        SocketAddr::V4(_) => Family::Inet,
        SocketAddr::V6(_) => Family::Inet6,
    }
}

/// `[ADDR]:PROTO:PORT`, the name of a real server.
#[must_use]
pub fn server_label(address: IpAddr, protocol: Option<Protocol>, port: u16) -> String {
    format!(
        "[{address}]:{}:{port}",
        protocol.map_or("none", Protocol::name)
    )
}
