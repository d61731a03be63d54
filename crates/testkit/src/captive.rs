//! A process that somebody has taken over: a running program that a test makes perform system calls of the test's
//! choice (ptrace(2)). The program is the shipped one, in the middle of its work, with the account, capabilities,
//! Landlock rules and filters that its own start-up gave it; so what fails here fails for an attacker who runs any
//! code in it.
//!
//! Needs `CAP_SYS_PTRACE`. Everything about one captive happens in the thread that took it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::wait::eventually;

/// The two bytes of the instruction `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Bytes below the stack pointer that belong to the function that runs, and room for what it may call.
const SPARE_STACK: u64 = 4096;

/// Room for what one call points to.
const ROOM: u64 = 2048;

/// An argument of a system call.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A number, a descriptor, a flag; of a negative number all bits.
    Number(i64),
    /// The address of these bytes, which are put into the captive's memory.
    Bytes(&'a [u8]),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was made, and returned this.
    Returned(i64),
    /// It failed.
    Failed(Errno),
    /// The kernel ended the process instead.
    Killed(Signal),
    /// The process became another program.
    Replaced,
}

/// The process.
#[derive(Debug)]
pub struct Captive {
    pid: Pid,
    memory: File,
    before: user_regs_struct,
    code: Code,
    /// Bytes of its stack that the next call points to.
    used: u64,
    is_there: bool,
}

/// Some of its code.
#[derive(Debug)]
struct Code {
    start: u64,
    length: u64,
    /// Where the instruction `syscall` is.
    gate: u64,
}

impl Captive {
    /// Stops a process, wherever it is.
    ///
    /// # Errors
    /// When it is gone, or the kernel lets nobody trace it.
    pub fn take(pid: Pid) -> io::Result<Self> {
        ptrace::seize(pid, Options::PTRACE_O_TRACEEXEC)?;
        ptrace::interrupt(pid)?;
        loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL))? {
                WaitStatus::PtraceEvent(..) => break,
                WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal)?,
                other @ (WaitStatus::Exited(..)
                | WaitStatus::Signaled(..)
                | WaitStatus::PtraceSyscall(_)
                | WaitStatus::Continued(_)
                | WaitStatus::StillAlive) => return Err(unexpected(other)),
            }
        }
        Ok(Self {
            pid,
            memory: File::options()
                .read(true)
                .write(true)
                .open(format!("/proc/{pid}/mem"))?,
            before: ptrace::getregs(pid)?,
            code: code(pid)?,
            used: 0,
            is_there: true,
        })
    }

    /// Takes a process while it waits for something to happen: when it is in one of these system calls.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub fn take_in(pid: Pid, calls: &[i64], limit: Duration) -> io::Result<Self> {
        let what = format!("process {pid} in one of the system calls {calls:?}");
        eventually(limit, &what, || {
            let text = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            let call = text.split(' ').next().and_then(|call| call.parse().ok());
            call.is_some_and(|call| calls.contains(&call))
        })?;
        Self::take(pid)
    }

    /// Puts bytes into its memory, for the next call alone, and says where.
    ///
    /// # Errors
    /// When the process is gone, or its memory ends there.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let room = SPARE_STACK.saturating_add(ROOM);
        let start = self.before.rsp.saturating_sub(room) & !0xf;
        let at = start.saturating_add(self.used);
        let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        self.used = self.used.saturating_add(length).saturating_add(16) & !0xf;
        if self.used > ROOM {
            return Err(io::Error::other("too much for one call"));
        }
        self.memory.write_all_at(bytes, at)?;
        Ok(at)
    }

    /// Where it has so many bytes, whatever they are.
    ///
    /// # Errors
    /// When it does not.
    pub fn some_bytes(&self, length: usize) -> io::Result<Argument<'static>> {
        match u64::try_from(length) {
            Ok(length) if length <= self.code.length => {
                Ok(Argument::Number(self.code.start.cast_signed()))
            }
            Ok(_) | Err(_) => Err(io::Error::other("its code is shorter")),
        }
    }

    /// Makes it perform a system call.
    ///
    /// # Errors
    /// When it is gone already, or does something else.
    pub fn call(&mut self, number: i64, arguments: &[Argument<'_>]) -> io::Result<End> {
        let mut words = [0_u64; 6];
        for (word, argument) in words.iter_mut().zip(arguments) {
            *word = match argument {
                Argument::Number(number) => number.cast_unsigned(),
                Argument::Bytes(bytes) => self.put(bytes)?,
            };
        }
        self.used = 0;
        let [rdi, rsi, rdx, r10, r8, r9] = words;
        let call = user_regs_struct {
            rax: number.cast_unsigned(),
            // It is in no system call that the kernel would begin again.
            orig_rax: u64::MAX,
            rip: self.code.gate,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            ..self.before
        };
        ptrace::setregs(self.pid, call)?;
        ptrace::step(self.pid, None)?;
        self.end()
    }

    fn end(&mut self) -> io::Result<End> {
        match waitpid(self.pid, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                let result = ptrace::getregs(self.pid)?.rax.cast_signed();
                Ok(match i32::try_from(result) {
                    Ok(negative @ -4095..0) => {
                        End::Failed(Errno::from_raw(negative.saturating_neg()))
                    }
                    Ok(_) | Err(_) => End::Returned(result),
                })
            }
            WaitStatus::Signaled(_, signal, _) => {
                self.is_there = false;
                Ok(End::Killed(signal))
            }
            WaitStatus::PtraceEvent(..) => {
                self.is_there = false;
                ptrace::detach(self.pid, None)?;
                Ok(End::Replaced)
            }
            other @ (WaitStatus::Exited(..)
            | WaitStatus::Stopped(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive) => Err(unexpected(other)),
        }
    }

    /// Lets it go on where it was.
    ///
    /// # Errors
    /// When it is gone.
    pub fn release(mut self) -> io::Result<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> io::Result<()> {
        if self.is_there {
            self.is_there = false;
            ptrace::setregs(self.pid, self.before)?;
            ptrace::detach(self.pid, None)?;
        }
        Ok(())
    }
}

impl Drop for Captive {
    fn drop(&mut self) {
        // A test that fails leaves it to whoever started it.
        let _ = self.let_go();
    }
}

fn unexpected(status: WaitStatus) -> io::Error {
    io::Error::other(format!("the captive does something else: {status:?}"))
}

/// The part of its memory that holds the C library, or itself: whatever has the instruction `syscall`.
fn code(pid: Pid) -> io::Result<Code> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    for line in maps.lines().filter(|line| line.contains(" r-xp ")) {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        let Some((start, end)) = range else { continue };
        let number = |text| u64::from_str_radix(text, 16).map_err(io::Error::other);
        let (start, end) = (number(start)?, number(end)?);
        let length = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
        let mut code = vec![0; length];
        // Some special mappings cannot be read by anybody.
        if memory.read_exact_at(&mut code, start).is_err() {
            continue;
        }
        if let Some(at) = code.windows(SYSCALL.len()).position(|two| two == SYSCALL) {
            let at = u64::try_from(at).map_err(io::Error::other)?;
            return Ok(Code {
                start,
                length: end.saturating_sub(start),
                gate: start.saturating_add(at),
            });
        }
    }
    Err(io::Error::other(format!(
        "process {pid} has no system call in its memory"
    )))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use nix::libc;

    use super::*;

    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> (Self, Pid) {
            let child = Command::new("sleep").arg("600").spawn().unwrap();
            let pid = Pid::from_raw(child.id().try_into().unwrap());
            (Self(child), pid)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    const SOON: Duration = Duration::from_secs(5);
    const SLEEPS: [i64; 2] = [libc::SYS_clock_nanosleep, libc::SYS_restart_syscall];

    #[test]
    fn a_captive_does_what_it_is_told_and_then_goes_on() {
        let (_sleeper, pid) = Sleeper::start();
        let mut captive = Captive::take_in(pid, &SLEEPS, SOON).unwrap();
        let own = captive.call(libc::SYS_getpid, &[]).unwrap();
        assert_eq!(own, End::Returned(pid.as_raw().into()));
        let path = Argument::Bytes(b"/none/such\0");
        let here = Argument::Number(libc::AT_FDCWD.into());
        let none = [here, path, Argument::Number(0)];
        let opened = captive.call(libc::SYS_openat, &none).unwrap();
        assert_eq!(opened, End::Failed(Errno::ENOENT));
        captive.release().unwrap();
        // It sleeps on.
        Captive::take_in(pid, &SLEEPS, SOON).unwrap();
    }

    #[test]
    fn the_end_of_a_captive_is_seen() {
        let (_sleeper, pid) = Sleeper::start();
        let mut captive = Captive::take_in(pid, &SLEEPS, SOON).unwrap();
        let itself = Argument::Number(pid.as_raw().into());
        let signal = Argument::Number(libc::SIGKILL.into());
        let end = captive.call(libc::SYS_kill, &[itself, signal]).unwrap();
        assert_eq!(end, End::Killed(Signal::SIGKILL));

        let (_sleeper, pid) = Sleeper::start();
        let mut captive = Captive::take_in(pid, &SLEEPS, SOON).unwrap();
        let program = Argument::Bytes(b"/bin/true\0");
        let end = captive.call(libc::SYS_execve, &[program]).unwrap();
        assert_eq!(end, End::Replaced);
    }
}
