//! The built programs: command line, processes, signals, scripts, reload.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod background;
#[cfg(target_arch = "x86_64")]
mod captured;
mod command_line;
mod confinement;
mod container;
#[cfg(target_arch = "x86_64")]
mod edges;
mod fifos;
mod mail;
mod misbehaviour;
mod misc_checks;
mod processes;
mod reload;
mod reload_settings;
mod rig;
mod rows;
mod scripts;
mod secrets;
mod sockets;
mod supervision;
mod suspend;
mod under_systemd;
mod units;
mod upgrade;
