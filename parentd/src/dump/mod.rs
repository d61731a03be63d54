//! What an operator asks for with signals: the state as files under keepalived's names, `label = value` a
//! line, and as JSON. Passwords are never shown.

mod bfd;
mod json;
mod lateness;
mod name;
mod place;
mod services;
#[cfg(test)]
mod tests;
mod text;
mod track;
mod vrrp;

use std::collections::BTreeMap;

use kr_config::typed::Config;
use kr_model::lateness::LoopTimes;
use kr_model::vrrp::Counters;
use kr_model::{Generation, InstanceId, Instant, TrackerId};
use kr_sys::privilege::Role;
use nix::unistd::Pid;

use crate::dump::name::Name;
use crate::dump::text::{Past, Seconds, Text};
use crate::published::Published;
use crate::tracking::Shown;

pub(crate) use place::Place;
pub(crate) use text::Moment;

/// Everything that is shown.
pub(crate) struct Data<'a> {
    /// The configuration in force.
    pub(crate) config: &'a Config,
    /// `_NAMESPACE_INSTANCE`.
    pub(crate) label: &'a str,
    /// Its number.
    pub(crate) generation: Generation,
    /// What is known of tracked objects.
    pub(crate) tracked: &'a BTreeMap<TrackerId, Shown>,
    /// What the children published.
    pub(crate) published: &'a Published,
    /// This process.
    pub(crate) parent: Process<'a>,
    /// The children; `None` of one that does not run.
    pub(crate) children: &'a [(Role, Option<Process<'a>>)],
    /// Now.
    pub(crate) moment: Moment,
}

/// A process that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process<'a> {
    /// Its id.
    pub(crate) pid: Pid,
    /// It was started then.
    pub(crate) since: Instant,
    /// How late it is, when that is known.
    pub(crate) times: Option<&'a LoopTimes>,
}

/// `SIGUSR1`.
pub(crate) fn write_data(data: &Data<'_>) {
    let path = data.config.global.dumps.state.as_deref();
    let name = |suffix| Name::new(path, suffix, "data", data.label());
    let mut files = vec![
        (name("_parent"), parent(data).into_string()),
        (name(""), vrrp::topology(data).into_string()),
        (name("_check"), services::topology(data).into_string()),
    ];
    if !data.config.bfd.is_empty() {
        files.push((name("_bfd"), bfd::topology(data).into_string()));
    }
    write(files);
}

/// `SIGRTMIN + 2`. Nothing without instances.
pub(crate) fn write_json(data: &Data<'_>) {
    if !data.config.instances.is_empty() {
        let path = data.config.global.dumps.json_file.as_deref();
        let name = Name::new(path, "", "json", data.label());
        write(vec![(name, json::text(data))]);
    }
}

/// `SIGUSR2`: what was counted since `zero`.
pub(crate) fn write_statistics(data: &Data<'_>, zero: &Zero) {
    let text = vrrp::statistics(data.config, data.published, zero);
    let path = data.config.global.dumps.statistics.as_deref();
    let name = Name::new(path, "", "stats", data.label());
    write(vec![(name, text.into_string())]);
}

/// Counters at the last `SIGRTMAX - 1`, from which the statistics count.
pub(crate) type Zero = BTreeMap<InstanceId, Counters>;

/// The counters as they are now.
pub(crate) fn zero(published: &Published) -> Zero {
    let all = published.instances.iter();
    all.map(|(id, snapshot)| (*id, snapshot.counters)).collect()
}

fn write(files: Vec<(Name, String)>) {
    for (name, text) in files {
        let written =
            Place::open(name.directory.as_deref()).and_then(|place| place.write(&name.file, &text));
        match written {
            Ok(path) => log::info!("wrote {}", path.display()),
            Err(error) => log::error!("{} cannot be written: {error}", name.file),
        }
    }
}

impl Data<'_> {
    /// What `data_use_instance` puts into names.
    fn label(&self) -> Option<&str> {
        let wanted = self.config.global.dumps.with_instance;
        self.label.strip_prefix('_').filter(|_| wanted)
    }
}

fn parent(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    let global = &data.config.global;
    text.title("Global definitions");
    text.value("Version", env!("CARGO_PKG_VERSION"));
    text.value("Configuration number", data.generation);
    text.value("Router ID", &global.router_id);
    text.optional("Instance name", global.instance_name.as_ref());
    text.value("Child wait time", Seconds(global.child_wait_time));
    text.flag("Script security", global.script_security);
    let user = global.script_user.as_ref().map(|user| &user.user);
    text.optional("Default script user", user);
    text.title("Processes");
    process(&mut text, "parent", data.parent, data.moment);
    for (role, running) in data.children {
        match running {
            Some(running) => process(&mut text, role.program(), *running, data.moment),
            None => text.value(role.program(), "not running"),
        }
    }
    text.title("Scripts");
    for (id, script) in &data.config.scripts {
        text.optional("Script", vrrp::command(data.config, Some(*id)));
        let user = script.user.as_ref().map(|user| &user.user);
        text.under(|text| text.optional("User", user));
    }
    text
}

fn process(text: &mut Text, name: &str, process: Process<'_>, moment: Moment) {
    text.value(name, process.pid);
    text.under(|text| {
        text.value("Started", Past(process.since, moment));
        if let Some(times) = process.times {
            lateness::lines(text, times);
        }
    });
}
