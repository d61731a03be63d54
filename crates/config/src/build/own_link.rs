//! `use_vmac`, `use_ipvlan` and `vrf`: what an instance runs on other than its interface.

use std::collections::BTreeMap;

use kr_model::InstanceId;
use kr_model::net::{Cidr, Family};
use kr_model::own_link::{Hardware, IpvlanMode, LinkName, OwnLink, OwnLinkKind, virtual_hardware};
use kr_model::units::{IfName, Vrid};
use kr_model::vrrp::{Instance, Transport};

use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::typed::InstanceEntry;

use super::Build;
use super::finding::{error, note, warning};
use super::global::Globals;
use super::instance::InstanceDraft;
use super::names::Names;

/// The default of `vmac_prefix`.
pub(super) const DEFAULT_PREFIX: &str = "vrrp";

/// Longest prefix: the dot and a virtual router id of three digits have room behind it.
const LONGEST_PREFIX: usize = IfName::MAX_LEN - 4;

/// The keywords of one instance.
#[derive(Default)]
pub(super) struct OwnLinkDraft {
    link: Option<(KindDraft, Span)>,
    name: Option<(IfName, Span)>,
    group: Option<u32>,
    announces_base: bool,
    /// `vmac_xmit_base`.
    pub(super) adverts_on_base: Option<Span>,
    /// `use_vmac_addr`.
    of_addresses: bool,
    /// `vrf`.
    pub(super) vrf: Option<(IfName, Span)>,
}

enum KindDraft {
    Vmac(Option<(MacDraft, Span)>),
    Ipvlan {
        mode: Option<IpvlanMode>,
        address: Option<(Cidr, Span)>,
    },
}

/// A MAC as it is written: the last byte may be left to the virtual router id.
#[derive(Clone, Copy)]
struct MacDraft {
    first: [u8; 5],
    last: Option<u8>,
}

impl OwnLinkDraft {
    /// Takes the MAC of a VMAC away that strict mode does not allow.
    pub(super) fn take_mac(&mut self) -> Option<Span> {
        match &mut self.link {
            Some((KindDraft::Vmac(mac), _)) => mac.take().map(|(_, at)| at),
            Some((KindDraft::Ipvlan { .. }, _)) | None => None,
        }
    }
}

impl Build<'_> {
    /// Notes which links an instance will have: addresses and routes may name them, though they come later.
    pub(super) fn expect_links(&mut self, globals: &Globals, instance: &Statement) {
        const KEYWORDS: [&str; 3] = ["use_vmac", "use_ipvlan", "use_vmac_addr"];
        let lines = || instance.block.iter().flat_map(|block| &block.statements);
        let mut all = lines();
        let vrid = all.find(|line| line.keyword.text == "virtual_router_id");
        let vrid = vrid.and_then(|line| line.arguments.first()?.text.parse::<u64>().ok());
        let Some(vrid) = vrid.and_then(|number| Vrid::try_from(number).ok()) else {
            return;
        };
        for line in lines().filter(|line| KEYWORDS.contains(&line.keyword.text.as_str())) {
            let words = line.arguments.iter();
            let given = words.filter_map(|word| IfName::try_from(word.text.clone()).ok());
            self.expected_links.extend(given);
            for prefix in [globals.vmac_prefix(), globals.address_link_prefix()] {
                let generated = LinkName::Generated {
                    prefix: prefix.to_owned(),
                };
                let names = generated.candidates(vrid, Family::Inet6);
                self.expected_links.extend(names);
            }
        }
    }

    /// True for an interface that is there, may come, or is made by this daemon.
    pub(super) fn knows_interface(&self, globals: &Globals, name: &IfName) -> bool {
        globals.dynamic_interfaces
            || self.host.interface_exists(name.as_str())
            || self.expected_links.contains(name)
    }

    /// A line of an instance. False when it is none of these keywords.
    pub(super) fn own_link_setting(
        &mut self,
        draft: &mut OwnLinkDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        let at = line.keyword.span;
        match name {
            "use_vmac" | "use_ipvlan" if draft.link.is_some() => self.report(error(
                at,
                "an instance has one `use_vmac` or `use_ipvlan`; this one is ignored",
            )),
            "use_vmac" => self.use_vmac(draft, line),
            "use_ipvlan" => self.use_ipvlan(draft, line),
            "use_vmac_addr" => draft.of_addresses = true,
            "vmac_xmit_base" => draft.adverts_on_base = Some(at),
            "vrf" => {
                let vrf = self.interface(line);
                draft.vrf = vrf.map(|name| (name, at)).or_else(|| draft.vrf.take());
            }
            _ => return false,
        }
        true
    }

    fn use_vmac(&mut self, draft: &mut OwnLinkDraft, line: &Statement) {
        let mut mac = None;
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "netlink_notify_msg" => draft.announces_base = true,
                "name" => self.link_name(draft, word, words.next()),
                "group" => self.link_group(draft, word, words.next()),
                text if text.contains(':') => {
                    mac = self.mac(word).map(|mac| (mac, word.span)).or(mac);
                }
                _ => self.link_name(draft, word, Some(word)),
            }
        }
        draft.link = Some((KindDraft::Vmac(mac), line.keyword.span));
    }

    fn use_ipvlan(&mut self, draft: &mut OwnLinkDraft, line: &Statement) {
        let (mut mode, mut address) = (None, None);
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            let chosen = match word.text.as_str() {
                "bridge" => IpvlanMode::Bridge,
                "private" => IpvlanMode::Private,
                "vepa" => IpvlanMode::Vepa,
                "name" => {
                    self.link_name(draft, word, words.next());
                    continue;
                }
                "group" => {
                    self.link_group(draft, word, words.next());
                    continue;
                }
                text => {
                    match parse_cidr(text) {
                        Some(cidr) => address = Some((cidr, word.span)),
                        None => self.link_name(draft, word, Some(word)),
                    }
                    continue;
                }
            };
            if mode.is_some_and(|before| before != chosen) {
                self.report(
                    error(word.span, "an ipvlan has one mode; this one is ignored")
                        .label("expected one of `bridge`, `private` and `vepa`"),
                );
            }
            mode.get_or_insert(chosen);
        }
        draft.link = Some((KindDraft::Ipvlan { mode, address }, line.keyword.span));
    }

    fn link_name(&mut self, draft: &mut OwnLinkDraft, keyword: &Word, word: Option<&Word>) {
        let Some(word) = word else {
            self.report(error(
                keyword.span,
                "`name` lacks its value; a name is generated",
            ));
            return;
        };
        if let Some((first, _)) = &draft.name {
            self.report(error(
                word.span,
                format!(
                    "`{}` is ignored: the link has the name `{first}` already",
                    word.text
                ),
            ));
        } else if word.text.contains(':') || matches!(word.text.as_str(), "all" | "default") {
            self.report(
                error(
                    word.span,
                    format!("`{}` cannot be the name of a link", word.text),
                )
                .label("expected a name without colon other than `all` and `default`"),
            );
        } else {
            draft.name = self.interface_of(word).map(|name| (name, word.span));
        }
    }

    fn link_group(&mut self, draft: &mut OwnLinkDraft, keyword: &Word, word: Option<&Word>) {
        draft.group = word.and_then(|word| self.look_up(Names::Groups, &word.text));
        if draft.group.is_none() {
            self.report(
                error(
                    word.unwrap_or(keyword).span,
                    "`group` lacks the name of an interface group; that of the interface below is used",
                )
                .label("expected a number or a name of /etc/iproute2/group"),
            );
        }
    }

    /// A MAC that is for one host and not of the range of RFC 9568.
    fn mac(&mut self, word: &Word) -> Option<MacDraft> {
        let bytes: Option<Vec<u8>> = word
            .text
            .split(':')
            .map(|part| {
                let digits = (1..=2).contains(&part.len()) && !part.starts_with('+');
                digits.then(|| u8::from_str_radix(part, 16).ok()).flatten()
            })
            .collect();
        let bytes = bytes.unwrap_or_default();
        let parsed = match *bytes.as_slice() {
            [a, b, c, d, e] => Some(([a, b, c, d, e], None)),
            [a, b, c, d, e, last] => Some(([a, b, c, d, e], Some(last))),
            _ => None,
        };
        let wrong = match parsed {
            None => "is not a MAC; that of the virtual router is used",
            Some(([0, 0, 0x5e, 0, 1 | 2], _)) => {
                "is of the range that virtual routers have by themselves; leave it out"
            }
            Some(([first, ..], _)) if first & 1 == 1 => {
                "is a multicast address; the MAC of the virtual router is used"
            }
            Some((first, last)) => return Some(MacDraft { first, last }),
        };
        self.report(
            error(word.span, format!("`{}` {wrong}", word.text))
                .label("expected five or six bytes as aa:bb:cc:dd:ee[:ff], the first one even"),
        );
        None
    }

    /// `vmac_prefix` and `vmac_addr_prefix`: the first one counts.
    pub(super) fn link_prefix(&mut self, slot: &mut Option<String>, line: &Statement) {
        let Some(word) = line.arguments.first() else {
            return;
        };
        let fits = word.text.len() <= LONGEST_PREFIX && !word.text.contains(':');
        if !fits || IfName::try_from(word.text.clone()).is_err() {
            self.report(
                error(
                    word.span,
                    format!("`{}` cannot begin the name of an interface", word.text),
                )
                .label(format!(
                    "expected 1 to {LONGEST_PREFIX} characters without `/`, `:` and white space"
                )),
            );
            return;
        }
        slot.get_or_insert_with(|| word.text.clone());
    }

    /// `garp_extra_if`, `vmac_garp_intvl` and their global forms: the period in seconds, and `all`.
    pub(super) fn extra_garp(&mut self, line: &Statement, most: u64) -> Option<(u64, bool)> {
        let words = line.arguments.as_slice();
        let (all, seconds) = match words {
            [all, seconds, ..] if all.text == "all" => (true, Some(seconds)),
            [seconds, ..] => (false, Some(seconds)),
            [] => (false, None),
        };
        let seconds = self.number_of(seconds?, 0, most)?;
        Some((seconds, all))
    }

    /// The interface of an instance that has none but a `vrf`.
    pub(super) fn vrf_interface(&mut self, draft: &mut InstanceDraft) {
        let Some((vrf, at)) = draft.own_link.vrf.take() else {
            return;
        };
        if draft.interface.is_some() {
            self.report(
                error(
                    at,
                    "`vrf` is for instances without `interface`; it is ignored",
                )
                .help("an interface that is part of a VRF needs no `vrf`"),
            );
        } else if draft.peers.is_empty() {
            self.report(
                error(at, "`vrf` is for unicast; it is ignored").help("add `unicast_peer`"),
            );
        } else {
            let lines = draft.addresses.iter().map(|(line, _)| line);
            let homeless = lines
                .chain(&draft.excluded)
                .find(|line| line.device.is_none());
            if let Some(line) = homeless {
                self.report(
                    error(
                        at,
                        format!(
                            "{} has no interface; it is put on the VRF device",
                            line.address
                        ),
                    )
                    .help("add `dev NAME` to the address"),
                );
            }
            draft.interface = Some((vrf, at));
        }
    }

    /// The link that an instance runs on. The outer `None`: it cannot run.
    pub(super) fn finish_own_link(
        &mut self,
        globals: &Globals,
        draft: &mut InstanceDraft,
        vrid: Vrid,
        family: Family,
    ) -> Option<Option<OwnLink>> {
        let own = std::mem::take(&mut draft.own_link);
        let unicast = draft.unicast.filter(|_| !draft.peers.is_empty());
        let Some((kind, at)) = own.link else {
            if let Some(at) = own.adverts_on_base {
                self.report(error(
                    at,
                    "`vmac_xmit_base` means nothing without `use_vmac`",
                ));
            }
            self.place_addresses(draft, family, &[], own.of_addresses);
            return Some(None);
        };
        let is_vmac = matches!(kind, KindDraft::Vmac(_));
        let mut adverts_on_base = own.adverts_on_base.is_some();
        if let Some(at) = own.adverts_on_base.filter(|_| !is_vmac) {
            self.report(error(
                at,
                "`vmac_xmit_base` is for `use_vmac`; it is ignored",
            ));
            adverts_on_base = false;
        }
        if let Some(at) = unicast.filter(|_| is_vmac && !adverts_on_base) {
            self.report(note(
                at,
                "adverts to peers leave by the interface itself, as with `vmac_xmit_base`",
            ));
            adverts_on_base = true;
        }
        let kind = match kind {
            KindDraft::Vmac(mac) => OwnLinkKind::Vmac {
                hardware: mac
                    .map_or_else(|| virtual_hardware(vrid, family), |(mac, _)| mac.with(vrid)),
            },
            KindDraft::Ipvlan { mode, address } => OwnLinkKind::Ipvlan {
                mode: mode.unwrap_or(IpvlanMode::Bridge),
                address: self.ipvlan_address(address, family, at)?,
            },
        };
        let prefix = globals.vmac_prefix();
        let name = self.unused_name(own.name).map_or_else(
            || LinkName::Generated {
                prefix: prefix.to_owned(),
            },
            LinkName::Given,
        );
        let names = name.candidates(vrid, family);
        let homes = if is_vmac { names.as_slice() } else { &[] };
        self.place_addresses(draft, family, homes, own.of_addresses);
        Some(Some(OwnLink {
            kind,
            name,
            group: own.group,
            adverts_on_base,
            announces_base: own.announces_base,
        }))
    }

    /// A name that no instance before has.
    fn unused_name(&mut self, name: Option<(IfName, Span)>) -> Option<IfName> {
        let (name, at) = name?;
        if self.link_names.insert(name.clone()) {
            return Some(name);
        }
        self.report(
            error(
                at,
                format!("another instance has a link `{name}`; a name is generated"),
            )
            .help("give each link a name of its own, or leave the names out"),
        );
        None
    }

    fn ipvlan_address(
        &mut self,
        address: Option<(Cidr, Span)>,
        family: Family,
        at: Span,
    ) -> Option<Option<Cidr>> {
        let usable = address.filter(|(cidr, _)| cidr.family() == family);
        if let Some((cidr, at)) = address.filter(|_| usable.is_none()) {
            self.report(error(
                at,
                format!(
                    "{} is not of the family of the instance; it is ignored",
                    cidr.address()
                ),
            ));
        }
        if usable.is_none() && family == Family::Inet {
            self.report(
                error(at, "an ipvlan of an IPv4 instance needs an address; the instance does not run")
                    .help("write `use_ipvlan ADDRESS/LENGTH`, an address of the interface's network that no other host has"),
            );
            return None;
        }
        Some(usable.map(|(cidr, _)| cidr))
    }

    /// Finds out which addresses have a VMAC of their own; `vmac` holds the names that that of the instance may get.
    fn place_addresses(
        &mut self,
        draft: &mut InstanceDraft,
        family: Family,
        vmac: &[IfName],
        of_addresses: bool,
    ) {
        let has_vmac = !vmac.is_empty();
        let interface = draft.interface.as_ref().map(|(name, _)| name.clone());
        let mut needless = None;
        let lines = draft.addresses.iter_mut().map(|(line, _)| line);
        for line in lines.chain(&mut draft.excluded) {
            let at_home = line.device == interface
                || line
                    .device
                    .as_ref()
                    .is_none_or(|device| vmac.contains(device));
            let same_family = line.address.family() == family;
            if has_vmac && at_home {
                line.device = None;
            }
            if line.own_link && has_vmac && at_home && same_family {
                needless = Some(line.address);
                line.own_link = false;
            }
            line.own_link |= of_addresses && !(at_home && same_family);
        }
        if let Some(address) = needless {
            self.report(warning(
                draft.at,
                format!(
                    "{address} is on the VMAC of its instance anyway, without `use_vmac` of its own"
                ),
            ));
        }
    }

    /// Takes instances out that share a VMAC with an earlier one: its MAC can be at one router only, so that is
    /// possible for members of one sync group alone.
    pub(super) fn check_shared_links(
        &mut self,
        instances: &mut BTreeMap<InstanceId, InstanceEntry>,
    ) {
        let mut taken: BTreeMap<(IfName, Hardware), InstanceId> = BTreeMap::new();
        let mut losers = Vec::new();
        for (id, entry) in instances.iter() {
            let mut rival = None;
            for seat in seats(&entry.instance) {
                let first = *taken.entry(seat).or_insert(*id);
                let other = instances.get(&first).map(|entry| &entry.instance);
                let shares = |other: &&Instance| {
                    other.group.is_none() || other.group != entry.instance.group
                };
                rival = rival.or_else(|| other.filter(|_| first != *id).filter(shares));
            }
            if let Some(rival) = rival {
                losers.push((*id, entry.instance.name.clone(), rival.name.clone()));
            }
        }
        for (id, name, rival) in losers {
            instances.remove(&id);
            let Some(at) = self.instance_places.get(&id).copied() else {
                continue;
            };
            self.report(
                error(at, format!("instance `{name}` has the VMAC of instance `{rival}` and is not in its sync group; it does not run"))
                    .help("put both into one `vrrp_sync_group`, or give one of them another virtual_router_id"),
            );
        }
    }
}

/// The VMACs of an instance.
fn seats(instance: &Instance) -> Vec<(IfName, Hardware)> {
    let mut seats = Vec::new();
    if let Some(OwnLink {
        kind: OwnLinkKind::Vmac { hardware },
        ..
    }) = &instance.own_link
    {
        seats.push((instance.interface.clone(), *hardware));
    }
    let lines = instance.addresses.iter().chain(&instance.excluded);
    seats.extend(lines.filter(|line| line.own_link).map(|line| {
        let device = line.device.as_ref().unwrap_or(&instance.interface);
        (device.clone(), instance.hardware_of(line.address.family()))
    }));
    seats
}

/// Sends from the address of an ipvlan, unless another one is set.
pub(super) fn send_from_own_link(transport: &mut Transport, own_link: Option<&OwnLink>) {
    let Some(OwnLinkKind::Ipvlan { address, .. }) = own_link.map(|link| link.kind) else {
        return;
    };
    let (Transport::Multicast { source, .. } | Transport::Unicast { source, .. }) = transport;
    *source = source.or(address.map(Cidr::address));
}

/// Sets that a line of an address asks for a VMAC of its own. False when it is no such word.
pub(super) fn address_flag(own_link: &mut bool, word: &str) -> bool {
    let known = word == "use_vmac";
    *own_link |= known;
    known
}

impl MacDraft {
    const fn with(self, vrid: Vrid) -> Hardware {
        let [a, b, c, d, e] = self.first;
        let last = match self.last {
            Some(last) => last,
            None => vrid.get(),
        };
        [a, b, c, d, e, last]
    }
}

fn parse_cidr(text: &str) -> Option<Cidr> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address = address.parse().ok()?;
    match length {
        Some(length) => Cidr::new(address, length.parse().ok()?).ok(),
        None => Some(Cidr::host(address)),
    }
}
