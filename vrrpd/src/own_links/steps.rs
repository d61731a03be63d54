//! The steps to the links that are wanted, one round at a time: a link that was just made is looked at before the
//! next round changes it. Nothing is left to do when a process follows on another one with the same configuration.

use std::collections::{BTreeMap, BTreeSet};

use kr_model::net::Family;
use kr_model::units::IfIndex;
use kr_netlink::route::{
    InetSetting, Link, LinkChange, LinkKind, LinkSettings, NewLink, NewLinkKind,
};

use super::{Kind, Mark, OwnLinks, Wish};
use crate::kernel::Kernel;

/// `rp_filter`: the source of a packet need be reachable, by whatever interface.
const LOOSE: i32 = 2;

impl OwnLinks {
    /// What is to be done next so that all links exist as they are wanted.
    pub(crate) fn steps(&self, kernel: &Kernel) -> Vec<LinkChange> {
        let mut steps = Vec::new();
        let mut bases = BTreeSet::new();
        for (key, name) in &self.names {
            let Some(wish) = self.wishes.get(key) else {
                continue;
            };
            let Some(base) = kernel.named(&wish.base) else {
                continue;
            };
            match kernel.named(name) {
                None => steps.push(match self.in_the_way(wish, kernel) {
                    Some(link) => LinkChange::Remove(link.index),
                    None => LinkChange::Make(NewLink {
                        name: name.clone(),
                        below: base.index,
                        kind: wish.kind.new_link(),
                        group: wish.group.unwrap_or(base.detail.group),
                        master: vrf_of(base, kernel),
                    }),
                }),
                Some(link) if self.fits(wish, link, kernel) => {
                    let settings = self.settings(wish, link, base, kernel);
                    let ready = settings.alias.is_none();
                    if !settings.is_empty() {
                        steps.push(LinkChange::Set(link.index, settings));
                    }
                    if !link.detail.enabled && base.detail.enabled {
                        steps.push(LinkChange::Enable(link.index));
                    }
                    if matches!(wish.kind, Kind::Vmac { .. }) && ready {
                        bases.insert(base.index);
                    }
                }
                // One of ours in the way, of an earlier configuration.
                Some(link) if self.is_ours(link) => steps.push(LinkChange::Remove(link.index)),
                Some(_) => {}
            }
        }
        steps.extend(bases.into_iter().filter_map(|base| {
            let link = kernel.link(base)?;
            let inet: BTreeMap<_, _> = [InetSetting::ArpIgnore, InetSetting::ArpFilter]
                .into_iter()
                .filter(|setting| is(link, *setting, 0))
                .map(|setting| (setting, 1))
                .collect();
            (!inet.is_empty()).then(|| set_inet(base, inet))
        }));
        steps
    }

    /// One of ours that has the MAC, under a name of an earlier configuration: two cannot be up.
    fn in_the_way<'k>(&self, wish: &Wish, kernel: &'k Kernel) -> Option<&'k Link> {
        let wanted = |link: &Link| self.names.values().any(|name| *name == link.name);
        kernel.links().find(|link| {
            matches!(wish.kind, Kind::Vmac { .. })
                && self.is_ours(link)
                && !wanted(link)
                && self.fits(wish, link, kernel)
        })
    }

    /// What is to be done so that no link of ours is there that is not wanted, and that interfaces without any are as
    /// they were before.
    pub(crate) fn removals(&mut self, kernel: &Kernel) -> Vec<LinkChange> {
        self.note_marks(kernel);
        let (steps, restored) = self.find_removals(kernel);
        self.changed.retain(|base, _| !restored.contains(base));
        steps
    }

    /// The same, and the interfaces that have no link of ours any more.
    fn find_removals(&self, kernel: &Kernel) -> (Vec<LinkChange>, Vec<IfIndex>) {
        let wanted = |link: &Link| self.names.values().any(|name| *name == link.name);
        let ours = || kernel.links().filter(|link| self.is_ours(link));
        let mut steps = Vec::new();
        let mut announced = BTreeSet::new();
        for link in ours().filter(|link| !wanted(link)) {
            steps.push(LinkChange::Remove(link.index));
            let below = link.detail.below.and_then(|base| kernel.link(base));
            if let Some(base) = below
                && self.mark_of(link).announces_base
                && announced.insert(base.index)
            {
                steps.push(announcement(base));
            }
        }
        let mut restored = Vec::new();
        for (base, mark) in &self.changed {
            if ours().any(|other| wanted(other) && other.detail.below == Some(*base)) {
                continue;
            }
            restored.push(*base);
            let Some(link) = kernel.link(*base) else {
                continue;
            };
            let changed = [
                (mark.arp_ignore, InetSetting::ArpIgnore),
                (mark.arp_filter, InetSetting::ArpFilter),
            ];
            let inet: BTreeMap<_, _> = changed
                .into_iter()
                .filter(|(changed, setting)| *changed && is(link, *setting, 1))
                .map(|(_, setting)| (setting, 0))
                .collect();
            if !inet.is_empty() {
                steps.push(set_inet(*base, inet));
            }
        }
        (steps, restored)
    }

    /// Remembers what the marks say: a link may go before the next one on its interface is made.
    pub(super) fn note_marks(&mut self, kernel: &Kernel) {
        let ours = kernel.links().filter(|link| self.is_ours(link));
        let found: Vec<(IfIndex, Mark)> = ours
            .filter_map(|link| Some((link.detail.below?, self.mark_of(link))))
            .filter(|(_, mark)| mark.arp_ignore || mark.arp_filter)
            .collect();
        for (base, mark) in found {
            self.changed.entry(base).or_default().join(mark);
        }
    }

    /// Remembers that a link was made here just now. Gives what is to be done for that.
    pub(crate) fn made(&mut self, made: &Link, kernel: &Kernel) -> Option<LinkChange> {
        self.made.insert(made.index);
        let (key, _) = self.names.iter().find(|(_, name)| **name == made.name)?;
        let wish = self.wishes.get(key)?;
        let base = kernel.named(&wish.base)?;
        wish.announces_base.then(|| announcement(base))
    }

    /// What of a link is not as it shall be.
    fn settings(&self, wish: &Wish, link: &Link, base: &Link, kernel: &Kernel) -> LinkSettings {
        let held = &link.detail;
        let group = wish.group.unwrap_or(base.detail.group);
        let vrf = vrf_of(base, kernel);
        let in_vrf = vrf_of(link, kernel).is_some();
        let is_vmac = matches!(wish.kind, Kind::Vmac { .. });
        let alias = self.is_ours(link).then(|| {
            let mut mark = self.mark_of_base(base, kernel);
            mark.announces_base = wish.announces_base;
            if !is_vmac {
                (mark.arp_ignore, mark.arp_filter) = (false, false);
            }
            mark.write(&self.label)
        });
        let inet = match wish.kind {
            Kind::Vmac { family, .. } => self.inet_of(family),
            Kind::Ipvlan { .. } => Vec::new(),
        };
        LinkSettings {
            group: (held.group != group).then_some(group),
            master: (held.master != vrf && (vrf.is_some() || in_vrf)).then_some(vrf),
            alias: alias.filter(|alias| held.alias.as_ref() != Some(alias)),
            private: held.kind == LinkKind::Macvlan { private: false },
            no_link_local: is_vmac && !held.no_link_local,
            inet: inet
                .into_iter()
                .filter(|(setting, value)| held.inet.get(setting).is_some_and(|held| held != value))
                .collect(),
        }
    }

    /// Settings of a VMAC: it answers for its own addresses only, also towards this host.
    fn inet_of(&self, family: Family) -> Vec<(InetSetting, i32)> {
        let reverse_path = if self.strict_for_all { LOOSE } else { 0 };
        match family {
            Family::Inet => vec![
                (InetSetting::ArpIgnore, 1),
                (InetSetting::AcceptLocal, 1),
                (InetSetting::RpFilter, reverse_path),
                (InetSetting::PromoteSecondaries, 1),
            ],
            Family::Inet6 => vec![(InetSetting::ArpIgnore, 1)],
        }
    }

    /// What has been changed, or will be, of the interface below.
    fn mark_of_base(&self, base: &Link, kernel: &Kernel) -> Mark {
        let mut mark = Mark {
            arp_ignore: is(base, InetSetting::ArpIgnore, 0),
            arp_filter: is(base, InetSetting::ArpFilter, 0),
            announces_base: false,
        };
        if let Some(before) = self.changed.get(&base.index) {
            mark.join(*before);
        }
        let above = kernel
            .links()
            .filter(|link| link.detail.below == Some(base.index));
        for link in above {
            mark.join(self.mark_of(link));
        }
        mark
    }

    fn mark_of(&self, link: &Link) -> Mark {
        let alias = link.detail.alias.as_deref().unwrap_or_default();
        Mark::read(alias, &self.label).unwrap_or_default()
    }
}

impl Mark {
    const fn join(&mut self, other: Self) {
        self.arp_ignore |= other.arp_ignore;
        self.arp_filter |= other.arp_filter;
        self.announces_base |= other.announces_base;
    }
}

impl Kind {
    const fn new_link(self) -> NewLinkKind {
        match self {
            Self::Vmac { hardware, .. } => NewLinkKind::Macvlan { hardware },
            Self::Ipvlan { mode, .. } => NewLinkKind::Ipvlan { mode },
        }
    }
}

/// The VRF device that a link is part of.
fn vrf_of(link: &Link, kernel: &Kernel) -> Option<IfIndex> {
    let master = kernel.link(link.detail.master?)?;
    master.vrf_table.map(|_| master.index)
}

fn is(link: &Link, setting: InetSetting, value: i32) -> bool {
    link.detail.inet.get(&setting) == Some(&value)
}

fn set_inet(link: IfIndex, inet: BTreeMap<InetSetting, i32>) -> LinkChange {
    LinkChange::Set(
        link,
        LinkSettings {
            inet,
            ..LinkSettings::default()
        },
    )
}

/// Writes the group that a link has, so that the kernel tells everybody of the link.
fn announcement(link: &Link) -> LinkChange {
    LinkChange::Set(
        link.index,
        LinkSettings {
            group: Some(link.detail.group),
            ..LinkSettings::default()
        },
    )
}
