//! Unsolicited neighbour advertisements (RFC 4861 sections 4.4 and 7.2.6), which tell the segment that an
//! IPv6 address is now at this hardware address.

use std::net::{IpAddr, Ipv6Addr};

use crate::checksum::Checksum;
use crate::ipv6::{self, Header};

/// Bytes of the frame.
pub const FRAME_LEN: usize = ETHERNET_LEN + ipv6::HEADER_LEN + MESSAGE_LEN;

/// IP protocol number of ICMPv6.
const PROTOCOL_ICMPV6: u8 = 58;
/// Type, code, checksum, flags, target, target link-layer address option.
const MESSAGE_LEN: usize = 32;
const ETHERNET_LEN: usize = 14;
/// Where the whole segment listens, as IPv6 and as Ethernet address.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_HARDWARE: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_OVERRIDE: u8 = 0x20;
/// Target link-layer address, one unit of eight bytes.
const OPTION_TARGET_HARDWARE: [u8; 2] = [2, 1];

/// The Ethernet frame to all nodes: the address is source and target, the override flag is set, and the
/// router flag when this host forwards packets.
#[must_use]
pub fn unsolicited(hardware: [u8; 6], address: Ipv6Addr, router: bool) -> [u8; FRAME_LEN] {
    let flags = if router { FLAG_ROUTER } else { 0 } | FLAG_OVERRIDE;
    let message = |sum: u16| {
        let mut bytes = vec![NEIGHBOR_ADVERTISEMENT, 0];
        bytes.extend(sum.to_be_bytes());
        bytes.extend([flags, 0, 0, 0]);
        bytes.extend(address.octets());
        bytes.extend(OPTION_TARGET_HARDWARE);
        bytes.extend(hardware);
        bytes
    };
    let sum = Checksum::new()
        .cover_pseudo_header(
            IpAddr::V6(address),
            IpAddr::V6(ALL_NODES),
            PROTOCOL_ICMPV6,
            MESSAGE_LEN,
        )
        .cover(&message(0))
        .finish();
    let header = Header {
        traffic_class: 0,
        hop_limit: 255,
        next_header: PROTOCOL_ICMPV6,
        source: address,
        destination: ALL_NODES,
    };
    // 32 bytes always fit a packet.
    let packet = ipv6::emit(&header, &message(sum)).unwrap_or_default();
    let mut frame = [0; FRAME_LEN];
    let parts = ALL_NODES_HARDWARE
        .into_iter()
        .chain(hardware)
        .chain(ETHERTYPE_IPV6)
        .chain(packet);
    for (place, byte) in frame.iter_mut().zip(parts) {
        *place = byte;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As keepalived 2.2.7 sends it.
    #[test]
    fn the_frame_has_these_bytes() {
        #[rustfmt::skip]
        let expected = [
            0x33, 0x33, 0, 0, 0, 1, 0x6e, 0x25, 0x89, 0x28, 0xd0, 0x5d, 0x86, 0xdd,
            0x60, 0, 0, 0, 0, 0x20, 0x3a, 0xff,
            0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
            0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            0x88, 0, 0x31, 0x74, 0x20, 0, 0, 0,
            0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
            2, 1, 0x6e, 0x25, 0x89, 0x28, 0xd0, 0x5d,
        ];
        let hardware = [0x6e, 0x25, 0x89, 0x28, 0xd0, 0x5d];
        let address = "2001:db8:7::100".parse().unwrap();
        assert_eq!(unsolicited(hardware, address, false), expected);
    }

    #[test]
    fn a_router_says_so_and_the_checksum_follows() {
        let address = "2001:db8:7::100".parse().unwrap();
        let frame = unsolicited([2, 0, 0, 0, 0, 1], address, true);
        let (_, packet) = frame.split_at(ETHERNET_LEN);
        let (header, message) = ipv6::parse(packet).unwrap();
        assert_eq!(message[4], 0xa0);
        let sum = Checksum::new().cover_pseudo_header(
            header.source.into(),
            header.destination.into(),
            header.next_header,
            message.len(),
        );
        assert_eq!(sum.cover(message).finish(), 0);
    }
}
