//! From the kernel's messages to links and addresses. Attributes that are missing or have a wrong length
//! make the message nothing; unknown ones are passed over.

use std::io::Cursor;
use std::net::IpAddr;

use kr_model::net::Cidr;
use kr_model::units::{IfIndex, IfName};
use neli::FromBytesWithInput;
use neli::consts::rtnl::{Ifa, Iff, Ifla, RtAddrFamily, Rtm};
use neli::rtnl::{Ifaddrmsg, Ifinfomsg};
use neli::types::{Buffer, RtBuffer};

use super::{Address, Event, Link, LinkDetail, Place, links};
use crate::socket::Message;

/// `IFA_PROTO`, which neli does not know yet.
pub(super) const IFA_PROTO: u16 = 11;

/// `RTM_NEWNETCONF`, which neli does not know either, with two of its attributes.
const NEW_NETCONF: u16 = 80;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
/// `AF_INET6`, and inside of its part of a link the table of settings, of which forwarding is the first.
const INET6: u16 = 10;
const INET6_CONF: u16 = 2;

/// Reads a message about a link or an address; `None` for everything else.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel has many more kinds of message"
)]
pub(super) fn event(message: &Message<'_>) -> Option<Event> {
    if message.kind == NEW_NETCONF {
        return forwarding(message.body);
    }
    match Rtm::from(message.kind) {
        Rtm::Newlink => link(message.body).map(Event::Link),
        Rtm::Dellink => link(message.body).map(|link| Event::LinkGone(link.index)),
        Rtm::Newaddr => address(message.body).map(Event::Address),
        Rtm::Deladdr => address(message.body).map(Event::AddressGone),
        _ => None,
    }
}

/// Reads the body of a link message.
fn link(body: &[u8]) -> Option<Link> {
    let message = Ifinfomsg::from_bytes_with_input(&mut Cursor::new(body), body.len()).ok()?;
    // A bridge tells of its ports in the same messages: that a port is gone does not mean the link is.
    if *message.ifi_family() != RtAddrFamily::Unspecified {
        return None;
    }
    let flags = *message.ifi_flags();
    let mut name = None;
    let mut hardware = None;
    let mut router = false;
    let mut vrf_table = None;
    let mut detail = LinkDetail {
        enabled: flags.contains(Iff::UP),
        ..LinkDetail::default()
    };
    let mut foreign = false;
    for attribute in message.rtattrs().iter() {
        let value = attribute.rta_payload().as_ref();
        let kind = u16::from(*attribute.rta_type());
        links::read(&mut detail, kind, value);
        foreign |= links::is_foreign(kind);
        if *attribute.rta_type() == Ifla::Ifname {
            name = IfName::try_from(text(value)?).ok();
        } else if *attribute.rta_type() == Ifla::Address {
            hardware = <[u8; 6]>::try_from(value).ok();
        } else if *attribute.rta_type() == Ifla::Linkinfo {
            vrf_table = table_of_vrf(value);
        } else if *attribute.rta_type() == Ifla::AfSpec {
            let settings = find(value, INET6).and_then(|inet6| find(inet6, INET6_CONF));
            router = settings.and_then(first_number).is_some_and(|on| on > 0);
        }
    }
    if foreign {
        detail.below = None;
    }
    Some(Link {
        index: IfIndex::try_from(u64::try_from(*message.ifi_index()).ok()?).ok()?,
        name: name?,
        up: flags.contains(Iff::UP | Iff::RUNNING),
        arp: !flags.contains(Iff::NOARP),
        loopback: flags.contains(Iff::LOOPBACK),
        hardware,
        router,
        vrf_table,
        detail,
    })
}

/// The table of a VRF device, from what a link says of its kind.
fn table_of_vrf(info: &[u8]) -> Option<u32> {
    const INFO_KIND: u16 = 1;
    const INFO_DATA: u16 = 2;
    const VRF_TABLE: u16 = 1;
    if text(find(info, INFO_KIND)?)? != "vrf" {
        return None;
    }
    let table = find(find(info, INFO_DATA)?, VRF_TABLE)?;
    table.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// Reads the body of a message about settings of IPv6, as far as it is about forwarding on one link.
fn forwarding(body: &[u8]) -> Option<Event> {
    let (header, attributes) = body.split_at_checked(4)?;
    if header.first().copied().map(u16::from) != Some(INET6) {
        return None;
    }
    // The settings for all links, and for new ones, have negative numbers.
    let number = first_number(find(attributes, NETCONFA_IFINDEX)?)?;
    Some(Event::Forwarding {
        link: IfIndex::try_from(u64::try_from(number).ok()?).ok()?,
        router: first_number(find(attributes, NETCONFA_FORWARDING)?)? > 0,
    })
}

/// The value of the first attribute of a kind in a row of attributes.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    const HEADER: usize = 4;
    loop {
        let ([l0, l1, k0, k1], _) = attributes.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        if u16::from_ne_bytes([*k0, *k1]) == wanted {
            return attributes.get(HEADER..length);
        }
        attributes = attributes.get(length.max(HEADER).next_multiple_of(4)..)?;
    }
}

fn first_number(value: &[u8]) -> Option<i32> {
    value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

/// Reads the body of an address message.
fn address(body: &[u8]) -> Option<Address> {
    let message = Ifaddrmsg::from_bytes_with_input(&mut Cursor::new(body), body.len()).ok()?;
    let (local, peer) = ends(message.rtattrs())?;
    let mut found = Address {
        place: Place {
            link: IfIndex::try_from(u64::from(*message.ifa_index())).ok()?,
            local: Cidr::new(local, *message.ifa_prefixlen()).ok()?,
            peer,
        },
        scope: u8::from(*message.ifa_scope()),
        protocol: None,
        flags: u32::from(message.ifa_flags().bits()),
    };
    for attribute in message.rtattrs().iter() {
        let value = attribute.rta_payload().as_ref();
        if *attribute.rta_type() == Ifa::Flags {
            found.flags = u32::from_ne_bytes(value.try_into().ok()?);
        } else if u16::from(*attribute.rta_type()) == IFA_PROTO {
            found.protocol = value.first().copied();
        }
    }
    Some(found)
}

/// The address of the link itself and, when it differs, that of the other end. IPv6 gives `IFA_LOCAL`
/// only when there is another end.
fn ends(attributes: &RtBuffer<Ifa, Buffer>) -> Option<(IpAddr, Option<IpAddr>)> {
    let mut address = None;
    let mut local = None;
    for attribute in attributes.iter() {
        let value = attribute.rta_payload().as_ref();
        if *attribute.rta_type() == Ifa::Address {
            address = ip(value);
        } else if *attribute.rta_type() == Ifa::Local {
            local = ip(value);
        }
    }
    let own = local.or(address)?;
    Some((own, address.filter(|other| *other != own)))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(value) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

/// Text up to its end mark.
pub(super) fn text(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|byte| *byte == 0);
    let bytes = value.get(..end.unwrap_or(value.len()))?;
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn read(kind: Rtm, parts: &[Vec<u8>]) -> Option<Event> {
        event(&Message {
            kind: kind.into(),
            flags: 0,
            sequence: 0,
            port: 0,
            body: &parts.concat(),
        })
    }

    /// `struct ifinfomsg` of interface 3, Ethernet, up, broadcast, running, lower up, multicast.
    fn link_header(family: u8, flags: u32) -> Vec<u8> {
        let mut bytes = vec![family, 0, 1, 0];
        bytes.extend(3_u32.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_link_is_up_only_with_a_carrier() {
        let attributes = [attribute(3, b"eth0\0"), attribute(1, &[2, 0, 0, 0, 0, 9])].concat();
        for (flags, up) in [(0x1_1043, true), (0x1003, false), (0x1_1042, false)] {
            assert_eq!(
                read(Rtm::Newlink, &[link_header(0, flags), attributes.clone()]),
                Some(Event::Link(Link {
                    index: IfIndex::try_from(3).unwrap(),
                    name: IfName::try_from("eth0".to_owned()).unwrap(),
                    up,
                    arp: true,
                    loopback: false,
                    hardware: Some([2, 0, 0, 0, 0, 9]),
                    router: false,
                    vrf_table: None,
                    detail: LinkDetail {
                        enabled: flags & 1 == 1,
                        ..LinkDetail::default()
                    },
                }))
            );
        }
    }

    #[test]
    fn a_hardware_address_that_is_not_ethernet_s_is_none() {
        for length in [0, 5, 7, 20, 32, 255] {
            let attributes = [attribute(3, b"ib0\0"), attribute(1, &[0xff; 255][..length])];
            let Some(Event::Link(link)) =
                read(Rtm::Newlink, &[link_header(0, 1), attributes.concat()])
            else {
                panic!("no link");
            };
            assert_eq!(link.hardware, None);
        }
    }

    #[test]
    fn a_link_tells_whether_it_forwards_ipv6_and_so_does_a_change() {
        let settings = |on: i32| attribute(2, &[on.to_ne_bytes(), 64_i32.to_ne_bytes()].concat());
        let family = |on| attribute(10, &[attribute(1, &[0; 4]), settings(on)].concat());
        for on in [0, 1] {
            let attributes = [attribute(3, b"eth0\0"), attribute(26, &family(on))].concat();
            let Some(Event::Link(link)) = read(Rtm::Newlink, &[link_header(0, 1), attributes])
            else {
                panic!("no link");
            };
            assert_eq!(link.router, on == 1);
        }
        let change = |family: u8, link: i32| {
            let header = vec![family, 0, 0, 0];
            let attributes = [
                attribute(1, &link.to_ne_bytes()),
                attribute(2, &1_i32.to_ne_bytes()),
            ];
            let body = [header, attributes.concat()].concat();
            event(&Message {
                kind: 80,
                flags: 0,
                sequence: 0,
                port: 0,
                body: &body,
            })
        };
        let link = IfIndex::try_from(3).unwrap();
        let router = true;
        assert_eq!(change(10, 3), Some(Event::Forwarding { link, router }));
        assert_eq!(change(10, -1), None, "all links");
        assert_eq!(change(2, 3), None, "IPv4");
    }

    #[test]
    fn a_vrf_device_tells_its_table() {
        let info = |kind: &[u8]| {
            let table = attribute(1, &7_u32.to_ne_bytes());
            attribute(18, &[attribute(1, kind), attribute(2, &table)].concat())
        };
        for (kind, expected) in [(&b"vrf\0"[..], Some(7)), (b"macvlan\0", None)] {
            let attributes = [attribute(3, b"red\0"), info(kind)].concat();
            let Some(Event::Link(link)) = read(Rtm::Newlink, &[link_header(0, 1), attributes])
            else {
                panic!("no link");
            };
            assert_eq!(link.vrf_table, expected);
        }
    }

    #[test]
    fn a_bridge_port_that_leaves_is_no_link_that_leaves() {
        let name = attribute(3, b"eth0\0");
        let gone = Some(Event::LinkGone(IfIndex::try_from(3).unwrap()));
        assert_eq!(read(Rtm::Dellink, &[link_header(0, 1), name.clone()]), gone);
        assert_eq!(read(Rtm::Dellink, &[link_header(7, 1), name]), None);
    }

    #[test]
    fn an_address_has_the_wide_flags_and_the_protocol() {
        let header = vec![2, 24, 0x80, 253, 3, 0, 0, 0];
        let attributes = [
            attribute(1, &[10, 0, 0, 1]),
            attribute(2, &[10, 0, 0, 1]),
            attribute(3, b"eth0:1\0"),
            attribute(8, &0x280_u32.to_ne_bytes()),
            attribute(11, &[112]),
            attribute(99, &[1, 2, 3]),
        ]
        .concat();
        let Some(Event::Address(found)) = read(Rtm::Newaddr, &[header, attributes]) else {
            panic!("not an address");
        };
        assert_eq!(found.place.local.to_string(), "10.0.0.1/24");
        assert_eq!(found.place.peer, None);
        assert_eq!((found.scope, found.flags), (253, 0x280));
        assert!(found.is_ours());
    }

    #[test]
    fn a_peer_is_told_from_the_own_address() {
        let header = vec![2, 32, 0x80, 0, 3, 0, 0, 0];
        let attributes = [attribute(1, &[10, 0, 0, 2]), attribute(2, &[10, 0, 0, 1])].concat();
        let Some(Event::AddressGone(found)) = read(Rtm::Deladdr, &[header, attributes]) else {
            panic!("not an address");
        };
        assert_eq!(found.place.local.to_string(), "10.0.0.1/32");
        assert_eq!(found.place.peer, Some(IpAddr::from([10, 0, 0, 2])));
        assert!(!found.is_ours());
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(kind in 14_u16..82, body: Vec<u8>) {
            let _ = event(&Message { kind, flags: 0, sequence: 0, port: 0, body: &body });
        }

        #[test]
        fn arbitrary_attributes_never_panic(
            kind in 16_u16..22,
            attributes in prop::collection::vec((0_u16..60, any::<Vec<u8>>(), -4_i16..5), 0..6),
        ) {
            let mut body = vec![0; if kind < 18 { 16 } else { 8 }];
            for (attribute_kind, value, lie) in attributes {
                let start = body.len();
                body.extend(attribute(attribute_kind, &value));
                let length = u16::try_from(value.len() + 4).unwrap();
                body[start..start + 2].copy_from_slice(&length.wrapping_add_signed(lie).to_ne_bytes());
            }
            let _ = event(&Message { kind, flags: 0, sequence: 0, port: 0, body: &body });
        }
    }
}
