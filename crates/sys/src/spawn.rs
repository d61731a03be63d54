//! Starting programs: the children of the parent, and the operator's scripts.
//!
//! Everything that a program inherits is decided here, in one straight line between `fork` and `exec`
//! (`Plan::become_program`): signals, session, descriptors, capabilities, account, parent-death signal.
//! Nothing in that line allocates or takes a lock. The caller never waits for the `exec`: when it fails,
//! the step and error number wait in a pipe until the end of the process is noticed.

mod process;

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, chdir, getpid, getppid, pipe2, setgroups, setresgid, setresuid,
    setsid,
};

use crate::capability;
use crate::fd::adopt;
use crate::privilege::{Duty, Role};
use crate::read_only::ReadOnly;
use crate::tuning::Tuning;

pub use process::{Ended, HandedProcess, Process, Step};

/// Descriptors are moved here before the fork, so that none of them is in the way of the numbers that
/// the program expects.
const PARKING: RawFd = 64;

/// First descriptor that a program may find besides the standard three.
const FIRST_HANDED: RawFd = 3;

/// Shell for a script without `#!` line.
const SHELL: &CStr = c"/bin/sh";

/// The account that a program runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Supplementary groups, all of them.
    pub groups: Vec<Gid>,
}

/// A program with its arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: CString,
    /// The arguments after the program's own name.
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// Prepares a program. Environment entries are `NAME=VALUE`.
    ///
    /// # Errors
    /// When a text holds a NUL byte.
    pub fn new(
        path: &str,
        arguments: &[String],
        environment: &[String],
    ) -> Result<Self, std::ffi::NulError> {
        let all = |texts: &[String]| {
            texts
                .iter()
                .map(|text| CString::new(text.as_str()))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            path: CString::new(path)?,
            arguments: all(arguments)?,
            environment: all(environment)?,
        })
    }
}

/// Where the standard error of a child goes.
#[derive(Debug, Clone, Copy)]
pub enum Stderr<'a> {
    /// To that of this process (console log).
    Inherited,
    /// Nowhere.
    Null,
    /// To this descriptor.
    To(BorrowedFd<'a>),
}

/// Starts a child of the parent: own session, descriptors 3 and up as given, the capabilities of the role
/// and its duty as ambient ones, `SIGTERM` when this process dies. Without `identity` it
/// shares the account of this process, which is not root, and keeps its bounding set.
///
/// What runs is the open `file`, whatever is at the path of the program now; the path is only what it is called, and
/// what runs without a file, or when the kernel refuses to execute one that has no path any more (AppArmor).
///
/// # Errors
/// When this process is out of descriptors, memory or processes.
pub fn spawn_child(
    (role, duty): (Role, Duty),
    (program, file): (&Program, Option<BorrowedFd<'_>>),
    identity: Option<&Identity>,
    tuning: &Tuning,
    descriptors: &[BorrowedFd<'_>],
    stderr: Stderr<'_>,
) -> io::Result<Process> {
    let confinement = Confinement::Child {
        capabilities: role.mask() | duty.mask(),
        tuning,
    };
    spawn(program, file, identity, descriptors, stderr, confinement)
}

/// A script of the operator, and how it is to be started.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// Path, arguments, environment.
    pub program: &'a Program,
    /// The file that was checked, which is what runs. A `#!` script is opened again by its interpreter, by
    /// its path. `None`: whatever is at the path then.
    pub file: Option<BorrowedFd<'a>>,
    /// `None`: it runs as this process does.
    pub identity: Option<&'a Identity>,
    /// Nothing that it executes can give it more than its account has (`sudo`, set-user-id programs).
    pub no_new_privileges: bool,
    /// Where it may write, if not everywhere that its account may; then it gains no privileges either.
    pub read_only: Option<&'a ReadOnly>,
}

/// Starts a script: own session and process group, no descriptor but the null device, `SIGTERM` when this
/// process dies.
///
/// # Errors
/// When this process is out of descriptors, memory or processes.
pub fn spawn_script(script: &Script<'_>) -> io::Result<Process> {
    let confinement = Confinement::Script {
        no_new_privileges: script.no_new_privileges,
        read_only: script.read_only,
    };
    spawn(
        script.program,
        script.file,
        script.identity,
        &[],
        Stderr::Null,
        confinement,
    )
}

#[derive(Debug, Clone, Copy)]
enum Confinement<'a> {
    Child {
        capabilities: u64,
        tuning: &'a Tuning,
    },
    Script {
        no_new_privileges: bool,
        read_only: Option<&'a ReadOnly>,
    },
    Trial {
        capabilities: Option<u64>,
    },
}

impl Confinement<'_> {
    /// A child forbids them itself, before it reads anything: AppArmor and SELinux change a process that has done
    /// so to no profile or domain that its parent does not have as well.
    const fn forbids_new_privileges(self) -> bool {
        match self {
            Self::Child { .. } => false,
            Self::Script {
                no_new_privileges,
                read_only,
            } => no_new_privileges || read_only.is_some(),
            Self::Trial { .. } => false,
        }
    }
}

/// Everything that is needed after the fork, made before it.
struct Plan<'a> {
    identity: Option<&'a Identity>,
    confinement: Confinement<'a>,
    null: OwnedFd,
    handed: Vec<OwnedFd>,
    /// `None`: inherited.
    stderr: Option<OwnedFd>,
    report: OwnedFd,
    parent: Pid,
    file: Option<OwnedFd>,
    path: &'a CStr,
    arguments: Vec<*const libc::c_char>,
    shell_arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
}

fn spawn(
    program: &Program,
    file: Option<BorrowedFd<'_>>,
    identity: Option<&Identity>,
    descriptors: &[BorrowedFd<'_>],
    stderr: Stderr<'_>,
    confinement: Confinement<'_>,
) -> io::Result<Process> {
    let (failure, report) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let arguments = || program.arguments.iter().map(|text| text.as_ptr());
    let path = program.path.as_ptr();
    let plan = Plan {
        identity,
        confinement,
        null: park(null.as_fd())?,
        handed: descriptors
            .iter()
            .map(|fd| park(*fd))
            .collect::<Result<_, _>>()?,
        stderr: match stderr {
            Stderr::Inherited => None,
            Stderr::Null => Some(park(null.as_fd())?),
            Stderr::To(descriptor) => Some(park(descriptor)?),
        },
        report: park(report.as_fd())?,
        parent: getpid(),
        file: file.map(park).transpose()?,
        path: &program.path,
        arguments: [path]
            .into_iter()
            .chain(arguments())
            .chain([ptr::null()])
            .collect(),
        shell_arguments: [SHELL.as_ptr(), path]
            .into_iter()
            .chain(arguments())
            .chain([ptr::null()])
            .collect(),
        environment: program
            .environment
            .iter()
            .map(|text| text.as_ptr())
            .chain([ptr::null()])
            .collect(),
    };
    let pid = match fork()? {
        ForkResult::Child => plan.become_program(),
        ForkResult::Parent { child } => child,
    };
    Ok(Process {
        pid,
        pidfd: pidfd_open(pid)?,
        failure: failure.into(),
    })
}

/// Starts another version of this program, to try it: as this process runs, in a session of its own, with
/// descriptors 3 and up as given, and `SIGTERM` when this process dies. Whoever is not root names the
/// `capabilities` that it is to have.
///
/// # Errors
/// When this process is out of descriptors, memory or processes.
pub fn spawn_trial(
    program: &Program,
    capabilities: Option<u64>,
    descriptors: &[BorrowedFd<'_>],
    stderr: BorrowedFd<'_>,
) -> io::Result<Process> {
    let confinement = Confinement::Trial { capabilities };
    let stderr = Stderr::To(stderr);
    spawn(program, None, None, descriptors, stderr, confinement)
}

/// Leaves the terminal: returns true in a new process that belongs to no session leader's terminal, and
/// false in the calling one.
///
/// # Errors
/// When this process is out of memory or processes.
pub fn detach() -> Result<bool, Errno> {
    if let ForkResult::Parent { child } = fork()? {
        // It only makes the next process and exits.
        waitpid(child, None)?;
        return Ok(false);
    }
    let forked = setsid().and_then(|_| fork());
    match forked {
        Ok(ForkResult::Child) => Ok(true),
        Ok(ForkResult::Parent { .. }) | Err(_) => {
            // SAFETY: _exit ends the process and runs no handlers of the caller's program.
            unsafe { libc::_exit(0) }
        }
    }
}

fn fork() -> Result<ForkResult, Errno> {
    // SAFETY: the process has one thread, so that the new one finds no lock held; and what runs in it
    // before it executes a program only calls functions that neither allocate nor lock.
    unsafe { nix::unistd::fork() }
}

fn park(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(PARKING)).map(adopt)
}

/// A descriptor of a process, which becomes readable when the process ends. It is of whatever process has the
/// number now: look at that again afterwards.
///
/// # Errors
/// `ESRCH` when there is none, and as the kernel says.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open takes two numbers and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let number = Errno::result(result)?;
    RawFd::try_from(number)
        .map(adopt)
        .map_err(|_| Errno::EOVERFLOW)
}

impl Plan<'_> {
    /// Runs in the new process: goes through the steps and executes the program, or reports the step
    /// that failed and exits.
    fn become_program(&self) -> ! {
        let (step, errno) = match self.prepare() {
            Ok(()) => (Step::Execute, self.execute()),
            Err(failed) => failed,
        };
        let [a, b, c, d] = (errno as i32).to_le_bytes();
        // An empty pipe takes five bytes; when it does not, the exit code still says that it failed.
        let _ = nix::unistd::write(&self.report, &[step.code(), a, b, c, d]);
        // SAFETY: _exit ends the process and runs no handlers of the parent's program.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self) -> Result<(), (Step, Errno)> {
        let at = |step| move |errno| (step, errno);
        reset_signals().map_err(at(Step::Signals))?;
        setsid().map_err(at(Step::Session))?;
        self.arrange_descriptors().map_err(at(Step::Descriptors))?;
        if let Confinement::Child {
            capabilities,
            tuning,
        } = self.confinement
        {
            tuning
                .apply(&Tuning::default(), None)
                .map_err(at(Step::Tuning))?;
            // At the soft limit of its CPU time; the hard one says enough.
            ignore(Signal::SIGXCPU).map_err(at(Step::Tuning))?;
            if self.identity.is_some() {
                capability::limit_bounding(capabilities).map_err(at(Step::BoundingSet))?;
            }
            // Without this the change of the user would empty the permitted set.
            prctl::set_keepcaps(true).map_err(at(Step::Capabilities))?;
        }
        if let Some(identity) = self.identity {
            change_account(identity).map_err(at(Step::Account))?;
        }
        if let Confinement::Child { capabilities, .. } = self.confinement {
            capability::set(capabilities, capabilities).map_err(at(Step::Capabilities))?;
            capability::raise_ambient(capabilities).map_err(at(Step::Capabilities))?;
        }
        if let Confinement::Trial {
            capabilities: Some(held),
        } = self.confinement
        {
            capability::pass_on(held).map_err(at(Step::Capabilities))?;
        }
        if self.confinement.forbids_new_privileges() {
            prctl::set_no_new_privs().map_err(at(Step::NoNewPrivileges))?;
        }
        if let Confinement::Script {
            read_only: Some(rules),
            ..
        } = self.confinement
        {
            rules.apply().map_err(at(Step::ReadOnly))?;
        }
        // After the change of account, which clears it.
        prctl::set_pdeathsig(Signal::SIGTERM).map_err(at(Step::ParentDeath))?;
        if getppid() != self.parent {
            return Err((Step::ParentDeath, Errno::ESRCH));
        }
        chdir(c"/").map_err(at(Step::Directory))
    }

    fn arrange_descriptors(&self) -> Result<(), Errno> {
        duplicate(self.null.as_fd(), 0)?;
        duplicate(self.null.as_fd(), 1)?;
        if let Some(stderr) = &self.stderr {
            duplicate(stderr.as_fd(), 2)?;
        }
        let mut next = FIRST_HANDED;
        for fd in &self.handed {
            duplicate(fd.as_fd(), next)?;
            next = next.saturating_add(1);
        }
        close_on_exec_from(next)
    }

    /// Returns only when the program cannot be executed.
    fn execute(&self) -> Errno {
        if let Some(file) = &self.file {
            let errno = execveat(file.as_fd(), &self.arguments, &self.environment);
            // The kernel refuses a `#!` script so, for the descriptor closes before the interpreter could
            // read it; and AppArmor a program whose file was replaced, unless its profile allows that.
            if !matches!(errno, Errno::ENOENT | Errno::ENOEXEC) {
                return errno;
            }
        }
        let errno = execve(self.path, &self.arguments, &self.environment);
        // A script without `#!` line is run by the shell, as execvp and keepalived do.
        if errno == Errno::ENOEXEC && matches!(self.confinement, Confinement::Script { .. }) {
            return execve(SHELL, &self.shell_arguments, &self.environment);
        }
        errno
    }
}

fn reset_signals() -> Result<(), Errno> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default disposition runs no code of this process. The kernel and the C library refuse
        // a few (SIGKILL, SIGSTOP, two of their own), which nobody can have changed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn ignore(signal: Signal) -> Result<(), Errno> {
    // SAFETY: the disposition runs no code of this process.
    let before = unsafe { libc::signal(signal as libc::c_int, libc::SIG_IGN) };
    if before == libc::SIG_ERR {
        return Err(Errno::last());
    }
    Ok(())
}

fn change_account(identity: &Identity) -> Result<(), Errno> {
    setgroups(&identity.groups)?;
    setresgid(identity.gid, identity.gid, identity.gid)?;
    setresuid(identity.uid, identity.uid, identity.uid)
}

fn duplicate(from: BorrowedFd<'_>, to: RawFd) -> Result<(), Errno> {
    // SAFETY: `from` is open and at least PARKING, `to` is below it, so no owned descriptor of this
    // process image, which ends at exec or _exit anyway, is replaced before its last use.
    let result = unsafe { libc::dup2(from.as_raw_fd(), to) };
    Errno::result(result).map(drop)
}

/// Marks every descriptor from `first` on. They are opened that way; this also covers what a library
/// might have forgotten.
fn close_on_exec_from(first: RawFd) -> Result<(), Errno> {
    let first = libc::c_uint::try_from(first).map_err(|_| Errno::EBADF)?;
    // SAFETY: close_range takes three numbers and with this flag closes nothing now.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    match Errno::result(result) {
        // Before Linux 5.11 only the flag of each descriptor counts.
        Ok(_) | Err(Errno::ENOSYS | Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn execve(
    path: &CStr,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
) -> Errno {
    // SAFETY: both vectors end with a null pointer and point to NUL-terminated texts of the `Program`
    // that outlives the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Errno::last()
}

/// Executes an open file.
fn execveat(
    file: BorrowedFd<'_>,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
) -> Errno {
    // SAFETY: the path is an empty text that lives for ever; both vectors end with a null pointer and point to
    // NUL-terminated texts of the `Program` that outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

#[cfg(test)]
mod tests;
