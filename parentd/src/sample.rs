//! A small configuration with one object of each kind, for tests.

use std::path::Path;

use kr_config::memory::MemoryHost;
use kr_config::parse::ParseOptions;
use kr_config::typed::Config;
use kr_model::Instant;
use kr_model::bfd;
use kr_model::check::CheckerSnapshot;
use kr_model::lvs::PoolSnapshot;
use kr_model::units::Discriminator;
use kr_model::vrrp::{Cause, Counters, Role, SignatureMarks, Snapshot};

use crate::published::Published;

const TEXT: &str = "
global_defs {
    router_id R1
    notification_email { a@example.org }
    notification_email_from b@example.org
    smtp_server 192.0.2.25
}
bfd_instance BFD_1 {
    neighbor_ip 192.0.2.7
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 1
    smtp_alert
    virtual_ipaddress {
        192.0.2.1
    }
}
virtual_server 192.0.2.1 80 {
    delay_loop 6
    protocol TCP
    lb_kind NAT
    lb_algo rr
    quorum 3
    hysteresis 1
    smtp_alert
    real_server 192.0.2.2 80 {
        weight 5
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
";

/// The configuration.
pub(crate) fn config() -> Config {
    read(TEXT)
}

/// The configuration with a piece of its text replaced.
pub(crate) fn config_with(from: &str, to: &str) -> Config {
    read(&TEXT.replace(from, to))
}

pub(crate) fn read(text: &str) -> Config {
    let path = "/k.conf";
    let mut host = MemoryHost::with_file(path, text);
    host.interfaces.push("eth0".to_owned());
    let loaded = kr_config::load(&host, Path::new(path), &ParseOptions::default());
    loaded
        .config
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

/// Something published of every object.
pub(crate) fn published(config: &Config) -> Published {
    let mut published = Published::default();
    for (id, entry) in &config.instances {
        let snapshot = Snapshot {
            id: *id,
            role: Role::Master {
                advert_at: Instant::ZERO,
            },
            priority: entry.instance.priority,
            counters: Counters::default(),
            sequence: 0,
            old_checksum: false,
            signatures: SignatureMarks::default(),
            since: Instant::ZERO,
            cause: Cause::Start,
        };
        published.instances.insert(*id, Box::new(snapshot));
    }
    for (id, entry) in &config.bfd {
        let snapshot = bfd::Snapshot {
            id: *id,
            state: bfd::State::Down,
            diagnostic: bfd::Diagnostic::EXPIRED,
            reach: bfd::Reach::Down,
            local: Discriminator::try_from(0x0000_beef).unwrap(),
            remote: None,
            min_tx: entry.session.idle_tx,
            min_rx: entry.session.min_rx,
            since: Instant::ZERO,
            counters: bfd::Counters::default(),
        };
        published.bfd.insert(*id, snapshot);
    }
    for id in config.checkers.keys() {
        let snapshot = CheckerSnapshot {
            id: *id,
            up: true,
            has_run: true,
            failures: 0,
            next_at: Instant::ZERO,
            step: 0,
            passed: 0,
            weight: None,
            attempts: 1,
            failed_attempts: 0,
        };
        published.checkers.insert(*id, snapshot);
    }
    for id in config.virtual_servers.keys() {
        let snapshot = PoolSnapshot {
            id: *id,
            quorum: Some(true),
            weight: 1,
            verdicts: Vec::new(),
            leaving: Vec::new(),
        };
        published.pools.insert(*id, snapshot);
    }
    published
}
