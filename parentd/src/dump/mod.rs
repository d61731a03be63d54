//! What an operator asks for with `SIGUSR1` and `SIGUSR2`: the state as text files under keepalived's
//! names, `label = value` a line. Passwords are never shown.

mod place;
mod services;
#[cfg(test)]
mod tests;
mod text;
mod vrrp;

use kr_config::typed::Config;
use kr_model::{Generation, Instant};
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
    write(vec![
        ("keepalived_parent.data", parent(data)),
        ("keepalived.data", vrrp::topology(data)),
        ("keepalived_check.data", services::topology(data)),
    ]);
}

/// `SIGUSR2`.
pub(crate) fn write_statistics(config: &Config, published: &Published) {
    let text = vrrp::statistics(config, published);
    write(vec![("keepalived.stats", text)]);
}

fn write(files: Vec<(&str, Text)>) {
    let place = match Place::open() {
        Ok(place) => place,
        Err(error) => {
            log::error!("nothing is dumped: {error}");
            return;
        }
    };
    for (name, text) in files {
        match place.write(name, &text.into_string()) {
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
