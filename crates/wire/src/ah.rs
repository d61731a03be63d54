//! The authentication header in front of a version 2 message (RFC 2338 section 5.3.6.3 with RFC 2402), in the
//! form that keepalived gives it: HMAC-MD5 cut to 96 bits, with the sender's address as security parameter
//! index.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::ipv4::{self, Header, PROTOCOL_VRRP};
use crate::reader::{Reader, Truncated};

/// Bytes of the header.
pub const HEADER_LEN: usize = 12 + ICV_LEN;

/// 96 bits of the 128.
const ICV_LEN: usize = 12;
/// Length in 32-bit words, less two.
const LENGTH_FIELD: u8 = 4;

/// Why received bytes hold no authentic message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The bytes end inside the header.
    Truncated,
    /// What follows is no VRRP message, or the header has another form.
    Form,
    /// The integrity check value is not that of the key.
    Forged,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than an authentication header",
            Self::Form => "an authentication header of another form",
            Self::Forged => "the authentication header is not made with the auth_pass set here",
        })
    }
}

impl std::error::Error for Refused {}

impl From<Truncated> for Refused {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// Puts the header in front of a message. `ip` is the header that the packet will have, with
/// [`ipv4::PROTOCOL_AH`].
#[must_use]
pub fn seal(key: &[u8; 8], ip: &Header, sequence: u32, message: &[u8]) -> Vec<u8> {
    let tag = tag(key, ip, sequence, ip.source.octets(), message);
    let mut payload = start(ip.source.octets(), sequence).to_vec();
    payload.extend(tag);
    payload.extend(message);
    payload
}

/// Takes the header off a payload after checking it: the sequence number and the message.
///
/// # Errors
/// See [`Refused`].
pub fn open<'a>(key: &[u8; 8], ip: &Header, payload: &'a [u8]) -> Result<(u32, &'a [u8]), Refused> {
    let mut reader = Reader::new(payload);
    let [next, length, _, _] = reader.array()?;
    let spi = reader.array()?;
    let sequence = u32::from_be_bytes(reader.array()?);
    let received: [u8; ICV_LEN] = reader.array()?;
    if (next, length) != (PROTOCOL_VRRP, LENGTH_FIELD) {
        return Err(Refused::Form);
    }
    let message = payload.get(HEADER_LEN..).ok_or(Refused::Truncated)?;
    mac(key, ip, sequence, spi, message)
        .verify_truncated_left(&received)
        .map_err(|_| Refused::Forged)?;
    Ok((sequence, message))
}

/// The header up to its integrity check value.
fn start(spi: [u8; 4], sequence: u32) -> [u8; 12] {
    let [i0, i1, i2, i3] = spi;
    let [s0, s1, s2, s3] = sequence.to_be_bytes();
    [
        PROTOCOL_VRRP,
        LENGTH_FIELD,
        0,
        0,
        i0,
        i1,
        i2,
        i3,
        s0,
        s1,
        s2,
        s3,
    ]
}

fn tag(
    key: &[u8; 8],
    ip: &Header,
    sequence: u32,
    spi: [u8; 4],
    message: &[u8],
) -> impl Iterator<Item = u8> {
    let whole = mac(key, ip, sequence, spi, message).finalize();
    whole.into_bytes().into_iter().take(ICV_LEN)
}

/// Covers the IP header without what routers change (RFC 2402 section 3.3.3.1.1), the authentication header
/// without its value, and the message. A multicast packet passes no router, so its time to live counts.
fn mac(key: &[u8; 8], ip: &Header, sequence: u32, spi: [u8; 4], message: &[u8]) -> Hmac<Md5> {
    let ttl = if ip.destination.is_multicast() {
        ip.ttl
    } else {
        0
    };
    let fixed = Header { tos: 0, ttl, ..*ip };
    let length = ipv4::HEADER_LEN + HEADER_LEN + message.len();
    let mut bytes = [0; ipv4::HEADER_LEN];
    ipv4::fill(
        &mut bytes,
        &fixed,
        u16::try_from(length).unwrap_or(u16::MAX),
        0,
    );
    Hmac::<Md5>::new(&block(key).into())
        .chain_update(bytes)
        .chain_update(start(spi, sequence))
        .chain_update([0; ICV_LEN])
        .chain_update(message)
}

/// A key shorter than a block of the hash is padded with zeros (RFC 2104 section 2).
fn block(key: &[u8; 8]) -> [u8; 64] {
    let mut block = [0; 64];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ipv4::PROTOCOL_AH;

    const KEY: [u8; 8] = *b"secret12";

    fn header(destination: [u8; 4]) -> Header {
        Header {
            tos: 0xc0,
            id: 1,
            ttl: 255,
            protocol: PROTOCOL_AH,
            source: [10, 7, 0, 1].into(),
            destination: destination.into(),
        }
    }

    /// As keepalived 2.2.7 sends it: to the group, and to a peer.
    #[test]
    fn the_bytes_are_those_of_keepalived_both_ways() {
        #[rustfmt::skip]
        let rows = [
            ([224, 0, 0, 18], [
                0x70, 4, 0, 0, 10, 7, 0, 1, 0, 0, 0, 1,
                0x7b, 0x5e, 0x3b, 0x79, 0xc0, 0xe8, 0x24, 0x74, 0x3c, 0xff, 0x69, 0x8b,
                0x21, 6, 0xc8, 1, 2, 1, 0x0a, 0x86, 10, 7, 0, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0,
            ]),
            ([10, 7, 0, 2], [
                0x70, 4, 0, 0, 10, 7, 0, 1, 0, 0, 0, 1,
                0xe3, 0x81, 0xdd, 0x32, 0xab, 0x85, 0x5a, 0x67, 0x3c, 0x63, 0xc9, 0x45,
                0x21, 7, 0xc8, 1, 2, 1, 0x0a, 0x84, 10, 7, 0, 0x6b, 0, 0, 0, 0, 0, 0, 0, 0,
            ]),
        ];
        for (destination, bytes) in rows {
            let message = &bytes[HEADER_LEN..];
            assert_eq!(seal(&KEY, &header(destination), 1, message), bytes);
            assert_eq!(open(&KEY, &header(destination), &bytes), Ok((1, message)));
        }
    }

    #[test]
    fn what_is_not_authentic_is_refused_with_its_reason() {
        let ip = header([224, 0, 0, 18]);
        let good = seal(&KEY, &ip, 7, b"message");
        assert_eq!(open(&KEY, &ip, &good[..23]), Err(Refused::Truncated));
        assert_eq!(open(b"secret13", &ip, &good), Err(Refused::Forged));
        let other = Header {
            source: [10, 7, 0, 3].into(),
            ..ip
        };
        assert_eq!(open(&KEY, &other, &good), Err(Refused::Forged));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            let expected = match at {
                0 | 1 => Err(Refused::Form),
                // Reserved.
                2 | 3 => Ok((7, b"message".as_slice())),
                _ => Err(Refused::Forged),
            };
            assert_eq!(open(&KEY, &ip, &changed), expected, "byte {at}");
        }
    }

    /// Routers change the type of service and, of a unicast packet, the time to live.
    #[test]
    fn what_routers_change_is_not_covered() {
        let ip = header([10, 7, 0, 2]);
        let sealed = seal(&KEY, &ip, 7, b"message");
        let routed = Header {
            tos: 0,
            ttl: 200,
            ..ip
        };
        assert!(open(&KEY, &routed, &sealed).is_ok());
        let group = header([224, 0, 0, 18]);
        let sealed = seal(&KEY, &group, 7, b"message");
        let routed = Header { ttl: 200, ..group };
        assert_eq!(open(&KEY, &routed, &sealed), Err(Refused::Forged));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same(
            key: [u8; 8], sequence: u32, id: u16,
            message in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let ip = Header { id, ..header([224, 0, 0, 18]) };
            let sealed = seal(&key, &ip, sequence, &message);
            prop_assert_eq!(open(&key, &ip, &sealed), Ok((sequence, message.as_slice())));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(open(&KEY, &header([224, 0, 0, 18]), &bytes).is_err());
        }
    }
}
