//! A configuration comes into force.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kr_ipc::ChannelError;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_model::units::IfName;
use kr_model::vrrp::{Authentication, Role, Transport};
use kr_netlink::route::Place;
use kr_vrrp::Input;

use super::addresses::virtual_ips;
use super::{Daemon, each};
use crate::addresses::{locate, locate_statics};
use crate::intake::{Configuration, Instances};
use crate::sockets;

impl Daemon {
    /// Puts a configuration into force: the router works out what changed, and the kernel gets the
    /// difference.
    pub(super) fn apply(&mut self, mut new: Configuration) -> Result<(), ChannelError> {
        let first = !std::mem::replace(&mut self.configured, true);
        let resolved = self.prepare_links(&new.global, &new.instances);
        self.unresolved = std::mem::replace(&mut new.instances, resolved);
        self.global = Some(new.global.clone());
        let old = std::mem::replace(&mut self.instances, new.instances.clone());
        self.signed = self
            .instances
            .values()
            .any(|instance| matches!(instance.authentication, Authentication::Signed(_)));
        let old_host = std::mem::replace(&mut self.host, new.host);
        self.find_link_addresses();
        self.report_links()?;
        self.keep_at_exit = new.global.keep_addresses_at_exit;
        self.set_named();
        self.limit_events();
        let mut managed: BTreeSet<Place> = locate(each(&old), self.table.kernel())
            .into_keys()
            .collect();
        managed.extend(locate(each(&self.instances), self.table.kernel()).into_keys());
        managed.extend(locate_statics(old_host.statics(), self.table.kernel()).into_keys());
        if first {
            managed.extend(self.leftovers());
        }
        self.virtual_ips = virtual_ips(&self.instances);
        self.tracked_sources = tracked_sources(&self.instances);
        self.log_unknown_vrids = new.global.log_unknown_vrids;
        let resumed = new.resume.values();
        let masters = resumed.filter(|snapshot| matches!(snapshot.role, Role::Master { .. }));
        self.present.extend(masters.map(|snapshot| snapshot.id));
        let filter = new.global.firewall.clone();
        self.hold_filter(filter.clone());
        self.set_statics(&old_host);
        if first {
            self.adopt_routing();
        }
        // Instances that go still say priority 0, so their sockets stay until they have.
        let both = each(&old).chain(each(&self.instances));
        let needs = sockets::needs(both, self.table.kernel(), self.log_unknown_vrids);
        self.sockets
            .adjust(&needs, &self.events, self.table.kernel());
        self.tell_kernel_news();
        let mut trackers = new.trackers;
        let news = self.configure_bfd(new.bfd, new.resume_bfd, &mut trackers);
        let now = self.clock.now();
        self.router.handle(Input::Trackers(trackers), now);
        let configure = Input::Configure {
            global: new.global,
            instances: new.instances,
            resume: new.resume,
        };
        self.siblings.begin(new.generation);
        self.tell_time_of_day();
        self.router.handle(configure, now);
        self.act();
        self.pass_on(news)?;
        self.siblings.retain(|id| self.instances.contains_key(&id));
        self.siblings
            .retain_sessions(|id| self.bfd.reach(id).is_some());
        self.present.retain(|id| self.instances.contains_key(id));
        self.settle(&managed, &old);
        self.settle_routing();
        self.renew(&Self::lifetimes(&old, self.table.kernel()));
        self.act();
        self.adjust_sockets();
        self.remove_links();
        self.release_filter(&filter);
        self.promote_secondaries();
        self.finish()?;
        // All instances changed at once; from now on they do so one by one.
        kr_sys::memory::give_back();
        log::info!(
            "running configuration {}: {} virtual routers, {} BFD sessions",
            new.generation,
            self.instances.len(),
            self.bfd.len()
        );
        self.channel.send(&FromVrrpd::Ready(new.generation))
    }
}

/// The source addresses of instances with `track_src_ip`.
pub(super) fn tracked_sources(instances: &Instances) -> BTreeSet<(IfName, IpAddr)> {
    let tracking = each(instances).filter(|one| one.track_source);
    tracking
        .filter_map(|one| {
            let source = match one.transport {
                Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
            };
            Some((one.interface.clone(), source?))
        })
        .collect()
}
