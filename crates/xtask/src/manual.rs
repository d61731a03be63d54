//! `cargo xtask man`: the pages that are made from the keyword registry and from the sandbox's tables.

use std::fs;
use std::io;

use kr_config::registry;
use kr_sys::sandbox;

/// The manual page of the configuration file.
const PAGE: &str = "parentd/man/keepalived-rs.conf.5";

/// A text with a part that is made.
struct Page {
    path: &'static str,
    /// The made part stands between these lines.
    marks: (&'static str, &'static str),
    /// Makes it.
    part: fn() -> String,
}

/// Supported keywords, and what each process may do.
const PAGES: [Page; 2] = [
    Page {
        path: "README.md",
        marks: ("<!-- supported:begin -->\n", "<!-- supported:end -->\n"),
        part: registry::markdown_table,
    },
    Page {
        path: "crates/sys/SECURITY.md",
        marks: ("<!-- tables:begin -->\n", "<!-- tables:end -->\n"),
        part: sandbox::page::markdown,
    },
];

/// Writes all of them.
///
/// # Errors
/// When a file cannot be written, or has no place for its part.
pub(crate) fn write() -> io::Result<()> {
    fs::write(PAGE, kr_config::man::roff())?;
    println!("{PAGE}");
    for page in &PAGES {
        fs::write(page.path, page.wanted()?)?;
        println!("{}", page.path);
    }
    Ok(())
}

/// Whether each is what would be written.
///
/// # Errors
/// When a file cannot be read, or has no place for its part.
pub(crate) fn is_current() -> io::Result<bool> {
    let mut current = fs::read_to_string(PAGE)? == kr_config::man::roff();
    for page in &PAGES {
        current &= fs::read_to_string(page.path)? == page.wanted()?;
    }
    Ok(current)
}

impl Page {
    fn wanted(&self) -> io::Result<String> {
        let text = fs::read_to_string(self.path)?;
        replaced(&text, self.marks, &(self.part)()).ok_or_else(|| {
            io::Error::other(format!(
                "{}: no line {:?} before {:?}",
                self.path,
                self.marks.0.trim(),
                self.marks.1.trim()
            ))
        })
    }
}

/// The text with `part` between the marks.
fn replaced(text: &str, marks: (&str, &str), part: &str) -> Option<String> {
    let (before, rest) = text.split_once(marks.0)?;
    let (_, after) = rest.split_once(marks.1)?;
    Some(format!("{before}{}{part}{}{after}", marks.0, marks.1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_test_that_the_security_page_names_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join("crates/sys/SECURITY.md")).unwrap();
        let named: Vec<_> = page
            .split('`')
            .filter_map(|piece| piece.split_once(".rs::"))
            .collect();
        assert!(named.len() > 30, "{named:?}");
        for (file, test) in named {
            let source = fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
            assert!(
                source.contains(&format!("fn {test}(")),
                "{file}.rs has no test {test}"
            );
        }
    }

    #[test]
    fn part_is_put_between_its_marks() {
        let marks = ("<!-- supported:begin -->\n", "<!-- supported:end -->\n");
        let text = "a\n<!-- supported:begin -->\nold\n<!-- supported:end -->\nb\n";
        let new = "a\n<!-- supported:begin -->\nnew\n<!-- supported:end -->\nb\n";
        assert_eq!(replaced(text, marks, "new\n").as_deref(), Some(new));
        assert_eq!(replaced("a\n", marks, "new\n"), None);
    }
}
