//! What an operator asks for with `SIGUSR1` and `SIGUSR2`: the state as text files in `$TMPDIR` or
//! `/tmp`, under keepalived's names.
//!
//! A file is written under a new name and renamed, so a reader never sees half of one, and a link that
//! somebody put in its place is replaced, not followed.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kr_config::typed::Config;
use kr_model::vrrp::{Counters, Role as InstanceRole};
use kr_model::{Generation, Instant};
use kr_sys::privilege::Role;
use nix::unistd::Pid;

use crate::published::Published;

/// Everything that is shown.
pub(crate) struct Data<'a> {
    /// The configuration in force.
    pub(crate) config: &'a Config,
    /// Its number.
    pub(crate) generation: Generation,
    /// What the children published.
    pub(crate) published: &'a Published,
    /// The children with their process ids.
    pub(crate) children: &'a [(Role, Option<Pid>)],
    /// Now, for ages.
    pub(crate) now: Instant,
}

/// `SIGUSR1`.
pub(crate) fn write_data(data: &Data<'_>) {
    write_or_log("keepalived_parent.data", &parent_text(data));
    write_or_log("keepalived.data", &vrrp_text(data));
    write_or_log("keepalived_check.data", &check_text(data));
}

/// `SIGUSR2`.
pub(crate) fn write_statistics(config: &Config, published: &Published) {
    write_or_log("keepalived.stats", &statistics_text(config, published));
}

fn write_or_log(name: &str, text: &Text) {
    let directory = env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    match write(&directory, name, &text.0) {
        Ok(path) => log::info!("wrote {}", path.display()),
        Err(error) => log::error!(
            "{name} cannot be written in {}: {error}",
            directory.display()
        ),
    }
}

fn write(directory: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let new = directory.join(format!(".{name}.{}", std::process::id()));
    // What a predecessor with our number left; a link is removed, not its target.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    let path = directory.join(name);
    fs::rename(&new, &path)?;
    Ok(path)
}

/// Lines under titles.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn title(&mut self, title: &str) {
        self.line(format_args!("------< {title} >------"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// A value in the form of its type, indented.
    fn value(&mut self, value: &impl fmt::Debug) {
        for line in format!("{value:#?}").lines() {
            self.line(format_args!("   {line}"));
        }
    }
}

fn parent_text(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    text.title("Global definitions");
    text.line(format_args!(" Version = {}", env!("CARGO_PKG_VERSION")));
    text.line(format_args!(" Configuration = {}", data.generation));
    text.value(&data.config.global);
    text.title("Processes");
    for (role, pid) in data.children {
        let pid = pid.map_or_else(|| "not running".to_owned(), |pid| pid.to_string());
        text.line(format_args!(" {} = {pid}", role.program()));
    }
    text.title("Scripts");
    for script in data.config.scripts.values() {
        text.value(script);
    }
    text
}

fn vrrp_text(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    text.title("Global definitions");
    text.value(&data.config.vrrp);
    text.title("VRRP Topology");
    for (id, entry) in &data.config.instances {
        text.line(format_args!(" VRRP Instance = {}", entry.instance.name));
        if let Some(snapshot) = data.published.instances.get(id) {
            text.line(format_args!("   State = {}", snapshot.role.state().word()));
            let age = data.now.since(snapshot.since).as_secs();
            text.line(format_args!("   In this state for = {age} s"));
            text.line(format_args!("   Because = {:?}", snapshot.cause));
            text.line(format_args!(
                "   Effective priority = {}",
                snapshot.priority
            ));
            if let InstanceRole::Backup {
                master: Some((address, priority)),
                ..
            } = snapshot.role
            {
                text.line(format_args!("   Master = {address}, priority {priority}"));
            }
        }
        text.value(&entry.instance);
        text.value(&entry.notify);
    }
    text
}

fn check_text(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    let (config, published) = (data.config, data.published);
    text.title("Global definitions");
    text.value(&config.checker);
    text.value(&config.ipvs);
    if let Some(usable) = published.ipvs_usable {
        text.line(format_args!(" IPVS usable = {usable}"));
    }
    text.title("LVS Topology");
    for (id, entry) in &config.virtual_servers {
        text.line(format_args!(
            " Virtual server = {}",
            entry.virtual_server.label
        ));
        if let Some(pool) = published.pools.get(id) {
            text.line(format_args!("   Quorum = {:?}", pool.quorum));
            text.line(format_args!("   Weight = {}", pool.weight));
        }
        text.value(&entry.virtual_server);
        for (server, entry) in &config.real_servers {
            if entry.real_server.virtual_server == *id {
                text.line(format_args!("   Real server = {}", entry.real_server.label));
                if let Some(up) = published.servers_up.get(server) {
                    text.line(format_args!("   Alive = {up}"));
                }
                text.value(&entry.real_server);
            }
        }
    }
    text.title("Health checkers");
    for (id, entry) in &config.checkers {
        text.line(format_args!(" {}", entry.checker.label()));
        if let Some(snapshot) = published.checkers.get(id) {
            text.value(snapshot);
        }
        text.value(&entry.checker);
    }
    text
}

fn statistics_text(config: &Config, published: &Published) -> Text {
    let mut text = Text::default();
    for (id, entry) in &config.instances {
        let counters = published
            .instances
            .get(id)
            .map_or_else(Counters::default, |snapshot| snapshot.counters);
        let c = &counters;
        text.line(format_args!("VRRP Instance: {}", entry.instance.name));
        text.line(format_args!("  Advertisements:"));
        text.line(format_args!("    Received: {}", c.advert_received));
        text.line(format_args!("    Sent: {}", c.advert_sent));
        text.line(format_args!("  Became master: {}", c.become_master));
        text.line(format_args!("  Released master: {}", c.release_master));
        text.line(format_args!("  Packet Errors:"));
        text.line(format_args!("    Length: {}", c.packet_length_errors));
        text.line(format_args!("    TTL: {}", c.ttl_errors));
        text.line(format_args!(
            "    Invalid Type: {}",
            c.invalid_type_received
        ));
        text.line(format_args!(
            "    Advertisement Interval: {}",
            c.advert_interval_errors
        ));
        text.line(format_args!("    Address List: {}", c.address_list_errors));
        text.line(format_args!("  Authentication Errors:"));
        text.line(format_args!("    Invalid Type: {}", c.invalid_auth_type));
        text.line(format_args!("    Type Mismatch: {}", c.auth_type_mismatch));
        text.line(format_args!("    Failure: {}", c.auth_failures));
        text.line(format_args!("  Priority Zero:"));
        text.line(format_args!("    Received: {}", c.priority_zero_received));
        text.line(format_args!("    Sent: {}", c.priority_zero_sent));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_dump_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        let path = directory.path().join("keepalived.data");
        symlink(&precious, &path).unwrap();
        write(directory.path(), "keepalived.data", "new").unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_dump_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "x", "long text").unwrap();
        write(directory.path(), "x", "short").unwrap();
        assert_eq!(
            fs::read_to_string(directory.path().join("x")).unwrap(),
            "short"
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
