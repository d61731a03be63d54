//! `promote_secondaries`: when the first address of a subnet leaves an interface, the kernel keeps the others.
//!
//! The setting is put back when no instance wants it any more; not after a crash of this process, whose successor
//! finds it set and does not know by whom.

use std::collections::{BTreeMap, BTreeSet};

use kr_model::units::{IfIndex, IfName};
use kr_netlink::route::{InetSetting, LinkChange, LinkSettings};

use super::{Daemon, each};
use crate::intake::Instances;
use crate::kernel::Kernel;

/// The interfaces that were changed.
#[derive(Debug, Default)]
pub(super) struct Promotion(BTreeSet<IfIndex>);

impl Promotion {
    /// What is to be changed so that the wanted interfaces have the setting, and others have back what they had.
    fn steps(&self, wanted: &BTreeSet<IfName>, kernel: &Kernel) -> Vec<(IfIndex, i32)> {
        let mut steps = Vec::new();
        for link in kernel.links() {
            let value = link.detail.inet.get(&InetSetting::PromoteSecondaries);
            let is_wanted = wanted.contains(&link.name);
            match value {
                Some(0) if is_wanted => steps.push((link.index, 1)),
                Some(1) if !is_wanted && self.0.contains(&link.index) => {
                    steps.push((link.index, 0));
                }
                Some(_) | None => {}
            }
        }
        steps
    }
}

/// The interfaces whose instances want it. A VMAC has it in any case.
fn wanted(instances: &Instances) -> BTreeSet<IfName> {
    each(instances)
        .filter(|instance| instance.promote_secondaries && instance.own_link.is_none())
        .map(|instance| instance.interface.clone())
        .collect()
}

impl Daemon {
    /// Brings the interfaces of a configuration there.
    pub(super) fn promote_secondaries(&mut self) {
        let wanted = wanted(&self.instances);
        self.promote(&wanted);
    }

    /// Puts everything back.
    pub(super) fn promote_none(&mut self) {
        self.promote(&BTreeSet::new());
    }

    fn promote(&mut self, wanted: &BTreeSet<IfName>) {
        for (link, value) in self.promotion.steps(wanted, self.table.kernel()) {
            let settings = LinkSettings {
                inet: BTreeMap::from([(InetSetting::PromoteSecondaries, value)]),
                ..LinkSettings::default()
            };
            match self.table.change_link(&LinkChange::Set(link, settings)) {
                Ok(_) if value == 1 => {
                    self.promotion.0.insert(link);
                }
                Ok(_) => {
                    self.promotion.0.remove(&link);
                }
                Err(error) => log::error!(
                    "cannot set net.ipv4.conf.{}.promote_secondaries to {value}: {error}",
                    self.table.kernel().name(link)
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kr_netlink::route::{Event, Link, LinkDetail};

    use super::*;
    use crate::samples::{index, instance, link};

    fn kernel(value: i32) -> Kernel {
        let mut kernel = Kernel::default();
        for (number, text) in [(2, "eth0"), (3, "eth1")] {
            kernel.apply(Event::Link(Link {
                detail: LinkDetail {
                    inet: [(InetSetting::PromoteSecondaries, value)].into(),
                    ..LinkDetail::default()
                },
                ..link(number, text)
            }));
        }
        kernel
    }

    #[test]
    fn only_the_interfaces_of_instances_that_ask_for_it_are_changed() {
        let mut asks = instance(1, "eth0", &["10.0.0.1/24"]);
        asks.promote_secondaries = true;
        let other = instance(2, "eth1", &["10.0.1.1/24"]);
        let instances = [(asks.id, asks.into()), (other.id, other.into())].into();
        let promotion = Promotion::default();
        let steps = |value| promotion.steps(&wanted(&instances), &kernel(value));
        assert_eq!(steps(0), [(index(2), 1)]);
        assert_eq!(steps(1), []);
    }

    #[test]
    fn only_what_was_changed_is_put_back() {
        let promotion = Promotion([index(2)].into());
        assert_eq!(
            promotion.steps(&BTreeSet::new(), &kernel(1)),
            [(index(2), 0)]
        );
        // Somebody else put it back already.
        assert_eq!(promotion.steps(&BTreeSet::new(), &kernel(0)), []);
    }
}
