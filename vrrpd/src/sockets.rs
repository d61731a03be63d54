//! The sockets of the VRRP process: for each interface that has instances a raw socket bound to it, for
//! adverts in both directions, and one packet socket for gratuitous ARP.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};

use kr_event::EventLoop;
use kr_model::units::{IfIndex, Vrid};
use kr_model::vrrp::{Authentication, Instance, Transport};
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

/// Packets thrown away at most while a socket is made; more would be a flood, which is none of ours.
const STRAYS: usize = 4096;

/// A socket is known by its interface and its protocol: 112, or 51 for authentication headers.
pub(crate) type PortKey = (IfIndex, u8);

/// What a socket is needed for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Need {
    groups: BTreeSet<Ipv4Addr>,
    vrids: BTreeSet<Vrid>,
}

/// Which sockets the instances need.
pub(crate) fn needs<'a>(
    instances: impl IntoIterator<Item = &'a Instance>,
    kernel: &Kernel,
) -> BTreeMap<PortKey, Need> {
    let mut needs: BTreeMap<PortKey, Need> = BTreeMap::new();
    for instance in instances {
        let Some(link) = kernel.named(&instance.interface) else {
            continue;
        };
        let mut protocols = vec![ipv4::PROTOCOL_VRRP];
        if matches!(instance.authentication, Authentication::Header(_)) {
            protocols.push(ipv4::PROTOCOL_AH);
        }
        for protocol in protocols {
            let need = needs.entry((link.index, protocol)).or_default();
            need.vrids.insert(instance.vrid);
            if let Transport::Multicast {
                group: IpAddr::V4(group),
                ..
            } = instance.transport
            {
                need.groups.insert(group);
            }
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
    ports: BTreeMap<PortKey, Port>,
    keys: BTreeMap<Token, PortKey>,
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
            keys: BTreeMap::new(),
            packet: PacketSender::open()?,
            next_token: first_token,
        })
    }

    /// Opens, changes and closes raw sockets until they are those that are needed. What fails is logged
    /// and tried again at the next call.
    pub(crate) fn adjust(
        &mut self,
        needs: &BTreeMap<PortKey, Need>,
        events: &EventLoop,
        kernel: &Kernel,
    ) {
        self.ports.retain(|key, _| needs.contains_key(key));
        self.keys.retain(|_, key| needs.contains_key(key));
        for (key, need) in needs {
            let name = kernel.link(key.0).map_or("?", |link| link.name.as_str());
            let done = match self.ports.get_mut(key) {
                Some(port) => port.change(key.0, need),
                None => self.add(*key, need, events, name),
            };
            if let Err(error) = done {
                log::error!("cannot receive adverts on {name}: {error}");
            }
        }
    }

    fn add(&mut self, key: PortKey, need: &Need, events: &EventLoop, name: &str) -> io::Result<()> {
        let token = Token(self.next_token);
        let mut port = Port {
            socket: open_port(name, key.1)?,
            need: Need::default(),
        };
        port.change(key.0, need)?;
        events.register_for(port.socket.as_fd(), token, Interest::READABLE)?;
        self.next_token = self.next_token.wrapping_add(1);
        self.keys.insert(token, key);
        self.ports.insert(key, port);
        Ok(())
    }

    /// Which socket a token of the loop belongs to.
    pub(crate) fn key(&self, token: Token) -> Option<PortKey> {
        self.keys.get(&token).copied()
    }

    /// The next packet that waits on a socket, or `None`.
    pub(crate) fn receive<'b>(
        &self,
        key: PortKey,
        buffer: &'b mut [u8; PACKET],
    ) -> Option<&'b [u8]> {
        let port = self.ports.get(&key)?;
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
        let port = self
            .ports
            .get(&(link, ipv4::PROTOCOL_VRRP))
            .ok_or(Errno::ENODEV)?;
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
fn open_port(name: &str, protocol: u8) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(protocol));
    let socket = Socket::new(Domain::IPV4, Type::RAW.nonblocking(), Some(protocol))?;
    socket.bind_device(Some(name.as_bytes()))?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
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
    /// `ldb [x+25]`: the router id behind an authentication header (RFC 4302) of 24 bytes.
    const ROUTER_ID_AFTER_AH: SockFilter = SockFilter::new(0x50, 0, 0, 25);
    /// `ldb [9]`: the protocol.
    const PROTOCOL: SockFilter = SockFilter::new(0x30, 0, 0, 9);
    const TAKE: SockFilter = SockFilter::new(0x06, 0, 0, u32::MAX);
    const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);
    /// `jeq #value`: goes on when equal, else skips `skip` instructions.
    const fn unless_equal_skip(value: u8, skip: u8) -> SockFilter {
        SockFilter::new(0x15, 0, skip, value as u32)
    }

    let mut program = vec![
        HEADER_LENGTH,
        PROTOCOL,
        unless_equal_skip(ipv4::PROTOCOL_AH, 2),
        ROUTER_ID_AFTER_AH,
        SockFilter::new(0x05, 0, 0, 1),
        ROUTER_ID,
    ];
    for vrid in vrids {
        program.push(unless_equal_skip(vrid.get(), 1));
        program.push(TAKE);
    }
    program.push(DROP);
    program
}
