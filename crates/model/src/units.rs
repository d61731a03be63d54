//! Quantities with a range.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A value was outside the range its type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange {
    /// What the value was meant for, for example `virtual router id`.
    pub what: &'static str,
    /// The smallest valid value.
    pub min: u64,
    /// The largest valid value.
    pub max: u64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {} to {}", self.what, self.min, self.max)
    }
}

impl std::error::Error for OutOfRange {}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident($raw:ty), $what:literal, $min:literal ..= $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($raw);

        impl $name {
            /// The raw number.
            #[must_use]
            pub const fn get(self) -> $raw {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            fn try_from(value: u64) -> Result<Self, OutOfRange> {
                match <$raw>::try_from(value) {
                    Ok(raw) if ($min..=$max).contains(&value) => Ok(Self(raw)),
                    Ok(_) | Err(_) => Err(OutOfRange { what: $what, min: $min, max: $max }),
                }
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> Self {
                Self::from(value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ranged!(
    /// `virtual_router_id` (RFC 9568 section 5.2.3): 1 to 255.
    Vrid(u8), "virtual router id", 1..=255
);
ranged!(
    /// A configured or effective `priority` (RFC 9568 section 5.2.4): 1 to 255, 255 is the address owner.
    /// The 0 of a stopping master exists only on the wire.
    Priority(u8), "priority", 1..=255
);
ranged!(
    /// `advert_int` in hundredths of a second: 1 (10 ms) to 25500 (version 2) or 4095 (version 3).
    AdvertInterval(u16), "advertisement interval in centiseconds", 1..=25500
);
ranged!(
    /// Kernel interface index.
    IfIndex(u32), "interface index", 1..=2147483647
);
ranged!(
    /// IPVS destination weight.
    Weight(u32), "weight", 0..=2147483647
);
ranged!(
    /// A TCP or UDP port that can be connected to.
    Port(u16), "port", 1..=65535
);
ranged!(
    /// The number by which one end of a BFD session knows it (RFC 5880 section 4.1): any but 0.
    Discriminator(u32), "BFD discriminator", 1..=4294967295
);
ranged!(
    /// Intervals without a packet after which a BFD neighbour is taken to be down (RFC 5880 section 4.1).
    Multiplier(u8), "BFD multiplier", 1..=255
);

ranged!(
    /// `weight` of one way of a route with several.
    HopWeight(u16), "weight of a nexthop", 1..=256
);

impl Priority {
    /// 255: the address owner.
    pub const OWNER: Self = Self(255);
    /// 254: what an owner that gives way to another owner counts as.
    pub const BELOW_OWNER: Self = Self(254);
    /// 100: used when a configuration gives none.
    pub const DEFAULT: Self = Self(100);

    /// True for 255, the address owner, which is never preempted.
    #[must_use]
    pub const fn is_owner(self) -> bool {
        self.0 == 255
    }
}

impl Multiplier {
    /// 5: used when a configuration gives none.
    pub const DEFAULT: Self = Self(5);
}

impl HopWeight {
    /// 1, the default.
    pub const ONE: Self = Self(1);
}

impl Weight {
    /// 0: takes no new connections.
    pub const MIN: Self = Self(0);
    /// 1: the weight of a sorry server, and of a real server without a `weight`.
    pub const ONE: Self = Self(1);
}

impl AdvertInterval {
    /// One second, the default.
    pub const DEFAULT: Self = Self(100);

    /// The interval as a duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * 10)
    }
}

/// Network interface name: 1 to 15 bytes, neither `/` nor white space, not `.` or `..`. It is held in place, since
/// a host with a thousand virtual routers holds and copies many thousands of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName {
    /// The name and zeros behind it.
    bytes: [u8; Self::MAX_LEN],
    length: u8,
}

impl IfName {
    /// Longest name that the kernel takes (`IFNAMSIZ` less the end mark).
    pub const MAX_LEN: usize = 15;

    /// A name that no link has: the kernel takes none with a colon.
    #[must_use]
    pub const fn of_no_link() -> Self {
        Self {
            bytes: *b"none:\0\0\0\0\0\0\0\0\0\0",
            length: 5,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.length));
        // It was text when it came in.
        name.and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or_default()
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IfName").field(&self.as_str()).finish()
    }
}

/// Not a valid interface name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadIfName;

impl fmt::Display for BadIfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interface name has 1 to 15 characters, without `/` and white space")
    }
}

impl std::error::Error for BadIfName {}

impl TryFrom<String> for IfName {
    type Error = BadIfName;

    fn try_from(name: String) -> Result<Self, BadIfName> {
        let bad = name.is_empty()
            || name.len() > Self::MAX_LEN
            || name == "."
            || name == ".."
            || name
                .bytes()
                .any(|b| b == b'/' || b == 0 || b.is_ascii_whitespace() || b == 0x0b);
        let mut bytes = [0; Self::MAX_LEN];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(length)) if !bad => {
                place.copy_from_slice(name.as_bytes());
                Ok(Self { bytes, length })
            }
            _ => Err(BadIfName),
        }
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_the_range_do_not_exist() {
        assert!(Vrid::try_from(0).is_err());
        assert!(Vrid::try_from(256).is_err());
        assert_eq!(Vrid::try_from(255).map(Vrid::get), Ok(255));
        assert!(AdvertInterval::try_from(25_501).is_err());
        assert_eq!(
            Port::try_from(0).unwrap_err().to_string(),
            "port must be 1 to 65535"
        );
    }

    #[test]
    fn the_name_of_no_link_is_a_name() {
        let name = IfName::of_no_link();
        assert_eq!(IfName::try_from("none:".to_owned()), Ok(name));
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        assert!(IfName::try_from("eth0.100:1".to_owned()).is_ok());
        for bad in ["", "a/b", "sixteen-chars-xx", "a b", ".", ".."] {
            assert!(IfName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
