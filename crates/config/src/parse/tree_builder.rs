//! Words and braces into statements and blocks, and what to say when braces do not match.

use super::keywords::{is_command, is_root_block};
use crate::diagnostic::{Diagnostic, Findings};
use crate::source::{Sources, Span};
use crate::tree::{NewWord, NodeAt, Part, Statement, Tree};

/// How deep blocks may nest. The language needs six levels; the bound keeps the tree walkable by recursion.
const MAX_NESTING: usize = 32;

/// Puts the tree together.
#[derive(Default)]
pub(super) struct TreeBuilder {
    tree: Tree,
    frames: Vec<Frame>,
    /// The statement of this line.
    current: Option<Header>,
    /// The statement of an earlier line, which may still get a block.
    waiting: Option<Header>,
    /// Blocks that are open beyond [`MAX_NESTING`]; what is in them is left out.
    too_deep: usize,
    /// Indentation of the line, until its first token was taken.
    line_start: Option<usize>,
    /// The block that seems to lack its `}`.
    suspect: Option<Suspect>,
    /// Keyword and place of the `}` of the block outside all others that was closed last.
    last_closed: Option<(NodeAt, Span)>,
    words: usize,
}

/// The statement that is last in the tree.
struct Header {
    at: NodeAt,
    /// Indentation, when it begins its line.
    indentation: Option<usize>,
    /// Its argument is a command line.
    command: bool,
    /// It acts while the files are read.
    acts_early: bool,
}

struct Frame {
    /// The block in the tree; `None` for braces without keyword, whose statements go to the block around.
    block: Option<OpenBlock>,
    open: Span,
}

struct OpenBlock {
    header: Header,
    begun: NodeAt,
}

struct Suspect {
    keyword: NodeAt,
    open: Span,
    /// The line that gave it away.
    seen: Span,
}

impl TreeBuilder {
    /// A text of so many bytes follows.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.tree.expect(bytes);
    }

    /// A new line begins, indented so far.
    pub(super) fn begin_line(&mut self, indentation: Option<usize>) {
        self.line_start = indentation;
    }

    /// The line ends; its statement is complete unless a block follows in the next lines.
    pub(super) fn end_of_line(&mut self) {
        if let Some(header) = self.current.take() {
            self.waiting = Some(header);
        }
    }

    /// Takes a word.
    pub(super) fn word(&mut self, word: NewWord<'_>) {
        let indentation = self.line_start.take();
        self.words += 1;
        if self.too_deep > 0 {
            return;
        }
        if self.current.is_some() {
            self.tree.word(Part::Argument, word);
            return;
        }
        self.waiting = None;
        let part = if self.is_outside() {
            Part::Root
        } else {
            Part::Keyword
        };
        self.current = Some(Header {
            at: self.tree.word(part, word),
            indentation,
            command: is_command(word.text),
            acts_early: matches!(word.text, "include_check" | "random_seed"),
        });
    }

    /// Takes a `{`.
    pub(super) fn open(&mut self, span: Span, sources: &Sources, findings: &mut Findings) {
        self.line_start = None;
        let mut header = self.current.take().or_else(|| self.waiting.take());
        if self.too_deep > 0 || self.frames.len() >= MAX_NESTING {
            if self.too_deep == 0 {
                findings.add(
                    Diagnostic::error(
                        span,
                        format!("blocks are nested more than {MAX_NESTING} deep"),
                    )
                    .with_label("this block is left out"),
                );
            }
            if let Some(header) = header {
                self.tree.take_last(header.at);
            }
            self.too_deep += 1;
            return;
        }
        match &mut header {
            None => findings.add(
                Diagnostic::error(span, "`{` without a keyword before it").with_help(
                    "remove it and its `}`, or write the keyword of the block before it",
                ),
            ),
            Some(header) => {
                let begins_line = header.indentation.is_some();
                if begins_line
                    && !self.frames.is_empty()
                    && is_root_block(self.tree.keyword_at(header.at, sources))
                {
                    let next = self.tree.keyword_at(header.at, sources).to_owned();
                    let place = self.tree.keyword_place(header.at).unwrap_or(span);
                    let taken = self.tree.take_last(header.at);
                    self.close_all(Some((&next, place)), sources, findings);
                    header.at = self.tree.put_back(taken);
                }
            }
        }
        let block = header.map(|header| OpenBlock {
            header,
            begun: self.tree.open(span),
        });
        self.frames.push(Frame { block, open: span });
    }

    /// Takes a `}`.
    pub(super) fn close(&mut self, span: Span, sources: &Sources, findings: &mut Findings) {
        let indentation = self.line_start.take();
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        self.current = None;
        self.waiting = None;
        let Some(frame) = self.frames.pop() else {
            self.stray(span, sources, findings);
            return;
        };
        self.suspect_by_indentation(&frame, indentation, span);
        if self.frames.is_empty() {
            self.suspect = None;
            let block = frame.block.as_ref();
            self.last_closed = block.map(|block| (block.header.at, span));
        }
        self.end_frame(&frame, span);
    }

    /// The statements outside all blocks; reports blocks that are not closed.
    pub(super) fn finish(&mut self, sources: &Sources, findings: &mut Findings) -> Tree {
        self.current = None;
        self.waiting = None;
        self.close_all(None, sources, findings);
        std::mem::take(&mut self.tree)
    }

    /// True when a line could begin a statement.
    pub(super) const fn is_between_statements(&self) -> bool {
        self.current.is_none()
    }

    /// True while the statement that is being read has a command line for its argument.
    pub(super) fn is_command(&self) -> bool {
        self.current.as_ref().is_some_and(|header| header.command)
    }

    /// The statement that is being read, if it is one of `global_defs` that acts while the files are read:
    /// `include_check` or `random_seed`.
    pub(super) fn early(&self, sources: &Sources) -> Option<Statement> {
        let header = self.current.as_ref().filter(|header| header.acts_early)?;
        let around = self.frames.last()?.block.as_ref()?.header.at;
        (self.tree.keyword_at(around, sources) == "global_defs")
            .then(|| self.tree.statement_at(header.at, sources))?
    }

    /// Number of words so far.
    pub(super) const fn words(&self) -> usize {
        self.words
    }

    /// True while no block is open that is in the tree.
    fn is_outside(&self) -> bool {
        self.frames.iter().all(|frame| frame.block.is_none())
    }

    fn end_frame(&mut self, frame: &Frame, last: Span) {
        if let Some(block) = &frame.block {
            self.tree.close(block.begun, last);
        }
    }

    /// A `}` that is indented less than the block that it closes, and as much as one around it, closes the wrong
    /// one: the inner one lacks its brace.
    fn suspect_by_indentation(&mut self, closed: &Frame, indentation: Option<usize>, span: Span) {
        if self.suspect.is_some() {
            return;
        }
        let (Some(brace), Some(block)) = (indentation, &closed.block) else {
            return;
        };
        let of_outer_block = self.frames.iter().any(|frame| {
            let outer = frame.block.as_ref();
            outer.and_then(|block| block.header.indentation) == Some(brace)
        });
        let own = block.header.indentation;
        if of_outer_block && own.is_some_and(|own| brace < own) {
            self.suspect = Some(Suspect {
                keyword: block.header.at,
                open: closed.open,
                seen: span,
            });
        }
    }

    fn stray(&self, span: Span, sources: &Sources, findings: &mut Findings) {
        let mut diagnostic = Diagnostic::error(span, "`}` without a block that is open")
            .with_help("remove it, or add the `{` that it belongs to");
        if let Some((keyword, closed)) = self.last_closed {
            let line = line_of(closed, sources);
            let keyword = self.tree.keyword_at(keyword, sources);
            diagnostic = diagnostic.with_help(format!(
                "the block `{keyword}` was closed by the `}}` in {line} already: remove one of the two"
            ));
        }
        findings.add(diagnostic);
    }

    /// Closes what is open, before a block that cannot be inside or at the end.
    fn close_all(
        &mut self,
        next: Option<(&str, Span)>,
        sources: &Sources,
        findings: &mut Findings,
    ) {
        self.too_deep = 0;
        let suspect = self.suspect.take();
        while let Some(frame) = self.frames.pop() {
            let block = frame.block.as_ref();
            let name = block.map_or("", |block| self.tree.keyword_at(block.header.at, sources));
            let message = match next {
                Some((keyword, place)) => format!(
                    "the block `{name}` is not closed before `{keyword}` in {}",
                    line_of(place, sources)
                ),
                None => format!("the block `{name}` is not closed at the end of the configuration"),
            };
            let mut diagnostic =
                Diagnostic::error(frame.open, message).with_label("this `{` has no `}`");
            if let Some(suspect) = &suspect {
                diagnostic = diagnostic.with_help(format!(
                    "by the indentation, the `}}` of `{}` ({}) is missing before {}",
                    self.tree.keyword_at(suspect.keyword, sources),
                    line_of(suspect.open, sources),
                    line_of(suspect.seen, sources)
                ));
            }
            findings.add(diagnostic);
            let last = self.tree.last_place().unwrap_or(frame.open);
            self.end_frame(&frame, last);
        }
    }
}

/// `line 7`, for messages.
fn line_of(span: Span, sources: &Sources) -> String {
    sources.locate(span).map_or_else(
        || "another file".to_owned(),
        |place| format!("line {}", place.line),
    )
}
