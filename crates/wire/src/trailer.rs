//! The signature behind a VRRP message (`auth_hmac`): 28 bytes with a key id, a time stamp and an HMAC-SHA256 cut
//! to 128 bits.
//!
//! ```text
//!  0 type (1)   1 key id   2 reserved (0)   4 seconds   8 fraction   10 counter   12 HMAC, 16 bytes
//! ```
//!
//! The HMAC covers who sends (family, version, virtual router id, source address), the message with its checksum
//! field zero, and the trailer with its own field zero. It does not cover the destination: one signature serves
//! all copies of a unicast advert.

use std::fmt;
use std::net::IpAddr;

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use kr_model::signing::{SigningKey, Stamp};
use sha2::Sha256;

use crate::reader::Reader;

/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 28;

/// HMAC-SHA256 cut to 128 bits, the only type there is.
const TYPE_HMAC_SHA256_128: u8 = 1;
const TAG_LEN: usize = 16;
const CHECKSUM_AT: usize = 6;

/// What a trailer says, and the bytes that prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Which key signed, 1 to 255.
    pub key_id: u8,
    /// When.
    pub stamp: Stamp,
    tag: [u8; TAG_LEN],
}

/// The bytes have another type than the one known, or reserved bits that are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadForm;

impl fmt::Display for BadForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a signature of an unknown form")
    }
}

impl std::error::Error for BadForm {}

impl Trailer {
    /// Signs a message that `source` will send.
    #[must_use]
    pub fn sign(
        key_id: u8,
        key: &SigningKey,
        stamp: Stamp,
        source: IpAddr,
        message: &[u8],
    ) -> Self {
        let unsigned = Self {
            key_id,
            stamp,
            tag: [0; TAG_LEN],
        };
        let whole = unsigned.mac(key, source, message).finalize().into_bytes();
        let mut tag = [0; TAG_LEN];
        for (slot, byte) in tag.iter_mut().zip(whole) {
            *slot = byte;
        }
        Self { tag, ..unsigned }
    }

    /// Reads a trailer.
    ///
    /// # Errors
    /// When it has another form, or another length than [`TRAILER_LEN`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadForm> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let head: [u8; 4] = reader.array()?;
            Ok::<_, crate::reader::Truncated>((head, reader.array()?, reader.array()?))
        };
        match read() {
            Ok(([TYPE_HMAC_SHA256_128, key_id, 0, 0], stamp, tag))
                if bytes.len() == TRAILER_LEN =>
            {
                Ok(Self {
                    key_id,
                    stamp: Stamp(u64::from_be_bytes(stamp)),
                    tag,
                })
            }
            Ok(_) | Err(_) => Err(BadForm),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        [self.head().as_slice(), &self.tag].concat()
    }

    /// True when `key` made this signature of a message that came from `source`; takes the same time for every
    /// wrong signature.
    #[must_use]
    pub fn is_by(&self, key: &SigningKey, source: IpAddr, message: &[u8]) -> bool {
        self.mac(key, source, message)
            .verify_truncated_left(&self.tag)
            .is_ok()
    }

    fn head(&self) -> [u8; TRAILER_LEN - TAG_LEN] {
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.stamp.0.to_be_bytes();
        [
            TYPE_HMAC_SHA256_128,
            self.key_id,
            0,
            0,
            s0,
            s1,
            s2,
            s3,
            s4,
            s5,
            s6,
            s7,
        ]
    }

    fn mac(&self, key: &SigningKey, source: IpAddr, message: &[u8]) -> Hmac<Sha256> {
        // No key is longer than a block, and a shorter one is filled with zeros (RFC 2104 section 2).
        let mut block = Key::<Hmac<Sha256>>::default();
        for (slot, byte) in block.iter_mut().zip(key.as_bytes()) {
            *slot = *byte;
        }
        let mut mac = Hmac::<Sha256>::new(&block);
        mac.update(&sender(source, message));
        let (front, rest) = message.split_at(message.len().min(CHECKSUM_AT));
        mac.update(front);
        mac.update(&[0, 0]);
        mac.update(rest.get(2..).unwrap_or_default());
        mac.update(&self.head());
        mac.update(&[0; TAG_LEN]);
        mac
    }
}

/// Family, version, virtual router id, a zero, and the source address in 16 bytes.
fn sender(source: IpAddr, message: &[u8]) -> [u8; 20] {
    let version = message.first().map_or(0, |first| first >> 4);
    let vrid = message.get(1).copied().unwrap_or(0);
    let (family, address) = match source {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(v6) => (6, v6.octets()),
    };
    let mut bytes = [0; 20];
    let fields = [family, version, vrid, 0].into_iter().chain(address);
    for (slot, byte) in bytes.iter_mut().zip(fields) {
        *slot = byte;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 3 message with one address; its checksum field holds 0xabcd.
    const MESSAGE: [u8; 12] = [0x31, 51, 100, 1, 0, 100, 0xab, 0xcd, 10, 20, 0, 100];

    fn key(byte: u8) -> SigningKey {
        SigningKey::try_from(vec![byte; 32]).unwrap()
    }

    fn source() -> IpAddr {
        IpAddr::from([10, 20, 0, 1])
    }

    /// The tag was made with Python's `hmac` module over the bytes that the format names.
    #[test]
    fn signature_has_the_documented_bytes() {
        let stamp = Stamp(0x6553_f100_8000_0003);
        let trailer = Trailer::sign(7, &key(b'k'), stamp, source(), &MESSAGE);
        let expected = [
            &[1, 7, 0, 0, 0x65, 0x53, 0xf1, 0, 0x80, 0, 0, 3][..],
            &[
                0xa9, 0xe3, 0xee, 0xd1, 0x0c, 0xad, 0x59, 0xce, 0x07, 0xfe, 0x18, 0x1f, 0x78, 0xdd,
                0x11, 0x06,
            ],
        ]
        .concat();
        assert_eq!(trailer.emit(), expected);
        assert_eq!(Trailer::parse(&expected), Ok(trailer));
    }

    #[test]
    fn signature_covers_everything_but_checksum_and_destination() {
        let trailer = Trailer::sign(1, &key(1), Stamp(9), source(), &MESSAGE);
        assert!(trailer.is_by(&key(1), source(), &MESSAGE));
        assert!(!trailer.is_by(&key(2), source(), &MESSAGE));
        assert!(!trailer.is_by(&key(1), IpAddr::from([10, 20, 0, 2]), &MESSAGE));
        let other_time = Trailer {
            stamp: Stamp(10),
            ..trailer
        };
        assert!(!other_time.is_by(&key(1), source(), &MESSAGE));
        for at in 0..MESSAGE.len() {
            let mut changed = MESSAGE;
            changed[at] ^= 1;
            let of_checksum = (CHECKSUM_AT..CHECKSUM_AT + 2).contains(&at);
            assert_eq!(
                trailer.is_by(&key(1), source(), &changed),
                of_checksum,
                "{at}"
            );
        }
    }

    #[test]
    fn another_form_is_refused() {
        let good = Trailer::sign(1, &key(1), Stamp(9), source(), &MESSAGE).emit();
        for (at, value) in [(0, 0), (0, 2), (2, 1), (3, 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Trailer::parse(&bad), Err(BadForm), "{at}");
        }
        assert_eq!(Trailer::parse(&good[..27]), Err(BadForm));
        assert_eq!(
            Trailer::parse(&[good.as_slice(), &[0]].concat()),
            Err(BadForm)
        );
    }
}
