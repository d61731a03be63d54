//! Virtual routers: the typed `vrrp_instance`, and what the VRRP process publishes of each.

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::firewall::FirewallSettings;
use crate::ids::{GroupId, InstanceId};
use crate::net::{Cidr, Family};
use crate::own_link::{Hardware, OwnLink, OwnLinkKind, virtual_hardware};
use crate::signing::Signing;
use crate::track::Tracked;
use crate::units::{AdvertInterval, IfName, Priority, Vrid};

pub use state::{Cause, Counters, Role, SignatureMarks, Snapshot, State};

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

/// Default multicast group of VRRP over IPv4 (RFC 9568 section 5.1.1.2).
pub const MULTICAST_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Default multicast group of VRRP over IPv6 (RFC 9568 section 5.1.2.2).
pub const MULTICAST_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
