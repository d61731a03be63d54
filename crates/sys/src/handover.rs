//! What a process hands to its own next program (`execve`): descriptors keep their numbers, a text of any size
//! travels in a file without name.

use std::ffi::{CString, NulError};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::execv;
use serde::{Deserialize, Serialize};

use crate::fd::adopt;

/// Descriptors that stay open in the next program. When this is dropped, for there was none, they close
/// again at the next one.
#[derive(Debug, Default)]
pub struct Kept {
    numbers: Vec<RawFd>,
}

impl Kept {
    /// Keeps a descriptor open, and returns what the next program takes it by.
    pub fn keep(&mut self, descriptor: BorrowedFd<'_>) -> Handed {
        // It fails for a number that is not open only, and this one is.
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()));
        self.numbers.push(descriptor.as_raw_fd());
        Handed(descriptor.as_raw_fd())
    }

    /// Replaces this program; returns only when that is impossible. The descriptors are kept.
    #[must_use]
    pub fn execute(&self, program: &str, arguments: &[String]) -> ExecuteError {
        let text = |text: &str| CString::new(text);
        let words = [program].into_iter();
        let words = words.chain(arguments.iter().map(String::as_str));
        let words: Result<Vec<CString>, NulError> = words.map(text).collect();
        match (text(program), words) {
            (Ok(program), Ok(words)) => match execv(&program, &words) {
                Ok(never) => match never {},
                Err(errno) => ExecuteError::Os(errno),
            },
            (Err(_), _) | (_, Err(_)) => ExecuteError::Nul,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for number in &self.numbers {
            // SAFETY: the call changes one flag of a number and touches no memory. A descriptor that took the
            // place of a closed one is meant to close at the next program, too.
            let _ = unsafe { libc::fcntl(*number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Why a program could not be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecuteError {
    /// A word holds a NUL byte.
    Nul,
    /// The kernel refuses.
    Os(Errno),
}

impl fmt::Display for ExecuteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("a word of the command line holds a NUL byte"),
            Self::Os(errno) => write!(f, "{}", errno.desc().to_lowercase()),
        }
    }
}

impl std::error::Error for ExecuteError {}

/// A descriptor that the program before left open under this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed(RawFd);

impl Handed {
    /// A number from the command line; `None` for those that no handed descriptor has.
    #[must_use]
    pub const fn of_number(number: RawFd) -> Option<Self> {
        if number > libc::STDERR_FILENO {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> RawFd {
        self.0
    }

    /// Takes it. To be called once.
    ///
    /// # Errors
    /// `EBADF` when it is not open.
    pub fn take(self) -> Result<OwnedFd, Errno> {
        // SAFETY: the call asks for a flag of a number and touches no memory.
        Errno::result(unsafe { libc::fcntl(self.0, libc::F_GETFD) })?;
        let descriptor = adopt(self.0);
        fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(descriptor)
    }
}

/// A file without name that holds `bytes`, to be read from the beginning.
///
/// # Errors
/// When the kernel gives no descriptor or memory.
pub fn file_of(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"handover", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// What such a file holds.
///
/// # Errors
/// When it cannot be read, or is longer than `most` bytes.
pub fn read_file(descriptor: OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::from(descriptor);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(io::Error::other("it is too long"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    fn closes_at_exec(descriptor: &OwnedFd) -> bool {
        let flags = fcntl(descriptor, FcntlArg::F_GETFD).unwrap();
        FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC)
    }

    #[test]
    fn kept_descriptors_stay_open_until_they_are_given_up() {
        let file = file_of(b"text").unwrap();
        assert!(closes_at_exec(&file));
        let mut kept = Kept::default();
        let handed = kept.keep(file.as_fd());
        assert_eq!(handed.number(), file.as_raw_fd());
        assert!(!closes_at_exec(&file));
        drop(kept);
        assert!(closes_at_exec(&file));
    }

    #[test]
    fn a_text_is_read_back_and_a_long_one_is_refused() {
        assert_eq!(read_file(file_of(b"text").unwrap(), 4).unwrap(), b"text");
        assert!(read_file(file_of(b"text").unwrap(), 3).is_err());
    }

    #[test]
    fn a_number_that_is_not_open_or_is_a_standard_stream_is_refused() {
        assert_eq!(Handed::of_number(2), None);
        let far = Handed::of_number(9_999).unwrap();
        assert_eq!(far.take().unwrap_err(), Errno::EBADF);
    }

    #[test]
    fn a_program_that_cannot_be_executed_leaves_this_one_running() {
        let kept = Kept::default();
        let missing = kept.execute("/no/such/program", &[]);
        assert_eq!(missing, ExecuteError::Os(Errno::ENOENT));
        assert_eq!(
            kept.execute("/bin/true", &["\0".to_owned()]),
            ExecuteError::Nul
        );
    }
}
