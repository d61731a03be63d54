//! Licences and sources of dependencies: `cargo deny` when it is installed, otherwise a check of what
//! `cargo metadata` tells against the licences that `.deny.toml` allows.

use std::fs;
use std::io;

use kr_testkit::netns::run;
use serde_json::Value;

use super::step::Outcome;
use super::{cargo, whole};

/// The rules.
const RULES: &str = ".deny.toml";

/// The only source that packages may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The step.
pub(super) fn check() -> io::Result<Outcome> {
    if run(&mut cargo(&["deny", "--version"])).is_ok() {
        return whole(&mut cargo(&[
            "deny", "--config", RULES, "check", "bans", "licenses", "sources",
        ]));
    }
    println!("cargo-deny is not installed: checking licences and sources by cargo metadata");
    let rules = fs::read_to_string(RULES)?;
    let allowed = allowed(&rules);
    let metadata = run(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--quiet",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut accepted = true;
    for package in metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |key| package.get(key).and_then(Value::as_str);
        let name = text("name").unwrap_or("?");
        let licence = text("license").unwrap_or("");
        let source = text("source");
        let licensed = permits(licence, &allowed);
        if !licensed {
            println!("{name}: licence \"{licence}\" is not allowed by {RULES}");
        }
        let known = source.is_none_or(|source| source == REGISTRY);
        if !known {
            println!("{name}: source {source:?} is not the crates.io registry");
        }
        accepted &= licensed && known;
    }
    Ok(Outcome::one(accepted))
}

/// The quoted names in the `allow = [` list of the `[licenses]` section.
fn allowed(rules: &str) -> Vec<String> {
    let section = rules.split("[licenses]").nth(1).unwrap_or_default();
    let list = section.split("allow = [").nth(1).unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met with allowed licences: `OR` needs one side, `AND` both; `AND` binds
/// closer; `/` is an old way to write `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all(rest, allowed);
    while let Some((&"OR", after)) = rest.split_first() {
        *rest = after;
        met |= all(rest, allowed);
    }
    met
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = single(rest, allowed);
    while let Some((&"AND", after)) = rest.split_first() {
        *rest = after;
        met &= single(rest, allowed);
    }
    met
}

fn single(rest: &mut &[&str], allowed: &[String]) -> bool {
    let Some((&word, after)) = rest.split_first() else {
        return false;
    };
    *rest = after;
    if word == "(" {
        let met = either(rest, allowed);
        return match rest.split_first() {
            Some((&")", after)) => {
                *rest = after;
                met
            }
            _ => false,
        };
    }
    // An exception only adds permissions, but is not in the list: such a choice does not count.
    if let [exception, _, after @ ..] = *rest
        && *exception == "WITH"
    {
        *rest = after;
        return false;
    }
    allowed.iter().any(|name| name == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mit_and_isc() -> Vec<String> {
        allowed(
            "[bans]\nx = 1\n[licenses]\nallow = [\n    \"MIT\",\n    \"ISC\",\n]\n[sources]\ny = [\"GPL-2.0\"]\n",
        )
    }

    #[test]
    fn allowed_licences_are_read_from_their_section() {
        assert_eq!(mit_and_isc(), ["MIT", "ISC"]);
    }

    #[test]
    fn expressions_are_met_by_one_side_of_or_and_both_of_and() {
        for (expression, met) in [
            ("MIT", true),
            ("GPL-2.0", false),
            ("", false),
            ("MIT OR GPL-2.0", true),
            ("GPL-2.0/MIT", true),
            ("MIT AND ISC", true),
            ("MIT AND GPL-2.0", false),
            ("(MIT OR GPL-2.0) AND ISC", true),
            ("(MIT OR GPL-2.0) AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("MIT WITH something", false),
            ("(MIT", false),
            ("MIT ISC", false),
        ] {
            assert_eq!(permits(expression, &mit_and_isc()), met, "{expression}");
        }
    }
}
