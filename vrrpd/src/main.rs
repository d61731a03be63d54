//! The VRRP process: election by adverts, virtual addresses, gratuitous ARP, BFD sessions. Started by keepalived-rs,
//! which sends the configuration, hears of every change, and starts a successor if this process dies.

mod addresses;
mod bfd;
mod daemon;
mod fib;
mod firewall;
mod intake;
mod kernel;
mod moderation;
mod own_links;
mod refusals;
mod routing;
#[cfg(test)]
mod samples;
mod sandbox;
mod siblings;
mod sockets;
mod table;

use std::alloc::System;
use std::io::{self, Write};
use std::process::ExitCode;

use kr_child::EXIT_NO_PERMISSION;
use zeroizing_alloc::ZeroAlloc;

/// Wipes what is freed: it may have held passwords and keys.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let daemon = match sandbox::enter() {
        Ok(daemon) => daemon,
        Err(error) => {
            // The log may not be open yet. There is nobody to tell that standard error is closed.
            let _ = writeln!(io::stderr(), "vrrpd cannot start: {error}");
            return ExitCode::from(EXIT_NO_PERMISSION);
        }
    };
    match daemon.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("vrrpd ends: {error}");
            ExitCode::FAILURE
        }
    }
}
