//! `interface_up_down_delays`: a change of a link counts only when it has lasted for a while.
//!
//! An interface that goes down may lose its addresses at once. So while its change waits, so does what is said of
//! its source addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kr_model::Instant;
use kr_model::net::Family;
use kr_model::units::IfName;
use kr_model::vrrp::LinkDelays;

use super::Router;
use crate::input::LinkState;

/// Delays, and what waits.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    delays: BTreeMap<IfName, LinkDelays>,
    waiting: BTreeMap<IfName, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    state: LinkState,
    until: Instant,
    sources: BTreeMap<Family, Option<IpAddr>>,
}

impl Debounce {
    /// When the first change counts that waits now.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// True when what is said of a source address has to wait.
    pub(super) fn keeps_source(
        &mut self,
        interface: &IfName,
        family: Family,
        address: Option<IpAddr>,
    ) -> bool {
        let Some(waiting) = self.waiting.get_mut(interface) else {
            return false;
        };
        waiting.sources.insert(family, address);
        true
    }

    /// Takes up a change. Returns true when it has to wait, and what is known of source addresses when it
    /// takes back one that waited.
    fn take(
        &mut self,
        interface: &IfName,
        (from, to): (Option<LinkState>, LinkState),
        now: Instant,
    ) -> (bool, BTreeMap<Family, Option<IpAddr>>) {
        let delay = self.delays.get(interface).map(|delays| match to {
            LinkState::Up => delays.up,
            LinkState::Down | LinkState::Missing => delays.down,
        });
        let before = self.waiting.remove(interface);
        // An interface that comes into being, or goes, is no change of its link.
        let changes = matches!(
            (from, to),
            (Some(LinkState::Up), LinkState::Down) | (Some(LinkState::Down), LinkState::Up)
        );
        match (delay, before) {
            (Some(delay), before) if changes && !delay.is_zero() => {
                let waiting = before.unwrap_or_else(|| Waiting {
                    state: to,
                    until: now.saturating_add(delay),
                    sources: BTreeMap::new(),
                });
                self.waiting.insert(interface.clone(), waiting);
                (true, BTreeMap::new())
            }
            (_, before) => (false, before.map(|one| one.sources).unwrap_or_default()),
        }
    }

    fn take_due(&mut self, now: Instant) -> Vec<(IfName, Waiting)> {
        let due = |waiting: &Waiting| waiting.until <= now;
        let names = self.waiting.iter().filter(|(_, one)| due(one));
        let names: Vec<IfName> = names.map(|(name, _)| name.clone()).collect();
        let taken = names.into_iter();
        taken
            .filter_map(|name| self.waiting.remove_entry(&name))
            .collect()
    }
}

impl Router {
    /// Takes over the delays of a configuration; what has none any more counts now.
    pub(super) fn set_delays(&mut self, delays: &BTreeMap<IfName, LinkDelays>, now: Instant) {
        self.debounce.delays.clone_from(delays);
        for (interface, waiting) in &mut self.debounce.waiting {
            if !delays.contains_key(interface) {
                waiting.until = now;
            }
        }
        self.end_delays(now);
    }

    /// A link has a state.
    pub(super) fn link_changed(&mut self, interface: &IfName, state: LinkState, now: Instant) {
        let from = self.kernel.links.get(interface).copied();
        let (waits, sources) = self.debounce.take(interface, (from, state), now);
        if waits {
            return;
        }
        self.sources_known(interface, sources);
        self.link_counts(interface, state, now);
    }

    /// Changes that lasted long enough.
    pub(super) fn end_delays(&mut self, now: Instant) {
        for (interface, waiting) in self.debounce.take_due(now) {
            self.sources_known(&interface, waiting.sources);
            self.link_counts(&interface, waiting.state, now);
            self.news = None;
        }
    }

    fn sources_known(&mut self, interface: &IfName, sources: BTreeMap<Family, Option<IpAddr>>) {
        for (family, address) in sources {
            self.source_known(interface, family, address);
        }
    }
}
