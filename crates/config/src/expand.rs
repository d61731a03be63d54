//! Parameters: `$NAME=VALUE` and what stands for a use. [`crate::parse`] defines and expands line by line, so
//! that a value is worked out where it is used.
//!
//! Everything is bounded: a configuration whose parameters name each other is an error, not a hang.

pub(crate) mod line;
pub(crate) mod sequence;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kr_model::rng::Rng;

use crate::diagnostic::{Diagnostic, Findings};
use crate::lexer::{self, MacroUse};
use crate::source::{Host, Span};
use line::Line;

/// How deep parameters, repeated lines and included files may nest in all.
pub(crate) const MAX_DEPTH: usize = 64;

/// Bytes that all expansions of one configuration may make: about 65,000 instances of a usual size.
const MAX_EXPANDED: usize = 128 << 20;

/// Largest number that `${_RANDOM}` gives.
const RANDOM_MAX: u32 = 32_767;

/// Expansion had to be given up; the reason is among the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop;

/// The parameters that are defined at this point of the text.
pub(crate) struct Macros<'h> {
    host: &'h dyn Host,
    config_id: String,
    defined: BTreeMap<String, Rc<str>>,
    /// Directory of the file that is being read, for `${_PWD}`.
    pub(crate) directory: PathBuf,
    expanded: usize,
    /// Since `random_seed`: where numbers come from.
    seeded: RefCell<Option<Rng>>,
}

/// What stands for a use of a parameter.
pub(crate) enum Value {
    /// A definition: uses within it are replaced in turn.
    Defined(Rc<str>),
    /// The result of a predefined parameter: taken as it is.
    Plain(String),
}

impl<'h> Macros<'h> {
    /// No definitions but the predefined ones.
    pub(crate) fn new(host: &'h dyn Host, config_id: String) -> Self {
        Self {
            host,
            config_id,
            defined: BTreeMap::new(),
            directory: PathBuf::new(),
            expanded: 0,
            seeded: RefCell::new(None),
        }
    }

    /// From here on `${_RANDOM}` gives the numbers of this seed (`random_seed`).
    pub(crate) fn seed(&mut self, seed: u32) {
        *self.seeded.get_mut() = Some(Rng::new(seed.into()));
    }

    /// The id that `@ID` lines are compared with.
    pub(crate) fn config_id(&self) -> &str {
        &self.config_id
    }

    /// `$NAME=VALUE`; lines of the value are separated by line feeds. Gives the former value.
    pub(crate) fn define(&mut self, name: &str, value: &str) -> Option<Rc<str>> {
        let value = value.trim_matches(lexer::is_space_character);
        self.defined.insert(name.to_owned(), value.into())
    }

    /// Sets the definition of a name back to what [`Macros::define`] gave.
    pub(crate) fn restore(&mut self, name: &str, former: Option<Rc<str>>) {
        match former {
            Some(value) => self.defined.insert(name.to_owned(), value),
            None => self.defined.remove(name),
        };
    }

    /// The definition of a name; not of predefined ones.
    pub(crate) fn definition(&self, name: &str) -> Option<Rc<str>> {
        self.defined.get(name).cloned()
    }

    /// Counts bytes against the bound of all expansions.
    pub(crate) fn charge(
        &mut self,
        bytes: usize,
        span: Span,
        findings: &mut Findings,
    ) -> Result<(), Stop> {
        self.expanded = self.expanded.saturating_add(bytes);
        if self.expanded <= MAX_EXPANDED {
            return Ok(());
        }
        findings.add(
            Diagnostic::error(span, "the parameters expand to more text than can be read")
                .with_label("expansion was given up here")
                .with_help(
                    "a parameter that repeats others several times over grows without bound",
                ),
        );
        Err(Stop)
    }

    /// The line from a byte on with all uses replaced; words that come out of a use get its place.
    pub(crate) fn expand(
        &mut self,
        line: &Line<'_>,
        from: usize,
        findings: &mut Findings,
    ) -> Result<Line<'static>, Stop> {
        let mut output = line::LineBuilder::default();
        let mut copied = from;
        let mut at = from;
        while let Some(dollar) = find_dollar(&line.text, at) {
            at = dollar + 1;
            let Some(found) = lexer::macro_use(&line.text, dollar) else {
                self.check_unreplaced(line, dollar, findings);
                continue;
            };
            let span = line.span(dollar, found.end);
            at = found.end;
            let Some(value) = self.value(found) else {
                undefined(found.name, span, findings);
                continue;
            };
            output.copy(line, copied, dollar);
            copied = found.end;
            let mut text = String::new();
            self.replace_into(&value, span, 1, &mut text, findings)?;
            output.put(&text, span);
        }
        output.copy(line, copied, line.text.len());
        Ok(output.finish())
    }

    /// Appends a value with the uses within it replaced.
    fn replace_into(
        &mut self,
        value: &Value,
        span: Span,
        depth: usize,
        output: &mut String,
        findings: &mut Findings,
    ) -> Result<(), Stop> {
        let text = match value {
            Value::Defined(text) => text,
            Value::Plain(text) => {
                self.charge(text.len().saturating_add(1), span, findings)?;
                output.push_str(text);
                return Ok(());
            }
        };
        self.charge(text.len().saturating_add(1), span, findings)?;
        let mut copied = 0;
        let mut at = 0;
        while let Some(dollar) = find_dollar(text, at) {
            at = dollar + 1;
            let Some(found) = lexer::macro_use(text, dollar) else {
                continue;
            };
            at = found.end;
            let Some(inner) = self.value(found) else {
                undefined(found.name, span, findings);
                continue;
            };
            if depth >= MAX_DEPTH {
                findings.add(too_deep(found.name, span));
                return Err(Stop);
            }
            output.push_str(text.get(copied..dollar).unwrap_or_default());
            copied = found.end;
            self.replace_into(&inner, span, depth + 1, output, findings)?;
        }
        output.push_str(text.get(copied..).unwrap_or_default());
        Ok(())
    }

    fn value(&self, found: MacroUse<'_>) -> Option<Value> {
        if let Some(value) = self.definition(found.name) {
            return Some(Value::Defined(value));
        }
        let plain = match found.name {
            "_PWD" => path_text(&self.directory),
            "_INSTANCE" => self.config_id.clone(),
            "_RANDOM" => self.random(found.arguments)?.to_string(),
            "_ENV" => self
                .host
                .environment(found.arguments.trim())
                .unwrap_or_default(),
            "_HASH" => "#".to_owned(),
            "_BANG" => "!".to_owned(),
            _ => return None,
        };
        Some(Value::Plain(plain))
    }

    fn random(&self, arguments: &str) -> Option<u32> {
        let mut numbers = arguments.split_whitespace().map(str::parse::<u32>);
        let min = numbers.next().unwrap_or(Ok(0)).ok()?;
        let max = numbers.next().unwrap_or(Ok(RANDOM_MAX)).ok()?;
        if min >= max {
            return Some(min);
        }
        let Some(rng) = &mut *self.seeded.borrow_mut() else {
            return Some(self.host.random(min, max));
        };
        let range = u64::from(max.saturating_sub(min)).saturating_add(1);
        let above = rng.next().checked_rem(range)?;
        Some(min.saturating_add(u32::try_from(above).ok()?))
    }

    /// `$NAMEx` where `$NAME` was meant is left alone, so say it.
    fn check_unreplaced(&self, line: &Line<'_>, dollar: usize, findings: &mut Findings) {
        let Some((name, end)) = lexer::bare_name(&line.text, dollar) else {
            return;
        };
        if self.defined.contains_key(name) {
            findings.add(
                Diagnostic::warning(
                    line.span(dollar, end),
                    format!("parameter `${name}` is not replaced here"),
                )
                .with_label("white space, `,` or `)` must follow the name")
                .with_help(format!("write ${{{name}}}")),
            );
        }
    }
}

/// A finding for parameters that go round in a circle.
pub(crate) fn too_deep(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        span,
        format!("parameter `${name}` is nested more than {MAX_DEPTH} deep"),
    )
    .with_help("does its value name itself, directly or through another parameter?")
}

fn undefined(name: &str, span: Span, findings: &mut Findings) {
    findings.add(
        Diagnostic::warning(span, format!("parameter `${name}` is not defined"))
            .with_label("left as it stands")
            .with_help(format!(
                "define it above this line with ${name}=VALUE at the beginning of a line"
            )),
    );
}

fn find_dollar(text: &str, from: usize) -> Option<usize> {
    Some(from + text.get(from..)?.find('$')?)
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
