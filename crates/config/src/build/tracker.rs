//! `vrrp_script`, `track_file` and `vrrp_track_process`: what can be tracked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kr_model::TrackerId;
use kr_model::script::ScriptUser;
use kr_model::track::{
    ArgumentMatch, FileTracker, InitFile, ProcessPattern, ProcessTracker, ScriptTracker,
    TrackerKind, TrackerSource,
};

use crate::registry::Block;
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::typed::{BfdEntry, TrackerEntry};

use super::Build;
use super::finding::{advice, error, note};
use super::value::{MAX_TEXT, MICROSECOND, set};
use super::walk::{Context, Seen};

const SCRIPT: Context = Context {
    name: "vrrp_script",
    blocks: &[Block::VrrpScript],
    also: &[],
    repeatable: &[],
};

const FILE: Context = Context {
    name: "track_file",
    blocks: &[Block::TrackFile],
    also: &[],
    repeatable: &[],
};

const PROCESS: Context = Context {
    name: "vrrp_track_process",
    blocks: &[Block::TrackProcess],
    also: &[],
    repeatable: &[],
};

/// Longest time of a script: 4294 s.
const LONGEST: Duration = Duration::from_secs(4294);
/// Longest `fork_delay` and `terminate_delay`.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);
/// The kernel's names of processes end here.
const COMM_LEN: usize = 15;
/// Numbers of files beyond this never make sense for a priority.
const USUAL_NUMBER: i32 = 254;

/// A tracked object with what its lines take over.
pub(super) struct TrackerDraft {
    pub(super) id: TrackerId,
    name: String,
    at: Span,
    kind: TrackerKind,
    /// What is followed; a BFD session is among those of the configuration.
    source: Option<TrackerSource>,
    /// Default weight of the lines that track it.
    pub(super) weight: i16,
    pub(super) reverse: bool,
    used: bool,
}

/// The tracked objects so far.
#[derive(Default)]
pub(super) struct Trackers(Vec<TrackerDraft>);

impl Trackers {
    /// The object of a kind and name; from now on it is one that somebody tracks.
    pub(super) fn used(&mut self, kind: TrackerKind, name: &str) -> Option<&TrackerDraft> {
        let named = |draft: &&mut TrackerDraft| draft.kind == kind && draft.name == name;
        let draft = self.0.iter_mut().find(named)?;
        draft.used = true;
        Some(draft)
    }

    /// Kind and name of an object, for messages.
    pub(super) fn named(&self, id: TrackerId) -> Option<(TrackerKind, String)> {
        let draft = self.0.iter().find(|draft| draft.id == id)?;
        Some((draft.kind, draft.name.clone()))
    }

    /// Names of a kind, for messages.
    pub(super) fn names(&self, kind: TrackerKind) -> Vec<&str> {
        let of_kind = self.0.iter().filter(|draft| draft.kind == kind);
        of_kind.map(|draft| draft.name.as_str()).collect()
    }

    /// A BFD session, if instances may track it.
    pub(super) fn add_session(&mut self, entry: &BfdEntry, at: Span) {
        if entry.for_vrrp {
            self.0.push(TrackerDraft {
                id: entry.session.id,
                name: entry.session.name.clone(),
                at,
                kind: TrackerKind::Bfd,
                source: None,
                weight: entry.weight,
                reverse: entry.reverse,
                used: false,
            });
        }
    }
}

impl Build<'_> {
    /// Reads one of the blocks. An object that cannot be followed is reported and left out.
    pub(super) fn tracker(&mut self, block: &'static str, statement: &Statement) {
        let Some(name) = statement.arguments.first() else {
            return;
        };
        let (kind, weight) = match block {
            "vrrp_script" => (TrackerKind::Script, 0),
            "vrrp_track_process" => (TrackerKind::Process, 0),
            _ => (TrackerKind::File, 1),
        };
        if self.trackers.names(kind).contains(&name.text.as_str()) {
            let text = format!("there is a {block} `{}` already", name.text);
            self.report(error(name.span, text).label("this block is skipped"));
            return;
        }
        if name.text.len() > MAX_TEXT {
            let text = format!("a name has at most {MAX_TEXT} bytes; this block is skipped");
            self.report(error(name.span, text));
            return;
        }
        if block == "vrrp_track_file" {
            self.renamed(statement, "track_file");
        }
        let mut weight = (weight, false);
        let source = match kind {
            TrackerKind::Script => self.script_tracker(&mut weight, statement),
            TrackerKind::Process => self.process_tracker(&mut weight, statement),
            TrackerKind::File | TrackerKind::Bfd => self.file_tracker(&mut weight, statement),
        };
        let Some(source) = source else { return };
        let id = TrackerId(u32::try_from(self.trackers.0.len()).unwrap_or(u32::MAX));
        self.trackers.0.push(TrackerDraft {
            id,
            name: name.text.clone(),
            at: name.span,
            kind,
            source: Some(source),
            weight: weight.0,
            reverse: weight.1,
            used: false,
        });
    }

    /// The objects that something tracks; the others are reported and left out.
    pub(super) fn finish_trackers(&mut self) -> BTreeMap<TrackerId, TrackerEntry> {
        let mut out = BTreeMap::new();
        for draft in std::mem::take(&mut self.trackers.0) {
            let TrackerDraft {
                name,
                source,
                weight,
                reverse,
                ..
            } = draft;
            let Some(source) = source else {
                continue;
            };
            if draft.used {
                let entry = TrackerEntry {
                    name,
                    source,
                    weight,
                    reverse,
                };
                out.insert(draft.id, entry);
            } else {
                let kind = source.kind().word();
                let text = format!("nothing tracks {kind} `{name}`; it is left out");
                self.report(advice(draft.at, text));
            }
        }
        out
    }

    fn script_tracker(
        &mut self,
        weight: &mut (i16, bool),
        statement: &Statement,
    ) -> Option<TrackerSource> {
        let at = statement.keyword.span;
        let mut command: Option<&Word> = None;
        let mut user: Option<ScriptUser> = None;
        let (mut interval, mut timeout) = (None, None);
        let (mut rise, mut fall, mut init_fail) = (None, None, false);
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&SCRIPT, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "script" => command = line.arguments.first(),
                "interval" => set(&mut interval, self.script_time(line)),
                "timeout" => set(&mut timeout, self.script_time(line)),
                "rise" => set(&mut rise, self.count(line)),
                "fall" => set(&mut fall, self.count(line)),
                "init_fail" => init_fail = true,
                "weight" => *weight = self.tracker_weight(line, 253).unwrap_or((0, false)),
                "user" => {
                    let (name, group) = line.arguments.split_first()?;
                    let Some(account) = self.account(name, group.first(), false) else {
                        let text =
                            "this vrrp_script is left out, because nobody can run its program";
                        self.report(error(at, text));
                        return None;
                    };
                    user = Some(account);
                }
                _ => self.unbuilt(keyword, line),
            }
        }
        let Some(command) = command else {
            self.report(
                error(at, "this vrrp_script has no script and is left out")
                    .help("add `script \"PROGRAM ARGUMENT...\"`"),
            );
            return None;
        };
        let script = self.command(command, user)?;
        let interval = interval.unwrap_or(Duration::from_secs(1));
        Some(TrackerSource::Script(ScriptTracker {
            script,
            interval,
            timeout: timeout.unwrap_or(interval),
            rise: rise.unwrap_or(1),
            fall: fall.unwrap_or(1),
            init_fail,
        }))
    }

    fn script_time(&mut self, line: &Statement) -> Option<Duration> {
        self.seconds(line, Duration::from_millis(1), LONGEST)
    }

    fn count(&mut self, line: &Statement) -> Option<u32> {
        let count = self.number(line, 1, 2_147_483_647)?;
        u32::try_from(count).ok()
    }

    fn file_tracker(
        &mut self,
        weight: &mut (i16, bool),
        statement: &Statement,
    ) -> Option<TrackerSource> {
        let at = statement.keyword.span;
        let (mut path, mut init) = (None, None);
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&FILE, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "file" => set(&mut path, self.text(line).map(PathBuf::from)),
                "weight" => *weight = self.tracker_weight(line, 254).unwrap_or(*weight),
                "init_file" => init = self.init_file(line),
                _ => self.unbuilt(keyword, line),
            }
        }
        let Some(path) = path else {
            let finding = error(at, "this track_file has no file and is left out");
            self.report(finding.help("add `file PATH`"));
            return None;
        };
        if !path.is_absolute() || path.file_name().is_none() {
            let text = format!("`{}` is not the whole path of a file", path.display());
            self.report(error(at, text).help("write it from `/` on, with a name at its end"));
            return None;
        }
        Some(TrackerSource::File(FileTracker { path, init }))
    }

    /// `init_file [VALUE] [overwrite]`.
    fn init_file(&mut self, line: &Statement) -> Option<InitFile> {
        let mut init = InitFile {
            value: 0,
            overwrite: false,
        };
        for word in &line.arguments {
            if word.text == "overwrite" {
                init.overwrite = true;
            } else if let Ok(value) = word.text.parse::<i32>() {
                init.value = value;
                if value.saturating_abs() > USUAL_NUMBER {
                    self.report(note(
                        word.span,
                        format!("{value} is more than a priority can change"),
                    ));
                }
            } else {
                self.report(
                    error(word.span, format!("`{}` is not valid here", word.text))
                        .label("expected a whole number or `overwrite`"),
                );
                return None;
            }
        }
        Some(init)
    }

    fn process_tracker(
        &mut self,
        weight: &mut (i16, bool),
        statement: &Statement,
    ) -> Option<TrackerSource> {
        let at = statement.keyword.span;
        let mut words: Option<Vec<String>> = None;
        let (mut matching, mut full) = (None, false);
        let (mut quorum, mut quorum_max) = (None, None);
        let (mut fork_delay, mut terminate_delay) = (None, None);
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&PROCESS, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "process" => {
                    words = Some(
                        line.arguments
                            .iter()
                            .map(|word| word.text.clone())
                            .collect(),
                    );
                }
                "param_match" => matching = Some(self.param_match(line)),
                "full_command" => full = true,
                "weight" => *weight = self.tracker_weight(line, 254).unwrap_or(*weight),
                "quorum" => set(&mut quorum, self.process_count(line, 1)),
                "quorum_max" => set(&mut quorum_max, self.process_count(line, 0)),
                "delay" => {
                    let delay = self.process_delay(line);
                    set(&mut fork_delay, delay);
                    set(&mut terminate_delay, delay);
                }
                "fork_delay" => set(&mut fork_delay, self.process_delay(line)),
                "terminate_delay" => set(&mut terminate_delay, self.process_delay(line)),
                _ => self.unbuilt(keyword, line),
            }
        }
        let Some(words) = words else {
            let finding = error(at, "this vrrp_track_process has no process and is left out");
            self.report(finding.help("add `process NAME`"));
            return None;
        };
        let pattern = pattern(words, matching, full)?;
        let quorum = match quorum_max {
            Some(0) => 0,
            Some(most) if quorum.unwrap_or(1) > most => {
                self.report(error(
                    at,
                    "quorum is larger than quorum_max: this vrrp_track_process is left out",
                ));
                return None;
            }
            Some(_) | None => quorum.unwrap_or(1),
        };
        Some(TrackerSource::Process(ProcessTracker {
            pattern,
            quorum,
            quorum_max,
            fork_delay: fork_delay.unwrap_or_default(),
            terminate_delay: terminate_delay.unwrap_or_default(),
        }))
    }

    fn param_match(&mut self, line: &Statement) -> fn(Vec<String>) -> ArgumentMatch {
        let Some(word) = line.arguments.first() else {
            return ArgumentMatch::Exact;
        };
        match word.text.as_str() {
            "initial" => ArgumentMatch::Initial,
            "partial" => ArgumentMatch::Partial,
            other => {
                let text = format!("unknown param_match `{other}`; the arguments must be equal");
                self.report(error(word.span, text).label("expected `initial` or `partial`"));
                ArgumentMatch::Exact
            }
        }
    }

    fn process_count(&mut self, line: &Statement, min: u64) -> Option<u32> {
        let count = self.number(line, min, 65535)?;
        u32::try_from(count).ok()
    }

    fn process_delay(&mut self, line: &Statement) -> Option<Duration> {
        self.seconds(line, MICROSECOND, LONGEST_DELAY)
    }

    /// `weight N [reverse]` of a tracked object.
    fn tracker_weight(&mut self, line: &Statement, most: i16) -> Option<(i16, bool)> {
        let (number, rest) = line.arguments.split_first()?;
        let weight = self.weight_of(number, most);
        let reverse = rest.first();
        if let Some(word) = reverse.filter(|word| word.text != "reverse") {
            self.report(
                error(word.span, format!("`{}` is not valid here", word.text))
                    .label("expected `reverse` or nothing"),
            );
        }
        Some((weight?, reverse.is_some_and(|word| word.text == "reverse")))
    }

    /// A weight from `-most` to `most`.
    pub(super) fn weight_of(&mut self, word: &Word, most: i16) -> Option<i16> {
        let weight = word.text.parse::<i16>().ok();
        let weight = weight.filter(|weight| (-most..=most).contains(weight));
        if weight.is_none() {
            self.report(
                error(word.span, format!("`{}` is no weight", word.text))
                    .label(format!("expected a number from -{most} to {most}")),
            );
        }
        weight
    }
}

/// `None` when there is no word.
fn pattern(
    words: Vec<String>,
    matching: Option<fn(Vec<String>) -> ArgumentMatch>,
    full: bool,
) -> Option<ProcessPattern> {
    let mut words = words.into_iter();
    let program = words.next()?;
    let arguments: Vec<String> = words.collect();
    let arguments = match matching {
        Some(matching) => matching(arguments),
        None if !arguments.is_empty() => ArgumentMatch::Exact(arguments),
        None if full => ArgumentMatch::Any,
        None => return Some(ProcessPattern::Name(name_of_kernel(program))),
    };
    Some(ProcessPattern::Command { program, arguments })
}

/// A name as the kernel keeps it.
fn name_of_kernel(mut name: String) -> String {
    let end = (0..=COMM_LEN).rev().find(|end| name.is_char_boundary(*end));
    if let Some(end) = end.filter(|_| name.len() > COMM_LEN) {
        name.truncate(end);
    }
    name
}
