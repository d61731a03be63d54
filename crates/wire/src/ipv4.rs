//! The IPv4 header (RFC 791 section 3.1), as adverts carry it: without options on the way out, with any
//! options on the way in.

use std::fmt;
use std::net::Ipv4Addr;

use crate::checksum::Checksum;
use crate::reader::{Reader, Truncated};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;
/// Protocol number of the authentication header.
pub const PROTOCOL_AH: u8 = 51;
/// Internetwork control, the type of service of adverts.
pub const TOS_INTERNETWORK_CONTROL: u8 = 0xc0;

const VERSION_AND_WORDS: u8 = 0x45;
const FRAGMENT_BITS: u16 = 0x3fff;

/// The fields that are not constant or computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
}

/// Why received bytes are no usable IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end inside the header.
    Truncated,
    /// Not version 4, or a header length below five words.
    NotIpv4,
    /// The total length is below the header's, or above what was received.
    TotalLength {
        /// What the header says.
        said: u16,
        /// How many bytes there are.
        received: usize,
    },
    /// A fragment: the kernel gives whole packets only.
    Fragment,
    /// The header checksum is wrong.
    Checksum,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("shorter than an IPv4 header"),
            Self::NotIpv4 => f.write_str("not an IPv4 header"),
            Self::TotalLength { said, received } => {
                write!(f, "total length {said}, but {received} bytes were received")
            }
            Self::Fragment => f.write_str("a fragment of a packet"),
            Self::Checksum => f.write_str("wrong header checksum"),
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Truncated> for Malformed {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// Splits a received packet into header and payload. Options are skipped; bytes behind the total length
/// are Ethernet padding and left out.
///
/// # Errors
/// See [`Malformed`].
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let mut reader = Reader::new(packet);
    let first = reader.u8()?;
    let header_len = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_len < HEADER_LEN {
        return Err(Malformed::NotIpv4);
    }
    let tos = reader.u8()?;
    let said = reader.u16()?;
    let id = reader.u16()?;
    let fragment = reader.u16()?;
    let [ttl, protocol] = reader.array()?;
    let _checksum = reader.u16()?;
    let source = Ipv4Addr::from(reader.array::<4>()?);
    let destination = Ipv4Addr::from(reader.array::<4>()?);
    let mut whole = Reader::new(packet);
    let header_bytes = whole.take(header_len)?;
    let payload = usize::from(said)
        .checked_sub(header_len)
        .and_then(|len| whole.take(len).ok())
        .ok_or(Malformed::TotalLength {
            said,
            received: packet.len(),
        })?;
    if fragment & FRAGMENT_BITS != 0 {
        return Err(Malformed::Fragment);
    }
    if Checksum::new().cover(header_bytes).finish() != 0 {
        return Err(Malformed::Checksum);
    }
    let header = Header {
        tos,
        id,
        ttl,
        protocol,
        source,
        destination,
    };
    Ok((header, payload))
}

/// The payload would make the packet longer than 65535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than an IPv4 packet can be")
    }
}

impl std::error::Error for TooLong {}

/// A packet without options that may be fragmented.
///
/// # Errors
/// When the packet would be longer than 65535 bytes.
pub fn emit(header: &Header, payload: &[u8]) -> Result<Vec<u8>, TooLong> {
    let total = u16::try_from(HEADER_LEN + payload.len()).map_err(|_| TooLong)?;
    let mut head = [0_u8; HEADER_LEN];
    fill(&mut head, header, total, 0);
    let sum = Checksum::new().cover(&head).finish();
    fill(&mut head, header, total, sum);
    Ok([head.as_slice(), payload].concat())
}

/// The bytes of the header of a packet without options, with any total length and checksum.
pub(crate) fn fill(bytes: &mut [u8; HEADER_LEN], header: &Header, total: u16, sum: u16) {
    let [t0, t1] = total.to_be_bytes();
    let [i0, i1] = header.id.to_be_bytes();
    let [c0, c1] = sum.to_be_bytes();
    let [s0, s1, s2, s3] = header.source.octets();
    let [d0, d1, d2, d3] = header.destination.octets();
    *bytes = [
        VERSION_AND_WORDS,
        header.tos,
        t0,
        t1,
        i0,
        i1,
        0,
        0,
        header.ttl,
        header.protocol,
        c0,
        c1,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The header of an advert as keepalived 2.2.7 sends it (two addresses, PASS).
    const BYTES: [u8; 20] = [
        0x45, 0xc0, 0x00, 0x2c, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0x18, 0x8d, 0xc0, 0x00, 0x02,
        0x01, 0xe0, 0x00, 0x00, 0x12,
    ];

    fn header() -> Header {
        Header {
            tos: 0xc0,
            id: 1,
            ttl: 255,
            protocol: PROTOCOL_VRRP,
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(224, 0, 0, 18),
        }
    }

    #[test]
    fn the_header_of_an_advert_has_these_bytes_both_ways() {
        let payload = [7_u8; 24];
        let packet = [BYTES.as_slice(), &payload].concat();
        assert_eq!(emit(&header(), &payload), Ok(packet.clone()));
        assert_eq!(parse(&packet), Ok((header(), payload.as_slice())));
    }

    #[test]
    fn options_are_skipped_and_padding_is_left_out() {
        let mut packet = vec![
            0x46, 0, 0, 26, 0, 1, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18, 0x94, 4, 0, 0,
            0xaa, 0xbb,
        ];
        let sum = Checksum::new().cover(&packet[..24]).finish();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend([0; 20]);
        let (parsed, payload) = parse(&packet).unwrap();
        assert_eq!((parsed.ttl, payload), (255, [0xaa, 0xbb].as_slice()));
    }

    #[test]
    fn a_bad_header_is_refused_with_its_reason() {
        let good = [BYTES.as_slice(), &[7_u8; 24]].concat();
        let with = |at: usize, value: u8| {
            let mut packet = good.clone();
            packet[at] = value;
            packet
        };
        assert_eq!(parse(&[]), Err(Malformed::Truncated));
        assert_eq!(parse(&good[..19]), Err(Malformed::Truncated));
        assert_eq!(parse(&with(0, 0x65)), Err(Malformed::NotIpv4));
        assert_eq!(parse(&with(0, 0x44)), Err(Malformed::NotIpv4));
        assert_eq!(
            parse(&with(3, 19)),
            Err(Malformed::TotalLength {
                said: 19,
                received: 44
            })
        );
        assert_eq!(
            parse(&good[..43]),
            Err(Malformed::TotalLength {
                said: 44,
                received: 43
            })
        );
        assert_eq!(parse(&with(6, 0x20)), Err(Malformed::Fragment));
        assert_eq!(parse(&with(8, 254)), Err(Malformed::Checksum));
    }

    proptest! {
        #[test]
        fn emitted_bytes_parse_to_the_same(
            tos: u8, id: u16, ttl: u8, protocol: u8, source: u32, destination: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let header = Header {
                tos, id, ttl, protocol, source: source.into(), destination: destination.into(),
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
