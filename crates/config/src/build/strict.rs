//! `strict_mode`: an instance that keeps to the RFC of its version. What it may not have is reported and taken
//! away before the instance is completed.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use kr_model::lvs::ServiceKey;
use kr_model::net::Family;
use kr_model::units::{IfName, Priority};
use kr_model::vrrp::{Version, WantedState};

use crate::typed::Config;

use super::Build;
use super::finding::{error, fatal, warning};
use super::instance::InstanceDraft;

/// `IFF_MULTICAST` of `net/if.h`.
const MULTICAST_FLAG: u32 = 0x1000;

impl Build<'_> {
    /// Makes a draft strict. False when the instance cannot run so.
    pub(super) fn make_strict(
        &mut self,
        draft: &mut InstanceDraft,
        family: Family,
        interface: &IfName,
    ) -> bool {
        if draft.addresses.is_empty() {
            self.report(
                error(
                    draft.at,
                    format!("instance `{}` has no virtual address, which strict mode asks for; it does not run", draft.name),
                )
                .help("add `virtual_ipaddress { ADDRESS/LENGTH }`, or remove `strict_mode`"),
            );
            return false;
        }
        if let Some(at) = draft.unicast.filter(|_| !draft.peers.is_empty())
            && self.has_multicast(interface)
        {
            self.report(
                fatal(
                    at,
                    format!("strict mode allows no unicast on `{interface}`, which has multicast"),
                )
                .help("remove `unicast_peer`, or `strict_mode` (`vrrp_strict` in global_defs)"),
            );
        }
        if let Some((_, at)) = draft.authentication.take() {
            self.report(
                error(at, "strict mode has no authentication; it is off").help("remove the block"),
            );
        }
        if let Some(signing) = &mut draft.signing
            && signing.enforce()
        {
            let at = signing.at;
            self.report(error(
                at,
                "in strict mode auth_hmac has `mode enforce`, which is used",
            ));
        }
        if let Some((_, at)) = draft.preempt_delay.take() {
            self.report(error(at, "strict mode has no `preempt_delay`; it is off"));
        }
        if let Some(at) = draft.own_link.adverts_on_base.take() {
            self.report(error(at, "strict mode has no `vmac_xmit_base`; it is off"));
        }
        if let Some(at) = draft.own_link.take_mac() {
            self.report(error(
                at,
                "in strict mode a VMAC has the MAC of its virtual router, which is used",
            ));
        }
        self.strict_state(draft);
        if family == Family::Inet6 {
            self.strict_inet6(draft);
        }
        draft.down_timer_adverts = Some(3);
        draft.garp.lower_repeat = Some(0);
        draft.garp.lower_delay = Some(Duration::ZERO);
        draft.no_answer_to_lower = Some(true);
        draft.advert_before_yielding = Some(false);
        if draft.ignore_adverts.is_none() && draft.priority == Some(Priority::OWNER) {
            draft.ignore_adverts = Some((true, draft.at));
        }
        true
    }

    /// Whether a master accepts traffic to its addresses: by default, but not in strict mode; there version 2
    /// leaves no choice. An owner does in any case.
    pub(super) fn accepts(
        &mut self,
        draft: &InstanceDraft,
        (strict, version): (bool, Version),
        priority: Priority,
    ) -> bool {
        let wanted = draft.accept.map(|(accept, _)| accept);
        if !strict {
            return wanted.unwrap_or(true);
        }
        match draft.accept {
            Some((true, at)) if version == Version::V2 && !priority.is_owner() => {
                self.report(
                    error(at, "in strict mode only the address owner accepts traffic in version 2; `accept` is off")
                        .help("use `version 3`, or remove `strict_mode`"),
                );
                false
            }
            Some((accept, _)) => accept,
            None => false,
        }
    }

    /// Says of each virtual server on an address in no-accept mode that nobody reaches it.
    pub(super) fn check_unaccepted(&mut self, config: &Config) {
        for entry in config.virtual_servers.values() {
            let virtual_server = &entry.virtual_server;
            let address = virtual_server.services.iter().find_map(|key| match key {
                ServiceKey::Address { address, .. } => Some(address.ip()),
                ServiceKey::Fwmark { .. } => None,
            });
            let found = address.and_then(|address| self.unaccepted.get(&address));
            if let Some((name, at)) = found.cloned() {
                self.report(
                    warning(at, format!(
                        "instance `{name}` accepts no traffic to the address of the virtual server {}, which nobody reaches",
                        virtual_server.label
                    ))
                    .help("add `accept` to the instance: `no_accept` and strict mode drop what comes for the address"),
                );
            }
        }
    }

    /// Whoever owns the addresses starts as master, and nobody else.
    fn strict_state(&mut self, draft: &mut InstanceDraft) {
        let Some(priority) = draft.priority else {
            if draft.state == Some(WantedState::Master) {
                draft.priority = Some(Priority::OWNER);
            }
            return;
        };
        let right = if priority.is_owner() {
            WantedState::Master
        } else {
            WantedState::Backup
        };
        if draft.state.is_some_and(|state| state != right) {
            let word = match right {
                WantedState::Master => "MASTER",
                WantedState::Backup => "BACKUP",
            };
            self.report(error(
                draft.at,
                format!("in strict mode an instance of priority {priority} has `state {word}`, which is used"),
            ));
        }
        draft.state = Some(right);
    }

    fn strict_inet6(&mut self, draft: &mut InstanceDraft) {
        if draft.version == Some(Version::V2) {
            self.report(error(
                draft.at,
                "in strict mode VRRP over IPv6 has version 3, which is used",
            ));
            draft.version = Some(Version::V3);
        }
        let first = draft.addresses.first();
        let is_link_local = |ip: IpAddr| match ip {
            IpAddr::V6(ip) => Ipv6Addr::is_unicast_link_local(&ip),
            IpAddr::V4(_) => false,
        };
        if let Some((line, at)) = first.filter(|(line, _)| !is_link_local(line.address.address())) {
            self.report(
                error(
                    *at,
                    format!(
                        "in strict mode the first IPv6 address is link-local, and {} is not",
                        line.address.address()
                    ),
                )
                .help("put an address of fe80::/10 first"),
            );
        }
    }

    /// An interface whose flags cannot be read is taken for an ordinary one.
    fn has_multicast(&self, interface: &IfName) -> bool {
        let path = format!("/sys/class/net/{interface}/flags");
        let flags = self.host.read(Path::new(&path)).ok();
        let flags = flags.and_then(|text| {
            let digits = text.trim().trim_start_matches("0x").to_owned();
            u32::from_str_radix(&digits, 16).ok()
        });
        flags.is_none_or(|flags| flags & MULTICAST_FLAG != 0)
    }
}
