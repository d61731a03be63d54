//! What `genhash -v` prints besides the digest.

use std::io::{self, Write};

/// Bytes per row.
const ROW: usize = 16;

/// A line that starts a part.
pub(super) fn banner(out: &mut impl Write, title: &str) -> io::Result<()> {
    let dashes = "-----------------------";
    writeln!(out, "{dashes}[ {title} ]{dashes}")
}

/// Rows of a decimal offset, sixteen bytes in two groups, and their printable characters.
pub(super) fn hex(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    for (row, chunk) in bytes.chunks(ROW).enumerate() {
        write!(out, "{:04}  ", row.saturating_mul(ROW))?;
        for column in 0..ROW {
            if column == ROW / 2 {
                write!(out, "- ")?;
            }
            match chunk.get(column) {
                Some(byte) => write!(out, "{byte:02x} ")?,
                None => write!(out, "   ")?,
            }
        }
        let text: String = chunk
            .iter()
            .map(|byte| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            })
            .collect();
        writeln!(out, "  {text}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_line_up() {
        let mut out = Vec::new();
        hex(&mut out, b"HTTP/1.0 200 OK\r\nend").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.\n\
             0016  0a 65 6e 64             -                           .end\n"
        );
    }
}
