//! Identities. The parent gives them out; equal objects keep theirs across reloads, and a number is
//! never used again for something else while the parent lives.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// One `vrrp_instance`.
    InstanceId
);
id!(
    /// One `vrrp_sync_group`: the number of its first member's [`InstanceId`].
    GroupId
);
id!(
    /// One `virtual_server`.
    VirtualServerId
);
id!(
    /// One `real_server` of one virtual server.
    RealServerId
);
id!(
    /// One checker block (`TCP_CHECK`, ...) of one real server.
    CheckerId
);
id!(
    /// One configured program with its arguments and user.
    ScriptId
);

id!(
    /// One `vrrp_script`, `track_file`, `vrrp_track_process` or `bfd_instance`.
    TrackerId
);

/// Counts the configurations that were put into force since the parent started; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
