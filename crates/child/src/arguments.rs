//! The command line of a child, as the parent writes it.

use std::ffi::OsString;

use kr_log::Settings;
use kr_sys::privilege::Duty;
use kr_sys::sandbox::Mode;

/// What a child is told before its channel speaks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `--log=SETTINGS`.
    pub(crate) log: Option<Settings>,
    /// `--log-file`: descriptor 4 is the log file.
    pub(crate) log_file: bool,
    /// `--lock-memory`: nothing of this process is ever swapped out.
    pub(crate) lock_memory: bool,
    /// `--shared-account`: the parent could not give this process an account of its own.
    pub(crate) shared_account: bool,
    /// `--unconfined`: privileges are neither given up nor verified.
    pub(crate) unconfined: bool,
    /// `--duty=DUTY`.
    pub(crate) duty: Duty,
    /// `--protocol=NUMBER`: the language of the parent ([`kr_ipc::protocol`]).
    pub(crate) protocol: Option<u64>,
    /// `--sandbox=MODE`: what happens at a forbidden system call. `None`: no sandbox, with `--unconfined`.
    pub(crate) sandbox: Option<Mode>,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut sandbox = None;
        for word in words {
            let word = word.to_string_lossy();
            match word.split_once('=') {
                None if word == "--unconfined" => arguments.unconfined = true,
                None if word == "--log-file" => arguments.log_file = true,
                None if word == "--shared-account" => arguments.shared_account = true,
                None if word == "--lock-memory" => arguments.lock_memory = true,
                Some(("--log", settings)) => {
                    arguments.log = Some(settings.parse().map_err(|error| format!("{error}"))?);
                }
                Some(("--duty", duty)) => {
                    arguments.duty = duty.parse().map_err(|error| format!("{word}: {error}"))?;
                }
                Some(("--protocol", number)) => {
                    let number = number.parse().map_err(|error| format!("{word}: {error}"))?;
                    arguments.protocol = Some(number);
                }
                Some(("--sandbox", mode)) => {
                    let mode = mode.parse().map_err(|error| format!("{word}: {error}"))?;
                    sandbox = Some(mode);
                }
                None | Some(_) => {
                    return Err(format!(
                        "unknown argument `{word}`: this program is started by keepalived-rs, not by hand"
                    ));
                }
            }
        }
        let usual = (!arguments.unconfined).then_some(Mode::On);
        arguments.sandbox = sandbox.or(usual);
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_parents_words_are_understood() {
        let arguments = parse(&["--log=ident=x,detail=1", "--log-file"]).unwrap();
        assert_eq!(arguments.log.unwrap().ident, "x");
        assert!(arguments.log_file && !arguments.lock_memory);
        assert!(parse(&["--lock-memory"]).unwrap().lock_memory);
        assert!(!arguments.unconfined);
        assert_eq!(arguments.duty, Duty::Usual);
        assert!(parse(&["--unconfined"]).unwrap().unconfined);
        let arguments = parse(&["--duty=low-ports"]).unwrap();
        assert_eq!(arguments.duty, Duty::LowPorts);
        assert_eq!(parse(&["--protocol=77"]).unwrap().protocol, Some(77));
    }

    #[test]
    fn only_a_test_leaves_the_sandbox_out() {
        let mode = |words: &[&str]| parse(words).unwrap().sandbox;
        assert_eq!(mode(&[]), Some(Mode::On));
        assert_eq!(mode(&["--sandbox=log"]), Some(Mode::Log));
        assert_eq!(mode(&["--unconfined"]), None);
        assert_eq!(mode(&["--sandbox=on", "--unconfined"]), Some(Mode::On));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(
            parse(&["-f"])
                .unwrap_err()
                .contains("started by keepalived-rs")
        );
        assert!(parse(&["--log=nonsense"]).is_err());
        assert!(parse(&["--sandbox=off"]).is_err());
        assert!(parse(&["--duty=all"]).is_err());
        assert!(parse(&["--protocol=old"]).is_err());
    }
}
