//! VRRP process and checker process.

use kr_model::bfd::Reach;
use kr_model::vrrp::State;
use kr_model::{Generation, InstanceId, TrackerId};
use serde::{Deserialize, Serialize};

/// What the VRRP process says. On a new channel it first says the state of every instance and session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToCheckerd {
    /// An instance is new or changed its state: as master it holds its addresses. The two processes learn
    /// of a reload at different times: see [`crate::Early`].
    Instance {
        /// Configuration that the sender runs.
        generation: Generation,
        /// The instance.
        instance: InstanceId,
        /// Its state.
        state: State,
    },
    /// A BFD session is new, or its neighbour is reached or not.
    Bfd {
        /// Configuration that the sender runs.
        generation: Generation,
        /// The session.
        session: TrackerId,
        /// Whether its neighbour is reached.
        reach: Reach,
    },
}

/// What the checker process says: nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromCheckerd {}
