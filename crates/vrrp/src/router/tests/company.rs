//! Adverts of several masters leave together where they may.

use kr_model::units::Priority;
use kr_model::vrrp::Announce;

use super::*;

/// When each router sends its next adverts, in milliseconds from now, until all have sent `rounds`.
fn departures(bench: &mut Bench, rounds: usize) -> Vec<(u64, Vec<u8>)> {
    let start = bench.now;
    let mut seen = Vec::new();
    for _ in 0..rounds {
        bench.now = bench.now.max(bench.router.poll_timeout().unwrap());
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
    let together: Vec<(u8, u64)> = (1..=140).map(|vrid| (vrid, 0)).collect();
    let mut bench = masters(&together);
    let counts: Vec<(u64, usize)> = departures(&mut bench, 7)
        .into_iter()
        .map(|(at, vrids)| (at, vrids.len()))
        .collect();
    // Of three batches two leave earlier, this once.
    let expected = [
        (10_000, 64),
        (10_000, 64),
        (10_000, 12),
        (13_333, 12),
        (16_666, 64),
        (20_000, 64),
        (23_333, 12),
    ];
    assert_eq!(counts, expected);
}

/// Of a thousand masters every 0.1 s, of whom every wake-up comes so many microseconds late in turn: the numbers of
/// intervals in two seconds, and of those that are 15 ms off, after everybody had a second to find a place.
fn settled(lateness: &[u64]) -> (usize, usize) {
    let mut bench = Bench::empty();
    let config = |number: u32| Instance {
        id: InstanceId(number),
        vrid: u64::from(number % 255 + 1).try_into().unwrap(),
        priority: Priority::OWNER,
        version: Version::V3,
        advert_interval: 10.try_into().unwrap(),
        announce: Announce {
            delay: Duration::ZERO,
            ..instance(1).announce
        },
        ..instance(255)
    };
    bench.router.handle(
        Input::Configure {
            global: global(),
            instances: (0..1000)
                .map(|number| (InstanceId(number), config(number).into()))
                .collect(),
            resume: BTreeMap::new(),
        },
        bench.now,
    );
    let start = bench.now;
    let mut last: BTreeMap<InstanceId, Instant> = BTreeMap::new();
    let (mut intervals, mut off) = (0, 0);
    let most = Duration::from_millis(15);
    for late in lateness.iter().cycle() {
        let elapsed = bench.now.since(start);
        if elapsed >= Duration::from_secs(3) {
            break;
        }
        let next = bench.router.poll_timeout().unwrap();
        let late = Duration::from_micros(*late);
        bench.now = bench.now.max(next.saturating_add(late));
        bench.router.handle(Input::Timer, bench.now);
        for action in bench.actions() {
            let Action::SendAdvert { instance, .. } = action else {
                continue;
            };
            let before = last.insert(instance, bench.now).unwrap_or(start);
            if elapsed > Duration::from_secs(1) {
                let interval = bench.now.since(before);
                intervals += 1;
                off += usize::from(interval.abs_diff(Duration::from_millis(100)) > most);
            }
        }
    }
    (intervals, off)
}

#[test]
fn a_thousand_find_their_places_and_keep_them() {
    for lateness in [
        &[0][..],
        &[50, 0, 90],
        &[400, 0, 150, 900, 0, 0, 30],
        &[60, 70, 40, 3000, 20, 20, 30, 60, 10_000, 40, 40, 400, 50],
    ] {
        let (intervals, off) = settled(lateness);
        assert!((19_000..=21_000).contains(&intervals), "{intervals}");
        assert!(off == 0, "{off} of {intervals}, late by {lateness:?}");
    }
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
