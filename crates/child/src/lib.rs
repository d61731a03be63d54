//! Start-up shared by the three children of the parent: take the channel, open the log, give up what
//! the role does not need, and verify it, before the daemon's own loop begins.
//!
//! A child is started as `vrrpd --log=SETTINGS [--log-file] [--lock-memory] [--shared-account] [--duty=DUTY] [--sandbox=on|log]
//! [--protocol=NUMBER]`,
//! with its end of the edge
//! to the parent at descriptor 3 and, with `--log-file`, the log file at descriptor 4. A test may start one
//! by hand with `--unconfined`: then whatever account and capabilities it has are kept, with a warning,
//! without `--log` it logs to standard error, and without `--sandbox` it enters none.
//!
//! ```text
//! let Started { mut channel, mut signals, sandbox } = kr_child::start::<FromVrrpd, ToVrrpd>(Role::Vrrpd)?;
//! // Open what needs more than the sandbox allows.
//! sandbox.enter()?;
//! // Loop: register both descriptors; leave cleanly when `signals` reads SIGTERM, when the parent says
//! // Stop, and when the channel is closed, for then the parent is dead.
//! ```

mod arguments;
mod link;
mod sandbox;

use std::env;
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use kr_event::Signals;
use kr_ipc::Channel;
use kr_log::{Detail, Settings};
use kr_sys::capability;
use kr_sys::fd::adopt;
use kr_sys::memory;
use kr_sys::privilege::{Account, Excess, Holdings};
use kr_sys::sandbox::SandboxError;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{SockType, getsockopt, sockopt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arguments::Arguments;

pub use kr_sys::privilege::{Duty, Role};
pub use link::{Heard, Link};
pub use sandbox::Sandbox;

/// Descriptor at which a child finds its channel to the parent.
pub const CHANNEL_FD: RawFd = 3;

/// Descriptor at which a child finds the log file, when there is one.
pub const LOG_FILE_FD: RawFd = 4;

/// Exit code of a child that holds more or less than its role may: the parent then stops too.
pub const EXIT_NO_PERMISSION: u8 = 4;

/// Takes the descriptor of a log file that the parent opened anew.
pub fn replace_log_file(descriptor: OwnedFd) {
    kr_log::replace_file(descriptor.into());
    log::debug!("the log file was opened anew");
}

/// What a child works with once it is started.
#[derive(Debug)]
pub struct Started<S, R> {
    /// To the parent.
    pub channel: Channel<S, R>,
    /// Delivers `SIGTERM`: leave cleanly.
    pub signals: Signals,
    /// To be entered as the last step before the loop.
    pub sandbox: Sandbox,
    /// What the configuration asks of this process beyond its usual work.
    pub duty: Duty,
}

/// Why a child cannot start; its text says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The parent speaks another language, for it is of another version.
    Language {
        /// Which child.
        role: Role,
    },
    /// An argument that the parent never gives.
    Arguments(String),
    /// Descriptor 3 is not the channel.
    NoChannel {
        /// Who was started.
        role: Role,
    },
    /// Logging was started twice.
    Log,
    /// A step failed.
    Os {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        errno: Errno,
    },
    /// `/proc/self/status` cannot be read.
    NoProc(io::Error),
    /// The process holds something else than its role may.
    Excess(Excess),
    /// The sandbox could not be entered.
    Sandbox(SandboxError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(text) => f.write_str(text),
            Self::NoChannel { role } => write!(
                f,
                "{} is started by keepalived-rs, not by hand: descriptor {CHANNEL_FD} is not a channel to it",
                role.program()
            ),
            Self::Language { role } => write!(
                f,
                "{} is of another version than the daemon that starts it: install all programs of one version, then \
                 `keepalived-rs --upgrade` or a restart of the service changes to it",
                role.program()
            ),
            Self::Log => f.write_str("logging was started twice"),
            Self::Os { what, errno } => write!(f, "{what}: {errno}"),
            Self::NoProc(error) => write!(
                f,
                "own privileges cannot be verified, /proc must be mounted: {error}"
            ),
            Self::Excess(excess) => write!(
                f,
                "refusing to run with other privileges than the role's: {excess}"
            ),
            Self::Sandbox(error) => write!(f, "refusing to run outside the sandbox: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Does the steps above for `role`. `S` is what the child says, `R` what it is told.
///
/// # Errors
/// When a step fails or the process holds more than its role may. The caller prints the error and exits
/// with [`EXIT_NO_PERMISSION`].
pub fn start<S: Serialize, R: DeserializeOwned>(role: Role) -> Result<Started<S, R>, StartError> {
    memory::keep_large_blocks_apart();
    let arguments = Arguments::parse(env::args_os().skip(1)).map_err(StartError::Arguments)?;
    // A process that was executed from an open file is named after its descriptor on older kernels.
    let name = CString::new(role.program()).unwrap_or_default();
    prctl::set_name(&name).map_err(os("name"))?;
    if arguments
        .protocol
        .is_some_and(|number| number != kr_ipc::protocol())
    {
        return Err(StartError::Language { role });
    }
    let channel = take_channel(role)?;
    let file = arguments
        .log_file
        .then(|| take_file(LOG_FILE_FD))
        .transpose()?;
    let log = arguments.log.unwrap_or_else(|| Settings {
        ident: role.ident().to_owned(),
        detail: Detail::Normal,
        syslog: None,
        console: true,
    });
    kr_log::start(log, file).map_err(|_| StartError::Log)?;
    let signals = take_signals()?;
    // Asked for before `exec` already; a change of privileges in between would have cleared it.
    prctl::set_pdeathsig(Signal::SIGTERM).map_err(os("parent-death signal"))?;
    if arguments.lock_memory {
        lock_memory();
    }
    let account = if arguments.shared_account {
        Account::Shared
    } else {
        Account::Own
    };
    confine(role, arguments.duty, account, arguments.unconfined)?;
    Ok(Started {
        channel: Channel::new(channel),
        signals,
        sandbox: Sandbox::new(role, arguments.duty, arguments.sandbox),
        duty: arguments.duty,
    })
}

/// Keeps the memory of this process from being swapped out: all of it, for ever, when the parent could lift
/// the limit. Under a limit later allocations would fail, so only what there is now is locked.
fn lock_memory() {
    let unlimited =
        getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    let locked = if unlimited {
        mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
    } else {
        mlockall(MlockAllFlags::MCL_CURRENT)
    };
    match locked {
        Ok(()) if unlimited => log::debug!("memory is locked"),
        Ok(()) => log::warn!(
            "only the memory of now is locked, more may be swapped out: the limit of locked memory cannot be lifted"
        ),
        Err(errno) => log::warn!("memory may be swapped out, it cannot be locked: {errno}"),
    }
}

fn os(what: &'static str) -> impl FnOnce(Errno) -> StartError {
    move |errno| StartError::Os { what, errno }
}

fn take_channel(role: Role) -> Result<OwnedFd, StartError> {
    let missing = || StartError::NoChannel { role };
    if !is_open(CHANNEL_FD) {
        return Err(missing());
    }
    let channel = adopt(CHANNEL_FD);
    if getsockopt(&channel, sockopt::SockType) != Ok(SockType::SeqPacket) {
        return Err(missing());
    }
    close_on_exec(&channel)?;
    // The parent makes it so; a test may not.
    fcntl(&channel, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(os("descriptor 3"))?;
    Ok(channel)
}

fn take_file(number: RawFd) -> Result<File, StartError> {
    if !is_open(number) {
        return Err(StartError::Arguments(format!(
            "--log-file is given, but descriptor {number} is not open"
        )));
    }
    let file = adopt(number);
    close_on_exec(&file)?;
    Ok(file.into())
}

fn is_open(number: RawFd) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

fn close_on_exec(fd: impl AsFd) -> Result<(), StartError> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map(drop)
        .map_err(os("close-on-exec flag"))
}

/// `SIGTERM` becomes readable; what a terminal or an operator sends by mistake stays blocked.
fn take_signals() -> Result<Signals, StartError> {
    let mut rest = nix::sys::signal::SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGPIPE,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        rest.add(signal);
    }
    rest.thread_block().map_err(os("signal mask"))?;
    Signals::new(&[Signal::SIGTERM]).map_err(os("signal descriptor"))
}

/// Gives up what only `exec` needed, and verifies what is left.
fn confine(role: Role, duty: Duty, account: Account, unconfined: bool) -> Result<(), StartError> {
    if unconfined {
        log::warn!("started with --unconfined, which is for tests: keeping every privilege");
        return Ok(());
    }
    prctl::set_no_new_privs().map_err(os("no_new_privs"))?;
    memory::keep_to_itself().map_err(os("dumpable flag"))?;
    capability::set(role.mask() | duty.mask(), 0).map_err(os("capabilities"))?;
    let holdings = Holdings::of_this_process().map_err(StartError::NoProc)?;
    holdings
        .verify(role, duty, account)
        .map_err(StartError::Excess)?;
    log::debug!(
        "running as uid {} with capabilities {:#x}, verified",
        holdings.uids.first().copied().unwrap_or_default(),
        holdings.effective
    );
    Ok(())
}
