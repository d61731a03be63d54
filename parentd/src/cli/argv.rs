//! Reads words as `getopt_long` does and writes them as `argh` wants them: `-nlD`, `-f/x`, `-f /x`,
//! `--use-file=/x`, `--use-file /x`, and long options shortened as far as they stay unique all become
//! `--long` or `--long value`. `_` in a long option is the same as `-` (`--vrrp_pid`).

use std::ffi::OsString;

use crate::cli::arguments::{HELP, Row, Value, options};

/// One option as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Which.
    pub(crate) row: Row,
    /// Its value; empty for an optional one that was left out.
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

impl Words {
    /// The words for `argh`. Of an option with a value the last one counts, which `argh` would refuse;
    /// help stands alone.
    pub(crate) fn canonical(&self) -> Vec<String> {
        if self.given.iter().any(|given| given.row.long == HELP) {
            return vec![format!("--{HELP}")];
        }
        let mut words = Vec::new();
        for (index, given) in self.given.iter().enumerate() {
            let mut later = self.given.iter().skip(index.saturating_add(1));
            if given.value.is_some() && later.any(|other| other.row == given.row) {
                continue;
            }
            words.push(format!("--{}", given.row.long));
            words.extend(given.value.clone());
        }
        if !self.rest.is_empty() {
            words.push("--".to_owned());
            words.extend(self.rest.iter().cloned());
        }
        words
    }
}

/// Reads the words after the program's name.
///
/// # Errors
/// A sentence about the first word that cannot be understood.
pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let rows = options();
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    let mut out = Words::default();
    while let Some(word) = words.next() {
        let first = out.given.len();
        if let Some(long) = word.strip_prefix("--") {
            out.given.push(read_long(&rows, long, &mut words)?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            read_letters(&rows, letters, &mut words, &mut out.given)?;
        } else {
            return Err(format!("unexpected word `{word}`"));
        }
        let new = out.given.get(first..).unwrap_or_default();
        if new.iter().any(|given| given.row.long == "genhash") {
            out.rest = words.collect();
            break;
        }
    }
    Ok(out)
}

fn read_long(
    rows: &[Row],
    text: &str,
    words: &mut impl Iterator<Item = String>,
) -> Result<Given, String> {
    let (name, attached) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let row = find_long(rows, name)?;
    let spelling = format!("--{}", row.long);
    let value = match (row.value, attached) {
        (Value::None, None) => None,
        (Value::None, Some(_)) => return Err(format!("option `{spelling}` takes no value")),
        (Value::Optional(_), attached) => Some(attached.unwrap_or_default()),
        (Value::Required(_), Some(value)) => Some(value),
        (Value::Required(what), None) => Some(next(words, &spelling, what)?),
    };
    Ok(Given { row, value })
}

fn find_long(rows: &[Row], name: &str) -> Result<Row, String> {
    let dashed = name.replace('_', "-");
    if let Some(row) = rows.iter().find(|row| row.long == dashed) {
        return Ok(*row);
    }
    let matching: Vec<Row> = rows
        .iter()
        .copied()
        .filter(|row| !dashed.is_empty() && row.long.starts_with(&dashed))
        .collect();
    match matching.as_slice() {
        [row] => Ok(*row),
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
    rows: &[Row],
    letters: &str,
    words: &mut impl Iterator<Item = String>,
    given: &mut Vec<Given>,
) -> Result<(), String> {
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        let spelling = format!("-{letter}");
        let row = rows
            .iter()
            .find(|row| row.short == Some(letter))
            .copied()
            .ok_or_else(|| format!("unknown option `{spelling}`"))?;
        let value = match row.value {
            Value::None => None,
            Value::Optional(_) => Some(letters.by_ref().collect()),
            Value::Required(what) => {
                let attached = letters.by_ref().collect::<String>();
                Some(if attached.is_empty() {
                    next(words, &spelling, what)?
                } else {
                    attached
                })
            }
        };
        given.push(Given { row, value });
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

    fn canonical(line: &str) -> Result<Vec<String>, String> {
        read(line.split_whitespace().map(OsString::from)).map(|words| words.canonical())
    }

    #[test]
    fn every_form_of_getopt_becomes_the_form_of_argh() {
        let expected = ["--dont-fork", "--log-console", "--log-detail"];
        for line in [
            "-nlD",
            "-n -l -D",
            "--dont-fork --log-con --log-detail",
            "--dont_fork -lD",
        ] {
            assert_eq!(canonical(line).unwrap(), expected, "{line}");
        }
        for line in [
            "-f/x",
            "-f /x",
            "--use-file=/x",
            "--use-file /x",
            "--use /x",
            "-f /y --use-file /x",
        ] {
            assert_eq!(canonical(line).unwrap(), ["--use-file", "/x"], "{line}");
        }
        assert_eq!(
            canonical("-nf/x").unwrap(),
            ["--dont-fork", "--use-file", "/x"]
        );
        assert_eq!(
            canonical("--vrrp_pid=/x -r/y").unwrap(),
            ["--vrrp-pid", "/y"]
        );
    }

    #[test]
    fn an_optional_value_must_be_attached() {
        assert_eq!(canonical("-t").unwrap(), ["--config-test", ""]);
        assert_eq!(canonical("-t/log").unwrap(), ["--config-test", "/log"]);
        assert_eq!(
            canonical("--config-test=/log").unwrap(),
            ["--config-test", "/log"]
        );
        assert_eq!(
            canonical("-t -f /x").unwrap(),
            ["--config-test", "", "--use-file", "/x"]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, message) in [
            ("-nZ", "unknown option `-Z`"),
            ("--nonsense", "unknown option `--nonsense`"),
            ("--", "unknown option `--`"),
            (
                "--log",
                "option `--log` is ambiguous: --log-console, --log-detail, --log-facility, --log-file",
            ),
            ("-f", "option `-f` needs a value: FILE"),
            ("--vrrp=1", "option `--vrrp` takes no value"),
            ("stray", "unexpected word `stray`"),
            ("-", "unexpected word `-`"),
        ] {
            assert_eq!(canonical(line).unwrap_err(), message, "{line}");
        }
    }

    #[test]
    fn words_after_genhash_are_its_own() {
        assert_eq!(
            canonical("-T -s 192.0.2.1 -Z").unwrap(),
            ["--genhash", "--", "-s", "192.0.2.1", "-Z"]
        );
    }
}
