//! Start-up, one straight line: read what later may be out of reach, raise the descriptor limit, become
//! a confined child, build the loop, enter the sandbox.

use std::fmt;
use std::fs;
use std::io;

use kr_child::{Role, StartError};
use kr_event::EventLoop;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::daemon::Daemon;
use crate::holder::LocalAddresses;

/// Descriptors that are not checks: standard streams, channels, log, loop, timer, mail, clients of
/// `metrics_listen`.
const RESERVED: u64 = 64;

/// Checks that run at a time at most, also when descriptors are plenty: a burst above this gains nothing
/// and floods the neighbour tables of routers.
pub(crate) const MAX_RUNNING: u64 = 4096;

/// Why the process cannot start.
#[derive(Debug)]
pub enum EnterError {
    /// The common part failed.
    Start(StartError),
    /// The kernel gives no descriptor for the loop.
    Loop(io::Error),
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Loop(error) => write!(f, "event loop: {error}"),
        }
    }
}

impl std::error::Error for EnterError {}

/// The texts that tell addresses of mail servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameFiles {
    pub(crate) hosts: String,
    pub(crate) resolv_conf: String,
}

impl NameFiles {
    /// Reads both files. One that cannot be read keeps the text that is known.
    pub(crate) fn refresh(&mut self) {
        for (path, text) in [
            ("/etc/hosts", &mut self.hosts),
            ("/etc/resolv.conf", &mut self.resolv_conf),
        ] {
            match fs::read_to_string(path) {
                Ok(read) => *text = read,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => log::warn!(
                    "{path}: {error}; using what was read before. If the file was replaced by another one, this \
                     process reaches that one only after a restart"
                ),
                Err(_) => {}
            }
        }
    }
}

/// Does the steps and returns the daemon, which waits for its configuration.
///
/// # Errors
/// When a step fails or the process holds more than its role may.
pub fn enter() -> Result<Daemon, EnterError> {
    let mut names = NameFiles::default();
    names.refresh();
    let descriptors = raise_descriptor_limit();
    let started = kr_child::start(Role::Checkerd).map_err(EnterError::Start)?;
    let events = EventLoop::new().map_err(EnterError::Loop)?;
    let running = descriptors.saturating_sub(RESERVED).min(MAX_RUNNING);
    let running = usize::try_from(running).unwrap_or(usize::MAX);
    log::debug!("at most {running} checks run at a time ({descriptors} descriptors)");
    let addresses = LocalAddresses::open()
        .inspect_err(|errno| log::warn!("addresses of this host cannot be followed: {errno}"))
        .ok();
    let sandbox = started.sandbox;
    let daemon =
        Daemon::new(started, events, names, running, addresses).map_err(EnterError::Loop)?;
    sandbox.enter().map_err(EnterError::Start)?;
    Ok(daemon)
}

/// Makes use of all descriptors that the process may have, and says how many.
pub(crate) fn raise_descriptor_limit() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        },
        Ok((soft, _)) => soft,
        Err(_) => 256,
    }
}
