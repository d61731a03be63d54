//! The words of one line, taken from the front. What is missing is reported by the taker.

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::error;

/// The words of a line that are not taken yet.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    first: Option<&'a Word>,
    rest: &'a [Word],
}

impl<'a> Words<'a> {
    /// All words of a line.
    pub(super) fn of(line: &'a Statement) -> Self {
        Self {
            first: Some(&line.keyword),
            rest: &line.arguments,
        }
    }

    /// The next word, which stays.
    pub(super) fn peek(&self) -> Option<&'a Word> {
        self.first.or_else(|| self.rest.first())
    }

    /// Takes the next word when it is this one.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let matches = self.peek().is_some_and(|word| word.text == text);
        if matches {
            self.next();
        }
        matches
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a Word;

    fn next(&mut self) -> Option<&'a Word> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(word)
    }
}

impl Build<'_> {
    /// The value behind `option`; a line that ends there is reported and `what` is left out.
    pub(super) fn value_of<'a>(
        &mut self,
        words: &mut Words<'a>,
        option: &Word,
        what: &str,
    ) -> Option<&'a Word> {
        let value = words.next();
        if value.is_none() {
            self.report(error(
                option.span,
                format!("`{}` lacks its value; the {what} is left out", option.text),
            ));
        }
        value
    }
}
