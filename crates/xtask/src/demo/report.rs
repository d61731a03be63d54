//! The table at the end.

use std::fmt::{self, Display};
use std::time::Duration;

use super::observe::Losses;

/// What each act took and cost.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(&'static str, Duration, Losses)>,
}

impl Report {
    /// Adds an act: how long until it was dealt with, and the client's losses.
    pub(super) fn add(&mut self, act: &'static str, dealt_with: Duration, losses: Losses) {
        self.rows.push((act, dealt_with, losses));
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (act, dealt_with, until, lost) = (
            "what happened",
            "dealt with after",
            "last lost request after",
            "requests lost",
        );
        writeln!(f, "{act:<18} {dealt_with:>18} {until:>25} {lost:>15}")?;
        for (act, dealt_with, losses) in &self.rows {
            let dealt_with = format!("{:.1} s", dealt_with.as_secs_f32());
            let until = match losses.requests {
                0 => "-".to_owned(),
                _ => format!("{:.1} s", losses.until.as_secs_f32()),
            };
            writeln!(
                f,
                "{act:<18} {dealt_with:>18} {until:>25} {:>15}",
                losses.requests
            )?;
        }
        Ok(())
    }
}
