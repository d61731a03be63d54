//! Adverts of several masters leave together where they may.

use kr_model::units::Priority;
use kr_model::vrrp::Announce;

use super::*;

/// When each router sends its next adverts, in milliseconds from now, until all have sent `rounds`.
fn departures(bench: &mut Bench, rounds: usize) -> Vec<(u64, Vec<u8>)> {
    let start = bench.now;
    let mut seen = Vec::new();
    for _ in 0..rounds {
        bench.now = bench.router.poll_timeout().unwrap();
        bench.router.handle(Input::Timer, bench.now);
        let vrids = bench.actions().into_iter().filter_map(|action| {
            let Action::SendAdvert { packet, .. } = action else {
                return None;
            };
            Some(message(&packet)[1])
        });
        let at = bench.now.since(start).as_micros() / 100;
        seen.push((u64::try_from(at).unwrap(), vrids.collect()));
    }
    seen
}

/// Masters with these router ids that started so many microseconds one after the other.
fn masters(apart: &[(u8, u64)]) -> Bench {
    let mut bench = Bench::empty();
    let mut instances = BTreeMap::new();
    for (vrid, micros) in apart {
        bench.now = bench.now.saturating_add(Duration::from_micros(*micros));
        let id = InstanceId(u32::from(*vrid));
        let config = Instance {
            id,
            vrid: u64::from(*vrid).try_into().unwrap(),
            // Owners are masters at once.
            priority: Priority::OWNER,
            announce: Announce {
                delay: Duration::ZERO,
                ..instance(1).announce
            },
            ..instance(255)
        };
        instances.insert(id, config.into());
        bench.router.handle(
            Input::Configure {
                global: global(),
                instances: instances.clone(),
                resume: BTreeMap::new(),
            },
            bench.now,
        );
        while bench.router.poll_timeout() == Some(bench.now) {
            bench.router.handle(Input::Timer, bench.now);
        }
        bench.actions();
    }
    bench
}

#[test]
fn adverts_that_are_due_within_four_milliseconds_leave_together_and_stay_together() {
    let mut bench = masters(&[(1, 0), (2, 3_000), (3, 30_000)]);
    // In tenths of a millisecond after the last start.
    let expected = [
        (9_670, vec![1, 2]),
        (10_000, vec![3]),
        (19_670, vec![1, 2]),
        (20_000, vec![3]),
    ];
    assert_eq!(departures(&mut bench, 4), expected);
}

#[test]
fn a_crowd_leaves_in_batches_from_its_third_advert_on() {
    let together: Vec<(u8, u64)> = (1..=40).map(|vrid| (vrid, 0)).collect();
    let mut bench = masters(&together);
    let counts: Vec<(u64, usize)> = departures(&mut bench, 7)
        .into_iter()
        .map(|(at, vrids)| (at, vrids.len()))
        .collect();
    let expected = [
        (10_000, 40),
        // The second third and the last one leave earlier, this once.
        (13_333, 8),
        (16_666, 16),
        (20_000, 16),
        (23_333, 8),
        (26_666, 16),
        (30_000, 16),
    ];
    assert_eq!(counts, expected);
}

#[test]
fn a_pause_of_several_intervals_moves_no_schedule() {
    let mut bench = masters(&[(1, 0)]);
    let due = bench.router.poll_timeout().unwrap();
    bench.now = due.saturating_add(Duration::from_millis(2_300));
    bench.router.handle(Input::Timer, bench.now);
    bench.actions();
    let next = due.saturating_add(Duration::from_secs(3));
    assert_eq!(bench.router.poll_timeout(), Some(next));
}

#[test]
fn late_wake_up_moves_no_schedule() {
    let mut bench = masters(&[(1, 0), (2, 30_000)]);
    let due = bench.router.poll_timeout().unwrap();
    bench.now = due.saturating_add(Duration::from_millis(25));
    bench.router.handle(Input::Timer, bench.now);
    bench.actions();
    let second = due.saturating_add(Duration::from_millis(30));
    assert_eq!(bench.router.poll_timeout(), Some(second));
    bench.now = second;
    bench.router.handle(Input::Timer, bench.now);
    bench.actions();
    let next = due.saturating_add(Duration::from_secs(1));
    assert_eq!(bench.router.poll_timeout(), Some(next));
}
