//! Signals as readable events.

use std::os::fd::{AsFd, BorrowedFd};

use kr_sys::signals::set_of;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// A set of signals that are delivered through a descriptor instead of handlers.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks `signals` for this process and delivers them here. Programs that are started later must
    /// have their mask cleared (`kr_sys::spawn` does).
    ///
    /// # Errors
    /// When the kernel gives no descriptor.
    pub fn new(signals: &[Signal]) -> Result<Self, Errno> {
        let numbers: Vec<i32> = signals.iter().map(|signal| *signal as i32).collect();
        Self::of_numbers(&numbers)
    }

    /// The same for numbers, which real-time signals have instead of names.
    ///
    /// # Errors
    /// When a number is none of a signal, or the kernel gives no descriptor.
    pub fn of_numbers(numbers: &[i32]) -> Result<Self, Errno> {
        let set = set_of(numbers)?;
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }

    /// The next signal number that came, or `None`.
    ///
    /// # Errors
    /// When reading fails, which is a fault of this program.
    pub fn read(&mut self) -> Result<Option<i32>, Errno> {
        Ok(self
            .0
            .read_signal()?
            .and_then(|info| i32::try_from(info.ssi_signo).ok()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
