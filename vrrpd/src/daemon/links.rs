//! The links that instances have for themselves, in the loop: made before the instances start, looked after while
//! they run, removed when nobody wants them any more.

use std::collections::BTreeMap;

use kr_ipc::ChannelError;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_model::vrrp::VrrpGlobal;
use kr_netlink::route::LinkChange;
use kr_netlink::socket::NetlinkError;
use kr_vrrp::Input;
use nix::errno::Errno;

use super::addresses::virtual_ips;
use super::apply::tracked_sources;
use super::{Daemon, each};
use crate::intake::Instances;

/// Rounds until every link is as it is wanted: one of ours in the way goes, the new one is made, set, and the
/// interface below it after that. One more shows that there is nothing left.
const ROUNDS: usize = 5;

impl Daemon {
    /// Makes the links of a configuration, and gives its instances as they run on them.
    pub(super) fn prepare_links(
        &mut self,
        global: &VrrpGlobal,
        instances: &Instances,
    ) -> Instances {
        let kernel = self.table.kernel();
        self.own_links.want(&global.label, each(instances), kernel);
        self.reported.clear();
        if !self.own_links.is_empty() {
            match self.table.rp_filter_of_all() {
                Ok(value) => self.own_links.set_strict_for_all(value == 1),
                Err(error) => log::warn!("cannot read net.ipv4.conf.all.rp_filter: {error}"),
            }
            for complaint in self.own_links.complaints(self.table.kernel()) {
                log::warn!("{complaint}");
            }
        }
        self.settle_links();
        self.resolved(instances)
    }

    fn resolved(&self, instances: &Instances) -> Instances {
        instances
            .iter()
            .map(|(id, instance)| (*id, self.own_links.resolve(instance)))
            .collect()
    }

    /// Links of the kernel changed: makes those anew that went, with an interface or by somebody else's hand, and
    /// follows one that has to have another name now.
    pub(super) fn keep_links(&mut self) -> Result<(), ChannelError> {
        if self.own_links.is_empty() {
            return Ok(());
        }
        if self.own_links.choose(self.table.kernel()) {
            for complaint in self.own_links.complaints(self.table.kernel()) {
                log::warn!("{complaint}");
            }
            self.move_instances();
        }
        self.settle_links();
        self.report_links()
    }

    /// The links that instances run on have other names.
    fn move_instances(&mut self) {
        let Some(global) = self.global.clone() else {
            return;
        };
        self.instances = self.resolved(&self.unresolved);
        self.virtual_ips = virtual_ips(&self.instances);
        self.tracked_sources = tracked_sources(&self.instances);
        self.set_named();
        let configure = Input::Configure {
            global,
            instances: self.instances.clone(),
            resume: BTreeMap::new(),
        };
        self.router.handle(configure, self.clock.now());
        self.act();
    }

    /// Brings the wanted links into being.
    fn settle_links(&mut self) {
        let before = std::mem::take(&mut self.refused_links);
        for _ in 0..ROUNDS {
            let mut steps = self.own_links.steps(self.table.kernel());
            steps.retain(|step| {
                !self
                    .refused_links
                    .iter()
                    .any(|(refused, _)| refused == step)
            });
            if steps.is_empty() {
                break;
            }
            for step in steps {
                self.change_link(step, &before);
            }
        }
    }

    /// Removes links that nobody wants.
    pub(super) fn remove_links(&mut self) {
        for step in self.own_links.removals(self.table.kernel()) {
            self.change_link(step, &[]);
        }
    }

    fn change_link(&mut self, step: LinkChange, before: &[(LinkChange, Errno)]) {
        let error = match self.table.change_link(&step) {
            Ok(link) => {
                match (&step, link) {
                    (LinkChange::Make(new), Some(link)) => {
                        log::info!(
                            "made {} on {}",
                            link.name,
                            self.table.kernel().name(new.below)
                        );
                        let further = self.own_links.made(&link, self.table.kernel());
                        if let Some(further) = further {
                            self.change_link(further, before);
                        }
                    }
                    (LinkChange::Remove(link), _) => log::info!("removed link {link}"),
                    (LinkChange::Make(_) | LinkChange::Set(..) | LinkChange::Enable(_), _) => {}
                }
                return;
            }
            Err(NetlinkError::Os(errno)) => errno,
            Err(error) => {
                log::error!("cannot change links: {error}; reading them anew");
                self.table.refresh();
                Errno::EAGAIN
            }
        };
        let news = !before.iter().any(|known| *known == (step.clone(), error));
        if news {
            log::error!("{}", self.refusal(&step, error));
        }
        self.refused_links.push((step, error));
    }

    /// What the kernel did not do, and what may help.
    fn refusal(&self, step: &LinkChange, errno: Errno) -> String {
        let kernel = self.table.kernel();
        let (what, link) = match step {
            LinkChange::Make(new) => {
                let base = kernel.name(new.below);
                let advice = advice(&ON_MAKING, errno);
                return format!("cannot make {} on {base}: {errno}{advice}", new.name);
            }
            LinkChange::Set(link, _) => ("set", link),
            LinkChange::Enable(link) => ("enable", link),
            LinkChange::Remove(link) => ("remove", link),
        };
        let advice = advice(&ON_CHANGING, errno);
        format!("cannot {what} {}: {errno}{advice}", kernel.name(*link))
    }

    /// Tells the parent of links that it has not heard of.
    pub(super) fn report_links(&mut self) -> Result<(), ChannelError> {
        for (link, report) in self.own_links.reports(self.table.kernel()) {
            if !self.reported.contains(&(link, report)) {
                self.reported.push((link, report));
                self.channel.send(&FromVrrpd::OwnLink(report))?;
            }
        }
        Ok(())
    }

    /// Finds out what addresses the links themselves have now; true when others than before.
    pub(super) fn find_link_addresses(&mut self) -> bool {
        let found = self.own_links.addresses(self.table.kernel());
        let changed = found != self.host.of_links;
        self.host.of_links = found;
        changed
    }
}

/// What an operator can do about a link that cannot be made.
const ON_MAKING: [(Errno, &str); 4] = [
    (Errno::EEXIST, "; a link of that name has just come"),
    (
        Errno::EBUSY,
        "; the interface is part of a bridge or bond: use that one",
    ),
    (
        Errno::EINVAL,
        "; the interface cannot carry it: only Ethernet can",
    ),
    (
        Errno::EOPNOTSUPP,
        "; this kernel is built without macvlan or ipvlan",
    ),
];

/// The same for one that is there.
const ON_CHANGING: [(Errno, &str); 1] = [(
    Errno::EADDRINUSE,
    "; another link above the same interface has this MAC: remove that one, or give another MAC",
)];

fn advice(known: &[(Errno, &'static str)], errno: Errno) -> &'static str {
    let found = known.iter().find(|(reason, _)| *reason == errno);
    found.map_or("", |(_, advice)| *advice)
}
