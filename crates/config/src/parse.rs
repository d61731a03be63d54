//! From files to the tree of statements: the one entry of the lexical layer, [`parse`]. Called by the
//! builder of the typed configuration and by whoever wants to see a configuration as it was understood.
//!
//! Line by line: comment away, `@ID` conditions, `$NAME=` definitions, `~SEQ`/`~LST` repetitions, `include`,
//! parameters replaced, and what remains goes as words and braces to the tree.

mod include;
mod keywords;
mod physical;
mod tree_builder;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::diagnostic::{Diagnostic, Findings};
use crate::expand::line::{Line, LineBuilder};
use crate::expand::sequence::{self, Head, Repetition};
use crate::expand::{MAX_DEPTH, Macros, Stop, too_deep};
use crate::lexer::{self, Token, Tokens};
use crate::source::{Host, Sources, Span};
use crate::tree::{NewWord, Statement, Tree};
use include::Checks;
use tree_builder::TreeBuilder;

/// What a repeated line counts against the bound of expansions, besides its text.
const TURN_COST: usize = 512;

/// Most words of one configuration: a bound for what parameters can make of a small file, about six times what
/// 50,000 real servers need.
const MAX_WORDS: usize = 8 << 20;

/// What the reader must know besides the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// The id for `@ID` lines; `None` for the host name up to its first dot.
    pub config_id: Option<String>,
    /// Every check of included files is on from the beginning, not only those of `include_check`.
    pub all_include_checks: bool,
}

/// Everything that was read.
#[derive(Debug)]
pub struct Parsed {
    /// The files.
    pub sources: Sources,
    /// The statements.
    pub tree: Tree,
    /// What was found, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// The statements outside all blocks, in order.
    #[must_use]
    pub fn root(&self) -> Vec<Statement> {
        let roots = self.tree.roots(&self.sources);
        roots.filter_map(|root| root.statement()).collect()
    }
}

/// Reads a configuration with all files that it includes. What cannot be read or understood is a diagnostic;
/// the rest is read all the same.
#[must_use]
pub fn parse(host: &dyn Host, path: &Path, options: &ParseOptions) -> Parsed {
    let config_id = options.config_id.clone().unwrap_or_else(|| {
        let name = host.host_name();
        name.split('.').next().unwrap_or_default().to_owned()
    });
    let mut parser = Parser {
        host,
        sources: Sources::default(),
        findings: Findings::default(),
        macros: Macros::new(host, config_id),
        builder: TreeBuilder::default(),
        checks: Checks::initial(options.all_include_checks),
        open_files: Vec::new(),
        bytes_read: 0,
        depth: 0,
        stopped: false,
    };
    match host.read(path) {
        Ok(text) => parser.file(path.to_path_buf(), text),
        Err(error) => parser.findings.add(
            Diagnostic::fatal(format!("cannot read {}: {error}", path.display()))
                .with_help("name another file with -f, or create this one"),
        ),
    }
    let tree = parser.builder.finish(&parser.sources, &mut parser.findings);
    let mut diagnostics = parser.findings.into_list();
    // The ASCII form of a wide character begins or ends within it.
    for span in diagnostics
        .iter_mut()
        .filter_map(|found| found.span.as_mut())
    {
        *span = parser.sources.whole_characters(*span);
    }
    Parsed {
        sources: parser.sources,
        tree,
        diagnostics,
    }
}

struct Parser<'h> {
    host: &'h dyn Host,
    sources: Sources,
    findings: Findings,
    macros: Macros<'h>,
    builder: TreeBuilder,
    checks: Checks,
    /// The file that is being read and those that include it.
    open_files: Vec<PathBuf>,
    bytes_read: usize,
    /// Parameters, repetitions and files that the line being read is nested in.
    depth: usize,
    /// A bound was passed and reported; nothing more is read.
    stopped: bool,
}

impl Parser<'_> {
    /// Reads a line from a byte on. `expanded`: its parameters are replaced already.
    fn line(&mut self, line: &Line<'_>, start: usize, expanded: bool) {
        let mut at = lexer::skip_space(&line.text, start);
        while !self.stopped && lexer::byte_at(&line.text, at) == Some(b'@') {
            match self.condition(line, at) {
                Some(next) => at = next,
                None => return,
            }
        }
        let Some(first) = lexer::byte_at(&line.text, at) else {
            return;
        };
        if self.stopped {
            return;
        }
        if first == b'~'
            && let Some(head) = sequence::head(&line.text, at)
        {
            return self.repeat(line, at, head);
        }
        if first == b'$' {
            if let Some((name, value)) = lexer::definition(&line.text, at) {
                self.macros
                    .define(name, line.text.get(value..).unwrap_or_default());
                return;
            }
            if !expanded && self.leading_parameter(line, at) {
                return;
            }
        }
        if first == b'i' && self.builder.is_between_statements() && self.include_line(line, at) {
            return;
        }
        if !expanded && line.text.get(at..).is_some_and(|rest| rest.contains('$')) {
            match self.macros.expand(line, at, &mut self.findings) {
                Ok(replaced) => self.expanded_line(line, at, &replaced),
                Err(Stop) => self.builder.end_of_line(),
            }
        } else {
            self.words(line, at);
        }
    }

    /// Reads a line whose parameters were replaced; a value of several lines makes several of it.
    fn expanded_line(&mut self, original: &Line<'_>, at: usize, replaced: &Line<'_>) {
        if !replaced.text.contains('\n') {
            return self.line(replaced, 0, true);
        }
        let place = original.span(at, original.text.len());
        for text in replaced.text.split('\n') {
            self.line(&Line::of_use(text.into(), place), 0, true);
        }
    }

    /// `@ID` and `@^ID`: where the rest of the line begins when it is to be read.
    fn condition(&mut self, line: &Line<'_>, at: usize) -> Option<usize> {
        let end = lexer::skip_word(&line.text, at);
        let word = line.text.get(at + 1..end).unwrap_or_default();
        let (id, wanted) = match word.strip_prefix('^') {
            Some(id) => (id, false),
            None => (word, true),
        };
        if id.is_empty() {
            self.findings.add(
                Diagnostic::error(line.span(at, end), "a configuration id must follow `@`")
                    .with_help("write `@ID` or `@^ID` without space, and the line after it"),
            );
            return None;
        }
        ((id == self.macros.config_id()) == wanted).then(|| lexer::skip_space(&line.text, end))
    }

    /// `~SEQ`, `~SEQx`, `~LST`: the rest of the line once for each value.
    fn repeat(&mut self, line: &Line<'_>, at: usize, head: Head<'_>) {
        let span = line.span(at, head.end);
        let Some(repetition) = self.repetition(head, span) else {
            return;
        };
        if !self.enter() {
            self.findings.add(Diagnostic::error(
                span,
                format!("repetitions are nested more than {MAX_DEPTH} deep"),
            ));
            return;
        }
        let names = repetition.names();
        let former: Vec<_> = names
            .iter()
            .map(|name| self.macros.definition(name))
            .collect();
        let cost = line.text.len().saturating_add(TURN_COST);
        for values in repetition.turns() {
            let charged = self.macros.charge(cost, span, &mut self.findings);
            if charged.is_err() || self.stopped {
                break;
            }
            for (name, value) in names.iter().zip(&values) {
                self.macros.define(name, value);
            }
            self.line(line, head.end, false);
        }
        for (name, value) in names.iter().zip(former) {
            self.macros.restore(name, value);
        }
        self.leave();
    }

    /// The arguments of a repetition, in which parameters may stand; `None` when they are wrong.
    fn repetition(&mut self, head: Head<'_>, span: Span) -> Option<Repetition> {
        let reason = match head.arguments {
            None => "its `(` is not closed".to_owned(),
            Some(arguments) => {
                let arguments = Line::of_use(arguments.into(), span);
                let expanded = self.macros.expand(&arguments, 0, &mut self.findings);
                match Repetition::parse(head.kind, &expanded.ok()?.text) {
                    Ok(repetition) => return Some(repetition),
                    Err(reason) => reason,
                }
            }
        };
        self.findings.add(
            Diagnostic::error(span, format!("cannot repeat this line: {reason}"))
                .with_help("write ~SEQ(NAME,START,STEP,END) or ~LST(NAME,VALUE,...)"),
        );
        None
    }

    /// A parameter at the beginning of a line may hold a condition, a repetition or whole blocks; these are read
    /// one by one, so that what they define is known further down in them. True when it was such a one.
    fn leading_parameter(&mut self, line: &Line<'_>, at: usize) -> bool {
        let Some(found) = lexer::macro_use(&line.text, at) else {
            return false;
        };
        let Some(value) = self.macros.definition(found.name) else {
            return false;
        };
        let several = value.contains('\n');
        if !several && !value.starts_with(['@', '~', '$']) {
            return false;
        }
        let span = line.span(at, found.end);
        if !self.enter() {
            self.findings.add(too_deep(found.name, span));
            return true;
        }
        let charged = self
            .macros
            .charge(value.len() + TURN_COST, span, &mut self.findings);
        if charged.is_err() {
            self.stopped = true;
        } else if several {
            self.lines_of_value(&value, span);
            self.line(line, found.end, false);
        } else {
            let mut joined = LineBuilder::default();
            joined.put(&value, span);
            joined.copy(line, found.end, line.text.len());
            self.line(&joined.finish(), 0, false);
        }
        self.leave();
        true
    }

    fn lines_of_value(&mut self, value: &Rc<str>, place: Span) {
        for text in value.split('\n') {
            self.line(&Line::of_use(text.into(), place), 0, false);
        }
    }

    /// Gives the words and braces of a line to the tree.
    fn words(&mut self, line: &Line<'_>, start: usize) {
        self.builder.begin_line(indentation(line, start));
        let mut tokens = Tokens::new(&line.text, start);
        while let Some(token) = tokens.next(self.builder.is_command()) {
            match token {
                Token::Open(at) => {
                    let span = self.place(line, at, at + 1);
                    self.builder.open(span, &self.sources, &mut self.findings);
                }
                Token::Close(at) => {
                    let span = self.place(line, at, at + 1);
                    self.builder.close(span, &self.sources, &mut self.findings);
                }
                Token::Word {
                    text,
                    start,
                    end,
                    quoted,
                    unclosed,
                } => {
                    if let Some(quote) = unclosed {
                        self.unclosed_quote(line, quote);
                    }
                    let word = NewWord {
                        text: &text,
                        span: self.place(line, start, end),
                        quoted,
                        verbatim: !quoted && line.is_verbatim() && matches!(text, Cow::Borrowed(_)),
                    };
                    if self.builder.words() >= MAX_WORDS {
                        self.findings.add(Diagnostic::error(
                            word.span,
                            "the configuration has too many words",
                        ));
                        self.stopped = true;
                        return;
                    }
                    self.builder.word(word);
                }
            }
        }
        if let Some(statement) = self.builder.early(&self.sources) {
            match (&*statement.keyword.text, statement.arguments.first()) {
                // A number that cannot be is reported when the configuration is built.
                ("random_seed", Some(seed)) => {
                    if let Ok(seed) = seed.text.parse() {
                        self.macros.seed(seed);
                    }
                }
                ("random_seed", None) => {}
                _ => self.checks.follow(&statement.arguments),
            }
        }
        self.builder.end_of_line();
    }

    fn unclosed_quote(&mut self, line: &Line<'_>, at: usize) {
        let quote = line.text.get(at..=at).unwrap_or("\"");
        let place = line.span(at, at + 1);
        self.findings.add(
            Diagnostic::error(
                place,
                format!("the `{quote}` that begins here is not closed"),
            )
            .with_label("taken to reach to the end of the line")
            .with_help(format!(
                "put a `{quote}` where the text ends, in the same line"
            )),
        );
    }

    /// The place of a token in whole characters: the ASCII form of a wide character begins or ends within it.
    fn place(&self, line: &Line<'_>, start: usize, end: usize) -> Span {
        let span = line.span(start, end);
        if line.is_verbatim() {
            return span;
        }
        self.sources.whole_characters(span)
    }

    /// One level deeper; false when that is too deep.
    fn enter(&mut self) -> bool {
        let fits = self.depth < MAX_DEPTH;
        if fits {
            self.depth += 1;
        }
        fits
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// How far a line is indented; `None` when it came out of a parameter.
fn indentation(line: &Line<'_>, start: usize) -> Option<usize> {
    if !line.is_of_file() {
        return None;
    }
    let before = line.text.get(..start)?;
    Some(before.chars().fold(0, |column, character| {
        if character == '\t' {
            (column / 8 + 1) * 8
        } else {
            column + 1
        }
    }))
}

#[cfg(test)]
mod tests;
