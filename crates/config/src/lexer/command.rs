//! The text of a command into program and arguments, as `notify_master "/path/prog a 'b c'"` needs it.

use std::{error, fmt};

use super::is_space_character;

/// Why a command cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// A quote is not closed.
    UnclosedQuote(char),
    /// A backslash is the last character.
    TrailingBackslash,
    /// An escape gives a byte above 255, or zero, which no argument can hold.
    BadEscape,
    /// The escapes give bytes that are not UTF-8.
    NotUtf8,
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedQuote(quote) => {
                write!(formatter, "a {quote} of the command is not closed")
            }
            Self::TrailingBackslash => formatter.write_str("the command ends with a backslash"),
            Self::BadEscape => {
                formatter.write_str("a numeric escape of the command is not in the range 1-255")
            }
            Self::NotUtf8 => {
                formatter.write_str("an escape of the command gives text that is not UTF-8")
            }
        }
    }
}

impl error::Error for CommandError {}

/// Splits a command into words: white space separates them, `"` and `'` join, and a backslash begins
/// `\a \b \E \f \n \r \t \v`, up to three octal digits, `\x` with hexadecimal digits, `\cX` for a control
/// character; before anything else it stands for that character.
///
/// # Errors
/// When a quote or escape is not complete, or a word is no text.
pub fn split_command(text: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = rest.strip_prefix(character).unwrap_or_default();
        match (character, quote) {
            ('\\', _) => rest = escape(rest, word.get_or_insert_default())?,
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, None) if is_space_character(character) => words.extend(word.take()),
            (_, _) => {
                let mut buffer = [0; 4];
                word.get_or_insert_default()
                    .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    if let Some(open) = quote {
        return Err(CommandError::UnclosedQuote(open));
    }
    words.extend(word);
    words
        .into_iter()
        .map(|bytes| String::from_utf8(bytes).map_err(|_| CommandError::NotUtf8))
        .collect()
}

/// Reads what follows a backslash into a word and returns the rest.
fn escape<'a>(text: &'a str, word: &mut Vec<u8>) -> Result<&'a str, CommandError> {
    let character = text.chars().next().ok_or(CommandError::TrailingBackslash)?;
    let rest = text.strip_prefix(character).unwrap_or_default();
    let byte = match character {
        'a' => 0x07,
        'b' => 0x08,
        'E' => 0x1b,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '0'..='7' => return number(text, 8, 3, word),
        'x' if rest.starts_with(|next: char| next.is_ascii_hexdigit()) => {
            return number(rest, 16, usize::MAX, word);
        }
        'c' => {
            let control = rest.chars().next().ok_or(CommandError::TrailingBackslash)?;
            let byte = u8::try_from(control.to_ascii_uppercase())
                .map_err(|_| CommandError::BadEscape)?
                & 0x1f;
            push_byte(byte, word)?;
            return Ok(rest.strip_prefix(control).unwrap_or_default());
        }
        other => {
            let mut buffer = [0; 4];
            word.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
            return Ok(rest);
        }
    };
    push_byte(byte, word)?;
    Ok(rest)
}

fn number<'a>(
    text: &'a str,
    radix: u32,
    longest: usize,
    word: &mut Vec<u8>,
) -> Result<&'a str, CommandError> {
    let digits = text
        .bytes()
        .take(longest)
        .take_while(|byte| char::from(*byte).is_digit(radix))
        .count();
    let (digits, rest) = text.split_at_checked(digits).unwrap_or((text, ""));
    let byte = u8::from_str_radix(digits, radix).map_err(|_| CommandError::BadEscape)?;
    push_byte(byte, word)?;
    Ok(rest)
}

fn push_byte(byte: u8, word: &mut Vec<u8>) -> Result<(), CommandError> {
    if byte == 0 {
        return Err(CommandError::BadEscape);
    }
    word.push(byte);
    Ok(())
}
