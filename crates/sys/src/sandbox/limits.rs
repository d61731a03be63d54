//! Resource limits of each role (getrlimit(2)).

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::privilege::Role;

/// A resource limit, and why it is that low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The resource.
    pub resource: Resource,
    /// At most so much; less if the process was started with less.
    pub most: u64,
    /// Why no more is needed.
    pub reason: &'static str,
}

const CORE: Limit = Limit {
    resource: Resource::RLIMIT_CORE,
    most: 0,
    reason: "memory holds passwords, which a core dump would put on disk",
};

const PROCESSES: Limit = Limit {
    resource: Resource::RLIMIT_NPROC,
    most: 0,
    reason: "starts no process and no thread",
};

impl Role {
    /// The limits of the role.
    #[must_use]
    pub const fn limits(self) -> &'static [Limit] {
        const VRRPD: &[Limit] = &[
            CORE,
            PROCESSES,
            Limit {
                resource: Resource::RLIMIT_NOFILE,
                most: 8192,
                reason: "one socket for each interface, of which a host with VLANs has thousands",
            },
        ];
        const CHECKERD: &[Limit] = &[
            CORE,
            PROCESSES,
            Limit {
                resource: Resource::RLIMIT_NOFILE,
                most: 4160,
                reason: "4096 checks at a time, and a few descriptors for itself",
            },
        ];
        const IPVSD: &[Limit] = &[
            CORE,
            PROCESSES,
            Limit {
                resource: Resource::RLIMIT_NOFILE,
                most: 64,
                reason: "two channels, netlink, log, loop, timer, and sockets of checks on their way",
            },
        ];
        match self {
            Self::Vrrpd => VRRPD,
            Self::Checkerd => CHECKERD,
            Self::Ipvsd => IPVSD,
        }
    }
}

/// Lowers the limits of the calling process to those of `role`, for ever.
///
/// # Errors
/// When the kernel refuses one.
pub(super) fn lower(role: Role) -> Result<(), Errno> {
    for limit in role.limits() {
        let (soft, hard) = getrlimit(limit.resource)?;
        setrlimit(limit.resource, soft.min(limit.most), hard.min(limit.most))?;
    }
    Ok(())
}
