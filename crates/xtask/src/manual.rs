//! `cargo xtask man`: the pages that are made from the keyword registry.

use std::fs;
use std::io;

use kr_config::registry;

/// The manual page of the configuration file.
const PAGE: &str = "parentd/man/keepalived-rs.conf.5";

/// The page with the table of supported keywords.
const README: &str = "README.md";

/// The table stands between these lines.
const MARKS: (&str, &str) = ("<!-- supported:begin -->\n", "<!-- supported:end -->\n");

/// Writes both.
///
/// # Errors
/// When a file cannot be written, or the README has no place for the table.
pub(crate) fn write() -> io::Result<()> {
    fs::write(PAGE, kr_config::man::roff())?;
    fs::write(README, wanted_readme()?)?;
    println!("{PAGE}\n{README}");
    Ok(())
}

/// Whether both are what would be written.
///
/// # Errors
/// When a file cannot be read, or the README has no place for the table.
pub(crate) fn is_current() -> io::Result<bool> {
    Ok(fs::read_to_string(PAGE)? == kr_config::man::roff()
        && fs::read_to_string(README)? == wanted_readme()?)
}

fn wanted_readme() -> io::Result<String> {
    replaced(&fs::read_to_string(README)?, &registry::markdown_table()).ok_or_else(|| {
        io::Error::other(format!(
            "{README}: no line {:?} before {:?}",
            MARKS.0.trim(),
            MARKS.1.trim()
        ))
    })
}

/// The text with `table` between the marks.
fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_put_between_its_marks() {
        let text = "a\n<!-- supported:begin -->\nold\n<!-- supported:end -->\nb\n";
        let new = "a\n<!-- supported:begin -->\nnew\n<!-- supported:end -->\nb\n";
        assert_eq!(replaced(text, "new\n").as_deref(), Some(new));
        assert_eq!(replaced("a\n", "new\n"), None);
    }
}
