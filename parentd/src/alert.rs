//! Text of notification mail, with the subjects that keepalived's users filter by. Pure.

use kr_config::typed::{Config, InstanceEntry, RealServerEntry, VirtualServerEntry};
use kr_ipc::edge::parentd_ipvsd::ServerReason;
use kr_model::check::{Checker, Mail, Probe};
use kr_model::vrrp::State;

/// The mail about a new state of an instance; `None` when the state or the settings ask for none.
pub(crate) fn of_instance(config: &Config, entry: &InstanceEntry, to: State) -> Option<Mail> {
    if !entry.mail {
        return None;
    }
    let (text, body) = match to {
        State::Init => return None,
        State::Fault if config.global.no_fault_mail => return None,
        State::Master => (
            "Entering MASTER state",
            "VRRP Instance is now owning VRRP VIPs",
        ),
        State::Backup => (
            "Entering BACKUP state",
            "VRRP Instance is no longer owning VRRP VIPs",
        ),
        State::Fault => (
            "Entering FAULT state",
            "VRRP Instance cannot run, something that it needs is missing",
        ),
        State::Stop => ("Stopping", "VRRP Instance is stopping"),
    };
    let name = &entry.instance.name;
    Some(mail(
        config,
        &format!("VRRP Instance {name} - {text}"),
        body,
    ))
}

/// The mail about a checker's new verdict. `server_up` is the state of its real server.
pub(crate) fn of_checker(
    config: &Config,
    checker: &Checker,
    server: &RealServerEntry,
    up: bool,
    server_up: bool,
) -> Option<Mail> {
    let service = config
        .virtual_servers
        .get(&server.real_server.virtual_server)?;
    let subject = format!(
        "Realserver {} of virtual server {} - {}",
        server.real_server.label,
        service.virtual_server.label,
        word(server_up)
    );
    let body = match (&checker.probe, up) {
        (Probe::Tcp(_), true) => "TCP CHECK succeed on service",
        (Probe::Tcp(_), false) => "TCP CHECK failed on service",
        (Probe::Http(_) | Probe::Smtp { .. }, true) => "CHECK succeed on service",
        (Probe::Http(_), false) => "CHECK failed on service : HTTP/SSL request failed",
        (Probe::Smtp { .. }, false) => "CHECK failed on service : SMTP dialogue failed",
        (Probe::Misc { .. }, true) => "MISC CHECK succeeded on service",
        (Probe::Misc { .. }, false) => "MISC CHECK failed on service",
    };
    Some(mail(config, &subject, body))
}

/// The mail about a quorum that was gained or lost.
pub(crate) fn of_quorum(
    config: &Config,
    entry: &VirtualServerEntry,
    up: bool,
    weight: u64,
    reason: ServerReason,
) -> Option<Mail> {
    if !entry.mail {
        return None;
    }
    let server = &entry.virtual_server;
    let text = match (reason, up) {
        (ServerReason::Shutdown, _) => "Shutting down".to_owned(),
        (ServerReason::Removed, _) => "Removing".to_owned(),
        (ServerReason::Start | ServerReason::Checks, _) => {
            let what = match (reason, up) {
                (ServerReason::Start, true) => "Starting with quorum up",
                (ServerReason::Start, false) => "Starting with quorum down",
                (_, true) => "Gained quorum",
                (_, false) => "Lost quorum",
            };
            let threshold = if up {
                server.quorum.saturating_add(server.hysteresis)
            } else {
                server.quorum.saturating_sub(server.hysteresis)
            };
            format!(
                "{what} {}+{}={threshold} <= {weight}",
                server.quorum, server.hysteresis
            )
        }
    };
    let subject = format!("Virtualserver {} - {}", server.label, word(up));
    Some(mail(config, &subject, &text))
}

const fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn mail(config: &Config, subject: &str, body: &str) -> Mail {
    Mail {
        subject: format!("[{}] {subject}", config.global.router_id),
        body: format!("=> {body} <="),
    }
}
