//! `regex` of a `url` and the keywords that belong to it. The pattern is compiled here, so that what is
//! wrong with it is found when the file is read.

use kr_model::check::{BodyPattern, PatternOptions};
use kr_pattern::Pattern;

use crate::registry::{self, Block, Hint};
use crate::source::Span;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::value::set;

/// Largest offset: far beyond the longest body that is read.
const MAX_OFFSET: u64 = 4_294_967_295;

/// What the lines of a `url` say about its pattern.
#[derive(Default)]
pub(super) struct PatternDraft {
    text: Option<(String, Span)>,
    options: Vec<(PatternOptions, Span)>,
    no_match: bool,
    min: Option<u64>,
    max: Option<(u64, Span)>,
    /// The first line that makes no sense without `regex`.
    needs_pattern: Option<Span>,
}

impl PatternDraft {
    fn options(&self) -> PatternOptions {
        self.options.iter().map(|(option, _)| *option).collect()
    }

    /// The pattern, when there is one.
    pub(super) fn finish(self) -> Option<BodyPattern> {
        let options = self.options();
        self.text.map(|(text, _)| BodyPattern {
            text,
            options,
            wanted: !self.no_match,
            min_offset: self.min.unwrap_or(0),
            max_offset: self.max.map(|(max, _)| max),
        })
    }
}

impl Build<'_> {
    /// Takes a keyword of the pattern. False when it is none.
    pub(super) fn pattern_setting(
        &mut self,
        draft: &mut PatternDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        match name {
            "regex" => {
                let at = line.arguments.first().map(|word| word.span);
                set(&mut draft.text, self.text(line).zip(at));
                return true;
            }
            "regex_no_match" => draft.no_match = true,
            "regex_options" => {
                for word in &line.arguments {
                    let option = self.pattern_option(word);
                    draft
                        .options
                        .extend(option.map(|option| (option, word.span)));
                }
            }
            "regex_min_offset" => set(&mut draft.min, self.number(line, 0, MAX_OFFSET)),
            "regex_max_offset" => {
                let max = self.number(line, 0, MAX_OFFSET);
                set(&mut draft.max, max.map(|max| (max, line.keyword.span)));
            }
            _ => return false,
        }
        draft.needs_pattern.get_or_insert(line.keyword.span);
        true
    }

    fn pattern_option(&mut self, word: &Word) -> Option<PatternOptions> {
        let name = word.text.as_str();
        if registry::find(Block::RegexOption, name).is_none() {
            let finding = error(word.span, format!("`{name}` is not an option of PCRE2"));
            self.report(match registry::hint(name, &[Block::RegexOption]) {
                Some(Hint::Spelling(name)) => finding.help(format!("did you mean `{name}`?")),
                Some(Hint::Glued(..) | Hint::OtherBlock(_)) | None => finding.help(
                    "`keepalived-rs --list-keywords` has the options under `url.regex_options value`",
                ),
            });
            return None;
        }
        Some(match name {
            "allow_empty_class" => PatternOptions::ALLOW_EMPTY_CLASS,
            "alt_bsux" => PatternOptions::ALT_BSUX,
            "caseless" => PatternOptions::CASELESS,
            "dollar_endonly" => PatternOptions::DOLLAR_ENDONLY,
            "dotall" => PatternOptions::DOTALL,
            "dupnames" => PatternOptions::DUPNAMES,
            "extended" => PatternOptions::EXTENDED,
            "firstline" => PatternOptions::FIRSTLINE,
            "match_unset_backref" => PatternOptions::MATCH_UNSET_BACKREF,
            "multiline" => PatternOptions::MULTILINE,
            "ucp" => PatternOptions::UCP,
            "ungreedy" => PatternOptions::UNGREEDY,
            "utf" => PatternOptions::UTF,
            // The others change nothing in what matches.
            _ => PatternOptions::empty(),
        })
    }

    /// What the lines mean together: compiles the pattern, and drops what cannot be used.
    pub(super) fn check_pattern(&mut self, draft: &mut PatternDraft) {
        let offsets = draft.min.zip(draft.max);
        if let Some((min, (max, at))) = offsets.filter(|(min, (max, _))| min > max) {
            self.report(
                error(
                    at,
                    format!("no match begins at {min} or later and at {max} or earlier; both offsets are ignored"),
                )
                .help("make regex_max_offset the larger one"),
            );
            (draft.min, draft.max) = (None, None);
        }
        let options = draft.options();
        let ucp = draft
            .options
            .iter()
            .find(|(option, _)| *option == PatternOptions::UCP);
        if let Some((_, at)) = ucp.filter(|_| !options.contains(PatternOptions::UTF)) {
            self.report(
                error(*at, "`ucp` without `utf` is not accepted: it has no effect")
                    .help("write `regex_options utf ucp` for bodies in UTF-8"),
            );
        }
        match (&draft.text, draft.needs_pattern) {
            (Some((text, at)), _) => {
                let known = (text.clone(), options);
                if self.patterns.contains(&known) {
                    return;
                }
                if let Err(reason) = Pattern::new(text, options) {
                    self.report(
                        error(*at, "this pattern cannot be used; the body is not searched")
                            .label(reason.to_string())
                            .help(reason.help()),
                    );
                    draft.text = None;
                } else {
                    self.patterns.insert(known);
                }
            }
            (None, Some(at)) => self.report(
                warning(at, "this has no effect without `regex`")
                    .help("add `regex \"PATTERN\"`, or remove the line"),
            ),
            (None, None) => {}
        }
    }
}
