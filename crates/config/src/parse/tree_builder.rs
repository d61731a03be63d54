//! Words and braces into statements and blocks, and what to say when braces do not match.

use super::keywords::is_root_block;
use crate::diagnostic::{Diagnostic, Findings};
use crate::source::{Sources, Span};
use crate::tree::{Block, Statement, Word};

/// How deep blocks may nest. The language needs six levels; the bound keeps the tree walkable by recursion.
const MAX_NESTING: usize = 32;

/// Puts the tree together.
#[derive(Default)]
pub(super) struct TreeBuilder {
    root: Vec<Statement>,
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
    last_closed: Option<(String, Span)>,
    words: usize,
}

struct Header {
    keyword: Word,
    arguments: Vec<Word>,
    /// Indentation, when it begins its line.
    indentation: Option<usize>,
}

struct Frame {
    /// `None` for braces without keyword: their statements go to the block around.
    header: Option<Header>,
    open: Span,
    statements: Vec<Statement>,
}

struct Suspect {
    keyword: String,
    open: Span,
    /// The line that gave it away.
    seen: Span,
}

impl TreeBuilder {
    /// A new line begins, indented so far.
    pub(super) fn begin_line(&mut self, indentation: Option<usize>) {
        self.line_start = indentation;
    }

    /// The line ends; its statement is complete unless a block follows in the next lines.
    pub(super) fn end_of_line(&mut self) {
        if let Some(header) = self.current.take() {
            self.flush();
            self.waiting = Some(header);
        }
    }

    /// Takes a word.
    pub(super) fn word(&mut self, word: Word) {
        let indentation = self.line_start.take();
        self.words += 1;
        if self.too_deep > 0 {
            return;
        }
        if let Some(header) = &mut self.current {
            // Most statements have one argument: no room for more until there is one.
            if header.arguments.is_empty() {
                header.arguments.reserve_exact(1);
            }
            header.arguments.push(word);
            return;
        }
        self.flush();
        self.current = Some(Header {
            keyword: word,
            arguments: Vec::new(),
            indentation,
        });
    }

    /// Takes a `{`.
    pub(super) fn open(&mut self, span: Span, sources: &Sources, findings: &mut Findings) {
        self.line_start = None;
        let header = self.current.take().or_else(|| self.waiting.take());
        self.flush();
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
            self.too_deep += 1;
            return;
        }
        match &header {
            None => findings.add(
                Diagnostic::error(span, "`{` without a keyword before it").with_help(
                    "remove it and its `}`, or write the keyword of the block before it",
                ),
            ),
            Some(header) => {
                let begins_line = header.indentation.is_some();
                if begins_line && !self.frames.is_empty() && is_root_block(&header.keyword.text) {
                    let next = (header.keyword.text.clone(), header.keyword.span);
                    self.close_all(Some(&next), sources, findings);
                }
            }
        }
        self.frames.push(Frame {
            header,
            open: span,
            statements: Vec::new(),
        });
    }

    /// Takes a `}`.
    pub(super) fn close(&mut self, span: Span, sources: &Sources, findings: &mut Findings) {
        let indentation = self.line_start.take();
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        if let Some(header) = self.current.take() {
            self.flush();
            self.push(header.into_statement(None));
        }
        self.flush();
        let Some(frame) = self.frames.pop() else {
            self.stray(span, sources, findings);
            return;
        };
        self.suspect_by_indentation(&frame, indentation, span);
        if self.frames.is_empty() {
            self.suspect = None;
            let keyword = frame
                .header
                .as_ref()
                .map(|header| header.keyword.text.clone());
            self.last_closed = keyword.map(|keyword| (keyword, span));
        }
        self.end_frame(frame, span);
    }

    /// The statements outside all blocks; reports blocks that are not closed.
    pub(super) fn finish(&mut self, sources: &Sources, findings: &mut Findings) -> Vec<Statement> {
        self.end_of_line();
        self.flush();
        self.close_all(None, sources, findings);
        std::mem::take(&mut self.root)
    }

    /// True when a line could begin a statement.
    pub(super) fn is_between_statements(&self) -> bool {
        self.current.is_none()
    }

    /// Keyword of the statement that is being read.
    pub(super) fn keyword(&self) -> Option<&str> {
        self.current
            .as_ref()
            .map(|header| header.keyword.text.as_str())
    }

    /// The statement that is being read.
    pub(super) fn current(&self) -> Option<(&Word, &[Word])> {
        self.current
            .as_ref()
            .map(|header| (&header.keyword, header.arguments.as_slice()))
    }

    /// Keyword of the block that is being read.
    pub(super) fn block_keyword(&self) -> Option<&str> {
        let header = self.frames.last()?.header.as_ref()?;
        Some(&header.keyword.text)
    }

    /// Number of words so far.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    fn flush(&mut self) {
        if let Some(header) = self.waiting.take() {
            self.push(header.into_statement(None));
        }
    }

    fn push(&mut self, statement: Statement) {
        self.frames
            .last_mut()
            .map_or(&mut self.root, |frame| &mut frame.statements)
            .push(statement);
    }

    fn end_frame(&mut self, mut frame: Frame, close: Span) {
        frame.statements.shrink_to_fit();
        let span = if close.file == frame.open.file && close.end >= frame.open.end {
            Span {
                end: close.end,
                ..frame.open
            }
        } else {
            frame.open
        };
        match frame.header {
            Some(header) => {
                let block = Block {
                    statements: frame.statements,
                    span,
                };
                self.push(header.into_statement(Some(block)));
            }
            None => {
                for statement in frame.statements {
                    self.push(statement);
                }
            }
        }
    }

    /// A `}` that is indented less than the block that it closes, and as much as one around it, closes the wrong
    /// one: the inner one lacks its brace.
    fn suspect_by_indentation(&mut self, closed: &Frame, indentation: Option<usize>, span: Span) {
        if self.suspect.is_some() {
            return;
        }
        let (Some(brace), Some(header)) = (indentation, &closed.header) else {
            return;
        };
        let of_outer_block = self.frames.iter().any(|frame| {
            let outer = frame.header.as_ref().and_then(|header| header.indentation);
            outer == Some(brace)
        });
        if of_outer_block && header.indentation.is_some_and(|own| brace < own) {
            self.suspect = Some(Suspect {
                keyword: header.keyword.text.clone(),
                open: closed.open,
                seen: span,
            });
        }
    }

    fn stray(&self, span: Span, sources: &Sources, findings: &mut Findings) {
        let mut diagnostic = Diagnostic::error(span, "`}` without a block that is open")
            .with_help("remove it, or add the `{` that it belongs to");
        if let Some((keyword, closed)) = &self.last_closed {
            let line = line_of(*closed, sources);
            diagnostic = diagnostic.with_help(format!(
                "the block `{keyword}` was closed by the `}}` in {line} already: remove one of the two"
            ));
        }
        findings.add(diagnostic);
    }

    /// Closes what is open, before a block that cannot be inside or at the end.
    fn close_all(
        &mut self,
        next: Option<&(String, Span)>,
        sources: &Sources,
        findings: &mut Findings,
    ) {
        self.too_deep = 0;
        let suspect = self.suspect.take();
        while let Some(frame) = self.frames.pop() {
            let name = frame
                .header
                .as_ref()
                .map_or("", |header| &header.keyword.text);
            let message = match next {
                Some((keyword, place)) => format!(
                    "the block `{name}` is not closed before `{keyword}` in {}",
                    line_of(*place, sources)
                ),
                None => format!("the block `{name}` is not closed at the end of the configuration"),
            };
            let mut diagnostic =
                Diagnostic::error(frame.open, message).with_label("this `{` has no `}`");
            if let Some(suspect) = &suspect {
                diagnostic = diagnostic.with_help(format!(
                    "by the indentation, the `}}` of `{}` ({}) is missing before {}",
                    suspect.keyword,
                    line_of(suspect.open, sources),
                    line_of(suspect.seen, sources)
                ));
            }
            findings.add(diagnostic);
            let end = frame.statements.last().map_or(frame.open, |last| {
                last.block
                    .as_ref()
                    .map_or(last.keyword.span, |block| block.span)
            });
            self.end_frame(frame, end);
        }
    }
}

impl Header {
    fn into_statement(self, block: Option<Block>) -> Statement {
        Statement {
            keyword: self.keyword,
            arguments: self.arguments,
            block,
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
