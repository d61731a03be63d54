//! One raw socket for the adverts of one family and IP protocol on one interface, in both directions.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use kr_model::net::Family;
use kr_model::units::IfIndex;
use kr_sys::batch::{Datagram, Inbox};
use kr_vrrp::PacketHeader;
use kr_wire::ipv4;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrStorage, recv, sendmmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use super::{Need, Outgoing, PACKET, PortId};

/// `TC_PRIO_INTERACTIVE`.
const PRIORITY: u32 = 6;

/// Packets thrown away at most while a socket is made; more would be a flood, which is none of ours.
const STRAYS: usize = 4096;

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

    /// Takes what waits, and tells whether more may wait.
    pub(super) fn receive(&self, inbox: &mut Inbox<PACKET>) -> bool {
        loop {
            match inbox.receive(self.socket.as_fd()) {
                Ok(received) => return received == inbox.room(),
                // An error of the interface (it went down) is told once and has no packet.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(_) => return false,
            }
        }
    }

    /// A datagram of [`receive`](Self::receive) as an advert, perhaps; `None` when it has no router id, so that it
    /// is counted nowhere. IPv4 gives the whole packet; IPv6 gives the payload, and tells of the header beside it.
    pub(super) fn packet<'b>(&self, datagram: &Datagram<'b>) -> Option<(PacketHeader, &'b [u8])> {
        match self.id.family {
            Family::Inet => {
                let (header, payload) = ipv4::parse(datagram.bytes).ok()?;
                let header = PacketHeader {
                    source: header.source.into(),
                    destination: header.destination.into(),
                    ttl: header.ttl,
                    protocol: header.protocol,
                    id: header.id,
                };
                Some((header, payload))
            }
            Family::Inet6 => {
                let info = datagram.control(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?;
                let limit = datagram.control(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)?;
                let header = PacketHeader {
                    source: datagram.source?.into(),
                    destination: Ipv6Addr::from(*info.first_chunk::<16>()?).into(),
                    ttl: u8::try_from(i32::from_ne_bytes(*limit.first_chunk()?)).ok()?,
                    protocol: self.id.protocol,
                    id: 0,
                };
                Some((header, datagram.bytes))
            }
        }
    }

    /// Sends packets with their headers, all of them to groups or none. Gives what the kernel refused.
    pub(super) fn send(&self, link: IfIndex, adverts: &[Outgoing]) -> Vec<(IpAddr, Errno)> {
        let mut refused = Vec::new();
        let mut rest = adverts;
        while let Some(first) = rest.first() {
            let sent = match self.send_some(link, first.destination.is_multicast(), rest) {
                Ok(sent) => sent.max(1),
                Err(errno) => {
                    refused.push((first.destination, errno));
                    1
                }
            };
            rest = rest.get(sent..).unwrap_or_default();
        }
        refused
    }

    /// With one system call. To a group a packet goes out without asking the routing table.
    fn send_some(
        &self,
        link: IfIndex,
        to_group: bool,
        adverts: &[Outgoing],
    ) -> Result<usize, Errno> {
        let flags = if to_group {
            MsgFlags::from_bits_retain(libc::MSG_DONTROUTE)
        } else {
            MsgFlags::empty()
        };
        let address = |advert: &Outgoing| {
            Some(SockaddrStorage::from(match advert.destination {
                IpAddr::V4(ip) => SocketAddr::from(SocketAddrV4::new(ip, 0)),
                IpAddr::V6(ip) => SocketAddr::from(SocketAddrV6::new(ip, 0, 0, link.get())),
            }))
        };
        let addresses: Vec<Option<SockaddrStorage>> = adverts.iter().map(address).collect();
        let parts: Vec<[IoSlice<'_>; 1]> = adverts
            .iter()
            .map(|advert| [IoSlice::new(&advert.packet)])
            .collect();
        let mut headers = MultiHeaders::preallocate(adverts.len(), None);
        let socket = self.socket.as_raw_fd();
        sendmmsg(socket, &mut headers, &parts, &addresses, [], flags).map(Iterator::count)
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
