//! When in the interval the adverts of many masters leave.
//!
//! Masters that start, or take over, at one moment would send all their adverts at one moment for ever: the last of a
//! thousand leaves milliseconds after the first, by more or less each time, and the process does nothing in between.
//! So a crowd is split into batches, once: the next advert of each batch but the first leaves earlier than after a
//! whole interval, and from then on each batch has a moment of its own. A peer sees one short interval, which the
//! protocol allows at any time.

use std::time::Duration;

use kr_model::{InstanceId, Instant};

/// Adverts that are worth a wake-up, and leave before one that is due now notices.
pub(crate) const BATCH: usize = 64;

/// So many at one moment are a crowd. Fewer may meet by chance, when some leave early with others, and parting again
/// would move them for ever.
const CROWD: usize = 2 * BATCH;

/// Adverts that are due so close to the first one of a crowd belong to it.
const MOMENT: Duration = Duration::from_micros(100);

/// By how much an advert leaves earlier than an interval after the last one: a share of the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase {
    part: u32,
    of: u32,
}

impl Phase {
    /// How much earlier.
    pub(crate) fn ahead(self, interval: Duration) -> Duration {
        (interval * self.part)
            .checked_div(self.of)
            .unwrap_or_default()
    }
}

/// The phases that instances get, given when the advert of each is due, if it is a master.
pub(crate) fn spread(mut due: Vec<(Option<Instant>, InstanceId)>) -> Vec<(InstanceId, Phase)> {
    due.sort_unstable();
    let same_moment = |(first, _): &(Option<Instant>, _), (at, _): &(Option<Instant>, _)| matches!((first, at), (Some(first), Some(at)) if at.since(*first) <= MOMENT);
    let mut phases = Vec::with_capacity(due.len());
    let mut rest = due.as_slice();
    while let Some(first) = rest.first() {
        let others = rest.iter().skip(1);
        let size = 1 + others.take_while(|one| same_moment(first, one)).count();
        let (crowd, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        let batch = if crowd.len() > CROWD { BATCH } else { CROWD };
        let batches = u32::try_from(crowd.len().div_ceil(batch)).unwrap_or(u32::MAX);
        for (batch, part) in crowd.chunks(batch).zip(0..batches) {
            let phase = Phase { part, of: batches };
            phases.extend(batch.iter().map(|(_, id)| (*id, phase)));
        }
        rest = after;
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_of(due: impl Iterator<Item = Option<u64>>) -> Vec<(u32, u32)> {
        let due = due.map(|at| at.map(Instant::from_micros));
        let phases = spread(due.zip((0..).map(InstanceId)).collect());
        phases
            .iter()
            .map(|(_, phase)| (phase.part, phase.of))
            .collect()
    }

    #[test]
    fn those_who_are_no_crowd_keep_their_interval() {
        assert_eq!(spread_of([Some(5); CROWD].into_iter()), [(0, 1); CROWD]);
        let usual = Phase { part: 0, of: 1 };
        assert_eq!(usual.ahead(Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn a_crowd_is_split_into_batches_over_the_interval() {
        let crowd = spread_of(
            (0..98)
                .map(|number| Some(1000 + number))
                .chain([Some(1097); 64]),
        );
        let batch = |part, size| vec![(part, 3); size];
        let batches = [batch(0, 64), batch(1, 64), batch(2, 34)];
        assert_eq!(crowd, batches.concat());
        let last = Phase { part: 2, of: 3 };
        assert_eq!(last.ahead(Duration::from_secs(3)), Duration::from_secs(2));
    }

    #[test]
    fn those_with_moments_of_their_own_are_no_crowd_however_late_it_is() {
        assert_eq!(
            spread_of((0..190).map(|number| Some(number * 500))),
            [(0, 1); 190]
        );
        assert_eq!(spread_of([None; 190].into_iter()), [(0, 1); 190]);
    }
}
