//! The gratuitous ARP (RFC 5227 section 3, RFC 9568 section 8.1.2) that tells every host and switch of a
//! link where an address is now.

use std::net::Ipv4Addr;

/// Bytes of the Ethernet frame, without padding.
pub const FRAME_LEN: usize = 42;

const BROADCAST: [u8; 6] = [0xff; 6];
/// Ethertype ARP; hardware Ethernet, protocol IPv4, their address lengths; request.
const ARP_REQUEST: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1];

/// The Ethernet frame: a broadcast ARP request with the address as sender and as target, and the broadcast
/// address as target hardware address.
#[must_use]
pub fn gratuitous(hardware: [u8; 6], address: Ipv4Addr) -> [u8; FRAME_LEN] {
    let address = address.octets();
    let mut frame = [0; FRAME_LEN];
    let parts = BROADCAST
        .into_iter()
        .chain(hardware)
        .chain(ARP_REQUEST)
        .chain(hardware)
        .chain(address)
        .chain(BROADCAST)
        .chain(address);
    for (place, byte) in frame.iter_mut().zip(parts) {
        *place = byte;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As keepalived 2.2.7 sends it.
    #[test]
    fn the_frame_has_these_bytes() {
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
            0xc0, 0x00, 0x02, 0x64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 0x00, 0x02, 0x64,
        ];
        assert_eq!(
            gratuitous([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 0, 2, 100)),
            expected
        );
    }
}
