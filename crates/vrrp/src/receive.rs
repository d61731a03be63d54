//! The checks that a received advert passes before the election sees it (RFC 3768 section 7.1, RFC 9568
//! section 7.1), in keepalived's order: the order decides which counter a packet with two errors moves.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use kr_model::signing::Utc;
use kr_model::units::AdvertInterval;
use kr_model::vrrp::{
    Authentication, ChecksumMode, Counters, Instance, MULTICAST_V4, Transport, Version,
};
use kr_wire::advert::{
    self, ADVERTISEMENT, AUTH_HEADER, AUTH_NONE, AUTH_PASSWORD, Advert, Body, Coverage, Ends,
    Malformed,
};
use kr_wire::ipv4::{PROTOCOL_AH, PROTOCOL_VRRP};
use kr_wire::{ah, ipv4};

use crate::input::PacketHeader;
use crate::signing::{self, Sealed, Signatures};

/// What the election needs of a valid advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) source: IpAddr,
    pub(crate) priority: u8,
    pub(crate) interval: AdvertInterval,
    /// Of the authentication header, when the instance asks for one.
    pub(crate) sequence: Option<u32>,
    /// How far the sender's clock is away, when that is worth a word.
    pub(crate) clock_skew: Option<Duration>,
    /// The checksum is right only as keepalived up to 1.3.6 made it.
    pub(crate) old_checksum: bool,
}

/// What is wrong with a received packet, or strange about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// The IP protocol is not the one that the authentication asks for.
    Protocol(u8),
    /// The message cannot be read.
    Malformed(Malformed),
    /// The packet was routed, or forged: TTL (hop limit) is not 255.
    Ttl(u8),
    /// Another version than ours, 2 or 3.
    Version(u8),
    /// Authentication type above 2.
    AuthTypeUnknown(u8),
    /// Another authentication type than ours.
    AuthTypeDiffers(u8),
    /// Another password than ours.
    Password,
    /// The authentication header is not right.
    Header(ah::Refused),
    /// The sequence number of the authentication header was used before.
    Replayed(u32),
    /// The signature (`auth_hmac`) is not right.
    Signature(signing::Refused),
    /// The signature is right, but the clocks are more than half of `time_window` apart. The advert counts all the
    /// same.
    ClockSkew(Duration),
    /// Another advert interval than ours, in hundredths of a second.
    Interval {
        /// Of the sender.
        theirs: u16,
        /// Configured here.
        ours: u16,
    },
    /// Version 3: another advert interval than ours, in hundredths of a second. The advert counts all the
    /// same.
    IntervalLearned {
        /// Of the sender.
        theirs: u16,
        /// Configured here.
        ours: u16,
    },
    /// Message type is not 1.
    Type(u8),
    /// The checksum is wrong.
    Checksum,
    /// Sent to an address where the instance does not listen.
    Destination(IpAddr),
    /// The sender is no `unicast_peer`.
    NoPeer,
    /// TTL outside of the limits of the `unicast_peer`.
    PeerTtl(u8),
    /// This router owns the addresses and is told to hear nobody.
    OwnerIgnores,
    /// The addresses are not ours. The advert counts all the same.
    AddressList,
    /// Our own address and priority: a loop, or two hosts with one address.
    OwnAddress,
}

impl Complaint {
    /// Moves the counter of the statistics dump that belongs to the complaint.
    pub(crate) fn count(&self, counters: &mut Counters) {
        let counter = match self {
            Self::Protocol(_) | Self::AuthTypeDiffers(_) => &mut counters.auth_type_mismatch,
            Self::Malformed(Malformed::Version(_)) | Self::Version(_) => {
                &mut counters.version_errors
            }
            Self::Malformed(
                Malformed::Truncated | Malformed::ZeroVrid | Malformed::Length { .. },
            ) => &mut counters.packet_length_errors,
            Self::Ttl(_) | Self::PeerTtl(_) => &mut counters.ttl_errors,
            Self::AuthTypeUnknown(_) => &mut counters.invalid_auth_type,
            Self::Password | Self::Header(_) | Self::Replayed(_) => &mut counters.auth_failures,
            Self::Signature(refused) => refused.counter(counters),
            Self::Interval { .. } => &mut counters.advert_interval_errors,
            Self::Type(_) => &mut counters.invalid_type_received,
            Self::Checksum => &mut counters.checksum_errors,
            Self::AddressList => &mut counters.address_list_errors,
            Self::IntervalLearned { .. }
            | Self::ClockSkew(_)
            | Self::Destination(_)
            | Self::NoPeer
            | Self::OwnerIgnores
            | Self::OwnAddress => return,
        };
        *counter = counter.saturating_add(1);
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(protocol) => {
                write!(f, "IP protocol {protocol} does not fit auth_type")
            }
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Ttl(ttl) => write!(f, "TTL is {ttl} where 255 proves a sender on this link"),
            Self::Version(version) => {
                write!(f, "VRRP version {version} is not the version set here")
            }
            Self::AuthTypeUnknown(kind) => write!(f, "authentication type {kind} does not exist"),
            Self::AuthTypeDiffers(kind) => {
                write!(
                    f,
                    "authentication type {kind} is not the auth_type set here"
                )
            }
            Self::Password => f.write_str("the password is not the auth_pass set here"),
            Self::Header(refused) => refused.fmt(f),
            Self::Replayed(sequence) => {
                write!(
                    f,
                    "sequence number {sequence} of the authentication header is not new"
                )
            }
            Self::Signature(refused) => refused.fmt(f),
            Self::ClockSkew(skew) => write!(
                f,
                "its clock and ours are {} s apart, more than half of time_window; set both (NTP)",
                skew.as_secs()
            ),
            Self::Interval { theirs, ours } => write!(
                f,
                "advert interval {}.{:02} s, but advert_int here is {}.{:02} s",
                theirs / 100,
                theirs % 100,
                ours / 100,
                ours % 100
            ),
            Self::IntervalLearned { theirs, ours } => write!(
                f,
                "advert interval {}.{:02} s instead of the {}.{:02} s set here; it is used while that \
                 router is master",
                theirs / 100,
                theirs % 100,
                ours / 100,
                ours % 100
            ),
            Self::Type(kind) => write!(f, "message type {kind} is not an advertisement"),
            Self::Checksum => f.write_str("wrong checksum"),
            Self::Destination(address) => {
                write!(f, "sent to {address}, where this instance does not listen")
            }
            Self::NoPeer => f.write_str("it is not in unicast_peer here"),
            Self::PeerTtl(ttl) => {
                write!(
                    f,
                    "TTL {ttl} is outside of min_ttl and max_ttl of this peer"
                )
            }
            Self::OwnerIgnores => f.write_str("ignored, as owner_ignore_adverts says"),
            Self::AddressList => {
                f.write_str("its addresses are not those of virtual_ipaddress here")
            }
            Self::OwnAddress => {
                f.write_str("it has the own address and priority: a loop, or an address used twice")
            }
        }
    }
}

/// Reads and checks a packet for an instance whose own address is `own`. `signatures` are those of the instance,
/// and `utc` is the time of day.
pub(crate) fn check(
    instance: &Instance,
    own: Option<IpAddr>,
    header: PacketHeader,
    payload: &[u8],
    signatures: &mut Signatures,
    utc: Utc,
) -> Result<(Advert, Heard), Complaint> {
    let protocol = match instance.authentication {
        Authentication::Header(_) => PROTOCOL_AH,
        Authentication::None | Authentication::Password(_) | Authentication::Signed(_) => {
            PROTOCOL_VRRP
        }
    };
    if header.protocol != protocol {
        return Err(Complaint::Protocol(header.protocol));
    }
    let sealed = unseal(&instance.authentication, header, payload);
    // One that is not authentic is told from one that is no advert at all.
    let message = match sealed {
        Ok((_, message)) => message,
        Err(_) => payload.get(ah::HEADER_LEN..).unwrap_or_default(),
    };
    let (message, trailer) = match instance.authentication {
        Authentication::Signed(_) => advert::split_trailer(message, instance.family),
        Authentication::None | Authentication::Password(_) | Authentication::Header(_) => {
            (message, None)
        }
    };
    let ends = Ends {
        source: header.source,
        destination: header.destination,
    };
    // Unicast adverts may cross routers.
    let multicast = matches!(instance.transport, Transport::Multicast { .. });
    let behind = trailer.unwrap_or_default();
    let parsed = match advert::parse_covered(message, behind, ends, coverage(instance)) {
        Err(
            malformed @ (Malformed::Truncated | Malformed::ZeroVrid | Malformed::Length { .. }),
        ) => return Err(Complaint::Malformed(malformed)),
        Err(Malformed::Version(_)) | Ok(_) if header.ttl != 255 && multicast => {
            return Err(Complaint::Ttl(header.ttl));
        }
        Err(malformed @ Malformed::Version(_)) => return Err(Complaint::Malformed(malformed)),
        Ok(parsed) => parsed,
    };
    check_version(instance, parsed.advert.body)?;
    let mut clock_skew = None;
    if let Authentication::Signed(signing) = &instance.authentication {
        let sealed = Sealed {
            source: header.source,
            message,
            trailer,
        };
        clock_skew = signatures
            .accept(instance, signing, sealed, utc)
            .map_err(Complaint::Signature)?;
    }
    let interval = check_body(instance, parsed.advert.body)?;
    let (sequence, _) = sealed?;
    if parsed.advert.kind != ADVERTISEMENT {
        return Err(Complaint::Type(parsed.advert.kind));
    }
    let old_checksum = !parsed.checksum_ok;
    if old_checksum && !is_right_as_old_unicast(instance, message, ends) {
        return Err(Complaint::Checksum);
    }
    if !listens(instance, own, header.destination) {
        return Err(Complaint::Destination(header.destination));
    }
    check_peer(&instance.transport, header)?;
    let heard = Heard {
        source: header.source,
        priority: parsed.advert.priority,
        interval,
        sequence,
        clock_skew,
        old_checksum,
    };
    Ok((parsed.advert, heard))
}

/// The sequence number and the message of a packet with an authentication header that the instance can
/// check, and the whole payload where it asks for none.
fn unseal<'a>(
    authentication: &Authentication,
    header: PacketHeader,
    payload: &'a [u8],
) -> Result<(Option<u32>, &'a [u8]), Complaint> {
    let Authentication::Header(key) = authentication else {
        return Ok((None, payload));
    };
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (header.source, header.destination) else {
        return Err(Complaint::Protocol(header.protocol));
    };
    let ip = ipv4::Header {
        tos: 0,
        id: header.id,
        ttl: header.ttl,
        protocol: header.protocol,
        source,
        destination,
    };
    let (sequence, message) = ah::open(key.as_bytes(), &ip, payload).map_err(Complaint::Header)?;
    Ok((Some(sequence), message))
}

/// What the checksums of an instance cover, in both directions.
pub(crate) const fn coverage(instance: &Instance) -> Coverage {
    match instance.checksum {
        ChecksumMode::AsVersion2 => Coverage::MessageOnly,
        ChecksumMode::Standard | ChecksumMode::OldUnicast | ChecksumMode::Detect => {
            Coverage::Standard
        }
    }
}

/// The ends that keepalived up to 1.3.6 put into the pseudo header of unicast adverts.
pub(crate) const fn old_unicast_ends(ends: Ends) -> Ends {
    Ends {
        source: ends.source,
        destination: IpAddr::V4(MULTICAST_V4),
    }
}

fn is_right_as_old_unicast(instance: &Instance, message: &[u8], ends: Ends) -> bool {
    let may_be = match instance.checksum {
        ChecksumMode::OldUnicast | ChecksumMode::Detect => true,
        ChecksumMode::Standard | ChecksumMode::AsVersion2 => false,
    };
    may_be && advert::parse(message, old_unicast_ends(ends)).is_ok_and(|parsed| parsed.checksum_ok)
}

/// A unicast instance that knows its peers believes nobody else, and them within their limits.
fn check_peer(transport: &Transport, header: PacketHeader) -> Result<(), Complaint> {
    let peers = match transport {
        Transport::Unicast {
            peers,
            check_source: true,
            ..
        } => peers,
        Transport::Multicast { .. } | Transport::Unicast { .. } => return Ok(()),
    };
    match peers.iter().find(|peer| peer.address == header.source) {
        None => Err(Complaint::NoPeer),
        Some(peer) if (peer.min_ttl..=peer.max_ttl).contains(&header.ttl) => Ok(()),
        Some(_) => Err(Complaint::PeerTtl(header.ttl)),
    }
}

/// True when the instance takes adverts that are sent there.
pub(crate) fn listens(instance: &Instance, own: Option<IpAddr>, destination: IpAddr) -> bool {
    match instance.transport {
        Transport::Multicast { group, .. } => destination == group,
        Transport::Unicast { .. } => Some(destination) == own,
    }
}

const fn check_version(instance: &Instance, body: Body) -> Result<(), Complaint> {
    match (instance.version, body) {
        (Version::V3, Body::V2 { .. }) => Err(Complaint::Version(2)),
        (Version::V2, Body::V3 { .. }) => Err(Complaint::Version(3)),
        (Version::V2, Body::V2 { .. }) | (Version::V3, Body::V3 { .. }) => Ok(()),
    }
}

/// Version 2 authentication and interval; gives the sender's interval.
fn check_body(instance: &Instance, body: Body) -> Result<AdvertInterval, Complaint> {
    let ours = instance.advert_interval.get();
    match body {
        Body::V2 {
            auth_type,
            interval,
            auth_data,
        } => {
            check_authentication(&instance.authentication, auth_type, auth_data)?;
            let theirs = u16::from(interval) * 100;
            if theirs == ours {
                Ok(instance.advert_interval)
            } else {
                Err(Complaint::Interval { theirs, ours })
            }
        }
        // RFC 9568 section 5.2.7: a different interval is fine, and learned. Zero would be no interval.
        Body::V3 { interval: theirs } => AdvertInterval::try_from(u64::from(theirs))
            .map_err(|_| Complaint::Interval { theirs, ours }),
    }
}

fn check_authentication(
    ours: &Authentication,
    auth_type: u8,
    auth_data: [u8; 8],
) -> Result<(), Complaint> {
    match (ours, auth_type) {
        (Authentication::None | Authentication::Signed(_), AUTH_NONE)
        | (Authentication::Header(_), AUTH_HEADER) => Ok(()),
        (Authentication::Password(password), AUTH_PASSWORD)
            if *password.as_bytes() == auth_data =>
        {
            Ok(())
        }
        (Authentication::Password(_), AUTH_PASSWORD) => Err(Complaint::Password),
        (_, AUTH_NONE | AUTH_PASSWORD | AUTH_HEADER) => Err(Complaint::AuthTypeDiffers(auth_type)),
        (_, unknown) => Err(Complaint::AuthTypeUnknown(unknown)),
    }
}

/// True when the advert carries as many addresses as the instance has, and each of ours.
pub(crate) fn addresses_match(instance: &Instance, advert: &Advert) -> bool {
    let mut ours = instance
        .addresses
        .iter()
        .filter(|line| line.address.family() == instance.family);
    ours.clone().count() == advert.addresses.len()
        && ours.all(|line| advert.addresses.contains(&line.address.address()))
}

#[cfg(test)]
mod tests;
