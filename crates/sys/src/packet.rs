//! Sending whole link-layer frames, such as gratuitous ARP (packet(7)).

use std::io;
use std::os::fd::AsRawFd;

use kr_model::units::IfIndex;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{LinkAddr, MsgFlags, SockaddrLike, sendto};
use socket2::{Domain, Socket, Type};

/// A packet socket that sends on any interface and receives nothing. Needs `CAP_NET_RAW` to open.
#[derive(Debug)]
pub struct PacketSender(Socket);

impl PacketSender {
    /// Opens the socket, non-blocking.
    ///
    /// # Errors
    /// When the kernel refuses (capability, limits).
    pub fn open() -> io::Result<Self> {
        // Protocol 0: the kernel hands no frame to this socket.
        Ok(Self(Socket::new(
            Domain::PACKET,
            Type::RAW.nonblocking(),
            None,
        )?))
    }

    /// Sends one frame, from its Ethernet header on.
    ///
    /// # Errors
    /// When the interface is gone or down, or its queue is full.
    pub fn send(&self, link: IfIndex, frame: &[u8]) -> Result<(), Errno> {
        let to = link_address(link)?;
        sendto(self.0.as_raw_fd(), frame, &to, MsgFlags::empty()).map(drop)
    }
}

/// The address of an interface; the frame itself says to whom it goes.
fn link_address(link: IfIndex) -> Result<LinkAddr, Errno> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(|_| Errno::EAFNOSUPPORT)?,
        sll_protocol: 0,
        sll_ifindex: i32::try_from(link.get()).map_err(|_| Errno::ENODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let pointer = std::ptr::from_ref(&address).cast::<libc::sockaddr>();
    let length =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer and the length are those of the `sockaddr_ll` above, which lives until the
    // function returns and starts with the family that says so.
    unsafe { LinkAddr::from_raw(pointer, Some(length)) }.ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_names_the_interface() {
        let link = IfIndex::try_from(70_000).unwrap();
        assert_eq!(link_address(link).unwrap().ifindex(), 70_000);
    }
}
