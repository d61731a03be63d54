//! Text of notification mail, with the subjects that keepalived's users filter by. Pure.

use kr_config::typed::{Config, GroupEntry, InstanceEntry, RealServerEntry, VirtualServerEntry};
use kr_ipc::edge::parentd_ipvsd::ServerReason;
use kr_model::check::{Checker, Mail, Probe};
use kr_model::vrrp::State;

/// The mail about a new state of an instance; `None` when the state or the settings ask for none.
pub(crate) fn of_instance(config: &Config, entry: &InstanceEntry, to: State) -> Option<Mail> {
    if !entry.mail {
        return None;
    }
    let (text, body) = of_state(config, to)?;
    Some(about_instance(config, entry, text, body))
}

/// The mail about an instance that a reload removed and that has `notify_deleted`.
pub(crate) fn of_deletion(config: &Config, entry: &InstanceEntry) -> Option<Mail> {
    entry
        .mail
        .then(|| about_instance(config, entry, "Deleted", "was removed by a reload"))
}

fn about_instance(config: &Config, entry: &InstanceEntry, text: &str, body: &str) -> Mail {
    let name = &entry.instance.name;
    mail(
        config,
        &format!("VRRP Instance {name} - {text}"),
        &format!("VRRP Instance {body}"),
    )
}

/// The mail about a new state of a sync group; `None` when the state or the settings ask for none.
pub(crate) fn of_group(config: &Config, entry: &GroupEntry, to: State) -> Option<Mail> {
    if !entry.mail {
        return None;
    }
    let (text, body) = of_state(config, to)?;
    let name = &entry.name;
    Some(mail(
        config,
        &format!("VRRP Group {name} - {text}"),
        &format!("VRRP Group {body}"),
    ))
}

/// End of the subject and of the body about a new state.
const fn of_state(config: &Config, to: State) -> Option<(&'static str, &'static str)> {
    Some(match to {
        State::Init => return None,
        State::Fault if config.global.no_fault_mail => return None,
        State::Master => ("Entering MASTER state", "is now owning VRRP VIPs"),
        State::Backup => ("Entering BACKUP state", "is no longer owning VRRP VIPs"),
        State::Fault => (
            "Entering FAULT state",
            "cannot run, something that it needs is missing",
        ),
        State::Stop => ("Stopping", "is stopping"),
    })
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
        (Probe::Dns { .. }, true) => "DNS_CHECK: succeed on service",
        (Probe::Dns { .. }, false) => "DNS_CHECK: failed on service",
        (Probe::Udp(_), true) => "UDP CHECK succeed on service",
        (Probe::Udp(_), false) => "UDP CHECK failed on service",
        (Probe::Ping(_), true) => "ICMP CHECK succeed on service",
        (Probe::Ping(_), false) => "ICMP CHECK failed on service",
        (Probe::Bfd { name, .. }, up) => {
            let result = if up { "succeeded" } else { "failed" };
            &format!("BFD CHECK {name} {result} on service")
        }
        // keepalived sends none for a file either.
        (Probe::File(_), _) => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{config, config_with};

    fn first_instance(config: &Config) -> &InstanceEntry {
        config.instances.values().next().unwrap()
    }

    #[test]
    fn a_new_state_has_keepalived_s_subject() {
        let config = config();
        let mail = of_instance(&config, first_instance(&config), State::Master).unwrap();
        assert_eq!(
            mail.subject,
            "[R1] VRRP Instance VI_1 - Entering MASTER state"
        );
        assert_eq!(mail.body, "=> VRRP Instance is now owning VRRP VIPs <=");
        assert_eq!(
            of_instance(&config, first_instance(&config), State::Init),
            None
        );
    }

    #[test]
    fn settings_switch_mail_off() {
        let config = config_with("    smtp_alert\n    virtual_ip", "    virtual_ip");
        assert_eq!(
            of_instance(&config, first_instance(&config), State::Master),
            None
        );
        let config = config_with("router_id R1", "router_id R1\n    no_email_faults");
        assert_eq!(
            of_instance(&config, first_instance(&config), State::Fault),
            None
        );
        assert!(of_instance(&config, first_instance(&config), State::Stop).is_some());
    }

    #[test]
    fn a_checker_s_mail_says_the_state_of_the_server() {
        let config = config();
        let server = config.real_servers.values().next().unwrap();
        let checker = &config.checkers.values().next().unwrap().checker;
        let mail = of_checker(&config, checker, server, true, false).unwrap();
        assert_eq!(
            mail.subject,
            "[R1] Realserver [192.0.2.2]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN"
        );
        assert_eq!(mail.body, "=> TCP CHECK succeed on service <=");
    }

    #[test]
    fn a_quorum_s_mail_shows_the_threshold_in_use() {
        let config = config();
        let entry = config.virtual_servers.values().next().unwrap();
        let body = |up, reason| of_quorum(&config, entry, up, 5, reason).unwrap().body;
        assert_eq!(
            body(true, ServerReason::Checks),
            "=> Gained quorum 3+1=4 <= 5 <="
        );
        assert_eq!(
            body(false, ServerReason::Checks),
            "=> Lost quorum 3+1=2 <= 5 <="
        );
        assert_eq!(
            body(true, ServerReason::Start),
            "=> Starting with quorum up 3+1=4 <= 5 <="
        );
        assert_eq!(body(false, ServerReason::Shutdown), "=> Shutting down <=");
        let mail = of_quorum(&config, entry, false, 0, ServerReason::Removed).unwrap();
        assert_eq!(mail.subject, "[R1] Virtualserver [192.0.2.1]:tcp:80 - DOWN");
    }
}
