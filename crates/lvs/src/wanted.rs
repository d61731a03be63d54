//! The kernel's table as it must look for given pools. A pure function of their state: whatever
//! happened before, the table is the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kr_model::ipvs::{Destination, Service, WantedService, plain};
use kr_model::lvs::{Forwarding, ServiceKey};
use kr_model::units::Weight;

use crate::pool::Pool;

/// The service that stands for `key`, made from the pools that claim it. Several do when virtual
/// servers of different protocols share the mark of a group: the first gives the settings, all give
/// destinations. `None` when no pool claims it.
pub(crate) fn wanted<'a>(
    key: ServiceKey,
    pools: impl Iterator<Item = &'a Pool>,
) -> Option<WantedService> {
    let mut out: Option<WantedService> = None;
    for pool in pools {
        let wanted = out.get_or_insert_with(|| WantedService {
            service: Service {
                scheduler: pool.config.scheduler,
                flags: pool.config.flags,
                persistence: pool.config.persistence,
            },
            destinations: BTreeMap::new(),
        });
        add_destinations(key, pool, &mut wanted.destinations);
    }
    out
}

fn add_destinations(key: ServiceKey, pool: &Pool, out: &mut BTreeMap<SocketAddr, Destination>) {
    let nothing = Weight::MIN;
    let sorry_active = pool.sorry_active();
    for server in pool.servers.values() {
        // While the sorry server has the traffic, living servers wait outside, as failed ones do.
        let serves = server.alive() && !sorry_active;
        let weight = match (serves, server.config.inhibit_on_failure) {
            (true, _) => server.weight(),
            (false, true) => nothing,
            (false, false) => continue,
        };
        let forwarding = server.config.forwarding;
        out.entry(address(key, server.config.address, forwarding))
            .or_insert(Destination {
                forwarding,
                weight,
                upper_threshold: server.config.upper_threshold,
                lower_threshold: server.config.lower_threshold,
            });
    }
    for leaver in pool.leaving() {
        // It may be a server again by another name: then it has its entry already.
        out.entry(address(key, leaver.address, leaver.forwarding))
            .or_insert(Destination {
                forwarding: leaver.forwarding,
                weight: nothing,
                upper_threshold: 0,
                lower_threshold: 0,
            });
    }
    let Some(sorry) = pool.config.sorry_server else {
        return;
    };
    let destination = |weight| Destination {
        forwarding: sorry.forwarding,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    let at = address(key, sorry.address, sorry.forwarding);
    if sorry_active {
        out.insert(at, destination(Weight::ONE));
    } else if sorry.inhibit {
        // A sorry server that is a real server too has its entry already.
        out.entry(at).or_insert_with(|| destination(nothing));
    }
}

/// Where packets go: only address translation can change the port.
pub(crate) const fn address(
    key: ServiceKey,
    configured: SocketAddr,
    forwarding: Forwarding,
) -> SocketAddr {
    let port = match (forwarding, key) {
        (Forwarding::Nat, _) => configured.port(),
        (Forwarding::Direct | Forwarding::Tunnel(_), ServiceKey::Address { address, .. }) => {
            address.port()
        }
        (Forwarding::Direct | Forwarding::Tunnel(_), ServiceKey::Fwmark { .. }) => 0,
    };
    plain(SocketAddr::new(configured.ip(), port))
}
