//! Virtual routers: the typed `vrrp_instance`, and what the VRRP process publishes of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::firewall::FirewallSettings;
use crate::ids::{GroupId, InstanceId, TrackerId};
use crate::net::{Cidr, Family};
use crate::own_link::{Hardware, OwnLink, OwnLinkKind, virtual_hardware};
use crate::signing::{Signing, Stamp};
use crate::time::Instant;
use crate::track::{Offender, Tracked, TrackerState};
use crate::units::{AdvertInterval, IfName, Priority, Vrid};

/// Protocol version of an instance (`version`, `vrrp_version`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 5798 / 9568.
    V3,
}

/// One `vrrp_instance`, complete and valid: defaults filled in, names resolved to values.
///
/// Holds nothing of scripts or mail: those stay with the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Identity, kept over reloads while VRID, family, interface and unicast source stay.
    pub id: InstanceId,
    /// Name of the block, for logs.
    pub name: String,
    /// Protocol version.
    pub version: Version,
    /// Family of the addresses in the adverts.
    pub family: Family,
    /// Interface that adverts are sent on, or that [`Self::own_link`] is above of. For a unicast instance without
    /// one the VRF device of `vrf`.
    pub interface: IfName,
    /// `use_vmac` or `use_ipvlan`: the link that the instance runs on.
    pub own_link: Option<OwnLink>,
    /// `vmac_addr_prefix`: how the names of VMACs begin that are for addresses only.
    pub address_link_prefix: String,
    /// Virtual router id.
    pub vrid: Vrid,
    /// Base priority.
    pub priority: Priority,
    /// What `state` asks for at start; only an owner becomes master at once.
    pub wanted: WantedState,
    /// Interval of own adverts.
    pub advert_interval: AdvertInterval,
    /// Where adverts go and whence they are accepted.
    pub transport: Transport,
    /// What the checksums cover.
    pub checksum: ChecksumMode,
    /// How adverts prove their sender.
    pub authentication: Authentication,
    /// The `vrrp_sync_group` whose members change their states together.
    pub group: Option<GroupId>,
    /// When a better backup takes over from a worse master.
    pub preemption: Preemption,
    /// Adverts that must be missed before a backup takes over (`down_timer_adverts`), 1 to 100.
    pub down_timer_adverts: u8,
    /// `virtual_ipaddress`: sent in adverts and set while master.
    pub addresses: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded`: set while master, not sent.
    pub excluded: Vec<VirtualAddress>,
    /// Gratuitous ARP and unsolicited neighbour advertisements.
    pub announce: Announce,
    /// `track_interface`, of the instance and of its sync group.
    pub tracked_interfaces: Vec<TrackedInterface>,
    /// `track_script`, `track_file`, `track_process` and `track_bfd`, of the instance and of its sync group.
    pub trackers: Vec<Tracked>,
    /// False with `dont_track_primary`: the own interface being down is no fault.
    pub track_primary: bool,
    /// False with `lower_prio_no_advert`: a master does not answer an advert of lower priority.
    pub answer_lower_priority: bool,
    /// `higher_prio_send_advert`: one last own advert before yielding to a higher priority.
    pub advert_before_yielding: bool,
    /// `owner_ignore_adverts`: nothing is heard while the effective priority is 255.
    pub ignore_adverts: bool,
    /// `timer_expired_backup`: a master that was held up for so long that a router of this priority would have
    /// taken over leaves.
    pub yields_when_late: Option<Priority>,
    /// `track_src_ip`: the configured source address missing on the interface is a fault.
    pub track_source: bool,
    /// `skip_check_adv_addr`: the address list of an advert is compared only for a new master.
    pub check_addresses_once: bool,
    /// False with `no_accept` and in strict mode: unless this router owns the addresses, traffic to and from them
    /// is dropped while it is master.
    pub accept: bool,
    /// `promote_secondaries`: the interface keeps the other addresses of a subnet whose first one leaves.
    pub promote_secondaries: bool,
}

impl Instance {
    /// True when traffic to and from the addresses is dropped while master: an owner always accepts it.
    #[must_use]
    pub const fn drops_traffic(&self) -> bool {
        !self.accept && !self.priority.is_owner()
    }
}

impl Instance {
    /// The MAC of the instance's VMACs that have addresses of a family.
    #[must_use]
    pub fn hardware_of(&self, family: Family) -> Hardware {
        match self.own_link.as_ref().map(|link| link.kind) {
            Some(OwnLinkKind::Vmac { hardware }) if family == self.family => hardware,
            Some(OwnLinkKind::Vmac { .. } | OwnLinkKind::Ipvlan { .. }) | None => {
                virtual_hardware(self.vrid, family)
            }
        }
    }
}

/// One line of `track_interface`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedInterface {
    /// The interface.
    pub interface: IfName,
    /// 0: the interface being down is a fault. Otherwise, -253 to 253, added to the priority: a positive one
    /// while the interface is up, a negative one while it is down.
    pub weight: i16,
    /// Up counts as down, and down as up.
    pub reverse: bool,
}

/// What the checksum of adverts covers, for routers that do not follow their RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumMode {
    /// What the RFC of the version says.
    Standard,
    /// `v3_checksum_as_v2`: version 3 over IPv4 without a pseudo header.
    AsVersion2,
    /// `old_unicast_checksum`: version 3 over IPv4 to peers with the multicast group as destination in the pseudo
    /// header, as keepalived up to 1.3.6 did.
    OldUnicast,
    /// As the RFC says, until an advert of a peer is right only as [`Self::OldUnicast`]. The default where that
    /// can be.
    Detect,
}

/// What `state` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WantedState {
    /// `state MASTER`.
    Master,
    /// `state BACKUP`, the default below priority 255.
    Backup,
}

/// Where adverts go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// To a multicast group on the instance's interface.
    Multicast {
        /// The group, by default 224.0.0.18 or ff02::12.
        group: IpAddr,
        /// `mcast_src_ip`; `None` is the interface's first address.
        source: Option<IpAddr>,
    },
    /// To each peer.
    Unicast {
        /// `unicast_src_ip`; `None` is the interface's first address.
        source: Option<IpAddr>,
        /// `unicast_peer`. Without any the instance stays in FAULT (`unicast_fault_no_peer`).
        peers: Vec<Peer>,
        /// `unicast_ttl`; `None` is 255 for IPv4 and 64 for IPv6.
        ttl: Option<u8>,
        /// `check_unicast_src`, or a TTL limit on any peer: adverts of others, and those outside of the limits
        /// of their sender, are refused.
        check_source: bool,
    },
}

/// A unicast peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Least TTL accepted from it.
    pub min_ttl: u8,
    /// Largest TTL accepted from it.
    pub max_ttl: u8,
}

/// How adverts prove their sender: version 2 authentication (RFC 2338; removed from later RFCs, still in the
/// field), or `auth_hmac`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// None.
    None,
    /// `auth_type PASS`: the password in clear text, zero padded.
    Password(Secret),
    /// `auth_type AH`: HMAC-MD5 in an authentication header.
    Header(Secret),
    /// `auth_hmac`: a signature behind the message, for both versions and families.
    Signed(Box<Signing>),
}

/// Eight bytes that must not be shown: `Debug` prints stars. They have a place of their own, so that moving an
/// instance leaves no copies behind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(Box<[u8; 8]>);

impl Secret {
    /// Keeps these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Self {
        Self(Box::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// When a backup of higher priority takes over from a master of lower priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preemption {
    /// At the next master-down time (the default).
    Immediate,
    /// `preempt_delay`: this long after the first advert of lower priority.
    Delayed(Duration),
    /// `nopreempt`.
    Never,
}

/// One line of `virtual_ipaddress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address and its prefix length (with `peer`: that of the peer).
    pub address: Cidr,
    /// `dev`; `None` is the instance's interface.
    pub device: Option<IfName>,
    /// `scope`, as the kernel's number: 0 global, 200 site, 253 link, 254 host, 255 nowhere.
    pub scope: u8,
    /// `brd` / `broadcast`, with `+` and `-` already worked out.
    pub broadcast: Option<Ipv4Addr>,
    /// `label`, at most 15 bytes.
    pub label: Option<IfName>,
    /// `peer`.
    pub peer: Option<IpAddr>,
    /// Kernel address flags.
    pub flags: AddressFlags,
    /// False with `no_track`: interface and deletion of this address are nobody's fault.
    pub tracked: bool,
    /// `preferred_lft` of an IPv6 address; `None` is forever.
    pub preferred_lifetime: Option<Duration>,
    /// `use_vmac` or `use_vmac_addr`: it is on a VMAC of its interface that has other addresses only.
    pub own_link: bool,
    /// `vip_lifetime`: how long the kernel keeps it unless the process renews it, at least a second; `None` is
    /// forever.
    pub lifetime: Option<Duration>,
}

/// Flags of an address line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFlags {
    /// `home`: `IFA_F_HOMEADDRESS`.
    pub home: bool,
    /// Duplicate address detection is left on (the line says `-nodad`).
    pub detect_duplicates: bool,
    /// `mngtmpaddr`: `IFA_F_MANAGETEMPADDR`.
    pub manage_temporary: bool,
    /// `noprefixroute`: `IFA_F_NOPREFIXROUTE`.
    pub no_prefix_route: bool,
    /// `autojoin`: `IFA_F_MCAUTOJOIN`.
    pub autojoin: bool,
}

/// Gratuitous ARP / unsolicited neighbour advertisement settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// `garp_master_repeat`: per address in the set sent on becoming master, at least 1. Default 5.
    pub repeat: u32,
    /// `garp_master_delay`: until the second set; zero sends none. Default 5 s.
    pub delay: Duration,
    /// `garp_master_refresh`: period of the refresh while master; zero is off, the default.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`: per address in a refresh, at least 1. Default 1.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_repeat`: per address after an advert of lower priority. Default 5.
    pub lower_priority_repeat: u32,
    /// `garp_lower_prio_delay`: until the second set of those; zero sends none. Default 5 s.
    pub lower_priority_delay: Duration,
    /// `garp_extra_if`: one announcement for each interface without adverts.
    pub extra: Option<ExtraAnnounce>,
}

/// Announcements for interfaces that send no adverts: switches forget where a MAC is that nothing is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraAnnounce {
    /// From one to the next.
    pub period: Duration,
    /// `all`: for ordinary interfaces too, not only for VMACs.
    pub all: bool,
}

/// Least times between two announcements; zero is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncePace {
    /// `vrrp_garp_interval`: gratuitous ARP on one interface.
    pub arp: Duration,
    /// `vrrp_gna_interval`: neighbour advertisements on one interface.
    pub neighbour: Duration,
    /// `garp_group`: interfaces that share other limits. Each interface is in one group at most.
    pub groups: Vec<PaceGroup>,
}

/// Interfaces that share a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceGroup {
    /// The interfaces.
    pub interfaces: BTreeSet<IfName>,
    /// `garp_interval`.
    pub arp: Duration,
    /// `gna_interval`.
    pub neighbour: Duration,
}

/// Settings of the VRRP process that belong to no instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpGlobal {
    /// `vrrp_startup_delay`: adverts are ignored for this long after the first start.
    pub startup_delay: Duration,
    /// `vrrp_delay_after_boot`: the same, counted from the start of the host.
    pub delay_after_boot: Duration,
    /// `log_unknown_vrids`: adverts of virtual routers that are not configured are logged, once each.
    pub log_unknown_vrids: bool,
    /// Rate limits of announcements.
    pub pace: AnnouncePace,
    /// `-V`: addresses stay at exit.
    pub keep_addresses_at_exit: bool,
    /// `instance`: tells links that this daemon made from those of another one.
    pub label: String,
    /// `dynamic_interfaces`: a missing interface is a fault of its instances, not an error.
    pub dynamic_interfaces: bool,
    /// How traffic of instances in no-accept mode is dropped.
    pub firewall: FirewallSettings,
    /// `interface_up_down_delays`: links whose changes count only when they last.
    pub link_delays: BTreeMap<IfName, LinkDelays>,
}

/// How long a change of a link must last until it counts; zero counts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDelays {
    /// From up to down.
    pub down: Duration,
    /// From down to up.
    pub up: Duration,
}

/// State of an instance as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Not decided yet.
    Init,
    /// Another router is, or shall be, master.
    Backup,
    /// This router holds the addresses.
    Master,
    /// Something that the instance needs is missing.
    Fault,
    /// The daemon is ending.
    Stop,
}

impl State {
    /// The word that scripts, FIFOs and mail use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
        }
    }
}

/// Why an instance is in its state: the `why` of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The process or the instance starts.
    Start,
    /// No advert of a master came for the master-down time.
    MasterSilent {
        /// How late the timer was served, beyond its deadline.
        late: Duration,
    },
    /// The master said that it stops (priority 0) and nobody better took over.
    MasterResigned,
    /// This router is the address owner.
    Owner,
    /// An advert won the election against us.
    BetterMaster {
        /// Its sender.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// An interface that the instance needs went down.
    InterfaceDown,
    /// An interface is up that is tracked with `reverse`.
    InterfaceUp,
    /// An interface that the instance needs does not exist.
    InterfaceMissing,
    /// A tracked object is down, or has no result yet.
    Tracked(Offender),
    /// Another member of its sync group waits for the first result of a tracked script.
    GroupWaits,
    /// The interface has no address to send from.
    NoSourceAddress,
    /// The configured source address is not on the interface.
    SourceAddressMissing,
    /// This master was held up for so long that another router must have taken over.
    HeldUp {
        /// How late its advert was.
        late: Duration,
    },
    /// The last reason for a fault went away.
    FaultCleared,
    /// A unicast instance has nobody to send to.
    NoPeer,
    /// Another member of its sync group is in FAULT.
    GroupFault,
    /// Another member of its sync group became BACKUP.
    GroupBackup,
    /// The kernel takes none of the virtual addresses.
    AddressRefused,
    /// The daemon was told to stop, or a reload removed the instance.
    Shutdown,
}

impl Cause {
    /// True for what keeps an instance from its start, and is no fault of one that runs.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(
            self,
            Self::GroupWaits
                | Self::Tracked(Offender {
                    state: TrackerState::Pending,
                    ..
                })
        )
    }

    /// The tracked object that it is about.
    #[must_use]
    pub const fn tracker(self) -> Option<TrackerId> {
        if let Self::Tracked(offender) = self {
            Some(offender.tracker)
        } else {
            None
        }
    }

    /// The cause in words, with the name of its tracked object where that is known.
    #[must_use]
    pub fn naming(self, object: Option<&str>) -> String {
        match (self, object) {
            (Self::Tracked(offender), Some(name)) => offender.named(name).to_string(),
            (cause, _) => cause.to_string(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the instance starts"),
            Self::MasterSilent { late } if late.as_millis() == 0 => {
                f.write_str("no advert came within the master-down time")
            }
            Self::MasterSilent { late } => write!(
                f,
                "no advert came within the master-down time (noticed {} ms late)",
                late.as_millis()
            ),
            Self::MasterResigned => f.write_str("the master said that it stops"),
            Self::Owner => f.write_str("this router owns the addresses (priority 255)"),
            Self::BetterMaster { source, priority } => {
                write!(f, "{source} is master with priority {priority}")
            }
            Self::InterfaceDown => f.write_str("an interface is down"),
            Self::InterfaceUp => f.write_str("an interface is up that is tracked in reverse"),
            Self::InterfaceMissing => f.write_str("an interface does not exist"),
            Self::Tracked(offender) => offender.fmt(f),
            Self::GroupWaits => f.write_str("another member of its sync group waits for a result"),
            Self::NoSourceAddress => f.write_str("the interface has no address to send from"),
            Self::SourceAddressMissing => {
                f.write_str("the configured source address is not on the interface")
            }
            Self::HeldUp { late } => write!(
                f,
                "this process did not run for {} ms, so another router is master",
                late.as_millis()
            ),
            Self::FaultCleared => f.write_str("the last fault is gone"),
            Self::NoPeer => f.write_str("it is unicast and has no unicast_peer"),
            Self::GroupFault => f.write_str("another member of its sync group is in fault"),
            Self::GroupBackup => f.write_str("another member of its sync group is backup"),
            Self::AddressRefused => f.write_str("none of its virtual addresses could be set"),
            Self::Shutdown => f.write_str("stopped or removed by the operator"),
        }
    }
}

/// Counters of an instance, with the names of the statistics dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each name is the statistics dump's own label")]
pub struct Counters {
    pub advert_received: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_length_errors: u64,
    pub ttl_errors: u64,
    pub version_errors: u64,
    pub checksum_errors: u64,
    pub invalid_type_received: u64,
    pub advert_interval_errors: u64,
    pub address_list_errors: u64,
    pub invalid_auth_type: u64,
    pub auth_type_mismatch: u64,
    pub auth_failures: u64,
    pub signature_missing: u64,
    pub signature_malformed: u64,
    pub signature_unknown_key: u64,
    pub signature_invalid: u64,
    pub signature_stale: u64,
    pub signature_replayed: u64,
    pub priority_zero_received: u64,
    pub priority_zero_sent: u64,
}

impl Counters {
    /// What was counted since `before`.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            advert_received: self.advert_received.saturating_sub(before.advert_received),
            advert_sent: self.advert_sent.saturating_sub(before.advert_sent),
            become_master: self.become_master.saturating_sub(before.become_master),
            release_master: self.release_master.saturating_sub(before.release_master),
            packet_length_errors: self
                .packet_length_errors
                .saturating_sub(before.packet_length_errors),
            ttl_errors: self.ttl_errors.saturating_sub(before.ttl_errors),
            version_errors: self.version_errors.saturating_sub(before.version_errors),
            checksum_errors: self.checksum_errors.saturating_sub(before.checksum_errors),
            invalid_type_received: self
                .invalid_type_received
                .saturating_sub(before.invalid_type_received),
            advert_interval_errors: self
                .advert_interval_errors
                .saturating_sub(before.advert_interval_errors),
            address_list_errors: self
                .address_list_errors
                .saturating_sub(before.address_list_errors),
            invalid_auth_type: self
                .invalid_auth_type
                .saturating_sub(before.invalid_auth_type),
            auth_type_mismatch: self
                .auth_type_mismatch
                .saturating_sub(before.auth_type_mismatch),
            auth_failures: self.auth_failures.saturating_sub(before.auth_failures),
            signature_missing: self
                .signature_missing
                .saturating_sub(before.signature_missing),
            signature_malformed: self
                .signature_malformed
                .saturating_sub(before.signature_malformed),
            signature_unknown_key: self
                .signature_unknown_key
                .saturating_sub(before.signature_unknown_key),
            signature_invalid: self
                .signature_invalid
                .saturating_sub(before.signature_invalid),
            signature_stale: self.signature_stale.saturating_sub(before.signature_stale),
            signature_replayed: self
                .signature_replayed
                .saturating_sub(before.signature_replayed),
            priority_zero_received: self
                .priority_zero_received
                .saturating_sub(before.priority_zero_received),
            priority_zero_sent: self
                .priority_zero_sent
                .saturating_sub(before.priority_zero_sent),
        }
    }
}

/// What the VRRP process publishes of an instance at every change, and gets back after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The instance.
    pub id: InstanceId,
    /// State with what only that state has.
    pub role: Role,
    /// Effective priority.
    pub priority: Priority,
    /// Counters.
    pub counters: Counters,
    /// With `auth_type AH`: no advert of this virtual router had a larger sequence number yet, and a successor
    /// of a master goes on from here. 0 otherwise.
    pub sequence: u32,
    /// With `auth_hmac`: what was sent and heard last.
    pub signatures: SignatureMarks,
    /// A peer was detected whose checksums are those of [`ChecksumMode::OldUnicast`].
    pub old_checksum: bool,
    /// When the state was entered.
    pub since: Instant,
    /// Why the state was entered.
    pub cause: Cause,
}

/// The time stamps that stop replays (`auth_hmac`): no stamp counts twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureMarks {
    /// No own advert had a later stamp.
    pub sent: Stamp,
    /// The last accepted stamp of each sender, the one that was heard last at the end.
    pub heard: Vec<(IpAddr, Stamp)>,
}

/// State of an instance with the data that a successor process needs to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Not started.
    Init,
    /// Waiting.
    Backup {
        /// When this router takes over unless an advert comes.
        master_down_at: Instant,
        /// The master last heard and its priority.
        master: Option<(IpAddr, u8)>,
        /// The advert interval in force (version 3 learns it from the master).
        interval: AdvertInterval,
        /// When `preempt_delay` runs out, while it runs.
        preempt_at: Option<Instant>,
    },
    /// Holding the addresses.
    Master {
        /// When the next own advert is due.
        advert_at: Instant,
    },
    /// Something is missing.
    Fault,
}

impl Role {
    /// The plain state.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Init => State::Init,
            Self::Backup { .. } => State::Backup,
            Self::Master { .. } => State::Master,
            Self::Fault => State::Fault,
        }
    }
}

/// Default multicast group of VRRP over IPv4 (RFC 9568 section 5.1.1.2).
pub const MULTICAST_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Default multicast group of VRRP over IPv6 (RFC 9568 section 5.1.2.2).
pub const MULTICAST_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
