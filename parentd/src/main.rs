//! `keepalived-rs`: the parent of the daemons. Reads the command line and the configuration, starts and
//! watches `vrrpd`, `checkerd` and `ipvsd`, runs scripts, and opens no network socket.

mod accounts;
mod alert;
mod changes;
mod cli;
mod daemon;
mod dump;
mod fifos;
mod handover;
mod load;
mod local_igmp;
mod log_file;
mod marker;
mod namespace;
mod own_links;
mod pidfile;
mod published;
mod reload_time;
#[cfg(test)]
mod sample;
mod scripts;
mod start;
mod supervisor;
mod told;
mod tracking;
mod transfer;
mod upgrade;

use std::alloc::System;
use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use kr_config::registry;
use kr_sys::memory;
use nix::unistd::execv;
use zeroizing_alloc::ZeroAlloc;

use crate::cli::{Command, Options};
use crate::supervisor::EXIT_FATAL;
use crate::supervisor::child::find_directory;

/// Wipes what is freed: it may have held passwords and keys.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// Exit code of a config test that could not be made.
const EXIT_TEST_IMPOSSIBLE: u8 = 4;

fn main() -> ExitCode {
    memory::keep_large_blocks_apart();
    // The configuration holds passwords.
    if let Err(errno) = memory::keep_to_itself() {
        let message = format!("own memory cannot be kept out of core dumps: {errno}");
        return ExitCode::from(fail(EXIT_FATAL, &message));
    }
    let code = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => perform(command),
        Err(message) => fail(EXIT_FATAL, &format!("{message} (see --help)")),
    };
    ExitCode::from(code)
}

fn perform(command: Command) -> u8 {
    match command {
        Command::Run(options) => start::start(*options),
        Command::Upgrade(options) => upgrade::ask(&options),
        Command::TryTakeOver(options, state) => upgrade::attempt(*options, state),
        Command::Test(options, log) => test(&options, log.as_deref()),
        Command::Genhash(words, options) => genhash(&words, &options),
        Command::Signum(number) => say(&format!("{number}\n")),
        Command::ListKeywords => say(&registry::list_keywords()),
        Command::Explain(keyword) => match registry::explain(&keyword) {
            Ok(text) => say(&text),
            Err(message) => fail(EXIT_FATAL, &message),
        },
        // Tools look for a version in what keepalived prints to standard error.
        Command::Version => {
            complain(&format!("keepalived-rs v{}\n", env!("CARGO_PKG_VERSION")));
            0
        }
        Command::Help => say(&cli::help()),
    }
}

/// Prints to standard output. A closed pipe is the reader's choice.
fn say(text: &str) -> u8 {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(_) => EXIT_FATAL,
    }
}

fn complain(text: &str) {
    // Nowhere is left to say that this failed.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn fail(code: u8, message: &str) -> u8 {
    complain(&format!("keepalived-rs: {message}\n"));
    code
}

/// `-t`.
fn test(options: &Options, log: Option<&Path>) -> u8 {
    let read = load::test(options);
    let report = read.report();
    match log {
        None => complain(&report),
        Some(path) => {
            if let Err(error) = fs::write(path, &report) {
                let message = format!("{}: {error}", path.display());
                return fail(EXIT_TEST_IMPOSSIBLE, &message);
            }
        }
    }
    read.exit_code()
}

/// `-T`: becomes genhash, which is beside the children.
fn genhash(words: &[String], options: &Options) -> u8 {
    let directory = match find_directory(options.libexec.as_deref()) {
        Ok(directory) => directory,
        Err(message) => return fail(EXIT_FATAL, &message),
    };
    let path = directory.join("genhash").to_string_lossy().into_owned();
    // keepalived has this option only in versions that print the bare digest.
    let words = [path.as_str(), "--bare"]
        .into_iter()
        .chain(words.iter().map(String::as_str));
    let arguments: Result<Vec<CString>, _> = words.map(CString::new).collect();
    match arguments.as_deref() {
        Ok([program, ..]) => {
            let errno = execv(program, arguments.as_deref().unwrap_or_default())
                .err()
                .map_or_else(String::new, |errno| errno.to_string());
            fail(EXIT_FATAL, &format!("{path}: {errno}"))
        }
        Ok([]) | Err(_) => fail(EXIT_FATAL, "a word for genhash holds a NUL byte"),
    }
}
