//! The machine's side towards the kernel: when it reads, what it concludes from a reading, which
//! operations follow, and what their refusal means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;

use kr_model::Instant;
use kr_model::ipvs::{Destination, Operation, PresentService, Reading, Service};
use kr_model::lvs::{Removal, ServiceKey};

use super::{
    Action, BATCH, InFlight, Kernel, Object, Outcome, PATROL, Phase, RECONCILE, RETRY, Table,
};
use crate::diff;
use crate::event::{Event, Notice};
use crate::wanted::wanted;

/// Destinations of a service as read.
type Destinations = BTreeMap<SocketAddr, Option<Destination>>;

impl Table {
    /// The next kernel action, when one is due.
    pub(super) fn kernel_action(&mut self) -> Option<Action> {
        if !self.last.is_empty() {
            self.in_flight = InFlight::Applying;
            return Some(Action::Apply(std::mem::take(&mut self.last)));
        }
        if self.phase != Phase::Running {
            return None;
        }
        if self.read_all {
            self.read_all = false;
            self.in_flight = InFlight::Reading { all: true };
            let destinations_of = self.owners.keys().copied().collect();
            return Some(Action::Read { destinations_of });
        }
        if self.kernel != Kernel::Usable {
            return None;
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

    fn operations_for(&self, key: ServiceKey) -> Vec<Operation> {
        let owners = self.owners.get(&key).map_or(&[][..], Vec::as_slice);
        let wanted = wanted(key, owners.iter().filter_map(|id| self.pools.get(id)));
        diff::service(key, self.present.get(&key), wanted.as_ref())
    }

    /// A reading is due: of the next few services, or of all while the kernel is not known to work.
    pub(super) fn timer(&mut self, now: Instant) {
        let due = self.next_read.is_some_and(|at| at <= now);
        if !due || self.phase != Phase::Running || self.in_flight != InFlight::Nothing {
            return;
        }
        self.next_read = None;
        if self.kernel != Kernel::Usable {
            self.read_all = true;
            return;
        }
        let mut services: BTreeSet<_> = self
            .refused
            .keys()
            .filter_map(|(service, _)| *service)
            .collect();
        services.extend(self.next_patrol());
        self.in_flight = InFlight::Reading { all: false };
        // At the front: what is queued was caused earlier, but a reading depends on none of it.
        self.queue.push_front(Action::Read {
            destinations_of: services.into_iter().collect(),
        });
    }

    /// The next [`PATROL`] services in key order, from the beginning again after the last.
    fn next_patrol(&mut self) -> Vec<ServiceKey> {
        let from = self.patrol.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.owners.range((from, Bound::Unbounded));
        let mut services: Vec<_> = later.map(|(key, _)| *key).take(PATROL).collect();
        if services.len() < PATROL {
            let room = PATROL.saturating_sub(services.len());
            let wrap = self
                .owners
                .keys()
                .take_while(|key| Some(**key) <= self.patrol);
            services.extend(wrap.take(room).copied());
        }
        self.patrol = services.last().copied();
        services
    }

    /// Takes note of what the kernel holds; whatever differs from the belief is compared with what is
    /// wanted.
    pub(super) fn read(&mut self, reading: Reading, now: Instant) {
        let InFlight::Reading { all } = self.in_flight else {
            return;
        };
        self.in_flight = InFlight::Nothing;
        self.next_read = Some(now.saturating_add(RECONCILE));
        if self.kernel != Kernel::Usable {
            self.kernel = Kernel::Usable;
            self.queue.push_back(Action::Log(Event::KernelUsable));
            self.queue
                .push_back(Action::Notify(Notice::Kernel { usable: true }));
        }
        let ours: BTreeSet<_> = self
            .owners
            .keys()
            .chain(self.present.keys())
            .copied()
            .collect();
        let Reading {
            services,
            mut destinations,
        } = reading;
        for key in ours {
            let known = self.present.contains_key(&key);
            let found = services.get(&key).copied();
            if !self.found(key, found, destinations.remove(&key)) {
                continue;
            }
            if !all && known {
                self.queue
                    .push_back(Action::Log(Event::Drifted { service: key }));
            }
            self.dirty.insert(key);
        }
        self.dirty
            .extend(self.refused.keys().filter_map(|(service, _)| *service));
    }

    /// Takes note of one service as it was found, or not, with its destinations if these were read.
    /// True when that is news.
    fn found(
        &mut self,
        key: ServiceKey,
        service: Option<Option<Service>>,
        destinations: Option<Destinations>,
    ) -> bool {
        let Some(service) = service else {
            return self.present.remove(&key).is_some();
        };
        let Some(held) = self.present.get_mut(&key) else {
            let destinations = destinations.unwrap_or_default();
            let found = PresentService {
                service,
                destinations,
            };
            self.present.insert(key, found);
            return true;
        };
        let mut news = held.service != service;
        held.service = service;
        if let Some(destinations) = destinations {
            news |= held.destinations != destinations;
            held.destinations = destinations;
        }
        news
    }

    /// Goes on without a kernel and tries again later.
    pub(super) fn unusable(&mut self, reason: String, now: Instant) {
        self.in_flight = InFlight::Nothing;
        self.present.clear();
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
        match self.global.removal {
            Removal::Everything => out.push(Operation::Flush),
            Removal::Services => {
                out.extend(
                    self.present
                        .keys()
                        .map(|&key| Operation::RemoveService { key }),
                );
            }
            Removal::OneByOne => {
                for (&key, service) in &self.present {
                    let destinations = service.destinations.keys();
                    out.extend(
                        destinations.map(|&address| Operation::RemoveDestination { key, address }),
                    );
                    out.push(Operation::RemoveService { key });
                }
            }
        }
        out
    }
}

/// What an operation is about, whatever it does to it.
const fn object(operation: &Operation) -> Object {
    match operation {
        Operation::Flush => (None, None),
        Operation::AddService { key, .. }
        | Operation::SetService { key, .. }
        | Operation::RemoveService { key } => (Some(*key), None),
        Operation::AddDestination { key, address, .. }
        | Operation::SetDestination { key, address, .. }
        | Operation::RemoveDestination { key, address } => (Some(*key), Some(*address)),
    }
}
