//! The edges. In each file: what the first named process sends to the second, and the reverse.
//!
//! Configuration travels as `Begin`, one message per object, `Commit`; a receiver acts on nothing
//! before the commit and keeps the old configuration when the channel ends in between.
//!
//! The parent makes the channels between its children and hands each its end, with [`Sibling`] naming who is
//! at the other one; anew whenever one of the two is started again.

pub mod checkerd_ipvsd;
pub mod parentd_checkerd;
pub mod parentd_ipvsd;
pub mod parentd_vrrpd;
pub mod vrrpd_checkerd;
pub mod vrrpd_ipvsd;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A child, as another child of the same parent knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sibling {
    /// The VRRP process.
    Vrrpd,
    /// The checker process.
    Checkerd,
    /// The IPVS process.
    Ipvsd,
}

impl fmt::Display for Sibling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vrrpd => "vrrpd",
            Self::Checkerd => "checkerd",
            Self::Ipvsd => "ipvsd",
        })
    }
}
