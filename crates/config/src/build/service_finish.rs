//! From the values of a `virtual_server` to the service: defaults and contradictions.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use kr_model::lvs::{
    Forwarding, Persistence, Protocol, Scheduler, ServiceFlags, ServiceKey, SorryServer,
    VirtualServer,
};
use kr_model::net::Family;
use kr_model::{RealServerId, VirtualServerId};

use crate::typed::{Config, VirtualServerEntry};

use super::finding::{error, warning};
use super::global::Globals;
use super::group::{Groups, Member};
use super::server_finish::Service;
use super::virtual_server::{Listen, ServiceDraft};
use super::{Build, Purpose, next};

/// Seconds of persistence where it is needed and no time is given.
const DEFAULT_PERSISTENCE: u32 = 360;

impl Build<'_> {
    /// Completes a service and its real servers; one that cannot run is reported and left out.
    pub(super) fn finish_service(
        &mut self,
        globals: &Globals,
        groups: &mut Groups,
        config: &mut Config,
        mut draft: ServiceDraft,
    ) {
        let Some(members) = self.members(groups, &draft) else {
            return;
        };
        let protocol = self.finish_protocol(&draft, &members);
        let Some(family) = self.service_family(&draft, &members) else {
            return;
        };
        let port = members.iter().find_map(|member| match member {
            Member::Address(address) => Some(address.port()),
            Member::Fwmark(..) => None,
        });
        self.drop_unfit_servers(&mut draft, family, port);
        let services: Vec<ServiceKey> = members
            .iter()
            .map(|member| key(*member, family, protocol))
            .collect();
        let Some(label) = self.service_label(groups, &draft, &services) else {
            return;
        };
        if draft.servers.is_empty() {
            self.report(
                warning(
                    draft.at,
                    format!("virtual server {label} has no real server and does not run"),
                )
                .help("add `real_server ADDRESS PORT { }`"),
            );
            return;
        }
        let suspend = self.suspend(&draft, &members);
        let any_port = members
            .iter()
            .any(|member| matches!(member, Member::Address(address) if address.port() == 0));
        let persistence = self.persistence(&draft, family, any_port);
        let forwarding = self.default_forwarding(&draft);
        let id = VirtualServerId(next(&mut self.count.virtual_servers));
        let service = Service {
            id,
            label: label.clone(),
            protocol,
            port,
            forwarding,
            settings: std::mem::take(&mut draft.settings),
        };
        let sorry = draft.sorry.map(|(ip, port, at)| {
            let forwarding = draft.sorry_forwarding.unwrap_or(forwarding);
            SorryServer {
                address: SocketAddr::new(ip, self.destination_port(&service, forwarding, port, at)),
                forwarding,
                inhibit: draft.sorry_inhibit,
            }
        });
        let mut weight: u64 = 0;
        for server in std::mem::take(&mut draft.servers) {
            let server_id = RealServerId(next(&mut self.count.real_servers));
            let entry = self.finish_server(globals, config, &service, server, server_id);
            weight = weight.saturating_add(entry.real_server.weight.into());
            if self.purpose == Purpose::Run {
                config.real_servers.insert(server_id, entry);
            }
        }
        let (quorum, hysteresis) = self.quorum(&draft, weight);
        let entry = VirtualServerEntry {
            virtual_server: VirtualServer {
                id,
                services,
                label,
                scheduler: self.scheduler(&draft),
                flags: self.flags(&draft, protocol),
                persistence,
                quorum,
                hysteresis,
                sorry_server: sorry,
                omega: draft.omega,
            },
            quorum_up: draft.quorum_up,
            quorum_down: draft.quorum_down,
            mail: service
                .settings
                .alert
                .unwrap_or_else(|| globals.alert_of_virtual_servers()),
            suspend,
        };
        if self.purpose == Purpose::Run {
            config.virtual_servers.insert(id, entry);
        }
    }

    fn members(&mut self, groups: &Groups, draft: &ServiceDraft) -> Option<Vec<Member>> {
        match &draft.listen {
            Listen::Address(address) => Some(vec![Member::Address(*address)]),
            Listen::Fwmark(mark) => Some(vec![Member::Fwmark(*mark, None)]),
            Listen::Group(name) => {
                let group = groups.get(name).filter(|group| !group.members.is_empty());
                if group.is_none() {
                    self.report(
                        error(draft.at, format!("there is no virtual_server_group `{name}` with members; the virtual server is left out"))
                            .help(format!("add `virtual_server_group {name} {{ ADDRESS PORT }}`")),
                    );
                }
                group.map(|group| group.members.clone())
            }
        }
    }

    /// Whether checkers follow the address, which a firewall mark does not have.
    fn suspend(&mut self, draft: &ServiceDraft, members: &[Member]) -> bool {
        let Some(at) = draft.suspend else {
            return false;
        };
        let is_mark = |member: &Member| matches!(member, Member::Fwmark(..));
        if members.iter().any(is_mark) {
            self.report(
                error(
                    at,
                    "`ha_suspend` follows an address, which a firewall mark does not have; it is ignored",
                )
                .help("remove the line"),
            );
            return false;
        }
        true
    }

    /// The protocol; `None` for firewall marks alone.
    fn finish_protocol(&mut self, draft: &ServiceDraft, members: &[Member]) -> Option<Protocol> {
        let has_address = members
            .iter()
            .any(|member| matches!(member, Member::Address(_)));
        match (draft.protocol, has_address) {
            (Some((protocol, _)), true) => Some(protocol),
            (None, true) => {
                self.report(
                    error(
                        draft.at,
                        "this virtual server has no valid protocol; UDP is used",
                    )
                    .help("add `protocol TCP` (or UDP, SCTP)"),
                );
                Some(Protocol::Udp)
            }
            (Some((_, at)), false) => {
                self.report(
                    warning(at, "a firewall mark has no protocol; this line is ignored")
                        .help("remove the line"),
                );
                None
            }
            (None, false) => None,
        }
    }

    /// The family of the service: of its addresses, else as said, else of its servers.
    fn service_family(&mut self, draft: &ServiceDraft, members: &[Member]) -> Option<Family> {
        let of = |member: &Member| match member {
            Member::Address(address) => Some(Family::of(address.ip())),
            Member::Fwmark(_, family) => *family,
        };
        let families: BTreeSet<Family> = members.iter().filter_map(of).collect();
        if families.len() > 1 && !self.can_mix_families(draft, members) {
            return None;
        }
        let known = families.first().copied();
        let (said, said_at) = draft
            .family
            .map_or((None, draft.at), |(family, at)| (Some(family), at));
        if known.zip(said).is_some_and(|(known, said)| known != said) {
            self.report(
                error(
                    said_at,
                    "ip_family contradicts the addresses and is ignored",
                )
                .help("remove the line"),
            );
        }
        let plain = draft.servers.iter().find(|server| {
            let method = server.settings.forwarding.or(draft.settings.forwarding);
            !method.is_some_and(Forwarding::is_tunnel)
        });
        let servers: BTreeSet<Family> = draft
            .servers
            .iter()
            .map(|server| Family::of(server.ip))
            .collect();
        let common = servers.first().copied().filter(|_| servers.len() == 1);
        let family = known
            .or(said)
            .or_else(|| draft.granularity.map(|(family, _)| family))
            .or_else(|| plain.map(|server| Family::of(server.ip)))
            .or(common);
        Some(family.unwrap_or(Family::Inet))
    }

    /// Whether the members of a group may be of both families: tunnels reach every server from each of them.
    fn can_mix_families(&mut self, draft: &ServiceDraft, members: &[Member]) -> bool {
        let is_tunnel = |own: Option<Forwarding>| {
            let method = own.or(draft.settings.forwarding);
            method.is_some_and(Forwarding::is_tunnel)
        };
        let servers = draft
            .servers
            .iter()
            .map(|server| server.settings.forwarding);
        let sorry = draft.sorry.map(|_| draft.sorry_forwarding);
        let tunnels = servers.chain(sorry).all(is_tunnel);
        let fits = |member: &Member| match member {
            Member::Address(address) => address.port() != 0,
            Member::Fwmark(_, family) => family.is_some(),
        };
        let persistent = draft.timeout.is_some() || draft.granularity.is_some();
        if tunnels && !persistent && members.iter().all(fits) {
            return true;
        }
        self.report(
            error(
                draft.at,
                "the members of this group are of both families; the virtual server is left out",
            )
            .label("only tunnels without persistence serve both, with marks that name their family")
            .help("use one group for IPv4 and another one for IPv6"),
        );
        false
    }

    /// Leaves out servers of the other family, which only tunnels reach, and servers given twice.
    fn drop_unfit_servers(&mut self, draft: &mut ServiceDraft, family: Family, port: Option<u16>) {
        let method = draft.settings.forwarding;
        let is_tunnel = |own: Option<Forwarding>| own.or(method).is_some_and(Forwarding::is_tunnel);
        let mut seen = BTreeSet::new();
        let mut findings = Vec::new();
        draft.servers.retain(|server| {
            let tunnel = is_tunnel(server.settings.forwarding);
            if Family::of(server.ip) != family && !tunnel {
                findings.push(
                    error(
                        server.at,
                        format!(
                            "real server {} is of another family than its service and is left out",
                            server.ip
                        ),
                    )
                    .help("only tunnels reach the other family: `lvs_method TUN`"),
                );
                return false;
            }
            // Without address translation the port is that of the service, whatever is written.
            let translated = server
                .settings
                .forwarding
                .or(method)
                .unwrap_or(Forwarding::Nat)
                == Forwarding::Nat;
            let own = if translated && server.port != 0 {
                server.port
            } else {
                port.unwrap_or(0)
            };
            let fresh = seen.insert((server.ip, own));
            if !fresh {
                findings.push(
                    error(
                        server.at,
                        format!(
                            "real server {} port {} is given twice",
                            server.ip, server.port
                        ),
                    )
                    .label("this block is left out"),
                );
            }
            fresh
        });
        if let Some((ip, _, at)) = draft.sorry {
            let tunnel = is_tunnel(draft.sorry_forwarding);
            if Family::of(ip) != family && !tunnel {
                findings.push(error(
                    at,
                    format!(
                        "sorry server {ip} is of another family than its service and is left out"
                    ),
                ));
                draft.sorry = None;
            }
        }
        findings
            .into_iter()
            .for_each(|finding| self.report(finding));
    }

    /// The name of the service; `None` when another block has it already.
    fn service_label(
        &mut self,
        groups: &mut Groups,
        draft: &ServiceDraft,
        services: &[ServiceKey],
    ) -> Option<String> {
        let label = match &draft.listen {
            Listen::Group(name) => {
                let group = groups.get_mut(name)?;
                let number = group.users;
                group.users = number.saturating_add(1);
                format!("[{name}]:{number}")
            }
            Listen::Address(_) | Listen::Fwmark(_) => services.first()?.to_string(),
        };
        self.claim(draft, services).then_some(label)
    }

    /// Claims the keys of a service. False when one of them is taken already.
    fn claim(&mut self, draft: &ServiceDraft, services: &[ServiceKey]) -> bool {
        let group = match &draft.listen {
            Listen::Group(name) => Some(name),
            Listen::Address(_) | Listen::Fwmark(_) => None,
        };
        let is_shared = |key: &ServiceKey, other: &Option<String>| {
            matches!(key, ServiceKey::Fwmark { .. }) && group.is_some() && other.as_ref() == group
        };
        let taken = services.iter().find(|key| {
            let other = self.services.get(key);
            other.is_some_and(|other| !is_shared(key, other))
        });
        let Some(taken) = taken else {
            let keys = services.iter().map(|key| (*key, group.cloned()));
            self.services.extend(keys);
            return true;
        };
        self.report(
            error(
                draft.at,
                format!("{taken} is given twice; this virtual server is left out"),
            )
            .help("put all its real servers into one block"),
        );
        false
    }

    fn persistence(
        &mut self,
        draft: &ServiceDraft,
        family: Family,
        any_port: bool,
    ) -> Option<Persistence> {
        if any_port && draft.timeout.is_none() && draft.granularity.is_none() {
            self.report(
                error(
                    draft.at,
                    format!(
                        "a service on all ports needs persistence; {DEFAULT_PERSISTENCE} s is used"
                    ),
                )
                .help("add `persistence_timeout 360`, or a port"),
            );
        }
        let granularity = match draft.granularity {
            Some((of, length)) if of == family => Some(length),
            Some(_) => {
                self.report(error(
                    draft.at,
                    "persistence_granularity is not of the family of the service and is ignored",
                ));
                None
            }
            None => None,
        };
        let wanted = draft.timeout.is_some() || granularity.is_some() || any_port;
        if let Some((_, at)) = draft.engine.filter(|_| !wanted) {
            self.report(
                warning(at, "a persistence engine has no effect without persistence")
                    .help("add `persistence_timeout 360`"),
            );
        }
        wanted.then(|| Persistence {
            timeout_seconds: draft.timeout.unwrap_or(DEFAULT_PERSISTENCE),
            granularity: granularity.unwrap_or_else(|| family.max_prefix()),
            engine: draft.engine.map(|(engine, _)| engine),
        })
    }

    fn default_forwarding(&mut self, draft: &ServiceDraft) -> Forwarding {
        let silent = draft.settings.forwarding.is_none()
            && draft
                .servers
                .iter()
                .any(|server| server.settings.forwarding.is_none());
        if silent {
            self.report(
                error(
                    draft.at,
                    "this virtual server has no valid forwarding method; NAT is used",
                )
                .help("add `lb_kind NAT` (or DR, TUN)"),
            );
        }
        draft.settings.forwarding.unwrap_or(Forwarding::Nat)
    }

    fn scheduler(&mut self, draft: &ServiceDraft) -> Scheduler {
        if draft.scheduler.is_none() {
            self.report(
                error(
                    draft.at,
                    "this virtual server has no valid scheduler; wlc is used",
                )
                .help("add `lb_algo wlc` (or rr, wrr, lc, ...)"),
            );
        }
        draft
            .scheduler
            .unwrap_or(Scheduler::WeightedLeastConnection)
    }

    fn flags(&mut self, draft: &ServiceDraft, protocol: Option<Protocol>) -> ServiceFlags {
        let mut flags = draft.flags;
        for (flag, needs, at) in &draft.scheduler_flags {
            if draft.scheduler == Some(*needs) {
                flags |= *flag;
            } else {
                self.report(error(
                    *at,
                    format!("this needs `lb_algo {}` and is ignored", needs.name()),
                ));
            }
        }
        match (draft.one_packet, protocol) {
            (Some(at), Some(Protocol::Tcp | Protocol::Sctp)) => {
                self.report(error(
                    at,
                    "`ops` is for UDP and firewall marks only and is ignored",
                ));
            }
            (Some(_), Some(Protocol::Udp) | None) => flags |= ServiceFlags::ONE_PACKET,
            (None, _) => {}
        }
        flags
    }

    /// Quorum and hysteresis within what the weights allow; the quorum is never 0.
    fn quorum(&mut self, draft: &ServiceDraft, weight: u64) -> (u32, u32) {
        let most = u32::try_from(weight).unwrap_or(u32::MAX).max(1);
        let quorum = draft.quorum.min(most);
        if quorum != draft.quorum {
            self.report(warning(
                draft.quorum_at,
                format!(
                    "quorum {} is more than the weight of all real servers; {quorum} is used",
                    draft.quorum
                ),
            ));
        }
        let hysteresis = draft.hysteresis.min(quorum.saturating_sub(1));
        if hysteresis != draft.hysteresis {
            self.report(warning(
                draft.quorum_at,
                format!(
                    "hysteresis {} is not below the quorum; {hysteresis} is used",
                    draft.hysteresis
                ),
            ));
        }
        (quorum, hysteresis)
    }
}

fn key(member: Member, family: Family, protocol: Option<Protocol>) -> ServiceKey {
    match member {
        Member::Address(address) => ServiceKey::Address {
            address,
            protocol: protocol.unwrap_or(Protocol::Udp),
        },
        Member::Fwmark(mark, own) => ServiceKey::Fwmark {
            family: own.unwrap_or(family),
            mark,
        },
    }
}
