//! Attributes of rtnetlink messages: four bytes of length and kind, the value, padding to four bytes. Written
//! within their bounds, read without trust in their lengths.

use crate::socket::NetlinkError;

/// Length and kind.
const HEADER: usize = 4;

/// The marks of a nested attribute and of network byte order, which are no part of the kind.
const KIND_MASK: u16 = 0x3fff;

/// Attributes that are being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    /// Adds an attribute.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> Result<(), NetlinkError> {
        let length = u16::try_from(HEADER.saturating_add(value.len()))
            .map_err(|_| NetlinkError::Unwritable)?;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        Ok(())
    }

    /// Adds an attribute when there is a value.
    pub(crate) fn put_some<const N: usize>(
        &mut self,
        kind: u16,
        value: Option<[u8; N]>,
    ) -> Result<(), NetlinkError> {
        match value {
            Some(value) => self.put(kind, &value),
            None => Ok(()),
        }
    }

    /// Adds text with its end mark.
    pub(crate) fn put_text(&mut self, kind: u16, text: &str) -> Result<(), NetlinkError> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// The bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads attributes up to the first one whose length cannot be.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ([l0, l1, k0, k1], _) = rest.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let value = rest.get(HEADER..length)?;
        // The last one may lack its padding.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([*k0, *k1]) & KIND_MASK, value))
    })
}

/// A number of four bytes.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut written = Attributes::default();
        written.put(3, b"abc").unwrap();
        written.put_some(4, Some(7_u32.to_ne_bytes())).unwrap();
        written.put_some::<4>(5, None).unwrap();
        written.put_text(0x8006, "x").unwrap();
        let bytes = written.into_bytes();
        assert_eq!(bytes.len(), 8 + 8 + 8);
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(
            read,
            [(3, &b"abc"[..]), (4, &7_u32.to_ne_bytes()[..]), (6, b"x\0")]
        );
    }

    #[test]
    fn a_value_too_long_for_its_length_is_refused() {
        let mut written = Attributes::default();
        assert!(written.put(1, &vec![0; 65_532]).is_err());
        assert!(written.put(1, &vec![0; 65_531]).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_without_a_panic(bytes: Vec<u8>) {
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4 + 1);
        }
    }
}
