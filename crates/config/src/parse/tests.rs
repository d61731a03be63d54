use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::diagnostic::{Class, Severity};
use crate::memory::MemoryHost;
use crate::render::one_line;

fn parse_host(host: &MemoryHost) -> Parsed {
    parse(host, Path::new("/etc/k.conf"), &ParseOptions::default())
}

fn parse_text(text: &str) -> Parsed {
    parse_host(&MemoryHost::with_file("/etc/k.conf", text))
}

/// The tree in one line: `a b {c d; e;} f;`.
fn shown(statements: &[Statement]) -> String {
    let mut text = String::new();
    for statement in statements {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&statement.keyword.text);
        for argument in &statement.arguments {
            let quote = if argument.quoted { "\"" } else { "" };
            write!(text, " {quote}{}{quote}", argument.text).unwrap();
        }
        match &statement.block {
            Some(block) => write!(text, " {{{}}}", shown(&block.statements)).unwrap(),
            None => text.push(';'),
        }
    }
    text
}

/// The tree of a text in which nothing is wrong.
fn tree(text: &str) -> String {
    let parsed = parse_text(text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    shown(&parsed.root())
}

/// The findings, each in one line without the path.
fn findings(parsed: &Parsed) -> Vec<String> {
    parsed
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let line = one_line(diagnostic, &parsed.sources);
            line.strip_prefix("/etc/k.conf:")
                .unwrap_or(&line)
                .to_owned()
        })
        .collect()
}

#[test]
fn blocks_may_stand_on_one_line_or_many() {
    for (text, expected) in [
        ("a b {\n c d\n}\n", "a b {c d;}"),
        ("a b { c d }", "a b {c d;}"),
        ("a b\n{\n c d\n}", "a b {c d;}"),
        ("a b\n\n # comment\n{ c }", "a b {c;}"),
        ("a { b { c } d } e", "a {b {c;} d;} e;"),
        ("a{}b{}", "a {} b {}"),
        ("a { b\nc }", "a {b; c;}"),
        ("a\nb\n{\n}", "a; b {}"),
        ("a {\r\n b 1\r\n}\r\n", "a {b 1;}"),
        (
            "notify_master \"/p a 'b c'\" root",
            "notify_master \"/p a 'b c'\" root;",
        ),
        ("notify_master '/p a'", "notify_master \"/p a\";"),
        ("router_id 'a", "router_id 'a;"),
        ("", ""),
    ] {
        assert_eq!(tree(text), expected, "{text:?}");
    }
}

#[test]
fn lines_of_any_length_are_read() {
    let long = "x".repeat(100_000);
    assert_eq!(tree(&format!("a {long}")), format!("a {long};"));
}

#[test]
fn parameters_are_replaced_where_they_are_used() {
    for (text, expected) in [
        ("$A=1\np $A", "p 1;"),
        ("$A=1\np ${A}2 $A,3", "p 12 1,3;"),
        ("$A=1 2\np $A 3", "p 1 2 3;"),
        ("$A=\np x${A}y", "p xy;"),
        ("$A=1\np \"x ${A} y\"", "p \"x 1 y\";"),
        ("$A=1 # one\np $A", "p 1;"),
        (
            "$B=10.2.${S}\n$S=0\np ${B}.1\n$S=10\np ${B}.1",
            "p 10.2.0.1; p 10.2.10.1;",
        ),
        ("@main $P=240\n@^main $P=200\np $P", "p 200;"),
        ("$IF=@main\n$IF p 1\n$IF=@host1\n$IF p 2", "p 2;"),
        ("p a${_HASH}b ${_BANG}", "p a#b !;"),
        ("p ${_INSTANCE} ${_PWD}/x", "p host1 /etc/x;"),
        ("p ${_RANDOM} ${_RANDOM 5 9} ${_RANDOM 9 5}", "p 0 5 9;"),
        ("p x${_ENV NOTHING}", "p x;"),
        ("$_PWD=/other\np ${_PWD}", "p /other;"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn a_seed_repeats_the_random_numbers_that_follow_it() {
    let numbers = |seed: &str| {
        tree(&format!(
            "global_defs {{\n random_seed {seed}\n}}\np ${{_RANDOM}} ${{_RANDOM 5 9}} ${{_RANDOM 7 7}}"
        ))
    };
    assert_eq!(numbers("42"), numbers("42"));
    assert_ne!(numbers("42"), numbers("43"));
    let drawn = numbers("42");
    let words: Vec<u32> = drawn
        .trim_end_matches(';')
        .rsplit(' ')
        .take(3)
        .map(|word| word.parse().unwrap())
        .collect();
    assert!(
        words[0] == 7 && (5..=9).contains(&words[1]) && words[2] <= 32_767,
        "{drawn}"
    );
    // The host of the tests gives the smallest number.
    assert!(
        tree("random_seed 42\np ${_RANDOM}").ends_with("p 0;"),
        "only in global_defs"
    );
    assert!(tree("p ${_RANDOM}\nglobal_defs {\n random_seed 42\n}").starts_with("p 0;"));
}

#[test]
fn environment_is_read() {
    let mut host = MemoryHost::with_file("/etc/k.conf", "p ${_ENV SITE}");
    host.environment
        .insert("SITE".to_owned(), "east".to_owned());
    assert_eq!(shown(&parse_host(&host).root()), "p east;");
}

#[test]
fn values_of_several_lines_make_statements() {
    let text = "$INSTANCE= \\\n vrrp_instance VI_${NUM} { \\  \n  priority 1 # why \\\n  @nobody state MASTER \\\n  \
                virtual_ipaddress { \\\n 10.0.${NUM}.254/24 \\\n } \\\n }\n$NUM=0\n$INSTANCE\n$NUM=1\n$INSTANCE\n";
    assert_eq!(
        tree(text),
        "vrrp_instance VI_0 {priority 1; virtual_ipaddress {10.0.0.254/24;}} \
         vrrp_instance VI_1 {priority 1; virtual_ipaddress {10.0.1.254/24;}}"
    );
}

#[test]
fn definitions_within_values_hold_from_there_on() {
    let text = "$RS= \\\nreal_server ${N} { \\\nweight ${N} \\\n}\n$VS= \\\nvs { \\\n$N=1 \\\n$RS \\\n$N=2 \\\n$RS \\\n}\n$VS";
    assert_eq!(
        tree(text),
        "vs {real_server 1 {weight 1;} real_server 2 {weight 2;}}"
    );
}

#[test]
fn a_value_of_several_lines_may_have_neighbours() {
    let text = "$B= \\\na 1 \\\nb 2\nx { $B }\n$B c 3";
    assert_eq!(tree(text), "x {a 1; b 2;} a 1; b 2; c 3;");
}

#[test]
fn conditions_choose_lines() {
    for (text, expected) in [
        (
            "@host1 a 1\n@other a 2\n@^host1 a 3\n@^other a 4",
            "a 1; a 4;",
        ),
        ("@host1 @^other a 1", "a 1;"),
        ("b {\n @host1 a 1\n @other a 2\n}", "b {a 1;}"),
        ("p a@host", "p a@host;"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
    let host = MemoryHost::with_file("/etc/k.conf", "@main a\n@host1 b");
    let options = ParseOptions {
        config_id: Some("main".to_owned()),
        ..ParseOptions::default()
    };
    assert_eq!(
        shown(&parse(&host, Path::new("/etc/k.conf"), &options).root()),
        "a;"
    );
}

#[test]
fn lines_are_repeated() {
    for (text, expected) in [
        (
            "~SEQ(I, 0, 2) a 10.0.${I}.1",
            "a 10.0.0.1; a 10.0.1.1; a 10.0.2.1;",
        ),
        ("$N=2\n~SEQ(I,$N) a $I", "a 1; a 2;"),
        ("~SEQx(A, 0x90, 0x10, 0xb0) f::${A}", "f::90; f::a0; f::b0;"),
        ("~LST(I,1,2) ~LST(J,5,6) ${I}.${J}", "1.5; 1.6; 2.5; 2.6;"),
        (
            "~LST({A,B},{1,2},{3,4}) ~SEQ(C,2) ${A}.${B}.${C}",
            "1.2.1; 1.2.2; 3.4.1; 3.4.2;",
        ),
        ("$L=1,2\n~LST(I,$L) a $I", "a 1; a 2;"),
        ("$R=~SEQ(I,2) a\n$R ${I}", "a 1; a 2;"),
        (
            "$B= \\\nx ${I} { \\\n y \\\n}\n~SEQ(I,2) $B",
            "x 1 {y;} x 2 {y;}",
        ),
        ("$I=7\n~SEQ(I,2) a $I\na $I", "a 1; a 2; a 7;"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn words_of_a_parameter_have_the_place_of_its_use() {
    let parsed = parse_text("$A=value 2\np $A x");
    let root = parsed.root();
    let words = &root.first().unwrap().arguments;
    let places: Vec<_> = words
        .iter()
        .map(|word| (word.span.start, word.span.end))
        .collect();
    assert_eq!(places, [(13, 15), (13, 15), (16, 17)]);
}

#[test]
fn places_of_wide_characters_are_whole() {
    let text = "notify “a b” ｛";
    let parsed = parse_text(text);
    let root = parsed.root();
    let statement = root.first().unwrap();
    let word = statement.arguments.first().unwrap();
    let place = |span: Span| text.get(span.start as usize..span.end as usize).unwrap();
    assert_eq!(place(word.span), "“a b”");
    assert_eq!(place(statement.block.as_ref().unwrap().span), "｛");
}

#[test]
fn the_place_of_an_include_is_whole_characters() {
    let text = "include “no file” more";
    let parsed = parse_text(text);
    let places: Vec<&str> = parsed
        .diagnostics
        .iter()
        .filter(|found| !found.message.contains("U+201"))
        .filter_map(|found| found.span)
        .map(|span| text.get(span.start as usize..span.end as usize).unwrap())
        .collect();
    assert_eq!(places, ["“no file”", "more"]);
}

#[test]
fn files_are_included_in_place() {
    let host = MemoryHost::with_file("/etc/k.conf", "a 1\ninclude d/*.conf\nb 2")
        .and_file("/etc/d/1.conf", "c ${_PWD}\ninclude x/y")
        .and_file("/etc/d/2.conf", "d 4")
        .and_file("/etc/d/x/y", "e 5");
    let parsed = parse_host(&host);
    assert_eq!(shown(&parsed.root()), "a 1; c /etc/d; e 5; d 4; b 2;");
    assert_eq!(parsed.diagnostics, []);
}

#[test]
fn braces_conditions_and_parameters_work_in_includes() {
    let host = MemoryHost::with_file(
        "/etc/k.conf",
        "x {\n  include /etc/{a,b}\n}\n$D=/etc\n@host1 include ${D}/a\n@other include /none",
    )
    .and_file("/etc/a", "in_a")
    .and_file("/etc/b", "in_b");
    let parsed = parse_host(&host);
    assert_eq!(shown(&parsed.root()), "x {in_a; in_b;} in_a;");
    assert_eq!(parsed.diagnostics, []);
}

#[test]
fn a_missing_include_is_as_bad_as_the_checks_say() {
    let error = Some(Severity::Error);
    let warning = Some(Severity::Warning);
    for (text, expected) in [
        ("include none", warning),
        ("include none*", None),
        ("includer none", warning),
        ("includem none", error),
        ("includem none*", None),
        ("includew none*", error),
        ("include {k.conf2,none}", None),
        ("includeb {k.conf2,none}", error),
        ("includea none*", error),
        ("global_defs { \n include_check \n }\n include none*", error),
        (
            "global_defs { \n include_check +match -wildcard_match\n }\n include none",
            error,
        ),
        (
            "global_defs { \n include_check wildcard_match\n }\n include none*",
            error,
        ),
        (
            "global_defs { \n include_check\n include_check -match\n }\n include none",
            warning,
        ),
        ("include_check\ninclude none", warning),
    ] {
        let host = MemoryHost::with_file("/etc/k.conf", text).and_file("/etc/k.conf2", "");
        let parsed = parse_host(&host);
        let severity = parsed
            .diagnostics
            .first()
            .map(|diagnostic| diagnostic.severity);
        assert_eq!(severity, expected, "{text}: {:?}", findings(&parsed));
    }
}

#[test]
fn checks_of_an_included_file_end_with_it() {
    let host = MemoryHost::with_file("/etc/k.conf", "include sub\ninclude none*")
        .and_file("/etc/sub", "global_defs { \n include_check \n }");
    assert_eq!(parse_host(&host).diagnostics, []);
}

#[test]
fn all_checks_can_be_asked_for() {
    let host = MemoryHost::with_file("/etc/k.conf", "include none*");
    let options = ParseOptions {
        all_include_checks: true,
        ..ParseOptions::default()
    };
    let parsed = parse(&host, Path::new("/etc/k.conf"), &options);
    assert_eq!(
        findings(&parsed),
        ["1:9: error: no file matches /etc/none*"]
    );
}

#[test]
fn an_include_loop_is_an_error_and_ends() {
    let host = MemoryHost::with_file("/etc/k.conf", "a\ninclude d/x")
        .and_file("/etc/d/x", "b\ninclude ../k.conf");
    let parsed = parse_host(&host);
    assert_eq!(shown(&parsed.root()), "a; b;");
    assert_eq!(
        findings(&parsed),
        ["/etc/d/x:2:9: error: /etc/k.conf includes itself"]
    );
}

#[test]
fn includes_that_nest_too_deep_are_an_error() {
    let mut host = MemoryHost::with_file("/etc/k.conf", "include f0");
    for level in 0..40 {
        let text = format!("include f{}", level + 1);
        host = host.and_file(&format!("/etc/f{level}"), &text);
    }
    let parsed = parse_host(&host);
    assert_eq!(
        findings(&parsed),
        ["/etc/f14:1:9: error: files are included more than 16 deep"]
    );
}

#[test]
fn a_missing_main_file_is_fatal() {
    let parsed = parse(
        &MemoryHost::default(),
        Path::new("/etc/k.conf"),
        &ParseOptions::default(),
    );
    let diagnostic = parsed.diagnostics.first().unwrap();
    assert_eq!(diagnostic.class, Class::Fatal);
    assert!(diagnostic.message.starts_with("cannot read /etc/k.conf: "));
}

#[test]
fn parameters_in_a_circle_are_an_error() {
    for text in [
        "$A=x$A\np $A",
        "$A=$A\n$A",
        "$A=$A $A\np $A",
        "$A=$B\n$B=$A\n$A",
        "$A= \\\n x \\\n $A\n$A",
        "$A=~SEQ(I,2) $A\n$A",
    ] {
        let parsed = parse_text(text);
        let errors = findings(&parsed);
        assert!(
            errors
                .iter()
                .any(|error| error.contains("nested more than 64 deep")),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn parameters_that_grow_without_bound_are_an_error() {
    let mut text = format!("$A0={}\n", "x".repeat(10_000));
    for level in 1..40 {
        let before = level - 1;
        writeln!(text, "$A{level}=${{A{before}}}${{A{before}}}").unwrap();
    }
    text.push_str("p $A39\nq 1");
    let parsed = parse_text(&text);
    assert_eq!(shown(&parsed.root()), "q 1;");
    assert_eq!(
        findings(&parsed),
        [
            "41:3: error: the parameters expand to more text than can be read; a parameter that repeats others \
          several times over grows without bound"
        ]
    );
}

#[test]
fn an_endless_sequence_is_an_error() {
    let parsed = parse_text(&format!(
        "~SEQ(I,9999999999) @nobody {}",
        "a".repeat(10_000)
    ));
    let errors = findings(&parsed);
    assert!(
        errors
            .iter()
            .any(|error| error.contains("expand to more text")),
        "{errors:?}"
    );
}

#[test]
fn blocks_that_nest_too_deep_are_left_out() {
    let parsed = parse_text(&format!("{}x{}", "a {".repeat(10_000), "}".repeat(10_000)));
    assert_eq!(
        findings(&parsed),
        ["1:99: error: blocks are nested more than 32 deep"]
    );
}

#[test]
fn findings_say_what_and_where() {
    for (text, expected) in [
        (
            "p $UNKNOWN",
            "1:3: warning: parameter `$UNKNOWN` is not defined; define it above this line with $UNKNOWN=VALUE \
             at the beginning of a line",
        ),
        (
            "$A=1\np $A.2",
            "2:3: warning: parameter `$A` is not replaced here; write ${A}",
        ),
        (
            "a 1 \\\nb 2",
            "1:5: warning: a backslash at the end joins lines only in a $NAME= definition; write the whole \
             statement in one line; lines may be long",
        ),
        (
            "@ a",
            "1:1: error: a configuration id must follow `@`; write `@ID` or `@^ID` without space, and the line \
             after it",
        ),
        (
            "~SEQ(I a",
            "1:1: error: cannot repeat this line: its `(` is not closed; write ~SEQ(NAME,START,STEP,END) or \
             ~LST(NAME,VALUE,...)",
        ),
        (
            "~SEQ(I,1,0,2) a",
            "1:1: error: cannot repeat this line: the step must not be 0; write ~SEQ(NAME,START,STEP,END) or \
             ~LST(NAME,VALUE,...)",
        ),
        (
            "a \"b",
            "1:3: error: the `\"` that begins here is not closed; put a `\"` where the text ends, in the same line",
        ),
        (
            "script 'b",
            "1:8: error: the `'` that begins here is not closed; put a `'` where the text ends, in the same line",
        ),
        (
            "{ a }",
            "1:1: error: `{` without a keyword before it; remove it and its `}`, or write the keyword of the \
             block before it",
        ),
        (
            "a }",
            "1:3: error: `}` without a block that is open; remove it, or add the `{` that it belongs to",
        ),
        (
            "include",
            "1:1: error: expected a file name or pattern; for example: include conf.d/*.conf",
        ),
        (
            "\u{feff}a",
            "1:1: note: the file begins with a byte order mark; it is skipped; save the file as UTF-8 without BOM",
        ),
        (
            "a \u{fffd}",
            "1:3: warning: these bytes are not UTF-8 text; save the file as UTF-8",
        ),
    ] {
        assert_eq!(findings(&parse_text(text)), [expected], "{text}");
    }
}

#[test]
fn the_same_finding_in_a_repeated_line_is_reported_once() {
    let parsed = parse_text("~SEQ(I,100) a ${UNKNOWN}");
    assert_eq!(parsed.diagnostics.len(), 1);
}

#[test]
fn reading_goes_on_after_every_error() {
    let parsed = parse_text("a \"x\n}\nb { c }\n~SEQ(I) d\ne");
    assert_eq!(shown(&parsed.root()), "a \"x\"; b {c;} e;");
    assert_eq!(parsed.diagnostics.len(), 3);
}

#[test]
fn a_missing_brace_is_found_at_the_next_outer_block() {
    let parsed = parse_text(
        "vrrp_instance A {\n    virtual_ipaddress {\n        10.0.0.1\n}\nvrrp_instance B {\n    priority 1\n}\n",
    );
    assert_eq!(
        findings(&parsed),
        [
            "1:17: error: the block `vrrp_instance` is not closed before `vrrp_instance` in line 5; by the \
          indentation, the `}` of `virtual_ipaddress` (line 2) is missing before line 4"
        ]
    );
    assert_eq!(
        shown(&parsed.root()),
        "vrrp_instance A {virtual_ipaddress {10.0.0.1;}} vrrp_instance B {priority 1;}"
    );
}

#[test]
fn a_missing_brace_is_found_at_the_end() {
    let parsed = parse_text("a {\n  b {\n    c\n  }\n");
    assert_eq!(
        findings(&parsed),
        ["1:3: error: the block `a` is not closed at the end of the configuration"]
    );
    assert_eq!(shown(&parsed.root()), "a {b {c;}}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        parse_text(&text);
    }

    #[test]
    fn no_mixture_of_the_language_makes_the_parser_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", " ", "\n", "{", "}", "\"", "'", "\\", "#", "!", "$A", "$A=", "${A}", "${_RANDOM 1 2}", "@x",
                "@^x", "~SEQ(I,3)", "~LST({A,B},{1,2})", "~SEQx(", "include ", "includea k.conf", ",", ")", "｛",
                "“", "！", "\u{feff}", "\\\n", "global_defs", "include_check", "é", "vrrp_instance",
            ]),
            0..40,
        )
    ) {
        parse_text(&parts.concat());
    }
}
