//! Descriptors that arrive as numbers.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes ownership of a descriptor that the kernel has just put into this process (`SCM_RIGHTS`), or that
/// the parent left open across `exec` for this process to take exactly once.
#[must_use]
pub fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the callers pass a number that the kernel or the parent gave to this process and that
    // nothing else in it owns, so closing it on drop closes nobody else's descriptor.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
