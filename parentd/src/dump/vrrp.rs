//! `keepalived.data`: the instances, and `keepalived.stats`: their counters.

use std::fmt::Display;

use kr_config::typed::{Config, InstanceEntry, Statics};
use kr_model::ScriptId;
use kr_model::signing::{AntiReplay, Signing};
use kr_model::units::IfName;
use kr_model::vrrp::{
    Announce, Authentication, Counters, Instance, Preemption, Role, Snapshot, Transport, Version,
    VirtualAddress, WantedState,
};

use crate::dump::text::{Future, Moment, Past, Seconds, Text};
use crate::dump::{Data, Zero, track};
use crate::published::Published;

/// The state of every instance with its settings.
pub(super) fn topology(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    text.title("Global definitions");
    let global = &data.config.vrrp;
    text.value("Startup delay", Seconds(global.startup_delay));
    text.flag("Keep addresses at exit", global.keep_addresses_at_exit);
    text.flag("Dynamic interfaces", global.dynamic_interfaces);
    statics(&mut text, &data.config.statics);
    text.title("VRRP Topology");
    for (id, entry) in &data.config.instances {
        text.value("VRRP Instance", &entry.instance.name);
        text.under(|text| {
            match data.published.instances.get(id) {
                Some(snapshot) => state(text, data.config, snapshot, data.moment),
                None => text.value("State", "not known yet"),
            }
            settings(text, &entry.instance);
            objects(text, "Virtual Routes", &entry.routes);
            objects(text, "Virtual Rules", &entry.rules);
            track::lines(text, data.config, &entry.instance);
            scripts(text, data.config, entry);
            if let Some(snapshot) = data.published.instances.get(id) {
                text.value("Counters", "");
                text.under(|text| counters(text, &snapshot.counters));
            }
        });
    }
    sync_groups(&mut text, data);
    track::sections(&mut text, data);
    text
}

/// What is there whatever the instances do, under the titles that keepalived has.
fn statics(text: &mut Text, statics: &Statics) {
    if !statics.addresses.is_empty() {
        text.title("Static Addresses");
        for address in &statics.addresses {
            let device = address.device.as_ref().map_or("?", IfName::as_str);
            text.value("Address", address_on(device, address));
        }
    }
    if !statics.routes.is_empty() {
        text.title("Static Routes");
        lines(text, &statics.routes);
    }
    if !statics.rules.is_empty() {
        text.title("Static Rules");
        lines(text, &statics.rules);
    }
}

/// Routes or rules of an instance.
fn objects<T: Display>(text: &mut Text, label: &str, objects: &[T]) {
    if !objects.is_empty() {
        text.value(label, objects.len());
        text.under(|text| lines(text, objects));
    }
}

/// Each in the words of `ip`.
fn lines<T: Display>(text: &mut Text, objects: &[T]) {
    for object in objects {
        text.line(object);
    }
}

fn sync_groups(text: &mut Text, data: &Data<'_>) {
    if data.config.groups.is_empty() {
        return;
    }
    text.title("VRRP Sync groups");
    for (id, group) in &data.config.groups {
        text.value("VRRP Sync Group", &group.name);
        text.under(|text| {
            for (member, entry) in &data.config.instances {
                if entry.instance.group == Some(*id) {
                    let state = data
                        .published
                        .instances
                        .get(member)
                        .map_or("not known yet", |snapshot| snapshot.role.state().word());
                    let name = &entry.instance.name;
                    text.value("Monitoring VRRP instance", format_args!("{name}, {state}"));
                }
            }
            text.flag("Using smtp notification", group.mail);
        });
    }
}

fn state(text: &mut Text, config: &Config, snapshot: &Snapshot, moment: Moment) {
    text.value("State", snapshot.role.state().word());
    text.value("Since", Past(snapshot.since, moment));
    text.value(
        "Because",
        snapshot.cause.naming(config.tracked_by(snapshot.cause)),
    );
    text.value("Effective priority", snapshot.priority);
    match snapshot.role {
        Role::Init | Role::Fault => {}
        Role::Master { advert_at } => text.value("Next advert", Future(advert_at, moment)),
        Role::Backup {
            master_down_at,
            master,
            interval,
            preempt_at,
        } => {
            match master {
                Some((address, priority)) => {
                    text.value("Master router", address);
                    text.value("Master priority", priority);
                }
                None => text.value("Master router", "none heard"),
            }
            text.value("Master advert interval", Seconds(interval.as_duration()));
            text.value("Master down", Future(master_down_at, moment));
            text.optional("Preempts", preempt_at.map(|at| Future(at, moment)));
        }
    }
}

fn settings(text: &mut Text, instance: &Instance) {
    let version = match instance.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    text.value("VRRP Version", version);
    let wanted = match instance.wanted {
        WantedState::Master => "MASTER",
        WantedState::Backup => "BACKUP",
    };
    text.value("Wantstate", wanted);
    text.value("Interface", &instance.interface);
    text.value("Virtual Router ID", instance.vrid);
    text.value("Priority", instance.priority);
    let interval = instance.advert_interval.as_duration();
    text.value("Advert interval", Seconds(interval));
    text.value("Down timer adverts", instance.down_timer_adverts);
    transport(text, &instance.transport);
    let authentication = match &instance.authentication {
        Authentication::None => "none".to_owned(),
        Authentication::Password(_) => "PASS, password = ********".to_owned(),
        Authentication::Header(_) => "AH, password = ********".to_owned(),
        Authentication::Signed(signing) => signed(signing),
    };
    text.value("Authentication", authentication);
    match instance.preemption {
        Preemption::Immediate => text.value("Preempt", "enabled"),
        Preemption::Delayed(delay) => {
            text.value("Preempt", format_args!("after {}", Seconds(delay)));
        }
        Preemption::Never => text.value("Preempt", "disabled"),
    }
    text.flag("Track primary interface", instance.track_primary);
    announce(text, &instance.announce);
    addresses(text, "Virtual IP", instance, &instance.addresses);
    addresses(text, "Virtual IP Excluded", instance, &instance.excluded);
}

fn transport(text: &mut Text, transport: &Transport) {
    match transport {
        Transport::Multicast { group, source } => {
            text.value("Multicast address", group);
            text.optional("Source address", *source);
        }
        Transport::Unicast { source, peers, .. } => {
            text.optional("Source address", *source);
            for peer in peers {
                text.value("Unicast peer", peer.address);
            }
        }
    }
}

fn announce(text: &mut Text, announce: &Announce) {
    text.value("Gratuitous ARP repeat", announce.repeat);
    text.value("Gratuitous ARP delay", Seconds(announce.delay));
    text.value("Gratuitous ARP refresh", Seconds(announce.refresh));
    text.value("Gratuitous ARP refresh repeat", announce.refresh_repeat);
    text.value(
        "Gratuitous ARP lower priority repeat",
        announce.lower_priority_repeat,
    );
    text.value(
        "Gratuitous ARP lower priority delay",
        Seconds(announce.lower_priority_delay),
    );
}

fn addresses(text: &mut Text, label: &str, instance: &Instance, addresses: &[VirtualAddress]) {
    text.value(label, addresses.len());
    text.under(|text| {
        for address in addresses {
            text.value("Address", address_line(instance, address));
        }
    });
}

/// An address in the form of its configuration line.
pub(super) fn address_line(instance: &Instance, address: &VirtualAddress) -> String {
    let device = address.device.as_ref().unwrap_or(&instance.interface);
    address_on(device.as_str(), address)
}

fn address_on(device: &str, address: &VirtualAddress) -> String {
    let scope = match address.scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    };
    let mut line = format!("{} dev {device} scope {scope}", address.address);
    if let Some(peer) = address.peer {
        line.push_str(&format!(" peer {peer}"));
    }
    if let Some(broadcast) = address.broadcast {
        line.push_str(&format!(" brd {broadcast}"));
    }
    if let Some(label) = &address.label {
        line.push_str(&format!(" label {label}"));
    }
    line
}

fn scripts(text: &mut Text, config: &Config, entry: &InstanceEntry) {
    let notify = &entry.notify;
    for (label, script) in [
        ("Master state transition script", notify.master),
        ("Backup state transition script", notify.backup),
        ("Fault state transition script", notify.fault),
        ("Stop state transition script", notify.stop),
        ("Generic state transition script", notify.any),
    ] {
        text.optional(label, command(config, script));
    }
    text.flag("Using smtp notification", entry.mail);
}

/// The command line of a script.
pub(super) fn command(config: &Config, script: Option<ScriptId>) -> Option<String> {
    let script = config.scripts.get(&script?)?;
    let program = script.program.to_string_lossy().into_owned();
    let words: Vec<String> = [program]
        .into_iter()
        .chain(script.arguments.iter().cloned())
        .collect();
    Some(words.join(" "))
}

fn counters(text: &mut Text, counters: &Counters) {
    let c = counters;
    for (label, number) in [
        ("Adverts received", c.advert_received),
        ("Adverts sent", c.advert_sent),
        ("Became master", c.become_master),
        ("Released master", c.release_master),
        ("Length errors", c.packet_length_errors),
        ("TTL errors", c.ttl_errors),
        ("Version errors", c.version_errors),
        ("Checksum errors", c.checksum_errors),
        ("Invalid types", c.invalid_type_received),
        ("Advert interval errors", c.advert_interval_errors),
        ("Address list errors", c.address_list_errors),
        ("Invalid authentication types", c.invalid_auth_type),
        ("Authentication type mismatches", c.auth_type_mismatch),
        ("Authentication failures", c.auth_failures),
        ("Signatures missing", c.signature_missing),
        ("Signatures malformed", c.signature_malformed),
        ("Signatures with an unknown key", c.signature_unknown_key),
        ("Signatures invalid", c.signature_invalid),
        ("Signatures stale", c.signature_stale),
        ("Signatures replayed", c.signature_replayed),
        ("Priority zero received", c.priority_zero_received),
        ("Priority zero sent", c.priority_zero_sent),
    ] {
        text.value(label, number);
    }
}

/// `auth_hmac` in a line, without the keys.
fn signed(signing: &Signing) -> String {
    let ids: Vec<String> = signing.keys.keys().map(u8::to_string).collect();
    let active = signing
        .mode
        .active()
        .map_or_else(|| "none".to_owned(), |active| active.id.to_string());
    let replay = match signing.replay {
        AntiReplay::Time(window) => format!("time, window {}", Seconds(window)),
        AntiReplay::Monotonic => "monotonic".to_owned(),
    };
    format!(
        "HMAC {}, active key {active}, keys {} = ********, anti-replay {replay}",
        signing.mode.word(),
        ids.join(" ")
    )
}

/// `keepalived.stats`, with the labels and layout that tools read.
pub(super) fn statistics(config: &Config, published: &Published, zero: &Zero) -> Text {
    let mut text = Text::default();
    for (id, entry) in &config.instances {
        let snapshot = published.instances.get(id);
        let counted = snapshot.map_or_else(Counters::default, |snapshot| snapshot.counters);
        let c = zero.get(id).map_or(counted, |zero| counted.since(zero));
        text.raw(format_args!("VRRP Instance: {}", entry.instance.name));
        block(
            &mut text,
            "Advertisements",
            &[("Received", c.advert_received), ("Sent", c.advert_sent)],
        );
        text.raw(format_args!("  Became master: {}", c.become_master));
        text.raw(format_args!("  Released master: {}", c.release_master));
        block(
            &mut text,
            "Packet Errors",
            &[
                ("Length", c.packet_length_errors),
                ("TTL", c.ttl_errors),
                ("Invalid Type", c.invalid_type_received),
                ("Advertisement Interval", c.advert_interval_errors),
                ("Address List", c.address_list_errors),
            ],
        );
        block(
            &mut text,
            "Authentication Errors",
            &[
                ("Invalid Type", c.invalid_auth_type),
                ("Type Mismatch", c.auth_type_mismatch),
                ("Failure", c.auth_failures),
            ],
        );
        block(
            &mut text,
            "Authentication Extension Errors",
            &[
                ("Missing", c.signature_missing),
                ("Malformed", c.signature_malformed),
                ("Unknown Key", c.signature_unknown_key),
                ("Invalid HMAC", c.signature_invalid),
                ("Stale", c.signature_stale),
                ("Replay", c.signature_replayed),
            ],
        );
        block(
            &mut text,
            "Priority Zero",
            &[
                ("Received", c.priority_zero_received),
                ("Sent", c.priority_zero_sent),
            ],
        );
    }
    text
}

fn block(text: &mut Text, title: &str, rows: &[(&str, u64)]) {
    text.raw(format_args!("  {title}:"));
    for (label, number) in rows {
        text.raw(format_args!("    {label}: {number}"));
    }
}
