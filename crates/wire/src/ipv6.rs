//! The IPv6 header (RFC 8200 section 3), as adverts carry it: without extension headers and without a flow
//! label. The kernel gives received adverts without their header; [`parse`] is for those who see the link.

use std::fmt;
use std::net::Ipv6Addr;

use crate::reader::{Reader, Truncated};

/// Bytes of a header.
pub const HEADER_LEN: usize = 40;
/// Internetwork control, the traffic class of adverts.
pub const TRAFFIC_CLASS_INTERNETWORK_CONTROL: u8 = 0xc0;

/// The fields that are not constant or computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Traffic class.
    pub traffic_class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Protocol of the payload.
    pub next_header: u8,
    /// Sender.
    pub source: Ipv6Addr,
    /// Receiver.
    pub destination: Ipv6Addr,
}

/// Why received bytes are no usable IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end inside the header or the payload.
    Truncated,
    /// Not version 6.
    NotIpv6,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than its IPv6 header says",
            Self::NotIpv6 => "not an IPv6 header",
        })
    }
}

impl std::error::Error for Malformed {}

impl From<Truncated> for Malformed {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// Splits a packet into header and payload; the flow label is ignored. Bytes behind the payload length are
/// padding and left out.
///
/// # Errors
/// See [`Malformed`].
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let mut reader = Reader::new(packet);
    let [first, second, _, _] = reader.array()?;
    if first >> 4 != 6 {
        return Err(Malformed::NotIpv6);
    }
    let length = reader.u16()?;
    let [next_header, hop_limit] = reader.array()?;
    let header = Header {
        traffic_class: first << 4 | second >> 4,
        hop_limit,
        next_header,
        source: reader.array::<16>()?.into(),
        destination: reader.array::<16>()?.into(),
    };
    Ok((header, reader.take(usize::from(length))?))
}

/// The payload is longer than 65535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than an IPv6 packet can be")
    }
}

impl std::error::Error for TooLong {}

/// A packet without extension headers.
///
/// # Errors
/// When the payload is longer than 65535 bytes.
pub fn emit(header: &Header, payload: &[u8]) -> Result<Vec<u8>, TooLong> {
    let length = u16::try_from(payload.len()).map_err(|_| TooLong)?;
    let class = header.traffic_class;
    let mut packet = Vec::with_capacity(HEADER_LEN + payload.len());
    packet.extend([0x60 | class >> 4, class << 4, 0, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([header.next_header, header.hop_limit]);
    packet.extend(header.source.octets());
    packet.extend(header.destination.octets());
    packet.extend(payload);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            traffic_class: TRAFFIC_CLASS_INTERNETWORK_CONTROL,
            hop_limit: 255,
            next_header: 112,
            source: "fe80::6c25:89ff:fe28:d05d".parse().unwrap(),
            destination: "ff02::12".parse().unwrap(),
        }
    }

    /// The header of an advert of keepalived 2.2.7, whose flow label (0xef0b8) is the kernel's choice.
    #[test]
    fn the_header_of_an_advert_has_these_bytes_both_ways() {
        let mut bytes = vec![0x6c, 0x00, 0, 0, 0, 40, 0x70, 0xff];
        bytes.extend([
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x6c, 0x25, 0x89, 0xff, 0xfe, 0x28, 0xd0, 0x5d,
        ]);
        bytes.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12]);
        bytes.extend([7; 40]);
        assert_eq!(emit(&header(), &[7; 40]), Ok(bytes.clone()));
        bytes[1..4].copy_from_slice(&[0x0e, 0xf0, 0xb8]);
        bytes.extend([0; 3]);
        assert_eq!(parse(&bytes), Ok((header(), [7; 40].as_slice())));
    }

    #[test]
    fn a_bad_header_is_refused_with_its_reason() {
        let good = emit(&header(), &[7; 40]).unwrap();
        assert_eq!(parse(&[]), Err(Malformed::Truncated));
        assert_eq!(parse(&good[..39]), Err(Malformed::Truncated));
        assert_eq!(parse(&good[..79]), Err(Malformed::Truncated));
        let mut ipv4 = good;
        ipv4[0] = 0x45;
        assert_eq!(parse(&ipv4), Err(Malformed::NotIpv6));
    }

    proptest! {
        #[test]
        fn emitted_bytes_parse_to_the_same(
            traffic_class: u8, hop_limit: u8, next_header: u8, source: u128, destination: u128,
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let header = Header {
                traffic_class, hop_limit, next_header,
                source: source.into(), destination: destination.into(),
            };
            let packet = emit(&header, &payload).unwrap();
            prop_assert_eq!(parse(&packet), Ok((header, payload.as_slice())));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok((_, payload)) = parse(&bytes) {
                prop_assert!(payload.len() + HEADER_LEN <= bytes.len());
            }
        }
    }
}
