//! `FILE_CHECK`: a real server follows the number in a `track_file`.

use kr_model::track::TrackerKind;

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::check_draft::{CheckKind, CheckerDraft, ConnectionDraft, TimingDraft};
use super::finding::error;
use super::walk::{Context, Seen};

const FILE_CHECK: Context = Context {
    name: "FILE_CHECK",
    blocks: &[Block::FileCheck],
    also: &[],
    repeatable: &[],
};

impl Build<'_> {
    /// Reads the block. `None` when there is nothing to follow.
    pub(super) fn file_check(&mut self, statement: &Statement) -> Option<CheckerDraft> {
        let at = statement.keyword.span;
        let (mut name, mut own) = (None, (None, None));
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&FILE_CHECK, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "track_file" => name = line.arguments.first(),
                "weight" => own = self.file_weight(&line.arguments),
                _ => self.unbuilt(keyword, line),
            }
        }
        let Some(name) = name else {
            self.report(
                error(at, "this FILE_CHECK has no track_file and is left out")
                    .help("add `track_file NAME`"),
            );
            return None;
        };
        let Some(tracker) = self.trackers.used(TrackerKind::File, &name.text) else {
            let text = format!("there is no track_file `{}`", name.text);
            self.report(error(name.span, text).label("this FILE_CHECK is left out"));
            return None;
        };
        let kind = CheckKind::File {
            file: tracker.id,
            name: name.text.clone(),
            weight: own.0.unwrap_or_else(|| tracker.weight.into()),
            reverse: own.1.unwrap_or(tracker.reverse),
        };
        Some(CheckerDraft {
            at,
            connection: ConnectionDraft::default(),
            timing: TimingDraft::default(),
            kind,
        })
    }

    /// `weight INT [reverse|noreverse]`.
    fn file_weight(&mut self, words: &[Word]) -> (Option<i32>, Option<bool>) {
        let Some((number, rest)) = words.split_first() else {
            return (None, None);
        };
        let weight = number.text.parse::<i32>().ok();
        let weight = weight.filter(|weight| *weight != i32::MIN);
        if weight.is_none() {
            self.report(
                error(number.span, format!("`{}` is no weight", number.text))
                    .label("expected a whole number from -2147483647 to 2147483647"),
            );
        }
        let reverse = rest.first().and_then(|word| match word.text.as_str() {
            "reverse" => Some(true),
            "noreverse" => Some(false),
            other => {
                self.report(
                    error(word.span, format!("`{other}` is not valid here"))
                        .label("expected `reverse`, `noreverse` or nothing"),
                );
                None
            }
        });
        (weight, reverse)
    }
}
