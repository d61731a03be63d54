//! Reading the configuration: at start, for a test, and for a reload.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kr_config::diagnostic::{Diagnostic, Severity};
use kr_config::ids::{IdAllocator, Known, adopt};
use kr_config::parse::ParseOptions;
use kr_config::render::{Style, one_line, render};
use kr_config::source::Sources;
use kr_config::typed::Config;
use kr_host::disk::Disk;
use kr_model::global::{IpvsNamespace, ReloadCheck};
use nix::libc;

use crate::cli::Options;
use crate::marker::Marker;
use crate::pidfile::Paths;
use crate::scripts::Prepared;

/// Where the configuration is, unless `-f` says it: the first that exists.
const FILES: [&str; 2] = ["/etc/keepalived/keepalived.conf", "/etc/keepalived.conf"];

/// A configuration that can run, and what was made from it.
pub(crate) struct Settings {
    /// With ids that stay.
    pub(crate) config: Config,
    /// Its scripts.
    pub(crate) scripts: Prepared,
}

/// Everything that reading gave.
pub(crate) struct Read {
    settings: Option<Settings>,
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Read {
    /// Every finding with its source line, for a terminal.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{}\n",
                render(diagnostic, &self.sources, Style::Plain)
            );
        }
        text
    }

    /// The first error, in one line.
    pub(crate) fn first_error(&self) -> Option<String> {
        let is_error = |found: &&Diagnostic| found.severity == Severity::Error;
        let found = self.diagnostics.iter().find(is_error)?;
        Some(one_line(found, &self.sources))
    }

    /// `net_namespace_ipvs`.
    pub(crate) fn ipvs_namespace(&self) -> Option<&IpvsNamespace> {
        let settings = self.settings.as_ref()?;
        Some(&settings.config.global.ipvs_namespace)
    }

    /// `use_pid_dir`.
    pub(crate) fn uses_pid_directory(&self) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.config.global.use_pid_dir)
    }

    /// Exit code of a config test.
    pub(crate) fn exit_code(&self) -> u8 {
        kr_config::exit_code(&self.diagnostics)
    }

    /// `instance`, for names of logs and files.
    pub(crate) fn instance_name(&self) -> Option<String> {
        self.settings.as_ref()?.config.global.instance_name.clone()
    }

    /// `net_namespace`.
    pub(crate) fn namespace(&self) -> Option<String> {
        self.settings.as_ref()?.config.global.namespace.clone()
    }

    /// `reload_file`.
    pub(crate) fn reload_marker(&self, options: &Options) -> Option<PathBuf> {
        let global = &self.settings.as_ref()?.config.global;
        let paths = Paths::of(options, global);
        paths.reload_marker(&global.reload).map(Path::to_owned)
    }

    /// The configuration, when it can run.
    pub(crate) fn into_settings(self) -> Option<Settings> {
        self.settings
    }

    /// Logs every finding in one line.
    pub(crate) fn log(&self) {
        for diagnostic in &self.diagnostics {
            let line = one_line(diagnostic, &self.sources);
            match diagnostic.severity {
                Severity::Note => log::info!("{line}"),
                Severity::Warning => log::warn!("{line}"),
                Severity::Error => log::error!("{line}"),
            }
        }
    }
}

/// Reads the configuration that the options name. Objects that `previous` has keep their ids.
pub(crate) fn read(
    options: &Options,
    previous: Option<&Known>,
    allocator: &mut IdAllocator,
) -> Read {
    let loaded = kr_config::load(&Disk, &file(options), &parse_options(options));
    let mut diagnostics = loaded.diagnostics;
    let settings = loaded.config.and_then(|config| {
        let mut config = adopt(previous, allocator, config);
        apply(options, &mut config);
        let (scripts, findings) = Prepared::new(&config, &loaded.script_places);
        let can_run = findings
            .iter()
            .all(|found| found.severity != Severity::Error);
        diagnostics.extend(findings);
        diagnostics.sort_by_key(|found| found.span);
        can_run.then_some(Settings { config, scripts })
    });
    Read {
        settings,
        sources: loaded.sources,
        diagnostics,
    }
}

/// Tests the configuration that the options name: its findings, without what only a daemon needs.
pub(crate) fn test(options: &Options) -> Read {
    let mut tested = kr_config::test(&Disk, &file(options), &parse_options(options));
    if let Some(config) = &tested.config {
        let (_, findings) = Prepared::new(config, &tested.script_places);
        tested.diagnostics.extend(findings);
        tested.diagnostics.sort_by_key(|found| found.span);
    }
    Read {
        settings: None,
        sources: tested.sources,
        diagnostics: tested.diagnostics,
    }
}

/// Reads the configuration for a reload: `None`, with the reasons in the log, when it has errors.
pub(crate) fn reload(
    options: &Options,
    running: &Config,
    allocator: &mut IdAllocator,
    paths: &Paths,
) -> Option<Settings> {
    let marker = paths.reload_marker(&running.global.reload);
    let marker = marker.map(|path| (path, Marker::set(path)));
    if let Some((path, Err(error))) = &marker {
        log::warn!("reload_file {} cannot be made: {error}", path.display());
    }
    let read = read(options, Some(&Known::of(running)), allocator);
    drop(marker);
    read.log();
    let is_clean = match &running.global.reload.check {
        ReloadCheck::Errors => true,
        ReloadCheck::Findings { log } => {
            if let Some(path) = log {
                write_report(path, &read.report());
            }
            read.exit_code() == 0
        }
    };
    let errors = read
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .count();
    match read.settings {
        // A file that is read while it is written is empty: that must not take every address away.
        Some(settings)
            if errors == 0 && !options.all_children && asks_for_nothing(&settings.config) =>
        {
            log::error!(
                "the reload is refused: {NOTHING_TO_RUN}; the old configuration stays in force"
            );
            None
        }
        Some(_) if errors == 0 && !is_clean => {
            log::error!(
                "the reload is refused because of the findings above (`reload_check_config`): the old \
                 configuration stays in force"
            );
            None
        }
        Some(settings) if errors == 0 => match fixed(running, &settings.config) {
            None => Some(settings),
            Some(keyword) => {
                log::error!(
                    "the reload is refused: `{keyword}` cannot change while the daemon runs; the old \
                     configuration stays in force"
                );
                None
            }
        },
        Some(_) | None => {
            log::error!(
                "the reload is refused because of {errors} error(s) above: the old configuration stays in force"
            );
            None
        }
    }
}

/// Writes what a test of the new configuration says (`reload_check_config`). Never through a symbolic link.
fn write_report(path: &Path, report: &str) {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(report.as_bytes())) {
        log::error!("reload_check_config: {}: {error}", path.display());
    }
}

/// The first keyword whose value differs and must not.
fn fixed(running: &Config, new: &Config) -> Option<&'static str> {
    if running.vrrp.firewall.leaves_igmp != new.vrrp.firewall.leaves_igmp {
        return Some("disable_local_igmp");
    }
    let (running, new) = (&running.global, &new.global);
    if running.instance_name != new.instance_name {
        Some("instance")
    } else if running.namespace != new.namespace {
        Some("net_namespace")
    } else if running.ipvs_namespace != new.ipvs_namespace {
        Some("net_namespace_ipvs")
    } else {
        None
    }
}

/// Why a configuration is refused that asks for no process.
pub(crate) const NOTHING_TO_RUN: &str =
    "the configuration holds no vrrp_instance, no virtual_server and no bfd_instance to run";

/// True when there is no instance, no service and no BFD session.
pub(crate) fn asks_for_nothing(config: &Config) -> bool {
    config.instances.is_empty() && config.virtual_servers.is_empty() && config.bfd.is_empty()
}

fn file(options: &Options) -> PathBuf {
    let [usual, older] = FILES.map(Path::new);
    match &options.file {
        Some(file) => file.clone(),
        None if !exists(usual) && exists(older) => older.to_owned(),
        None => usual.to_owned(),
    }
}

fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

fn parse_options(options: &Options) -> ParseOptions {
    ParseOptions {
        config_id: options.config_id.clone(),
        all_include_checks: options.all_config,
    }
}

/// What the command line says about the configuration.
fn apply(options: &Options, config: &mut Config) {
    config.vrrp.keep_addresses_at_exit |= options.keep_addresses;
    config.ipvs.keep_at_exit |= options.keep_ipvs;
    if !options.vrrp {
        config.instances.clear();
    }
    if !options.bfd {
        let sessions = std::mem::take(&mut config.bfd);
        for entry in config.instances.values_mut() {
            let lines = &mut entry.instance.trackers;
            lines.retain(|line| !sessions.contains_key(&line.tracker));
        }
    }
    if !options.checkers {
        config.virtual_servers.clear();
        config.real_servers.clear();
        config.checkers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{config, config_with};

    #[test]
    fn a_daemon_keeps_its_name_and_its_namespace() {
        let changed = |line: &str| {
            let new = config_with("global_defs {", &format!("{line}\nglobal_defs {{"));
            fixed(&config(), &new)
        };
        assert_eq!(changed(""), None);
        assert_eq!(changed("instance blue"), Some("instance"));
        let silent = config_with("global_defs {", "global_defs {\n disable_local_igmp");
        assert_eq!(fixed(&config(), &silent), Some("disable_local_igmp"));
        assert_eq!(changed("net_namespace blue"), Some("net_namespace"));
        assert_eq!(
            changed("net_namespace_ipvs blue"),
            Some("net_namespace_ipvs")
        );
    }

    #[test]
    fn options_leave_out_parts_of_the_configuration() {
        let mut config = config();
        let options = Options {
            checkers: false,
            bfd: false,
            keep_addresses: true,
            ..Options::default()
        };
        apply(&options, &mut config);
        assert_eq!(config.instances.len(), 1);
        assert!(config.virtual_servers.is_empty() && config.checkers.is_empty());
        assert!(config.bfd.is_empty());
        assert!(config.vrrp.keep_addresses_at_exit);
        assert!(!config.ipvs.keep_at_exit);
    }
}
