//! From a configuration to the messages of each edge. Pure.
//!
//! A child gets its own slice and nothing else: the checker process never sees a VRRP password, no child
//! sees a script. What a predecessor published goes along when the child is new.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kr_config::typed::Config;
use kr_ipc::edge::parentd_checkerd::{self, AUTHORITIES_PIECE, ToCheckerd};
use kr_ipc::edge::parentd_ipvsd::{self, ToIpvsd};
use kr_ipc::edge::parentd_vrrpd::ToVrrpd;
use kr_model::check::Suspension;
use kr_model::lvs::{ServiceKey, Verdict};
use kr_model::own_link::OwnLinkKind;
use kr_model::route::Route;
use kr_model::rule::Rule;
use kr_model::track::{Tracker, TrackerSource, TrackerState};
use kr_model::vrrp::Instance;
use kr_model::{CheckerId, Generation, InstanceId, TrackerId, VirtualServerId};
use kr_sys::privilege::Duty;

use crate::changes::Changes;
use crate::published::{Published, services};

/// The slice of the VRRP process: tracked objects with their states, then the instances.
pub(crate) fn to_vrrpd(
    config: &Config,
    generation: Generation,
    resume: Option<&Published>,
    state: impl Fn(TrackerId, &TrackerSource) -> TrackerState,
) -> Vec<ToVrrpd> {
    let mut out = vec![
        ToVrrpd::Begin(generation),
        ToVrrpd::Global(config.vrrp.clone()),
    ];
    for (id, entry) in &config.bfd {
        out.push(ToVrrpd::Bfd(Box::new(entry.session.clone())));
        if let Some(snapshot) = resume.and_then(|published| published.bfd.get(id)) {
            out.push(ToVrrpd::ResumeBfd(Box::new(snapshot.clone())));
        }
    }
    for (id, entry) in &config.trackers {
        out.push(ToVrrpd::Tracker(Tracker {
            id: *id,
            kind: entry.source.kind(),
            name: entry.name.clone(),
            state: state(*id, &entry.source),
        }));
    }
    for (id, entry) in &config.instances {
        out.push(ToVrrpd::Instance(Box::new(entry.instance.clone())));
        if let Some(snapshot) = resume.and_then(|published| published.instances.get(id)) {
            out.push(ToVrrpd::Resume(snapshot.clone()));
        }
    }
    host_objects(config, &mut out);
    out.push(ToVrrpd::Commit(generation));
    out
}

/// Addresses, routes and rules that travel one by one, the static ones first: others may need them.
fn host_objects(config: &Config, out: &mut Vec<ToVrrpd>) {
    let route = |instance: Option<InstanceId>| {
        move |route: &Route| ToVrrpd::Route {
            instance,
            route: Box::new(route.clone()),
        }
    };
    let rule = |instance: Option<InstanceId>| {
        move |rule: &Rule| ToVrrpd::Rule {
            instance,
            rule: Box::new(rule.clone()),
        }
    };
    let statics = &config.statics;
    let addresses = statics.addresses.iter();
    out.extend(addresses.map(|address| ToVrrpd::StaticAddress(Box::new(address.clone()))));
    out.extend(statics.routes.iter().map(route(None)));
    out.extend(statics.rules.iter().map(rule(None)));
    for (id, entry) in &config.instances {
        out.extend(entry.routes.iter().map(route(Some(*id))));
        out.extend(entry.rules.iter().map(rule(Some(*id))));
    }
}

/// What is known of the process that a configuration is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Receiver<'a> {
    /// It was just started; a predecessor may have published something.
    New(&'a Published),
    /// It runs, and it is not certain with which configuration.
    Running,
    /// It has the one before in force, from which the new one differs in this: what is equal is only named.
    Has(&'a Changes),
}

impl<'a> Receiver<'a> {
    const fn resume(self) -> Option<&'a Published> {
        match self {
            Self::New(published) => Some(published),
            Self::Running | Self::Has(_) => None,
        }
    }

    const fn changes(self) -> Option<&'a Changes> {
        match self {
            Self::Has(changes) => Some(changes),
            Self::New(_) | Self::Running => None,
        }
    }
}

/// The slice of the checker process.
pub(crate) fn to_checkerd(
    config: &Config,
    generation: Generation,
    receiver: Receiver<'_>,
) -> Vec<ToCheckerd> {
    let resume = receiver.resume();
    let mut global = config.checker.clone();
    let authorities = global.trusted_authorities.as_mut().map(std::mem::take);
    let mut out = vec![
        ToCheckerd::Begin(generation),
        ToCheckerd::Global(Box::new(global)),
    ];
    let pieces = authorities
        .iter()
        .flat_map(|pem| pem.chunks(AUTHORITIES_PIECE));
    out.extend(pieces.map(|piece| ToCheckerd::Authorities(piece.to_vec())));
    let kept = receiver.changes();
    let kept = kept.map_or(&[][..], |changes| &changes.checkers.kept);
    let mut stay = kept.iter().peekable();
    for (id, entry) in &config.checkers {
        if stay.next_if_eq(&id).is_some() {
            continue;
        }
        out.push(ToCheckerd::Checker(Box::new(entry.checker.clone())));
        if let Some(snapshot) = resume.and_then(|published| published.checkers.get(id)) {
            out.push(ToCheckerd::Resume(*snapshot));
        }
    }
    let kept = kept.chunks(parentd_checkerd::MOST_KEPT);
    out.extend(kept.map(|ids| ToCheckerd::Kept(ids.to_vec())));
    out.extend(config.instances.keys().copied().map(ToCheckerd::Instance));
    out.extend(config.bfd.keys().copied().map(ToCheckerd::Session));
    let suspensions = suspensions(config).into_iter().map(Box::new);
    out.extend(suspensions.map(ToCheckerd::Suspension));
    out.push(ToCheckerd::Commit(generation));
    out
}

/// The checkers that follow the addresses of their virtual servers.
fn suspensions(config: &Config) -> Vec<Suspension> {
    let mut checkers: BTreeMap<VirtualServerId, Vec<CheckerId>> = BTreeMap::new();
    if !config.virtual_servers.values().any(|entry| entry.suspend) {
        return Vec::new();
    }
    for (id, entry) in &config.checkers {
        let server = config.real_servers.get(&entry.real_server);
        let owner = server.map(|entry| entry.real_server.virtual_server);
        let suspended = |id: &VirtualServerId| {
            config
                .virtual_servers
                .get(id)
                .is_some_and(|entry| entry.suspend)
        };
        if let Some(owner) = owner.filter(suspended) {
            checkers.entry(owner).or_default().push(*id);
        }
    }
    let mut out = Vec::new();
    for (id, checkers) in checkers {
        let Some(entry) = config.virtual_servers.get(&id) else {
            continue;
        };
        let services = entry.virtual_server.services.iter();
        let addresses: BTreeSet<IpAddr> = services
            .filter_map(|key| match key {
                ServiceKey::Address { address, .. } => Some(address.ip()),
                ServiceKey::Fwmark { .. } => None,
            })
            .collect();
        let instances = config.instances.values().filter(|entry| {
            let set = entry.instance.addresses.iter();
            let mut set = set.chain(&entry.instance.excluded);
            set.any(|set| addresses.contains(&set.address.address()))
        });
        let whole = Suspension {
            virtual_server: id,
            label: entry.virtual_server.label.clone(),
            instances: instances.map(|entry| entry.instance.id).collect(),
            addresses: addresses.into_iter().collect(),
            checkers: Vec::new(),
        };
        let parts = checkers.chunks(Suspension::MOST_CHECKERS);
        out.extend(parts.map(|part| Suspension {
            checkers: part.to_vec(),
            ..whole.clone()
        }));
    }
    out
}

/// The slice of the IPVS process: each virtual server, then its real servers, then the sockets that their
/// checkers may ask for.
pub(crate) fn to_ipvsd(
    config: &Config,
    generation: Generation,
    receiver: Receiver<'_>,
) -> Vec<ToIpvsd> {
    let mut out = vec![
        ToIpvsd::Begin(generation),
        ToIpvsd::Global(config.ipvs.clone()),
    ];
    let none = BTreeSet::new();
    let changes = receiver.changes();
    let kept = changes.map_or(&none, |changes| &changes.equal_pools);
    for entry in config.virtual_servers.values() {
        let server = &entry.virtual_server;
        if !kept.contains(&server.id) {
            out.push(ToIpvsd::VirtualServer(Box::new(server.clone())));
            continue;
        }
        // In their order among the others, which decides where several share a firewall mark.
        match out.last_mut() {
            Some(ToIpvsd::Kept(ids)) if ids.len() < parentd_ipvsd::MOST_KEPT => ids.push(server.id),
            _ => out.push(ToIpvsd::Kept(vec![server.id])),
        }
    }
    for entry in config.real_servers.values() {
        if !kept.contains(&entry.real_server.virtual_server) {
            out.push(ToIpvsd::RealServer(Box::new(entry.real_server.clone())));
        }
    }
    out.extend(config.instances.keys().copied().map(ToIpvsd::Instance));
    for entry in config.checkers.values() {
        let rules = entry.checker.socket_rules().into_iter();
        out.extend(rules.map(|rule| ToIpvsd::CheckSocket(Box::new(rule))));
    }
    if let Some(published) = receiver.resume() {
        resume_ipvsd(config, published, &mut out);
    }
    out.push(ToIpvsd::Commit(generation));
    out
}

/// What the VRRP process has to do beyond its usual work.
pub(crate) fn duty_of_vrrpd(config: &Config) -> Duty {
    let filters = |instance: &Instance| {
        let mut lines = instance.addresses.iter().chain(&instance.excluded);
        let link = instance.own_link.as_ref().map(|link| link.kind);
        instance.drops_traffic()
            || matches!(link, Some(OwnLinkKind::Vmac { .. }))
            || lines.any(|line| line.own_link)
    };
    let mut instances = config.instances.values();
    if instances.any(|entry| filters(&entry.instance)) {
        Duty::Firewall
    } else {
        Duty::Usual
    }
}

/// What the IPVS process has to do for the checkers of a configuration.
pub(crate) fn duty_of_ipvsd(config: &Config) -> Duty {
    let rules = config
        .checkers
        .values()
        .flat_map(|entry| entry.checker.socket_rules());
    let duties = rules.map(|rule| match rule.has_low_port() {
        true => Duty::LowPorts,
        false => Duty::Sockets,
    });
    duties.max().unwrap_or_default()
}

/// What a new IPVS process must know of the kernel and of the pools.
fn resume_ipvsd(config: &Config, published: &Published, out: &mut Vec<ToIpvsd>) {
    let mut verdicts: BTreeMap<VirtualServerId, Vec<Verdict>> = BTreeMap::new();
    for entry in config.real_servers.values() {
        let server = &entry.real_server;
        let known = server.checkers.iter();
        let known = known.filter_map(|checker| published.verdicts.get(&checker.id));
        let list = verdicts.entry(server.virtual_server).or_default();
        list.extend(known);
    }
    for id in config.virtual_servers.keys() {
        if let Some(pool) = published.pools.get(id) {
            let known = verdicts.get(id).map_or(&[][..], Vec::as_slice);
            let parts = pool.parts(known).into_iter();
            out.extend(parts.map(|part| ToIpvsd::Resume(Box::new(part))));
        }
    }
    for (id, service) in &published.departed {
        if let Some(pool) = published.pools.get(id) {
            out.push(ToIpvsd::Departed(Box::new(service.clone())));
            out.push(ToIpvsd::Resume(Box::new(pool.clone())));
        }
    }
    let present: BTreeSet<_> = services(config).collect();
    let former = published.services.difference(&present);
    out.extend(former.copied().map(ToIpvsd::Former));
    out.extend(published.timeouts.map(ToIpvsd::OriginalTimeouts));
    out.extend(published.sync.then_some(ToIpvsd::FormerSync));
}

#[cfg(test)]
mod tests {
    use kr_model::check::{Probe, SocketKind, SocketRule};
    use kr_model::lvs::ConnectionTimeouts;
    use kr_model::net::Family;
    use kr_model::units::Port;

    use std::path::Path;

    use kr_config::memory::MemoryHost;
    use kr_config::parse::ParseOptions;

    use super::*;
    use crate::sample::{config, config_with, published};

    const G: Generation = Generation(3);

    fn pending(_: TrackerId, _: &TrackerSource) -> TrackerState {
        TrackerState::Pending
    }

    #[test]
    fn each_child_gets_its_own_slice_between_begin_and_commit() {
        let config = config();
        let to_vrrpd = to_vrrpd(&config, G, None, pending);
        let [
            ToVrrpd::Begin(G),
            ToVrrpd::Global(_),
            ToVrrpd::Bfd(session),
            ToVrrpd::Instance(instance),
            ToVrrpd::Commit(G),
        ] = to_vrrpd.as_slice()
        else {
            panic!("{to_vrrpd:?}");
        };
        assert_eq!(session.name, "BFD_1");
        assert_eq!(instance.name, "VI_1");
        let to_checkerd = to_checkerd(&config, G, Receiver::Running);
        let [
            ToCheckerd::Begin(G),
            ToCheckerd::Global(_),
            ToCheckerd::Checker(checker),
            ToCheckerd::Instance(spoken_of),
            ToCheckerd::Session(_),
            ToCheckerd::Commit(G),
        ] = to_checkerd.as_slice()
        else {
            panic!("{to_checkerd:?}");
        };
        assert_eq!(checker.probe.keyword(), "TCP_CHECK");
        assert_eq!(*spoken_of, instance.id);
        let to_ipvsd = to_ipvsd(&config, G, Receiver::Running);
        let [
            ToIpvsd::Begin(G),
            ToIpvsd::Global(_),
            ToIpvsd::VirtualServer(service),
            ToIpvsd::RealServer(server),
            ToIpvsd::Instance(_),
            ToIpvsd::Commit(G),
        ] = to_ipvsd.as_slice()
        else {
            panic!("{to_ipvsd:?}");
        };
        assert_eq!(server.virtual_server, service.id);
    }

    #[test]
    fn routes_and_rules_follow_the_instances_and_the_static_ones_come_first() {
        let text = "static_ipaddress {\n 10.0.0.1/24\n}\nstatic_routes {\n 10.1.0.0/16 via 10.0.0.9\n}\n\
                    vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.2\n }\n\
                    virtual_routes {\n 10.2.0.0/16 dev eth0\n 10.1.0.0/16 dev eth0\n }\n\
                    virtual_rules {\n from 10.2.0.0/16 table 9 preference 5\n }\n}\n";
        let host = MemoryHost::with_file("/k.conf", text);
        let loaded = kr_config::load(&host, Path::new("/k.conf"), &ParseOptions::default());
        let told = to_vrrpd(&loaded.config.unwrap(), G, None, pending);
        let objects: Vec<String> = told
            .iter()
            .filter_map(|message| {
                if let ToVrrpd::StaticAddress(address) = message {
                    Some(address.address.to_string())
                } else if let ToVrrpd::Route { instance, route } = message {
                    Some(format!("{instance:?} {route}"))
                } else if let ToVrrpd::Rule { instance, rule } = message {
                    Some(format!("{instance:?} {rule}"))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(
            objects,
            [
                "10.0.0.1/24",
                "None 10.1.0.0/16 via 10.0.0.9",
                "Some(InstanceId(0)) 10.2.0.0/16 dev eth0",
                "Some(InstanceId(0)) 10.1.0.0/16 dev eth0",
                "Some(InstanceId(0)) from 10.2.0.0/16 preference 5 table 9",
            ]
        );
    }

    #[test]
    fn a_process_that_has_the_configuration_is_told_the_difference() {
        let before = config();
        let same_checkers = to_checkerd(
            &before,
            G,
            Receiver::Has(&Changes::between(&before, &before)),
        );
        assert!(matches!(
            same_checkers.as_slice(),
            [
                ToCheckerd::Begin(G),
                ToCheckerd::Global(_),
                ToCheckerd::Kept(ids),
                ToCheckerd::Instance(_),
                ToCheckerd::Session(_),
                ToCheckerd::Commit(G),
            ] if ids.len() == before.checkers.len()
        ));
        let pools = |config: &Config| -> Vec<&str> {
            to_ipvsd(config, G, Receiver::Has(&Changes::between(&before, config)))
                .iter()
                .filter_map(|message| {
                    if matches!(message, ToIpvsd::Kept(_)) {
                        Some("kept")
                    } else if matches!(message, ToIpvsd::VirtualServer(_)) {
                        Some("service")
                    } else if matches!(message, ToIpvsd::RealServer(_)) {
                        Some("server")
                    } else {
                        None
                    }
                })
                .collect()
        };
        assert_eq!(pools(&before), ["kept"]);
        let changed = config_with("weight 5", "weight 6");
        assert_eq!(pools(&changed), ["service", "server"]);
        let mut without = before.clone();
        without.real_servers.clear();
        assert_eq!(pools(&without), ["service"], "a server went");
    }

    #[test]
    fn a_successor_gets_what_was_published_of_objects_that_still_exist() {
        let mut config = config();
        let published = published(&config);
        let resumed = |config: &Config| {
            let vrrpd = to_vrrpd(config, G, Some(&published), pending);
            let checkerd = to_checkerd(config, G, Receiver::New(&published));
            let ipvsd = to_ipvsd(config, G, Receiver::New(&published));
            (
                vrrpd
                    .iter()
                    .filter(|m| matches!(m, ToVrrpd::Resume(_) | ToVrrpd::ResumeBfd(_)))
                    .count(),
                checkerd
                    .iter()
                    .filter(|m| matches!(m, ToCheckerd::Resume(_)))
                    .count(),
                ipvsd
                    .iter()
                    .filter(|m| matches!(m, ToIpvsd::Resume(_)))
                    .count(),
            )
        };
        assert_eq!(resumed(&config), (2, 1, 1));
        config.instances.clear();
        config.bfd.clear();
        config.checkers.clear();
        config.virtual_servers.clear();
        assert_eq!(resumed(&config), (0, 0, 0));
    }

    #[test]
    fn a_new_ipvs_process_learns_what_its_predecessor_left_in_the_kernel() {
        let mut config = config();
        let mut published = published(&config);
        let values = ConnectionTimeouts {
            tcp: 900,
            tcp_fin: 120,
            udp: 300,
        };
        published.timeouts = Some(values);
        published.add_services(&config);
        let key = services(&config).next().unwrap();
        let left = |config: &Config| {
            let mut messages = to_ipvsd(config, G, Receiver::New(&published));
            messages.retain(|m| matches!(m, ToIpvsd::Former(_) | ToIpvsd::OriginalTimeouts(_)));
            messages
        };
        assert_eq!(left(&config), [ToIpvsd::OriginalTimeouts(values)]);
        config.virtual_servers.clear();
        assert_eq!(
            left(&config),
            [ToIpvsd::Former(key), ToIpvsd::OriginalTimeouts(values)]
        );
        // Once a process said that it runs this configuration, nothing is left.
        published.set_services(&config);
        assert!(published.services.is_empty());
    }

    #[test]
    fn what_sockets_checkers_may_ask_for_is_told_and_decides_the_duty() {
        let mut config = config();
        let messages = |config: &Config| {
            let mut messages = to_ipvsd(config, G, Receiver::Running);
            messages.retain(|message| matches!(message, ToIpvsd::CheckSocket(_)));
            messages
        };
        assert!(messages(&config).is_empty());
        assert_eq!(duty_of_ipvsd(&config), Duty::Usual);
        let entry = config.checkers.values_mut().next().unwrap();
        let id = entry.checker.id;
        let Probe::Tcp(connection) = &mut entry.checker.probe else {
            panic!("TCP_CHECK")
        };
        connection.mark = 7;
        let rule = |source: Option<&str>| {
            ToIpvsd::CheckSocket(Box::new(SocketRule {
                checker: id,
                host: 0,
                family: Family::Inet,
                kind: SocketKind::Stream,
                source: source.map(|source| source.parse().unwrap()),
                interface: None,
                mark: 7,
            }))
        };
        assert_eq!(messages(&config), [rule(None)]);
        assert_eq!(duty_of_ipvsd(&config), Duty::Sockets);
        let entry = config.checkers.values_mut().next().unwrap();
        let Probe::Tcp(connection) = &mut entry.checker.probe else {
            panic!("TCP_CHECK")
        };
        connection.source = Some("10.0.0.9".parse().unwrap());
        connection.source_port = Some(Port::try_from(514).unwrap());
        assert_eq!(messages(&config), [rule(Some("10.0.0.9:514"))]);
        assert_eq!(duty_of_ipvsd(&config), Duty::LowPorts);
    }

    #[test]
    fn verdicts_are_gathered_and_given_back_to_their_pool() {
        let config = config();
        let mut published = published(&config);
        let (&id, &checker) = (
            config.virtual_servers.keys().next().unwrap(),
            config.checkers.keys().next().unwrap(),
        );
        for up in [false, true] {
            let mut pool = published.pools[&id].clone();
            pool.verdicts = vec![Verdict {
                checker,
                up,
                weight: None,
            }];
            published.keep_pool(pool);
        }
        let mut resumed = Vec::new();
        for message in to_ipvsd(&config, G, Receiver::New(&published)) {
            if let ToIpvsd::Resume(pool) = message {
                resumed.push(pool.verdicts);
            }
        }
        let expected = Verdict {
            checker,
            up: true,
            weight: None,
        };
        assert_eq!(resumed, [vec![expected]]);
    }

    #[test]
    fn a_suspended_service_names_the_instances_that_set_its_address() {
        let suspended = |config: &Config| {
            let mut found = Vec::new();
            for message in to_checkerd(config, G, Receiver::Running) {
                if let ToCheckerd::Suspension(suspension) = message {
                    found.push(*suspension);
                }
            }
            found
        };
        assert_eq!(suspended(&config()), []);
        let config = config_with("quorum 3", "ha_suspend");
        let expected = Suspension {
            virtual_server: *config.virtual_servers.keys().next().unwrap(),
            label: "[192.0.2.1]:tcp:80".to_owned(),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            instances: config.instances.keys().copied().collect(),
            checkers: config.checkers.keys().copied().collect(),
        };
        assert_eq!(suspended(&config), [expected]);
    }

    #[test]
    fn what_was_published_is_forgotten_with_its_object() {
        let mut config = config();
        let mut published = published(&config);
        config.virtual_servers.clear();
        published.retain(&config);
        assert_eq!(published.instances.len(), 1);
        assert!(published.pools.is_empty());
    }
}
