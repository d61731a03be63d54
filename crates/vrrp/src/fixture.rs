//! Instances and packets for the tests of this crate.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kr_model::InstanceId;
use kr_model::net::{Cidr, Family};
use kr_model::units::{AdvertInterval, IfName, Priority, Vrid};
use kr_model::vrrp::{
    AddressFlags, Announce, Authentication, ChecksumMode, Instance, MULTICAST_V4, Preemption,
    Transport, Version, VirtualAddress, WantedState,
};
use kr_wire::advert::{self, ADVERTISEMENT, AUTH_NONE, Advert, Body, Ends};
use kr_wire::ipv4::PROTOCOL_VRRP;

use crate::input::PacketHeader;

pub(crate) const ID: InstanceId = InstanceId(7);

pub(crate) fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

pub(crate) fn interface() -> IfName {
    IfName::try_from("eth0".to_owned()).unwrap()
}

pub(crate) fn address(last: u8) -> VirtualAddress {
    VirtualAddress {
        address: Cidr::new(v4(last), 24).unwrap(),
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

/// Virtual router 51, addresses .100 and .101, one second, with the defaults of keepalived.conf.
pub(crate) fn instance(priority: u8) -> Instance {
    Instance {
        id: ID,
        name: "VI_1".to_owned(),
        version: Version::V2,
        family: Family::Inet,
        interface: interface(),
        vrid: Vrid::try_from(51).unwrap(),
        priority: Priority::try_from(u64::from(priority)).unwrap(),
        wanted: WantedState::Backup,
        advert_interval: AdvertInterval::DEFAULT,
        transport: Transport::Multicast {
            group: IpAddr::V4(MULTICAST_V4),
            source: None,
        },
        checksum: ChecksumMode::Standard,
        authentication: Authentication::None,
        group: None,
        preemption: Preemption::Immediate,
        down_timer_adverts: 3,
        addresses: vec![address(100), address(101)],
        excluded: Vec::new(),
        announce: Announce {
            repeat: 2,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 1,
            lower_priority_delay: Duration::from_secs(3),
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

pub(crate) fn header(source: u8) -> PacketHeader {
    PacketHeader {
        source: v4(source),
        destination: IpAddr::V4(MULTICAST_V4),
        ttl: 255,
        protocol: PROTOCOL_VRRP,
        id: 0,
    }
}

/// The advert that fits [`instance`].
pub(crate) fn advert(priority: u8) -> Advert {
    Advert {
        kind: ADVERTISEMENT,
        vrid: Vrid::try_from(51).unwrap(),
        priority,
        addresses: vec![v4(100), v4(101)],
        body: Body::V2 {
            auth_type: AUTH_NONE,
            interval: 1,
            auth_data: [0; 8],
        },
    }
}

pub(crate) fn bytes(advert: &Advert, header: PacketHeader) -> Vec<u8> {
    let ends = Ends {
        source: header.source,
        destination: header.destination,
    };
    advert::emit(advert, ends).unwrap()
}
