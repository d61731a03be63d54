//! Where a line defines or uses a parameter: `$NAME=`, `$NAME`, `${NAME}`, `${NAME ARGUMENTS}`.

use super::{byte_at, is_space, skip_space};

/// A use of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MacroUse<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What follows the name between the braces.
    pub(crate) arguments: &'a str,
    /// One past its last byte.
    pub(crate) end: usize,
}

/// Name and position of the value when `$NAME=` stands at `at`.
pub(crate) fn definition(text: &str, at: usize) -> Option<(&str, usize)> {
    let (name, end) = bare_name(text, at)?;
    (byte_at(text, end) == Some(b'=')).then_some((name, end + 1))
}

/// The use of a parameter whose `$` stands at `at`. Without braces, white space, a comma, a closing
/// parenthesis or the end must follow the name.
pub(crate) fn macro_use(text: &str, at: usize) -> Option<MacroUse<'_>> {
    if byte_at(text, at + 1) == Some(b'{') {
        let name_start = at + 2;
        let name_end = name_end(text, name_start)?;
        let end = ['}', '{', '"', '$', '\n'];
        let close = name_end + text.get(name_end..)?.find(end)?;
        let arguments = text.get(name_end..close)?;
        let separated = arguments.bytes().next().is_none_or(is_space);
        let closed = byte_at(text, close) == Some(b'}');
        return (separated && closed).then_some(MacroUse {
            name: text.get(name_start..name_end)?,
            arguments: arguments.get(skip_space(arguments, 0)..)?,
            end: close + 1,
        });
    }
    let (name, end) = bare_name(text, at)?;
    let ends = match byte_at(text, end) {
        None | Some(b',' | b')') => true,
        Some(byte) => is_space(byte),
    };
    ends.then_some(MacroUse {
        name,
        arguments: "",
        end,
    })
}

/// The name after a `$` at `at`, and where it ends.
pub(crate) fn bare_name(text: &str, at: usize) -> Option<(&str, usize)> {
    let start = at + 1;
    let end = name_end(text, start)?;
    Some((text.get(start..end)?, end))
}

fn name_end(text: &str, start: usize) -> Option<usize> {
    let rest = text.as_bytes().get(start..)?;
    let length = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let begins_with_digit = rest.first().is_some_and(u8::is_ascii_digit);
    (length > 0 && !begins_with_digit).then_some(start + length)
}
