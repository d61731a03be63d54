//! What an operator asks for with signals: the state as files under keepalived's names, `label = value` a
//! line, and as JSON. Passwords are never shown.

mod bfd;
mod json;
mod place;
mod services;
#[cfg(test)]
mod tests;
mod text;
mod vrrp;

use std::collections::BTreeMap;

use kr_config::typed::Config;
use kr_model::vrrp::{Counters, Snapshot};
use kr_model::{Generation, InstanceId, Instant};
use kr_sys::privilege::Role;
use nix::unistd::Pid;

use crate::dump::place::Place;
use crate::dump::text::{Past, Seconds, Text};
use crate::published::Published;

pub(crate) use text::Moment;

/// Everything that is shown.
pub(crate) struct Data<'a> {
    /// The configuration in force.
    pub(crate) config: &'a Config,
    /// Its number.
    pub(crate) generation: Generation,
    /// What the children published.
    pub(crate) published: &'a Published,
    /// The children; with process id and start when they run.
    pub(crate) children: &'a [(Role, Option<(Pid, Instant)>)],
    /// Now.
    pub(crate) moment: Moment,
}

/// `SIGUSR1`.
pub(crate) fn write_data(data: &Data<'_>) {
    let mut files = vec![
        ("keepalived_parent.data", parent(data).into_string()),
        ("keepalived.data", vrrp::topology(data).into_string()),
        (
            "keepalived_check.data",
            services::topology(data).into_string(),
        ),
    ];
    if !data.config.bfd.is_empty() {
        files.push(("keepalived_bfd.data", bfd::topology(data).into_string()));
    }
    write(files);
}

/// `SIGRTMIN + 2`. Nothing without instances.
pub(crate) fn write_json(data: &Data<'_>) {
    if !data.config.instances.is_empty() {
        write(vec![("keepalived.json", json::text(data))]);
    }
}

/// `SIGUSR2`: what was counted since `zero`.
pub(crate) fn write_statistics(config: &Config, published: &Published, zero: &Zero) {
    let text = vrrp::statistics(config, published, zero);
    write(vec![("keepalived.stats", text.into_string())]);
}

/// Counters at the last `SIGRTMAX - 1`, from which the statistics count.
pub(crate) type Zero = BTreeMap<InstanceId, Counters>;

/// The counters as they are now.
pub(crate) fn zero(published: &Published) -> Zero {
    let counters = |(id, snapshot): (&InstanceId, &Snapshot)| (*id, snapshot.counters);
    published.instances.iter().map(counters).collect()
}

fn write(files: Vec<(&str, String)>) {
    let place = match Place::open() {
        Ok(place) => place,
        Err(error) => {
            log::error!("nothing is dumped: {error}");
            return;
        }
    };
    for (name, text) in files {
        match place.write(name, &text) {
            Ok(path) => log::info!("wrote {}", path.display()),
            Err(error) => log::error!("{name} cannot be written: {error}"),
        }
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
    for (role, running) in data.children {
        match running {
            Some((pid, since)) => {
                text.value(role.program(), pid);
                text.under(|text| text.value("Started", Past(*since, data.moment)));
            }
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
