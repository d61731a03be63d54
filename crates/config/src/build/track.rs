//! What an instance or a sync group tracks: `NAME [weight N [reverse|noreverse]]`, one a line.

use kr_model::track::{Tracked, TrackerKind};
use kr_model::vrrp::TrackedInterface;

use crate::source::Span;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;

/// The largest weight that counts.
const MOST: i16 = 253;

/// Most tracked objects of one instance or group: an instance travels in one message.
const MOST_TRACKED: usize = 1000;

impl Build<'_> {
    /// Reads the lines of a `track_interface` block.
    pub(super) fn tracked_interfaces(
        &mut self,
        globals: &Globals,
        statement: &Statement,
    ) -> Vec<TrackedInterface> {
        let lines = statement.block.iter().flat_map(|block| &block.statements);
        lines
            .filter_map(|line| self.tracked_interface(globals, line))
            .collect()
    }

    fn tracked_interface(
        &mut self,
        globals: &Globals,
        line: &Statement,
    ) -> Option<TrackedInterface> {
        let interface = self.interface_of(&line.keyword)?;
        if !globals.dynamic_interfaces && !self.host.interface_exists(interface.as_str()) {
            self.report(
                error(
                    line.keyword.span,
                    format!("there is no interface `{interface}`; it is not tracked"),
                )
                .help("put `dynamic_interfaces` into global_defs if it comes later"),
            );
            return None;
        }
        let mut tracked = TrackedInterface {
            interface,
            weight: 0,
            reverse: false,
        };
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "weight" => {
                    let number = words.next();
                    let weight = number.and_then(|number| number.text.parse::<i16>().ok());
                    match weight.filter(|weight| weight.abs() <= 254) {
                        Some(weight) => tracked.weight = weight.clamp(-MOST, MOST),
                        None => self.report(
                            error(
                                number.unwrap_or(word).span,
                                "this weight is no number from -254 to 254; 0 is used",
                            )
                            .label("expected a number from -254 to 254"),
                        ),
                    }
                }
                "reverse" => tracked.reverse = true,
                other => self.report(
                    error(
                        word.span,
                        format!("unknown option `{other}` of a tracked interface"),
                    )
                    .label("expected `weight N` or `reverse`"),
                ),
            }
        }
        Some(tracked)
    }
}

/// The kind of object that a keyword lists.
pub(super) fn kind_of(keyword: &str) -> Option<TrackerKind> {
    match keyword {
        "track_script" => Some(TrackerKind::Script),
        "track_file" => Some(TrackerKind::File),
        "track_process" => Some(TrackerKind::Process),
        "track_bfd" => Some(TrackerKind::Bfd),
        _ => None,
    }
}

impl Build<'_> {
    /// Adds the lines of a `track_script`, `track_file`, `track_process` or `track_bfd` block.
    pub(super) fn tracked(
        &mut self,
        lines: &mut Vec<Tracked>,
        kind: TrackerKind,
        statement: &Statement,
    ) {
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(tracked) = self.tracked_line(kind, line) else {
                continue;
            };
            if lines.len() >= MOST_TRACKED {
                let text =
                    format!("more than {MOST_TRACKED} tracked objects; the rest is left out");
                return self.report(error(line.keyword.span, text));
            }
            if lines.iter().any(|one| one.tracker == tracked.tracker) {
                let Word { text, span, .. } = &line.keyword;
                let text = format!("{} `{text}` is tracked already", kind.word());
                self.report(error(*span, text).label("this line is left out"));
            } else {
                lines.push(tracked);
            }
        }
    }

    fn tracked_line(&mut self, kind: TrackerKind, line: &Statement) -> Option<Tracked> {
        let name = &line.keyword;
        let Some(tracker) = self.trackers.used(kind, &name.text) else {
            let known = self.trackers.names(kind).join("`, `");
            let finding = error(
                name.span,
                format!(
                    "there is no {} `{}`; it is not tracked",
                    kind.word(),
                    name.text
                ),
            );
            self.report(if known.is_empty() {
                finding
            } else {
                finding.help(format!("defined are `{known}`"))
            });
            return None;
        };
        let mut tracked = Tracked {
            tracker: tracker.id,
            weight: tracker.weight,
            reverse: tracker.reverse,
        };
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "weight" => {
                    let weight = words.next().and_then(|word| self.weight_of(word, 254));
                    // Only the number of a file may be multiplied by 254.
                    let most = if kind == TrackerKind::File { 254 } else { MOST };
                    tracked.weight = weight.map_or(tracked.weight, |one| one.clamp(-most, most));
                }
                "reverse" => tracked.reverse = true,
                "noreverse" => tracked.reverse = false,
                other => self.report(
                    error(
                        word.span,
                        format!("unknown option `{other}` of a tracked {}", kind.word()),
                    )
                    .label("expected `weight N`, `reverse` or `noreverse`"),
                ),
            }
        }
        Some(tracked)
    }

    /// What is left of the lines of an instance that uses no weights, because it is an address owner or because
    /// its sync group has one priority: a script or session with a weight would have no effect, a process becomes a
    /// fault, and so does a file of weight 1, which is the weight of one that says none.
    pub(super) fn without_weights(
        &mut self,
        lines: Vec<Tracked>,
        at: Span,
        why: &str,
    ) -> Vec<Tracked> {
        let mut kept = Vec::new();
        for mut line in lines {
            if line.weight == 0 {
                kept.push(line);
                continue;
            }
            let Some((kind, name)) = self.trackers.named(line.tracker) else {
                continue;
            };
            let stays = match kind {
                TrackerKind::Process => true,
                TrackerKind::File => line.weight == 1,
                TrackerKind::Script | TrackerKind::Bfd => false,
            };
            let effect = if stays {
                "it counts as weight 0"
            } else {
                "it is not tracked"
            };
            let text = format!("{} `{name}` has a weight, but {why}: {effect}", kind.word());
            self.report(warning(at, text).help("write `weight 0` to make it a fault"));
            if stays {
                line.weight = 0;
                kept.push(line);
            }
        }
        kept
    }
}
