//! Text of a configuration: the reader never panics or hangs, its places lie in the text, and every finding can
//! be shown. With an `include` of itself and of a second file, which is the same text.

use std::path::Path;

use kr_config::memory::MemoryHost;
use kr_config::parse::{ParseOptions, parse};
use kr_config::render::{Style, one_line, render};
use kr_config::source::{Sources, Span};
use kr_config::tree::Statement;

/// How many findings are rendered: enough to meet each kind.
const SHOWN: usize = 50;

/// See above.
pub fn config_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let host = MemoryHost::with_file("/etc/k.conf", &text).and_file("/etc/other.conf", &text);
    let parsed = parse(&host, Path::new("/etc/k.conf"), &ParseOptions::default());
    check(&parsed.root(), &parsed.sources);
    for diagnostic in &parsed.diagnostics {
        if let Some(span) = diagnostic.span {
            inside(span, &parsed.sources);
        }
    }
    for diagnostic in parsed.diagnostics.iter().take(SHOWN) {
        assert!(!render(diagnostic, &parsed.sources, Style::Plain).is_empty());
        assert!(!one_line(diagnostic, &parsed.sources).contains('\n'));
    }
}

fn check(statements: &[Statement], sources: &Sources) {
    for statement in statements {
        inside(statement.keyword.span, sources);
        for argument in &statement.arguments {
            inside(argument.span, sources);
        }
        if let Some(block) = &statement.block {
            inside(block.span, sources);
            check(&block.statements, sources);
        }
    }
}

fn inside(span: Span, sources: &Sources) {
    let (start, end) = (span.start as usize, span.end as usize);
    let (_, text) = sources
        .get(span.file)
        .expect("the file of a place is known");
    assert!(start <= end && end <= text.len(), "{span:?}");
    assert!(text.is_char_boundary(start), "{span:?}");
}
