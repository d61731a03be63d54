//! Load balancing without a kernel: pools of real servers, quorum, sorry servers, the IPVS table that
//! follows from them, and the operations that turn the present table into it.
//!
//! | module | question it answers |
//! |---|---|
//! | `pool` | which servers are alive, with which weight; is there quorum |
//! | `wanted` | what the kernel's table must look like then |
//! | `diff` | which operations lead there, in which order |
//! | `table` | the machine around these: configuration, verdicts, timer, stop |
//! | `table::kernel`, `table::patrol` | what is read of the kernel and when, and what follows |
//! | `event` | what it tells: log lines and notices for the parent |
//!
//! Reconcile, do not replay: the machine keeps what it believes the kernel to hold, writes only
//! differences, and reads everything of its own in the kernel again every two seconds, so a start, a reload, a
//! crash and somebody else's `ipvsadm -C` take one path.

pub mod diff;
pub mod event;
mod pool;
pub mod table;
mod wanted;

pub use event::{Event, Notice, Reason};
pub use table::{Action, Configuration, Input, Kept, Outcome, Resume, Table};
