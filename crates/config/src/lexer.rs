//! Characters of `keepalived.conf`: white space, comments, quotes, braces, and how a command line is split.
//! [`crate::parse`] calls it line by line.
//!
//! * `#` and `!` begin a comment outside double quotes; `\#` and `\!` do not.
//! * Double quotes join words; `\"` between them is a quote that does not end them.
//! * Commands (`notify_master` and others) know single quotes too. What is between their quotes is kept as
//!   it was written, because [`split_command`] splits it again.

pub(crate) mod lookalike;
mod macros;

mod command;

use std::borrow::Cow;

pub use command::{CommandError, split_command};
pub(crate) use macros::{MacroUse, bare_name, definition, macro_use};

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A word.
    Word {
        /// Its text, quotes taken away; borrowed when it stands in the line as it is.
        text: Cow<'a, str>,
        /// First byte in the line.
        start: usize,
        /// One past its last byte.
        end: usize,
        /// A part of it stood in quotes.
        quoted: bool,
        /// Where a quote begins that does not end in this line.
        unclosed: Option<usize>,
    },
    /// `{` at this byte.
    Open(usize),
    /// `}` at this byte.
    Close(usize),
}

/// Cuts a line, without its comment, into tokens.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Tokens<'a> {
    /// Begins at a byte of a line.
    pub(crate) fn new(text: &'a str, position: usize) -> Self {
        Self { text, position }
    }

    /// The next token; in the words of a command single quotes count too.
    pub(crate) fn next(&mut self, command: bool) -> Option<Token<'a>> {
        self.position = skip_space(self.text, self.position);
        let start = self.position;
        match byte_at(self.text, start)? {
            b'{' => {
                self.position += 1;
                Some(Token::Open(start))
            }
            b'}' => {
                self.position += 1;
                Some(Token::Close(start))
            }
            _ => Some(self.word(start, command)),
        }
    }

    fn word(&mut self, start: usize, command: bool) -> Token<'a> {
        let mut word = WordText {
            source: self.text,
            copied: start,
            text: None,
        };
        let mut quoted = false;
        let mut unclosed = None;
        let mut at = start;
        while let Some(byte) = byte_at(self.text, at) {
            match byte {
                b'{' | b'}' => break,
                b'"' | b'\'' if byte == b'"' || command => {
                    quoted = true;
                    word.take(at);
                    let (content, after) = quoted_part(self.text, at, byte);
                    if after.is_none() {
                        unclosed = Some(at);
                    }
                    let text = word.text.get_or_insert_default();
                    if command {
                        text.push_str(content);
                    } else {
                        push_plain(text, content);
                    }
                    at = after.unwrap_or(self.text.len());
                    word.copied = at;
                }
                b'\\' => match byte_at(self.text, at + 1) {
                    Some(b'#' | b'!') => {
                        word.take(at);
                        word.copied = at + 1;
                        at += 2;
                    }
                    Some(b'"' | b'\'' | b'\\' | b' ') if command => at += 2,
                    Some(_) | None => at += 1,
                },
                // A parameter that is not defined stays, with its braces.
                b'$' => at = macro_use(self.text, at).map_or(at + 1, |found| found.end),
                byte if is_space(byte) => break,
                _ => at += 1,
            }
        }
        self.position = at;
        Token::Word {
            text: word.finish(at),
            start,
            end: at,
            quoted,
            unclosed,
        }
    }
}

/// Text of a word that is being read: copied in as few pieces as can be, and not at all when it is one piece.
struct WordText<'a> {
    source: &'a str,
    copied: usize,
    text: Option<String>,
}

impl<'a> WordText<'a> {
    /// Takes over what was not taken yet, up to there.
    fn take(&mut self, until: usize) {
        let piece = self.source.get(self.copied..until).unwrap_or_default();
        self.text.get_or_insert_default().push_str(piece);
        self.copied = until;
    }

    fn finish(mut self, end: usize) -> Cow<'a, str> {
        if self.text.is_some() {
            self.take(end);
        }
        match self.text {
            Some(text) => Cow::Owned(text),
            None => Cow::Borrowed(self.source.get(self.copied..end).unwrap_or_default()),
        }
    }
}

/// What stands between a quote and its end, and the byte after the end; without an end, the rest.
fn quoted_part(text: &str, open: usize, quote: u8) -> (&str, Option<usize>) {
    let mut at = open + 1;
    while let Some(byte) = byte_at(text, at) {
        if byte == b'\\' {
            at += 2;
        } else if byte == quote {
            return (text.get(open + 1..at).unwrap_or_default(), Some(at + 1));
        } else {
            at += 1;
        }
    }
    let rest = text.get(open + 1..).unwrap_or_default();
    (rest.trim_end_matches(is_space_character), None)
}

/// Copies the text of an ordinary quoted word: only `\"` is special.
fn push_plain(target: &mut String, content: &str) {
    let mut rest = content;
    while let Some(position) = rest.find('\\') {
        let (before, after) = rest.split_at(position);
        target.push_str(before);
        let mut characters = after.chars();
        characters.next();
        match characters.next() {
            Some('"') => target.push('"'),
            Some(other) => {
                target.push('\\');
                target.push(other);
            }
            None => target.push('\\'),
        }
        rest = characters.as_str();
    }
    target.push_str(rest);
}

/// Where the comment of a line begins; its length when there is none.
pub(crate) fn comment_start(line: &str) -> usize {
    let mut in_quotes = false;
    let mut at = 0;
    while let Some(byte) = byte_at(line, at) {
        match byte {
            b'\\' => {
                let escapes = match byte_at(line, at + 1) {
                    Some(b'#' | b'!') => !in_quotes,
                    Some(b'"' | b'\\') => in_quotes,
                    Some(_) | None => false,
                };
                at += if escapes { 2 } else { 1 };
                continue;
            }
            b'"' => in_quotes = !in_quotes,
            b'#' | b'!' if !in_quotes => return at,
            _ => {}
        }
        at += 1;
    }
    line.len()
}

/// True for the white space that separates words.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// [`is_space`] for characters.
pub(crate) fn is_space_character(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_space)
}

/// The byte at a position.
pub(crate) fn byte_at(text: &str, position: usize) -> Option<u8> {
    text.as_bytes().get(position).copied()
}

/// The first position from here on that is not white space.
pub(crate) fn skip_space(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_space(**byte)).count()
}

/// The first position from here on that is white space, or the end.
pub(crate) fn skip_word(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| !is_space(**byte)).count()
}

#[cfg(test)]
mod tests;
