//! One raw socket for the adverts of one family and IP protocol on one interface, in both directions.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use kr_model::net::Family;
use kr_model::units::IfIndex;
use kr_vrrp::PacketHeader;
use kr_wire::ipv4;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recv, recvmsg, sendto, setsockopt,
    sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use super::{Need, PACKET, PortId};

/// `TC_PRIO_INTERACTIVE`.
const PRIORITY: u32 = 6;

/// Packets thrown away at most while a socket is made; more would be a flood, which is none of ours.
const STRAYS: usize = 4096;

/// What a socket gave.
#[derive(Debug)]
pub(crate) enum Received<'b> {
    /// An advert, perhaps.
    Packet(PacketHeader, &'b [u8]),
    /// Something that has no router id, so it is counted nowhere.
    Useless,
    /// Nothing waits.
    Nothing,
}

/// The socket.
#[derive(Debug)]
pub(super) struct Port {
    socket: Socket,
    id: PortId,
    need: Need,
}

impl Port {
    /// A raw socket that is bound to an interface and holds no packet of another one.
    pub(super) fn open(name: &str, id: PortId) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(id.protocol));
        let domain = match id.family {
            Family::Inet => Domain::IPV4,
            Family::Inet6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
        socket.bind_device(Some(name.as_bytes()))?;
        // Groups that others joined on this interface are not for us, though the kernel would give them.
        match id.family {
            Family::Inet => {
                socket.set_header_included_v4(true)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_all_v4(false)?;
            }
            Family::Inet6 => {
                socket.set_header_included_v6(true)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_all_v6(false)?;
                // The kernel keeps the header of received packets; this is what VRRP needs of it.
                socket.set_recv_hoplimit_v6(true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
        // The first band of the default queue, as the kernel does for packets with this type of service that
        // it makes the header of.
        socket.set_priority(PRIORITY)?;
        let mut byte = [0; 1];
        for _ in 0..STRAYS {
            // Between its making and its binding the socket took packets of every interface.
            if recv(socket.as_raw_fd(), &mut byte, MsgFlags::empty()) == Err(Errno::EAGAIN) {
                break;
            }
        }
        Ok(Self {
            socket,
            id,
            need: Need::default(),
        })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Joins and leaves groups, and lets only our router ids through.
    pub(super) fn change(&mut self, link: IfIndex, need: &Need) -> io::Result<()> {
        if self.need == *need {
            return Ok(());
        }
        for group in self.need.groups.difference(&need.groups) {
            self.leave(link, *group)?;
        }
        for group in need.groups.difference(&self.need.groups) {
            self.join(link, *group)?;
        }
        self.socket.attach_filter(&filter(self.id, need))?;
        self.need = need.clone();
        Ok(())
    }

    fn join(&self, link: IfIndex, group: IpAddr) -> io::Result<()> {
        let index = link.get();
        match group {
            IpAddr::V4(group) => {
                let interface = InterfaceIndexOrAddress::Index(index);
                self.socket.join_multicast_v4_n(&group, &interface)
            }
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, index),
        }
    }

    fn leave(&self, link: IfIndex, group: IpAddr) -> io::Result<()> {
        let index = link.get();
        match group {
            IpAddr::V4(group) => {
                let interface = InterfaceIndexOrAddress::Index(index);
                self.socket.leave_multicast_v4_n(&group, &interface)
            }
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, index),
        }
    }

    /// The next packet that waits.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8; PACKET]) -> Received<'b> {
        let outcome = loop {
            let outcome = match self.id.family {
                Family::Inet => self.receive_v4(buffer),
                Family::Inet6 => self.receive_v6(buffer),
            };
            match outcome {
                // An error of the interface (it went down) is told once and has no packet.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                other => break other,
            }
        };
        let Ok((header, length)) = outcome else {
            return Received::Nothing;
        };
        let Some(bytes) = buffer.get(..length) else {
            return Received::Useless;
        };
        match (self.id.family, header) {
            (Family::Inet6, Some(header)) => Received::Packet(header, bytes),
            (Family::Inet6, None) => Received::Useless,
            (Family::Inet, _) => match ipv4::parse(bytes) {
                Ok((header, payload)) => Received::Packet(
                    PacketHeader {
                        source: header.source.into(),
                        destination: header.destination.into(),
                        ttl: header.ttl,
                        protocol: header.protocol,
                        id: header.id,
                    },
                    payload,
                ),
                Err(_) => Received::Useless,
            },
        }
    }

    /// IPv4 gives the whole packet.
    fn receive_v4(
        &self,
        buffer: &mut [u8; PACKET],
    ) -> Result<(Option<PacketHeader>, usize), Errno> {
        let length = recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty())?;
        Ok((None, length))
    }

    /// IPv6 gives the payload, and tells of the header beside it.
    fn receive_v6(
        &self,
        buffer: &mut [u8; PACKET],
    ) -> Result<(Option<PacketHeader>, usize), Errno> {
        let mut beside = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrIn6>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut beside),
            MsgFlags::empty(),
        )?;
        let source = message.address.map(|address| address.ip());
        let (mut destination, mut ttl) = (None, None);
        for control in message.cmsgs()? {
            if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            } else if let ControlMessageOwned::Ipv6HopLimit(limit) = control {
                ttl = u8::try_from(limit).ok();
            }
        }
        let header = source
            .zip(destination)
            .zip(ttl)
            .map(|((source, destination), ttl)| PacketHeader {
                source: source.into(),
                destination: destination.into(),
                ttl,
                protocol: self.id.protocol,
                id: 0,
            });
        Ok((header, message.bytes))
    }

    /// Sends a packet with its header. To a group it goes out without asking the routing table.
    pub(super) fn send(
        &self,
        link: IfIndex,
        destination: IpAddr,
        packet: &[u8],
    ) -> Result<(), Errno> {
        let flags = if destination.is_multicast() {
            MsgFlags::from_bits_retain(libc::MSG_DONTROUTE)
        } else {
            MsgFlags::empty()
        };
        let socket = self.socket.as_raw_fd();
        match destination {
            IpAddr::V4(ip) => {
                let to = SockaddrIn::from(SocketAddrV4::new(ip, 0));
                sendto(socket, packet, &to, flags)
            }
            IpAddr::V6(ip) => {
                let to = SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, link.get()));
                sendto(socket, packet, &to, flags)
            }
        }
        .map(drop)
    }
}

/// A filter (bpf(4)) that drops in the kernel what is of no router id that is wanted. The data of an IPv4 socket
/// begins with the IP header, that of an IPv6 socket behind it.
fn filter(id: PortId, need: &Need) -> Vec<SockFilter> {
    /// `ldxb 4*([0]&0xf)`: the length of the IPv4 header.
    const HEADER_LENGTH: SockFilter = SockFilter::new(0xb1, 0, 0, 0);
    /// `ldb [x+1]`: the router id behind the header.
    const ROUTER_ID_BEHIND: SockFilter = SockFilter::new(0x50, 0, 0, 1);
    /// `ldb [x+25]`: the router id behind the header and an authentication header.
    const ROUTER_ID_BEHIND_BOTH: SockFilter = SockFilter::new(0x50, 0, 0, 25);
    /// `ldb [1]`: the router id.
    const ROUTER_ID: SockFilter = SockFilter::new(0x30, 0, 0, 1);
    const TAKE: SockFilter = SockFilter::new(0x06, 0, 0, u32::MAX);
    const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);

    if need.strangers {
        return vec![TAKE];
    }
    let mut program = match id.family {
        Family::Inet if id.protocol == ipv4::PROTOCOL_AH => {
            vec![HEADER_LENGTH, ROUTER_ID_BEHIND_BOTH]
        }
        Family::Inet => vec![HEADER_LENGTH, ROUTER_ID_BEHIND],
        Family::Inet6 => vec![ROUTER_ID],
    };
    for vrid in &need.vrids {
        // `jeq #vrid`: unless equal, the next instruction is skipped.
        program.push(SockFilter::new(0x15, 0, 1, u32::from(vrid.get())));
        program.push(TAKE);
    }
    program.push(DROP);
    program
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::net::UnixDatagram;

    use kr_model::units::Vrid;
    use socket2::SockRef;

    use super::*;
    use crate::samples::{index, vrids};

    /// Whether a socket with the filter for these router ids takes the packet.
    fn takes(family: Family, protocol: u8, ours: &BTreeSet<Vrid>, packet: &[u8]) -> bool {
        let id = PortId {
            link: index(2),
            family,
            protocol,
        };
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        let need = Need {
            vrids: ours.clone(),
            ..Need::default()
        };
        SockRef::from(&receiver)
            .attach_filter(&filter(id, &need))
            .unwrap();
        receiver.set_nonblocking(true).unwrap();
        sender.send(packet).unwrap();
        receiver.recv(&mut [0; 64]).is_ok()
    }

    /// An IPv4 header of so many words before the start of an advert.
    fn packet(words: u8, vrid: u8) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(words) * 4];
        bytes[0] = 0x40 | words;
        bytes.extend([0x21, vrid, 100, 0]);
        bytes
    }

    #[test]
    fn the_filter_takes_our_router_ids_behind_any_ipv4_header() {
        let ours = vrids([7, 200]);
        for (packet, taken) in [
            (packet(5, 7), true),
            (packet(15, 200), true),
            (packet(5, 8), false),
            (packet(6, 199), false),
            (packet(5, 7)[..21].to_vec(), false),
            (vec![0x45], false),
        ] {
            assert_eq!(
                takes(Family::Inet, 112, &ours, &packet),
                taken,
                "{packet:?}"
            );
        }
    }

    #[test]
    fn the_filter_takes_our_router_ids_of_ipv6_payloads() {
        let ours = vrids([7]);
        for (packet, taken) in [
            (&[0x31, 7, 1][..], true),
            (&[0x31, 8, 7], false),
            (&[7], false),
        ] {
            assert_eq!(
                takes(Family::Inet6, 112, &ours, packet),
                taken,
                "{packet:?}"
            );
        }
    }

    #[test]
    fn the_filter_looks_behind_an_authentication_header() {
        let mut packet = packet(5, 8);
        packet.extend([0; 20]);
        packet.extend([0x21, 7, 100, 0]);
        assert!(takes(Family::Inet, 51, &vrids([7]), &packet));
        assert!(!takes(Family::Inet, 51, &vrids([8]), &packet));
    }

    #[test]
    fn the_filter_holds_every_router_id_there_is() {
        assert!(takes(Family::Inet, 112, &vrids(1..=255), &packet(5, 255)));
        assert!(!takes(Family::Inet, 112, &vrids(1..=254), &packet(5, 255)));
    }
}
