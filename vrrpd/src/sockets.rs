//! The sockets of the VRRP process: for each interface and family that has instances a raw socket for
//! adverts in both directions ([`port`]), and one packet socket for announcements.

mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use kr_event::EventLoop;
use kr_model::net::Family;
use kr_model::units::{IfIndex, Vrid};
use kr_model::vrrp::{Authentication, Instance, Transport};
use kr_sys::batch::{Datagram, Inbox};
use kr_sys::packet::PacketSender;
use kr_vrrp::PacketHeader;
use kr_wire::ipv4::{PROTOCOL_AH, PROTOCOL_VRRP};
use kr_wire::{arp, ndisc};
use mio::{Interest, Token};
use nix::errno::Errno;

use crate::kernel::Kernel;

use port::Port;

/// Room for one packet in bytes. The longest advert has 255 addresses and an IPv4 header with options,
/// below 1200 bytes, and over IPv6 below 4200; what is cut here is refused for its length later.
pub(crate) const PACKET: usize = 4608;

/// Room for so many adverts of one way is kept; more wait only when many routers become master at once.
const OUTBOX_KEPT: usize = 64;

/// Which socket: the adverts of one family and IP protocol on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortId {
    /// The interface.
    pub(crate) link: IfIndex,
    /// The family.
    pub(crate) family: Family,
    /// IP protocol of the packets: VRRP, or an authentication header in front of it.
    pub(crate) protocol: u8,
}

/// An advert on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The group or the peer.
    pub(crate) destination: IpAddr,
    /// The packet with its header.
    pub(crate) packet: Vec<u8>,
}

/// What a socket is needed for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Need {
    groups: BTreeSet<IpAddr>,
    vrids: BTreeSet<Vrid>,
    /// Packets of all other router ids are wanted too.
    strangers: bool,
}

/// The sockets that the instances need; with `strangers` they take packets of every router id.
pub(crate) fn needs<'a>(
    instances: impl IntoIterator<Item = &'a Instance>,
    kernel: &Kernel,
    strangers: bool,
) -> BTreeMap<PortId, Need> {
    let mut needs: BTreeMap<PortId, Need> = BTreeMap::new();
    for instance in instances {
        let Some(link) = kernel.named(&instance.interface) else {
            continue;
        };
        let id = PortId {
            link: link.index,
            family: instance.family,
            protocol: match instance.authentication {
                Authentication::Header(_) => PROTOCOL_AH,
                Authentication::None | Authentication::Password(_) | Authentication::Signed(_) => {
                    PROTOCOL_VRRP
                }
            },
        };
        let need = needs.entry(id).or_default();
        need.vrids.insert(instance.vrid);
        need.strangers = strangers;
        if let Transport::Multicast { group, .. } = instance.transport {
            need.groups.insert(group);
        }
    }
    needs
}

/// Adverts that one system call can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    link: IfIndex,
    family: Family,
    to_group: bool,
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    outbox: BTreeMap<Way, Vec<Outgoing>>,
    ports: BTreeMap<PortId, Port>,
    tokens: BTreeMap<Token, PortId>,
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
            outbox: BTreeMap::new(),
            ports: BTreeMap::new(),
            tokens: BTreeMap::new(),
            packet: PacketSender::open()?,
            next_token: first_token,
        })
    }

    /// Opens, changes and closes raw sockets until they are those that are needed. What fails is logged
    /// and tried again at the next call.
    pub(crate) fn adjust(
        &mut self,
        needs: &BTreeMap<PortId, Need>,
        events: &EventLoop,
        kernel: &Kernel,
    ) {
        self.ports.retain(|id, _| needs.contains_key(id));
        self.outbox
            .retain(|way, _| needs.keys().any(|id| id.link == way.link));
        self.tokens.retain(|_, id| needs.contains_key(id));
        for (id, need) in needs {
            let name = kernel.name(id.link);
            let done = match self.ports.get_mut(id) {
                Some(port) => port.change(id.link, need),
                None => self.add(*id, need, events, name),
            };
            if let Err(error) = done {
                // Half-way changed is no state to go on from.
                self.ports.remove(id);
                self.tokens.retain(|_, known| known != id);
                log::error!("cannot send and receive adverts on {name}: {error}");
            }
        }
    }

    fn add(&mut self, id: PortId, need: &Need, events: &EventLoop, name: &str) -> io::Result<()> {
        let token = Token(self.next_token);
        let mut port = Port::open(name, id)?;
        port.change(id.link, need)?;
        events.register_for(port.as_fd(), token, Interest::READABLE)?;
        self.next_token = self.next_token.wrapping_add(1);
        self.tokens.insert(token, id);
        self.ports.insert(id, port);
        Ok(())
    }

    /// Which socket a token of the loop belongs to.
    pub(crate) fn port(&self, token: Token) -> Option<PortId> {
        self.tokens.get(&token).copied()
    }

    /// Takes what waits on a socket, and tells whether more may wait.
    pub(crate) fn receive(&self, id: PortId, inbox: &mut Inbox<PACKET>) -> bool {
        self.ports.get(&id).is_some_and(|port| port.receive(inbox))
    }

    /// What came from a socket as an advert, perhaps.
    pub(crate) fn packet<'b>(
        &self,
        id: PortId,
        datagram: &Datagram<'b>,
    ) -> Option<(PacketHeader, &'b [u8])> {
        self.ports.get(&id)?.packet(datagram)
    }

    /// Puts an advert up for the next [`send`](Self::send).
    pub(crate) fn queue(&mut self, link: IfIndex, advert: Outgoing) {
        let way = Way {
            link,
            family: Family::of(advert.destination),
            to_group: advert.destination.is_multicast(),
        };
        self.outbox.entry(way).or_default().push(advert);
    }

    /// Sends what was put up, through any socket of its interface and family, those of one way together. Gives what
    /// was refused.
    pub(crate) fn send(&mut self) -> Vec<(IfIndex, IpAddr, Errno)> {
        let mut refused = Vec::new();
        let waiting = self.outbox.iter_mut();
        for (way, adverts) in waiting.filter(|(_, adverts)| !adverts.is_empty()) {
            let mut ports = self.ports.iter();
            let port = ports.find(|(id, _)| (id.link, id.family) == (way.link, way.family));
            let errors = match port {
                Some((_, port)) => port.send(way.link, adverts),
                None => adverts
                    .iter()
                    .map(|advert| (advert.destination, Errno::ENODEV))
                    .collect(),
            };
            let located = errors.into_iter();
            refused.extend(located.map(|(destination, errno)| (way.link, destination, errno)));
            if adverts.len() > OUTBOX_KEPT {
                *adverts = Vec::new();
            }
            adverts.clear();
        }
        refused
    }

    /// Tells the segment that `address` is at the interface's own hardware address: by gratuitous ARP, or
    /// by an unsolicited neighbour advertisement of a host or a `router`.
    pub(crate) fn announce(
        &self,
        link: IfIndex,
        hardware: [u8; 6],
        address: IpAddr,
        router: bool,
    ) -> Result<(), Errno> {
        match address {
            IpAddr::V4(ip) => self.packet.send(link, &arp::gratuitous(hardware, ip)),
            IpAddr::V6(ip) => {
                let frame = ndisc::unsolicited(hardware, ip, router);
                self.packet.send(link, &frame)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kr_model::vrrp::Secret;
    use kr_netlink::route::Event;

    use super::*;
    use crate::samples::{index, instance, link, vrids};

    #[test]
    fn an_interface_needs_the_groups_and_ids_of_all_its_instances() {
        let mut kernel = Kernel::default();
        kernel.apply(Event::Link(link(2, "eth0")));
        let mut other_group = instance(9, "eth0", &[]);
        other_group.transport = Transport::Multicast {
            group: [224, 0, 0, 99].into(),
            source: None,
        };
        let mut inet6 = instance(10, "eth0", &[]);
        inet6.family = Family::Inet6;
        inet6.transport = Transport::Unicast {
            source: None,
            peers: Vec::new(),
            ttl: None,
            check_source: false,
        };
        let missing = instance(11, "eth1", &[]);
        let mut all = vec![instance(8, "eth0", &[]), other_group, inet6, missing];
        let mut sealed = instance(12, "eth0", &[]);
        sealed.authentication = Authentication::Header(Secret::new(*b"11111111"));
        all.push(sealed);
        let id = |family, protocol| PortId {
            link: index(2),
            family,
            protocol,
        };
        let inet = Need {
            groups: [[224, 0, 0, 18].into(), [224, 0, 0, 99].into()].into(),
            vrids: vrids([8, 9]),
            strangers: false,
        };
        let inet6 = Need {
            groups: BTreeSet::new(),
            vrids: vrids([10]),
            strangers: false,
        };
        let header = Need {
            groups: [[224, 0, 0, 18].into()].into(),
            vrids: vrids([12]),
            strangers: false,
        };
        let expected = [
            (id(Family::Inet, 51), header),
            (id(Family::Inet, 112), inet),
            (id(Family::Inet6, 112), inet6),
        ];
        assert_eq!(needs(&all, &kernel, false), expected.into());
    }
}
