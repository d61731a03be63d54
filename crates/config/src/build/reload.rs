//! `reload_check_config`, `reload_time_file`, `reload_repeat` and `reload_file`.

use std::path::PathBuf;

use kr_model::global::{ReloadCheck, ReloadMarker, ReloadSettings};

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::error;

impl Build<'_> {
    /// Takes a statement about reloads. False when it is none.
    pub(super) fn reload_setting(
        &mut self,
        settings: &mut ReloadSettings,
        name: &str,
        statement: &Statement,
    ) -> bool {
        let word = statement.arguments.first();
        match name {
            "reload_check_config" => {
                settings.check = ReloadCheck::Findings {
                    log: word.and_then(|word| self.absolute_path(word)),
                };
            }
            "reload_time_file" => {
                settings.time_file = word.and_then(|word| self.absolute_path(word));
            }
            "reload_repeat" => settings.repeat = true,
            "reload_file" => {
                settings.marker = match word {
                    None => Some(ReloadMarker::BesidePidFiles),
                    Some(word) => self.absolute_path(word).map(ReloadMarker::File),
                };
            }
            _ => return false,
        }
        true
    }

    /// The path of a file that does not depend on the working directory.
    pub(super) fn absolute_path(&mut self, word: &Word) -> Option<PathBuf> {
        let path = PathBuf::from(&word.text);
        if path.is_absolute() && path.file_name().is_some() {
            return Some(path);
        }
        self.report(
            error(word.span, format!("`{}` is no absolute path", word.text))
                .label("expected a path that begins with `/`"),
        );
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diagnostic::Severity;
    use crate::memory::MemoryHost;
    use crate::parse::ParseOptions;

    fn settings(line: &str) -> (ReloadSettings, usize) {
        let text =
            format!("global_defs {{\n{line}\n}}\nbfd_instance B {{\n neighbor_ip 192.0.2.1\n}}\n");
        let host = MemoryHost::with_file("/k.conf", &text);
        let loaded = crate::load(&host, Path::new("/k.conf"), &ParseOptions::default());
        let errors = loaded.diagnostics.iter();
        let errors = errors.filter(|found| found.severity == Severity::Error);
        let errors = errors.count();
        (loaded.config.unwrap().global.reload, errors)
    }

    #[test]
    fn what_is_done_around_a_reload_is_read() {
        assert_eq!(settings(""), (ReloadSettings::default(), 0));
        let text = "reload_check_config /c.log\nreload_time_file /t\nreload_repeat\nreload_file /m";
        let expected = ReloadSettings {
            check: ReloadCheck::Findings {
                log: Some("/c.log".into()),
            },
            time_file: Some("/t".into()),
            repeat: true,
            marker: Some(ReloadMarker::File("/m".into())),
        };
        assert_eq!(settings(text), (expected, 0));
        let (bare, errors) = settings("reload_check_config\nreload_file");
        assert_eq!(bare.check, ReloadCheck::Findings { log: None });
        assert_eq!(bare.marker, Some(ReloadMarker::BesidePidFiles));
        assert_eq!(errors, 0);
    }

    #[test]
    fn a_path_that_depends_on_the_working_directory_is_refused() {
        for line in [
            "reload_check_config c.log",
            "reload_time_file t",
            "reload_file ..",
        ] {
            assert_eq!(settings(line).1, 1, "{line}");
        }
    }
}
