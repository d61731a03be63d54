//! From a configuration to the messages of each edge. Pure.
//!
//! A child gets its own slice and nothing else: the checker process never sees a VRRP password, no child
//! sees a script. What a predecessor published goes along when the child is new.

use kr_config::typed::Config;
use kr_ipc::edge::parentd_checkerd::ToCheckerd;
use kr_ipc::edge::parentd_ipvsd::ToIpvsd;
use kr_ipc::edge::parentd_vrrpd::ToVrrpd;
use kr_model::Generation;

use crate::published::Published;

/// The slice of the VRRP process.
pub(crate) fn to_vrrpd(
    config: &Config,
    generation: Generation,
    resume: Option<&Published>,
) -> Vec<ToVrrpd> {
    let mut out = vec![
        ToVrrpd::Begin(generation),
        ToVrrpd::Global(config.vrrp.clone()),
    ];
    for (id, entry) in &config.instances {
        out.push(ToVrrpd::Instance(Box::new(entry.instance.clone())));
        if let Some(snapshot) = resume.and_then(|published| published.instances.get(id)) {
            out.push(ToVrrpd::Resume(Box::new(snapshot.clone())));
        }
    }
    out.push(ToVrrpd::Commit(generation));
    out
}

/// The slice of the checker process.
pub(crate) fn to_checkerd(
    config: &Config,
    generation: Generation,
    resume: Option<&Published>,
) -> Vec<ToCheckerd> {
    let mut out = vec![
        ToCheckerd::Begin(generation),
        ToCheckerd::Global(Box::new(config.checker.clone())),
    ];
    for (id, entry) in &config.checkers {
        out.push(ToCheckerd::Checker(Box::new(entry.checker.clone())));
        if let Some(snapshot) = resume.and_then(|published| published.checkers.get(id)) {
            out.push(ToCheckerd::Resume(*snapshot));
        }
    }
    out.push(ToCheckerd::Commit(generation));
    out
}

/// The slice of the IPVS process: each virtual server, then its real servers.
pub(crate) fn to_ipvsd(
    config: &Config,
    generation: Generation,
    resume: Option<&Published>,
) -> Vec<ToIpvsd> {
    let mut out = vec![
        ToIpvsd::Begin(generation),
        ToIpvsd::Global(config.ipvs.clone()),
    ];
    for entry in config.virtual_servers.values() {
        out.push(ToIpvsd::VirtualServer(Box::new(
            entry.virtual_server.clone(),
        )));
    }
    for entry in config.real_servers.values() {
        out.push(ToIpvsd::RealServer(Box::new(entry.real_server.clone())));
    }
    for id in config.virtual_servers.keys() {
        if let Some(snapshot) = resume.and_then(|published| published.pools.get(id)) {
            out.push(ToIpvsd::Resume(Box::new(snapshot.clone())));
        }
    }
    out.push(ToIpvsd::Commit(generation));
    out
}
