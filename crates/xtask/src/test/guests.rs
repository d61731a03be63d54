//! Tests in guests of the lab, several guests at a time: each of them has one processor, and waits a good part of
//! its time.

use std::thread;
use std::time::Duration;

use super::step::{Outcome, Tally};
use crate::lab::{Guard, Lab};

/// One guest.
pub(super) struct Guest {
    /// What confines its processes.
    pub(super) guard: Guard,
    /// What it runs: test programs, for `sh`.
    pub(super) script: String,
}

/// Runs guests at the same time, each no longer than `limit`. What one says is shown at its end, so that they do
/// not mix.
pub(super) fn at_once(lab: &Lab, guests: &[Guest], limit: Duration) -> Outcome {
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        let run = |guest| scope.spawn(move || one(lab, guest, limit));
        let running: Vec<_> = guests.iter().map(run).collect();
        for guest in running {
            outcome.add(guest.join().unwrap_or_else(|_| Outcome::one(false)));
        }
    });
    outcome
}

fn one(lab: &Lab, guest: &Guest, limit: Duration) -> Outcome {
    let mut said = Vec::new();
    let status = lab.run(guest.guard, &guest.script, limit, &mut |bytes| {
        said.extend_from_slice(bytes);
    });
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    let mut tally = Tally::default();
    said.lines().for_each(|line| tally.line(line));
    match status {
        Ok(status) => tally.outcome(status == 0),
        Err(error) => {
            println!("{error}");
            tally.outcome(false)
        }
    }
}
