//! Which processes a `vrrp_track_process` counts.

use kr_model::track::{ArgumentMatch, ProcessPattern};

/// Whether [`matches()`] looks at the command line. Reading that costs more than reading the name.
#[must_use]
pub const fn needs_command_line(pattern: &ProcessPattern) -> bool {
    matches!(pattern, ProcessPattern::Command { .. })
}

/// Whether a process is one of those that a pattern means. `name` is `/proc/PID/comm` without the end of
/// its line, `command_line` is `/proc/PID/cmdline`: words, each with a zero byte at its end.
#[must_use]
pub fn matches(pattern: &ProcessPattern, name: &[u8], command_line: &[u8]) -> bool {
    match pattern {
        ProcessPattern::Name(wanted) => wanted.as_bytes() == name,
        ProcessPattern::Command { program, arguments } => {
            // A kernel thread has no command line.
            let Some(all) = command_line.strip_suffix(b"\0") else {
                return false;
            };
            let mut words = all.split(|byte| *byte == 0);
            words.next() == Some(program.as_bytes()) && arguments_match(arguments, words)
        }
    }
}

fn arguments_match<'a>(wanted: &ArgumentMatch, mut given: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut begin_with = |list: &[String]| {
        let mut list = list.iter();
        list.all(|word| given.next() == Some(word.as_bytes()))
    };
    match wanted {
        ArgumentMatch::Any => true,
        ArgumentMatch::Exact(list) => begin_with(list) && given.next().is_none(),
        ArgumentMatch::Partial(list) => begin_with(list),
        ArgumentMatch::Initial(list) => {
            let Some((last, before)) = list.split_last() else {
                return true;
            };
            begin_with(before)
                && given
                    .next()
                    .is_some_and(|word| word.starts_with(last.as_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: ArgumentMatch) -> ProcessPattern {
        ProcessPattern::Command {
            program: "/usr/sbin/haproxy".to_owned(),
            arguments,
        }
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_name_is_compared_whole() {
        let pattern = ProcessPattern::Name("ssh".to_owned());
        assert!(matches(&pattern, b"ssh", b"anything\0"));
        assert!(!matches(&pattern, b"sshd", b"ssh\0"));
        assert!(!matches(&pattern, b"", b""));
    }

    #[test]
    fn arguments_are_compared_as_asked() {
        use ArgumentMatch::{Any, Exact, Initial, Partial};
        let line = b"/usr/sbin/haproxy\0-f\0/etc/haproxy.cfg\0";
        for (arguments, expected) in [
            (Any, true),
            (Exact(words(&["-f", "/etc/haproxy.cfg"])), true),
            (Exact(words(&["-f"])), false),
            (Exact(words(&["-f", "/etc/haproxy.cfg", "-D"])), false),
            (Exact(words(&[])), false),
            (Partial(words(&["-f"])), true),
            (Partial(words(&[])), true),
            (Partial(words(&["/etc/haproxy.cfg"])), false),
            (Initial(words(&["-f", "/etc/hap"])), true),
            (Initial(words(&["-f", "hap"])), false),
            (Initial(words(&["-"])), true),
            (Initial(words(&[])), true),
        ] {
            let pattern = command(arguments.clone());
            assert_eq!(
                matches(&pattern, b"haproxy", line),
                expected,
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn odd_command_lines_match_nothing_by_accident() {
        let pattern = command(ArgumentMatch::Any);
        for line in [
            &b""[..],
            b"\0",
            b"/usr/sbin/haproxy",
            b"x\0/usr/sbin/haproxy\0",
        ] {
            assert!(!matches(&pattern, b"haproxy", line), "{line:?}");
        }
        // An argument may be empty.
        let pattern = command(ArgumentMatch::Exact(words(&["", "a"])));
        assert!(matches(&pattern, b"haproxy", b"/usr/sbin/haproxy\0\0a\0"));
    }
}
