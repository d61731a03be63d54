//! Start-up in one straight line: everything that needs a privilege beyond the role's own happens in
//! `kr_child::start`, before the first message is read.

use std::error::Error;

use kr_child::{Role, Started};

use crate::daemon::Daemon;

/// Takes the channel, gives up privileges, builds the daemon, and enters the sandbox. The kernel's table is
/// opened when there is a configuration, so the sandbox still allows that.
///
/// # Errors
/// When the process was not started as the parent starts it, or the kernel gives no descriptors.
pub(crate) fn enter() -> Result<Daemon, Box<dyn Error>> {
    let Started {
        channel,
        signals,
        sandbox,
        ..
    } = kr_child::start(Role::Ipvsd)?;
    let daemon = Daemon::new(channel, signals)?;
    sandbox.enter()?;
    Ok(daemon)
}
