//! Instances whose addresses the kernel does not take: they are no masters, and try again from time to time.
//!
//! A master without its addresses is a hole that packets fall into, while a backup that could hold them stays
//! quiet. So it says priority 0 and waits in FAULT. Only becoming master shows whether the kernel has changed
//! its mind, and may take the addresses from a router that serves them: the pauses grow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kr_model::{InstanceId, Instant};

use super::Router;
use crate::instance::Standing;

/// From the first refusal to the next try; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What is remembered of each refused instance.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<InstanceId, Refusal>);

#[derive(Debug)]
struct Refusal {
    pause: Duration,
    /// The instance is in FAULT until then; `None` while it tries again.
    until: Option<Instant>,
}

impl Refusals {
    /// True while an instance has to wait.
    pub(super) fn holds(&self, id: InstanceId) -> bool {
        self.0.get(&id).is_some_and(|known| known.until.is_some())
    }

    /// When the next pause ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|known| known.until).min()
    }

    /// The addresses are set, or something changed that may have been the reason.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.0.remove(&id);
    }

    /// Starts the pause of an instance, and returns it.
    fn refuse(&mut self, id: InstanceId, now: Instant) -> Duration {
        let pause = self.0.get(&id).map_or(FIRST_PAUSE, |known| {
            known.pause.saturating_mul(2).min(LONGEST_PAUSE)
        });
        let until = Some(now.saturating_add(pause));
        self.0.insert(id, Refusal { pause, until });
        pause
    }

    /// Ends the pauses that are over.
    fn take_due(&mut self, now: Instant) -> BTreeSet<InstanceId> {
        let mut due = BTreeSet::new();
        for (id, known) in &mut self.0 {
            if known.until.take_if(|until| *until <= now).is_some() {
                due.insert(*id);
            }
        }
        due
    }
}

impl Router {
    /// The kernel holds at least one address of a master, or takes none of them.
    pub(super) fn addresses_judged(&mut self, id: InstanceId, set: bool, now: Instant) {
        if set {
            return self.kernel.refusals.forget(id);
        }
        let Some(slot) = self.instances.get(&id) else {
            return;
        };
        if slot.router.standing() != Standing::Master {
            return;
        }
        let again = self.kernel.refusals.refuse(id, now);
        self.with(id, now, |router, _, turn| {
            router.addresses_refused(again, turn);
        });
        self.reconsider([id].into(), now);
    }

    /// Lets instances try again whose pause is over.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        let due = self.kernel.refusals.take_due(now);
        if !due.is_empty() {
            self.reconsider(due, now);
        }
    }
}
