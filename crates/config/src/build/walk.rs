//! The one walk over every block: is the keyword known here, built, complete, given once?

use crate::registry::{self, Block, Hint, Keyword, Status};
use crate::source::Span;
use crate::tree::Statement;

use super::Build;
use super::finding::{advice, error, note};

/// What a block of the file may hold.
pub(super) struct Context {
    /// How messages call the block.
    pub(super) name: &'static str,
    /// The parts of the registry that hold its keywords.
    pub(super) blocks: &'static [Block],
    /// Single keywords of other parts that are taken here too: old spellings.
    pub(super) also: &'static [(Block, &'static str)],
    /// Keywords that may be given several times.
    pub(super) repeatable: &'static [&'static str],
}

/// The keywords that a block has had so far.
#[derive(Default)]
pub(super) struct Seen(Vec<&'static str>);

impl Build<'_> {
    /// Checks a statement against the registry and reports what is wrong with it. Returns its entry when
    /// the builder of the block should take its values.
    pub(super) fn accept(
        &mut self,
        context: &Context,
        seen: &mut Seen,
        statement: &Statement,
    ) -> Option<&'static Keyword> {
        let word = &statement.keyword;
        let Some(keyword) = lookup(context, &word.text) else {
            self.unknown(context, statement);
            return None;
        };
        match keyword.status {
            Status::Supported => {}
            Status::Ignored(why) => {
                self.report(advice(word.span, format!("`{}` is ignored", word.text)).help(why));
                return None;
            }
            Status::Refused(why) => {
                self.report(error(word.span, format!("`{}` is not accepted", word.text)).help(why));
                return None;
            }
        }
        if keyword.block == Block::Retired {
            self.report(
                note(
                    word.span,
                    format!("`{}` is an old or wrong spelling", word.text),
                )
                .help(keyword.doc),
            );
        }
        let usable = self.complete(context, keyword, statement)
            && self.once(context, keyword, seen, word.span);
        usable.then_some(keyword)
    }

    /// Reports a supported keyword that its builder has no code for; a test makes sure there is none.
    pub(super) fn unbuilt(&mut self, keyword: &Keyword, statement: &Statement) {
        if keyword.status == Status::Supported {
            self.report(error(
                statement.keyword.span,
                format!(
                    "`{}` is listed as supported but nothing reads it: this is a bug",
                    keyword.name
                ),
            ));
        }
    }

    fn complete(&mut self, context: &Context, keyword: &Keyword, statement: &Statement) -> bool {
        let word = &statement.keyword;
        let (least, most) = keyword.arguments;
        let inline_list = keyword.name == "notification_email" && !statement.arguments.is_empty();
        let expected = || format!("expected `{}`", keyword.syntax);
        if statement.arguments.len() < least {
            self.report(
                error(word.span, format!("`{}` lacks an argument", word.text)).label(expected()),
            );
            return false;
        }
        if let Some(extra) = statement.arguments.get(most) {
            if extra.text == "|" {
                self.report(
                    error(
                        extra.span,
                        format!(
                            "`{} | ...` is a choice in a manual, not a keyword",
                            word.text
                        ),
                    )
                    .label("write one of them")
                    .help(format!("write `{} {{`", word.text)),
                );
                return false;
            }
            // The words are not repeated: they may be part of a password.
            self.report(
                advice(
                    extra.span,
                    format!(
                        "`{}` takes fewer words; from here the line is ignored",
                        word.text
                    ),
                )
                .label(expected())
                .help(
                    "put a space and `#` before a comment, and quotes around a value with spaces",
                ),
            );
            return true;
        }
        match (&statement.block, keyword.syntax.contains('{')) {
            (None, true) if !inline_list => {
                self.report(
                    error(word.span, format!("`{}` needs a block", word.text)).label(expected()),
                );
                false
            }
            (Some(_), false) => {
                self.report(
                    error(
                        word.span,
                        format!("`{}` takes no block in {}", word.text, context.name),
                    )
                    .label(expected()),
                );
                false
            }
            (None | Some(_), _) => true,
        }
    }

    fn once(
        &mut self,
        context: &Context,
        keyword: &'static Keyword,
        seen: &mut Seen,
        at: Span,
    ) -> bool {
        if context.repeatable.contains(&keyword.name) {
            return true;
        }
        if !seen.0.contains(&keyword.name) {
            seen.0.push(keyword.name);
            return true;
        }
        // keepalived keeps the first script of an event, but the last of every other setting.
        let first_counts =
            keyword.name.starts_with("notify_") || keyword.name.starts_with("quorum_");
        let which = if first_counts { "first" } else { "last" };
        self.report(
            advice(
                at,
                format!("`{}` is given more than once in this block", keyword.name),
            )
            .help(format!("the {which} one counts; remove the others")),
        );
        !first_counts
    }

    fn unknown(&mut self, context: &Context, statement: &Statement) {
        let word = &statement.keyword;
        let text = word.text.as_str();
        let mut choices = text.split('|').filter(|part| !part.is_empty());
        let finding = error(
            word.span,
            format!("unknown keyword `{text}` in {}", context.name),
        );
        let several = text.contains('|') && choices.clone().count() > 1;
        if several && choices.all(|part| lookup(context, part).is_some()) {
            self.report(
                finding
                    .label("a choice in a manual, not a keyword")
                    .help(format!(
                        "write one of them: `{}`",
                        text.replace('|', "` or `")
                    )),
            );
            return;
        }
        let also: Vec<Block> = context.also.iter().map(|(block, _)| *block).collect();
        let blocks = [context.blocks, also.as_slice()].concat();
        let finding = match registry::hint(text, &blocks) {
            Some(Hint::Glued(name, rest)) => finding
                .label("a space is missing")
                .help(format!("did you mean `{name} {rest}`?")),
            Some(Hint::Spelling(name)) => finding.help(format!("did you mean `{name}`?")),
            Some(Hint::OtherBlock(block)) => finding.help(format!(
                "`{text}` belongs into {}; is a brace misplaced?",
                place(block)
            )),
            None if !text.is_ascii() => finding
                .label("not a comment: it starts with neither `#` nor `!`")
                .help("put `#` before a comment, or remove the line"),
            None => finding.help("remove the line, or put `#` before a comment"),
        };
        self.report(finding);
    }
}

fn lookup(context: &Context, name: &str) -> Option<&'static Keyword> {
    let mut blocks = context.blocks.iter();
    let own = blocks.find_map(|block| registry::find(*block, name));
    own.or_else(|| {
        // `lb_kind (in real_server)` is how the registry tells it from the `lb_kind` of another block.
        let mut also = context.also.iter();
        let (block, listed) = also.find(|(_, listed)| listed.split(" (").next() == Some(name))?;
        registry::find(*block, listed)
    })
}

fn place(block: Block) -> String {
    if block == Block::Root {
        return "no block: it stands outside of all".to_owned();
    }
    let label = block.label();
    let short = label.split_once(" (").map_or(label, |(short, _)| short);
    format!("`{short}`")
}
