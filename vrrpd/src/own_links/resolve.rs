//! From a configured instance to one that runs on its links: the rest of the process knows interfaces only.

use std::sync::Arc;

use kr_model::units::IfName;
use kr_model::vrrp::{Instance, TrackedInterface};

use super::{OwnLinks, key_of, key_of_line};

impl OwnLinks {
    /// The instance with the names of its links in place of those of the interfaces below, which are tracked. Where
    /// no link can be, a name stands that no link has, so that the instance is in FAULT.
    pub(crate) fn resolve(&self, configured: &Arc<Instance>) -> Arc<Instance> {
        let mut lines = configured.addresses.iter().chain(&configured.excluded);
        if configured.own_link.is_none() && lines.all(|line| !line.own_link) {
            return Arc::clone(configured);
        }
        let mut instance = Instance::clone(configured);
        self.replace(configured, &mut instance);
        Arc::new(instance)
    }

    fn replace(&self, configured: &Instance, instance: &mut Instance) {
        let lines = instance.addresses.iter_mut().chain(&mut instance.excluded);
        for line in lines.filter(|line| line.own_link) {
            let key = key_of_line(configured, line);
            line.device = Some(
                self.names
                    .get(&key)
                    .cloned()
                    .unwrap_or_else(IfName::of_no_link),
            );
        }
        let (Some(own), Some(key)) = (&configured.own_link, key_of(configured)) else {
            return;
        };
        let link = self
            .names
            .get(&key)
            .cloned()
            .unwrap_or_else(IfName::of_no_link);
        if own.adverts_on_base {
            let lines = instance.addresses.iter_mut().chain(&mut instance.excluded);
            for line in lines.filter(|line| line.device.is_none()) {
                line.device = Some(link.clone());
                line.own_link = true;
            }
            return;
        }
        let base = std::mem::replace(&mut instance.interface, link);
        if instance.track_primary {
            instance.tracked_interfaces.push(TrackedInterface {
                interface: base,
                weight: 0,
                reverse: false,
            });
        }
    }
}
