//! The UDP sockets of BFD (RFC 5881 section 4, RFC 5883 section 5): one per family and path that all packets
//! come to, and one per session that its packets go out of.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use kr_bfd::Header;
use kr_model::TrackerId;
use kr_model::bfd::{Path, Session};
use kr_model::net::Family;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

/// Room for one packet in bytes: the longest a length field can name. What is cut behind it is not looked at.
pub(super) const PACKET: usize = 255;

/// DSCP CS6, network control, in the traffic class byte.
const TRAFFIC_CLASS: u32 = 0xc0;

/// Source ports of BFD (RFC 5881 section 4).
const FIRST_PORT: u16 = 49_152;
const PORTS: u16 = 16_384;
/// Ports tried for one session; more that are taken by others in a row is not bad luck.
const ATTEMPTS: u16 = 64;

/// Which port of this host packets come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListenerId {
    pub(super) family: Family,
    pub(super) path: Path,
}

impl ListenerId {
    /// Every port there is.
    pub(super) const ALL: [Self; 4] = [
        Self::of(Family::Inet, Path::SingleHop),
        Self::of(Family::Inet, Path::MultiHop),
        Self::of(Family::Inet6, Path::SingleHop),
        Self::of(Family::Inet6, Path::MultiHop),
    ];

    const fn of(family: Family, path: Path) -> Self {
        Self { family, path }
    }

    /// The port that a session's packets come to.
    pub(super) const fn for_session(session: &Session) -> Self {
        Self::of(Family::of(session.neighbor), session.path)
    }
}

/// A socket that packets come to.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    id: ListenerId,
}

impl Listener {
    /// A socket on all addresses of this host.
    pub(super) fn open(id: ListenerId) -> io::Result<Self> {
        Self::open_at(id, id.path.port())
    }

    fn open_at(id: ListenerId, port: u16) -> io::Result<Self> {
        let socket = udp(id.family)?;
        let any: IpAddr = match id.family {
            Family::Inet => {
                setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                Ipv4Addr::UNSPECIFIED.into()
            }
            Family::Inet6 => {
                socket.set_recv_hoplimit_v6(true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                Ipv6Addr::UNSPECIFIED.into()
            }
        };
        socket.bind(&SocketAddr::new(any, port).into())?;
        Ok(Self { socket, id })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next packet that waits; `Some(None)` for one that the kernel told too little of.
    pub(super) fn receive<'b>(
        &self,
        buffer: &'b mut [u8; PACKET],
    ) -> Option<Option<(Header, &'b [u8])>> {
        let (header, length) = loop {
            let outcome = match self.id.family {
                Family::Inet => self.receive_v4(buffer),
                Family::Inet6 => self.receive_v6(buffer),
            };
            match outcome {
                Err(Errno::EINTR) => {}
                other => break other,
            }
        }
        .ok()?;
        Some(header.zip(buffer.get(..length)))
    }

    fn receive_v4(&self, buffer: &mut [u8; PACKET]) -> Result<(Option<Header>, usize), Errno> {
        let mut beside = nix::cmsg_space!(libc::in_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::empty();
        let message = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut beside), flags)?;
        let source = message.address.map(|address| address.ip());
        let (mut destination, mut ttl) = (None, None);
        for control in message.cmsgs()? {
            if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
                let bits = u32::from_be(info.ipi_addr.s_addr);
                destination = Some(Ipv4Addr::from_bits(bits));
            } else if let ControlMessageOwned::Ipv4Ttl(number) = control {
                ttl = u8::try_from(number).ok();
            }
        }
        let header = self.header(source, destination, ttl);
        Ok((header, message.bytes))
    }

    fn receive_v6(&self, buffer: &mut [u8; PACKET]) -> Result<(Option<Header>, usize), Errno> {
        let mut beside = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::empty();
        let message = recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut beside), flags)?;
        let source = message.address.map(|address| address.ip());
        let (mut destination, mut ttl) = (None, None);
        for control in message.cmsgs()? {
            if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            } else if let ControlMessageOwned::Ipv6HopLimit(number) = control {
                ttl = u8::try_from(number).ok();
            }
        }
        let header = self.header(source, destination, ttl);
        Ok((header, message.bytes))
    }

    fn header<A: Into<IpAddr>>(
        &self,
        source: Option<A>,
        destination: Option<A>,
        ttl: Option<u8>,
    ) -> Option<Header> {
        Some(Header {
            source: source?.into(),
            destination: destination?.into(),
            ttl: ttl?,
            path: self.id.path,
        })
    }
}

/// The socket that a session's packets go out of.
#[derive(Debug)]
pub(super) struct Sender {
    socket: Socket,
    neighbor: SocketAddr,
}

impl Sender {
    /// A socket with a source port of its own. The search for a free one begins with the identity of the
    /// session, so a successor of this process finds the same one again.
    pub(super) fn open(id: TrackerId, session: &Session) -> io::Result<Self> {
        let family = Family::of(session.neighbor);
        let socket = udp(family)?;
        let any: IpAddr = match family {
            Family::Inet => {
                socket.set_ttl_v4(session.ttl.into())?;
                socket.set_tos_v4(TRAFFIC_CLASS)?;
                // The address may come later, as virtual ones do.
                socket.set_freebind_v4(session.source.is_some())?;
                Ipv4Addr::UNSPECIFIED.into()
            }
            Family::Inet6 => {
                socket.set_unicast_hops_v6(session.ttl.into())?;
                socket.set_tclass_v6(TRAFFIC_CLASS)?;
                socket.set_freebind_v6(session.source.is_some())?;
                Ipv6Addr::UNSPECIFIED.into()
            }
        };
        let source = session.source.unwrap_or(any);
        let first = u16::try_from(id.0 % u32::from(PORTS)).unwrap_or_default();
        for attempt in 0..ATTEMPTS {
            let port = FIRST_PORT + first.wrapping_add(attempt) % PORTS;
            match socket.bind(&SocketAddr::new(source, port).into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let neighbor = SocketAddr::new(session.neighbor, session.path.port());
                    return Ok(Self { socket, neighbor });
                }
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse))
    }

    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        let sent = self.socket.send_to(packet, &self.neighbor.into());
        sent.map(drop)
    }
}

fn udp(family: Family) -> io::Result<Socket> {
    let domain = match family {
        Family::Inet => Domain::IPV4,
        Family::Inet6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if family == Family::Inet6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use kr_model::bfd::Micros;
    use kr_model::units::Multiplier;

    use super::*;

    fn session(neighbor: &str) -> Session {
        Session {
            id: TrackerId(7),
            name: "B".to_owned(),
            neighbor: neighbor.parse().unwrap(),
            source: Some(neighbor.parse().unwrap()),
            path: Path::SingleHop,
            passive: false,
            min_rx: Micros(10_000),
            min_tx: Micros(10_000),
            idle_tx: Micros::SECOND,
            multiplier: Multiplier::DEFAULT,
            ttl: 255,
            min_ttl: 255,
        }
    }

    #[test]
    fn a_packet_arrives_with_its_addresses_and_its_ttl() {
        for (family, address) in [(Family::Inet, "127.0.0.1"), (Family::Inet6, "::1")] {
            // A free port, for tests may run side by side.
            let listener = Listener::open_at(ListenerId::of(family, Path::MultiHop), 0).unwrap();
            let bound = listener.socket.local_addr().unwrap();
            let mut one = session(address);
            one.ttl = 201;
            let mut sender = Sender::open(TrackerId(7), &one).unwrap();
            assert_eq!(sender.neighbor.port(), 3784);
            sender.neighbor.set_port(bound.as_socket().unwrap().port());
            sender.send(b"hello").unwrap();
            let mut buffer = [0; PACKET];
            let (header, payload) = listener.receive(&mut buffer).unwrap().unwrap();
            assert_eq!(payload, b"hello");
            let ip: IpAddr = address.parse().unwrap();
            assert_eq!((header.source, header.destination), (ip, ip));
            assert_eq!((header.ttl, header.path), (201, Path::MultiHop));
            assert!(listener.receive(&mut buffer).is_none());
        }
    }

    #[test]
    fn source_ports_are_of_bfd_and_start_at_the_identity() {
        let port = |sender: &Sender| {
            let address = sender.socket.local_addr().unwrap();
            address.as_socket().unwrap().port()
        };
        let first = Sender::open(TrackerId(16_383), &session("127.0.0.1")).unwrap();
        let second = Sender::open(TrackerId(16_383), &session("127.0.0.1")).unwrap();
        assert!(port(&first) >= FIRST_PORT && port(&second) >= FIRST_PORT);
        assert_ne!(port(&first), port(&second));
        let expected = port(&first);
        drop(first);
        let again = Sender::open(TrackerId(16_383), &session("127.0.0.1")).unwrap();
        assert_eq!(port(&again), expected);
    }
}
