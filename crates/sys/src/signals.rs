//! The real-time signals that keepalived's tools send, for which the `nix` crate has no names. The C
//! library decides at run time where they begin.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

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

/// Go on as the program that is installed now: `SIGRTMIN + 3`.
#[must_use]
pub fn upgrade() -> i32 {
    libc::SIGRTMIN().saturating_add(3)
}

/// keepalived's dump of its threads: `SIGRTMAX`.
#[must_use]
pub fn thread_dump() -> i32 {
    libc::SIGRTMAX()
}

/// Sends a signal by its number.
///
/// # Errors
/// `ESRCH` when there is no such process, `EPERM` when it is not ours to tell.
pub fn send(pid: Pid, number: i32) -> Result<(), Errno> {
    // SAFETY: the call takes two numbers and touches no memory.
    Errno::result(unsafe { libc::kill(pid.as_raw(), number) }).map(drop)
}

/// The set of these signals.
///
/// # Errors
/// `EINVAL` when a number is none of a signal.
pub fn set_of(numbers: &[i32]) -> Result<SigSet, Errno> {
    let mut set = *SigSet::empty().as_ref();
    for number in numbers {
        // SAFETY: the set is an initialised one of our own, and the number is checked by the C library.
        Errno::result(unsafe { libc::sigaddset(&raw mut set, *number) })?;
    }
    // SAFETY: the set was initialised by `SigSet::empty` and only had signals added.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(set) })
}

/// Ignores keepalived's dump of threads, which this program does not have, so that an operator's tool that
/// asks for it does not end the daemon.
///
/// # Errors
/// When the C library keeps the signal for itself.
pub fn ignore_unanswered() -> Result<(), Errno> {
    // SAFETY: ignoring a signal runs no code of this process.
    let before = unsafe { libc::signal(thread_dump(), libc::SIG_IGN) };
    if before == libc::SIG_ERR {
        return Err(Errno::last());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_real_time_signals_and_no_other_number() {
        let set = set_of(&[libc::SIGHUP, json()]).unwrap();
        assert!(set.contains(nix::sys::signal::Signal::SIGHUP));
        // SAFETY: the set is initialised.
        assert_eq!(unsafe { libc::sigismember(set.as_ref(), json()) }, 1);
        assert_eq!(set_of(&[4711]), Err(Errno::EINVAL));
    }
}
