//! Netlink attributes (RFC 3549 section 2.2; `linux/netlink.h`), for IPVS and nf_tables: a writer of whole
//! requests and a bounded reader. neli's own attribute reader subtracts lengths unchecked, so it is not given what
//! arrived.

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// Everything of an attribute's type but its two flags.
const TYPE: u16 = 0x3fff;
/// Length of an attribute's header.
const HEADER: usize = 4;

/// Requests of one datagram.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes one generic netlink request: header, then the attributes that `body` writes.
    pub(crate) fn request(
        &mut self,
        family: u16,
        flags: u16,
        sequence: u32,
        command: u8,
        version: u8,
        body: impl FnOnce(&mut Self),
    ) {
        let header = [command, version, 0, 0];
        self.message(family, flags, sequence, header, body);
    }

    /// Writes one message: the header of netlink, that of the subsystem, and the attributes that `body` writes.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        header: [u8; 4],
        body: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        // Sender: the kernel puts the socket's own number in.
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(header);
        body(self);
        let length = self.bytes.len().saturating_sub(start);
        // A message is far shorter: whoever writes lists keeps them within an attribute's length.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.put(start, &length.to_ne_bytes());
    }

    /// Writes one attribute with padding.
    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let length = payload.len().saturating_add(HEADER);
        self.bytes
            .extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes a number in network order.
    pub(crate) fn be32(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    /// Writes an attribute that holds those that `body` writes.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend(0_u16.to_ne_bytes());
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        body(self);
        let length = self.bytes.len().saturating_sub(start);
        self.put(
            start,
            &u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes(),
        );
    }

    /// Writes a text with its end mark.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        let mut payload = text.as_bytes().to_vec();
        payload.push(0);
        self.attribute(kind, &payload);
    }

    /// Adds attributes that are written already.
    pub(crate) fn append(&mut self, attributes: &[u8]) {
        self.bytes.extend(attributes);
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(at).zip(value) {
            *to = *from;
        }
    }
}

/// An attribute as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// Its type without flags.
    pub(crate) kind: u16,
    /// What it holds.
    pub(crate) payload: &'a [u8],
}

impl Attribute<'_> {
    /// The payload as a number of the host's order, when it has exactly its length.
    pub(crate) fn u32(&self) -> Option<u32> {
        self.payload.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The payload as a number of the host's order, when it has exactly its length.
    pub(crate) fn u16(&self) -> Option<u16> {
        self.payload.try_into().ok().map(u16::from_ne_bytes)
    }

    /// The payload as a number of network order, when it has exactly its length.
    pub(crate) fn be16(&self) -> Option<u16> {
        self.payload.try_into().ok().map(u16::from_be_bytes)
    }

    /// The payload as a text up to its end mark.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.payload.split(|byte| *byte == 0).next()?).ok()
    }
}

/// Splits a body into attributes; ends at the first one whose length cannot be.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *rest.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let payload = rest.get(HEADER..length)?;
        // The last attribute may lack its padding.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute {
            kind: u16::from_ne_bytes([k0, k1]) & TYPE,
            payload,
        })
    })
}

/// The first attribute of each type below 16, which holds all of a service and of a destination. Tables have
/// tens of thousands of them, so a body is gone through once.
pub(crate) fn by_kind(bytes: &[u8]) -> [Option<Attribute<'_>>; 16] {
    let mut slots = [None; 16];
    for attribute in attributes(bytes) {
        if let Some(slot) = slots.get_mut(usize::from(attribute.kind)) {
            slot.get_or_insert(attribute);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_has_its_length_and_padded_attributes() {
        let mut writer = Writer::default();
        writer.request(0x10, 5, 7, 3, 2, |w| {
            w.text(2, "IPVS");
            w.nest(1, |w| w.attribute(9, &[0xaa]));
        });
        #[rustfmt::skip]
        let expected: &[u8] = &[
            44, 0, 0, 0,  0x10, 0,  5, 0,  7, 0, 0, 0,  0, 0, 0, 0,
            3, 2, 0, 0,
            9, 0, 2, 0,  b'I', b'P', b'V', b'S', 0, 0, 0, 0,
            12, 0, 1, 0x80,
                5, 0, 9, 0,  0xaa, 0, 0, 0,
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(writer.bytes(), expected);
        }
        let body = &writer.bytes()[20..];
        let read: Vec<_> = attributes(body).collect();
        assert_eq!(read[0].text(), Some("IPVS"));
        assert_eq!(read[1].kind, 1);
        assert_eq!(
            attributes(read[1].payload).next(),
            Some(Attribute {
                kind: 9,
                payload: &[0xaa]
            })
        );
    }

    #[test]
    fn each_type_has_its_first_attribute_and_large_types_are_passed_over() {
        let mut writer = Writer::default();
        for (kind, payload) in [(2, 7), (16, 8), (2, 9), (15, 10)] {
            writer.attribute(kind, &[payload]);
        }
        let slots = by_kind(writer.bytes());
        let found: Vec<_> = slots
            .iter()
            .flatten()
            .map(|attribute| (attribute.kind, attribute.payload[0]))
            .collect();
        assert_eq!(found, [(2, 7), (15, 10)]);
    }

    #[test]
    fn a_length_that_lies_ends_the_list() {
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend([1, 0, 1, 2, 3, 4]);
            assert_eq!(attributes(&bytes).count(), 0, "length {length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_without_a_panic(bytes: Vec<u8>) {
            for attribute in attributes(&bytes) {
                let _ = (attribute.u32(), attribute.u16(), attribute.be16(), attribute.text());
            }
        }
    }
}
