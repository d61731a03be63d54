//! Reads words as `getopt_long` does: `-nlD`, `-f/x`, `-f /x`, `--use-file=/x`, `--use-file /x`, and
//! long options shortened as far as they stay unique.

use std::ffi::OsString;

use crate::cli::table::{Id, ROWS, Row, Value};

/// One option as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Which.
    pub(crate) id: Id,
    /// As it was spelled, for messages.
    pub(crate) spelling: String,
    /// Its value.
    pub(crate) value: Option<String>,
}

/// What the words of a command line are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// The options, in order.
    pub(crate) given: Vec<Given>,
    /// After `-T`: the words that follow.
    pub(crate) rest: Vec<String>,
}

/// Reads the words after the program's name.
///
/// # Errors
/// A sentence about the first word that cannot be understood.
pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    let mut out = Words::default();
    while let Some(word) = words.next() {
        let first = out.given.len();
        if let Some(long) = word.strip_prefix("--") {
            out.given.push(read_long(long, &mut words)?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            read_letters(letters, &mut words, &mut out.given)?;
        } else {
            return Err(format!("unexpected word `{word}`"));
        }
        let new = out.given.get(first..).unwrap_or_default();
        if new.iter().any(|given| given.id == Id::Genhash) {
            out.rest = words.collect();
            break;
        }
    }
    Ok(out)
}

fn read_long(text: &str, words: &mut impl Iterator<Item = String>) -> Result<Given, String> {
    let (name, attached) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let row = find_long(name)?;
    let spelling = format!("--{}", row.long);
    let value = match (row.value, attached) {
        (Value::None, None) | (Value::Optional(_), None) => None,
        (Value::None, Some(_)) => return Err(format!("option `{spelling}` takes no value")),
        (Value::Optional(_) | Value::Required(_), Some(value)) => Some(value),
        (Value::Required(what), None) => Some(next(words, &spelling, what)?),
    };
    Ok(Given {
        id: row.id,
        spelling,
        value,
    })
}

fn find_long(name: &str) -> Result<&'static Row, String> {
    if let Some(row) = ROWS.iter().find(|row| row.long == name) {
        return Ok(row);
    }
    let matching: Vec<&Row> = ROWS
        .iter()
        .filter(|row| !name.is_empty() && row.long.starts_with(name))
        .collect();
    match matching.as_slice() {
        [row] => Ok(row),
        [] => Err(format!("unknown option `--{name}`")),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|row| format!("--{}", row.long))
                .collect();
            Err(format!(
                "option `--{name}` is ambiguous: {}",
                names.join(", ")
            ))
        }
    }
}

fn read_letters(
    letters: &str,
    words: &mut impl Iterator<Item = String>,
    given: &mut Vec<Given>,
) -> Result<(), String> {
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        let spelling = format!("-{letter}");
        let row = ROWS
            .iter()
            .find(|row| row.short == Some(letter))
            .ok_or_else(|| format!("unknown option `{spelling}`"))?;
        let value = match row.value {
            Value::None => None,
            Value::Optional(_) | Value::Required(_) => {
                let attached = letters.by_ref().collect::<String>();
                match row.value {
                    Value::Required(what) if attached.is_empty() => {
                        Some(next(words, &spelling, what)?)
                    }
                    Value::None | Value::Optional(_) | Value::Required(_) => {
                        Some(attached).filter(|value| !value.is_empty())
                    }
                }
            }
        };
        given.push(Given {
            id: row.id,
            spelling,
            value,
        });
    }
    Ok(())
}

fn next(
    words: &mut impl Iterator<Item = String>,
    spelling: &str,
    what: &str,
) -> Result<String, String> {
    words
        .next()
        .ok_or_else(|| format!("option `{spelling}` needs a value: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(line: &str) -> Result<Vec<(Id, Option<String>)>, String> {
        let words = read(line.split_whitespace().map(OsString::from))?;
        Ok(words
            .given
            .into_iter()
            .map(|given| (given.id, given.value))
            .collect())
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn every_form_of_getopt_is_understood() {
        let expected = vec![
            (Id::DontFork, None),
            (Id::LogConsole, None),
            (Id::LogDetail, None),
        ];
        assert_eq!(read_all("-nlD").unwrap(), expected);
        assert_eq!(read_all("-n -l -D").unwrap(), expected);
        assert_eq!(
            read_all("--dont-fork --log-con --log-detail").unwrap(),
            expected
        );
        for line in [
            "-f/x",
            "-f /x",
            "--use-file=/x",
            "--use-file /x",
            "--use /x",
        ] {
            assert_eq!(
                read_all(line).unwrap(),
                [(Id::UseFile, text("/x"))],
                "{line}"
            );
        }
        assert_eq!(
            read_all("-nf/x").unwrap(),
            [(Id::DontFork, None), (Id::UseFile, text("/x"))]
        );
    }

    #[test]
    fn an_optional_value_must_be_attached() {
        assert_eq!(read_all("-t").unwrap(), [(Id::ConfigTest, None)]);
        assert_eq!(
            read_all("-t/log").unwrap(),
            [(Id::ConfigTest, text("/log"))]
        );
        assert_eq!(
            read_all("--config-test=/log").unwrap(),
            [(Id::ConfigTest, text("/log"))]
        );
        assert_eq!(
            read_all("-t -f /x").unwrap(),
            [(Id::ConfigTest, None), (Id::UseFile, text("/x"))]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, message) in [
            ("-nZ", "unknown option `-Z`"),
            ("--nonsense", "unknown option `--nonsense`"),
            (
                "--log",
                "option `--log` is ambiguous: --log-console, --log-detail, --log-facility, --log-file",
            ),
            ("-f", "option `-f` needs a value: FILE"),
            ("--vrrp=1", "option `--vrrp` takes no value"),
            ("stray", "unexpected word `stray`"),
            ("-", "unexpected word `-`"),
        ] {
            assert_eq!(read_all(line).unwrap_err(), message, "{line}");
        }
    }

    #[test]
    fn words_after_genhash_are_its_own() {
        let words = read(["-T", "-s", "192.0.2.1", "-Z"].iter().map(OsString::from)).unwrap();
        assert_eq!(words.rest, ["-s", "192.0.2.1", "-Z"]);
    }
}
