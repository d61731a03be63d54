//! The reference of the configuration file, made from the registry: as a manual page for
//! `keepalived-rs.conf(5)` and as Markdown. The page is committed; a test compares it.

use std::fmt::Write;

use crate::registry::{self, Block, Keyword, Status};

const INTRODUCTION: &str = "keepalived-rs reads the configuration files of keepalived. This page lists every keyword of \
keepalived 2.4 with what keepalived-rs does with it. An ignored keyword has \
no effect on purpose. A refused keyword is an error.";

/// The manual page, in the `man` macros of roff.
#[must_use]
pub fn roff() -> String {
    let mut out = String::from(
        ".\\\" Made from the keyword registry; do not edit.\n.TH KEEPALIVED\\-RS.CONF 5\n.SH NAME\n\
         keepalived\\-rs.conf \\- configuration of keepalived\\-rs\n.SH DESCRIPTION\n",
    );
    let _ = writeln!(out, "{}", escape(INTRODUCTION));
    for (block, keywords) in blocks() {
        let _ = writeln!(out, ".SH {}", quote(&block.label().to_uppercase()));
        for keyword in keywords {
            let _ = writeln!(out, ".TP\n.B {}", quote(keyword.syntax));
            for line in description(keyword) {
                let _ = writeln!(out, "{}", escape(&line));
            }
        }
    }
    out.push_str(".SH SEE ALSO\n.BR keepalived\\-rs (8),\n.BR genhash (1)\n");
    out
}

/// The reference as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut out = format!("# The configuration file\n\n{INTRODUCTION}\n");
    for (block, keywords) in blocks() {
        let _ = writeln!(out, "\n## {}\n", block.label());
        for keyword in keywords {
            let lines = description(keyword).join(" ");
            let _ = writeln!(out, "- `{}`: {lines}", keyword.syntax);
        }
    }
    out
}

/// Every block with its keywords.
fn blocks() -> impl Iterator<Item = (Block, impl Iterator<Item = &'static Keyword>)> {
    let blocks = Block::ALL.iter();
    blocks.map(|block| {
        (
            *block,
            registry::all().filter(move |keyword| keyword.block == *block),
        )
    })
}

/// Sentences on a keyword: its name when the syntax does not show it, meaning, default, range, status.
fn description(keyword: &Keyword) -> Vec<String> {
    let mut lines = Vec::new();
    if !keyword.syntax.contains(keyword.name) {
        let name = keyword.name;
        let inner = name
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        lines.push(format!("{}:", inner.unwrap_or(name)));
    }
    lines.push(keyword.doc.to_owned());
    if !keyword.default.is_empty() {
        lines.push(format!(
            "Default: {}.",
            keyword.default.trim_end_matches('.')
        ));
    }
    if !keyword.range.is_empty() {
        lines.push(format!("Range: {}.", keyword.range.trim_end_matches('.')));
    }
    match keyword.status {
        Status::Supported => {}
        Status::Ignored(why) => lines.push(format!("Ignored: {why}.")),
        Status::Refused(why) => lines.push(format!("Refused: {why}.")),
    }
    lines
}

/// Text that roff takes literally.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// One argument of a macro.
fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('"', "\\(dq"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_up_to_date() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../parentd/man/keepalived-rs.conf.5"
        );
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(committed == roff(), "{path} is stale; make it again");
    }

    #[test]
    fn every_keyword_is_on_the_page() {
        let page = roff();
        assert_eq!(page.matches(".TP\n").count(), registry::all().count());
        assert!(page.contains(".B \"virtual_router_id N\"\n"));
    }

    #[test]
    fn roff_takes_no_text_for_a_request() {
        assert_eq!(escape(".5 a-b\\"), "\\&.5 a\\-b\\e");
        assert_eq!(quote("a \"b\""), "\"a \\(dqb\\(dq\"");
        let requests: Vec<String> = roff()
            .lines()
            .filter(|line| line.starts_with('.'))
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        let known = [".\\\"", ".TH", ".SH", ".TP", ".B", ".BR"];
        assert!(
            requests
                .iter()
                .all(|request| known.contains(&request.as_str())),
            "{requests:?}"
        );
    }

    #[test]
    fn the_markdown_has_an_item_per_keyword() {
        let items = markdown()
            .lines()
            .filter(|line| line.starts_with("- `"))
            .count();
        assert_eq!(items, registry::all().count());
    }
}
