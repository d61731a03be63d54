//! The IPVS process: owns the kernel's IPVS table. Started by keepalived-rs; see `kr_child`.
//!
//! It holds `CAP_NET_ADMIN` and reads nothing that came from the network: its configuration comes from the
//! parent, and the checker process tells it ids and verdicts, and asks for the sockets of its checks that
//! need a privilege.

mod daemon;
mod intake;
mod opener;
mod sandbox;
mod sockets;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut daemon = match sandbox::enter() {
        Ok(daemon) => daemon,
        Err(error) => {
            // Logging may not have begun.
            let _ = writeln!(std::io::stderr(), "ipvsd: {error}");
            return ExitCode::from(kr_child::EXIT_NO_PERMISSION);
        }
    };
    match daemon.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("ending so that the parent starts a successor: {error}");
            ExitCode::FAILURE
        }
    }
}
