//! How often a child is believed that says of another that it broke the protocol of their channel. Pure.
//!
//! Whoever is accused is ended and started again, which nobody notices. A captured child could accuse without end,
//! until its sibling is started less and less often; so each is believed a few times, and with a later one the two
//! only lose the channel between them, which the accuser closed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kr_ipc::edge::Sibling;
use kr_model::Instant;

/// Accusations of one child that are believed within [`PERIOD`]: far below the restarts at once that its sibling
/// has.
const BELIEVED: usize = 3;

/// Time after which an accusation is forgotten.
const PERIOD: Duration = Duration::from_secs(600);

/// Who accused when.
#[derive(Debug, Default)]
pub(super) struct Accusations(BTreeMap<Sibling, VecDeque<Instant>>);

impl Accusations {
    /// Whether one more of this child is believed.
    pub(super) fn is_believed(&mut self, by: Sibling, now: Instant) -> bool {
        let earlier = self.0.entry(by).or_default();
        earlier.retain(|at| now.since(*at) < PERIOD);
        let believed = earlier.len() < BELIEVED;
        if believed {
            earlier.push_back(now);
        }
        believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_child_is_believed_three_times_in_ten_minutes_and_each_for_itself() {
        let mut accusations = Accusations::default();
        let mut say = |by, seconds| accusations.is_believed(by, at(seconds));
        let believed: Vec<bool> = (0..5).map(|n| say(Sibling::Checkerd, n)).collect();
        assert_eq!(believed, [true, true, true, false, false]);
        assert!(say(Sibling::Ipvsd, 5));
        // The first is forgotten after ten minutes, the second is not.
        assert!(say(Sibling::Checkerd, 600));
        assert!(!say(Sibling::Checkerd, 600));
    }
}
