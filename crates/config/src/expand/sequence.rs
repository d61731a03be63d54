//! `~SEQ(VAR,START,STEP,END)`, `~SEQx(...)` and `~LST(VAR,V1,V2,...)`: lines that are read several times.

use crate::lexer::is_space_character;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `~SEQ`.
    Decimal,
    /// `~SEQx`.
    Hexadecimal,
    /// `~LST`.
    List,
}

/// A repetition as it stands in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// Which.
    pub(crate) kind: Kind,
    /// What stands between the parentheses; `None` when there is no closing one.
    pub(crate) arguments: Option<&'a str>,
    /// One past the closing parenthesis.
    pub(crate) end: usize,
}

/// The repetition that begins at `at`, if one does.
pub(crate) fn head(text: &str, at: usize) -> Option<Head<'_>> {
    let rest = text.get(at..)?;
    [
        ("~SEQ(", Kind::Decimal),
        ("~SEQx(", Kind::Hexadecimal),
        ("~LST(", Kind::List),
    ]
    .into_iter()
    .find_map(|(prefix, kind)| {
        let inner = rest.strip_prefix(prefix)?;
        let arguments = inner.split_once(')').map(|(arguments, _)| arguments);
        let length = prefix.len() + arguments.map_or(inner.len(), |text| text.len() + 1);
        Some(Head {
            kind,
            arguments,
            end: at + length,
        })
    })
}

/// What a repetition sets, turn by turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// One name counts.
    Count {
        /// The name.
        name: String,
        /// Hexadecimal.
        hexadecimal: bool,
        /// First value.
        start: i64,
        /// Never 0.
        step: i64,
        /// Last value at most.
        end: i64,
    },
    /// Several names take the values of each row.
    Rows {
        /// The names.
        names: Vec<String>,
        /// As many values as names in each.
        rows: Vec<Vec<String>>,
    },
}

impl Repetition {
    /// Reads the arguments; the error says what is wrong with them.
    pub(crate) fn parse(kind: Kind, arguments: &str) -> Result<Self, String> {
        match kind {
            Kind::Decimal => count(arguments, false),
            Kind::Hexadecimal => count(arguments, true),
            Kind::List => list(arguments),
        }
    }

    /// The names that are set.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Count { name, .. } => vec![name.clone()],
            Self::Rows { names, .. } => names.clone(),
        }
    }

    /// The values of each turn, in the order of the names.
    pub(crate) fn turns(self) -> Box<dyn Iterator<Item = Vec<String>>> {
        match self {
            Self::Rows { rows, .. } => Box::new(rows.into_iter()),
            Self::Count {
                hexadecimal,
                start,
                step,
                end,
                ..
            } => {
                let within = move |value: &i64| {
                    if step > 0 {
                        *value <= end
                    } else {
                        *value >= end
                    }
                };
                let values =
                    std::iter::successors(Some(start), move |value| value.checked_add(step));
                Box::new(values.take_while(within).map(move |value| {
                    vec![if hexadecimal {
                        format!("{value:x}")
                    } else {
                        value.to_string()
                    }]
                }))
            }
        }
    }
}

fn count(arguments: &str, hexadecimal: bool) -> Result<Repetition, String> {
    let mut parts = arguments
        .split(',')
        .map(|part| part.trim_matches(is_space_character));
    let name = variable(parts.next().unwrap_or_default())?;
    let numbers = parts.map(integer).collect::<Result<Vec<_>, _>>()?;
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (if end < 0 { -1 } else { 1 }, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Err("expected a name and one to three numbers".to_owned()),
    };
    let step = step.unwrap_or(if end < start { -1 } else { 1 });
    if step == 0 {
        return Err("the step must not be 0".to_owned());
    }
    if (step > 0) != (end >= start) && start != end {
        return Err(format!(
            "counting from {start} by {step} never reaches {end}"
        ));
    }
    if hexadecimal && (start < 0 || end < 0) {
        return Err("hexadecimal numbers must not be negative".to_owned());
    }
    Ok(Repetition::Count {
        name,
        hexadecimal,
        start,
        step,
        end,
    })
}

fn list(arguments: &str) -> Result<Repetition, String> {
    let mut items = split_items(arguments)?.into_iter();
    let names = items
        .next()
        .unwrap_or_default()
        .into_iter()
        .map(variable)
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for item in items {
        if item.len() > names.len() {
            return Err(format!(
                "a tuple has {} values for {} names",
                item.len(),
                names.len()
            ));
        }
        let missing = names.len() - item.len();
        let values = item.into_iter().map(str::to_owned);
        rows.push(
            values
                .chain(std::iter::repeat_n(String::new(), missing))
                .collect(),
        );
    }
    if rows.is_empty() {
        return Err("expected at least one value after the name".to_owned());
    }
    Ok(Repetition::Rows { names, rows })
}

/// Items separated by commas, each one text or several in braces.
fn split_items(arguments: &str) -> Result<Vec<Vec<&str>>, String> {
    let mut items = Vec::new();
    let mut rest = arguments.trim_matches(is_space_character);
    loop {
        let after = if let Some(inner) = rest.strip_prefix('{') {
            let (tuple, after) = inner
                .split_once('}')
                .ok_or_else(|| "a `{` of the list is not closed".to_owned())?;
            items.push(
                tuple
                    .split(',')
                    .map(|value| value.trim_matches(is_space_character))
                    .collect(),
            );
            after.trim_start_matches(is_space_character)
        } else {
            let length = rest.find(',').unwrap_or(rest.len());
            let (value, after) = rest.split_at(length);
            items.push(vec![value.trim_end_matches(is_space_character)]);
            after
        };
        if after.is_empty() {
            return Ok(items);
        }
        rest = after
            .strip_prefix(',')
            .ok_or_else(|| "expected `,` between the values of the list".to_owned())?
            .trim_start_matches(is_space_character);
    }
}

fn variable(name: &str) -> Result<String, String> {
    let valid = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "`{name}` is no name: expected letters, digits and `_`"
        ))
    }
}

/// A whole number, with `0x` hexadecimal and with a leading 0 octal.
fn integer(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let magnitude = digits
        .starts_with(|first: char| first.is_ascii_alphanumeric())
        .then(|| i64::from_str_radix(digits, radix).ok())
        .flatten()
        .ok_or_else(|| format!("`{text}` is not a whole number"))?;
    Ok(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(kind: Kind, arguments: &str) -> Result<Vec<String>, String> {
        let repetition = Repetition::parse(kind, arguments)?;
        Ok(repetition.turns().map(|values| values.join("/")).collect())
    }

    #[test]
    fn a_sequence_counts_from_start_to_end() {
        for (arguments, expected) in [
            ("I,3", "1 2 3"),
            ("I,-3", "-1 -2 -3"),
            ("I, 0, 3", "0 1 2 3"),
            ("I,3,1", "3 2 1"),
            ("I,168,2,172", "168 170 172"),
            ("I,0,2,3", "0 2"),
            ("I,5,5", "5"),
            ("I,0x10,010,0x20", "16 24 32"),
            (
                "I,9223372036854775806,9223372036854775807",
                "9223372036854775806 9223372036854775807",
            ),
        ] {
            assert_eq!(
                turns(Kind::Decimal, arguments).unwrap().join(" "),
                expected,
                "{arguments}"
            );
        }
        assert_eq!(
            turns(Kind::Hexadecimal, "AD1, 0x12, -1, 0x0c")
                .unwrap()
                .join(" "),
            "12 11 10 f e d c"
        );
    }

    #[test]
    fn a_list_gives_each_value_and_each_tuple() {
        for (arguments, expected) in [
            ("IP, 1, 2, 3", "1 2 3"),
            ("{IP, IP1}, {10,1},{20,4} , {5}", "10/1 20/4 5/"),
            ("X,a b", "a b"),
        ] {
            assert_eq!(
                turns(Kind::List, arguments).unwrap().join(" "),
                expected,
                "{arguments}"
            );
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (kind, arguments, expected) in [
            (
                Kind::Decimal,
                "I",
                "expected a name and one to three numbers",
            ),
            (Kind::Decimal, "I,1,0,3", "the step must not be 0"),
            (
                Kind::Decimal,
                "I,1,-1,3",
                "counting from 1 by -1 never reaches 3",
            ),
            (Kind::Decimal, "I,a", "`a` is not a whole number"),
            (Kind::Decimal, "I,--1", "`--1` is not a whole number"),
            (
                Kind::Decimal,
                "1I,3",
                "`1I` is no name: expected letters, digits and `_`",
            ),
            (
                Kind::Hexadecimal,
                "I,-3",
                "hexadecimal numbers must not be negative",
            ),
            (
                Kind::List,
                "I",
                "expected at least one value after the name",
            ),
            (
                Kind::List,
                "{A,B},{1,2,3}",
                "a tuple has 3 values for 2 names",
            ),
            (Kind::List, "{A,B},{1,2", "a `{` of the list is not closed"),
            (
                Kind::List,
                "{A}x",
                "expected `,` between the values of the list",
            ),
        ] {
            assert_eq!(turns(kind, arguments).unwrap_err(), expected, "{arguments}");
        }
    }
}
