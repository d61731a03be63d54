//! Services and destinations as attributes of the IPVS family (`linux/ip_vs.h`), both directions.
//!
//! A request that makes or changes a service carries all of its settings; every other one carries the
//! service's key alone, which is all that the kernel reads of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};

use kr_model::ipvs::{Destination, Operation, Service};
use kr_model::lvs::{
    ConnectionTimeouts, Forwarding, GueChecksum, Persistence, PersistenceEngine, Protocol,
    Scheduler, ServiceFlags, ServiceKey, Tunnel,
};
use kr_model::net::Family;
use kr_model::units::Weight;

use crate::attributes::{Attribute, Writer, attributes, by_kind};

/// Version of the family.
pub(super) const VERSION: u8 = 1;

/// Commands.
pub(super) mod command {
    pub(in crate::ipvs) const NEW_SERVICE: u8 = 1;
    pub(in crate::ipvs) const SET_SERVICE: u8 = 2;
    pub(in crate::ipvs) const DEL_SERVICE: u8 = 3;
    pub(in crate::ipvs) const GET_SERVICE: u8 = 4;
    pub(in crate::ipvs) const NEW_DEST: u8 = 5;
    pub(in crate::ipvs) const SET_DEST: u8 = 6;
    pub(in crate::ipvs) const DEL_DEST: u8 = 7;
    pub(in crate::ipvs) const GET_DEST: u8 = 8;
    pub(in crate::ipvs) const NEW_DAEMON: u8 = 9;
    pub(in crate::ipvs) const DEL_DAEMON: u8 = 10;
    pub(in crate::ipvs) const GET_DAEMON: u8 = 11;
    pub(in crate::ipvs) const SET_CONFIG: u8 = 12;
    pub(in crate::ipvs) const GET_CONFIG: u8 = 13;
    pub(in crate::ipvs) const GET_INFO: u8 = 15;
    pub(in crate::ipvs) const FLUSH: u8 = 17;
}

/// Attributes of a request.
const SERVICE: u16 = 1;
const DEST: u16 = 2;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;
/// Attribute of the answer to `GET_INFO`.
const INFO_VERSION: u16 = 1;

/// Attributes of a service.
const SVC_AF: u16 = 1;
const SVC_PROTOCOL: u16 = 2;
const SVC_ADDR: u16 = 3;
const SVC_PORT: u16 = 4;
const SVC_FWMARK: u16 = 5;
const SVC_SCHED_NAME: u16 = 6;
const SVC_FLAGS: u16 = 7;
const SVC_TIMEOUT: u16 = 8;
const SVC_NETMASK: u16 = 9;
const SVC_PE_NAME: u16 = 11;

/// Attributes of a destination.
const DEST_ADDR: u16 = 1;
const DEST_PORT: u16 = 2;
const DEST_FWD_METHOD: u16 = 3;
const DEST_WEIGHT: u16 = 4;
const DEST_U_THRESH: u16 = 5;
const DEST_L_THRESH: u16 = 6;
const DEST_ACTIVE: u16 = 7;
const DEST_INACTIVE: u16 = 8;
const DEST_PERSISTENT: u16 = 9;
const DEST_ADDR_FAMILY: u16 = 11;
const DEST_TUN_TYPE: u16 = 13;
const DEST_TUN_PORT: u16 = 14;
const DEST_TUN_FLAGS: u16 = 15;

/// `AF_INET` and `AF_INET6`.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The flag of a service that the kernel keeps apart from [`ServiceFlags`]: it is persistent.
const FLAG_PERSISTENT: u32 = 1;

const FWD_NAT: u32 = 0;
const FWD_TUNNEL: u32 = 2;
const FWD_DIRECT: u32 = 3;
const TUN_IPIP: u8 = 0;
const TUN_GUE: u8 = 1;
const TUN_GRE: u8 = 2;
const TUN_NOCSUM: u16 = 0;
const TUN_CSUM: u16 = 1;
const TUN_REMCSUM: u16 = 2;

/// The command of an operation.
pub(super) const fn command_of(operation: &Operation) -> u8 {
    match operation {
        Operation::Flush => command::FLUSH,
        Operation::AddService { .. } => command::NEW_SERVICE,
        Operation::SetService { .. } => command::SET_SERVICE,
        Operation::RemoveService { .. } => command::DEL_SERVICE,
        Operation::AddDestination { .. } => command::NEW_DEST,
        Operation::SetDestination { .. } => command::SET_DEST,
        Operation::RemoveDestination { .. } => command::DEL_DEST,
        Operation::SetTimeouts(_) => command::SET_CONFIG,
    }
}

/// Writes the attributes of an operation.
pub(super) fn write_operation(writer: &mut Writer, operation: &Operation) {
    match operation {
        Operation::Flush => {}
        Operation::AddService { key, service } | Operation::SetService { key, service } => {
            writer.nest(SERVICE, |w| {
                write_key(w, *key);
                write_settings(w, key.family(), service);
            });
        }
        Operation::RemoveService { key } => write_service_key(writer, *key),
        Operation::AddDestination {
            key,
            address,
            destination,
        }
        | Operation::SetDestination {
            key,
            address,
            destination,
        } => {
            write_service_key(writer, *key);
            writer.nest(DEST, |w| {
                write_destination_key(w, *address);
                write_destination(w, destination);
            });
        }
        Operation::RemoveDestination { key, address } => {
            write_service_key(writer, *key);
            writer.nest(DEST, |w| write_destination_key(w, *address));
        }
        Operation::SetTimeouts(timeouts) => {
            writer.attribute(TIMEOUT_TCP, &timeouts.tcp.to_ne_bytes());
            writer.attribute(TIMEOUT_TCP_FIN, &timeouts.tcp_fin.to_ne_bytes());
            writer.attribute(TIMEOUT_UDP, &timeouts.udp.to_ne_bytes());
        }
    }
}

/// Writes what names a service.
pub(super) fn write_service_key(writer: &mut Writer, key: ServiceKey) {
    writer.nest(SERVICE, |w| write_key(w, key));
}

fn write_key(w: &mut Writer, key: ServiceKey) {
    w.attribute(SVC_AF, &family_number(key.family()).to_ne_bytes());
    match key {
        ServiceKey::Address { address, protocol } => {
            w.attribute(SVC_PROTOCOL, &u16::from(protocol.number()).to_ne_bytes());
            w.attribute(SVC_ADDR, &padded(address.ip()));
            w.attribute(SVC_PORT, &address.port().to_be_bytes());
        }
        ServiceKey::Fwmark { mark, .. } => w.attribute(SVC_FWMARK, &mark.get().to_ne_bytes()),
    }
}

fn write_settings(w: &mut Writer, family: Family, service: &Service) {
    w.text(SVC_SCHED_NAME, service.scheduler.name());
    let persistent = if service.persistence.is_some() {
        FLAG_PERSISTENT
    } else {
        0
    };
    let mut flags = (service.flags.bits() | persistent).to_ne_bytes().to_vec();
    // Mask: every flag is meant.
    flags.extend(u32::MAX.to_ne_bytes());
    w.attribute(SVC_FLAGS, &flags);
    let (timeout, granularity) = match service.persistence {
        Some(persistence) => (persistence.timeout_seconds, persistence.granularity),
        None => (0, family.max_prefix()),
    };
    w.attribute(SVC_TIMEOUT, &timeout.to_ne_bytes());
    let netmask = match family {
        Family::Inet => {
            let host_bits = u32::from(32_u8.saturating_sub(granularity));
            u32::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes()
        }
        Family::Inet6 => u32::from(granularity).to_ne_bytes(),
    };
    w.attribute(SVC_NETMASK, &netmask);
    // Without this attribute the kernel takes an engine away.
    if let Some(engine) = service
        .persistence
        .and_then(|persistence| persistence.engine)
    {
        w.text(SVC_PE_NAME, engine.name());
    }
}

fn write_destination_key(w: &mut Writer, address: SocketAddr) {
    w.attribute(
        DEST_ADDR_FAMILY,
        &family_number(Family::of(address.ip())).to_ne_bytes(),
    );
    w.attribute(DEST_ADDR, &padded(address.ip()));
    w.attribute(DEST_PORT, &address.port().to_be_bytes());
}

fn write_destination(w: &mut Writer, destination: &Destination) {
    let method = match destination.forwarding {
        Forwarding::Nat => FWD_NAT,
        Forwarding::Tunnel(_) => FWD_TUNNEL,
        Forwarding::Direct => FWD_DIRECT,
    };
    w.attribute(DEST_FWD_METHOD, &method.to_ne_bytes());
    w.attribute(DEST_WEIGHT, &destination.weight.get().to_ne_bytes());
    if let Forwarding::Tunnel(tunnel) = destination.forwarding {
        write_tunnel(w, tunnel);
    }
    w.attribute(DEST_U_THRESH, &destination.upper_threshold.to_ne_bytes());
    w.attribute(DEST_L_THRESH, &destination.lower_threshold.to_ne_bytes());
}

fn write_tunnel(w: &mut Writer, tunnel: Tunnel) {
    let (kind, flags) = match tunnel {
        Tunnel::Ipip => (TUN_IPIP, TUN_NOCSUM),
        Tunnel::Gue { checksum, .. } => {
            let flags = match checksum {
                GueChecksum::None => TUN_NOCSUM,
                GueChecksum::Full => TUN_CSUM,
                GueChecksum::Remote => TUN_REMCSUM,
            };
            (TUN_GUE, flags)
        }
        Tunnel::Gre { checksum: false } => (TUN_GRE, TUN_NOCSUM),
        Tunnel::Gre { checksum: true } => (TUN_GRE, TUN_CSUM),
    };
    w.attribute(DEST_TUN_TYPE, &[kind]);
    if let Tunnel::Gue { port, .. } = tunnel {
        w.attribute(DEST_TUN_PORT, &port.get().to_be_bytes());
    }
    if tunnel != Tunnel::Ipip {
        w.attribute(DEST_TUN_FLAGS, &flags.to_ne_bytes());
    }
}

/// A service of the kernel: its key, and its settings when a configuration can ask for them. `None` when
/// no configuration can name it, or the bytes are not one.
#[must_use]
pub fn read_service(attrs: &[u8]) -> Option<(ServiceKey, Option<Service>)> {
    let nest = attributes(attrs).find(|attribute| attribute.kind == SERVICE)?;
    let slots = by_kind(nest.payload);
    let get = |kind: u16| slots.get(usize::from(kind)).copied().flatten();
    let family = family_from(get(SVC_AF)?.u16()?)?;
    let key = match get(SVC_FWMARK) {
        Some(mark) => ServiceKey::Fwmark {
            family,
            mark: NonZeroU32::new(mark.u32()?)?,
        },
        None => ServiceKey::Address {
            address: SocketAddr::new(address(family, &get(SVC_ADDR)?)?, get(SVC_PORT)?.be16()?),
            protocol: protocol_from(get(SVC_PROTOCOL)?.u16()?)?,
        },
    };
    Some((key, read_settings(family, get)))
}

fn read_settings<'a>(
    family: Family,
    get: impl Fn(u16) -> Option<Attribute<'a>>,
) -> Option<Service> {
    let engine = match get(SVC_PE_NAME) {
        Some(name) => Some(PersistenceEngine::from_name(name.text()?)?),
        None => None,
    };
    let scheduler = Scheduler::from_name(get(SVC_SCHED_NAME)?.text()?)?;
    let flags = get(SVC_FLAGS)?
        .payload
        .first_chunk::<4>()
        .map(|f| u32::from_ne_bytes(*f))?;
    let persistence = if flags & FLAG_PERSISTENT == 0 {
        if engine.is_some() {
            return None;
        }
        None
    } else {
        let netmask = get(SVC_NETMASK)?;
        Some(Persistence {
            timeout_seconds: get(SVC_TIMEOUT)?.u32()?,
            granularity: granularity(family, &netmask)?,
            engine,
        })
    };
    Some(Service {
        scheduler,
        flags: ServiceFlags::from_bits_truncate(flags),
        persistence,
    })
}

fn granularity(family: Family, netmask: &Attribute<'_>) -> Option<u8> {
    let prefix = match family {
        Family::Inet => {
            let mask = u32::from_be_bytes(netmask.payload.try_into().ok()?);
            let prefix = mask.leading_ones();
            (prefix == mask.count_ones()).then_some(prefix)?
        }
        Family::Inet6 => netmask.u32()?,
    };
    u8::try_from(prefix)
        .ok()
        .filter(|prefix| *prefix <= family.max_prefix())
}

/// A destination of the kernel: its address, and its settings when a configuration can ask for them.
/// `None` when the bytes are not one. `family` is that of the service, for kernels that do not say.
#[must_use]
pub fn read_destination(attrs: &[u8], family: Family) -> Option<(SocketAddr, Option<Destination>)> {
    let nest = attributes(attrs).find(|attribute| attribute.kind == DEST)?;
    let slots = by_kind(nest.payload);
    let get = |kind: u16| slots.get(usize::from(kind)).copied().flatten();
    let family = match get(DEST_ADDR_FAMILY) {
        Some(number) => family_from(number.u16()?)?,
        None => family,
    };
    let at = SocketAddr::new(address(family, &get(DEST_ADDR)?)?, get(DEST_PORT)?.be16()?);
    let settings = || {
        let forwarding = match get(DEST_FWD_METHOD)?.u32()? {
            FWD_NAT => Forwarding::Nat,
            FWD_TUNNEL => Forwarding::Tunnel(read_tunnel(get)?),
            FWD_DIRECT => Forwarding::Direct,
            _ => return None,
        };
        Some(Destination {
            forwarding,
            weight: Weight::try_from(u64::from(get(DEST_WEIGHT)?.u32()?)).ok()?,
            upper_threshold: get(DEST_U_THRESH)?.u32()?,
            lower_threshold: get(DEST_L_THRESH)?.u32()?,
        })
    };
    Some((at, settings()))
}

/// Whether nobody uses a destination: it has no connection, neither open nor ended a while ago, and no client
/// that comes back to it.
pub(super) fn is_idle(attrs: &[u8]) -> bool {
    let Some(nest) = attributes(attrs).find(|attribute| attribute.kind == DEST) else {
        return false;
    };
    let slots = by_kind(nest.payload);
    let count = |kind: u16| slots.get(usize::from(kind)).copied().flatten()?.u32();
    [DEST_ACTIVE, DEST_INACTIVE, DEST_PERSISTENT]
        .into_iter()
        .all(|kind| count(kind) == Some(0))
}

/// The encapsulation of a tunnel; a kernel that does not say has only IP in IP.
fn read_tunnel<'a>(get: impl Fn(u16) -> Option<Attribute<'a>>) -> Option<Tunnel> {
    let Some(kind) = get(DEST_TUN_TYPE) else {
        return Some(Tunnel::Ipip);
    };
    let flags = || get(DEST_TUN_FLAGS).map_or(Some(TUN_NOCSUM), |flags| flags.u16());
    match *kind.payload {
        [TUN_IPIP] => Some(Tunnel::Ipip),
        [TUN_GUE] => Some(Tunnel::Gue {
            port: NonZeroU16::new(get(DEST_TUN_PORT)?.be16()?)?,
            checksum: match flags()? {
                TUN_NOCSUM => GueChecksum::None,
                TUN_CSUM => GueChecksum::Full,
                TUN_REMCSUM => GueChecksum::Remote,
                _ => return None,
            },
        }),
        [TUN_GRE] => Some(Tunnel::Gre {
            checksum: match flags()? {
                TUN_NOCSUM => false,
                TUN_CSUM => true,
                _ => return None,
            },
        }),
        _ => None,
    }
}

/// The answer to `GET_CONFIG`.
pub(super) fn read_timeouts(attrs: &[u8]) -> Option<ConnectionTimeouts> {
    let get = |kind| {
        attributes(attrs)
            .find(|attribute| attribute.kind == kind)
            .and_then(|attribute| attribute.u32())
    };
    Some(ConnectionTimeouts {
        tcp: get(TIMEOUT_TCP)?,
        tcp_fin: get(TIMEOUT_TCP_FIN)?,
        udp: get(TIMEOUT_UDP)?,
    })
}

/// The version in the answer to `GET_INFO`: major, minor and patch in one byte each.
pub(super) fn read_version(attrs: &[u8]) -> Option<(u8, u8, u8)> {
    let [_, major, minor, patch] = attributes(attrs)
        .find(|attribute| attribute.kind == INFO_VERSION)?
        .u32()?
        .to_be_bytes();
    Some((major, minor, patch))
}

const fn family_number(family: Family) -> u16 {
    match family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
    }
}

const fn family_from(number: u16) -> Option<Family> {
    match number {
        AF_INET => Some(Family::Inet),
        AF_INET6 => Some(Family::Inet6),
        _ => None,
    }
}

fn protocol_from(number: u16) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| u16::from(protocol.number()) == number)
}

/// An address in 16 bytes; IPv4 takes the first four.
fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn address(family: Family, attribute: &Attribute<'_>) -> Option<IpAddr> {
    match family {
        Family::Inet => attribute
            .payload
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).into()),
        Family::Inet6 => attribute
            .payload
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).into()),
    }
}

#[cfg(test)]
mod tests;
