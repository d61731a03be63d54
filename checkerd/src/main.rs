//! The checker process: every health check that goes over the network, and outgoing mail. Started by
//! keepalived-rs, which sends the configuration and starts a successor if this process dies; or with `-f`
//! by anybody, to make the checks of a file and report them.

use std::alloc::System;
use std::io::{self, Write};
use std::process::ExitCode;

use argh::EarlyExit;
use checkerd::alone::{self, Options};
use checkerd::sandbox;
use kr_child::EXIT_NO_PERMISSION;
use zeroizing_alloc::ZeroAlloc;

/// Wipes what is freed: it may have held keys.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    match alone::options() {
        Some(options) => run_alone(options),
        None => run_as_child(),
    }
}

fn run_alone(options: Result<Options, EarlyExit>) -> ExitCode {
    // There is nobody to tell that an output is closed.
    match options.map(|options| alone::run(&options)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let _ = writeln!(io::stderr(), "checkerd ends: {error}");
            ExitCode::FAILURE
        }
        Err(help) if help.status.is_ok() => {
            let _ = write!(io::stdout(), "{}", help.output);
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "{}", wrong.output.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn run_as_child() -> ExitCode {
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
