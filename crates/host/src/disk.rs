//! The real host of a configuration: files, environment, interfaces and accounts of this machine. Every
//! configuration that runs is read through it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use glob::MatchOptions;
use kr_config::source::{Host, SecretFile, brace_alternatives};
use nix::net::if_::if_nametoindex;
use nix::unistd::{Group, User, gethostname};

/// Largest file that is read: a mistyped path may name a device without end.
const MAX_FILE: u64 = 64 << 20;

/// Largest file with a secret: many times the longest key.
const MAX_SECRET: u64 = 4096;

/// Wildcards as the shell has them: not across `/`, and no hidden files.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Host for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        let read = File::open(path)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {} MiB", MAX_FILE >> 20),
            ));
        }
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(&error.into_bytes()).into_owned()))
    }

    fn read_secret(&self, path: &Path) -> io::Result<SecretFile> {
        let file = File::open(path)?;
        let private = file.metadata()?.permissions().mode() & 0o077 == 0;
        let mut bytes = Vec::new();
        let read = file.take(MAX_SECRET + 1).read_to_end(&mut bytes)?;
        if u64::try_from(read).unwrap_or(u64::MAX) > MAX_SECRET {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {MAX_SECRET} bytes"),
            ));
        }
        Ok(SecretFile { bytes, private })
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for alternative in brace_alternatives(pattern)? {
            let paths = glob::glob_with(&alternative, MATCHING)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            for path in paths {
                let path = path.map_err(io::Error::from)?;
                if is_configuration(&path) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn environment(&self, name: &str) -> Option<String> {
        let value = std::env::var_os(name)?;
        Some(value.to_string_lossy().into_owned())
    }

    fn host_name(&self) -> String {
        gethostname().map_or_else(
            |_| String::new(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    fn random(&self, min: u32, max: u32) -> u32 {
        let mut bytes = [0; 4];
        // Without the device the number is still in the range.
        let _ = File::open("/dev/urandom").and_then(|mut device| device.read_exact(&mut bytes));
        let offset =
            u64::from(u32::from_ne_bytes(bytes)) % (u64::from(max.saturating_sub(min)) + 1);
        min.saturating_add(u32::try_from(offset).unwrap_or(0))
    }

    fn interface_exists(&self, name: &str) -> bool {
        if_nametoindex(name).is_ok()
    }

    fn user_exists(&self, name: &str) -> bool {
        matches!(User::from_name(name), Ok(Some(_)))
    }

    fn group_exists(&self, name: &str) -> bool {
        matches!(Group::from_name(name), Ok(Some(_)))
    }
}

/// True for a regular file that nobody may execute: scripts beside snippets are not read.
fn is_configuration(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory of this test alone, removed at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: &[u8], mode: u32) {
            let path = self.0.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn glob(&self, pattern: &str) -> Vec<String> {
            let pattern = self.0.join(pattern);
            let paths = Disk.glob(&pattern.to_string_lossy()).unwrap();
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            paths.iter().map(name).collect()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn patterns_give_regular_files_that_are_not_executable() {
        let directory = Directory::new("disk-glob");
        directory.file("b.conf", b"", 0o644);
        directory.file("a.conf", b"", 0o600);
        directory.file("run.conf", b"", 0o755);
        directory.file(".hidden.conf", b"", 0o644);
        fs::create_dir_all(directory.0.join("d.conf")).unwrap();
        symlink("b.conf", directory.0.join("link.conf")).unwrap();
        assert_eq!(directory.glob("*.conf"), ["a.conf", "b.conf", "link.conf"]);
        assert_eq!(directory.glob("{b,a,none}.conf"), ["a.conf", "b.conf"]);
        assert_eq!(directory.glob("?.conf"), ["a.conf", "b.conf"]);
        assert_eq!(directory.glob("none"), [""; 0]);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        let directory = Directory::new("disk-read");
        directory.file("k.conf", b"a \xff b", 0o644);
        assert_eq!(
            Disk.read(&directory.0.join("k.conf")).unwrap(),
            "a \u{fffd} b"
        );
    }

    #[test]
    fn a_device_without_end_is_refused() {
        let error = Disk.read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn names_of_this_machine_are_known() {
        assert!(Disk.interface_exists("lo"));
        assert!(!Disk.interface_exists("no-such-link"));
        assert!(Disk.user_exists("root"));
        assert!(Disk.group_exists("root"));
        assert!(!Disk.user_exists("no-such-user"));
        assert!(!Disk.host_name().is_empty());
    }

    #[test]
    fn random_numbers_keep_to_their_range() {
        for _ in 0..100 {
            assert!((5..=7).contains(&Disk.random(5, 7)));
        }
        assert_eq!(Disk.random(9, 9), 9);
    }
}
