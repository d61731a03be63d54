//! The sockets of the VRRP process: for each interface that has instances a raw socket bound to it, for
//! adverts in both directions, and one packet socket for gratuitous ARP.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};

use kr_event::EventLoop;
use kr_model::net::Family;
use kr_model::units::{IfIndex, Vrid};
use kr_model::vrrp::{Instance, Transport};
use kr_sys::packet::PacketSender;
use kr_wire::{arp, ipv4};
use mio::{Interest, Token};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, SockaddrIn, recv, sendto};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use crate::kernel::Kernel;

/// Room for one packet in bytes. The longest advert has 255 addresses and an IPv4 header with options,
/// below 1200 bytes; what is cut here is refused for its length later.
pub(crate) const PACKET: usize = 2048;

/// `TC_PRIO_INTERACTIVE`.
const PRIORITY: u32 = 6;

/// Packets thrown away at most while a socket is made; more would be a flood, which is none of ours.
const STRAYS: usize = 4096;

/// What a socket is needed for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Need {
    groups: BTreeSet<Ipv4Addr>,
    vrids: BTreeSet<Vrid>,
}

/// The interfaces that need a socket, for instances of IPv4.
pub(crate) fn needs<'a>(
    instances: impl IntoIterator<Item = &'a Instance>,
    kernel: &Kernel,
) -> BTreeMap<IfIndex, Need> {
    let mut needs: BTreeMap<IfIndex, Need> = BTreeMap::new();
    let instances = instances.into_iter();
    for instance in instances.filter(|instance| instance.family == Family::Inet) {
        let Some(link) = kernel.named(&instance.interface) else {
            continue;
        };
        let need = needs.entry(link.index).or_default();
        need.vrids.insert(instance.vrid);
        if let Transport::Multicast {
            group: IpAddr::V4(group),
            ..
        } = instance.transport
        {
            need.groups.insert(group);
        }
    }
    needs
}

/// One raw socket.
#[derive(Debug)]
struct Port {
    socket: Socket,
    need: Need,
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    ports: BTreeMap<IfIndex, Port>,
    links: BTreeMap<Token, IfIndex>,
    packet: PacketSender,
    next_token: usize,
}

impl Sockets {
    /// Opens what is needed at any rate; tokens from `first_token` on are for these sockets.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub(crate) fn open(first_token: usize) -> io::Result<Self> {
        Ok(Self {
            ports: BTreeMap::new(),
            links: BTreeMap::new(),
            packet: PacketSender::open()?,
            next_token: first_token,
        })
    }

    /// Opens, changes and closes raw sockets until they are those that are needed. What fails is logged
    /// and tried again at the next call.
    pub(crate) fn adjust(
        &mut self,
        needs: &BTreeMap<IfIndex, Need>,
        events: &EventLoop,
        kernel: &Kernel,
    ) {
        self.ports.retain(|link, _| needs.contains_key(link));
        self.links.retain(|_, link| needs.contains_key(link));
        for (link, need) in needs {
            let name = kernel.name(*link);
            let done = match self.ports.get_mut(link) {
                Some(port) => port.change(*link, need),
                None => self.add(*link, need, events, name),
            };
            if let Err(error) = done {
                // Half-way changed is no state to go on from.
                self.ports.remove(link);
                self.links.retain(|_, known| known != link);
                log::error!("cannot send and receive adverts on {name}: {error}");
            }
        }
    }

    fn add(
        &mut self,
        link: IfIndex,
        need: &Need,
        events: &EventLoop,
        name: &str,
    ) -> io::Result<()> {
        let token = Token(self.next_token);
        let mut port = Port {
            socket: open_port(name)?,
            need: Need::default(),
        };
        port.change(link, need)?;
        events.register_for(port.socket.as_fd(), token, Interest::READABLE)?;
        self.next_token = self.next_token.wrapping_add(1);
        self.links.insert(token, link);
        self.ports.insert(link, port);
        Ok(())
    }

    /// Which interface's socket a token of the loop belongs to.
    pub(crate) fn link(&self, token: Token) -> Option<IfIndex> {
        self.links.get(&token).copied()
    }

    /// The next packet that waits on an interface's socket, or `None`.
    pub(crate) fn receive<'b>(
        &self,
        link: IfIndex,
        buffer: &'b mut [u8; PACKET],
    ) -> Option<&'b [u8]> {
        let port = self.ports.get(&link)?;
        let length = loop {
            match recv(port.socket.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(length) => break length,
                // An error of the interface (it went down) is told once and has no packet.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(_) => return None,
            }
        };
        buffer.get(..length)
    }

    /// Sends an IPv4 packet with its header. To a group it goes out without asking the routing table.
    pub(crate) fn send(
        &self,
        link: IfIndex,
        destination: Ipv4Addr,
        packet: &[u8],
    ) -> Result<(), Errno> {
        let port = self.ports.get(&link).ok_or(Errno::ENODEV)?;
        let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        let flags = if destination.is_multicast() {
            MsgFlags::from_bits_retain(libc::MSG_DONTROUTE)
        } else {
            MsgFlags::empty()
        };
        sendto(port.socket.as_raw_fd(), packet, &to, flags).map(drop)
    }

    /// Sends a gratuitous ARP for `address` from the interface's own hardware address.
    pub(crate) fn announce(
        &self,
        link: IfIndex,
        hardware: [u8; 6],
        address: Ipv4Addr,
    ) -> Result<(), Errno> {
        self.packet.send(link, &arp::gratuitous(hardware, address))
    }
}

impl Port {
    /// Joins and leaves groups, and lets only our router ids through.
    fn change(&mut self, link: IfIndex, need: &Need) -> io::Result<()> {
        if self.need == *need {
            return Ok(());
        }
        let interface = InterfaceIndexOrAddress::Index(link.get());
        for group in self.need.groups.difference(&need.groups) {
            self.socket.leave_multicast_v4_n(group, &interface)?;
        }
        for group in need.groups.difference(&self.need.groups) {
            self.socket.join_multicast_v4_n(group, &interface)?;
        }
        self.socket.attach_filter(&filter(&need.vrids))?;
        self.need = need.clone();
        Ok(())
    }
}

/// A raw socket that is bound to an interface and holds no packet of another one.
fn open_port(name: &str) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ipv4::PROTOCOL_VRRP));
    let socket = Socket::new(Domain::IPV4, Type::RAW.nonblocking(), Some(protocol))?;
    socket.bind_device(Some(name.as_bytes()))?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    // The first band of the default queue, as the kernel does for packets with this type of service that it
    // makes the header of.
    socket.set_priority(PRIORITY)?;
    // Otherwise groups that others joined on this interface would be received too.
    socket.set_multicast_all_v4(false)?;
    let mut byte = [0; 1];
    for _ in 0..STRAYS {
        // Between its making and its binding the socket took packets of every interface.
        if recv(socket.as_raw_fd(), &mut byte, MsgFlags::empty()) == Err(Errno::EAGAIN) {
            break;
        }
    }
    Ok(socket)
}

/// A filter (bpf(4)) that drops in the kernel what is of no router id of ours. The socket's data begins
/// with the IPv4 header.
fn filter(vrids: &BTreeSet<Vrid>) -> Vec<SockFilter> {
    /// `ldxb 4*([0]&0xf)`: the length of the IPv4 header.
    const HEADER_LENGTH: SockFilter = SockFilter::new(0xb1, 0, 0, 0);
    /// `ldb [x+1]`: the router id.
    const ROUTER_ID: SockFilter = SockFilter::new(0x50, 0, 0, 1);
    const TAKE: SockFilter = SockFilter::new(0x06, 0, 0, u32::MAX);
    const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);

    let mut program = vec![HEADER_LENGTH, ROUTER_ID];
    for vrid in vrids {
        // `jeq #vrid`: unless equal, the next instruction is skipped.
        program.push(SockFilter::new(0x15, 0, 1, u32::from(vrid.get())));
        program.push(TAKE);
    }
    program.push(DROP);
    program
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use kr_netlink::route::{Event, Link};
    use socket2::SockRef;

    use super::*;
    use crate::samples::{index, instance, name};

    fn vrids(all: impl IntoIterator<Item = u64>) -> BTreeSet<Vrid> {
        all.into_iter()
            .map(|vrid| Vrid::try_from(vrid).unwrap())
            .collect()
    }

    /// Whether a socket with the filter for these router ids takes the packet.
    fn takes(ours: &BTreeSet<Vrid>, packet: &[u8]) -> bool {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        SockRef::from(&receiver)
            .attach_filter(&filter(ours))
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
    fn the_filter_takes_our_router_ids_behind_any_header() {
        let ours = vrids([7, 200]);
        for (packet, taken) in [
            (packet(5, 7), true),
            (packet(15, 200), true),
            (packet(5, 8), false),
            (packet(6, 199), false),
            (packet(5, 7)[..21].to_vec(), false),
            (vec![0x45], false),
        ] {
            assert_eq!(takes(&ours, &packet), taken, "{packet:?}");
        }
    }

    #[test]
    fn the_filter_holds_every_router_id_there_is() {
        assert!(takes(&vrids(1..=255), &packet(5, 255)));
        assert!(!takes(&vrids(1..=254), &packet(5, 255)));
    }

    #[test]
    fn an_interface_needs_the_groups_and_ids_of_all_its_instances() {
        let mut kernel = Kernel::default();
        kernel.apply(Event::Link(Link {
            index: index(2),
            name: name("eth0"),
            up: true,
            arp: true,
            loopback: false,
            hardware: None,
        }));
        let mut other_group = instance(9, "eth0", &[]);
        other_group.transport = Transport::Multicast {
            group: [224, 0, 0, 99].into(),
            source: None,
        };
        let mut inet6 = instance(10, "eth0", &[]);
        inet6.family = Family::Inet6;
        let missing = instance(11, "eth1", &[]);
        let all = [instance(8, "eth0", &[]), other_group, inet6, missing];
        let expected = Need {
            groups: [[224, 0, 0, 18].into(), [224, 0, 0, 99].into()].into(),
            vrids: vrids([8, 9]),
        };
        assert_eq!(needs(&all, &kernel), [(index(2), expected)].into());
    }
}
