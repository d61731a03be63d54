//! The machine's side towards the kernel: when it reads, what it concludes from a reading, which
//! operations follow, and what their refusal means.

use std::collections::BTreeSet;
use std::time::Duration;

use kr_model::Instant;
use kr_model::ipvs::{Operation, PresentService, SyncChange};
use kr_model::lvs::{Removal, ServiceKey};

use super::sync;
use super::timeouts::Step;
use super::{Action, BATCH, InFlight, Kernel, Object, Outcome, Phase, READ, RETRY, Table};
use crate::diff;
use crate::event::{Event, Notice};
use crate::wanted::wanted;

impl Table {
    /// The next kernel action, when one is due.
    pub(super) fn kernel_action(&mut self) -> Option<Action> {
        if !self.last.is_empty() {
            self.in_flight = InFlight::Applying;
            return Some(Action::Apply(std::mem::take(&mut self.last)));
        }
        if let Some(change) = self.last_sync.pop() {
            return Some(self.sync_action(change));
        }
        if self.phase != Phase::Running {
            return None;
        }
        if self.kernel == Kernel::Unknown || !self.unread.is_empty() {
            let next = std::iter::from_fn(|| self.unread.pop_first());
            let services: Vec<_> = next.take(READ).collect();
            self.in_flight = InFlight::Reading {
                services: services.clone(),
                since: None,
            };
            return Some(Action::Read { services });
        }
        if self.kernel != Kernel::Usable {
            return None;
        }
        if let Some(step) = self.timeouts.step() {
            return Some(self.timeout_action(step));
        }
        match self.sync.step() {
            Some(sync::Step::Read) => {
                self.in_flight = InFlight::ReadingSync;
                return Some(Action::ReadSync);
            }
            Some(sync::Step::Change(change)) => return Some(self.sync_action(change)),
            None => {}
        }
        if std::mem::take(&mut self.flush) {
            self.in_flight = InFlight::Applying;
            return Some(Action::Apply(vec![Operation::Flush]));
        }
        let mut operations = Vec::new();
        while operations.len() < BATCH {
            let Some(key) = self.dirty.pop_first() else {
                break;
            };
            let mut needed = self.operations_for(key);
            if needed.is_empty() {
                // Nothing is left to refuse.
                self.refused.retain(|(service, _), _| *service != Some(key));
            }
            operations.append(&mut needed);
        }
        if operations.is_empty() {
            return None;
        }
        if let Some(count) = &mut self.installing {
            *count = count.saturating_add(operations.len());
        }
        self.in_flight = InFlight::Applying;
        Some(Action::Apply(operations))
    }

    fn sync_action(&mut self, change: SyncChange) -> Action {
        self.in_flight = InFlight::ChangingSync(change.clone());
        Action::ChangeSync(change)
    }

    /// Takes note of what became of a change of synchronisation. A refusal is said once.
    pub(super) fn sync_changed(&mut self, refused: Option<String>) {
        let InFlight::ChangingSync(change) =
            std::mem::replace(&mut self.in_flight, InFlight::Nothing)
        else {
            return;
        };
        self.sync.changed(change.clone(), refused.is_none());
        if self.sync_refused == refused && refused.is_some() {
            return;
        }
        self.sync_refused.clone_from(&refused);
        self.queue
            .push_back(Action::Log(Event::Sync { change, refused }));
    }

    fn timeout_action(&mut self, step: Step) -> Action {
        match step {
            Step::Publish(values) => Action::PublishTimeouts(values),
            Step::Read => {
                self.in_flight = InFlight::ReadingTimeouts;
                Action::ReadTimeouts
            }
            Step::Set(values) => {
                self.in_flight = InFlight::Applying;
                Action::Apply(vec![Operation::SetTimeouts(values)])
            }
        }
    }

    fn operations_for(&self, key: ServiceKey) -> Vec<Operation> {
        let owners = self.owners.get(&key).map_or(&[][..], Vec::as_slice);
        let wanted = wanted(key, owners.iter().filter_map(|id| self.pools.get(id)));
        diff::service(key, self.present.get(&key), wanted.as_ref())
    }

    /// Servers that leave may have to go; and a reading may be due: of the next few services, or of all while the kernel is not known to work.
    pub(super) fn timer(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            self.expire(now);
        }
        let due = self.next_read.is_some_and(|at| at <= now);
        if !due || self.phase != Phase::Running || self.in_flight != InFlight::Nothing {
            return;
        }
        self.next_read = None;
        self.timeouts.forget();
        self.sync.forget();
        if self.kernel != Kernel::Usable {
            self.unread = self.owners.keys().copied().collect();
            return;
        }
        if self.patrol.is_over() {
            let ours: BTreeSet<_> = self.owners.keys().chain(self.present.keys()).collect();
            self.patrol.begin(ours.into_iter().map(|key| {
                let held = self.present.get(key);
                (*key, held.map_or(0, |held| held.destinations.len()))
            }));
        }
        let services = self.patrol.next();
        self.in_flight = InFlight::Reading {
            services: services.clone(),
            since: Some(now),
        };
        // At the front: what is queued was caused earlier, but a reading depends on none of it.
        self.queue.push_front(Action::Read { services });
    }

    /// Takes note of what the kernel holds; whatever differs from the belief is compared with what is
    /// wanted.
    pub(super) fn read(&mut self, mut found: diff::Present, now: Instant) {
        let InFlight::Reading { services, since } =
            std::mem::replace(&mut self.in_flight, InFlight::Nothing)
        else {
            return;
        };
        let cost = since.map_or(Duration::ZERO, |since| now.since(since));
        self.next_read = Some(now.saturating_add(self.patrol.pause(cost)));
        if self.kernel != Kernel::Usable {
            self.kernel = Kernel::Usable;
            self.queue.push_back(Action::Log(Event::KernelUsable));
            self.queue
                .push_back(Action::Notify(Notice::Kernel { usable: true }));
        }
        let refused: BTreeSet<_> = self
            .refused
            .keys()
            .filter_map(|(service, _)| *service)
            .collect();
        for key in services {
            let known = self.present.contains_key(&key);
            if self.found(key, found.remove(&key)) {
                if known && since.is_some() {
                    self.queue
                        .push_back(Action::Log(Event::Drifted { service: key }));
                }
                self.dirty.insert(key);
            } else if refused.contains(&key) {
                self.dirty.insert(key);
            }
        }
    }

    /// Takes note of one service as it was found, or not. True when that is news.
    fn found(&mut self, key: ServiceKey, found: Option<PresentService>) -> bool {
        let Some(found) = found else {
            return self.present.remove(&key).is_some();
        };
        if self.present.get(&key) == Some(&found) {
            return false;
        }
        self.present.insert(key, found);
        true
    }

    /// Goes on without a kernel and tries again later.
    pub(super) fn unusable(&mut self, reason: String, now: Instant) {
        self.in_flight = InFlight::Nothing;
        self.present.clear();
        // Until the time of the next attempt.
        self.unread.clear();
        self.timeouts.forget();
        self.sync.forget();
        self.dirty.extend(self.owners.keys().copied());
        self.next_read = Some(now.saturating_add(RETRY));
        if self.kernel != Kernel::Unusable {
            self.kernel = Kernel::Unusable;
            self.queue
                .push_back(Action::Log(Event::KernelUnusable { reason }));
            self.queue
                .push_back(Action::Notify(Notice::Kernel { usable: false }));
        }
    }

    /// Takes note of what the kernel did. A refusal is said once, until it has another reason or is
    /// over; destinations of a service that could not be made are not mentioned.
    pub(super) fn applied(&mut self, outcomes: Vec<Outcome>) {
        self.in_flight = InFlight::Nothing;
        let mut without_service = BTreeSet::new();
        for Outcome { operation, refused } in outcomes {
            let object = object(&operation);
            let Some(reason) = refused else {
                diff::note(&mut self.present, &operation);
                if let Operation::SetTimeouts(values) = operation {
                    self.timeouts.wrote(values);
                }
                self.refused.remove(&object);
                continue;
            };
            let said = self.refused.insert(object, reason.clone());
            match &operation {
                Operation::AddService { key, .. } => {
                    without_service.insert(*key);
                }
                Operation::AddDestination { key, .. } if without_service.contains(key) => {
                    continue;
                }
                Operation::AddDestination { .. }
                | Operation::Flush
                | Operation::SetTimeouts(_)
                | Operation::SetService { .. }
                | Operation::RemoveService { .. }
                | Operation::SetDestination { .. }
                | Operation::RemoveDestination { .. } => {}
            }
            if said.as_ref() != Some(&reason) {
                self.queue
                    .push_back(Action::Log(Event::Refused { operation, reason }));
            }
        }
    }

    /// The operations of the stop, as `lvs_flush_on_stop` says.
    pub(super) fn farewell(&self) -> Vec<Operation> {
        let mut out = Vec::new();
        // A predecessor may have left these; to remove what is not there is no fault.
        let unread = self.unread.iter();
        let unread = unread.map(|&key| Operation::RemoveService { key });
        match self.global.removal {
            Removal::Everything => out.push(Operation::Flush),
            // The kernel drops the destinations of a service with it.
            Removal::Services | Removal::OneByOne => {
                out.extend(unread);
                let present = self.present.keys();
                out.extend(present.map(|&key| Operation::RemoveService { key }));
            }
        }
        out
    }
}

/// What an operation is about, whatever it does to it.
const fn object(operation: &Operation) -> Object {
    match operation {
        Operation::Flush | Operation::SetTimeouts(_) => (None, None),
        Operation::AddService { key, .. }
        | Operation::SetService { key, .. }
        | Operation::RemoveService { key } => (Some(*key), None),
        Operation::AddDestination { key, address, .. }
        | Operation::SetDestination { key, address, .. }
        | Operation::RemoveDestination { key, address } => (Some(*key), Some(*address)),
    }
}
