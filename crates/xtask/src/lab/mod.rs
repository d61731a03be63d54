//! A Debian kernel with IPVS in software-emulated qemu, for machines whose own kernel has none.
//!
//! ```text
//! package.rs: linux-image, unpacked ──────┬─ kernel.rs: the plain ELF out of the bzImage
//!                                         └─ modules.rs + cpio.rs: an initramfs with the modules
//! qemu.rs: boot it on this machine's files (9p, read-only, a tmpfs above), run one command, give back
//!          its output as it comes and its exit status
//! ```
//!
//! Everything is kept in `target/lab`; nothing is installed, and whatever the command writes is gone
//! with the guest.

mod cpio;
mod kernel;
mod modules;
mod package;
mod qemu;
mod selinux;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kr_testkit::binaries;

pub(crate) use qemu::Guest;

/// A kernel and its initramfs, ready to boot.
#[derive(Debug)]
pub(crate) struct Lab {
    kernel: PathBuf,
    initramfs: Vec<u8>,
}

impl Lab {
    /// Fetches and prepares what is not there yet; takes a second when all is there.
    ///
    /// # Errors
    /// When a program is missing, or the kernel package cannot be fetched.
    pub(crate) fn prepare() -> io::Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            return Err(io::Error::other("the lab runs on x86_64 machines only"));
        }
        let directory = directory()?;
        fs::create_dir_all(&directory)?;
        let package = kernel::unpacked(&directory)?;
        let kernel = kernel::plain(&package)?;
        let initramfs = modules::initramfs(&package)?;
        Ok(Self { kernel, initramfs })
    }

    /// Boots and runs `script` (for `sh`, in the current directory), handing its output to `sink` as it comes.
    /// Returns the exit status.
    ///
    /// # Errors
    /// When the guest does not boot within 90 s, or the script has not ended after `limit`.
    pub(crate) fn run(
        &self,
        guard: Guard,
        script: &str,
        limit: Duration,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<i32> {
        Guest::boot(&self.kernel, &self.initramfs, guard, script)?.wait(limit, sink)
    }
}

/// Builds the policy for a guest that has SELinux on; the guest finds it in that directory's `etc/selinux`.
///
/// # Errors
/// When a program is missing, a package cannot be fetched, or the module of this clone is wrong.
pub(crate) fn selinux_policy() -> io::Result<PathBuf> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    selinux::policy(&directory)
}

/// Which of the kernel's systems of mandatory access control is on in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Guard {
    /// None: the quickest.
    #[default]
    Nothing,
    /// AppArmor, without a profile.
    AppArmor,
    /// SELinux, without a policy: nothing is refused until one is loaded and made to count.
    Selinux,
}

impl Guard {
    /// What the kernel is told. Refusals go to its log, and none may be left out.
    const fn kernel_words(self) -> &'static str {
        match self {
            Self::Nothing => "audit=0 selinux=0 apparmor=0",
            Self::AppArmor => {
                "audit_backlog_limit=65536 log_buf_len=4M selinux=0 apparmor=1 security=apparmor"
            }
            Self::Selinux => {
                "audit_backlog_limit=65536 log_buf_len=4M apparmor=0 selinux=1 security=selinux enforcing=0"
            }
        }
    }
}

impl FromStr for Guard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "apparmor" => Ok(Self::AppArmor),
            "selinux" => Ok(Self::Selinux),
            _ => Err(format!("`{text}`: expected `apparmor` or `selinux`")),
        }
    }
}

/// `target/lab`.
fn directory() -> io::Result<PathBuf> {
    let built = binaries::directory()?;
    Ok(built.parent().unwrap_or(&built).join("lab"))
}

/// Whether the running kernel can balance: it has the module, or could load it.
pub(crate) fn kernel_has_ipvs() -> bool {
    let there = || fs::exists("/proc/net/ip_vs").unwrap_or(false);
    there() || {
        kr_testkit::netns::run(std::process::Command::new("modprobe").arg("ip_vs")).ok();
        there()
    }
}

/// Whether this program runs inside the lab already.
pub(crate) fn is_inside() -> bool {
    std::env::var_os("KR_LAB").is_some()
}

/// Writes words so that `sh` reads them back unchanged.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quote = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_survive_the_shell() {
        assert_eq!(quoted(["a b", "it's"]), r"'a b' 'it'\''s'");
    }
}
