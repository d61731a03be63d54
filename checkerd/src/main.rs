//! The checker process: every health check that goes over the network, and outgoing mail. Started by
//! keepalived-rs, which sends the configuration and starts a successor if this process dies.

use std::io::{self, Write};
use std::process::ExitCode;

use checkerd::sandbox;
use kr_child::EXIT_NO_PERMISSION;

fn main() -> ExitCode {
    let daemon = match sandbox::enter() {
        Ok(daemon) => daemon,
        Err(error) => {
            // The log may not be open yet. There is nobody to tell that standard error is closed.
            let _ = writeln!(io::stderr(), "checkerd cannot start: {error}");
            return ExitCode::from(EXIT_NO_PERMISSION);
        }
    };
    match daemon.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("checkerd ends: {error}");
            ExitCode::FAILURE
        }
    }
}
