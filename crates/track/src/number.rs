//! The number in a tracked file (`track_file`, `FILE_CHECK`).

/// Bytes of a file that are looked at: white space, a sign and a number are shorter.
pub const MOST_BYTES: usize = 64;

/// The whole number at the start of a text, behind white space: decimal, hexadecimal after `0x`, octal
/// after `0`. What follows it is ignored; a number that is too large counts as the largest; `None` when there
/// is none.
#[must_use]
pub fn number(text: &[u8]) -> Option<i32> {
    let text = text.trim_ascii_start();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if digit(rest, 16).is_some() => (16, rest),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    digit(digits, radix)?;
    let mut value: i64 = 0;
    let mut rest = digits;
    while let Some(next) = digit(rest, radix) {
        let sum = value.saturating_mul(i64::from(radix));
        value = sum.saturating_add(i64::from(next));
        rest = rest.get(1..).unwrap_or_default();
    }
    let value = if negative { -value } else { value };
    let limited = value.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    i32::try_from(limited).ok()
}

/// The first byte as a digit.
fn digit(text: &[u8], radix: u32) -> Option<u32> {
    text.first()
        .and_then(|byte| char::from(*byte).to_digit(radix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, expected) in [
            ("5", Some(5)),
            (" \n\t-17\nrest", Some(-17)),
            ("+3x", Some(3)),
            ("0", Some(0)),
            ("0x1F", Some(31)),
            ("-0x10", Some(-16)),
            ("0xg", Some(0)),
            ("010", Some(8)),
            ("09", Some(0)),
            ("99999999999999999999999999", Some(i32::MAX)),
            ("-99999999999999999999999999", Some(i32::MIN)),
            ("-2147483648", Some(i32::MIN)),
            ("", None),
            ("-", None),
            ("- 1", None),
            ("five", None),
            ("\x005", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_read_back_and_any_bytes_are_taken(value: i32, bytes: Vec<u8>) {
            prop_assert_eq!(number(value.to_string().as_bytes()), Some(value));
            let _ = number(&bytes);
        }
    }
}
