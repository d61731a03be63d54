//! Adverts in both directions, and announcements.

use std::net::IpAddr;

use kr_model::units::IfName;
use kr_sys::batch::Inbox;
use kr_vrrp::Input;

use super::{Daemon, PACKET_BUDGET};
use crate::sockets::Outgoing;

impl Daemon {
    /// Signatures carry the time of day, and anybody may set the clock at any time.
    pub(super) fn tell_time_of_day(&mut self) {
        if self.signed {
            let offset = Input::TimeOfDay(self.clock.utc_offset());
            self.router.handle(offset, self.clock.now());
        }
    }

    /// Gives waiting packets to the router.
    pub(super) fn serve_packets(&mut self) {
        for port in std::mem::take(&mut self.backlog.ports) {
            let link = self.table.kernel().link(port.link);
            let Some(interface) = link.map(|link| link.name.clone()) else {
                continue;
            };
            let mut inbox = std::mem::take(&mut self.inbox);
            if inbox.room() == 0 {
                // A master that nobody talks to needs none.
                inbox = Inbox::new(PACKET_BUDGET);
            }
            if self.sockets.receive(port, &mut inbox) {
                self.backlog.ports.insert(port);
            }
            let now = self.clock.now();
            for datagram in inbox.datagrams() {
                self.moderation.heard(now);
                let Some((header, payload)) = self.sockets.packet(port, &datagram) else {
                    continue;
                };
                let input = Input::Packet {
                    interface: &interface,
                    header,
                    payload,
                };
                self.router.handle(input, now);
                self.act();
            }
            self.inbox = inbox;
        }
    }

    pub(super) fn queue_advert(&mut self, interface: &IfName, advert: Outgoing) {
        match self.table.kernel().named(interface) {
            Some(link) => self.sockets.queue(link.index, advert),
            None => log::warn!(
                "cannot send an advert to {} on {interface}: there is no such interface",
                advert.destination
            ),
        }
    }

    /// Sends the adverts that are due together.
    pub(super) fn send_adverts(&mut self) {
        for (link, destination, errno) in self.sockets.send() {
            let name = self.table.kernel().name(link);
            log::warn!("cannot send an advert to {destination} on {name}: {errno}");
        }
    }

    pub(super) fn announce(&self, device: &IfName, address: IpAddr) {
        let Some(link) = self.table.kernel().named(device) else {
            return;
        };
        // To announce what the kernel did not take would send packets to where nobody answers.
        if !self.table.kernel().has_ip(link.index, address) {
            return;
        }
        // Links without ARP have no neighbours that could be told.
        let Some(hardware) = link.hardware.filter(|_| link.arp && !link.loopback) else {
            return;
        };
        let sent = self
            .sockets
            .announce(link.index, hardware, address, link.router);
        if let Err(errno) = sent {
            log::warn!("cannot announce {address} on {device}: {errno}");
        }
    }
}
