//! The real-time signals that keepalived's tools send, for which the `nix` crate has no names. The C
//! library decides at run time where they begin.

use nix::errno::Errno;
use nix::libc;

/// Statistics to a file, then counted from zero again: `SIGRTMAX - 1`.
#[must_use]
pub fn statistics_and_clear() -> i32 {
    libc::SIGRTMAX().saturating_sub(1)
}

/// State as JSON: `SIGRTMIN + 2`.
#[must_use]
pub fn json() -> i32 {
    libc::SIGRTMIN().saturating_add(2)
}

/// keepalived's dump of its threads: `SIGRTMAX`.
#[must_use]
pub fn thread_dump() -> i32 {
    libc::SIGRTMAX()
}

/// Ignores the signals above, so that an operator's tool that sends one that is not answered does not
/// end the daemon.
///
/// # Errors
/// When the C library keeps one for itself.
pub fn ignore_unanswered() -> Result<(), Errno> {
    for signal in [json(), statistics_and_clear(), thread_dump()] {
        // SAFETY: ignoring a signal runs no code of this process.
        let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
        if before == libc::SIG_ERR {
            return Err(Errno::last());
        }
    }
    Ok(())
}
