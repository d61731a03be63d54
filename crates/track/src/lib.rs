//! Tracked objects without processes, files and clocks: when the program of a `vrrp_script` runs and what
//! its results mean, the number in a `track_file`, which processes a `vrrp_track_process` counts and what
//! their number means.
//!
//! The parent runs programs, reads files and counts processes, gives the results to [`Scripts::handle`] and
//! [`Processes::handle`], carries out what `poll_action` has, and calls again at `poll_timeout`. What the
//! states mean for an instance is worked out by `kr-vrrp`.

mod number;
mod pattern;
mod processes;
mod scripts;

pub use number::{MOST_BYTES, number};
pub use pattern::{matches, needs_command_line};
pub use processes::{Delay, HandedProcesses, Processes};
pub use scripts::{HandedScripts, ScriptAction, ScriptInput, Scripts};
