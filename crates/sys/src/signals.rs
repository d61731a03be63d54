//! Signals that the `nix` crate has no name for.

use nix::errno::Errno;
use nix::libc;

/// Ignores the real-time signals that keepalived answers and this program does not (`STATS_CLEAR`,
/// `JSON`, `TDUMP`): an operator's tool that sends one must not end the daemon.
///
/// # Errors
/// When the C library keeps one for itself.
pub fn ignore_unanswered() -> Result<(), Errno> {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    for signal in [first.saturating_add(2), last.saturating_sub(1), last] {
        // SAFETY: ignoring a signal runs no code of this process.
        let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
        if before == libc::SIG_ERR {
            return Err(Errno::last());
        }
    }
    Ok(())
}
