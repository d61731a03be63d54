//! Characters that look like those of the configuration language and are not: what an input method, a word
//! processor or a web page puts in their place. They are taken as what they mean, with a warning.

use std::fmt::Write as _;

use super::{byte_at, is_space_character};

/// A character that was taken as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lookalike {
    /// Its first byte in the line.
    pub(crate) position: usize,
    /// The character.
    pub(crate) found: char,
    /// What it was taken as; `None` when the bytes of the file were not UTF-8 here.
    pub(crate) meant: Option<char>,
}

impl Lookalike {
    /// The character with its number, for a message.
    pub(crate) fn describe(self) -> String {
        let mut text = String::new();
        if !self.found.is_whitespace() && !is_invisible(self.found) {
            let _ = write!(text, "`{}` ", self.found);
        }
        let _ = write!(text, "(U+{:04X})", u32::from(self.found));
        text
    }
}

/// The line with every lookalike outside comments replaced, each by as many bytes as it had, so that places
/// in the line stay the same; `None` when there is nothing to replace.
pub(crate) fn replace(line: &str) -> Option<(String, Vec<Lookalike>)> {
    if line.is_ascii() {
        return None;
    }
    let mut output = String::with_capacity(line.len());
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(character) = line.get(position..).and_then(|rest| rest.chars().next()) {
        let end = position + character.len_utf8();
        let mut next = end;
        match character {
            '#' | '!' if !output.ends_with('\\') => {
                output.push_str(line.get(position..).unwrap_or_default());
                break;
            }
            '"' | '“' | '”' | '„' | '‟' | '＂' => {
                // A quote without an end is reported by the reader of words, in its ASCII form.
                note_quote(&mut found, position, character);
                pad(&mut output, character);
                output.push('"');
                if let Some((content, close, closing)) = content(line, end, character) {
                    output.push_str(content);
                    note_quote(&mut found, close, closing);
                    output.push('"');
                    pad(&mut output, closing);
                    next = close + closing.len_utf8();
                }
            }
            _ => {
                let meant = meaning(character, &output);
                if let Some(meant) = meant {
                    output.push(meant);
                    pad(&mut output, character);
                } else {
                    output.push(character);
                }
                if meant.is_some() || character == char::REPLACEMENT_CHARACTER {
                    found.push(Lookalike {
                        position,
                        found: character,
                        meant,
                    });
                }
                if matches!(meant, Some('#' | '!')) {
                    output.push_str(line.get(end..).unwrap_or_default());
                    break;
                }
            }
        }
        position = next;
    }
    (!found.is_empty()).then_some((output, found))
}

/// What a character outside quotes stands for; a full-width `!` only where a word could begin, since it ends
/// sentences too.
fn meaning(character: char, before: &str) -> Option<char> {
    match character {
        '｛' => Some('{'),
        '｝' => Some('}'),
        '＃' => Some('#'),
        '！' if before.chars().next_back().is_none_or(is_space_character) => Some('!'),
        '\u{a0}' | '\u{3000}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{feff}' => {
            Some(' ')
        }
        _ => None,
    }
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}' | '\u{feff}')
}

/// What stands between a quote and its end, with place and form of the end. An ASCII quote is closed by the
/// next ASCII quote, if there is one.
fn content(line: &str, from: usize, open: char) -> Option<(&str, usize, char)> {
    let rest = line.get(from..)?;
    let ascii = || {
        let mut at = 0;
        loop {
            match byte_at(rest, at)? {
                b'\\' => at += 2,
                b'"' => return Some((at, '"')),
                _ => at += 1,
            }
        }
    };
    let any = || {
        rest.char_indices()
            .find(|(_, character)| matches!(character, '"' | '“' | '”' | '„' | '‟' | '＂'))
    };
    let (length, closing) = if open == '"' {
        ascii().or_else(any)?
    } else {
        any()?
    };
    Some((rest.get(..length)?, from + length, closing))
}

fn note_quote(found: &mut Vec<Lookalike>, position: usize, character: char) {
    if character != '"' {
        found.push(Lookalike {
            position,
            found: character,
            meant: Some('"'),
        });
    }
}

/// Spaces for the bytes that a character had more than its ASCII form.
fn pad(output: &mut String, character: char) {
    for _ in 1..character.len_utf8() {
        output.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookalikes_become_what_they_mean_and_nothing_moves() {
        for (line, expected) in [
            ("a ｛", "a {  "),
            ("｝", "}  "),
            ("script “a b”", "script   \"a b\"  "),
            ("script \"a b”", "script \"a b\"  "),
            ("priority\u{a0}100", "priority  100"),
            ("\u{3000}priority 100", "   priority 100"),
            ("！Configuration", "!  Configuration"),
            ("priority 100＃高", "priority 100#  高"),
            ("a “b # c” # “", "a   \"b # c\"   # “"),
        ] {
            let (text, _) = replace(line).unwrap();
            assert_eq!(text, expected, "{line}");
            assert_eq!(text.len(), line.len(), "{line}");
        }
    }

    #[test]
    fn comments_quotes_and_sentences_are_left_alone() {
        for line in ["a # ｛", "a \"“b”\"", "router_id 中文", "path /！", "! “"] {
            assert_eq!(replace(line), None, "{line}");
        }
    }

    #[test]
    fn a_character_is_named_with_its_number() {
        let describe = |line: &str| replace(line).unwrap().1.first().unwrap().describe();
        assert_eq!(describe("｛"), "`｛` (U+FF5B)");
        assert_eq!(describe("a\u{3000}b"), "(U+3000)");
    }
}
