//! Checker process and IPVS process.

use kr_model::Generation;
use kr_model::lvs::Verdict;
use serde::{Deserialize, Serialize};

/// What the checker process says. On a new channel it first says every verdict that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToIpvsd {
    /// A checker's verdict is new or changed. A verdict for a checker that the receiver does not know is
    /// ignored while generations differ, for the two processes learn of a reload at different times.
    Verdict {
        /// Configuration that the sender runs.
        generation: Generation,
        /// The verdict.
        verdict: Verdict,
    },
}

/// What the IPVS process says: nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromIpvsd {}
