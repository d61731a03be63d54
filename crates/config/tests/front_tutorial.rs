//! What an operator sees for the mistakes that are copied from tutorials and word processors: the rendered
//! findings of the reader, word for word.

use std::path::Path;

use kr_config::memory::MemoryHost;
use kr_config::parse::{ParseOptions, Parsed, parse};
use kr_config::render::{Style, render};

fn read(text: &str) -> Parsed {
    let host = MemoryHost::with_file("/etc/keepalived.conf", text);
    parse(
        &host,
        Path::new("/etc/keepalived.conf"),
        &ParseOptions::default(),
    )
}

/// All findings as a terminal shows them, without colour.
fn rendered(text: &str) -> String {
    let parsed = read(text);
    let shown: Vec<_> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, &parsed.sources, Style::Plain))
        .collect();
    shown.join("\n\n")
}

/// Words of the statements outside blocks and one level below, to see what was understood.
fn understood(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for statement in &read(text).root() {
        let inner = statement.block.iter().flat_map(|block| &block.statements);
        for statement in std::iter::once(statement).chain(inner) {
            let arguments = statement.arguments.iter();
            let words = std::iter::once(&statement.keyword).chain(arguments);
            let words: Vec<_> = words.map(|word| word.text.as_str()).collect();
            lines.push(words.join(" "));
        }
    }
    lines
}

#[test]
fn full_width_exclamation_mark_begins_a_comment() {
    let text = "！Configuration File for keepalived\nglobal_defs {\n}\n";
    assert_eq!(understood(text), ["global_defs"]);
    assert_eq!(
        rendered(text),
        "note: the character `！` (U+FF01) is taken as `!`
 --> /etc/keepalived.conf:1:1
  |
1 | ！Configuration File for keepalived
  | ^^ a comment begins here
  |
  = help: write the ASCII `!` or `#`"
    );
}

#[test]
fn full_width_braces_and_curly_quotes_are_taken_as_ascii() {
    let text = "vrrp_instance VI_1 ｛\n    notify “/bin/n a”\n}\n";
    assert_eq!(understood(text), ["vrrp_instance VI_1", "notify /bin/n a"]);
    assert_eq!(
        rendered(text),
        "warning: the character `｛` (U+FF5B) is taken as `{`
 --> /etc/keepalived.conf:1:20
  |
1 | vrrp_instance VI_1 ｛
  |                    ^^
  |
  = help: write the ASCII `{`

warning: the character `“` (U+201C) is taken as `\"`
 --> /etc/keepalived.conf:2:12
  |
2 |     notify “/bin/n a”
  |            ^
  |
  = help: write the ASCII `\"`

warning: the character `”` (U+201D) is taken as `\"`
 --> /etc/keepalived.conf:2:21
  |
2 |     notify “/bin/n a”
  |                     ^
  |
  = help: write the ASCII `\"`"
    );
}

#[test]
fn full_width_number_sign_begins_a_comment() {
    let text = "priority 150＃优先级\n";
    assert_eq!(understood(text), ["priority 150"]);
    assert_eq!(
        rendered(text),
        "warning: the character `＃` (U+FF03) is taken as `#`
 --> /etc/keepalived.conf:1:13
  |
1 | priority 150＃优先级
  |             ^^
  |
  = help: write the ASCII `#`"
    );
}

#[test]
fn ideographic_and_no_break_spaces_separate_words() {
    let text = "vrrp_instance\u{3000}VI_1 {\n    priority\u{a0}100 # \u{a0}\n}\n";
    assert_eq!(understood(text), ["vrrp_instance VI_1", "priority 100"]);
    assert_eq!(
        rendered(text),
        "warning: the character (U+3000) is taken as a space
 --> /etc/keepalived.conf:1:14
  |
1 | vrrp_instance\u{3000}VI_1 {
  |              ^^
  |
  = help: replace it by an ASCII space

warning: the character (U+00A0) is taken as a space
 --> /etc/keepalived.conf:2:13
  |
2 |     priority\u{a0}100 # \u{a0}
  |             ^
  |
  = help: replace it by an ASCII space"
    );
}

#[test]
fn comments_glued_to_values_are_comments() {
    let text = "url {\n path /# HTTP/SSL 检查的url\n status_code 200# HTTP/SSL\n}\nTCP_CHECK {\n nb_get_retry \
                3#重连次数\n}\nMISC_CHECK {\n misc_path <STRING># 外部程序\n misc_dynamic#如果设置了misc_dynamic\n}\n";
    assert_eq!(
        understood(text),
        [
            "url",
            "path /",
            "status_code 200",
            "TCP_CHECK",
            "nb_get_retry 3",
            "MISC_CHECK",
            "misc_path <STRING>",
            "misc_dynamic"
        ]
    );
    assert_eq!(rendered(text), "");
}

#[test]
fn a_keyword_glued_to_a_comment_mark_is_pointed_out() {
    let text = "MISC_CHECK {\n    misc_path /usr/local/bin/script.sh!misc_dynamic\n}\n";
    assert_eq!(
        understood(text),
        ["MISC_CHECK", "misc_path /usr/local/bin/script.sh"]
    );
    assert_eq!(
        rendered(text),
        "warning: `misc_dynamic` is part of a comment and has no effect
 --> /etc/keepalived.conf:2:39
  |
2 |     misc_path /usr/local/bin/script.sh!misc_dynamic
  |                                       ^^^^^^^^^^^^^ `!` begins a comment
  |
  = help: if the keyword `misc_dynamic` is meant, put it in a line of its own"
    );
}

#[test]
fn a_value_cut_by_a_comment_mark_is_pointed_out() {
    let text = "authentication {\n    auth_pass abc#def\n}\n";
    assert_eq!(understood(text), ["authentication", "auth_pass abc"]);
    assert_eq!(
        rendered(text),
        r"note: `#` begins a comment, also without space before it
 --> /etc/keepalived.conf:2:18
  |
2 |     auth_pass abc#def
  |                  ^^^^ not part of the value
  |
  = help: if it is meant as part of the value, write \# or quote the value"
    );
}

#[test]
fn a_brace_too_many_is_found_with_the_one_that_made_it_so() {
    let text = "global_def {\n   notification_email a@example.org\n}\n   smtp_server 10.0.0.1\n   router_id LVS_7\n}\n\
                vrrp_instance VI_1 {\n    priority 150\n}\n";
    assert_eq!(
        understood(text),
        [
            "global_def",
            "notification_email a@example.org",
            "smtp_server 10.0.0.1",
            "router_id LVS_7",
            "vrrp_instance VI_1",
            "priority 150"
        ]
    );
    assert_eq!(
        rendered(text),
        "error: `}` without a block that is open
 --> /etc/keepalived.conf:6:1
  |
6 | }
  | ^
  |
  = help: the block `global_def` was closed by the `}` in line 3 already: remove one of the two"
    );
}

#[test]
fn a_missing_brace_is_guessed_by_indentation() {
    let text = "vrrp_instance A {\n    virtual_ipaddress {\n        10.0.0.9/24\n}\nvrrp_instance B {\n    priority \
                100\n}\n";
    assert_eq!(
        understood(text),
        [
            "vrrp_instance A",
            "virtual_ipaddress",
            "vrrp_instance B",
            "priority 100"
        ]
    );
    assert_eq!(
        rendered(text),
        "error: the block `vrrp_instance` is not closed before `vrrp_instance` in line 5
 --> /etc/keepalived.conf:1:17
  |
1 | vrrp_instance A {
  |                 ^ this `{` has no `}`
  |
  = help: by the indentation, the `}` of `virtual_ipaddress` (line 2) is missing before line 4"
    );
}

#[test]
fn a_block_whose_brace_is_in_the_next_line_is_understood() {
    let text = "HTTP_GET\n{\n    connect_port 80 # 连接端口\n}\n";
    assert_eq!(understood(text), ["HTTP_GET", "connect_port 80"]);
    assert_eq!(rendered(text), "");
}

#[test]
fn a_quote_in_a_comment_is_no_quote() {
    let text = "SMTP_CHECK {\n    helo_name <STRING>|<QUOTED-STRING> # \"请求命令参数，可选\n}\n";
    assert_eq!(
        understood(text),
        ["SMTP_CHECK", "helo_name <STRING>|<QUOTED-STRING>"]
    );
    assert_eq!(rendered(text), "");
}

#[test]
fn byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = "\u{feff}global_defs {\r\n    router_id \"LVS 7\"\r\n}\r\n";
    assert_eq!(understood(text), ["global_defs", "router_id LVS 7"]);
    assert_eq!(
        rendered(text),
        "note: the file begins with a byte order mark
 --> /etc/keepalived.conf:1:1
  |
1 | \u{feff}global_defs {
  | ^
  |
  = help: it is skipped; save the file as UTF-8 without BOM"
    );
}

#[test]
fn bytes_that_are_not_utf_8_matter_outside_comments_only() {
    let text = "router_id \u{fffd}\u{fffd} # \u{fffd}\npriority 1 # \u{fffd}\n";
    assert_eq!(
        rendered(text),
        "warning: these bytes are not UTF-8 text
 --> /etc/keepalived.conf:1:11
  |
1 | router_id \u{fffd}\u{fffd} # \u{fffd}
  |           ^
  |
  = help: save the file as UTF-8"
    );
}
