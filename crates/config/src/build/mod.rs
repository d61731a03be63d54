//! From the tree of statements to the typed configuration.
//!
//! `walk` checks every statement against the registry; each block has a builder that takes the values
//! of its keywords; what depends on other blocks is worked out at the end of the block's builder.
//! `global_defs` and the other settings of the root are read first, so blocks may stand in any order.

mod address;
mod authentication;
mod bfd;
mod check_draft;
mod checker;
mod datagram_check;
mod delays;
mod fifo;
mod file_check;
mod finding;
mod forwarding;
mod garp_group;
mod global;
mod group;
mod instance;
mod instance_finish;
mod line_value;
mod names;
mod own_link;
mod pattern;
mod process;
mod real_server;
mod reload;
mod route_line;
mod route_metric;
mod rule_line;
mod script;
mod script_settings;
mod server_finish;
mod service_finish;
mod signing;
mod statics;
mod strict;
mod sync_daemon;
mod sync_group;
mod timeouts;
mod tls;
mod track;
mod track_group;
mod tracker;
mod value;
mod virtual_server;
mod walk;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kr_model::InstanceId;
use kr_model::check::PatternOptions;
use kr_model::lvs::ServiceKey;
use kr_model::units::IfName;

use crate::diagnostic::{Class, Diagnostic, Severity};
use crate::parse::{self, ParseOptions};
use crate::registry::Block;
use crate::source::{Host, Sources, Span};
use crate::tree::{Root, Tree};
use crate::typed::Config;

use finding::{Finding, insecure};
use global::Globals;
use group::Groups;
use names::NameTables;
use rule_line::Preferences;
use script::Scripts;
use statics::StaticDraft;
use sync_daemon::SyncDraft;
use tracker::Trackers;
use walk::{Context, Seen};

/// What building gave.
///
/// Like keepalived, a start goes on past most errors: a line that cannot be understood has no effect, and
/// what is left runs. So `config` is there whenever something can run, even with findings of severity
/// [`Severity::Error`]; it is `None` exactly when there is one of class [`Class::Fatal`]. Whoever starts
/// a daemon goes on with `Some`; whoever reloads one refuses a configuration with any error and keeps the
/// old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The configuration, when it can run.
    pub config: Option<Config>,
    /// Every finding, in the order of the file as far as it has one.
    pub diagnostics: Vec<Diagnostic>,
    /// Where each program of a script is named first, for what is found out about its file.
    pub script_places: BTreeMap<PathBuf, Span>,
}

/// What reading a file gave; see [`Built`] for when there is a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration, when it can run. Its ids count from 0; see [`crate::ids::adopt`].
    pub config: Option<Config>,
    /// The files that were read, for showing the places of findings.
    pub sources: Sources,
    /// Every finding.
    pub diagnostics: Vec<Diagnostic>,
    /// See [`Built::script_places`].
    pub script_places: BTreeMap<PathBuf, Span>,
}

/// Reads a configuration file with everything it includes.
#[must_use]
pub fn load(host: &dyn Host, path: &Path, options: &ParseOptions) -> Loaded {
    read(host, path, options, Purpose::Run)
}

/// Reads a configuration file for its findings alone: what is returned lacks the virtual servers, real servers and
/// checkers, which can be many.
#[must_use]
pub fn test(host: &dyn Host, path: &Path, options: &ParseOptions) -> Loaded {
    read(host, path, options, Purpose::Test)
}

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Run,
    /// Only the findings count.
    Test,
}

fn read(host: &dyn Host, path: &Path, options: &ParseOptions, purpose: Purpose) -> Loaded {
    let parsed = parse::parse(host, path, options);
    let mut diagnostics = parsed.diagnostics;
    let built = build_for(host, &parsed.tree, &parsed.sources, purpose);
    diagnostics.extend(built.diagnostics);
    diagnostics.sort_by_key(|d| d.span.map(|span| (span.file, span.start)));
    let fatal = diagnostics.iter().any(|d| d.class == Class::Fatal);
    Loaded {
        config: built.config.filter(|_| !fatal),
        sources: parsed.sources,
        diagnostics,
        script_places: built.script_places,
    }
}

/// Exit code of a config test: 0 when nothing is wrong; 4 when the configuration cannot run; 5 when
/// something is wrong, but the rest would run; 6 when scripts are not secure. Notes and keywords that are
/// ignored on purpose count as nothing wrong.
#[must_use]
pub fn exit_code(diagnostics: &[Diagnostic]) -> u8 {
    let any = |class| {
        let mut list = diagnostics.iter();
        list.any(|d| d.class == class && d.severity > Severity::Note)
    };
    if any(Class::Fatal) {
        4
    } else if any(Class::Configuration) || diagnostics.iter().any(|d| d.severity == Severity::Error)
    {
        5
    } else if any(Class::ScriptSecurity) {
        6
    } else {
        0
    }
}

/// Builds the configuration of a file that was read.
#[must_use]
pub fn build(host: &dyn Host, tree: &Tree, sources: &Sources) -> Built {
    build_for(host, tree, sources, Purpose::Run)
}

fn build_for(host: &dyn Host, tree: &Tree, sources: &Sources, purpose: Purpose) -> Built {
    let mut build = Build {
        host,
        purpose,
        count: Count::default(),
        diagnostics: Vec::new(),
        scripts: Scripts::default(),
        trackers: Trackers::default(),
        services: BTreeMap::new(),
        instance_names: BTreeSet::new(),
        instance_places: BTreeMap::new(),
        link_names: BTreeSet::new(),
        expected_links: BTreeSet::new(),
        patterns: BTreeSet::new(),
        names: NameTables::default(),
        preferences: Preferences::default(),
        objects: 0,
        unaccepted: BTreeMap::new(),
    };
    let config = build.root(tree, sources);
    let fatal = build.diagnostics.iter().any(|d| d.class == Class::Fatal);
    Built {
        config: (!fatal).then_some(config),
        diagnostics: build.diagnostics,
        script_places: build.scripts.places,
    }
}

/// One run of the builder.
struct Build<'h> {
    host: &'h dyn Host,
    purpose: Purpose,
    count: Count,
    diagnostics: Vec<Diagnostic>,
    scripts: Scripts,
    trackers: Trackers,
    /// Keys of the services so far, with the group that each is of. None may be there twice, but for marks that
    /// the users of one group share.
    services: BTreeMap<ServiceKey, Option<String>>,
    /// Names of the instances so far; none may be there twice.
    instance_names: BTreeSet<String>,
    /// Where the instances stand.
    instance_places: BTreeMap<InstanceId, Span>,
    /// Names of the links of instances so far that the file gives; none may be there twice.
    link_names: BTreeSet<IfName>,
    /// Names that links of instances may get, whether given or generated.
    expected_links: BTreeSet<IfName>,
    /// Patterns that can be used: thousands of servers may share one.
    patterns: BTreeSet<(String, PatternOptions)>,
    names: NameTables,
    preferences: Preferences,
    /// Routes, rules and static addresses so far.
    objects: usize,
    /// Addresses in no-accept mode, each with its instance and where that begins.
    unaccepted: BTreeMap<IpAddr, (String, Span)>,
}

/// Objects that were numbered so far, kept or not.
#[derive(Debug, Default)]
struct Count {
    virtual_servers: u32,
    real_servers: u32,
    checkers: u32,
}

/// Counts one more and gives its number, from 0.
const fn next(counter: &mut u32) -> u32 {
    let number = *counter;
    *counter = counter.saturating_add(1);
    number
}

const ROOT: Context = Context {
    name: "the root of the file",
    blocks: &[Block::Root],
    also: &[],
    repeatable: &[
        "global_defs",
        "garp_group",
        "interface_up_down_delays",
        "vrrp_instance",
        "vrrp_sync_group",
        "bfd_instance",
        "track_group",
        "static_ipaddress",
        "static_routes",
        "static_rules",
        "virtual_server",
        "virtual_server_group",
        "vrrp_script",
        "track_file",
        "vrrp_track_file",
        "vrrp_track_process",
    ],
};

impl Build<'_> {
    fn report(&mut self, finding: Finding) {
        self.diagnostics.push(finding.0);
    }

    fn root(&mut self, tree: &Tree, sources: &Sources) -> Config {
        let mut globals = Globals::default();
        let mut groups = Groups::default();
        let mut blocks: Vec<(&str, Root<'_>)> = Vec::new();
        let mut sync_groups = Vec::new();
        let mut bfd = Vec::new();
        let (mut track_groups, mut static_blocks) = (Vec::new(), Vec::new());
        let mut seen = Seen::default();
        for root in tree.roots(sources) {
            let accepted = root
                .head()
                .and_then(|head| self.accept(&ROOT, &mut seen, &head));
            let Some(keyword) = accepted else {
                continue;
            };
            // The many: each is taken out of the tree when it is its turn.
            if matches!(keyword.name, "vrrp_instance" | "virtual_server") {
                blocks.push((keyword.name, root));
                continue;
            }
            let Some(statement) = root.statement() else {
                continue;
            };
            match keyword.name {
                "virtual_server_group" => self.server_group(&mut groups, &statement),
                name
                @ ("vrrp_script" | "track_file" | "vrrp_track_file" | "vrrp_track_process") => {
                    self.tracker(name, &statement);
                }
                "vrrp_sync_group" => sync_groups.push(statement),
                "bfd_instance" => bfd.push(statement),
                "track_group" => track_groups.push(statement),
                "static_ipaddress" | "static_routes" | "static_rules" => {
                    static_blocks.push(statement);
                }
                name => {
                    if !self.root_setting(&mut globals, name, &statement) {
                        self.unbuilt(keyword, &statement);
                    }
                }
            }
        }
        for (name, root) in &blocks {
            if *name == "vrrp_instance"
                && let Some(statement) = root.statement()
            {
                self.expect_links(&globals, &statement);
            }
        }
        let mut config = self.global_config(&globals);
        for statement in &bfd {
            self.bfd_instance(&mut config, statement);
        }
        let mut statics = StaticDraft::default();
        for statement in &static_blocks {
            self.static_block(&globals, &mut statics, statement);
        }
        let mut drafts = Vec::new();
        for (name, statement) in blocks
            .into_iter()
            .filter_map(|(name, root)| Some((name, root.statement()?)))
        {
            if name == "vrrp_instance" {
                self.instance(&globals, &mut drafts, &statement);
            } else {
                self.virtual_server(&globals, &mut groups, &mut config, &statement);
            }
        }
        let of_instance = drafts.iter().find_map(|draft| {
            let (interface, at) = draft.sync_interface.clone()?;
            Some(SyncDraft::of_instance(interface, &draft.name, at))
        });
        config.instances = self.finish_instances(&globals, drafts);
        self.check_unaccepted(&config);
        config.vrrp.link_delays = self.finish_delays(&globals.link_delays, &config);
        let sync = globals.sync.clone().or(of_instance);
        config.ipvs.sync = sync.and_then(|draft| self.finish_sync(draft, &config));
        for statement in &sync_groups {
            self.sync_group(&globals, &mut config, statement);
        }
        self.check_shared_links(&mut config.instances);
        self.track_groups(&mut config, &track_groups, &statics.dependences);
        config.statics = statics.objects;
        config.trackers = self.finish_trackers();
        self.check_script_security(&globals);
        config.scripts = self.scripts.take();
        config
    }

    fn check_script_security(&mut self, globals: &Globals) {
        if let Some(first) = self.scripts.first.filter(|_| !globals.scripts.security) {
            self.report(
                insecure(first, "scripts run without `enable_script_security`").help(
                    "put `enable_script_security` into global_defs: then a script that others could change does not run",
                ),
            );
        }
    }
}

/// The next id of a map that is numbered from 0.
fn next_id<K: Ord, V>(map: &BTreeMap<K, V>) -> u32 {
    u32::try_from(map.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
