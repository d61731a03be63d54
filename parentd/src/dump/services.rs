//! `keepalived_check.data`: virtual servers with their real servers and the checkers of each.

use kr_config::typed::{CheckerEntry, Config, RealServerEntry, VirtualServerEntry};
use kr_model::VirtualServerId;
use kr_model::check::{CheckerSnapshot, Connection, Probe};
use kr_model::lvs::{Forwarding, PoolSnapshot};

use crate::dump::Data;
use crate::dump::text::{Future, Moment, Seconds, Text};
use crate::dump::vrrp::command;

/// The state of every service with its settings.
pub(super) fn topology(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    text.title("Global definitions");
    text.optional(
        "Smtp server",
        data.config
            .checker
            .mail
            .as_ref()
            .map(|mail| format!("{} port {}", mail.server, mail.port)),
    );
    if let Some(mail) = &data.config.checker.mail {
        text.value("Email notification from", &mail.from);
        for to in &mail.to {
            text.value("Email notification", to);
        }
    }
    text.flag("Keep IPVS at exit", data.config.ipvs.keep_at_exit);
    let usable = match data.published.ipvs_usable {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known yet",
    };
    text.value("IPVS of the kernel usable", usable);
    text.title("LVS Topology");
    for (id, entry) in &data.config.virtual_servers {
        text.value("Virtual server", &entry.virtual_server.label);
        text.under(|text| {
            pool(text, data.published.pools.get(id));
            virtual_server(text, data.config, entry);
            real_servers(text, data, *id);
        });
    }
    text
}

fn pool(text: &mut Text, pool: Option<&PoolSnapshot>) {
    let quorum = match pool.and_then(|pool| pool.quorum) {
        Some(true) => "up",
        Some(false) => "down",
        None => "not known yet",
    };
    text.value("Quorum state", quorum);
    text.optional(
        "Total weight of living servers",
        pool.map(|pool| pool.weight),
    );
}

fn virtual_server(text: &mut Text, config: &Config, entry: &VirtualServerEntry) {
    let server = &entry.virtual_server;
    for service in &server.services {
        text.value("Service", service);
    }
    text.value("lb_algo", server.scheduler.name());
    if let Some(persistence) = server.persistence {
        text.value(
            "Persistence timeout",
            format_args!("{} s", persistence.timeout_seconds),
        );
        text.value("Persistence granularity", persistence.granularity);
    }
    text.value("Quorum", server.quorum);
    text.value("Hysteresis", server.hysteresis);
    if let Some(sorry) = &server.sorry_server {
        text.value("Sorry server", sorry.address);
    }
    text.flag("Omega", server.omega);
    text.optional("Quorum up script", command(config, entry.quorum_up));
    text.optional("Quorum down script", command(config, entry.quorum_down));
    text.flag("Using smtp notification", entry.mail);
}

fn real_servers(text: &mut Text, data: &Data<'_>, of: VirtualServerId) {
    let servers = data
        .config
        .real_servers
        .values()
        .filter(|entry| entry.real_server.virtual_server == of);
    for entry in servers {
        text.value("Real server", &entry.real_server.label);
        text.under(|text| real_server(text, data, entry));
    }
}

fn real_server(text: &mut Text, data: &Data<'_>, entry: &RealServerEntry) {
    let server = &entry.real_server;
    let health = match data.published.servers_up.get(&server.id) {
        Some(true) => "up",
        Some(false) => "down",
        None => "not known yet",
    };
    text.value("Health", health);
    text.value("Weight", server.weight);
    let forwarding = match server.forwarding {
        Forwarding::Nat => "NAT",
        Forwarding::Direct => "DR",
        Forwarding::Tunnel(_) => "TUN",
    };
    text.value("Forwarding method", forwarding);
    text.flag("Inhibit on failure", server.inhibit_on_failure);
    text.optional("Notify up script", command(data.config, entry.notify_up));
    text.optional(
        "Notify down script",
        command(data.config, entry.notify_down),
    );
    for binding in &server.checkers {
        if let Some(entry) = data.config.checkers.get(&binding.id) {
            text.value("Checker", entry.checker.probe.keyword());
            let snapshot = data.published.checkers.get(&binding.id);
            text.under(|text| checker(text, data, entry, snapshot));
        }
    }
}

fn checker(
    text: &mut Text,
    data: &Data<'_>,
    entry: &CheckerEntry,
    snapshot: Option<&CheckerSnapshot>,
) {
    match snapshot {
        Some(snapshot) => checker_state(text, snapshot, data.moment),
        None => text.value("State", "not known yet"),
    }
    match &entry.checker.probe {
        Probe::Tcp(connection) | Probe::Dns { connection, .. } | Probe::Ping(connection) => {
            target(text, connection);
        }
        Probe::Udp(udp) => target(text, &udp.connection),
        Probe::Http(http) => {
            target(text, &http.connection);
            for url in &http.urls {
                text.value("Checked url", &url.path);
            }
        }
        Probe::Smtp { hosts, .. } => {
            for host in hosts {
                target(text, host);
            }
        }
        Probe::Bfd { name, .. } => text.value("BFD Instance", name),
        Probe::File(file) => {
            text.value("Track file", &file.name);
            text.value("Weight", file.weight);
        }
        Probe::Misc { timeout, .. } => {
            text.optional("Script", command(data.config, entry.script));
            text.value("Script timeout", Seconds(*timeout));
        }
    }
    let timing = &entry.checker.timing;
    text.value("Delay loop", Seconds(timing.delay_loop));
    text.value("Retries", timing.retry);
    text.value("Delay before retry", Seconds(timing.delay_before_retry));
    text.flag("Alpha", entry.checker.alpha);
}

fn checker_state(text: &mut Text, snapshot: &CheckerSnapshot, moment: Moment) {
    text.value("State", if snapshot.up { "up" } else { "down" });
    let last = match (snapshot.has_run, snapshot.failures) {
        (false, _) => "has not run yet",
        (true, 0) => "passed",
        (true, _) => "failed",
    };
    text.value("Last result", last);
    text.value("Failures in a row", snapshot.failures);
    text.value("Next check", Future(snapshot.next_at, moment));
    text.value("Checks made", snapshot.attempts);
    text.value("Checks failed", snapshot.failed_attempts);
    text.optional("Weight of the last run", snapshot.weight);
}

fn target(text: &mut Text, connection: &Connection) {
    text.value("Connection dest", connection.target);
    text.optional("Connection source", connection.source);
    text.value("Connection timeout", Seconds(connection.timeout));
}
