//! Signed adverts (`auth_hmac`): keys, what is accepted, and the time stamps that stop replays.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// Fewest bytes of a key.
pub const SHORTEST_KEY: usize = 32;
/// Most bytes of a key.
pub const LONGEST_KEY: usize = 64;

/// A shared key of [`SHORTEST_KEY`] to [`LONGEST_KEY`] bytes. `Debug` prints stars.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A key is shorter or longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLength {
    /// Its bytes.
    pub bytes: usize,
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a key of {} bytes, where {SHORTEST_KEY} to {LONGEST_KEY} are needed",
            self.bytes
        )
    }
}

impl std::error::Error for KeyLength {}

impl TryFrom<Vec<u8>> for SigningKey {
    type Error = KeyLength;

    fn try_from(bytes: Vec<u8>) -> Result<Self, KeyLength> {
        if (SHORTEST_KEY..=LONGEST_KEY).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(KeyLength { bytes: bytes.len() })
        }
    }
}

impl From<SigningKey> for Vec<u8> {
    fn from(key: SigningKey) -> Self {
        key.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// `auth_hmac` of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// `key`, by id (1 to 255): what an advert may be signed with.
    pub keys: BTreeMap<u8, SigningKey>,
    /// `mode` with `active_key`.
    pub mode: SigningMode,
    /// `anti_replay`.
    pub replay: AntiReplay,
}

/// What is signed, and what is accepted. A signature that is there must always be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningMode {
    /// Own adverts are signed; adverts without a signature are refused.
    Enforce(ActiveKey),
    /// Own adverts are signed; adverts without a signature are accepted.
    Permissive(ActiveKey),
    /// Own adverts are not signed; adverts without a signature are accepted.
    ReceiveOnly,
}

impl SigningMode {
    /// The key of own adverts, if they are signed.
    #[must_use]
    pub const fn active(&self) -> Option<&ActiveKey> {
        match self {
            Self::Enforce(key) | Self::Permissive(key) => Some(key),
            Self::ReceiveOnly => None,
        }
    }

    /// The keyword's argument.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Enforce(_) => "enforce",
            Self::Permissive(_) => "permissive",
            Self::ReceiveOnly => "receive-only",
        }
    }
}

/// The key that own adverts are signed with (`active_key`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveKey {
    /// Its id, 1 to 255.
    pub id: u8,
    /// Its bytes.
    pub key: SigningKey,
}

/// How old adverts are told from new ones (`anti_replay`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AntiReplay {
    /// A stamp must be within this time (`time_window`, 1 to 300 s) of the own clock, and newer than the last.
    Time(Duration),
    /// A stamp must be newer than the last, whatever the clocks say.
    Monotonic,
}

/// The time stamp of a signed advert: seconds of UTC (32 bits), a fraction of a second in 1/65536 (16 bits),
/// and a counter for equal times (16 bits).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp of a moment, with counter 0.
    #[must_use]
    pub fn at(utc: Utc) -> Self {
        let micros = utc.0;
        let seconds = micros / 1_000_000;
        // Less than 65536, since the rest is less than a million.
        let fraction = (micros % 1_000_000) * 65_536 / 1_000_000;
        Self((seconds << 32) | (fraction << 16))
    }

    /// Seconds of UTC, without the bits above 32.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 >> 32
    }

    /// True when this stamp comes after `other`, in serial numbers of 64 bits (RFC 1982 section 3.2).
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 63
    }

    /// Seconds between two stamps, whichever is the later one.
    #[must_use]
    pub const fn distance(self, other: Self) -> Duration {
        Duration::from_secs(self.seconds().abs_diff(other.seconds()))
    }
}

/// Microseconds of UTC since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub u64);

/// How far UTC is ahead of the monotonic clock; it changes when somebody sets the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UtcOffset(pub Duration);

impl UtcOffset {
    /// The time of day at a moment of the monotonic clock.
    #[must_use]
    pub fn at(self, now: Instant) -> Utc {
        Utc(now.saturating_add(self.0).as_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_holds_seconds_and_a_fraction_of_65536() {
        let rows = [
            (0, 0),
            (1_000_000, 0x0000_0001_0000_0000),
            (1_500_000, 0x0000_0001_8000_0000),
            (1_700_000_000_999_999, 0x6553_f100_ffff_0000),
        ];
        for (micros, stamp) in rows {
            assert_eq!(Stamp::at(Utc(micros)), Stamp(stamp), "{micros}");
        }
    }

    #[test]
    fn order_of_stamps_survives_the_wrap() {
        assert!(Stamp(5).is_after(Stamp(4)));
        assert!(!Stamp(4).is_after(Stamp(4)));
        assert!(Stamp(3).is_after(Stamp(u64::MAX)));
        assert!(!Stamp(u64::MAX).is_after(Stamp(3)));
    }

    #[test]
    fn key_has_32_to_64_bytes_and_is_never_shown() {
        assert_eq!(
            SigningKey::try_from(vec![1; 31]).unwrap_err(),
            KeyLength { bytes: 31 }
        );
        assert!(SigningKey::try_from(vec![1; 65]).is_err());
        let key = SigningKey::try_from(vec![1; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "********");
    }
}
