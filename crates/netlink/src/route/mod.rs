//! Links and addresses: read ([`Requests`]), follow ([`Events`]), change ([`Requests::apply`],
//! [`Requests::change_link`]).
//!
//! Used by the VRRP process, whose wishes come as [`VirtualAddress`]. Every address set here carries
//! [`PROTOCOL`], so that `ip -d address` and a later start know whose it is.

mod decode;
mod encode;
mod events;
mod links;
mod requests;

use std::io::Cursor;
use std::net::IpAddr;

use kr_model::net::Cidr;
use kr_model::units::{IfIndex, IfName};
use kr_model::vrrp::VirtualAddress;

use crate::socket::{Message, NetlinkError};

pub use events::Events;
pub use links::{
    InetSetting, LinkChange, LinkDetail, LinkKind, LinkSettings, NewLink, NewLinkKind,
};
pub use requests::Requests;

/// `IFA_PROTO` of the addresses set here: the number of VRRP among the IP protocols. The kernel itself
/// uses 1 to 3; kernels before 5.18 ignore the attribute.
pub const PROTOCOL: u8 = 112;

/// `IFA_F_DADFAILED`.
const FLAG_DADFAILED: u32 = 0x08;
/// `IFA_F_TENTATIVE`.
const FLAG_TENTATIVE: u32 = 0x40;

/// A network interface as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index, new whenever it is made anew.
    pub index: IfIndex,
    /// Its name.
    pub name: IfName,
    /// It is set up and has a carrier (`IFF_UP` and `IFF_RUNNING`).
    pub up: bool,
    /// Neighbours are found by ARP (no `IFF_NOARP`).
    pub arp: bool,
    /// It is a loopback.
    pub loopback: bool,
    /// Its Ethernet address, if it has one.
    pub hardware: Option<[u8; 6]>,
    /// IPv6 packets of others are forwarded (`net.ipv6.conf.NAME.forwarding`).
    pub router: bool,
    /// The routing table of a VRF device.
    pub vrf_table: Option<u32>,
    /// How it is made and set.
    pub detail: LinkDetail,
}

/// An address of a link as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where it is.
    pub place: Place,
    /// Scope number: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// `IFA_PROTO`: who says to have set it.
    pub protocol: Option<u8>,
    /// `IFA_FLAGS`.
    pub flags: u32,
}

impl Address {
    /// True for an address set by [`Requests::apply`], of this process or of an earlier one.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.protocol == Some(PROTOCOL)
    }

    /// True while duplicate address detection runs, and after it found a duplicate (RFC 4862 section 5.4): no
    /// packet may be sent from such an address.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.flags & (FLAG_TENTATIVE | FLAG_DADFAILED) != 0
    }
}

/// What makes an address of the kernel's table unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The link that has it.
    pub link: IfIndex,
    /// The address with its prefix length (with a peer: that of the peer).
    pub local: Cidr,
    /// The other end of a point-to-point address.
    pub peer: Option<IpAddr>,
}

impl Place {
    /// Where a virtual address is on a link.
    #[must_use]
    pub const fn of(link: IfIndex, address: &VirtualAddress) -> Self {
        Self {
            link,
            local: address.address,
            peer: address.peer,
        }
    }
}

/// Something that changed in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link is new or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// An address is new or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A link begins or ends to forward IPv6 packets of others.
    Forwarding {
        /// The link.
        link: IfIndex,
        /// It does so now.
        router: bool,
    },
}

/// A change of the address table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Set an address.
    Add {
        /// The link.
        link: IfIndex,
        /// The address with its attributes.
        address: &'a VirtualAddress,
    },
    /// Begin the lifetime of an address anew, or set the address.
    Renew {
        /// The link.
        link: IfIndex,
        /// The address with its attributes.
        address: &'a VirtualAddress,
    },
    /// Remove an address.
    Remove(Place),
}

impl Change<'_> {
    /// The request for the change, which the kernel answers under `sequence`.
    ///
    /// # Errors
    /// [`NetlinkError::Unwritable`] when it does not fit a message.
    pub fn request(self, sequence: u32) -> Result<Vec<u8>, NetlinkError> {
        let mut bytes = Cursor::new(Vec::new());
        encode::change(&mut bytes, self, sequence, true)?;
        Ok(bytes.into_inner())
    }
}

/// Reads a message about a link or an address; `None` for every other one, and for bytes that are none.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Event> {
    decode::event(message)
}
