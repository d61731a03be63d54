//! Tracked scripts, files and processes in the dumps: sections of `keepalived.data`, fields of
//! `keepalived.json`.

use std::collections::BTreeMap;

use kr_config::typed::{Config, TrackerEntry};
use kr_model::TrackerId;
use kr_model::track::{
    ArgumentMatch, ProcessPattern, ProcessTracker, Tracked, TrackerKind, TrackerSource,
    TrackerState,
};
use kr_model::vrrp::Instance;
use kr_track::Delay;
use serde_json::{Value, json};

use crate::dump::Data;
use crate::dump::text::{Seconds, Text};
use crate::dump::vrrp::command;
use crate::tracking::Shown;

/// `Tracked scripts` and the like of an instance.
pub(super) fn lines(text: &mut Text, config: &Config, instance: &Instance) {
    for (label, kind) in [
        ("Tracked scripts", TrackerKind::Script),
        ("Tracked files", TrackerKind::File),
        ("Tracked processes", TrackerKind::Process),
    ] {
        let all: Vec<_> = tracked(config, instance, kind).collect();
        if all.is_empty() {
            continue;
        }
        text.value(label, all.len());
        text.under(|text| {
            for (line, entry) in all {
                let reverse = if line.reverse { " reverse" } else { "" };
                text.line(format_args!(
                    "{}, weight {}{reverse}",
                    entry.name, line.weight
                ));
            }
        });
    }
}

/// A section for each kind.
pub(super) fn sections(text: &mut Text, data: &Data<'_>) {
    for (title, kind) in [
        ("VRRP Scripts", TrackerKind::Script),
        ("VRRP Track files", TrackerKind::File),
        ("VRRP Track processes", TrackerKind::Process),
    ] {
        let all = data.config.trackers.iter();
        let mut of_kind = all
            .filter(|(_, entry)| entry.source.kind() == kind)
            .peekable();
        if of_kind.peek().is_some() {
            text.title(title);
        }
        for (id, entry) in of_kind {
            section(text, data, *id, entry);
        }
    }
}

fn section(text: &mut Text, data: &Data<'_>, id: TrackerId, entry: &TrackerEntry) {
    let shown = shown(data.tracked, id);
    match &entry.source {
        TrackerSource::Script(script) => {
            text.value("VRRP Script", &entry.name);
            text.under(|text| {
                text.optional("Command", command(data.config, Some(script.script)));
                text.value("Interval", Seconds(script.interval));
                text.value("Timeout", Seconds(script.timeout));
                text.value("Rise", script.rise);
                text.value("Fall", script.fall);
                text.value("Status", word(shown.state));
            });
        }
        TrackerSource::File(file) => {
            text.value("Track file", &entry.name);
            text.under(|text| {
                text.value("File", file.path.display());
                if let TrackerState::Value(value) = shown.state {
                    text.value("Status", value);
                }
            });
        }
        TrackerSource::Process(process) => {
            text.value("VRRP Track process", &entry.name);
            text.under(|text| {
                text.value("Process", words(process).join(" "));
                text.value("Min processes", process.quorum);
                text.optional("Max processes", process.quorum_max);
                text.value("Current processes", shown.processes);
                text.flag("Have quorum", shown.state == TrackerState::Up);
                text.value("Terminate delay", Seconds(process.terminate_delay));
                text.value("Fork delay", Seconds(process.fork_delay));
            });
        }
    }
}

/// `track_ifp`, `track_script` (commands) and `track_process` of an instance.
pub(super) fn fields(config: &Config, instance: &Instance) -> [(String, Value); 3] {
    let interfaces = instance.tracked_interfaces.iter();
    let scripts = tracked(config, instance, TrackerKind::Script);
    let scripts = scripts.filter_map(|(_, entry)| match &entry.source {
        TrackerSource::Script(script) => command(config, Some(script.script)),
        TrackerSource::File(_) | TrackerSource::Process(_) => None,
    });
    let processes = tracked(config, instance, TrackerKind::Process);
    [
        (
            "track_ifp",
            interfaces
                .map(|one| one.interface.as_str())
                .collect::<Value>(),
        ),
        ("track_script", scripts.collect()),
        (
            "track_process",
            processes.map(|(_, entry)| entry.name.as_str()).collect(),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// `track_process` of version 2.
pub(super) fn processes(data: &Data<'_>) -> Value {
    let all = data.config.trackers.iter();
    let processes = all.filter_map(|(id, entry)| match &entry.source {
        TrackerSource::Process(process) => Some(json_of(entry, process, shown(data.tracked, *id))),
        TrackerSource::Script(_) | TrackerSource::File(_) => None,
    });
    processes.collect()
}

fn json_of(entry: &TrackerEntry, process: &ProcessTracker, shown: Shown) -> Value {
    let sign = if entry.reverse { -1 } else { 1 };
    let words = words(process);
    let (program, parameters) = words.split_first().unwrap_or((&"", &[]));
    let (full_command, param_match) = match &process.pattern {
        ProcessPattern::Name(_) => (false, "none"),
        ProcessPattern::Command { arguments, .. } => (
            true,
            match arguments {
                ArgumentMatch::Any => "none",
                ArgumentMatch::Exact(_) => "exact",
                ArgumentMatch::Partial(_) => "partial",
                ArgumentMatch::Initial(_) => "initial",
            },
        ),
    };
    let mut value = json!({
        "process": program,
        "parameters": parameters.join(" "),
        "param_match": param_match,
        "min_processes": process.quorum,
        "current_processes": shown.processes,
        "have_quorum": shown.state == TrackerState::Up,
        "weight": sign * i32::from(entry.weight),
        "terminate_delay_timer_running": shown.delay == Some(Delay::Terminate),
        "fork_delay_timer_running": shown.delay == Some(Delay::Fork),
        "terminate_delay": process.terminate_delay.as_secs_f64(),
        "fork_delay": process.fork_delay.as_secs_f64(),
        "full_command": full_command,
    });
    if let (Value::Object(fields), Some(most)) = (&mut value, process.quorum_max) {
        fields.insert("max_processes".to_owned(), most.into());
    }
    value
}

/// The lines of one kind, with what they track.
fn tracked<'a>(
    config: &'a Config,
    instance: &'a Instance,
    kind: TrackerKind,
) -> impl Iterator<Item = (&'a Tracked, &'a TrackerEntry)> {
    let lines = instance.trackers.iter();
    let named = lines.filter_map(|line| Some((line, config.trackers.get(&line.tracker)?)));
    named.filter(move |(_, entry)| entry.source.kind() == kind)
}

/// Program and arguments of a pattern.
fn words(process: &ProcessTracker) -> Vec<&str> {
    let (program, arguments) = match &process.pattern {
        ProcessPattern::Name(name) => (name, None),
        ProcessPattern::Command { program, arguments } => (
            program,
            match arguments {
                ArgumentMatch::Any => None,
                ArgumentMatch::Exact(list)
                | ArgumentMatch::Partial(list)
                | ArgumentMatch::Initial(list) => Some(list),
            },
        ),
    };
    let arguments = arguments.into_iter().flatten().map(String::as_str);
    std::iter::once(program.as_str()).chain(arguments).collect()
}

fn shown(all: &BTreeMap<TrackerId, Shown>, id: TrackerId) -> Shown {
    all.get(&id).copied().unwrap_or_default()
}

const fn word(state: TrackerState) -> &'static str {
    match state {
        TrackerState::Pending => "INIT",
        TrackerState::Up => "GOOD",
        TrackerState::Down => "BAD",
        TrackerState::Value(_) => "VALUE",
    }
}
