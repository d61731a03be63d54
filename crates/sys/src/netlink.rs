//! Options of netlink sockets (netlink(7)).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// Makes the kernel mind every field of a request for a dump, so that it filters what it sends. Kernels before
/// 4.20 do not know the option and send everything.
///
/// # Errors
/// When the descriptor is no netlink socket, or the kernel does not know the option.
pub fn check_strictly(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer and the length are those of the integer above, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_GET_STRICT_CHK,
            (&raw const on).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

    use super::*;

    #[test]
    fn only_a_netlink_socket_takes_the_option() {
        let open = |family, protocol| {
            socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol).unwrap()
        };
        let netlink = open(AddressFamily::Netlink, SockProtocol::NetlinkRoute);
        assert_eq!(check_strictly(netlink.as_fd()), Ok(()));
        let udp = open(AddressFamily::Inet, SockProtocol::Udp);
        assert!(check_strictly(udp.as_fd()).is_err());
    }
}
