//! `checker_share`: identical checks of several virtual servers are run once, and the result is told to all.
//!
//! Identical are checks of the same server with the same settings, times, retries and `alpha`, so each of
//! them would come to the same verdict. One of them runs; the others are [`Slot::Sharing`] and mirror its
//! health. When it goes away or is suspended, another one goes on where it was. Programs are not shared:
//! what they look at is unknown here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use kr_model::check::{HttpProbe, Probe, UdpProbe};
use kr_model::units::Weight;
use kr_model::{CheckerId, Instant};

use super::entry::{Entry, Slot};
use super::words::{Action, Event};
use super::{Checks, news_of};
use crate::outcome::Failure;

impl Checks {
    /// How many checkers take the results of another one.
    #[must_use]
    pub fn sharing(&self) -> usize {
        self.sharers.values().map(Vec::len).sum()
    }

    /// Decides anew who runs, after a change of the checkers or of those that are suspended.
    pub(super) fn regroup(&mut self, now: Instant) {
        self.sharers.clear();
        let groups = if self.share {
            self.groups()
        } else {
            Vec::new()
        };
        for group in groups {
            let Some(runner) = group.iter().copied().min_by_key(|id| self.rank(*id)) else {
                continue;
            };
            let others: Vec<CheckerId> = group.into_iter().filter(|id| *id != runner).collect();
            if others.is_empty() {
                continue;
            }
            let next = self.entries.get(&runner).map(|entry| entry.due_at(now));
            for id in &others {
                let Some(entry) = self.entries.get_mut(id) else {
                    continue;
                };
                let slot = std::mem::replace(
                    &mut entry.slot,
                    Slot::Sharing {
                        next: next.unwrap_or(now),
                    },
                );
                self.forget(*id, slot);
            }
            self.sharers.insert(runner, others.clone());
            for id in others {
                self.mirror(runner, id, None, now);
            }
        }
        self.run_those_left_alone(now);
    }

    /// Checkers that shared the runs of one that is gone go on at its pace.
    fn run_those_left_alone(&mut self, now: Instant) {
        let told: BTreeSet<CheckerId> = self.sharers.values().flatten().copied().collect();
        for (id, entry) in &mut self.entries {
            if let Slot::Sharing { next } = entry.slot
                && !told.contains(id)
            {
                let at = next.max(now);
                entry.slot = Slot::Waiting(at);
                self.due.insert((at, *id));
            }
        }
    }

    /// Who of identical checkers runs: one that has a result, and of these who runs already, then the oldest.
    fn rank(&self, id: CheckerId) -> (bool, bool, CheckerId) {
        let entry = self.entries.get(&id);
        let shares = entry.is_some_and(|entry| matches!(entry.slot, Slot::Sharing { .. }));
        let fresh = entry.is_none_or(|entry| !entry.health.has_run);
        (fresh, shares, id)
    }

    /// Checkers that may run, put together with those that are identical.
    fn groups(&self) -> Vec<Vec<CheckerId>> {
        let mut by_target: BTreeMap<(SocketAddr, &str), Vec<Vec<CheckerId>>> = BTreeMap::new();
        for (id, entry) in &self.entries {
            let probe = &entry.config.probe;
            let Some(target) = target(probe).filter(|_| entry.slot != Slot::Suspended) else {
                continue;
            };
            let groups = by_target.entry((target, probe.keyword())).or_default();
            let same = groups.iter_mut().find(|group| {
                let first = group.first().and_then(|first| self.entries.get(first));
                first.is_some_and(|first| is_identical(first, entry))
            });
            match same {
                Some(group) => group.push(*id),
                None => groups.push(vec![*id]),
            }
        }
        by_target.into_values().flatten().collect()
    }

    /// Tells a result to everybody who shares the run that it came from.
    pub(super) fn tell_sharers(
        &mut self,
        runner: CheckerId,
        result: &Result<Option<Weight>, Failure>,
        now: Instant,
    ) {
        if let Some(sharers) = self.sharers.remove(&runner) {
            for id in &sharers {
                self.mirror(runner, *id, Some(result), now);
            }
            self.sharers.insert(runner, sharers);
        }
    }

    /// Takes over what is known of an identical checker; with a result, as if it were an own one.
    fn mirror(
        &mut self,
        runner: CheckerId,
        id: CheckerId,
        result: Option<&Result<Option<Weight>, Failure>>,
        now: Instant,
    ) {
        let Some(from) = self.entries.get(&runner) else {
            return;
        };
        let (health, weight) = (from.health, from.weight);
        let (next, last_duration) = (from.due_at(now), from.last_duration);
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let was = std::mem::replace(&mut entry.health, health);
        let weight_changed = std::mem::replace(&mut entry.weight, weight) != weight;
        entry.slot = Slot::Sharing { next };
        entry.fault = None;
        let news = health.has_run && (!was.has_run || was.up != health.up);
        let event = match result {
            Some(result) => {
                entry.last_duration = last_duration;
                entry.attempts = entry.attempts.saturating_add(1);
                let failed = u64::from(result.is_err());
                entry.failed_attempts = entry.failed_attempts.saturating_add(failed);
                news_of(entry, was, result.clone(), (news, weight_changed))
            }
            None => news.then_some(Event::Shares { up: health.up }),
        };
        let verdict = (news || (weight_changed && health.has_run)).then(|| entry.verdict());
        if let Some(event) = event {
            self.actions.push_back(Action::Log { checker: id, event });
        }
        if let Some(verdict) = verdict {
            self.actions.push_back(Action::Verdict {
                generation: self.generation,
                verdict,
            });
        }
        if health.has_run || result.is_some() {
            self.publish(id, now);
        }
    }
}

fn is_identical(a: &Entry, b: &Entry) -> bool {
    let (a, b) = (&a.config, &b.config);
    a.probe == b.probe && a.timing == b.timing && a.alpha == b.alpha
}

/// Where a check goes first; `None` when it is never shared.
fn target(probe: &Probe) -> Option<SocketAddr> {
    match probe {
        Probe::Tcp(connection)
        | Probe::Http(HttpProbe { connection, .. })
        | Probe::Dns { connection, .. }
        | Probe::Udp(UdpProbe { connection, .. })
        | Probe::Ping(connection) => Some(connection.target),
        Probe::Smtp { hosts, .. } => hosts.first().map(|host| host.target),
        Probe::Misc { .. } | Probe::Bfd { .. } | Probe::File(_) => None,
    }
}
