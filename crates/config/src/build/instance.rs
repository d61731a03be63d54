//! `vrrp_instance`: the values of its keywords. [`super::instance_finish`] puts them together.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::ScriptId;
use kr_model::route::Route;
use kr_model::rule::Rule;
use kr_model::track::Tracked;
use kr_model::units::{IfName, Priority, Vrid};
use kr_model::vrrp::{
    Authentication, ExtraAnnounce, Peer, TrackedInterface, Version, VirtualAddress, WantedState,
};

use crate::registry::Block;
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::typed::Deletion;

use super::Build;
use super::finding::error;
use super::global::Globals;
use super::line_value::Use;
use super::own_link::OwnLinkDraft;
use super::signing::SigningDraft;
use super::track;
use super::value::{MAX_TEXT, MAX_TIMEOUT, MAX_U32, set};
use super::walk::{Context, Seen};

const INSTANCE: Context = Context {
    name: "vrrp_instance",
    blocks: &[Block::VrrpInstance],
    also: &[],
    repeatable: &[
        "auth_hmac",
        "virtual_ipaddress",
        "virtual_ipaddress_excluded",
        "virtual_routes",
        "virtual_rules",
    ],
};

/// Longest period of `garp_extra_if`, in seconds: a day.
const MAX_EXTRA_PERIOD: u64 = 86_400;

/// Most unicast peers: an instance travels in one message.
const MOST_PEERS: usize = 128;

/// Settings of gratuitous ARP, global or of an instance.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Garp {
    pub(super) delay: Option<Duration>,
    pub(super) repeat: Option<u32>,
    pub(super) refresh: Option<Duration>,
    pub(super) refresh_repeat: Option<u32>,
    /// `garp_extra_if`; the inner `None` is off.
    pub(super) extra: Option<Option<ExtraAnnounce>>,
    pub(super) lower_delay: Option<Duration>,
    pub(super) lower_repeat: Option<u32>,
}

impl Garp {
    /// `vrrp_min_garp`: one packet, where nothing else is said.
    pub(super) fn minimal(&mut self) {
        self.repeat.get_or_insert(1);
        self.delay.get_or_insert(Duration::ZERO);
        self.refresh.get_or_insert(Duration::ZERO);
        self.refresh_repeat.get_or_insert(1);
    }
}

/// The values of one block.
pub(super) struct InstanceDraft {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) state: Option<WantedState>,
    pub(super) interface: Option<(IfName, Span)>,
    pub(super) sync_interface: Option<(IfName, Span)>,
    pub(super) vrid: Option<(Vrid, Span)>,
    pub(super) priority: Option<Priority>,
    pub(super) interval: Option<(Duration, Span)>,
    pub(super) version: Option<Version>,
    pub(super) authentication: Option<(Authentication, Span)>,
    pub(super) signing: Option<SigningDraft>,
    pub(super) own_link: OwnLinkDraft,
    pub(super) addresses: Vec<(VirtualAddress, Span)>,
    pub(super) excluded: Vec<VirtualAddress>,
    pub(super) no_addresses: bool,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) nopreempt: Option<Span>,
    pub(super) preempt_delay: Option<(Duration, Span)>,
    pub(super) garp: Garp,
    pub(super) down_timer_adverts: Option<u8>,
    pub(super) no_answer_to_lower: Option<bool>,
    pub(super) advert_before_yielding: Option<bool>,
    pub(super) check_addresses_once: Option<bool>,
    pub(super) strict: Option<bool>,
    pub(super) ignore_adverts: Option<(bool, Span)>,
    pub(super) yields_when_late: Option<(Priority, Span)>,
    pub(super) track_source: Option<Span>,
    pub(super) promote_secondaries: bool,
    /// `accept` or `no_accept`.
    pub(super) accept: Option<(bool, Span)>,
    /// `old_unicast_checksum`, and whether it says `never`.
    pub(super) old_unicast_checksum: Option<(bool, Span)>,
    pub(super) track_primary: bool,
    pub(super) tracked_interfaces: Vec<TrackedInterface>,
    pub(super) trackers: Vec<Tracked>,
    pub(super) multicast_source: Option<IpAddr>,
    pub(super) multicast_group: Option<IpAddr>,
    pub(super) unicast_source: Option<IpAddr>,
    pub(super) peers: Vec<Peer>,
    /// Where a keyword of unicast stands.
    pub(super) unicast: Option<Span>,
    pub(super) unicast_ttl: Option<u8>,
    pub(super) check_unicast_source: bool,
    pub(super) fault_without_peer: bool,
    pub(super) native_ipv6: bool,
    pub(super) v3_checksum_as_v2: Option<bool>,
    pub(super) notify: crate::typed::InstanceNotify,
    pub(super) alert: Option<bool>,
}

impl InstanceDraft {
    fn new(name: &Word) -> Self {
        Self {
            name: name.text.clone(),
            at: name.span,
            state: None,
            interface: None,
            sync_interface: None,
            vrid: None,
            priority: None,
            interval: None,
            version: None,
            authentication: None,
            signing: None,
            own_link: OwnLinkDraft::default(),
            addresses: Vec::new(),
            excluded: Vec::new(),
            no_addresses: false,
            routes: Vec::new(),
            rules: Vec::new(),
            nopreempt: None,
            preempt_delay: None,
            garp: Garp::default(),
            down_timer_adverts: None,
            no_answer_to_lower: None,
            advert_before_yielding: None,
            check_addresses_once: None,
            strict: None,
            ignore_adverts: None,
            yields_when_late: None,
            track_source: None,
            promote_secondaries: false,
            accept: None,
            old_unicast_checksum: None,
            track_primary: true,
            tracked_interfaces: Vec::new(),
            trackers: Vec::new(),
            multicast_source: None,
            multicast_group: None,
            unicast_source: None,
            peers: Vec::new(),
            unicast: None,
            unicast_ttl: None,
            check_unicast_source: false,
            fault_without_peer: false,
            native_ipv6: false,
            v3_checksum_as_v2: None,
            notify: crate::typed::InstanceNotify::default(),
            alert: None,
        }
    }
}

impl Build<'_> {
    /// Reads a `vrrp_instance` block.
    pub(super) fn instance(
        &mut self,
        globals: &Globals,
        drafts: &mut Vec<InstanceDraft>,
        statement: &Statement,
    ) {
        let (Some(name), Some(block)) = (statement.arguments.first(), &statement.block) else {
            return;
        };
        if !self.instance_names.insert(name.text.clone()) {
            self.report(
                error(
                    name.span,
                    format!("there is a vrrp_instance `{}` already", name.text),
                )
                .label("this block is skipped")
                .help("give each instance a name of its own"),
            );
            return;
        }
        if name.text.len() > MAX_TEXT {
            self.report(error(
                name.span,
                format!(
                    "the name of an instance has at most {MAX_TEXT} bytes; this block is skipped"
                ),
            ));
            return;
        }
        let mut draft = InstanceDraft::new(name);
        let mut seen = Seen::default();
        for line in &block.statements {
            let Some(keyword) = self.accept(&INSTANCE, &mut seen, line) else {
                continue;
            };
            let name = keyword.name;
            let known = self.identity_setting(&mut draft, name, line)
                || self.election_setting(globals, &mut draft, name, line)
                || self.transport_setting(&mut draft, name, line)
                || self.own_link_setting(&mut draft.own_link, name, line)
                || self.address_lists(globals, &mut draft, name, line)
                || self.notify_setting(&mut draft, name, line)
                || self.garp_setting(&mut draft.garp, name, line);
            if !known {
                self.unbuilt(keyword, line);
            }
        }
        drafts.push(draft);
    }

    fn identity_setting(
        &mut self,
        draft: &mut InstanceDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        let at = line.keyword.span;
        match name {
            "state" => {
                let Some(word) = line.arguments.first() else {
                    return true;
                };
                draft.state = Some(match word.text.as_str() {
                    "MASTER" => WantedState::Master,
                    "BACKUP" => WantedState::Backup,
                    _ => {
                        self.report(
                            error(
                                word.span,
                                format!(
                                    "`{}` is not a state to start in; BACKUP is used",
                                    word.text
                                ),
                            )
                            .label("expected `MASTER` or `BACKUP`"),
                        );
                        WantedState::Backup
                    }
                });
            }
            "interface" => set(
                &mut draft.interface,
                self.interface(line)
                    .map(|name| (name, line.arguments.first().map_or(at, |w| w.span))),
            ),
            "lvs_sync_daemon_interface" => {
                self.renamed(line, "lvs_sync_daemon");
                set(
                    &mut draft.sync_interface,
                    self.interface(line).map(|name| (name, at)),
                );
            }
            "virtual_router_id" => {
                let vrid = self
                    .number(line, 1, 255)
                    .and_then(|n| Vrid::try_from(n).ok());
                set(
                    &mut draft.vrid,
                    vrid.map(|vrid| (vrid, line.arguments.first().map_or(at, |w| w.span))),
                );
            }
            "priority" => {
                let priority = self
                    .number(line, 1, 255)
                    .and_then(|n| Priority::try_from(n).ok());
                draft.priority = Some(priority.unwrap_or(Priority::DEFAULT));
            }
            "version" => set(&mut draft.version, self.version(line)),
            "native_ipv6" => draft.native_ipv6 = true,
            "v3_checksum_as_v2" => set(&mut draft.v3_checksum_as_v2, self.switch(line)),
            "advert_int" => {
                let interval =
                    self.seconds(line, Duration::from_millis(10), Duration::from_secs(255));
                set(&mut draft.interval, interval.map(|interval| (interval, at)));
            }
            "authentication" => self.authentication(draft, line),
            "auth_hmac" => self.signing(&mut draft.signing, line),
            _ => return false,
        }
        true
    }

    fn election_setting(
        &mut self,
        globals: &Globals,
        draft: &mut InstanceDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        let at = line.keyword.span;
        match name {
            "nopreempt" => draft.nopreempt = Some(at),
            "preempt" => draft.nopreempt = None,
            "preempt_delay" => {
                let delay = self.seconds(line, Duration::ZERO, Duration::from_secs(1000));
                set(&mut draft.preempt_delay, delay.map(|delay| (delay, at)));
            }
            "down_timer_adverts" => {
                set(&mut draft.down_timer_adverts, self.down_timer_adverts(line))
            }
            "lower_prio_no_advert" => set(&mut draft.no_answer_to_lower, self.switch(line)),
            "higher_prio_send_advert" => set(&mut draft.advert_before_yielding, self.switch(line)),
            "skip_check_adv_addr" => set(&mut draft.check_addresses_once, self.switch(line)),
            "strict_mode" => set(&mut draft.strict, self.switch(line)),
            "owner_ignore_adverts" => {
                let value = self.switch(line);
                set(&mut draft.ignore_adverts, value.map(|value| (value, at)));
            }
            "timer_expired_backup" | "thread_timer_expired" => {
                if name == "thread_timer_expired" {
                    self.renamed(line, "timer_expired_backup");
                }
                let number = match line.arguments.first() {
                    Some(word) => self.number_of(word, 1, 254),
                    None => Some(u64::from(Priority::BELOW_OWNER.get())),
                };
                let priority = number.and_then(|number| Priority::try_from(number).ok());
                set(
                    &mut draft.yields_when_late,
                    priority.map(|priority| (priority, at)),
                );
            }
            "track_src_ip" => draft.track_source = Some(at),
            "dont_track_primary" => draft.track_primary = false,
            "promote_secondaries" => draft.promote_secondaries = true,
            "track_interface" => draft
                .tracked_interfaces
                .extend(self.tracked_interfaces(globals, line)),
            "track_script" | "track_file" | "track_process" | "track_bfd" => {
                if let Some(kind) = track::kind_of(name) {
                    self.tracked(&mut draft.trackers, kind, line);
                }
            }
            "accept" => draft.accept = Some((true, at)),
            "no_accept" => draft.accept = Some((false, at)),
            _ => return false,
        }
        true
    }

    fn transport_setting(
        &mut self,
        draft: &mut InstanceDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        match name {
            "mcast_src_ip" => set(&mut draft.multicast_source, self.address(line)),
            "mcast_dst_ip" => {
                let group = self.address(line);
                if let Some(address) = group.filter(|address| !address.is_multicast()) {
                    self.report(error(
                        line.keyword.span,
                        format!("{address} is not a multicast group"),
                    ));
                }
                set(
                    &mut draft.multicast_group,
                    group.filter(IpAddr::is_multicast),
                );
            }
            "unicast_src_ip" => set(&mut draft.unicast_source, self.address(line)),
            "unicast_peer" => self.peers(draft, line),
            "unicast_ttl" => {
                let ttl = self.number(line, 0, 255);
                set(
                    &mut draft.unicast_ttl,
                    ttl.and_then(|ttl| u8::try_from(ttl).ok()),
                );
            }
            "check_unicast_src" => draft.check_unicast_source = true,
            "old_unicast_checksum" => {
                let word = line.arguments.first();
                if let Some(word) = word.filter(|word| word.text != "never") {
                    self.report(
                        error(word.span, format!("`{}` is not valid here", word.text))
                            .label("expected `never` or nothing"),
                    );
                }
                draft.old_unicast_checksum = Some((word.is_some(), line.keyword.span));
            }
            "unicast_fault_no_peer" => draft.fault_without_peer = true,
            _ => return false,
        }
        if matches!(name, "unicast_src_ip" | "unicast_peer") {
            draft.unicast = Some(line.keyword.span);
        }
        true
    }

    fn peers(&mut self, draft: &mut InstanceDraft, line: &Statement) {
        for entry in line.block.iter().flat_map(|block| &block.statements) {
            let Some(address) = self.address_of(&entry.keyword) else {
                continue;
            };
            let mut peer = Peer {
                address,
                min_ttl: 0,
                max_ttl: 255,
            };
            for pair in entry.arguments.chunks(2) {
                let [option, value] = pair else {
                    self.report(error(
                        entry.keyword.span,
                        "an option of this peer lacks its value",
                    ));
                    continue;
                };
                let ttl = self
                    .number_of(value, 0, 255)
                    .and_then(|n| u8::try_from(n).ok());
                draft.check_unicast_source |= ttl.is_some();
                match (option.text.as_str(), ttl) {
                    ("min_ttl", Some(ttl)) => peer.min_ttl = ttl,
                    ("max_ttl", Some(ttl)) => peer.max_ttl = ttl,
                    (_, None) => {}
                    (_, Some(_)) => self.report(
                        error(
                            option.span,
                            format!("unknown option `{}` of a peer", option.text),
                        )
                        .label("expected `min_ttl` or `max_ttl`"),
                    ),
                }
            }
            if draft.peers.len() >= MOST_PEERS {
                self.report(error(
                    entry.keyword.span,
                    format!(
                        "an instance has at most {MOST_PEERS} peers; from here on they are left out"
                    ),
                ));
                return;
            }
            draft.peers.push(peer);
        }
    }

    fn address_lists(
        &mut self,
        globals: &Globals,
        draft: &mut InstanceDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        let excluded = match name {
            "virtual_ipaddress" => false,
            "virtual_ipaddress_excluded" => true,
            "no_virtual_ipaddress" => {
                draft.no_addresses = true;
                return true;
            }
            "virtual_routes" => {
                draft.routes.extend(self.virtual_routes(globals, line));
                return true;
            }
            "virtual_rules" => {
                draft.rules.extend(self.virtual_rules(globals, line));
                return true;
            }
            _ => return false,
        };
        for entry in line.block.iter().flat_map(|block| &block.statements) {
            let Some((address, _)) = self.address_line(globals, entry, Use::Virtual) else {
                continue;
            };
            if excluded {
                draft.excluded.push(address);
            } else {
                draft.addresses.push((address, entry.keyword.span));
            }
        }
        true
    }

    fn notify_setting(&mut self, draft: &mut InstanceDraft, name: &str, line: &Statement) -> bool {
        let slot: &mut Option<ScriptId> = match name {
            "notify_master" => &mut draft.notify.master,
            "notify_backup" => &mut draft.notify.backup,
            "notify_fault" => &mut draft.notify.fault,
            "notify_stop" => &mut draft.notify.stop,
            "notify" => &mut draft.notify.any,
            "notify_deleted" => {
                let script = self.script(line);
                draft.notify.deleted = Some(Deletion { script });
                return true;
            }
            "notify_master_rx_lower_pri" => &mut draft.notify.lower_priority,
            "notify_priority_changes" => {
                set(&mut draft.notify.priority_changes, self.switch(line));
                return true;
            }
            "smtp_alert" => {
                set(&mut draft.alert, self.switch(line));
                return true;
            }
            _ => return false,
        };
        set(slot, self.script(line));
        true
    }

    /// Takes a `garp_...` keyword, without the prefix of the global ones. False when it is none.
    pub(super) fn garp_setting(&mut self, garp: &mut Garp, name: &str, line: &Statement) -> bool {
        let most = MAX_TIMEOUT.as_secs();
        let seconds = |n: Option<u64>| n.map(Duration::from_secs);
        match name {
            "garp_master_delay" => set(&mut garp.delay, seconds(self.number(line, 0, most))),
            "garp_master_refresh" => set(&mut garp.refresh, seconds(self.number(line, 0, MAX_U32))),
            "garp_lower_prio_delay" => {
                set(&mut garp.lower_delay, seconds(self.number(line, 0, most)))
            }
            "garp_master_repeat" => set(&mut garp.repeat, self.number32(line, 0).map(|n| n.max(1))),
            "garp_master_refresh_repeat" => {
                set(
                    &mut garp.refresh_repeat,
                    self.number32(line, 0).map(|n| n.max(1)),
                );
            }
            "garp_extra_if" | "vmac_garp_intvl" => {
                if name == "vmac_garp_intvl" {
                    let prefix = if line.keyword.text.starts_with("vrrp_") {
                        "vrrp_"
                    } else {
                        ""
                    };
                    self.renamed(line, &format!("{prefix}garp_extra_if"));
                }
                let extra = self.extra_garp(line, MAX_EXTRA_PERIOD);
                set(
                    &mut garp.extra,
                    extra.map(|(seconds, all)| {
                        let period = Duration::from_secs(seconds);
                        (!period.is_zero()).then_some(ExtraAnnounce { period, all })
                    }),
                );
            }
            "garp_lower_prio_repeat" => set(&mut garp.lower_repeat, self.number32(line, 0)),
            _ => return false,
        }
        true
    }

    /// `version` and `vrrp_version`.
    pub(super) fn version(&mut self, line: &Statement) -> Option<Version> {
        let word = line.arguments.first()?;
        match self.number_of(word, 2, 3)? {
            2 => Some(Version::V2),
            _ => Some(Version::V3),
        }
    }

    /// `down_timer_adverts` and `vrrp_down_timer_adverts`.
    pub(super) fn down_timer_adverts(&mut self, line: &Statement) -> Option<u8> {
        self.number(line, 1, 100).and_then(|n| u8::try_from(n).ok())
    }
}
