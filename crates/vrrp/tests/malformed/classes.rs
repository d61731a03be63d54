//! More than a hundred kinds of packets that are no advert for a router, each made from one that is. Written with
//! plain bytes, so that a mistake of our own encoder does not hide one of our decoder. The tests of the VRRP
//! process send the same packets.

/// The router that the packets are meant for: virtual router 51 with the address 10.9.0.100 and adverts each
/// second to 224.0.0.18. Another router, 10.9.0.2 with priority 200, sends them: one that were taken would move
/// a master of priority 100, and the timer of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Version 2 without authentication.
    V2,
    /// Version 2 with the password `1111`.
    Password,
    /// Version 3.
    V3,
}

/// One kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    /// What is wrong.
    pub(crate) name: String,
    /// TTL that it is sent with.
    pub(crate) ttl: u8,
    /// What follows the IP header.
    pub(crate) payload: Vec<u8>,
}

/// Where the checksum is.
const CHECKSUM: usize = 6;

impl Base {
    /// The advert that is right.
    pub(crate) fn good(self) -> Vec<u8> {
        let mut bytes = match self {
            Self::V2 | Self::Password => vec![0x21, 51, 200, 1, 0, 1, 0, 0],
            Self::V3 => vec![0x31, 51, 200, 1, 0, 100, 0, 0],
        };
        bytes.extend([10, 9, 0, 100]);
        match self {
            Self::V2 => bytes.extend([0; 8]),
            Self::Password => {
                bytes[4] = 1;
                bytes.extend(*b"1111\0\0\0\0");
            }
            Self::V3 => {}
        }
        self.with_checksum(bytes)
    }

    /// RFC 3768 section 5.3.8, RFC 9568 section 5.2.8.
    fn with_checksum(self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes[CHECKSUM..CHECKSUM + 2].fill(0);
        let mut covered = match self {
            Self::V2 | Self::Password => Vec::new(),
            Self::V3 => {
                let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
                vec![10, 9, 0, 2, 224, 0, 0, 18, 0, 112, 0, length]
            }
        };
        covered.extend(&bytes);
        let words = covered.chunks(2);
        let sum: u32 = words
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let sum = !(folded + (folded >> 16));
        bytes[CHECKSUM] = sum.to_be_bytes()[2];
        bytes[CHECKSUM + 1] = sum.to_be_bytes()[3];
        bytes
    }

    /// The advert with one byte changed and a right checksum.
    fn with(self, at: usize, value: u8) -> Vec<u8> {
        let mut bytes = self.good();
        bytes[at] = value;
        self.with_checksum(bytes)
    }

    /// Every class.
    pub(crate) fn classes(self) -> Vec<Class> {
        let mut all = Vec::new();
        let mut add = |name: String, payload: Vec<u8>| {
            all.push(Class {
                name,
                ttl: 255,
                payload,
            });
        };
        let good = self.good();
        for length in 0..good.len() {
            add(format!("cut to {length} bytes"), good[..length].to_vec());
        }
        // 2, 6 and more up to the shortest Ethernet frame are padding.
        for extra in [1, 3, 4, 5, 7, 8, 9, 11, 28, 100, 1_000] {
            let mut long = good.clone();
            long.resize(good.len() + extra, 0);
            add(format!("{extra} bytes too long"), long.clone());
            add(
                format!("{extra} bytes too long, which its checksum covers"),
                self.with_checksum(long),
            );
        }
        for version in (0..16).filter(|version| good[0] >> 4 != *version) {
            add(format!("version {version}"), self.with(0, version << 4 | 1));
        }
        for kind in (0..16).filter(|kind| *kind != 1) {
            add(format!("type {kind}"), self.with(0, good[0] & 0xf0 | kind));
        }
        for vrid in [0, 1, 50, 52, 255] {
            add(format!("virtual router {vrid}"), self.with(1, vrid));
        }
        for count in [0, 2, 3, 5, 18, 20, 64, 254, 255] {
            add(format!("{count} addresses said"), self.with(3, count));
        }
        self.add_bodies(&mut add);
        self.add_checksums(&mut add);
        add("nothing but ones".to_owned(), vec![0xff; 20]);
        add("nothing but zeros".to_owned(), vec![0; 20]);
        add("as long as a frame".to_owned(), vec![good[0]; 1_400]);
        add(
            "twice in one packet".to_owned(),
            [good.clone(), good.clone()].concat(),
        );
        add("behind a byte".to_owned(), [vec![0], good.clone()].concat());
        add(
            "back to front".to_owned(),
            good.iter().rev().copied().collect(),
        );
        for ttl in [1, 2, 32, 64, 128, 253, 254] {
            all.push(Class {
                name: format!("TTL {ttl}"),
                ttl,
                payload: good.clone(),
            });
        }
        all
    }

    /// What stands between the count and the checksum, and the password.
    fn add_bodies(self, add: &mut impl FnMut(String, Vec<u8>)) {
        if self == Self::V3 {
            add("an interval of nothing".to_owned(), self.with(5, 0));
            add("only reserved bits instead of an interval".to_owned(), {
                let mut bytes = self.good();
                bytes[4] = 0xf0;
                bytes[5] = 0;
                self.with_checksum(bytes)
            });
            return;
        }
        let own_kind = self.good()[4];
        for kind in (0..6)
            .chain([127, 128, 255])
            .filter(|kind| *kind != own_kind)
        {
            add(format!("authentication type {kind}"), self.with(4, kind));
        }
        for interval in [0, 2, 3, 100, 255] {
            add(
                format!("{interval} s between adverts"),
                self.with(5, interval),
            );
        }
        if self == Self::Password {
            for at in 12..20 {
                add(
                    format!("another character {at} of the password"),
                    self.with(at, b'x'),
                );
            }
            let mut without = self.good();
            without[12..].fill(0);
            add("an empty password".to_owned(), self.with_checksum(without));
        }
    }

    fn add_checksums(self, add: &mut impl FnMut(String, Vec<u8>)) {
        let good = self.good();
        for (at, bit) in (0..good.len()).flat_map(|at| [(at, 0), (at, 7)]) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            add(format!("bit {bit} of byte {at} is another one"), bytes);
        }
        for (name, sum) in [
            ("no checksum", [0, 0]),
            ("a checksum of ones", [0xff, 0xff]),
            ("a swapped checksum", [good[7], good[6]]),
            ("the complement of the checksum", [!good[6], !good[7]]),
        ] {
            let mut bytes = good.clone();
            bytes[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum);
            add(name.to_owned(), bytes);
        }
    }
}
