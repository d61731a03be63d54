//! The VRRP message of versions 2 (RFC 3768 section 5.1, authentication of RFC 2338 section 5.3.6) and 3
//! (RFC 9568 section 5.1), over IPv4 and IPv6.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use kr_model::net::Family;
use kr_model::units::Vrid;

use crate::checksum::Checksum;
use crate::ipv4::PROTOCOL_VRRP;
use crate::reader::{Reader, Truncated};
use crate::trailer::TRAILER_LEN;

/// The only message type there is.
pub const ADVERTISEMENT: u8 = 1;
/// Version 2 authentication type: none.
pub const AUTH_NONE: u8 = 0;
/// Version 2 authentication type: password in clear text.
pub const AUTH_PASSWORD: u8 = 1;
/// Version 2 authentication type: IP authentication header.
pub const AUTH_HEADER: u8 = 2;

const FIXED_LEN: usize = 8;
const AUTH_LEN: usize = 8;
const CHECKSUM_FIELD: Range<usize> = 6..8;
/// The advert interval of version 3 has twelve bits, the other four are reserved.
const V3_INTERVAL_BITS: u16 = 0x0fff;

/// A message, right or wrong: unknown types and authentication types are kept as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Message type, [`ADVERTISEMENT`]; 0 to 15.
    pub kind: u8,
    /// Virtual router.
    pub vrid: Vrid,
    /// Priority of the sender; 0 says that it stops.
    pub priority: u8,
    /// The virtual addresses, all of the family of the packet.
    pub addresses: Vec<IpAddr>,
    /// What the versions have differently.
    pub body: Body,
}

/// The fields that the versions do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// RFC 3768.
    V2 {
        /// Authentication type.
        auth_type: u8,
        /// Advert interval in whole seconds.
        interval: u8,
        /// Authentication data; not sent over IPv6.
        auth_data: [u8; AUTH_LEN],
    },
    /// RFC 9568.
    V3 {
        /// Advert interval in hundredths of a second, at most 4095.
        interval: u16,
    },
}

/// The addresses of the packet, which the checksum may cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Sender.
    pub source: IpAddr,
    /// Receiver or group.
    pub destination: IpAddr,
}

/// What the checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// What the version and the family ask for.
    Standard,
    /// The message alone also for version 3 over IPv4, as some vendors' equipment does it
    /// (`v3_checksum_as_v2`).
    MessageOnly,
}

/// A parsed message and what only its bytes can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The message.
    pub advert: Advert,
    /// The checksum is right.
    pub checksum_ok: bool,
}

/// Why received bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the fixed fields.
    Truncated,
    /// Neither version 2 nor 3.
    Version(u8),
    /// The virtual router id 0 does not exist.
    ZeroVrid,
    /// The length is not the one that the address count implies.
    Length {
        /// Bytes that the fields imply.
        expected: usize,
        /// Bytes received.
        received: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("shorter than a VRRP header"),
            Self::Version(version) => write!(f, "VRRP version {version} is unknown"),
            Self::ZeroVrid => f.write_str("virtual router id 0"),
            Self::Length { expected, received } => {
                write!(f, "{received} bytes long where its fields make {expected}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Truncated> for Malformed {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// The virtual router id field alone, to find out whose message it is.
#[must_use]
pub fn peek_vrid(message: &[u8]) -> Option<u8> {
    message.get(1).copied()
}

/// Reads a message with a checksum of the standard coverage; see [`parse_covered`].
///
/// # Errors
/// See [`Malformed`].
pub fn parse(message: &[u8], ends: Ends) -> Result<Parsed, Malformed> {
    parse_covered(message, &[], ends, Coverage::Standard)
}

/// Splits a payload into the message and the trailer of a signature, if it is longer than its fields make it by
/// exactly the length of one. Padding is never that long.
#[must_use]
pub fn split_trailer(payload: &[u8], family: Family) -> (&[u8], Option<&[u8]>) {
    let split = || {
        let [first, _, _, count] = *payload.first_chunk()?;
        let version = WireVersion::of(first)?;
        let (message, trailer) =
            payload.split_at_checked(message_len(version, family, usize::from(count)))?;
        (trailer.len() == TRAILER_LEN).then_some((message, Some(trailer)))
    };
    split().unwrap_or((payload, None))
}

/// Puts a trailer behind a message. Over IPv6 the checksum covers it too.
#[must_use]
pub fn append_trailer(message: &[u8], trailer: &[u8], ends: Ends) -> Vec<u8> {
    let mut bytes = [message, trailer].concat();
    if Family::of(ends.source) == Family::Inet6 {
        let length = bytes.len();
        if let Some(field) = bytes.get_mut(CHECKSUM_FIELD) {
            field.fill(0);
        }
        let sum = Checksum::new()
            .cover_pseudo_header(ends.source, ends.destination, PROTOCOL_VRRP, length)
            .cover(&bytes)
            .finish();
        if let Some(field) = bytes.get_mut(CHECKSUM_FIELD) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
    bytes
}

/// Reads a message in front of `trailer` (empty without a signature). Ethernet padding that slipped into the
/// payload is ignored; the reserved bits of version 3 are ignored, as RFC 9568 section 5.2.6 asks.
///
/// # Errors
/// See [`Malformed`].
pub fn parse_covered(
    message: &[u8],
    trailer: &[u8],
    ends: Ends,
    coverage: Coverage,
) -> Result<Parsed, Malformed> {
    let mut reader = Reader::new(message);
    let [first, vrid, priority, count] = reader.array()?;
    let tail = reader.array::<2>()?;
    let _checksum = reader.u16()?;
    let family = Family::of(ends.source);
    let version = WireVersion::of(first).ok_or(Malformed::Version(first >> 4))?;
    let vrid = Vrid::try_from(u64::from(vrid)).map_err(|_| Malformed::ZeroVrid)?;
    let expected = message_len(version, family, usize::from(count));
    let extra = message.len().checked_sub(expected);
    let covered = match extra {
        Some(extra) if extra == 0 || is_padding(family, expected, extra) => message.get(..expected),
        Some(_) | None => None,
    }
    .ok_or(Malformed::Length {
        expected,
        received: message.len(),
    })?;
    let addresses = (0..count)
        .map(|_| read_address(&mut reader, family))
        .collect::<Result<_, _>>()?;
    let body = match version {
        WireVersion::V2 => {
            let [auth_type, interval] = tail;
            let auth_data = match family {
                Family::Inet => reader.array()?,
                Family::Inet6 => [0; AUTH_LEN],
            };
            Body::V2 {
                auth_type,
                interval,
                auth_data,
            }
        }
        WireVersion::V3 => Body::V3 {
            interval: u16::from_be_bytes(tail) & V3_INTERVAL_BITS,
        },
    };
    let trailer = match family {
        Family::Inet => &[],
        Family::Inet6 => trailer,
    };
    let length = expected.saturating_add(trailer.len());
    let checksum_ok = start_checksum(version, ends, coverage, length)
        .cover(covered)
        .cover(trailer)
        .finish()
        == 0;
    let advert = Advert {
        kind: first & 0x0f,
        vrid,
        priority,
        addresses,
        body,
    };
    Ok(Parsed {
        advert,
        checksum_ok,
    })
}

/// More addresses than the count field can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyAddresses;

impl fmt::Display for TooManyAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an advert carries at most 255 addresses")
    }
}

impl std::error::Error for TooManyAddresses {}

/// The bytes of a message with a checksum of the standard coverage; see [`emit_covered`].
///
/// # Errors
/// When there are more than 255 addresses.
pub fn emit(advert: &Advert, ends: Ends) -> Result<Vec<u8>, TooManyAddresses> {
    emit_covered(advert, ends, Coverage::Standard)
}

/// The bytes of a message with a right checksum. Addresses of another family than `ends` are left out.
///
/// # Errors
/// When there are more than 255 addresses.
pub fn emit_covered(
    advert: &Advert,
    ends: Ends,
    coverage: Coverage,
) -> Result<Vec<u8>, TooManyAddresses> {
    let family = Family::of(ends.source);
    let carried = || {
        advert
            .addresses
            .iter()
            .filter(|address| Family::of(**address) == family)
    };
    let count = u8::try_from(carried().count()).map_err(|_| TooManyAddresses)?;
    let (version, tail) = match advert.body {
        Body::V2 {
            auth_type,
            interval,
            ..
        } => (WireVersion::V2, [auth_type, interval]),
        Body::V3 { interval } => (WireVersion::V3, (interval & V3_INTERVAL_BITS).to_be_bytes()),
    };
    let mut head = vec![
        version.number() << 4 | advert.kind & 0x0f,
        advert.vrid.get(),
        advert.priority,
        count,
    ];
    head.extend(tail);
    let mut rest = Vec::new();
    for address in carried() {
        match address {
            IpAddr::V4(v4) => rest.extend(v4.octets()),
            IpAddr::V6(v6) => rest.extend(v6.octets()),
        }
    }
    if let (Body::V2 { auth_data, .. }, Family::Inet) = (advert.body, family) {
        rest.extend(auth_data);
    }
    let sum = start_checksum(version, ends, coverage, FIXED_LEN + rest.len())
        .cover(&head)
        .cover(&rest)
        .finish();
    Ok([head.as_slice(), &sum.to_be_bytes(), &rest].concat())
}

#[derive(Debug, Clone, Copy)]
enum WireVersion {
    V2,
    V3,
}

impl WireVersion {
    /// The version in the first byte of a message.
    const fn of(first: u8) -> Option<Self> {
        match first >> 4 {
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

fn message_len(version: WireVersion, family: Family, count: usize) -> usize {
    match (version, family) {
        (WireVersion::V2, Family::Inet) => FIXED_LEN + 4 * count + AUTH_LEN,
        (WireVersion::V3, Family::Inet) => FIXED_LEN + 4 * count,
        (WireVersion::V2 | WireVersion::V3, Family::Inet6) => FIXED_LEN + 16 * count,
    }
}

/// Some senders count the padding of the shortest Ethernet frame (46 bytes of payload, the IPv4 header
/// included) into the IP length. It is an odd number of 16-bit words, since everything before it has
/// whole 32-bit words.
fn is_padding(family: Family, expected: usize, extra: usize) -> bool {
    const SHORTEST: usize = 46;
    let ip = crate::ipv4::HEADER_LEN + expected;
    family == Family::Inet && ip + extra <= SHORTEST && extra % 4 == 2
}

fn read_address(reader: &mut Reader<'_>, family: Family) -> Result<IpAddr, Truncated> {
    match family {
        Family::Inet => reader.array::<4>().map(IpAddr::from),
        Family::Inet6 => reader.array::<16>().map(IpAddr::from),
    }
}

/// Version 2 over IPv4 sums the message alone; everything else has a pseudo header in front.
fn start_checksum(version: WireVersion, ends: Ends, coverage: Coverage, len: usize) -> Checksum {
    match (version, Family::of(ends.source), coverage) {
        (WireVersion::V2, Family::Inet, _)
        | (WireVersion::V3, Family::Inet, Coverage::MessageOnly) => Checksum::new(),
        (WireVersion::V2 | WireVersion::V3, Family::Inet6, _)
        | (WireVersion::V3, Family::Inet, Coverage::Standard) => {
            Checksum::new().cover_pseudo_header(ends.source, ends.destination, PROTOCOL_VRRP, len)
        }
    }
}

#[cfg(test)]
mod tests;
