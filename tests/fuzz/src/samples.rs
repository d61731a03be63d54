//! Messages of an ordinary configuration, for the corpora of the IPC targets: what the parent would send.

use std::path::Path;

use kr_config::memory::MemoryHost;
use kr_config::parse::ParseOptions;
use kr_config::typed::Config;
use kr_ipc::codec::encode;
use kr_ipc::edge::{
    checkerd_ipvsd, parentd_checkerd, parentd_ipvsd, parentd_vrrpd, vrrpd_checkerd, vrrpd_ipvsd,
};
use kr_lvs::Configuration;
use kr_model::check::{CheckerSnapshot, Mail};
use kr_model::lvs::{PoolSnapshot, Protocol, ServiceKey, Verdict};
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, InstanceId, Instant};
use serde::Serialize;

use crate::pieces::joined;

/// Names one of everything that a configuration can hold.
const TEXT: &str = include_str!("sample.conf");

const FIRST: Generation = Generation(1);

fn config() -> Config {
    let path = "/etc/keepalived/keepalived.conf";
    let host = MemoryHost::with_file(path, TEXT);
    let loaded = kr_config::load(&host, Path::new(path), &ParseOptions::default());
    loaded
        .config
        .unwrap_or_else(|| panic!("the sample cannot run: {:#?}", loaded.diagnostics))
}

/// A service, whichever.
pub(crate) fn service_key() -> ServiceKey {
    ServiceKey::Address {
        address: ([192, 0, 2, 10], 80).into(),
        protocol: Protocol::Tcp,
    }
}

/// The slice of the IPVS process.
pub(crate) fn ipvs_configuration() -> Configuration {
    let config = config();
    let virtual_servers = config.virtual_servers.into_values();
    let real_servers = config.real_servers.into_values();
    Configuration {
        generation: FIRST,
        global: config.ipvs,
        virtual_servers: virtual_servers.map(|entry| entry.virtual_server).collect(),
        real_servers: real_servers.map(|entry| entry.real_server).collect(),
        resume: Default::default(),
    }
}

/// An input that is these messages.
fn input<T: Serialize>(messages: &[T]) -> Vec<u8> {
    joined(
        messages
            .iter()
            .map(|message| encode(message).expect("samples are small")),
    )
}

/// Every sample with its target and the name of its file.
#[must_use]
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("ipc_parentd_vrrpd", "configuration", input(&to_vrrpd())),
        (
            "ipc_parentd_checkerd",
            "configuration",
            input(&to_checkerd()),
        ),
        ("ipc_parentd_ipvsd", "configuration", input(&to_ipvsd())),
        ("ipc_checkerd_ipvsd", "verdicts", input(&verdicts(FIRST))),
        (
            "ipc_checkerd_ipvsd",
            "early",
            input(&verdicts(Generation(2))),
        ),
        (
            "ipc_vrrpd_checkerd",
            "states",
            input(&to_checkerd_of_vrrpd()),
        ),
        ("ipc_vrrpd_ipvsd", "states", input(&to_ipvsd_of_vrrpd())),
    ]
}

fn to_vrrpd() -> Vec<parentd_vrrpd::ToVrrpd> {
    use parentd_vrrpd::ToVrrpd::{Begin, Commit, Global, Instance, Stop};
    let config = config();
    let mut messages = vec![Begin(FIRST), Global(config.vrrp)];
    let instances = config.instances.into_values();
    messages.extend(instances.map(|entry| Instance(Box::new(entry.instance))));
    messages.extend([Commit(FIRST), Stop]);
    messages
}

fn to_checkerd() -> Vec<parentd_checkerd::ToCheckerd> {
    use parentd_checkerd::ToCheckerd::{Begin, Checker, Commit, Global, Resume, Stop};
    let config = config();
    let mut messages = vec![Begin(FIRST), Global(Box::new(config.checker))];
    for (id, entry) in config.checkers {
        messages.push(Checker(Box::new(entry.checker)));
        messages.push(Resume(snapshot(id)));
    }
    messages.extend([
        parentd_checkerd::ToCheckerd::Mail(Box::new(Mail {
            subject: "s".to_owned(),
            body: "b".to_owned(),
        })),
        Commit(FIRST),
        Stop,
    ]);
    messages
}

fn to_ipvsd() -> Vec<parentd_ipvsd::ToIpvsd> {
    use parentd_ipvsd::ToIpvsd::{Begin, Commit, Global, RealServer, Resume, Stop, VirtualServer};
    let configuration = ipvs_configuration();
    let mut messages = vec![Begin(FIRST), Global(configuration.global)];
    for server in configuration.virtual_servers {
        let id = server.id;
        messages.push(VirtualServer(Box::new(server)));
        messages.push(Resume(Box::new(PoolSnapshot {
            id,
            quorum: Some(true),
            weight: 1,
            verdicts: vec![verdict(0, true)],
            leaving: Vec::new(),
        })));
    }
    let servers = configuration.real_servers.into_iter();
    messages.extend(servers.map(|server| RealServer(Box::new(server))));
    messages.extend([Commit(FIRST), Stop]);
    messages
}

fn verdicts(generation: Generation) -> Vec<checkerd_ipvsd::ToIpvsd> {
    let ids = config().checkers.into_keys();
    let both = ids.flat_map(|id| [verdict(id.0, false), verdict(id.0, true)]);
    both.map(|verdict| checkerd_ipvsd::ToIpvsd::Verdict {
        generation,
        verdict,
    })
    .collect()
}

/// The instances of the configuration.
pub(crate) fn instances() -> impl Iterator<Item = InstanceId> {
    config().instances.into_keys()
}

/// States of this configuration, then of the next.
fn states() -> impl Iterator<Item = (Generation, InstanceId, State)> {
    [
        (FIRST, State::Backup),
        (FIRST, State::Master),
        (Generation(2), State::Fault),
    ]
    .into_iter()
    .flat_map(|(generation, state)| instances().map(move |id| (generation, id, state)))
}

fn to_checkerd_of_vrrpd() -> Vec<vrrpd_checkerd::ToCheckerd> {
    states()
        .map(
            |(generation, instance, state)| vrrpd_checkerd::ToCheckerd::Instance {
                generation,
                instance,
                state,
            },
        )
        .collect()
}

fn to_ipvsd_of_vrrpd() -> Vec<vrrpd_ipvsd::ToIpvsd> {
    states()
        .map(
            |(generation, instance, state)| vrrpd_ipvsd::ToIpvsd::Instance {
                generation,
                instance,
                state,
            },
        )
        .collect()
}

const fn snapshot(id: CheckerId) -> CheckerSnapshot {
    CheckerSnapshot {
        id,
        up: true,
        has_run: true,
        failures: 1,
        next_at: Instant::from_micros(1_000),
        step: 0,
        passed: 0,
        weight: None,
        attempts: 2,
        failed_attempts: 1,
    }
}

const fn verdict(checker: u32, up: bool) -> Verdict {
    Verdict {
        checker: CheckerId(checker),
        up,
        weight: None,
    }
}
