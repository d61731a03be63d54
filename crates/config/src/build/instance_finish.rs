//! From the values of a `vrrp_instance` to the instance: defaults, contradictions, conflicts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kr_model::InstanceId;
use kr_model::net::Family;
use kr_model::units::{AdvertInterval, IfName, Priority, Vrid};
use kr_model::vrrp::{
    Announce, Authentication, ChecksumMode, Instance, MULTICAST_V6, Peer, Preemption,
    TrackedInterface, Transport, Version, WantedState,
};

use crate::source::Span;
use crate::typed::InstanceEntry;

use super::finding::{error, fatal, warning};
use super::global::Globals;
use super::instance::InstanceDraft;
use super::own_link::send_from_own_link;
use super::statics::track_devices;
use super::value::decimal;
use super::{Build, next_id};

/// Most addresses in one advert: its count is one byte.
const MOST_ADDRESSES: usize = 255;

/// Most addresses of one instance, excluded ones included: it travels in one message.
const MOST_IN_ALL: usize = 600;

/// Instances with one VRID, family and interface may hear each other's adverts.
type Seat = (Vrid, Family, IfName);

impl Build<'_> {
    /// Completes every instance; those that cannot run are reported and left out.
    pub(super) fn finish_instances(
        &mut self,
        globals: &Globals,
        drafts: Vec<InstanceDraft>,
    ) -> BTreeMap<InstanceId, InstanceEntry> {
        let mut out = BTreeMap::new();
        let mut seats: BTreeMap<Seat, Vec<(String, Transport)>> = BTreeMap::new();
        for draft in drafts {
            let start = draft.at;
            let at = draft.vrid.map_or(start, |(_, at)| at);
            let id = InstanceId(next_id(&out));
            self.instance_places.insert(id, at);
            let Some(entry) = self.finish_instance(globals, draft, id) else {
                continue;
            };
            let instance = &entry.instance;
            let seat = (instance.vrid, instance.family, instance.interface.clone());
            let taken = seats.entry(seat).or_default();
            let rival = taken
                .iter()
                .find(|(_, theirs)| hear_each_other(theirs, &instance.transport));
            if let Some((other, _)) = rival {
                self.report(
                    fatal(
                        at,
                        format!(
                            "instances `{other}` and `{}` share virtual_router_id {} on {}",
                            instance.name, instance.vrid, instance.interface
                        ),
                    )
                    .label("already taken on this interface")
                    .help("give each instance of an interface its own virtual_router_id"),
                );
            }
            taken.push((instance.name.clone(), instance.transport.clone()));
            if instance.drops_traffic() {
                let all = instance.addresses.iter().chain(&instance.excluded);
                let owner = || (instance.name.clone(), start);
                self.unaccepted
                    .extend(all.map(|line| (line.address.address(), owner())));
            }
            out.insert(id, entry);
        }
        out
    }

    fn finish_instance(
        &mut self,
        globals: &Globals,
        mut draft: InstanceDraft,
        id: InstanceId,
    ) -> Option<InstanceEntry> {
        self.vrf_interface(&mut draft);
        let (vrid, interface) = self.required(globals, &draft)?;
        let family = self.family(&mut draft);
        let strict = draft.strict.unwrap_or(globals.vrrp.strict);
        if strict && !self.make_strict(&mut draft, family, &interface) {
            return None;
        }
        let version = self.finish_version(globals, &draft, family);
        let priority = draft.priority.unwrap_or(match draft.state {
            Some(WantedState::Master) => Priority::OWNER,
            Some(WantedState::Backup) | None => Priority::DEFAULT,
        });
        let wanted = draft.state.unwrap_or_else(|| {
            if priority.is_owner() {
                WantedState::Master
            } else {
                WantedState::Backup
            }
        });
        self.limit_addresses(&mut draft);
        let own = |tracked: &TrackedInterface| tracked.interface == interface;
        if draft.tracked_interfaces.iter().any(own) {
            self.report(error(
                draft.at,
                format!("`{interface}` is the interface of the instance, which is tracked anyway; it is left out of track_interface"),
            ));
            draft.tracked_interfaces.retain(|tracked| !own(tracked));
        }
        let interval = self.interval(&draft, version);
        let own_link = self.finish_own_link(globals, &mut draft, vrid, family)?;
        let mut transport = self.transport(globals, &draft, family);
        send_from_own_link(&mut transport, own_link.as_ref());
        let preemption = self.preemption(&draft, priority, wanted);
        let mut trackers = std::mem::take(&mut draft.trackers);
        if priority.is_owner() {
            let why = "an address owner uses no weights";
            trackers = self.without_weights(trackers, draft.at, why);
        }
        let mut instance = Instance {
            id,
            own_link,
            address_link_prefix: globals.address_link_prefix().to_owned(),
            version,
            family,
            interface,
            vrid,
            priority,
            wanted,
            advert_interval: interval,
            checksum: self.checksum(globals, &draft, version, &transport),
            track_source: self.tracks_source(&draft, &transport),
            promote_secondaries: draft.promote_secondaries,
            accept: self.accepts(&draft, (strict, version), priority),
            transport,
            authentication: self.finish_authentication(&draft, version, family, interval),
            group: None,
            ignore_adverts: self.ignores_adverts(globals, &draft, priority),
            yields_when_late: self.yields_when_late(&draft, preemption),
            preemption,
            down_timer_adverts: draft
                .down_timer_adverts
                .or(globals.vrrp.down_timer_adverts)
                .unwrap_or(3),
            announce: announce(globals, &draft),
            tracked_interfaces: draft.tracked_interfaces,
            trackers,
            track_primary: draft.track_primary,
            answer_lower_priority: !draft
                .no_answer_to_lower
                .unwrap_or(globals.vrrp.no_answer_to_lower),
            advert_before_yielding: draft
                .advert_before_yielding
                .or(globals.vrrp.advert_before_yielding)
                .unwrap_or(true),
            check_addresses_once: draft
                .check_addresses_once
                .unwrap_or(globals.vrrp.check_addresses_once),
            addresses: draft
                .addresses
                .into_iter()
                .map(|(address, _)| address)
                .collect(),
            excluded: draft.excluded,
            name: draft.name,
        };
        track_devices(&mut instance, &draft.routes, &draft.rules);
        // The parent keeps this for as long as it runs.
        instance.addresses.shrink_to_fit();
        instance.excluded.shrink_to_fit();
        instance.name.shrink_to_fit();
        Some(InstanceEntry {
            instance,
            strict,
            routes: draft.routes,
            rules: draft.rules,
            notify: draft.notify,
            mail: draft.alert.unwrap_or_else(|| globals.alert_of_instances()),
        })
    }

    /// What no instance can do without.
    fn required(&mut self, globals: &Globals, draft: &InstanceDraft) -> Option<(Vrid, IfName)> {
        if draft.vrid.is_none() {
            self.report(
                error(
                    draft.at,
                    format!(
                        "instance `{}` has no valid virtual_router_id and does not run",
                        draft.name
                    ),
                )
                .help(
                    "add `virtual_router_id N`, the same number from 1 to 255 on all its routers",
                ),
            );
        }
        let Some((interface, at)) = draft.interface.clone() else {
            self.report(
                error(
                    draft.at,
                    format!(
                        "instance `{}` has no interface and does not run",
                        draft.name
                    ),
                )
                .help("add `interface NAME`, the interface that adverts are sent on"),
            );
            return None;
        };
        if interface.as_str() == "lo" {
            self.report(fatal(
                at,
                "adverts cannot be sent on the loopback interface",
            ));
        } else if !globals.dynamic_interfaces && !self.host.interface_exists(interface.as_str()) {
            self.report(
                fatal(at, format!("there is no interface `{interface}`"))
                    .help("write the name as `ip link` shows it, or put `dynamic_interfaces` into global_defs if it comes later"),
            );
        }
        Some((draft.vrid?.0, interface))
    }

    /// The family of the first address; addresses of the other one leave the list.
    fn family(&mut self, draft: &mut InstanceDraft) -> Family {
        let first = draft
            .addresses
            .first()
            .map(|(address, _)| address.address.address());
        let peer = draft.peers.first().map(|peer| peer.address);
        let own = first.or(draft.multicast_source).or(draft.unicast_source);
        let family = match own.or(peer) {
            Some(address) => Family::of(address),
            None if draft.native_ipv6 => Family::Inet6,
            None => Family::Inet,
        };
        let mut strangers = Vec::new();
        draft.addresses.retain(|(address, at)| {
            let fits = address.address.family() == family;
            if !fits {
                strangers.push((address.address, *at));
            }
            fits
        });
        for (address, at) in strangers {
            self.report(
                error(
                    at,
                    format!("{address} is not of the family of the first address and is left out"),
                )
                .help("put it into `virtual_ipaddress_excluded`, or into an instance of its own"),
            );
        }
        family
    }

    fn finish_version(
        &mut self,
        globals: &Globals,
        draft: &InstanceDraft,
        family: Family,
    ) -> Version {
        match (draft.version, family) {
            (Some(Version::V2), Family::Inet6) => {
                self.report(
                    warning(draft.at, "no RFC describes VRRP version 2 over IPv6")
                        .label("understood by keepalived only")
                        .help("remove `version 2` on all routers of this VRID"),
                );
                Version::V2
            }
            (Some(version), _) => version,
            (None, Family::Inet6) => Version::V3,
            (None, Family::Inet) => globals.vrrp.version.unwrap_or(Version::V2),
        }
    }

    fn checksum(
        &mut self,
        globals: &Globals,
        draft: &InstanceDraft,
        version: Version,
        transport: &Transport,
    ) -> ChecksumMode {
        let (to_peers, family) = match transport {
            Transport::Multicast { group, .. } => (false, Family::of(*group)),
            Transport::Unicast { peers, .. } => {
                let first = peers.first();
                (
                    true,
                    first.map_or(Family::Inet, |peer| Family::of(peer.address)),
                )
            }
        };
        let applies = version == Version::V3 && family == Family::Inet;
        if draft.v3_checksum_as_v2 == Some(true) && !applies {
            self.report(error(
                draft.at,
                "`v3_checksum_as_v2` is for version 3 over IPv4; it is ignored",
            ));
        }
        let old = draft.old_unicast_checksum;
        if let Some((_, at)) = old.filter(|_| !(applies && to_peers)) {
            self.report(error(
                at,
                "`old_unicast_checksum` is for unicast version 3 over IPv4; it is ignored",
            ));
        }
        let as_version_2 = draft.v3_checksum_as_v2;
        match old.map(|(never, _)| never) {
            _ if !applies => ChecksumMode::Standard,
            _ if as_version_2.unwrap_or(globals.vrrp.v3_checksum_as_v2) => ChecksumMode::AsVersion2,
            Some(false) if to_peers => ChecksumMode::OldUnicast,
            None if to_peers => ChecksumMode::Detect,
            Some(_) | None => ChecksumMode::Standard,
        }
    }

    fn tracks_source(&mut self, draft: &InstanceDraft, transport: &Transport) -> bool {
        let Some(at) = draft.track_source else {
            return false;
        };
        let source = match transport {
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
        };
        if source.is_none() {
            self.report(
                error(at, "`track_src_ip` has no effect without a source address")
                    .help("add `mcast_src_ip ADDRESS` or `unicast_src_ip ADDRESS`"),
            );
        }
        source.is_some()
    }

    fn ignores_adverts(
        &mut self,
        globals: &Globals,
        draft: &InstanceDraft,
        priority: Priority,
    ) -> bool {
        if let Some((true, at)) = draft.ignore_adverts
            && !priority.is_owner()
        {
            self.report(error(
                at,
                "`owner_ignore_adverts` is for priority 255; it is ignored",
            ));
        }
        let own = draft.ignore_adverts.map(|(value, _)| value);
        priority.is_owner() && own.unwrap_or(globals.vrrp.owners_ignore_adverts)
    }

    /// Without `nopreempt` the router would take the addresses back at once.
    fn yields_when_late(
        &mut self,
        draft: &InstanceDraft,
        preemption: Preemption,
    ) -> Option<Priority> {
        let (priority, at) = draft.yields_when_late?;
        if preemption != Preemption::Never {
            self.report(
                error(
                    at,
                    "`timer_expired_backup` needs `nopreempt`; it is ignored",
                )
                .help("add `nopreempt` and `state BACKUP`"),
            );
            return None;
        }
        Some(priority)
    }

    fn interval(&mut self, draft: &InstanceDraft, version: Version) -> AdvertInterval {
        let Some((asked, at)) = draft.interval else {
            return AdvertInterval::DEFAULT;
        };
        let step = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => Duration::from_millis(10),
        };
        let steps = asked.as_nanos().div_ceil(step.as_nanos()).max(1);
        let hundredths = steps.saturating_mul(step.as_millis() / 10);
        let most = match version {
            Version::V2 => 25_500,
            Version::V3 => 4095,
        };
        let used = u64::try_from(hundredths).unwrap_or(most).min(most);
        let time = Duration::from_millis(used.saturating_mul(10));
        if time != asked {
            let rule = match version {
                Version::V2 => "version 2 counts whole seconds",
                Version::V3 => "version 3 counts hundredths of a second up to 40.95 s",
            };
            self.report(
                error(
                    at,
                    format!("advert_int {} becomes {} s", decimal(asked), decimal(time)),
                )
                .label(rule)
                .help("give all routers of this VRID the same valid interval"),
            );
        }
        AdvertInterval::try_from(used).unwrap_or(AdvertInterval::DEFAULT)
    }

    fn finish_authentication(
        &mut self,
        draft: &InstanceDraft,
        version: Version,
        family: Family,
        interval: AdvertInterval,
    ) -> Authentication {
        if let Some(signing) = &draft.signing {
            if let Some((_, at)) = &draft.authentication {
                self.report(
                    error(
                        *at,
                        "`authentication` and `auth_hmac` exclude each other; this block is off",
                    )
                    .help("remove one of the two blocks"),
                );
            }
            return self
                .finish_signing(signing, interval)
                .map_or(Authentication::None, |signing| {
                    Authentication::Signed(Box::new(signing))
                });
        }
        let Some((value, at)) = &draft.authentication else {
            return Authentication::None;
        };
        let without = match (version, family) {
            (Version::V2, Family::Inet) => return value.clone(),
            (Version::V3, _) => "version 3",
            (Version::V2, Family::Inet6) => "VRRP over IPv6",
        };
        self.report(
            error(*at, format!("{without} has no authentication; it is off"))
                .help("remove the block"),
        );
        Authentication::None
    }

    fn preemption(
        &mut self,
        draft: &InstanceDraft,
        priority: Priority,
        wanted: WantedState,
    ) -> Preemption {
        let eager = priority.is_owner() || wanted == WantedState::Master;
        if let Some(at) = draft.nopreempt {
            if !eager {
                if let Some((_, at)) = draft.preempt_delay {
                    self.report(
                        error(at, "`preempt_delay` means nothing with `nopreempt`")
                            .help("remove one of them"),
                    );
                }
                return Preemption::Never;
            }
            self.report(
                error(
                    at,
                    "`nopreempt` has no effect with `state MASTER` or priority 255",
                )
                .help("write `state BACKUP` on all routers of this VRID"),
            );
        }
        match draft.preempt_delay {
            Some((_, at)) if wanted == WantedState::Master => {
                self.report(
                    error(at, "`preempt_delay` has no effect with `state MASTER`")
                        .help("write `state BACKUP` on all routers of this VRID"),
                );
                Preemption::Immediate
            }
            Some((delay, _)) if !delay.is_zero() => Preemption::Delayed(delay),
            Some(_) | None => Preemption::Immediate,
        }
    }

    fn transport(&mut self, globals: &Globals, draft: &InstanceDraft, family: Family) -> Transport {
        let same = |address: &IpAddr| Family::of(*address) == family;
        let source = draft.unicast_source.or(draft.multicast_source);
        if let Some(address) = source.filter(|address| !same(address)) {
            self.report(error(draft.at, format!("the source address {address} is not of the family of the instance; it is left out")));
        }
        let wanted = draft.unicast.is_some() || draft.fault_without_peer;
        if draft.peers.is_empty() && wanted && !draft.fault_without_peer {
            self.report(
                warning(
                    draft.unicast.unwrap_or(draft.at),
                    "there is no `unicast_peer`: adverts go to the multicast group",
                )
                .help("add `unicast_peer { ADDRESS }`, or `unicast_fault_no_peer` if the instance shall wait for one"),
            );
        }
        if !draft.peers.is_empty() || draft.fault_without_peer {
            let (peers, strangers): (Vec<Peer>, Vec<Peer>) =
                draft.peers.iter().partition(|peer| same(&peer.address));
            for peer in strangers {
                self.report(error(
                    draft.at,
                    format!(
                        "the peer {} is not of the family of the instance; it is left out",
                        peer.address
                    ),
                ));
            }
            return Transport::Unicast {
                source: draft.unicast_source.filter(same),
                peers,
                ttl: draft.unicast_ttl,
                check_source: draft.check_unicast_source || globals.vrrp.check_unicast_source,
            };
        }
        let default = match family {
            Family::Inet => IpAddr::V4(globals.vrrp.group()),
            Family::Inet6 => IpAddr::V6(globals.vrrp.group6.unwrap_or(MULTICAST_V6)),
        };
        Transport::Multicast {
            group: draft.multicast_group.filter(same).unwrap_or(default),
            source: draft.multicast_source.filter(same),
        }
    }

    /// Moves what an advert cannot carry, and warns when there is nothing to carry.
    fn limit_addresses(&mut self, draft: &mut InstanceDraft) {
        if draft.addresses.is_empty() && !draft.no_addresses {
            self.report(
                warning(draft.at, format!("instance `{}` has no virtual address", draft.name))
                    .help("add `virtual_ipaddress { ADDRESS/LENGTH }`, or `no_virtual_ipaddress` if that is meant"),
            );
        }
        if draft.addresses.len() > MOST_ADDRESSES {
            let rest = draft.addresses.split_off(MOST_ADDRESSES);
            let at: Option<Span> = rest.first().map(|(_, at)| *at);
            draft
                .excluded
                .extend(rest.into_iter().map(|(address, _)| address));
            self.report(
                warning(
                    at.unwrap_or(draft.at),
                    format!("an advert carries {MOST_ADDRESSES} addresses"),
                )
                .label("from here on they are treated as `virtual_ipaddress_excluded`"),
            );
        }
        let room = MOST_IN_ALL.saturating_sub(draft.addresses.len());
        if draft.excluded.len() > room {
            draft.excluded.truncate(room);
            self.report(
                error(draft.at, format!("instance `{}` has more than {MOST_IN_ALL} addresses; the last ones are left out", draft.name))
                    .help("spread them over several instances"),
            );
        }
    }
}

/// True when each takes the adverts of the other for its own VRID's.
fn hear_each_other(one: &Transport, other: &Transport) -> bool {
    match (one, other) {
        (Transport::Multicast { group: one, .. }, Transport::Multicast { group: other, .. }) => {
            one == other
        }
        (
            Transport::Unicast { source, peers, .. },
            Transport::Unicast {
                source: other_source,
                peers: other_peers,
                ..
            },
        ) => {
            let known = |peer: &Peer| {
                other_peers
                    .iter()
                    .any(|other| other.address == peer.address)
            };
            source == other_source && peers.iter().any(known)
        }
        (Transport::Multicast { .. }, Transport::Unicast { .. })
        | (Transport::Unicast { .. }, Transport::Multicast { .. }) => false,
    }
}

fn announce(globals: &Globals, draft: &InstanceDraft) -> Announce {
    let own = &draft.garp;
    let global = &globals.vrrp.garp;
    let delay = own.delay.or(global.delay).unwrap_or(Duration::from_secs(5));
    let repeat = own.repeat.or(global.repeat).unwrap_or(5);
    Announce {
        repeat,
        delay,
        refresh: own.refresh.or(global.refresh).unwrap_or_default(),
        refresh_repeat: own.refresh_repeat.or(global.refresh_repeat).unwrap_or(1),
        lower_priority_repeat: own.lower_repeat.or(global.lower_repeat).unwrap_or(repeat),
        lower_priority_delay: own.lower_delay.or(global.lower_delay).unwrap_or(delay),
        extra: own.extra.or(global.extra).flatten(),
    }
}
