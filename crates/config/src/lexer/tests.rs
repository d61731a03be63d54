use proptest::prelude::*;

use super::*;

/// Words and braces of a line, words with quotes marked by `*`.
fn tokens(line: &str, command: bool) -> Vec<String> {
    let mut tokens = Tokens::new(line, 0);
    std::iter::from_fn(|| tokens.next(command))
        .map(|token| match token {
            Token::Open(_) => "{".to_owned(),
            Token::Close(_) => "}".to_owned(),
            Token::Word { text, quoted, .. } if quoted => format!("*{text}"),
            Token::Word { text, .. } => text.into_owned(),
        })
        .collect()
}

#[test]
fn white_space_and_braces_separate_words() {
    for (line, expected) in [
        ("priority 100", vec!["priority", "100"]),
        ("\tpriority \x0b 100\r", vec!["priority", "100"]),
        ("a{b}c", vec!["a", "{", "b", "}", "c"]),
        ("a { state MASTER }", vec!["a", "{", "state", "MASTER", "}"]),
        ("", vec![]),
        ("  ", vec![]),
    ] {
        assert_eq!(tokens(line, false), expected, "{line:?}");
    }
}

#[test]
fn double_quotes_join_words() {
    for (line, expected) in [
        (r#"abcd" efg h jkl "mnop"#, vec!["*abcd efg h jkl mnop"]),
        (
            r#"abcd "efg h jkl" mnop"#,
            vec!["abcd", "*efg h jkl", "mnop"],
        ),
        (r#"path "{a}" x"#, vec!["path", "*{a}", "x"]),
        (r#"a """#, vec!["a", "*"]),
        (r#"a "say \"x\" \d" b"#, vec!["a", r#"*say "x" \d"#, "b"]),
        ("router_id O'Brien's", vec!["router_id", "O'Brien's"]),
        (r"a\#b \!c a\d", vec!["a#b", "!c", r"a\d"]),
        (
            "${UNKNOWN}x ${NOT CLOSED",
            vec!["${UNKNOWN}x", "$", "{", "NOT", "CLOSED"],
        ),
    ] {
        assert_eq!(tokens(line, false), expected, "{line}");
    }
}

#[test]
fn commands_know_single_quotes_and_keep_what_is_in_quotes() {
    for (line, expected) in [
        (
            r#""/path/prog a 'b c'" root"#,
            vec!["*/path/prog a 'b c'", "root"],
        ),
        (
            r#"'/path/prog "b c"' root"#,
            vec![r#"*/path/prog "b c""#, "root"],
        ),
        (r#""/prog \"b c\"" root"#, vec![r#"*/prog \"b c\""#, "root"]),
        (r"/prog\ name root", vec![r"/prog\ name", "root"]),
    ] {
        assert_eq!(tokens(line, true), expected, "{line}");
    }
}

#[test]
fn a_quote_without_end_reaches_to_the_end_of_the_line() {
    let mut tokens = Tokens::new("script \"/bin/a b ", 0);
    tokens.next(false);
    assert_eq!(
        tokens.next(false),
        Some(Token::Word {
            text: "/bin/a b".into(),
            start: 7,
            end: 17,
            quoted: true,
            unclosed: Some(7),
        })
    );
    assert_eq!(tokens.next(false), None);
}

#[test]
fn comments_begin_outside_quotes_only() {
    for (line, code) in [
        ("priority 100 # high", "priority 100 "),
        ("priority 100#high", "priority 100"),
        ("! all", ""),
        ("path /!", "path /"),
        (r#"path "/#a" ! b"#, r#"path "/#a" "#),
        (r"path /\#a", r"path /\#a"),
        (
            r#"script "sh -c \"a # b\"" # c"#,
            r#"script "sh -c \"a # b\"" "#,
        ),
        (r#"regex "a\\" # c"#, r#"regex "a\\" "#),
    ] {
        assert_eq!(line.get(..comment_start(line)).unwrap(), code, "{line}");
    }
}

#[test]
fn parameters_are_found_where_they_end() {
    for (text, expected) in [
        ("$A", Some(("A", "", 2))),
        ("$A b", Some(("A", "", 2))),
        ("$A,b", Some(("A", "", 2))),
        ("$A)b", Some(("A", "", 2))),
        ("$A.b", None),
        ("${A}.b", Some(("A", "", 4))),
        ("${_RANDOM 1 5}b", Some(("_RANDOM", "1 5", 14))),
        ("$1", None),
        ("$", None),
        ("${A", None),
        ("${A\"}", None),
    ] {
        let found = macro_use(text, 0).map(|found| (found.name, found.arguments, found.end));
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(definition("$A=b", 0), Some(("A", 3)));
    assert_eq!(definition("$A =b", 0), None);
    assert_eq!(definition("${A}=b", 0), None);
}

#[test]
fn commands_are_split_with_quotes_and_escapes() {
    for (text, expected) in [
        ("/path/prog a 'b c'", vec!["/path/prog", "a", "b c"]),
        (r#"a "b 'c'" d"#, vec!["a", "b 'c'", "d"]),
        (r"a\ b \' \\", vec!["a b", "'", r"\"]),
        (r"\a\b\E\f\n\r\t\v", vec!["\x07\x08\x1b\x0c\n\r\t\x0b"]),
        (r"\101\x42\cC\q", vec!["AB\x03q"]),
        (r"\xg", vec!["xg"]),
        (r"\303\251", vec!["é"]),
        ("a '' b", vec!["a", "", "b"]),
        ("  ", vec![]),
        ("a'b c'd", vec!["ab cd"]),
    ] {
        assert_eq!(split_command(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn a_command_that_cannot_be_split_says_why() {
    for (text, expected) in [
        ("a 'b", CommandError::UnclosedQuote('\'')),
        ("a \"b", CommandError::UnclosedQuote('"')),
        (r"a \", CommandError::TrailingBackslash),
        (r"\c", CommandError::TrailingBackslash),
        (r"\0", CommandError::BadEscape),
        (r"\400", CommandError::BadEscape),
        (r"\x100", CommandError::BadEscape),
        (r"\377", CommandError::NotUtf8),
    ] {
        assert_eq!(split_command(text).unwrap_err(), expected, "{text}");
    }
}

/// An argument as it must be written in a command.
fn quoted(argument: &str) -> String {
    let escaped: String = argument
        .chars()
        .flat_map(|character| {
            let escape = matches!(character, '\'' | '\\').then_some('\\');
            escape.into_iter().chain([character])
        })
        .collect();
    format!("'{escaped}'")
}

proptest! {
    #[test]
    fn quoted_arguments_come_back(arguments in prop::collection::vec("[^\0]*", 0..5)) {
        let line: Vec<_> = arguments.iter().map(|argument| quoted(argument)).collect();
        prop_assert_eq!(split_command(&line.join(" ")).unwrap(), arguments);
    }

    #[test]
    fn quoted_words_come_back(words in prop::collection::vec("[^\\\\\"\n]*", 0..5)) {
        let line: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let expected: Vec<_> = words.iter().map(|word| format!("*{word}")).collect();
        prop_assert_eq!(tokens(&line.join(" "), false), expected);
    }

    #[test]
    fn no_line_makes_the_lexer_panic(line in "\\PC*", command: bool) {
        tokens(&line, command);
        comment_start(&line);
        let _ = split_command(&line);
    }

    #[test]
    fn lookalikes_never_move_anything(line in "[a\"#! {}“”｛｝＃！\u{a0}\u{3000}é\\\\]*") {
        if let Some((text, _)) = lookalike::replace(&line) {
            prop_assert_eq!(text.len(), line.len());
        }
    }
}
