use kr_model::check::{BodyPattern, HttpProbe, PatternOptions, Probe};

use std::path::Path;

use crate::build::load;
use crate::memory::MemoryHost;
use crate::parse::ParseOptions;

use super::{clean, loaded, messages, server_with};

/// The page check of a file with one.
fn page_check(text: &str) -> HttpProbe {
    let checker = clean(text).checkers.into_values().next().unwrap().checker;
    let Probe::Http(http) = checker.probe else {
        panic!("no page check: {checker:?}");
    };
    http
}

fn with_url(lines: &str) -> String {
    server_with(&format!("HTTP_GET {{\nurl {{\n path /\n{lines}\n}}\n}}"))
}

fn pattern(lines: &str) -> Option<BodyPattern> {
    let mut http = page_check(&with_url(lines));
    http.urls.remove(0).pattern
}

#[test]
fn a_pattern_has_its_options_and_offsets() {
    assert_eq!(pattern(""), None);
    assert_eq!(
        pattern(r#"regex "^state: (up|ok)\s*$""#),
        Some(BodyPattern {
            text: r"^state: (up|ok)\s*$".to_owned(),
            options: PatternOptions::empty(),
            wanted: true,
            min_offset: 0,
            max_offset: None,
        })
    );
    assert_eq!(
        pattern(
            "regex down\n regex_no_match\n regex_options caseless utf\n regex_options ucp no_start_optimize\n \
             regex_min_offset 10\n regex_max_offset 20"
        ),
        Some(BodyPattern {
            text: "down".to_owned(),
            options: PatternOptions::CASELESS | PatternOptions::UTF | PatternOptions::UCP,
            wanted: false,
            min_offset: 10,
            max_offset: Some(20),
        })
    );
}

#[test]
fn what_is_wrong_with_a_pattern_is_found_when_the_file_is_read() {
    for (lines, message) in [
        (
            "regex a(",
            "this pattern cannot be used; the body is not searched",
        ),
        (
            "regex \"(?R)\"",
            "this pattern cannot be used; the body is not searched",
        ),
        (
            "regex a\n regex_options caselss",
            "`caselss` is not an option of PCRE2",
        ),
        (
            "regex a\n regex_options ucp",
            "`ucp` without `utf` is not accepted: it has no effect",
        ),
        (
            "regex a\n regex_min_offset 9\n regex_max_offset 8",
            "no match begins at 9 or later and at 8 or earlier; both offsets are ignored",
        ),
        ("regex_no_match", "this has no effect without `regex`"),
        ("regex a\n regex_stack 1 2", "`regex_stack` is ignored"),
    ] {
        assert_eq!(messages(&with_url(lines)), [message], "{lines}");
    }
}

#[test]
fn a_refused_pattern_is_shown_with_a_caret_a_reason_and_a_way_out() {
    let found = loaded(&with_url("regex \"up(?=!)|(?(R)a|b)\""));
    let finding = &found.diagnostics[0];
    assert_eq!(
        finding.label.as_deref(),
        Some("a condition at character 9 is not supported")
    );
    assert_eq!(
        finding.help.as_deref(),
        Some("write both cases as alternatives, or the number or name of a group")
    );
    assert!(finding.span.is_some());
}

#[test]
fn a_url_says_how_its_tls_session_ends_before_its_checker_does() {
    let text = server_with(
        "SSL_GET {\n tls_compliant\n url {\n path /a\n}\n url {\n path /b\n tls_compliant off\n}\n}",
    );
    let ends: Vec<bool> = page_check(&text)
        .urls
        .iter()
        .map(|url| url.close_notify)
        .collect();
    assert_eq!(ends, [true, false]);
    let text =
        server_with("SSL_GET {\n url {\n path /a\n tls_compliant\n}\n url {\n path /b\n}\n}");
    let ends: Vec<bool> = page_check(&text)
        .urls
        .iter()
        .map(|url| url.close_notify)
        .collect();
    assert_eq!(ends, [true, false]);
    let plain = server_with("HTTP_GET {\n url {\n path /a\n tls_compliant\n}\n}");
    assert_eq!(messages(&plain).len(), 1, "{:?}", messages(&plain));
}

#[test]
fn an_encrypted_key_cannot_be_used_and_the_way_out_is_told() {
    let text = "SSL {\n certificate /c.pem\n key /k.pem\n}\n";
    for (key, encrypted) in [
        ("-----BEGIN PRIVATE KEY-----\n", false),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", true),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n",
            true,
        ),
    ] {
        let host = MemoryHost::with_file("/k.conf", text)
            .and_file("/c.pem", "C")
            .and_file("/k.pem", key);
        let loaded = load(&host, Path::new("/k.conf"), &ParseOptions::default());
        assert_eq!(loaded.config.is_none(), encrypted, "{key}");
        let told = loaded.diagnostics.iter().any(|finding| {
            finding.message == "the key in `/k.pem` is encrypted"
                && finding
                    .help
                    .as_ref()
                    .is_some_and(|help| help.contains("openssl pkey"))
        });
        assert_eq!(told, encrypted);
    }
    let password = messages("SSL {\n password secret\n}\n");
    assert_eq!(password, ["`password` is not accepted"]);
}
