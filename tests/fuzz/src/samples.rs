//! Inputs that are made rather than written down: messages of an ordinary configuration for the IPC targets,
//! packets that need a checksum or a signature.

use std::path::Path;

use kr_bfd::Packet;
use kr_config::memory::MemoryHost;
use kr_config::parse::ParseOptions;
use kr_config::typed::Config;
use kr_ipc::codec::encode;
use kr_ipc::edge::{
    checkerd_ipvsd, parentd_checkerd, parentd_ipvsd, parentd_vrrpd, vrrpd_checkerd, vrrpd_ipvsd,
};
use kr_lvs::Configuration;
use kr_model::bfd;
use kr_model::check::{CheckerSnapshot, Mail, SocketRule};
use kr_model::lvs::{PoolSnapshot, Protocol, ServiceKey, Verdict};
use kr_model::units::{Discriminator, Multiplier};
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, InstanceId, Instant, TrackerId};
use serde::Serialize;

use crate::pieces::{frames, joined};

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
        kept: Vec::new(),
        resume: Default::default(),
    }
}

/// The sockets that the checker process may ask for.
pub(crate) fn socket_rules() -> Vec<SocketRule> {
    let checkers = config().checkers.into_values();
    let rules: Vec<_> = checkers
        .flat_map(|entry| entry.checker.socket_rules())
        .collect();
    assert!(!rules.is_empty(), "the sample has a mark");
    rules
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
    let forged = crate::forged_packet::samples().into_iter();
    let mut samples = messages();
    samples.extend(forged.map(|(name, data)| ("forged_packet", name, data)));
    samples
}

fn messages() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("bfd_packets", "exchange", bfd_exchange()),
        ("bfd_packets", "broken_rules", bfd_broken()),
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
    use parentd_vrrpd::ToVrrpd::{Begin, Bfd, Commit, Global, Instance, ResumeBfd, Stop};
    let config = config();
    let mut messages = vec![Begin(FIRST), Global(config.vrrp)];
    for (id, entry) in config.bfd {
        let resume = bfd_snapshot(id, &entry.session);
        messages.push(Bfd(Box::new(entry.session)));
        messages.push(ResumeBfd(Box::new(resume)));
    }
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
    use parentd_ipvsd::ToIpvsd::{
        Begin, CheckSocket, Commit, Global, RealServer, Resume, Stop, VirtualServer,
    };
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
    let rules = socket_rules().into_iter();
    messages.extend(rules.map(|rule| CheckSocket(Box::new(rule))));
    messages.extend([Commit(FIRST), Stop]);
    messages
}

fn verdicts(generation: Generation) -> Vec<checkerd_ipvsd::ToIpvsd> {
    let ids = config().checkers.into_keys();
    let both = ids.flat_map(|id| [verdict(id.0, false), verdict(id.0, true)]);
    let verdicts = both.map(|verdict| checkerd_ipvsd::ToIpvsd::Verdict {
        generation,
        verdict,
    });
    let wants = (1..).zip(socket_rules()).map(|(request, rule)| {
        checkerd_ipvsd::ToIpvsd::SocketWanted(checkerd_ipvsd::SocketWanted {
            generation,
            checker: rule.checker,
            host: rule.host,
            request,
        })
    });
    verdicts.chain(wants).collect()
}

/// The instances of the configuration.
pub(crate) fn instances() -> impl Iterator<Item = InstanceId> {
    config().instances.into_keys()
}

/// The BFD sessions of the configuration.
pub(crate) fn sessions() -> impl Iterator<Item = TrackerId> {
    config().bfd.into_keys()
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
    let instances =
        states().map(
            |(generation, instance, state)| vrrpd_checkerd::ToCheckerd::Instance {
                generation,
                instance,
                state,
            },
        );
    let reached = [bfd::Reach::Untried, bfd::Reach::Up, bfd::Reach::Down];
    let sessions = reached.into_iter().flat_map(|reach| {
        sessions().map(move |session| vrrpd_checkerd::ToCheckerd::Bfd {
            generation: FIRST,
            session,
            reach,
        })
    });
    instances.chain(sessions).collect()
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

fn bfd_snapshot(id: TrackerId, session: &bfd::Session) -> bfd::Snapshot {
    bfd::Snapshot {
        id,
        state: bfd::State::Up,
        diagnostic: bfd::Diagnostic::NONE,
        reach: bfd::Reach::Up,
        local: number(0x0102_0304),
        remote: Some(bfd::Remote {
            discriminator: number(0x0506_0708),
            state: bfd::PeerState::Up,
            diagnostic: bfd::Diagnostic::NONE,
            min_tx: session.min_tx,
            min_rx: session.min_rx,
            multiplier: session.multiplier,
            demand: false,
        }),
        min_tx: session.min_tx,
        min_rx: session.min_rx,
        since: Instant::from_micros(1),
        counters: bfd::Counters::default(),
    }
}

fn number(number: u64) -> Discriminator {
    Discriminator::try_from(number).expect("it is not 0")
}

/// What a neighbour says while a session comes up and goes down.
fn bfd_exchange() -> Vec<u8> {
    use bfd::PeerState::{AdminDown, Down, Init, Up};
    let states = [Down, Init, Up, Up, Down, AdminDown];
    let packets = states.into_iter().enumerate().map(|(place, state)| {
        let packet = Packet {
            diagnostic: bfd::Diagnostic::NONE,
            state,
            poll: place == 2,
            is_final: place == 3,
            independent: false,
            demand: false,
            multiplier: Multiplier::DEFAULT,
            mine: number(7),
            // The discriminator of a session cannot be known, and a hello needs none.
            yours: matches!(state, Init | Up).then(|| number(9)),
            min_tx: bfd::Micros::SECOND,
            min_rx: bfd::Micros(10_000),
            min_echo_rx: bfd::Micros(0),
        };
        packet.emit().to_vec()
    });
    joined(packets)
}

/// One packet for each rule of RFC 5880 section 6.8.6 that it breaks.
fn bfd_broken() -> Vec<u8> {
    let exchange = bfd_exchange();
    let hello = frames(&exchange).first().copied().unwrap_or_default();
    let changes: [(usize, u8); 7] = [
        (0, 0x40),
        (1, 0x41),
        (1, 0x44),
        (1, 0xc0),
        (2, 0),
        (3, 255),
        (7, 0),
    ];
    joined(changes.into_iter().map(|(at, byte)| {
        let mut packet = hello.to_vec();
        packet
            .iter_mut()
            .skip(at)
            .take(1)
            .for_each(|place| *place = byte);
        packet
    }))
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
