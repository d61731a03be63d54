//! Small values for the tests of this program.

use std::collections::BTreeSet;
use std::time::Duration;

use kr_model::InstanceId;
use kr_model::net::{Cidr, Family};
use kr_model::route::{
    Hop, Metrics, PROTOCOL_KEEPALIVED, Path, Placement, Route, RouteKind, TABLE_MAIN, Table,
};
use kr_model::units::{AdvertInterval, IfIndex, IfName, Priority, Vrid};
use kr_model::vrrp::{
    AddressFlags, Announce, Authentication, ChecksumMode, Instance, MULTICAST_V4, Preemption,
    Transport, Version, VirtualAddress, WantedState,
};
use kr_netlink::route::{Link, LinkDetail};

pub(crate) fn name(text: &str) -> IfName {
    IfName::try_from(text.to_owned()).unwrap()
}

pub(crate) fn index(number: u64) -> IfIndex {
    IfIndex::try_from(number).unwrap()
}

/// A plain Ethernet link that is up.
pub(crate) fn link(number: u64, text: &str) -> Link {
    Link {
        index: index(number),
        name: name(text),
        up: true,
        arp: true,
        loopback: false,
        hardware: None,
        router: false,
        vrf_table: None,
        detail: LinkDetail::default(),
    }
}

pub(crate) fn vrids(all: impl IntoIterator<Item = u64>) -> BTreeSet<Vrid> {
    all.into_iter()
        .map(|vrid| Vrid::try_from(vrid).unwrap())
        .collect()
}

/// `10.0.0.1/24`.
pub(crate) fn virtual_address(text: &str) -> VirtualAddress {
    let (address, prefix) = text.split_once('/').unwrap();
    VirtualAddress {
        address: Cidr::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap(),
        device: None,
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        tracked: true,
        preferred_lifetime: None,
        own_link: false,
        lifetime: None,
    }
}

/// `10.1.0.0/16` out of an interface.
pub(crate) fn route(destination: &str, device: &str) -> Route {
    Route {
        kind: RouteKind::Unicast,
        destination: virtual_address(destination).address,
        source: None,
        preferred_source: None,
        tos: 0,
        table: Table::Number(TABLE_MAIN),
        protocol: PROTOCOL_KEEPALIVED,
        scope: 0,
        metric: None,
        path: Path::Single(Hop {
            device: Some(name(device)),
            ..Hop::default()
        }),
        metrics: Metrics::default(),
        expires: None,
        preference: None,
        ttl_propagate: None,
        placement: Placement::Prepend,
        tracked: true,
    }
}

/// An instance whose router id is its identity.
pub(crate) fn instance(id: u32, interface: &str, addresses: &[&str]) -> Instance {
    Instance {
        id: InstanceId(id),
        name: format!("VI_{id}"),
        version: Version::V2,
        family: Family::Inet,
        interface: name(interface),
        vrid: Vrid::try_from(u64::from(id)).unwrap(),
        priority: Priority::DEFAULT,
        wanted: WantedState::Backup,
        advert_interval: AdvertInterval::DEFAULT,
        transport: Transport::Multicast {
            group: MULTICAST_V4.into(),
            source: None,
        },
        checksum: ChecksumMode::Standard,
        authentication: Authentication::None,
        group: None,
        preemption: Preemption::Immediate,
        down_timer_adverts: 3,
        addresses: addresses.iter().map(|text| virtual_address(text)).collect(),
        excluded: Vec::new(),
        announce: Announce {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 5,
            lower_priority_delay: Duration::from_secs(5),
            extra: None,
        },
        tracked_interfaces: Vec::new(),
        trackers: Vec::new(),
        own_link: None,
        address_link_prefix: String::new(),
        track_primary: true,
        answer_lower_priority: true,
        advert_before_yielding: false,
        ignore_adverts: false,
        yields_when_late: None,
        track_source: false,
        check_addresses_once: false,
        accept: true,
        promote_secondaries: false,
    }
}
