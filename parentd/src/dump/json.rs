//! `keepalived.json`: version 1 of keepalived's JSON, an array with data and statistics of each instance,
//! under the names that its readers know. What is not built has the value that keepalived gives to what is
//! not configured. Version 2 has `processes` besides, which is ours.

use std::time::Duration;

use kr_config::typed::{Config, InstanceEntry};
use kr_model::ScriptId;
use kr_model::global::JsonVersion;
use kr_model::vrrp::{
    Authentication, Counters, Instance, Preemption, Role, Snapshot, State, Version, WantedState,
};
use serde_json::{Value, json};

use crate::dump::Data;
use crate::dump::text::Moment;
use crate::dump::vrrp::{address_line, command};
use crate::dump::{lateness, track};

/// The whole text.
pub(super) fn text(data: &Data<'_>) -> String {
    let instances: Vec<Value> = data
        .config
        .instances
        .iter()
        .map(|(id, entry)| {
            let snapshot = data.published.instances.get(id).map(Box::as_ref);
            let mut fields = instance_data(data.config, entry, snapshot, data.moment);
            // keepalived calls an instance's own link its interface.
            if let Some(link) = data.published.links.get(id) {
                for name in ["vmac_ifname", "ifp_ifname"] {
                    if let Some(field) = fields.get_mut(name) {
                        *field = Value::from(link.as_str());
                    }
                }
            }
            json!({
                "data": fields,
                "stats": statistics(snapshot.map_or_else(Counters::default, |s| s.counters)),
            })
        })
        .collect();
    match data.config.global.dumps.json {
        JsonVersion::One => Value::from(instances),
        JsonVersion::Two => json!({
            "vrrp": instances,
            "track_process": track::processes(data),
            "processes": lateness::processes(data),
        }),
    }
    .to_string()
}

fn instance_data(
    config: &Config,
    entry: &InstanceEntry,
    snapshot: Option<&Snapshot>,
    moment: Moment,
) -> Value {
    let is_master = snapshot.is_some_and(|snapshot| snapshot.role.state() == State::Master);
    let mut data = settings(&entry.instance, is_master);
    if let Value::Object(fields) = &mut data {
        fields.extend(state(&entry.instance, snapshot, moment));
        fields.extend(track::fields(config, &entry.instance));
        fields.insert("smtp_alert".to_owned(), Value::from(entry.mail));
        fields.insert("strict_mode".to_owned(), bit(entry.strict));
        fields.insert("vroutes".to_owned(), lines(&entry.routes));
        fields.insert("vrules".to_owned(), lines(&entry.rules));
        let notify = &entry.notify;
        let deletion = notify.deleted;
        fields.insert("notify_deleted".to_owned(), deletion.is_some().into());
        for (name, script) in [
            ("script_backup", notify.backup),
            ("script_master", notify.master),
            ("script_fault", notify.fault),
            ("script_stop", notify.stop),
            (
                "script_deleted",
                deletion.and_then(|deletion| deletion.script),
            ),
            ("script_master_rx_lower_pri", notify.lower_priority),
            ("script", notify.any),
        ] {
            fields.extend(script_field(config, name, script));
        }
    }
    data
}

/// A switch that keepalived writes as a number.
fn bit(on: bool) -> Value {
    u8::from(on).into()
}

/// Each in the words of `ip`.
fn lines<T: ToString>(objects: &[T]) -> Value {
    objects.iter().map(T::to_string).collect()
}

fn script_field(config: &Config, name: &str, script: Option<ScriptId>) -> Option<(String, Value)> {
    command(config, script).map(|command| (name.to_owned(), Value::from(command)))
}

fn settings(instance: &Instance, is_master: bool) -> Value {
    let set = if is_master { " set" } else { "" };
    let lines = |addresses: &[kr_model::vrrp::VirtualAddress]| -> Vec<String> {
        let line = |address| address_line(instance, address) + set;
        addresses.iter().map(line).collect()
    };
    let announce = &instance.announce;
    let (auth_type, auth_data) = match &instance.authentication {
        Authentication::None | Authentication::Signed(_) => (0, None),
        Authentication::Password(_) => (1, Some("********")),
        Authentication::Header(_) => (2, Some("********")),
    };
    let preempt_delay = match instance.preemption {
        Preemption::Delayed(delay) => delay,
        Preemption::Immediate | Preemption::Never => Duration::ZERO,
    };
    let mut data = json!({
        "iname": instance.name,
        "dont_track_primary": bit(!instance.track_primary),
        "skip_check_adv_addr": bit(instance.check_addresses_once),
        "vmac_ifname": "",
        "ifp_ifname": instance.interface.as_str(),
        "garp_delay": announce.delay.as_secs(),
        "garp_refresh": announce.refresh.as_secs(),
        "garp_rep": announce.repeat,
        "garp_refresh_rep": announce.refresh_repeat,
        "garp_lower_prio_delay": announce.lower_priority_delay.as_secs(),
        "garp_lower_prio_rep": announce.lower_priority_repeat,
        "lower_prio_no_advert": bit(!instance.answer_lower_priority),
        "higher_prio_send_advert": bit(instance.advert_before_yielding),
        "vrid": instance.vrid.get(),
        "base_priority": instance.priority.get(),
        "promote_secondaries": instance.promote_secondaries,
        "adver_int": instance.advert_interval.as_duration().as_secs_f64(),
        "nopreempt": instance.preemption == Preemption::Never,
        "preempt_delay": preempt_delay.as_secs(),
        "wantstate": match instance.wanted {
            WantedState::Master => number(State::Master),
            WantedState::Backup => number(State::Backup),
        },
        "version": match instance.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        "vips": lines(&instance.addresses),
        "evips": lines(&instance.excluded),
        "auth_type": auth_type,
    });
    if let (Value::Object(fields), Some(masked)) = (&mut data, auth_data) {
        fields.insert("auth_data".to_owned(), Value::from(masked));
    }
    data
}

/// What changes while the daemon runs.
fn state(instance: &Instance, snapshot: Option<&Snapshot>, moment: Moment) -> Vec<(String, Value)> {
    let role = snapshot.map_or(Role::Init, |snapshot| snapshot.role);
    let priority = snapshot.map_or(instance.priority, |snapshot| snapshot.priority);
    let (master_priority, master_interval) = match role {
        Role::Backup {
            master, interval, ..
        } => (master.map_or(0, |(_, priority)| priority), interval),
        Role::Master { .. } => (priority.get(), instance.advert_interval),
        Role::Init | Role::Fault => (0, instance.advert_interval),
    };
    let last_transition = snapshot.map_or(0.0, |snapshot| {
        let now = u64::try_from(moment.unix_seconds).unwrap_or(0);
        let age = moment.now.since(snapshot.since);
        Duration::from_secs(now).saturating_sub(age).as_secs_f64()
    });
    let fields = [
        ("state", Value::from(number(role.state()))),
        ("effective_priority", Value::from(priority.get())),
        ("master_priority", Value::from(master_priority)),
        (
            "master_adver_int",
            json!(master_interval.as_duration().as_secs_f64()),
        ),
        ("last_transition", Value::from(last_transition)),
        ("vipset", Value::from(role.state() == State::Master)),
        ("accept", bit(!instance.drops_traffic())),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// keepalived's numbers of the states.
const fn number(state: State) -> u8 {
    match state {
        State::Init => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
        State::Stop => 98,
    }
}

fn statistics(c: Counters) -> Value {
    json!({
        "advert_rcvd": c.advert_received,
        "advert_sent": c.advert_sent,
        "become_master": c.become_master,
        "release_master": c.release_master,
        "packet_len_err": c.packet_length_errors,
        "advert_interval_err": c.advert_interval_errors,
        "ip_ttl_err": c.ttl_errors,
        "invalid_type_rcvd": c.invalid_type_received,
        "addr_list_err": c.address_list_errors,
        "invalid_authtype": c.invalid_auth_type,
        "authtype_mismatch": c.auth_type_mismatch,
        "auth_failure": c.auth_failures,
        "auth_ext_missing": c.signature_missing,
        "auth_ext_malformed": c.signature_malformed,
        "auth_ext_unknown_key": c.signature_unknown_key,
        "auth_ext_invalid_hmac": c.signature_invalid,
        "auth_ext_stale": c.signature_stale,
        "auth_ext_replay": c.signature_replayed,
        "pri_zero_rcvd": c.priority_zero_received,
        "pri_zero_sent": c.priority_zero_sent,
    })
}
