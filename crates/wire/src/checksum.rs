//! The Internet checksum (RFC 1071) and the pseudo headers that it covers in front of a message
//! (RFC 793 section 3.1 for IPv4, RFC 8200 section 8.1 for IPv6).

use std::net::{IpAddr, Ipv6Addr};

/// A running one's complement sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes. Only the last piece may have an odd length; it counts as padded with a zero byte.
    #[must_use]
    pub fn cover(self, bytes: &[u8]) -> Self {
        let (pairs, odd) = bytes.as_chunks::<2>();
        let words = pairs
            .iter()
            .map(|pair| u64::from(u16::from_be_bytes(*pair)));
        let last = odd.iter().map(|byte| u64::from(*byte) << 8);
        Self(self.0.wrapping_add(words.chain(last).sum()))
    }

    /// Adds the pseudo header of a message of `len` bytes. Addresses of two families add nothing useful;
    /// such a packet does not exist.
    #[must_use]
    pub fn cover_pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        len: usize,
    ) -> Self {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.cover_address(source)
            .cover_address(destination)
            .cover(&[0, protocol])
            .cover(&len.to_be_bytes())
    }

    fn cover_address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.cover(&v4.octets()),
            IpAddr::V6(v6) => self.cover(&Ipv6Addr::octets(&v6)),
        }
    }

    /// The value of the checksum field; over bytes that already hold a right checksum it is 0.
    #[must_use]
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// The example of RFC 1071 section 3.
    #[test]
    fn the_example_of_the_rfc_gives_its_sum() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Checksum::new().cover(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn an_odd_last_byte_counts_as_the_high_half_of_a_word() {
        assert_eq!(
            Checksum::new().cover(&[1, 2, 3]).finish(),
            Checksum::new().cover(&[1, 2, 3, 0]).finish()
        );
    }

    #[test]
    fn the_pseudo_header_is_the_twelve_bytes_of_the_rfc() {
        let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let destination = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
        let bytes = [192, 0, 2, 1, 224, 0, 0, 18, 0, 112, 0, 12];
        assert_eq!(
            Checksum::new().cover_pseudo_header(source, destination, 112, 12),
            Checksum::new().cover(&bytes)
        );
    }
}
