use std::path::PathBuf;

use super::*;

fn diagnostic(text: &str, start: u32, end: u32) -> (Diagnostic, Sources) {
    let mut sources = Sources::default();
    let file = sources.add(PathBuf::from("/etc/k.conf"), text.to_owned());
    let span = Span { file, start, end };
    let diagnostic = Diagnostic::error(span, "priority out of range")
        .with_label("expected 1-255")
        .with_help("use 100");
    (diagnostic, sources)
}

#[test]
fn the_line_is_shown_with_a_caret() {
    let (diagnostic, sources) = diagnostic("a {\r\n  priority 300\r\n}\r\n", 16, 19);
    assert_eq!(
        render(&diagnostic, &sources, Style::Plain),
        "error: priority out of range
 --> /etc/k.conf:2:12
  |
2 |   priority 300
  |            ^^^ expected 1-255
  |
  = help: use 100"
    );
}

#[test]
fn colour_is_only_used_when_asked_for() {
    let (diagnostic, sources) = diagnostic("priority 300", 9, 12);
    assert!(!render(&diagnostic, &sources, Style::Plain).contains('\x1b'));
    assert!(render(&diagnostic, &sources, Style::Colour).contains('\x1b'));
}

#[test]
fn a_log_line_has_place_message_and_help() {
    let (diagnostic, sources) = diagnostic("a\npriority 300", 11, 14);
    assert_eq!(
        one_line(&diagnostic, &sources),
        "/etc/k.conf:2:10: error: priority out of range; use 100"
    );
}

#[test]
fn a_finding_without_place_has_only_its_message() {
    let diagnostic = Diagnostic::fatal("cannot read /etc/k.conf");
    let sources = Sources::default();
    assert_eq!(
        one_line(&diagnostic, &sources),
        "error: cannot read /etc/k.conf"
    );
    assert_eq!(
        render(&diagnostic, &sources, Style::Plain),
        "error: cannot read /etc/k.conf"
    );
}

#[test]
fn control_characters_of_a_file_do_not_reach_log_or_terminal() {
    let (mut diagnostic, sources) = diagnostic("a \x1b[2J b", 0, 1);
    diagnostic.message = "unknown keyword 'a\x1b\nb'".to_owned();
    assert_eq!(
        one_line(&diagnostic, &sources),
        "/etc/k.conf:1:1: error: unknown keyword 'a\\u{1b}\\nb'; use 100"
    );
    assert!(!render(&diagnostic, &sources, Style::Plain).contains('\x1b'));
}

#[test]
fn places_outside_the_text_do_no_harm() {
    let (diagnostic, sources) = diagnostic("é", 1, 4_000_000_000);
    assert!(
        render(&diagnostic, &sources, Style::Plain).starts_with("error: priority out of range")
    );
}
