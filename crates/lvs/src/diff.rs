//! The difference between the table that the kernel holds and the wanted one, as operations in an order
//! that never leaves a service without a server that could have one.
//!
//! Per service: the service itself, new destinations, changed destinations (those that take
//! traffic before those that stop to), removed destinations. So a sorry server is in before the last
//! real server leaves, and the real servers are in before it goes.

use std::collections::BTreeMap;

use kr_model::ipvs::{Operation, PresentService, WantedService};
use kr_model::lvs::ServiceKey;

/// What the kernel is believed to hold of our services.
pub type Present = BTreeMap<ServiceKey, PresentService>;

/// Operations that make `present` equal to `wanted` in one service; linear in its destinations. A
/// removed service goes with its destinations in one operation.
#[must_use]
pub fn service(
    key: ServiceKey,
    present: Option<&PresentService>,
    wanted: Option<&WantedService>,
) -> Vec<Operation> {
    let nothing = PresentService::default();
    let (before, after) = match (present, wanted) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec![Operation::RemoveService { key }],
        (before, Some(after)) => (before.unwrap_or(&nothing), after),
    };
    let mut out = Vec::new();
    if present.is_none() {
        out.push(Operation::AddService {
            key,
            service: after.service,
        });
    } else if before.service != Some(after.service) {
        out.push(Operation::SetService {
            key,
            service: after.service,
        });
    }
    let (mut raised, mut lowered) = (Vec::new(), Vec::new());
    for (&address, &destination) in &after.destinations {
        match before.destinations.get(&address) {
            None => out.push(Operation::AddDestination {
                key,
                address,
                destination,
            }),
            Some(held) if *held == Some(destination) => {}
            Some(_) => {
                let set = Operation::SetDestination {
                    key,
                    address,
                    destination,
                };
                let list = if destination.weight.get() > 0 {
                    &mut raised
                } else {
                    &mut lowered
                };
                list.push(set);
            }
        }
    }
    out.append(&mut raised);
    out.append(&mut lowered);
    out.extend(
        before
            .destinations
            .keys()
            .filter(|address| !after.destinations.contains_key(address))
            .map(|&address| Operation::RemoveDestination { key, address }),
    );
    out
}

/// Notes in `present` that the kernel carried out `operation`.
pub fn note(present: &mut Present, operation: &Operation) {
    match *operation {
        Operation::Flush => present.clear(),
        Operation::SetTimeouts(_) => {}
        Operation::AddService { key, service } | Operation::SetService { key, service } => {
            present.entry(key).or_default().service = Some(service);
        }
        Operation::RemoveService { key } => {
            present.remove(&key);
        }
        Operation::AddDestination {
            key,
            address,
            destination,
        }
        | Operation::SetDestination {
            key,
            address,
            destination,
        } => {
            if let Some(service) = present.get_mut(&key) {
                service.destinations.insert(address, Some(destination));
            }
        }
        Operation::RemoveDestination { key, address } => {
            if let Some(service) = present.get_mut(&key) {
                service.destinations.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
