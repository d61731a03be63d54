//! When gratuitous ARPs and unsolicited neighbour advertisements are due: `garp_master_*`,
//! `garp_lower_prio_*`, `garp_extra_if` and `garp_interval`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use kr_model::Instant;
use kr_model::net::Family;
use kr_model::units::IfName;
use kr_model::vrrp::{AnnouncePace, Instance, VirtualAddress};

/// Sets in a row at most, whatever the configuration asks for: they are made at once and wait in memory, and
/// a mistyped number must not take all of it.
const MAX_REPEAT: u32 = 100;

/// One announcement to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) device: IfName,
    pub(crate) address: IpAddr,
}

/// `garp_interval`, `gna_interval`: the earliest time of the next announcement, shared by all instances.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    limits: AnnouncePace,
    free_at: BTreeMap<(Lane, Family), Instant>,
}

/// What shares a limit.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// The interfaces of a `garp_group`, by its number.
    Group(usize),
    /// An interface of no group.
    Device(IfName),
}

impl Pace {
    /// Takes limits over from a configuration.
    pub(crate) fn configure(&mut self, limits: &AnnouncePace) {
        if self.limits != *limits {
            self.limits = limits.clone();
            self.free_at.clear();
        }
    }

    /// Takes the turn of an announcement, unless it has to wait: then gives the end of the wait.
    fn take(&mut self, target: &Target, now: Instant) -> Option<Instant> {
        let family = Family::of(target.address);
        let mut groups = self.limits.groups.iter().enumerate();
        let group = groups.find(|(_, group)| group.interfaces.contains(&target.device));
        let (lane, arp, neighbour) = match group {
            Some((number, group)) => (Lane::Group(number), group.arp, group.neighbour),
            None => {
                let limits = &self.limits;
                (
                    Lane::Device(target.device.clone()),
                    limits.arp,
                    limits.neighbour,
                )
            }
        };
        let interval = match family {
            Family::Inet => arp,
            Family::Inet6 => neighbour,
        };
        if interval.is_zero() {
            return None;
        }
        let free_at = self.free_at.entry((lane, family)).or_insert(now);
        if *free_at > now {
            return Some(*free_at);
        }
        *free_at = now.saturating_add(interval);
        None
    }
}

/// The announcements of one instance.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    queue: VecDeque<Target>,
    /// When the head of the queue may be sent; only while `garp_interval` holds it back.
    queue_at: Option<Instant>,
    second_set_at: Option<Instant>,
    lower_second_set_at: Option<Instant>,
    /// Adverts of lower priority that come before this start no further set: a flood of them must not
    /// become a larger flood of announcements.
    lower_quiet_until: Option<Instant>,
    refresh_at: Option<Instant>,
    /// `garp_extra_if`.
    extra_at: Option<Instant>,
}

impl Announcer {
    /// The sets of a new master, `garp_master_*`.
    pub(crate) fn become_master(&mut self, instance: &Instance, now: Instant) {
        let settings = &instance.announce;
        self.add_set(all(instance), instance, settings.repeat);
        self.second_set_at =
            (!settings.delay.is_zero()).then(|| now.saturating_add(settings.delay));
        self.refresh_at = (!settings.refresh.is_zero()).then(|| {
            now.saturating_add(settings.delay)
                .saturating_add(settings.refresh)
        });
        self.extra_at = settings.extra.map(|extra| {
            now.saturating_add(settings.delay)
                .saturating_add(extra.period)
        });
    }

    /// Takes the timers of a predecessor process over, and announces once: had a peer stepped in while no
    /// process ran, the link learns again where the addresses are.
    pub(crate) fn resume(&mut self, instance: &Instance, since: Instant, now: Instant) {
        let settings = &instance.announce;
        self.add_set(all(instance), instance, 1);
        let second = since.saturating_add(settings.delay);
        self.second_set_at = (second > now).then_some(second);
        self.refresh_at =
            (!settings.refresh.is_zero()).then(|| now.saturating_add(settings.refresh));
        self.extra_at = settings.extra.map(|extra| now.saturating_add(extra.period));
    }

    /// One set for addresses that a reload brought.
    pub(crate) fn addresses_added(&mut self, instance: &Instance, old: &Instance) {
        let new = all(instance).filter(|line| !all(old).any(|before| before == *line));
        self.add_set(new, instance, instance.announce.repeat);
    }

    /// The sets after an advert of lower priority, `garp_lower_prio_*`. False when the last ones began less
    /// than an interval ago.
    pub(crate) fn lower_priority_heard(&mut self, instance: &Instance, now: Instant) -> bool {
        if self.lower_quiet_until.is_some_and(|until| now < until) {
            return false;
        }
        self.start_lower_sets(instance, now);
        true
    }

    /// The sets after the last advert of lower priority.
    pub(crate) fn overlap_ended(&mut self, instance: &Instance, now: Instant) {
        self.start_lower_sets(instance, now);
    }

    fn start_lower_sets(&mut self, instance: &Instance, now: Instant) {
        self.lower_quiet_until = Some(now.saturating_add(instance.advert_interval.as_duration()));
        let settings = &instance.announce;
        self.add_set_unless_busy(instance, settings.lower_priority_repeat);
        let delay = settings.lower_priority_delay;
        self.lower_second_set_at = (!delay.is_zero()).then(|| now.saturating_add(delay));
    }

    /// Forgets everything, on leaving MASTER.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Queues what has come due and gives out what the pace allows.
    pub(crate) fn poll(
        &mut self,
        instance: &Instance,
        now: Instant,
        pace: &mut Pace,
    ) -> Vec<Target> {
        let settings = &instance.announce;
        if take_due(&mut self.second_set_at, now) {
            self.add_set_unless_busy(instance, settings.repeat);
        }
        if take_due(&mut self.lower_second_set_at, now) {
            self.add_set_unless_busy(instance, settings.lower_priority_repeat);
        }
        if take_due(&mut self.refresh_at, now) {
            self.add_set_unless_busy(instance, settings.refresh_repeat);
            self.refresh_at =
                (!settings.refresh.is_zero()).then(|| now.saturating_add(settings.refresh));
        }
        if take_due(&mut self.extra_at, now)
            && let Some(extra) = settings.extra
        {
            let targets = extra_targets(instance, extra.all);
            self.extra_at = (!targets.is_empty()).then(|| now.saturating_add(extra.period));
            if self.queue.is_empty() {
                self.queue.extend(targets);
            }
        }
        self.queue_at = None;
        let mut out = Vec::new();
        while let Some(target) = self.queue.front() {
            self.queue_at = pace.take(target, now);
            if self.queue_at.is_some() {
                break;
            }
            out.extend(self.queue.pop_front());
        }
        if self.queue.is_empty() {
            // A master says nothing for years.
            self.queue = VecDeque::new();
        }
        out
    }

    /// When to poll again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [
            self.queue_at,
            self.second_set_at,
            self.lower_second_set_at,
            self.refresh_at,
            self.extra_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A set that comes due while an earlier one is still held back by the pace is left out: the queue
    /// announces these addresses already, and stays bounded.
    fn add_set_unless_busy(&mut self, instance: &Instance, repeat: u32) {
        if self.queue.is_empty() {
            self.add_set(all(instance), instance, repeat);
        }
    }

    /// Interleaved: every address once before any comes again.
    fn add_set<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a VirtualAddress> + Clone,
        instance: &Instance,
        repeat: u32,
    ) {
        for _ in 0..repeat.min(MAX_REPEAT) {
            self.queue.extend(lines.clone().map(|line| Target {
                device: line.device.as_ref().unwrap_or(&instance.interface).clone(),
                address: line.address.address(),
            }));
        }
    }
}

fn all(instance: &Instance) -> impl Iterator<Item = &VirtualAddress> + Clone {
    instance.addresses.iter().chain(&instance.excluded)
}

/// One address of each interface that sends no adverts: of VMACs, or with `all_devices` of any.
fn extra_targets(instance: &Instance, all_devices: bool) -> Vec<Target> {
    let mut seen = BTreeSet::new();
    let lines = all(instance).filter(|line| line.own_link || all_devices);
    lines
        .filter_map(|line| {
            let device = line.device.as_ref()?;
            (*device != instance.interface && seen.insert(device)).then(|| Target {
                device: device.clone(),
                address: line.address.address(),
            })
        })
        .collect()
}

fn take_due(at: &mut Option<Instant>, now: Instant) -> bool {
    at.take_if(|at| *at <= now).is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kr_model::vrrp::ExtraAnnounce;

    use super::*;
    use crate::fixture::{address, instance, v4};

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// Times in milliseconds and last bytes of everything announced until `end`.
    fn run(announcer: &mut Announcer, instance: &Instance, end: u64) -> Vec<(u64, u8)> {
        run_at(&mut Pace::default(), announcer, instance, end)
    }

    /// A packet each so many milliseconds on every interface.
    fn pace(millis: u64) -> Pace {
        let mut pace = Pace::default();
        pace.configure(&AnnouncePace {
            arp: Duration::from_millis(millis),
            ..AnnouncePace::default()
        });
        pace
    }

    fn run_at(
        pace: &mut Pace,
        announcer: &mut Announcer,
        instance: &Instance,
        end: u64,
    ) -> Vec<(u64, u8)> {
        let mut out = Vec::new();
        let mut now = Instant::ZERO;
        loop {
            out.extend(announcer.poll(instance, now, pace).iter().map(|target| {
                let IpAddr::V4(address) = target.address else {
                    unreachable!()
                };
                (now.as_micros() / 1000, address.octets()[3])
            }));
            match announcer.deadline() {
                Some(next) if next <= at(end) => now = next,
                Some(_) | None => return out,
            }
        }
    }

    #[test]
    fn a_huge_repeat_is_bounded() {
        let mut huge = instance(100);
        huge.announce.repeat = u32::MAX;
        let mut announcer = Announcer::default();
        announcer.become_master(&huge, Instant::ZERO);
        let announced = run(&mut announcer, &huge, 0);
        assert_eq!(announced.len(), huge.addresses.len() * 100);
    }

    #[test]
    fn a_new_master_announces_at_once_interleaved_and_again_after_the_delay() {
        let instance = instance(100);
        let mut announcer = Announcer::default();
        announcer.become_master(&instance, Instant::ZERO);
        let set = |time| [(time, 100), (time, 101), (time, 100), (time, 101)];
        assert_eq!(
            run(&mut announcer, &instance, 60_000),
            [set(0), set(5000)].concat()
        );
    }

    #[test]
    fn the_refresh_starts_after_delay_and_period_and_goes_on() {
        let mut instance = instance(100);
        instance.addresses.truncate(1);
        instance.excluded = vec![address(102)];
        instance.announce.delay = Duration::ZERO;
        instance.announce.refresh = Duration::from_secs(10);
        let mut announcer = Announcer::default();
        announcer.become_master(&instance, Instant::ZERO);
        assert_eq!(
            run(&mut announcer, &instance, 25_000),
            [
                (0, 100),
                (0, 102),
                (0, 100),
                (0, 102),
                (10_000, 100),
                (10_000, 102),
                (20_000, 100),
                (20_000, 102),
            ]
        );
    }

    #[test]
    fn interfaces_without_adverts_are_announced_with_one_address_each() {
        let mut instance = instance(100);
        let device = |text: &str| IfName::try_from(text.to_owned()).ok();
        for last in [102, 103, 104] {
            let name = if last == 104 { "eth1" } else { "vrrp1.51" };
            let mut line = address(last);
            (line.device, line.own_link) = (device(name), last != 104);
            instance.excluded.push(line);
        }
        instance.announce.delay = Duration::ZERO;
        for (everywhere, expected) in [
            (false, vec![(10_000, 102), (20_000, 102)]),
            (
                true,
                vec![(10_000, 102), (10_000, 104), (20_000, 102), (20_000, 104)],
            ),
        ] {
            instance.announce.extra = Some(ExtraAnnounce {
                period: Duration::from_secs(10),
                all: everywhere,
            });
            let mut announcer = Announcer::default();
            announcer.become_master(&instance, Instant::ZERO);
            let announced = run(&mut announcer, &instance, 25_000);
            assert_eq!(announced[10..], expected);
        }
        instance.excluded.clear();
        let mut announcer = Announcer::default();
        announcer.become_master(&instance, Instant::ZERO);
        assert_eq!(run(&mut announcer, &instance, 60_000).len(), 4);
        assert_eq!(announcer.deadline(), None);
    }

    #[test]
    fn the_interval_spreads_a_set_over_time() {
        let mut instance = instance(100);
        instance.announce.delay = Duration::ZERO;
        let mut announcer = Announcer::default();
        announcer.become_master(&instance, Instant::ZERO);
        assert_eq!(
            run_at(&mut pace(200), &mut announcer, &instance, 60_000),
            [(0, 100), (200, 101), (400, 100), (600, 101)]
        );
    }

    #[test]
    fn the_interval_is_shared_by_instances_of_one_device() {
        let instance = instance(100);
        let mut pace = pace(200);
        let (mut one, mut two) = (Announcer::default(), Announcer::default());
        one.become_master(&instance, Instant::ZERO);
        two.become_master(&instance, Instant::ZERO);
        assert_eq!(one.poll(&instance, Instant::ZERO, &mut pace).len(), 1);
        assert_eq!(two.poll(&instance, Instant::ZERO, &mut pace).len(), 0);
        assert_eq!(two.deadline(), Some(at(200)));
    }

    #[test]
    fn a_flood_of_lower_adverts_gives_one_set_an_interval() {
        let instance = instance(100);
        let mut announcer = Announcer::default();
        let mut pace = Pace::default();
        let mut sent = 0;
        for step in 0..100 {
            announcer.lower_priority_heard(&instance, at(step * 10));
            sent += announcer.poll(&instance, at(step * 10), &mut pace).len();
        }
        assert_eq!(sent, 2);
        assert_eq!(announcer.deadline(), Some(at(3000)));
    }

    #[test]
    fn nothing_is_left_after_leaving_master() {
        let mut instance = instance(100);
        instance.announce.refresh = Duration::from_secs(1);
        let mut announcer = Announcer::default();
        announcer.become_master(&instance, Instant::ZERO);
        announcer.lower_priority_heard(&instance, Instant::ZERO);
        announcer.poll(&instance, Instant::ZERO, &mut pace(1000));
        announcer.clear();
        assert_eq!(announcer.deadline(), None);
        assert_eq!(run(&mut announcer, &instance, 60_000), []);
    }

    #[test]
    fn only_addresses_that_a_reload_added_are_announced() {
        let old = instance(100);
        let mut new = old.clone();
        new.addresses.push(address(102));
        let mut announcer = Announcer::default();
        announcer.addresses_added(&new, &old);
        let queued: Vec<_> = announcer
            .queue
            .iter()
            .map(|target| target.address)
            .collect();
        assert_eq!(queued, [v4(102), v4(102)]);
    }
}
