//! From wishes to the kernel's messages.

use std::io::Cursor;
use std::net::IpAddr;
use std::time::Duration;

use kr_model::net::Family;
use kr_model::units::IfIndex;
use kr_model::vrrp::VirtualAddress;
use neli::ToBytes;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, RtAddrFamily, RtScope, Rtm};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::rtnl::{Ifaddrmsg, IfaddrmsgBuilder, IfinfomsgBuilder, RtattrBuilder};
use neli::types::{Buffer, RtBuffer};

use super::decode::IFA_PROTO;
use super::{Change, PROTOCOL, Place};
use crate::socket::NetlinkError;

const FLAG_NODAD: u32 = 0x02;
const FLAG_HOMEADDRESS: u32 = 0x10;
const FLAG_MANAGETEMPADDR: u32 = 0x100;
const FLAG_NOPREFIXROUTE: u32 = 0x200;
const FLAG_MCAUTOJOIN: u32 = 0x400;

/// A lifetime without end.
const FOREVER: u32 = u32::MAX;

/// What a dump is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Every link.
    Links,
    /// Every address of both families.
    Addresses,
}

/// The request for a dump.
pub(super) fn dump(table: Table, sequence: u32) -> Result<Vec<u8>, NetlinkError> {
    let flags = NlmF::REQUEST | NlmF::DUMP;
    let mut bytes = Cursor::new(Vec::new());
    match table {
        Table::Links => {
            let body = IfinfomsgBuilder::default()
                .ifi_family(RtAddrFamily::Unspecified)
                .build()
                .map_err(|_| NetlinkError::Unwritable)?;
            write(&mut bytes, Rtm::Getlink, flags, sequence, body)?;
        }
        Table::Addresses => {
            let body = IfaddrmsgBuilder::default()
                .ifa_family(RtAddrFamily::Unspecified)
                .ifa_prefixlen(0)
                .ifa_scope(RtScope::Universe)
                .ifa_index(0)
                .rtattrs(RtBuffer::new())
                .build()
                .map_err(|_| NetlinkError::Unwritable)?;
            write(&mut bytes, Rtm::Getaddr, flags, sequence, body)?;
        }
    }
    Ok(bytes.into_inner())
}

/// Appends the request for a change. The kernel answers under `sequence` when it refuses, and otherwise only if that
/// is wanted.
pub(super) fn change(
    bytes: &mut Cursor<Vec<u8>>,
    change: Change<'_>,
    sequence: u32,
    answered: bool,
) -> Result<(), NetlinkError> {
    let flags = if answered {
        NlmF::REQUEST | NlmF::ACK
    } else {
        NlmF::REQUEST
    };
    match change {
        Change::Add { link, address } => {
            let flags = flags | NlmF::CREATE | NlmF::EXCL;
            write(
                bytes,
                Rtm::Newaddr,
                flags,
                sequence,
                addition(link, address, false)?,
            )
        }
        Change::Renew { link, address } => {
            let flags = flags | NlmF::CREATE | NlmF::REPLACE;
            let body = addition(link, address, true)?;
            write(bytes, Rtm::Newaddr, flags, sequence, body)
        }
        Change::Remove(place) => {
            let body = body(place, RtScope::Universe, attributes(place)?)?;
            write(bytes, Rtm::Deladdr, flags, sequence, body)
        }
    }
}

/// The address and, where there is one, its other end; without one the kernel wants the address twice.
fn attributes(place: Place) -> Result<RtBuffer<Ifa, Buffer>, NetlinkError> {
    let mut attributes = RtBuffer::new();
    let local = place.local.address();
    push(&mut attributes, Ifa::Local, &octets(local))?;
    push(
        &mut attributes,
        Ifa::Address,
        &octets(place.peer.unwrap_or(local)),
    )?;
    Ok(attributes)
}

fn addition(
    link: IfIndex,
    address: &VirtualAddress,
    renewed: bool,
) -> Result<Ifaddrmsg, NetlinkError> {
    let place = Place::of(link, address);
    let mut attributes = attributes(place)?;
    if let Some(broadcast) = address.broadcast {
        push(&mut attributes, Ifa::Broadcast, &broadcast.octets())?;
    }
    if let Some(label) = &address.label {
        let mut text = label.as_str().as_bytes().to_vec();
        text.push(0);
        push(&mut attributes, Ifa::Label, &text)?;
    }
    push(&mut attributes, Ifa::Flags, &flags(address).to_ne_bytes())?;
    let seconds = |time: Option<Duration>| {
        time.and_then(|time| u32::try_from(time.as_secs()).ok())
            .unwrap_or(FOREVER)
    };
    let valid = seconds(address.lifetime);
    let preferred = seconds(address.preferred_lifetime).min(valid);
    if preferred != FOREVER || renewed {
        // `struct ifa_cacheinfo`: preferred and valid lifetime; the two times are the kernel's to fill.
        let info = [preferred, valid, 0, 0].map(u32::to_ne_bytes).concat();
        push(&mut attributes, Ifa::Cacheinfo, &info)?;
    }
    push(&mut attributes, Ifa::from(IFA_PROTO), &[PROTOCOL])?;
    body(place, RtScope::from(address.scope), attributes)
}

/// Duplicate address detection would keep a virtual IPv6 address from being used for a second or more
/// after each take-over, so it is off unless the configuration asks for it.
fn flags(address: &VirtualAddress) -> u32 {
    let wanted = address.flags;
    let inet6 = address.address.family() == Family::Inet6;
    [
        (inet6 && !wanted.detect_duplicates, FLAG_NODAD),
        (wanted.home, FLAG_HOMEADDRESS),
        (wanted.manage_temporary, FLAG_MANAGETEMPADDR),
        (wanted.no_prefix_route, FLAG_NOPREFIXROUTE),
        (wanted.autojoin, FLAG_MCAUTOJOIN),
    ]
    .into_iter()
    .filter_map(|(set, flag)| set.then_some(flag))
    .fold(0, |all, flag| all | flag)
}

fn body(
    place: Place,
    scope: RtScope,
    attributes: RtBuffer<Ifa, Buffer>,
) -> Result<Ifaddrmsg, NetlinkError> {
    let family = match place.local.family() {
        Family::Inet => RtAddrFamily::Inet,
        Family::Inet6 => RtAddrFamily::Inet6,
    };
    IfaddrmsgBuilder::default()
        .ifa_family(family)
        .ifa_prefixlen(place.local.prefix())
        .ifa_scope(scope)
        .ifa_index(place.link.get())
        .rtattrs(attributes)
        .build()
        .map_err(|_| NetlinkError::Unwritable)
}

fn push(
    attributes: &mut RtBuffer<Ifa, Buffer>,
    kind: Ifa,
    value: &[u8],
) -> Result<(), NetlinkError> {
    let attribute = RtattrBuilder::default()
        .rta_type(kind)
        .rta_payload(Buffer::from(value))
        .build()
        .map_err(|_| NetlinkError::Unwritable)?;
    attributes.push(attribute);
    Ok(())
}

fn write<P: neli::Size + ToBytes>(
    bytes: &mut Cursor<Vec<u8>>,
    kind: Rtm,
    flags: NlmF,
    sequence: u32,
    body: P,
) -> Result<(), NetlinkError> {
    NlmsghdrBuilder::default()
        .nl_type(kind)
        .nl_flags(flags)
        .nl_seq(sequence)
        .nl_payload(NlPayload::Payload(body))
        .build()
        .map_err(|_| NetlinkError::Unwritable)?
        .to_bytes(bytes)
        .map_err(|_| NetlinkError::Unwritable)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {

    use kr_model::net::Cidr;
    use kr_model::units::IfName;
    use kr_model::vrrp::AddressFlags;

    use super::*;
    use crate::route::Event;
    use crate::route::decode::event;
    use crate::socket::messages;

    fn virtual_address(text: &str, prefix: u8) -> VirtualAddress {
        VirtualAddress {
            address: Cidr::new(text.parse().unwrap(), prefix).unwrap(),
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

    #[test]
    fn an_ipv4_addition_has_these_bytes() {
        let address = VirtualAddress {
            scope: 253,
            broadcast: Some([10, 0, 0, 255].into()),
            label: Some(IfName::try_from("eth0:1".to_owned()).unwrap()),
            flags: AddressFlags {
                no_prefix_route: true,
                ..AddressFlags::default()
            },
            ..virtual_address("10.0.0.1", 24)
        };
        let link = IfIndex::try_from(3).unwrap();
        let mut bytes = Cursor::new(Vec::new());
        change(
            &mut bytes,
            Change::Add {
                link,
                address: &address,
            },
            9,
            true,
        )
        .unwrap();
        #[rustfmt::skip]
        #[cfg(target_endian = "little")]
        assert_eq!(
            bytes.into_inner(),
            [
                76, 0, 0, 0, 20, 0, 5, 6, 9, 0, 0, 0, 0, 0, 0, 0, // RTM_NEWADDR, create, excl, ack
                2, 24, 0, 253, 3, 0, 0, 0,                        // AF_INET /24 scope link, link 3
                8, 0, 2, 0, 10, 0, 0, 1,                          // IFA_LOCAL
                8, 0, 1, 0, 10, 0, 0, 1,                          // IFA_ADDRESS
                8, 0, 4, 0, 10, 0, 0, 255,                        // IFA_BROADCAST
                11, 0, 3, 0, b'e', b't', b'h', b'0', b':', b'1', 0, 0, // IFA_LABEL
                8, 0, 8, 0, 0, 2, 0, 0,                           // IFA_FLAGS: no prefix route
                5, 0, 11, 0, 112, 0, 0, 0,                        // IFA_PROTO
            ][..]
        );
    }

    #[test]
    fn a_lifetime_is_sent_with_the_address_and_again_when_it_is_renewed() {
        let link = IfIndex::try_from(3).unwrap();
        let limited = VirtualAddress {
            lifetime: Some(Duration::from_secs(60)),
            ..virtual_address("10.0.0.1", 24)
        };
        let unlimited = virtual_address("10.0.0.1", 24);
        let lifetimes = |wanted: Change<'_>| {
            let bytes = wanted.request(1).unwrap();
            // IFA_CACHEINFO has 20 bytes.
            let start = bytes.windows(4).position(|head| head == [20, 0, 6, 0])?;
            let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            Some((number(start + 4), number(start + 8)))
        };
        let add = |address| lifetimes(Change::Add { link, address });
        let renew = |address| lifetimes(Change::Renew { link, address });
        assert_eq!(add(&limited), Some((60, 60)));
        assert_eq!(renew(&limited), Some((60, 60)));
        assert_eq!(add(&unlimited), None);
        // A lifetime that was set before ends.
        assert_eq!(renew(&unlimited), Some((FOREVER, FOREVER)));
    }

    #[test]
    fn requests_of_a_batch_are_read_back_one_by_one() {
        let link = IfIndex::try_from(4).unwrap();
        let address = VirtualAddress {
            preferred_lifetime: Some(Duration::ZERO),
            ..virtual_address("2001:db8::1", 64)
        };
        let mut bytes = Cursor::new(Vec::new());
        change(
            &mut bytes,
            Change::Add {
                link,
                address: &address,
            },
            1,
            false,
        )
        .unwrap();
        let removal = Change::Remove(Place::of(link, &address));
        change(&mut bytes, removal, 2, true).unwrap();
        let bytes = bytes.into_inner();
        let acknowledged = messages(&bytes).map(|message| message.unwrap().flags & 4 != 0);
        assert_eq!(acknowledged.collect::<Vec<_>>(), [false, true]);
        let read: Vec<_> = messages(&bytes)
            .map(|message| message.map(|m| (m.sequence, event(&m).unwrap())).unwrap())
            .collect();
        let [(1, Event::Address(added)), (2, Event::AddressGone(removed))] = &read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(added.place, Place::of(link, &address));
        assert_eq!(added.flags, FLAG_NODAD);
        assert!(added.is_ours());
        assert_eq!(removed.place, added.place);
    }
}
