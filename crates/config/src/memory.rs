//! A host that lives in memory: texts by path. For the tests of this crate and of its users, and for
//! callers that have the text already.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::{Host, SecretFile};

/// Files, environment and names of a host that does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryHost {
    /// Texts by absolute path.
    pub files: BTreeMap<PathBuf, String>,
    /// Those of the files that others may read too.
    pub readable_by_others: Vec<PathBuf>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The host's name.
    pub host_name: String,
    /// Network interfaces that exist.
    pub interfaces: Vec<String>,
    /// User accounts that exist; each has a group of its own name.
    pub users: Vec<String>,
}

impl MemoryHost {
    /// A host named `host1.example.net` with one file, the interfaces `lo` and `eth0`, and the user
    /// `root`.
    #[must_use]
    pub fn with_file(path: &str, text: &str) -> Self {
        let host = Self {
            host_name: "host1.example.net".to_owned(),
            interfaces: vec!["lo".to_owned(), "eth0".to_owned()],
            users: vec!["root".to_owned()],
            ..Self::default()
        };
        host.and_file(path, text)
    }

    /// The same host with one file more.
    #[must_use]
    pub fn and_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }
}

impl Host for MemoryHost {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn read_secret(&self, path: &Path) -> io::Result<SecretFile> {
        Ok(SecretFile {
            bytes: self.read(path)?.into_bytes(),
            private: !self.readable_by_others.iter().any(|one| one == path),
        })
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let alternatives = crate::source::brace_alternatives(pattern)?;
        Ok(self
            .files
            .keys()
            .filter(|path| {
                let path = path.to_string_lossy();
                alternatives
                    .iter()
                    .any(|alternative| wildcard_matches(alternative, &path))
            })
            .cloned()
            .collect())
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn host_name(&self) -> String {
        self.host_name.clone()
    }

    fn random(&self, min: u32, _max: u32) -> u32 {
        min
    }

    fn interface_exists(&self, name: &str) -> bool {
        self.interfaces.iter().any(|interface| interface == name)
    }

    fn user_exists(&self, name: &str) -> bool {
        self.users.iter().any(|user| user == name)
    }

    fn group_exists(&self, name: &str) -> bool {
        self.user_exists(name)
    }
}

/// `*` and `?` as the shell means them in paths: they do not match `/`.
fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let pattern_rest = pattern.strip_prefix(first).unwrap_or_default();
    let mut characters = text.chars();
    match first {
        '*' => {
            let mut rest = text;
            loop {
                if wildcard_matches(pattern_rest, rest) {
                    return true;
                }
                let mut characters = rest.chars();
                match characters.next() {
                    None | Some('/') => return false,
                    Some(_) => rest = characters.as_str(),
                }
            }
        }
        '?' => {
            characters.next().is_some_and(|found| found != '/')
                && wildcard_matches(pattern_rest, characters.as_str())
        }
        _ => {
            characters.next() == Some(first) && wildcard_matches(pattern_rest, characters.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_one_directory() {
        for (pattern, text, matches) in [
            ("/etc/*.conf", "/etc/a.conf", true),
            ("/etc/*.conf", "/etc/d/a.conf", false),
            ("/etc/?.conf", "/etc/a.conf", true),
            ("/etc/?.conf", "/etc/ab.conf", false),
            ("/etc/a.conf", "/etc/a.conf", true),
            ("/etc/*", "/etc/", true),
        ] {
            assert_eq!(
                wildcard_matches(pattern, text),
                matches,
                "{pattern} against {text}"
            );
        }
    }

    #[test]
    fn glob_gives_the_files_of_all_alternatives() {
        let host = MemoryHost::with_file("/etc/a.conf", "")
            .and_file("/etc/b.conf", "")
            .and_file("/etc/c.txt", "");
        assert_eq!(
            host.glob("/etc/{a,c}.*").unwrap(),
            [PathBuf::from("/etc/a.conf"), PathBuf::from("/etc/c.txt")]
        );
    }
}
