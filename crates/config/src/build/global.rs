//! `global_defs` and the single settings of the root.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kr_model::firewall::{FirewallSettings, TableName};
use kr_model::global::{Accounts, Global, IpvsNamespace, ReloadSettings};
use kr_model::lvs::{IpvsGlobal, Removal, TimeoutSettings};
use kr_model::units::{IfName, Port};
use kr_model::vrrp::{AnnouncePace, MULTICAST_V4, Version, VrrpGlobal};

use crate::registry::Block;
use crate::tree::Statement;
use crate::typed::Config;

use super::Build;
use super::delays::DelayDrafts;
use super::fifo::Fifos;
use super::finding::{error, note, warning};
use super::instance::Garp;
use super::own_link::DEFAULT_PREFIX;
use super::process::Processes;
use super::script_settings::ScriptSettings;
use super::sync_daemon::SyncDraft;
use super::tls::TlsFiles;
use super::value::{MAX_TIMEOUT, set};
use super::walk::{Context, Seen};

const GLOBAL_DEFS: Context = Context {
    name: "global_defs",
    blocks: &[Block::GlobalDefs],
    also: &[
        (Block::Retired, "lvs_id"),
        (Block::Retired, "plugin_dir"),
        (Block::Retired, "state_file_location"),
    ],
    repeatable: &["notification_email", "include_check", "random_seed"],
};

/// Most recipients, and the longest address of one: they travel in one message.
const MOST_RECIPIENTS: usize = 32;
const LONGEST_ADDRESS: usize = 254;

/// Everything that holds for the whole file.
#[derive(Default)]
pub(super) struct Globals {
    router_id: Option<String>,
    pub(super) mail_to: Vec<String>,
    pub(super) mail_from: Option<String>,
    pub(super) mail_server: Option<(String, Port)>,
    pub(super) mail_helo: Option<String>,
    pub(super) mail_timeout: Option<Duration>,
    alert: Option<bool>,
    alert_vrrp: Option<bool>,
    alert_checker: Option<bool>,
    pub(super) log_all_failures: bool,
    pub(super) metrics_listen: Option<SocketAddr>,
    /// `checker_share`.
    pub(super) share_checks: bool,
    no_fault_mail: bool,
    no_checker_mail: bool,
    pub(super) dynamic_interfaces: bool,
    firewall: FirewallSettings,
    pub(super) link_delays: DelayDrafts,
    /// `vip_lifetime`.
    pub(super) vip_lifetime: Option<Duration>,
    /// `default_interface`.
    pub(super) default_interface: Option<IfName>,
    startup_delay: Duration,
    delay_after_boot: Duration,
    log_unknown_vrids: bool,
    pub(super) vrrp: VrrpDefaults,
    flush_at_start: bool,
    removal: Option<Removal>,
    timeouts: TimeoutSettings,
    pub(super) sync: Option<SyncDraft>,
    announce_at_start: bool,
    pub(super) scripts: ScriptSettings,
    processes: Processes,
    namespace: Option<String>,
    ipvs_namespace: IpvsNamespace,
    reload: ReloadSettings,
    accounts: Accounts,
    instance_name: Option<String>,
    /// `vmac_prefix`.
    vmac_prefix: Option<String>,
    /// `vmac_addr_prefix`.
    vmac_addr_prefix: Option<String>,
    use_pid_dir: bool,
    child_wait: Option<Duration>,
    pub(super) tls: TlsFiles,
    pub(super) fifos: Fifos,
}

/// What instances take over unless they say otherwise.
#[derive(Default)]
pub(super) struct VrrpDefaults {
    pub(super) version: Option<Version>,
    pub(super) group: Option<Ipv4Addr>,
    pub(super) group6: Option<Ipv6Addr>,
    pub(super) check_unicast_source: bool,
    pub(super) v3_checksum_as_v2: bool,
    pub(super) garp: Garp,
    pub(super) arp_interval: Duration,
    pub(super) na_interval: Duration,
    pub(super) down_timer_adverts: Option<u8>,
    pub(super) no_answer_to_lower: bool,
    pub(super) advert_before_yielding: Option<bool>,
    pub(super) strict: bool,
    pub(super) owners_ignore_adverts: bool,
    /// `garp_group`: interfaces, `garp_interval`, `gna_interval`.
    pub(super) garp_groups: Vec<(BTreeSet<IfName>, Option<Duration>, Option<Duration>)>,
    pub(super) check_addresses_once: bool,
}

impl VrrpDefaults {
    /// `vrrp_mcast_group4`, else the group of the RFC.
    pub(super) fn group(&self) -> Ipv4Addr {
        self.group.unwrap_or(MULTICAST_V4)
    }
}

impl Globals {
    /// Whether an instance mails when it does not say so itself.
    pub(super) fn alert_of_instances(&self) -> bool {
        self.alert_vrrp.or(self.alert).unwrap_or(false)
    }

    /// How generated names of links begin.
    pub(super) fn vmac_prefix(&self) -> &str {
        self.vmac_prefix.as_deref().unwrap_or(DEFAULT_PREFIX)
    }

    /// How the names of VMACs begin that are for addresses only.
    pub(super) fn address_link_prefix(&self) -> &str {
        let own = self.vmac_addr_prefix.as_deref();
        own.unwrap_or_else(|| self.vmac_prefix())
    }

    /// Whether a virtual server mails when it does not say so itself.
    pub(super) fn alert_of_virtual_servers(&self) -> bool {
        self.alert_checker.or(self.alert).unwrap_or(false)
    }

    /// Whether a real server mails when it does not say so itself.
    pub(super) fn alert_of_real_servers(&self) -> bool {
        self.alert_checker.or(self.alert).unwrap_or(true)
    }
}

impl Build<'_> {
    /// Takes a statement of the root that is no instance, server or group. False when it is unknown.
    pub(super) fn root_setting(
        &mut self,
        globals: &mut Globals,
        name: &str,
        statement: &Statement,
    ) -> bool {
        match name {
            "global_defs" => self.global_defs(globals, statement),
            "garp_group" => self.garp_group(globals, statement),
            "interface_up_down_delays" => self.link_delays(&mut globals.link_delays, statement),
            "SSL" => self.tls_files(&mut globals.tls, statement),
            "instance" => set(&mut globals.instance_name, self.text(statement)),
            "net_namespace" => set(&mut globals.namespace, self.namespace(statement)),
            "net_namespace_ipvs" => match statement.arguments.is_empty() {
                true => globals.ipvs_namespace = IpvsNamespace::Start,
                false => {
                    if let Some(name) = self.namespace(statement) {
                        globals.ipvs_namespace = IpvsNamespace::Named(name);
                    }
                }
            },
            "use_pid_dir" => globals.use_pid_dir = true,
            "child_wait_time" => {
                let seconds = self.number32(statement, 0);
                set(
                    &mut globals.child_wait,
                    seconds.map(|s| Duration::from_secs(s.into())),
                );
            }
            _ => return false,
        }
        true
    }

    /// The name of a file in `/run/netns`.
    fn namespace(&mut self, statement: &Statement) -> Option<String> {
        let name = self.text(statement)?;
        if !name.contains('/') && name != "." && name != ".." {
            return Some(name);
        }
        let at = statement.arguments.first()?.span;
        self.report(
            error(
                at,
                format!("`{name}` is not the name of a network namespace"),
            )
            .label("expected a name that `ip netns` lists"),
        );
        None
    }

    fn global_defs(&mut self, globals: &mut Globals, statement: &Statement) {
        let Some(block) = &statement.block else {
            return;
        };
        let mut seen = Seen::default();
        for statement in &block.statements {
            let Some(keyword) = self.accept(&GLOBAL_DEFS, &mut seen, statement) else {
                continue;
            };
            let name = keyword.name;
            let known = self.mail_setting(globals, name, statement)
                || self.daemon_setting(globals, name, statement)
                || self.process_setting(&mut globals.processes, name, statement)
                || self.reload_setting(&mut globals.reload, name, statement)
                || self.name_directory(name, statement)
                || self.script_setting(&mut globals.scripts, name, statement)
                || self.fifo_setting(&mut globals.fifos, name, statement)
                || self.lvs_setting(globals, name, statement)
                || self.firewall_setting(&mut globals.firewall, name, statement)
                || self.vrrp_setting(globals, name, statement);
            if !known {
                self.unbuilt(keyword, statement);
            }
        }
    }

    fn mail_setting(&mut self, globals: &mut Globals, name: &str, statement: &Statement) -> bool {
        match name {
            "notification_email" => self.recipients(globals, statement),
            "notification_email_from" => set(&mut globals.mail_from, self.text(statement)),
            "smtp_server" => {
                let host = self.text(statement);
                let port = match statement.arguments.get(1) {
                    Some(word) => self.number_of(word, 1, 65535),
                    None => Some(25),
                };
                let port = port.and_then(|port| Port::try_from(port).ok());
                set(&mut globals.mail_server, host.zip(port));
            }
            "smtp_helo_name" => set(&mut globals.mail_helo, self.text(statement)),
            "smtp_connect_timeout" => {
                let seconds = self.number(statement, 0, MAX_TIMEOUT.as_secs());
                set(
                    &mut globals.mail_timeout,
                    seconds.map(|s| Duration::from_secs(s.max(1))),
                );
            }
            "smtp_alert" => set(&mut globals.alert, self.switch(statement)),
            "smtp_alert_vrrp" => set(&mut globals.alert_vrrp, self.switch(statement)),
            "smtp_alert_checker" => set(&mut globals.alert_checker, self.switch(statement)),
            "no_email_faults" => globals.no_fault_mail = true,
            "no_checker_emails" => {
                globals.no_checker_mail = self.switch(statement).unwrap_or(false)
            }
            _ => return false,
        }
        true
    }

    /// `notification_email { ADDRESS ... }`, or the addresses on the line itself.
    fn recipients(&mut self, globals: &mut Globals, statement: &Statement) {
        if !statement.arguments.is_empty() {
            let at = statement.keyword.span;
            let words: Vec<&str> = statement
                .arguments
                .iter()
                .map(|w| w.text.as_str())
                .collect();
            self.report(
                note(
                    at,
                    "`notification_email` should have a block; the addresses on its line are taken",
                )
                .help(format!(
                    "write `notification_email {{ {} }}`",
                    words.join(" ")
                )),
            );
        }
        let listed = statement.block.iter().flat_map(|block| &block.statements);
        let words = listed.flat_map(|line| std::iter::once(&line.keyword).chain(&line.arguments));
        for word in statement.arguments.iter().chain(words) {
            if word.text.is_ascii() && word.text.len() <= LONGEST_ADDRESS {
                if globals.mail_to.len() >= MOST_RECIPIENTS {
                    self.report(error(
                        word.span,
                        format!("mail goes to at most {MOST_RECIPIENTS} addresses"),
                    ));
                    return;
                }
                globals.mail_to.push(word.text.clone());
            } else {
                self.report(
                    error(word.span, format!("`{}` is not a mail address", word.text))
                        .help("put `#` before a comment"),
                );
            }
        }
    }

    fn daemon_setting(&mut self, globals: &mut Globals, name: &str, statement: &Statement) -> bool {
        match name {
            "router_id" | "lvs_id" => set(&mut globals.router_id, self.text(statement)),
            // Both act while the files are read: `crate::parse`.
            "include_check" => {}
            "random_seed" => {
                self.number32(statement, 0);
            }
            "vrrpd_user" | "checkerd_user" | "ipvsd_user" => {
                let Some(user) = self.text(statement) else {
                    return true;
                };
                let slot = match name {
                    "vrrpd_user" => &mut globals.accounts.vrrpd,
                    "checkerd_user" => &mut globals.accounts.checkerd,
                    _ => &mut globals.accounts.ipvsd,
                };
                *slot = user;
            }
            _ => return false,
        }
        true
    }

    fn lvs_setting(&mut self, globals: &mut Globals, name: &str, statement: &Statement) -> bool {
        match name {
            "metrics_listen" => set(&mut globals.metrics_listen, self.socket_address(statement)),
            "checker_log_all_failures" => {
                globals.log_all_failures = self.switch(statement).unwrap_or(false)
            }
            "checker_share" => globals.share_checks = self.switch(statement).unwrap_or(false),
            "lvs_flush" => globals.flush_at_start = true,
            "lvs_sync_daemon" => set(&mut globals.sync, self.sync_daemon(statement)),
            "lvs_timeouts" => globals.timeouts = self.timeouts(statement),
            "lvs_flush_on_stop" | "lvs_flush_onstop" => {
                if name == "lvs_flush_onstop" {
                    self.renamed(statement, "lvs_flush_on_stop");
                }
                globals.removal = match statement.arguments.first() {
                    None => Some(Removal::Everything),
                    Some(word) if word.text == "VS" => Some(Removal::Services),
                    Some(word) => {
                        self.report(
                            error(word.span, format!("`{}` is not valid here", word.text))
                                .label("expected `VS` or nothing"),
                        );
                        globals.removal
                    }
                };
            }
            "rs_init_notifies" => {
                globals.announce_at_start = self.switch(statement).unwrap_or(false)
            }
            _ => return false,
        }
        true
    }

    fn firewall_setting(
        &mut self,
        firewall: &mut FirewallSettings,
        name: &str,
        statement: &Statement,
    ) -> bool {
        match name {
            "nftables" => {
                if let Some(word) = statement.arguments.first() {
                    match TableName::try_from(word.text.clone()) {
                        Ok(table) => firewall.table = table,
                        Err(bad) => self.report(
                            error(word.span, format!("`{}` is no name of a table", word.text))
                                .label(bad.to_string()),
                        ),
                    }
                }
            }
            "nftables_priority" => {
                let number = self.signed(statement, i32::MIN, i32::MAX);
                firewall.priority = number.unwrap_or(firewall.priority);
            }
            "nftables_ifindex" => firewall.by_index = self.switch(statement).unwrap_or(false),
            "nftables_counters" => firewall.counters = true,
            "disable_local_igmp" => firewall.leaves_igmp = true,
            _ => return false,
        }
        true
    }

    fn vrrp_setting(&mut self, globals: &mut Globals, name: &str, statement: &Statement) -> bool {
        let vrrp = &mut globals.vrrp;
        match name {
            "vip_lifetime" => {
                let seconds = self.number(statement, 5, 86_400);
                set(&mut globals.vip_lifetime, seconds.map(Duration::from_secs));
            }
            "vmac_prefix" => self.link_prefix(&mut globals.vmac_prefix, statement),
            "vmac_addr_prefix" => self.link_prefix(&mut globals.vmac_addr_prefix, statement),
            "default_interface" => set(&mut globals.default_interface, self.interface(statement)),
            "dynamic_interfaces" => {
                globals.dynamic_interfaces = true;
                if let Some(word) = statement.arguments.first() {
                    self.report(
                        warning(
                            word.span,
                            format!(
                                "`{}` is known but not supported yet: it has no effect",
                                word.text
                            ),
                        )
                        .help("`dynamic_interfaces` alone works"),
                    );
                }
            }
            "vrrp_startup_delay" | "vrrp_delay_after_boot" => {
                let delay = self.seconds(statement, Duration::from_millis(1), MAX_TIMEOUT);
                let slot = if name == "vrrp_startup_delay" {
                    &mut globals.startup_delay
                } else {
                    &mut globals.delay_after_boot
                };
                *slot = delay.unwrap_or(*slot);
            }
            "log_unknown_vrids" => globals.log_unknown_vrids = true,
            "vrrp_strict" => vrrp.strict = self.switch(statement).unwrap_or(false),
            "vrrp_owner_ignore_adverts" => {
                vrrp.owners_ignore_adverts = self.switch(statement).unwrap_or(false)
            }
            "vrrp_version" => set(&mut vrrp.version, self.version(statement)),
            "vrrp_mcast_group4" => {
                let Some(word) = statement.arguments.first() else {
                    return true;
                };
                let group = word.text.parse().ok().filter(Ipv4Addr::is_multicast);
                if group.is_none() {
                    self.report(
                        error(
                            word.span,
                            format!("`{}` is not a multicast group", word.text),
                        )
                        .label("expected an IPv4 address from 224.0.0.0 to 239.255.255.255"),
                    );
                }
                set(&mut vrrp.group, group);
            }
            "vrrp_mcast_group6" => {
                let Some(word) = statement.arguments.first() else {
                    return true;
                };
                let group = word.text.parse().ok().filter(Ipv6Addr::is_multicast);
                if group.is_none() {
                    self.report(
                        error(
                            word.span,
                            format!("`{}` is not a multicast group", word.text),
                        )
                        .label("expected an IPv6 address that begins with ff"),
                    );
                }
                set(&mut vrrp.group6, group);
            }
            "vrrp_check_unicast_src" => vrrp.check_unicast_source = true,
            "v3_checksum_as_v2" => vrrp.v3_checksum_as_v2 = true,
            "vrrp_garp_interval" | "vrrp_gna_interval" => {
                let interval = self.seconds(statement, Duration::from_micros(1), MAX_TIMEOUT);
                let slot = if name == "vrrp_garp_interval" {
                    &mut vrrp.arp_interval
                } else {
                    &mut vrrp.na_interval
                };
                *slot = interval.unwrap_or(*slot);
            }
            "vrrp_min_garp" => {
                if self.switch(statement) == Some(true) {
                    vrrp.garp.minimal();
                }
            }
            "vrrp_down_timer_adverts" => set(
                &mut vrrp.down_timer_adverts,
                self.down_timer_adverts(statement),
            ),
            "vrrp_lower_prio_no_advert" => {
                vrrp.no_answer_to_lower = self.switch(statement).unwrap_or(false)
            }
            "vrrp_higher_prio_send_advert" => {
                set(&mut vrrp.advert_before_yielding, self.switch(statement));
            }
            "vrrp_skip_check_adv_addr" => {
                vrrp.check_addresses_once = self.switch(statement).unwrap_or(false)
            }
            _ => {
                let Some(name) = name.strip_prefix("vrrp_") else {
                    return false;
                };
                return self.garp_setting(&mut vrrp.garp, name, statement);
            }
        }
        true
    }

    /// The configuration with everything global, and no block yet.
    pub(super) fn global_config(&mut self, globals: &Globals) -> Config {
        let fifos = self.notify_fifos(&globals.fifos);
        Config {
            global: Global {
                router_id: globals
                    .router_id
                    .clone()
                    .unwrap_or_else(|| self.host.host_name()),
                instance_name: globals.instance_name.clone(),
                use_pid_dir: globals.use_pid_dir
                    || globals.instance_name.is_some()
                    || globals.namespace.is_some(),
                child_wait_time: globals.child_wait.unwrap_or(Duration::from_secs(5)),
                script_user: globals.scripts.user.clone(),
                script_security: globals.scripts.security,
                script_links: globals.scripts.links,
                script_groups: globals.scripts.groups,
                script_no_new_privileges: globals.scripts.no_new_privileges,
                script_read_only: globals.scripts.read_only.clone(),
                strict_sandbox: globals.processes.strict_sandbox,
                vrrp_process: globals.processes.vrrp.clone(),
                checker_process: globals.processes.checker.clone(),
                umask: globals.processes.umask,
                namespace: globals.namespace.clone(),
                ipvs_namespace: globals.ipvs_namespace.clone(),
                reload: globals.reload.clone(),
                dumps: globals.processes.dumps.clone(),
                startup: globals.scripts.startup(),
                shutdown: globals.scripts.shutdown(),
                no_fault_mail: globals.no_fault_mail,
                no_checker_mail: globals.no_checker_mail,
                accounts: globals.accounts.clone(),
                fifos,
                tells_priority_changes: globals.fifos.priority_changes,
                fifo_states_on_reload: globals.fifos.states_on_reload,
            },
            vrrp: VrrpGlobal {
                startup_delay: globals.startup_delay,
                delay_after_boot: globals.delay_after_boot,
                log_unknown_vrids: globals.log_unknown_vrids,
                pace: AnnouncePace {
                    arp: globals.vrrp.arp_interval,
                    neighbour: globals.vrrp.na_interval,
                    groups: globals.pace_groups(),
                },
                keep_addresses_at_exit: false,
                label: globals.instance_name.clone().unwrap_or_default(),
                dynamic_interfaces: globals.dynamic_interfaces,
                firewall: globals.firewall.clone(),
                link_delays: Default::default(),
            },
            checker: self.checker_global(globals),
            ipvs: IpvsGlobal {
                flush_at_start: globals.flush_at_start,
                keep_at_exit: false,
                removal: globals.removal.unwrap_or(Removal::OneByOne),
                timeouts: globals.timeouts,
                sync: None,
                announce_at_start: globals.announce_at_start,
            },
            statics: Default::default(),
            groups: Default::default(),
            bfd: Default::default(),
            instances: Default::default(),
            virtual_servers: Default::default(),
            real_servers: Default::default(),
            checkers: Default::default(),
            trackers: Default::default(),
            scripts: Default::default(),
        }
    }
}
