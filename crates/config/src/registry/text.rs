//! Lists and explanations of keywords for people.

use std::fmt::Write;

use super::{Block, Hint, Keyword, Status, all, hint};

/// A line `block<TAB>keyword<TAB>status` for every keyword.
#[must_use]
pub fn list_keywords() -> String {
    let mut out = String::new();
    for keyword in all() {
        out.push_str(keyword.block.label());
        out.push('\t');
        out.push_str(keyword.name);
        out.push('\t');
        out.push_str(keyword.status.word());
        out.push('\n');
    }
    out
}

/// The entries of a keyword in every block that has it; `None` with a suggestion when there is none.
///
/// # Errors
/// When no block has the keyword: a sentence that says so and names a similar one.
pub fn explain(name: &str) -> Result<String, String> {
    let mut out = String::new();
    for keyword in all().filter(|k| k.name == name) {
        if !out.is_empty() {
            out.push('\n');
        }
        explain_one(&mut out, keyword);
    }
    if !out.is_empty() {
        return Ok(out);
    }
    Err(match hint(name, Block::ALL) {
        Some(Hint::Glued(near, _) | Hint::Spelling(near)) => {
            format!("there is no keyword `{name}`; did you mean `{near}`?")
        }
        Some(Hint::OtherBlock(_)) | None => format!("there is no keyword `{name}`"),
    })
}

fn explain_one(out: &mut String, keyword: &Keyword) {
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(out, "{label:<8} {text}");
        }
    };
    line("block", keyword.block.label());
    line("syntax", keyword.syntax);
    line("default", keyword.default);
    line("range", keyword.range);
    line("status", &status_sentence(keyword.status));
    line("meaning", keyword.doc);
}

/// The status with its reason.
pub(crate) fn status_sentence(status: Status) -> String {
    match status {
        Status::Supported => "supported".to_owned(),
        Status::Ignored(why) => format!("ignored: {why}"),
        Status::Refused(why) => format!("refused: {why}"),
    }
}

/// A Markdown table with a row per block: how many of its keywords work and how many do not, and the names of
/// those.
#[must_use]
pub fn markdown_table() -> String {
    let mut out =
        String::from("| block | supported | ignored or refused | which |\n|---|---:|---:|---|\n");
    for block in Block::ALL {
        let (works, others): (Vec<&Keyword>, Vec<&Keyword>) = all()
            .filter(|keyword| keyword.block == *block)
            .partition(|keyword| keyword.status == Status::Supported);
        let mut names: Vec<String> = others
            .iter()
            .map(|keyword| format!("`{}`", keyword.name.replace('|', "\\|")))
            .collect();
        names.dedup();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            short_label(*block),
            works.len(),
            others.len(),
            names.join(" "),
        );
    }
    out
}

/// The label up to its explanation in parentheses.
fn short_label(block: Block) -> &'static str {
    let label = block.label();
    label.split_once(" (").map_or(label, |(short, _)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_line_of_three_fields_per_keyword() {
        let list = list_keywords();
        assert_eq!(list.lines().count(), all().count());
        assert!(list.lines().all(|line| line.split('\t').count() == 3));
        assert!(list.contains("vrrp_instance\tvirtual_router_id\tsupported\n"));
        assert!(list.contains("global_defs\tenable_dbus\tignored\n"));
    }

    #[test]
    fn an_explanation_names_every_block() {
        let text = explain("virtualhost").unwrap();
        for block in [
            "virtual_server",
            "real_server",
            "HTTP_GET / SSL_GET",
            "HTTP_GET / SSL_GET.url",
        ] {
            assert!(text.contains(&format!("block    {block}\n")), "{text}");
        }
    }

    #[test]
    fn an_unknown_keyword_is_explained_by_a_similar_one() {
        assert_eq!(
            explain("virtual_router_ip").unwrap_err(),
            "there is no keyword `virtual_router_ip`; did you mean `virtual_router_id`?"
        );
    }

    #[test]
    fn the_table_has_a_row_per_block_and_counts_everything() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), Block::ALL.len() + 2);
        let total: usize = table
            .lines()
            .skip(2)
            .flat_map(|row| {
                row.split(" | ")
                    .skip(1)
                    .take(2)
                    .map(|n| n.parse::<usize>().unwrap())
            })
            .sum();
        assert_eq!(total, all().count());
    }
}
