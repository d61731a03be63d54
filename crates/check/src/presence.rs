//! `ha_suspend`: whose checkers run. Those of a virtual server do while one of its addresses is on an
//! interface of this host, or an instance that sets one of them is master.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kr_model::check::Suspension;
use kr_model::{CheckerId, InstanceId, VirtualServerId};

/// Checkers of a virtual server begin or cease to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Name of the virtual server.
    pub service: String,
    /// They run now.
    pub runs: bool,
}

#[derive(Debug)]
struct Service {
    suspension: Suspension,
    runs: bool,
}

/// Which virtual servers are held.
#[derive(Debug, Default)]
pub struct Presence {
    services: BTreeMap<VirtualServerId, Service>,
    addresses: BTreeSet<IpAddr>,
    masters: BTreeSet<InstanceId>,
}

impl Presence {
    /// These are all that follow an address from now on. Parts of one virtual server are put together. Take
    /// [`Presence::suspended`] anew.
    pub fn configure(&mut self, suspensions: impl IntoIterator<Item = Suspension>) {
        self.services.clear();
        for part in suspensions {
            let id = part.virtual_server;
            match self.services.get_mut(&id) {
                Some(known) => known.suspension.checkers.extend(part.checkers),
                None => {
                    let service = Service {
                        suspension: part,
                        runs: true,
                    };
                    self.services.insert(id, service);
                }
            }
        }
    }

    /// True when anybody follows an address.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.services.is_empty()
    }

    /// These addresses are on interfaces.
    pub fn set_addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.addresses = addresses.into_iter().collect();
    }

    /// These instances are master.
    pub fn set_masters(&mut self, masters: impl IntoIterator<Item = InstanceId>) {
        self.masters = masters.into_iter().collect();
    }

    /// Decides about every virtual server, and says which ones changed.
    pub fn decide(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for Service { suspension, runs } in self.services.values_mut() {
            let local = suspension.addresses.iter();
            let mut local = local.filter(|ip| self.addresses.contains(ip));
            let masters = suspension.instances.iter();
            let mut masters = masters.filter(|id| self.masters.contains(id));
            let held = local.next().is_some() || masters.next().is_some();
            if held != *runs {
                *runs = held;
                changes.push(Change {
                    service: suspension.label.clone(),
                    runs: held,
                });
            }
        }
        changes
    }

    /// The checkers that do not run.
    #[must_use]
    pub fn suspended(&self) -> BTreeSet<CheckerId> {
        let absent = self.services.values().filter(|service| !service.runs);
        absent
            .flat_map(|service| service.suspension.checkers.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: [u8; 4] = [192, 0, 2, 1];
    const OTHER: [u8; 4] = [192, 0, 2, 2];

    fn suspension(id: u32, address: [u8; 4], checkers: &[u32]) -> Suspension {
        Suspension {
            virtual_server: VirtualServerId(id),
            label: format!("service {id}"),
            addresses: vec![address.into()],
            instances: vec![InstanceId(id)],
            checkers: checkers.iter().copied().map(CheckerId).collect(),
        }
    }

    fn suspended(presence: &Presence) -> Vec<u32> {
        presence.suspended().into_iter().map(|id| id.0).collect()
    }

    fn change(id: u32, runs: bool) -> Change {
        Change {
            service: format!("service {id}"),
            runs,
        }
    }

    #[test]
    fn checkers_run_while_an_interface_has_the_address() {
        let mut presence = Presence::default();
        assert!(!presence.is_wanted());
        presence.configure([
            suspension(1, VIP, &[1, 2]),
            suspension(2, OTHER, &[4]),
            suspension(1, VIP, &[3]),
        ]);
        assert!(presence.is_wanted());
        assert_eq!(presence.decide(), [change(1, false), change(2, false)]);
        assert_eq!(suspended(&presence), [1, 2, 3, 4]);
        presence.set_addresses([VIP.into()]);
        assert_eq!(presence.decide(), [change(1, true)]);
        assert_eq!(suspended(&presence), [4]);
        assert_eq!(presence.decide(), []);
        presence.set_addresses([]);
        assert_eq!(presence.decide(), [change(1, false)]);
    }

    #[test]
    fn checkers_run_while_an_instance_with_the_address_is_master() {
        let mut presence = Presence::default();
        presence.configure([suspension(1, VIP, &[1]), suspension(2, OTHER, &[2])]);
        presence.set_masters([InstanceId(2)]);
        presence.decide();
        assert_eq!(suspended(&presence), [1]);
    }

    #[test]
    fn a_reload_without_the_keyword_lets_them_run() {
        let mut presence = Presence::default();
        presence.configure([suspension(1, VIP, &[1])]);
        presence.decide();
        presence.configure([]);
        assert!(presence.suspended().is_empty());
    }
}
