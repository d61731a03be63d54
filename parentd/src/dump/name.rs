//! Where a dump goes: `keepalived.data` and its like, `state_dump_file` and its like, `data_use_instance`. Pure.

use std::path::PathBuf;

/// Directory and name of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// `None` is the usual place.
    pub(super) directory: Option<PathBuf>,
    /// Name of the file.
    pub(super) file: String,
}

impl Name {
    /// The name of a dump. `path` is as configured: a directory when it ends in `/`, in the usual place unless
    /// it begins with one. `suffix` and then `.label` go before the last dot.
    pub(super) fn new(
        path: Option<&str>,
        suffix: &str,
        extension: &str,
        label: Option<&str>,
    ) -> Self {
        let (directory, file) = match path.unwrap_or_default().rsplit_once('/') {
            Some(("", file)) => (Some("/"), file),
            Some((directory, file)) => (Some(directory), file),
            None => (None, path.unwrap_or_default()),
        };
        let (stem, extension) = match file.rsplit_once('.') {
            Some((stem, extension)) => (stem, format!(".{extension}")),
            None if file.is_empty() => ("keepalived", format!(".{extension}")),
            None => (file, String::new()),
        };
        let label = label.map_or_else(String::new, |label| format!(".{label}"));
        Self {
            directory: directory
                .filter(|directory| directory.starts_with('/'))
                .map(PathBuf::from),
            file: format!("{stem}{suffix}{label}{extension}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: Option<&str>, suffix: &str, label: Option<&str>) -> (Option<String>, String) {
        let name = Name::new(path, suffix, "data", label);
        let directory = name.directory;
        (directory.map(|path| path.display().to_string()), name.file)
    }

    #[test]
    fn names_are_those_of_keepalived() {
        let usual = |file: &str| (None, file.to_owned());
        assert_eq!(name(None, "", None), usual("keepalived.data"));
        assert_eq!(
            name(None, "_parent", Some("red_blue")),
            usual("keepalived_parent.red_blue.data")
        );
    }

    #[test]
    fn a_configured_path_is_a_directory_a_file_or_a_name() {
        let at = |directory: &str, file: &str| (Some(directory.to_owned()), file.to_owned());
        assert_eq!(
            name(Some("/var/x/"), "_check", None),
            at("/var/x", "keepalived_check.data")
        );
        assert_eq!(
            name(Some("/var/x/state.txt"), "_check", None),
            at("/var/x", "state_check.txt")
        );
        assert_eq!(name(Some("/state"), "", None), at("/", "state"));
        assert_eq!(name(Some("state"), "_parent", None).1, "state_parent");
        // A relative directory has no meaning for a daemon.
        assert_eq!(name(Some("x/state"), "", None), (None, "state".to_owned()));
    }
}
