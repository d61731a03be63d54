use proptest::prelude::*;

use super::*;

const NONE: PatternOptions = PatternOptions::empty();

fn pattern(text: &str, options: PatternOptions) -> Pattern {
    Pattern::new(text, options).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn found(text: &str, options: PatternOptions, body: &[u8]) -> bool {
    let mut search = Search::new(&pattern(text, options), 0, None);
    search.feed(body);
    search.finish().unwrap()
}

/// Expected values are those of PCRE2.
#[test]
fn patterns_mean_what_they_mean_in_pcre() {
    for (text, body, expected) in [
        ("status.*up", "{\"status\":\"up\"}", true),
        ("status.*up", "status\nup", false),
        ("^OK$", "OK\n", true),
        ("^OK$", "OK\n\n", false),
        ("^OK$", "OK", true),
        (r"OK\z", "OK\n", false),
        (r"OK\Z", "OK\n", true),
        ("(OK|FINE)$", "FINE\n", true),
        ("a$\nb|c", "c", true),
        (r#"{"state":{"up":[01]}}"#, r#"{"state":{"up":1}}"#, true),
        ("a{2}", "aa", true),
        ("a{2}", "a{2}", false),
        ("a{,2}b", "a{,2}b", true),
        ("[[]x", "[x", true),
        ("[]x]]", "]]", true),
        ("[a&&b]", "&", true),
        (r"\<b\>", "<b>", true),
        (r"\d+\s\w", "7 x", true),
        (r"^\h*x", "\t x", true),
        (r"\x4f\x4B", "OK", true),
        (r"\Qa.b\E+", "a.bb", true),
        (r"\Qa.b\E", "axb", false),
        ("[[:digit:]]{3}", "123", true),
        ("[^[:digit:]]", "123", false),
        ("(?i)ok", "OK", true),
        ("(?i:o)k", "OK", false),
        ("(?#a comment)ok", "ok", true),
        ("a(?=b)", "ab", true),
        ("a(?!b)", "ab", false),
        ("(?<=a)b", "ab", true),
        (r"(\w)\1", "see", true),
        (r"(\w)\1", "sea", false),
        ("(?<l>.)-\\k<l>", "a-a", true),
        ("^(a)?(?(1)b|c)$", "ab", true),
        ("^(a)?(?(1)b|c)$", "c", true),
        ("^(a)?(?(1)b|c)$", "ac", false),
        ("^(?<x>a)?(?(<x>)b|c)$", "b", false),
        ("a++a", "aaa", false),
        ("a+a", "aaa", true),
        ("(?>a+)a", "aaa", false),
        ("error|fail", "all is well", false),
        ("\u{e4}", "\u{e4}", true),
        (r"[\x80-\xff]", "\u{e4}", true),
        (r"^..$", "\u{e4}", true),
        (r"\bup\b", "is up.", true),
        (r"\bup\b", "is upper.", false),
        (r"\012", "\n", true),
        ("(?m)^b$", "a\nb\nc", true),
        ("^b$", "a\nb\nc", false),
        ("", "", true),
    ] {
        assert_eq!(
            found(text, NONE, body.as_bytes()),
            expected,
            "{text} in {body:?}"
        );
    }
}

#[test]
fn options_are_honoured_by_both_engines() {
    use PatternOptions as O;
    for (text, options, body, expected) in [
        ("ok", O::CASELESS, "OK", true),
        ("a.b", O::DOTALL, "a\nb", true),
        ("^b$", O::MULTILINE, "a\nb", true),
        ("a$", O::DOLLAR_ENDONLY, "a\n", false),
        ("a b # c", O::EXTENDED, "ab", true),
        ("a[ ]b", O::EXTENDED, "a b", true),
        ("b", O::FIRSTLINE, "a\nb", false),
        ("b", O::FIRSTLINE, "ab\nc", true),
        ("a+b", O::UNGREEDY, "aab", true),
        ("^.$", O::UTF, "\u{e4}", true),
        (r"^\w$", O::UTF, "\u{e4}", false),
        (r"^\w$", O::UTF.union(O::UCP), "\u{e4}", true),
        (r"\bb", O::UTF, "\u{e4}b", true),
        (r"\p{Greek}", O::UTF, "\u{3b1}", true),
        ("a[]|b", O::ALLOW_EMPTY_CLASS, "a", false),
        ("a[^]b", O::ALLOW_EMPTY_CLASS, "a\nb", true),
        ("a[]b]", O::empty(), "a]", true),
        (r"^\u0041\x4aU\U\u\xz$", O::ALT_BSUX, "AJUUuxz", true),
        ("(?<n>a)|(?<n>b)c", O::DUPNAMES, "bc", true),
        (r"(a)?\1b$", O::MATCH_UNSET_BACKREF, "b", true),
        (r"(a)?\1b$", O::empty(), "b", false),
        (r"(?<n>a)?b\k<n>$", O::MATCH_UNSET_BACKREF, "cb", true),
        (r"^(?<n>a)?b\k<n>$", O::MATCH_UNSET_BACKREF, "ab", false),
        (r"^(?<n>a)?b\k<n>$", O::MATCH_UNSET_BACKREF, "aba", true),
        ("\u{c4}", O::UTF.union(O::CASELESS), "\u{e4}", true),
    ] {
        let engines = [text.to_owned(), format!("(?=[\\s\\S]){text}")];
        // The second form needs the other engine; it cannot swap greed, and comments end the pattern.
        let both = !options.contains(O::UNGREEDY) && !options.contains(O::EXTENDED);
        for text in engines.iter().take(if both { 2 } else { 1 }) {
            if text.contains(r"\bb") && text.starts_with("(?=") {
                continue;
            }
            assert_eq!(
                found(text, options, body.as_bytes()),
                expected,
                "{text} {options:?} in {body:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_kept_is_refused_with_a_place_and_a_way_out() {
    for (text, message) in [
        ("(*UTF8)a", "a verb at character 1 is not supported"),
        (
            "ab(?R)",
            "a call of a group at character 3 is not supported",
        ),
        (
            "(a)(?1)",
            "a call of a group at character 4 is not supported",
        ),
        (
            "(a)?(?(R)b|c)",
            "a condition at character 5 is not supported",
        ),
        ("(?|a|b)", "a branch reset at character 1 is not supported"),
        (r"a\Gb", "`\\G` at character 2 is not supported"),
        (r"a\X", "`\\X` at character 2 is not supported"),
        (r"\y", "this escape at character 1 is not supported"),
        (
            r"\p{L}",
            "a Unicode property without the option utf at character 1 is not supported",
        ),
        ("a(", "unclosed group"),
        ("a)", "unopened group"),
        ("*a", "repetition operator missing expression"),
        ("[a", "a `[` is not closed"),
        ("a(?#b", "a comment is not closed"),
        ("a\\", "it ends with a backslash"),
        (
            "(?:a{1000}){1000}",
            "it needs more than 1048576 bytes when compiled",
        ),
    ] {
        let error = Pattern::new(text, NONE).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        assert!(!error.help().is_empty());
    }
}

#[test]
fn offsets_say_where_a_match_begins() {
    let ok = pattern("ok", NONE);
    let at_start = pattern("^ok", NONE);
    let look = pattern("(?<=x)ok", NONE);
    for (pattern, body, min, max, expected) in [
        (&ok, "..ok", 0, None, true),
        (&ok, "..ok", 2, None, true),
        (&ok, "..ok", 3, None, false),
        (&ok, "..ok", 9, None, false),
        (&ok, "..ok", 0, Some(2), true),
        (&ok, "..ok", 0, Some(1), false),
        (&ok, "ok", 0, Some(0), true),
        // The start of the body is the start, not the first place that counts.
        (&at_start, "xok", 1, None, false),
        (&look, "xok", 1, None, true),
        (&look, "xok", 0, Some(0), false),
        (&look, "xok", 0, Some(1), true),
    ] {
        let mut search = Search::new(pattern, min, max);
        search.feed(body.as_bytes());
        assert_eq!(search.finish(), Ok(expected), "{body} {min} {max:?}");
    }
}

#[test]
fn a_match_is_found_anywhere_in_a_long_body_while_little_is_held() {
    for (text, tail) in [
        ("needle", "needle"),
        ("needle$", "needle\n"),
        ("(?s)needle.*end", "needle.end"),
    ] {
        for at in [0, 7, WINDOW - 3, WINDOW, 3 * WINDOW - 1, 1 << 20] {
            let mut body = vec![b'.'; at];
            body.extend_from_slice(tail.as_bytes());
            for piece in [1 + at / 50, 4096, 1 << 21] {
                let mut search = Search::new(&pattern(text, NONE), 0, None);
                for part in body.chunks(piece) {
                    search.feed(part);
                    assert!(search.bytes_held() <= WINDOW);
                }
                assert_eq!(search.finish(), Ok(true), "{text} at {at} by {piece}");
            }
        }
    }
    let mut search = Search::new(&pattern("(?s)needle.*", NONE), 0, None);
    search.feed(b"needle");
    for _ in 0..100 {
        search.feed(&[b'.'; 10_000]);
    }
    assert_eq!(search.finish(), Ok(true), "an open end");
}

#[test]
fn the_end_of_a_window_is_no_end_of_the_body() {
    for text in ["x$", r"x\b", r"x\z"] {
        let mut search = Search::new(&pattern(text, NONE), 0, None);
        let mut body = vec![b'.'; WINDOW - 1];
        body.extend(b"xy");
        body.extend(vec![b'.'; WINDOW]);
        search.feed(&body);
        assert_eq!(search.finish(), Ok(false), "{text}");
    }
    let mut search = Search::new(&pattern("^x", NONE), 0, None);
    search.feed(b"x");
    assert_eq!(search.finish(), Ok(true));
    let mut search = Search::new(&pattern("^x", NONE), 0, None);
    search.feed(b".");
    search.feed(&vec![b'x'; 4 * WINDOW]);
    assert_eq!(
        search.finish(),
        Ok(false),
        "only the first byte of the body is its start"
    );
}

#[test]
fn backtracking_is_bounded_in_bytes_and_steps() {
    let look = pattern("needle(?=!)", NONE);
    let mut search = Search::new(&look, 0, None);
    for _ in 0..100 {
        search.feed(&[b'.'; 1000]);
        assert!(search.bytes_held() <= MAX_PIECE);
    }
    assert_eq!(search.finish(), Err(SearchError::TooLong));
    let mut search = Search::new(&look, 0, Some(500));
    search.feed(&[b'.'; 2 * MAX_PIECE]);
    assert_eq!(search.finish(), Ok(false), "what may count was there");
    let mut search = Search::new(&look, 0, None);
    search.feed(b"needle!");
    search.feed(&[b'.'; 2 * MAX_PIECE]);
    assert_eq!(search.finish(), Ok(true));
    let mut search = Search::new(&pattern(r"^(a|a)*\1b", NONE), 0, None);
    search.feed(&[b'a'; 1000]);
    assert_eq!(search.finish(), Err(SearchError::TooHard));
}

/// A pattern that makes other engines slow on this body costs time in proportion to it.
#[test]
fn the_automaton_does_not_mind_what_the_body_is() {
    let mut search = Search::new(&pattern("(a*)*(a*)*b$", NONE), 0, None);
    for _ in 0..100 {
        search.feed(&[b'a'; 10_000]);
    }
    assert_eq!(search.finish(), Ok(false));
}

proptest! {
    #[test]
    fn any_text_as_pattern_is_compiled_or_refused(text in "\\PC{0,30}|[a-z(){}\\[\\]\\\\?*+|$^<>=!:0-9#&~-]{0,20}") {
        let _ = Pattern::new(&text, NONE);
        let _ = Pattern::new(&text, PatternOptions::UTF | PatternOptions::EXTENDED);
    }

    #[test]
    fn pieces_do_not_change_what_is_found(
        body in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'\n')], 0..200),
        cuts in proptest::collection::vec(1_usize..50, 1..20),
        text in prop_oneof![Just("ab+a"), Just("^b"), Just("a$"), Just("(?m)^ab$"), Just("b(?!a)"), Just("(a)b\\1")],
        min in 0_u64..20,
        max in proptest::option::of(0_u64..200),
    ) {
        let pattern = pattern(text, NONE);
        let mut whole = Search::new(&pattern, min, max);
        whole.feed(&body);
        let mut pieces = Search::new(&pattern, min, max);
        let mut rest = body.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            pieces.feed(now);
            rest = later;
        }
        prop_assert_eq!(whole.finish(), pieces.finish());
    }
}
