//! The BFD control packet (RFC 5880 section 4.1), without authentication: `bfd_instance` has none.

use std::fmt;

use kr_model::bfd::{Diagnostic, Micros, PeerState};
use kr_model::units::{Discriminator, Multiplier};
use kr_wire::{Reader, Truncated};

/// Length of a packet without authentication, in bytes.
pub const LEN: usize = 24;

const VERSION: u8 = 1;

/// Bits of the second byte; the two highest are the state.
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// A packet that may be sent, and that a receiver may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender is in its state.
    pub diagnostic: Diagnostic,
    /// State of the sender.
    pub state: PeerState,
    /// The sender wants an answer at once.
    pub poll: bool,
    /// This is such an answer.
    pub is_final: bool,
    /// The sender's BFD goes on when its control plane fails.
    pub independent: bool,
    /// The sender wants no packets while both ends are up.
    pub demand: bool,
    /// Intervals without a packet after which the sender is to be taken for down.
    pub multiplier: Multiplier,
    /// The sender's number for the session.
    pub mine: Discriminator,
    /// The receiver's number for the session, once the sender knows it.
    pub yours: Option<Discriminator>,
    /// The sender's transmit interval.
    pub min_tx: Micros,
    /// The sender's least receive interval.
    pub min_rx: Micros,
    /// The sender's least receive interval of echo packets; 0 where it takes none.
    pub min_echo_rx: Micros,
}

/// Why received bytes are no packet for a session without authentication (RFC 5880 section 6.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Malformed {
    /// Shorter than a packet.
    Truncated,
    /// Not version 1.
    Version(u8),
    /// The length that it gives itself is too small, or more than what came.
    Length(u8),
    /// Multiplier 0.
    ZeroMultiplier,
    /// For several receivers, which is not defined.
    Multipoint,
    /// The sender's discriminator is 0.
    NoDiscriminator,
    /// It does not say the receiver's discriminator, and is of a session that must know it.
    NoSession(PeerState),
    /// Authenticated.
    Authenticated,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("shorter than a BFD packet"),
            Self::Version(version) => write!(f, "BFD version {version} is unknown"),
            Self::Length(length) => write!(f, "its length field says {length}"),
            Self::ZeroMultiplier => f.write_str("its multiplier is 0"),
            Self::Multipoint => f.write_str("it is for several receivers"),
            Self::NoDiscriminator => f.write_str("its discriminator is 0"),
            Self::NoSession(state) => write!(
                f,
                "it is of state {} and does not name the session",
                state.word()
            ),
            Self::Authenticated => {
                f.write_str("it is authenticated, which a bfd_instance cannot be")
            }
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Truncated> for Malformed {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl Packet {
    /// Reads the payload of a UDP packet; what follows a packet is left alone.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        let flags = reader.u8()?;
        let multiplier = reader.u8()?;
        let length = reader.u8()?;
        let mine = reader.array().map(u32::from_be_bytes)?;
        let yours = reader.array().map(u32::from_be_bytes)?;
        let min_tx = reader.array().map(u32::from_be_bytes)?;
        let min_rx = reader.array().map(u32::from_be_bytes)?;
        let min_echo_rx = reader.array().map(u32::from_be_bytes)?;
        let version = first >> 5;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let size = usize::from(length);
        if size < LEN || size > bytes.len() {
            return Err(Malformed::Length(length));
        }
        let multiplier = Multiplier::try_from(u64::from(multiplier));
        let multiplier = multiplier.map_err(|_| Malformed::ZeroMultiplier)?;
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let mine = discriminator(mine).ok_or(Malformed::NoDiscriminator)?;
        let yours = discriminator(yours);
        let state = match flags >> 6 {
            0 => PeerState::AdminDown,
            1 => PeerState::Down,
            2 => PeerState::Init,
            _ => PeerState::Up,
        };
        if yours.is_none() && matches!(state, PeerState::Init | PeerState::Up) {
            return Err(Malformed::NoSession(state));
        }
        if flags & AUTHENTICATED != 0 {
            return Err(Malformed::Authenticated);
        }
        Ok(Self {
            diagnostic: Diagnostic::from_bits(first),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            independent: flags & INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            multiplier,
            mine,
            yours,
            min_tx: Micros(min_tx),
            min_rx: Micros(min_rx),
            min_echo_rx: Micros(min_echo_rx),
        })
    }

    /// The bytes of the packet.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let state: u8 = match self.state {
            PeerState::AdminDown => 0,
            PeerState::Down => 1,
            PeerState::Init => 2,
            PeerState::Up => 3,
        };
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = state << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.independent, INDEPENDENT)
            | flag(self.demand, DEMAND);
        let mut bytes = [0; LEN];
        let head = [
            VERSION << 5 | self.diagnostic.code(),
            flags,
            self.multiplier.get(),
            24,
        ];
        let yours = self.yours.map_or(0, Discriminator::get);
        let words = [
            self.mine.get(),
            yours,
            self.min_tx.0,
            self.min_rx.0,
            self.min_echo_rx.0,
        ];
        let all = head
            .into_iter()
            .chain(words.into_iter().flat_map(u32::to_be_bytes));
        for (place, byte) in bytes.iter_mut().zip(all) {
            *place = byte;
        }
        bytes
    }
}

/// A discriminator, unless it is 0.
fn discriminator(number: u32) -> Option<Discriminator> {
    Discriminator::try_from(u64::from(number)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(value: u64) -> Discriminator {
        Discriminator::try_from(value).unwrap()
    }

    fn up() -> Packet {
        Packet {
            diagnostic: Diagnostic::NONE,
            state: PeerState::Up,
            poll: true,
            is_final: false,
            independent: false,
            demand: false,
            multiplier: Multiplier::try_from(3).unwrap(),
            mine: number(0x0102_0304),
            yours: Some(number(0x0506_0708)),
            min_tx: Micros(10_000),
            min_rx: Micros(50_000),
            min_echo_rx: Micros(0),
        }
    }

    const UP: [u8; LEN] = [
        0x20, 0xe0, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x27, 0x10, 0, 0, 0xc3, 0x50, 0, 0, 0, 0,
    ];

    #[test]
    fn packets_and_bytes_are_each_others_form() {
        let down = Packet {
            diagnostic: Diagnostic::EXPIRED,
            state: PeerState::Down,
            poll: false,
            yours: None,
            multiplier: Multiplier::try_from(255).unwrap(),
            min_tx: Micros::SECOND,
            ..up()
        };
        let answer = Packet {
            state: PeerState::Init,
            poll: false,
            is_final: true,
            independent: true,
            demand: true,
            min_echo_rx: Micros(1),
            ..up()
        };
        let admin = Packet {
            diagnostic: Diagnostic::ADMIN_DOWN,
            state: PeerState::AdminDown,
            poll: false,
            ..up()
        };
        let with = |changes: &[(usize, u8)]| {
            let mut bytes = UP;
            for (at, byte) in changes {
                bytes[*at] = *byte;
            }
            bytes
        };
        let no_session = [(8, 0), (9, 0), (10, 0), (11, 0)];
        let mut down_bytes = with(&[(0, 0x21), (1, 0x40), (2, 255)]);
        for (at, byte) in no_session {
            down_bytes[at] = byte;
        }
        down_bytes[12..16].copy_from_slice(&[0, 0x0f, 0x42, 0x40]);
        for (packet, bytes) in [
            (up(), UP),
            (down, down_bytes),
            (answer, with(&[(1, 0x9a), (23, 1)])),
            (admin, with(&[(0, 0x27), (1, 0x00)])),
        ] {
            assert_eq!(packet.emit(), bytes, "{packet:?}");
            assert_eq!(Packet::parse(&bytes), Ok(packet), "{bytes:?}");
        }
    }

    #[test]
    fn each_broken_rule_has_its_name() {
        let cases: [(&[(usize, u8)], Malformed); 10] = [
            (&[(0, 0x00)], Malformed::Version(0)),
            (&[(0, 0x40)], Malformed::Version(2)),
            (&[(3, 23)], Malformed::Length(23)),
            (&[(3, 25)], Malformed::Length(25)),
            (&[(2, 0)], Malformed::ZeroMultiplier),
            (&[(1, 0xc1)], Malformed::Multipoint),
            (
                &[(4, 0), (5, 0), (6, 0), (7, 0)],
                Malformed::NoDiscriminator,
            ),
            (
                &[(8, 0), (9, 0), (10, 0), (11, 0)],
                Malformed::NoSession(PeerState::Up),
            ),
            (
                &[(1, 0x80), (8, 0), (9, 0), (10, 0), (11, 0)],
                Malformed::NoSession(PeerState::Init),
            ),
            (&[(1, 0xc4)], Malformed::Authenticated),
        ];
        for (changes, expected) in cases {
            let mut bytes = UP;
            for (at, byte) in changes {
                bytes[*at] = *byte;
            }
            assert_eq!(Packet::parse(&bytes), Err(expected), "{changes:?}");
        }
        for length in 0..LEN {
            assert_eq!(Packet::parse(&UP[..length]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn bytes_behind_the_packet_are_left_alone() {
        let mut bytes = UP.to_vec();
        bytes.extend([9; 30]);
        assert_eq!(Packet::parse(&bytes), Ok(up()));
        // Reserved places of an authenticated packet, which is refused for that and nothing else.
        bytes[1] |= AUTHENTICATED;
        bytes[3] = 52;
        assert_eq!(Packet::parse(&bytes), Err(Malformed::Authenticated));
    }

    proptest! {
        #[test]
        fn what_parses_is_the_same_after_writing(mut bytes in proptest::collection::vec(any::<u8>(), 0..40), plain: bool) {
            if let (true, [first, flags, _, length, ..]) = (plain, bytes.as_mut_slice()) {
                *first = 0x20 | (*first & 0x1f);
                *flags &= !(MULTIPOINT | AUTHENTICATED);
                *length = 24;
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                let written = packet.emit();
                prop_assert_eq!(&written[..], &bytes[..LEN].iter().enumerate().map(|(at, byte)| if at == 3 { 24 } else { *byte }).collect::<Vec<_>>()[..]);
                prop_assert_eq!(Packet::parse(&written), Ok(packet));
            }
        }
    }
}
