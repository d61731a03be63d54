//! Words to values: numbers, times, addresses, names. What does not fit is reported where it stands.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use kr_model::units::{IfName, Port};

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, note, warning};

/// Largest time that keepalived takes for most settings: 2^32 microseconds.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_micros(4_294_967_295);
/// Longest text of a setting, so that an object with several of them fits into one message.
pub(super) const MAX_TEXT: usize = 1024;
/// Shortest interval.
pub(super) const MICROSECOND: Duration = Duration::from_micros(1);
/// Largest interval that keepalived takes: 2^64 microseconds.
pub(super) const MAX_INTERVAL: Duration = Duration::from_micros(u64::MAX);
/// Largest number of a 32-bit setting.
pub(super) const MAX_U32: u64 = 4_294_967_295;

/// Keeps a value that was understood.
pub(super) fn set<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

impl Build<'_> {
    /// The first argument as a whole number from `min` to `max`.
    pub(super) fn number(&mut self, statement: &Statement, min: u64, max: u64) -> Option<u64> {
        self.number_of(statement.arguments.first()?, min, max)
    }

    /// The first argument as a whole number up to 2^32 - 1.
    pub(super) fn number32(&mut self, statement: &Statement, min: u64) -> Option<u32> {
        let value = self.number(statement, min, MAX_U32)?;
        u32::try_from(value).ok()
    }

    /// A word as a whole number from `min` to `max`.
    pub(super) fn number_of(&mut self, word: &Word, min: u64, max: u64) -> Option<u64> {
        let expected = || format!("expected a whole number from {min} to {max}");
        let digits = word.text.len()
            - word
                .text
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let (number, rest) = word.text.split_at(digits);
        let in_range = |value: &u64| (min..=max).contains(value);
        let Some(value) = number.parse().ok().filter(in_range) else {
            self.report(
                placeholder(
                    error(word.span, format!("`{}` is not valid here", word.text)),
                    word,
                )
                .label(expected()),
            );
            return None;
        };
        if !rest.is_empty() {
            // keepalived uses the digits and ignores what follows; so the meaning is kept, but not a reload.
            self.report(
                error(word.span, format!("`{rest}` after the number {number}"))
                    .label(expected())
                    .help(format!(
                        "write `{number}`; put a space and `#` before a comment"
                    )),
            );
        }
        Some(value)
    }

    /// The first argument as a whole number that may be negative.
    pub(super) fn signed<T: FromStr + PartialOrd + Copy + fmt::Display>(
        &mut self,
        statement: &Statement,
        min: T,
        max: T,
    ) -> Option<T> {
        let word = statement.arguments.first()?;
        let value = word.text.parse().ok();
        let value = value.filter(|value| (min..=max).contains(value));
        if value.is_none() {
            self.report(
                placeholder(
                    error(word.span, format!("`{}` is not valid here", word.text)),
                    word,
                )
                .label(format!("expected a whole number from {min} to {max}")),
            );
        }
        value
    }

    /// The first argument as seconds with up to six decimals.
    pub(super) fn seconds(
        &mut self,
        statement: &Statement,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        self.seconds_of(statement.arguments.first()?, min, max)
    }

    /// A word as seconds with up to six decimals.
    pub(super) fn seconds_of(
        &mut self,
        word: &Word,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        let expected = || format!("expected seconds from {} to {}", decimal(min), decimal(max));
        let Some((time, exact)) = parse_seconds(&word.text) else {
            let digits = word.text.trim_end_matches(|c: char| c.is_alphabetic());
            let finding = placeholder(
                error(
                    word.span,
                    format!("`{}` is not a time in seconds", word.text),
                ),
                word,
            );
            let finding = match (parse_seconds(digits), word.text.strip_prefix(digits)) {
                (Some(_), Some("s" | "sec")) => {
                    finding.help(format!("write `{digits}`: the unit is always seconds"))
                }
                (Some((time, _)), Some("ms")) => finding.help(format!(
                    "write `{}`: the unit is always seconds",
                    decimal(time / 1000)
                )),
                (Some(_) | None, _) => finding,
            };
            self.report(finding.label(expected()));
            return None;
        };
        if !exact {
            self.report(warning(
                word.span,
                format!("`{}` is rounded to microseconds", word.text),
            ));
        }
        if !(min..=max).contains(&time) {
            self.report(
                error(word.span, format!("`{}` is out of range", word.text)).label(expected()),
            );
            return None;
        }
        Some(time)
    }

    /// The argument as a switch; no argument means on.
    pub(super) fn switch(&mut self, statement: &Statement) -> Option<bool> {
        let Some(word) = statement.arguments.first() else {
            return Some(true);
        };
        match word.text.as_str() {
            "true" | "on" | "yes" => Some(true),
            "false" | "off" | "no" => Some(false),
            _ => {
                self.report(
                    error(word.span, format!("`{}` is neither on nor off", word.text))
                        .label("expected `on`, `true`, `yes`, `off`, `false` or `no`, or nothing"),
                );
                None
            }
        }
    }

    /// The first argument as text.
    pub(super) fn text(&mut self, statement: &Statement) -> Option<String> {
        let word = statement.arguments.first()?;
        if word.text.is_empty() {
            self.report(error(
                word.span,
                format!("`{}` is empty", statement.keyword.text),
            ));
            return None;
        }
        if is_placeholder(word) {
            let name = &statement.keyword.text;
            let finding = error(word.span, format!("`{name}` lacks its value"));
            self.report(placeholder(finding, word));
            return None;
        }
        if word.text.len() > MAX_TEXT {
            self.report(error(
                word.span,
                format!(
                    "`{}` is longer than {MAX_TEXT} bytes",
                    statement.keyword.text
                ),
            ));
            return None;
        }
        Some(word.text.clone())
    }

    /// The first argument as an address.
    pub(super) fn address(&mut self, statement: &Statement) -> Option<IpAddr> {
        self.address_of(statement.arguments.first()?)
    }

    /// A word as an address.
    pub(super) fn address_of(&mut self, word: &Word) -> Option<IpAddr> {
        let address = word.text.parse().ok();
        if address.is_none() {
            self.report(
                placeholder(
                    error(word.span, format!("`{}` is not an address", word.text)),
                    word,
                )
                .label("expected an IPv4 or IPv6 address, not a name"),
            );
        }
        address
    }

    /// The first argument as an address with a port.
    pub(super) fn socket_address(&mut self, statement: &Statement) -> Option<SocketAddr> {
        let word = statement.arguments.first()?;
        let address = word.text.parse().ok();
        if address.is_none() {
            self.report(
                placeholder(
                    error(
                        word.span,
                        format!("`{}` is not an address with a port", word.text),
                    ),
                    word,
                )
                .label("expected for example `127.0.0.1:9650` or `[::1]:9650`"),
            );
        }
        address
    }

    /// The first argument as a port.
    pub(super) fn port(&mut self, statement: &Statement) -> Option<Port> {
        let value = self.number(statement, 1, 65535)?;
        Port::try_from(value).ok()
    }

    /// A word as the port of a server, where 0 is no port.
    pub(super) fn server_port(&mut self, word: Option<&Word>) -> u16 {
        let value = word.and_then(|word| self.number_of(word, 0, 65535));
        value
            .and_then(|value| u16::try_from(value).ok())
            .unwrap_or(0)
    }

    /// The first argument as an interface name.
    pub(super) fn interface(&mut self, statement: &Statement) -> Option<IfName> {
        self.interface_of(statement.arguments.first()?)
    }

    /// A word as an interface name.
    pub(super) fn interface_of(&mut self, word: &Word) -> Option<IfName> {
        match IfName::try_from(word.text.clone()) {
            Ok(name) => Some(name),
            Err(bad) => {
                self.report(
                    error(
                        word.span,
                        format!("`{}` is not an interface name", word.text),
                    )
                    .label(bad.to_string()),
                );
                None
            }
        }
    }

    /// Says that a keyword has a newer name.
    pub(super) fn renamed(&mut self, statement: &Statement, new: &str) {
        let word = &statement.keyword;
        self.report(note(
            word.span,
            format!("`{}` is the old name of `{new}`", word.text),
        ));
    }
}

/// Seconds with a fraction; the second value is false when digits beyond microseconds were rounded.
pub(super) fn parse_seconds(text: &str) -> Option<(Duration, bool)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let seconds: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let (kept, cut) = fraction.split_at(fraction.len().min(6));
    let micros: u64 = format!("{kept:0<6}").parse().ok()?;
    let up = u64::from(cut.bytes().next().is_some_and(|digit| digit >= b'5'));
    let exact = cut.bytes().all(|digit| digit == b'0');
    let time = Duration::from_secs(seconds).checked_add(Duration::from_micros(micros + up))?;
    Some((time, exact))
}

/// Milliseconds with a fraction; the second value is false when digits beyond microseconds were cut.
pub(super) fn milliseconds(text: &str) -> Option<(Duration, bool)> {
    let (thousandfold, exact) = parse_seconds(text)?;
    let time = thousandfold / 1_000;
    Some((time, exact && time.subsec_nanos().is_multiple_of(1_000)))
}

/// Seconds without needless zeros.
pub(super) fn decimal(time: Duration) -> String {
    let fraction = format!("{:06}", time.subsec_micros());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", time.as_secs())
}

/// True for `<STRING>` and the like; a mail address in such brackets is none.
pub(super) fn is_placeholder(word: &Word) -> bool {
    let text = &word.text;
    !word.quoted && text.starts_with('<') && text.ends_with('>') && !text.contains('@')
}

/// Explains a placeholder that was copied from a manual.
pub(super) fn placeholder(
    finding: super::finding::Finding,
    word: &Word,
) -> super::finding::Finding {
    if word.text.starts_with('<') && word.text.len() > 1 {
        finding.help(format!(
            "`{}` is a placeholder of a manual: write a value",
            word.text
        ))
    } else {
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_up_to_three_decimals() {
        let micros = |text| milliseconds(text).map(|(time, exact)| (time.as_micros(), exact));
        assert_eq!(micros("10"), Some((10_000, true)));
        assert_eq!(micros("3.312"), Some((3_312, true)));
        assert_eq!(micros("3.3125"), Some((3_312, false)));
        assert_eq!(micros("10ms"), None);
    }

    #[test]
    fn seconds_have_up_to_six_decimals() {
        let micros = |text| parse_seconds(text).map(|(time, exact)| (time.as_micros(), exact));
        assert_eq!(micros("1"), Some((1_000_000, true)));
        assert_eq!(micros("0.25"), Some((250_000, true)));
        assert_eq!(micros(".5"), Some((500_000, true)));
        assert_eq!(micros("1.0000005"), Some((1_000_001, false)));
        assert_eq!(micros("1.0000004"), Some((1_000_000, false)));
        for bad in ["", ".", "5s", "-1", "1e3", "1.2.3"] {
            assert_eq!(micros(bad), None, "{bad:?}");
        }
    }
}
