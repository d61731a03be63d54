//! `disable_local_igmp`: the kernel sends no IGMP report for groups of this link (224.0.0.x). Switches that learn
//! from reports need none for these groups (RFC 4541 section 2.1.2), and those of a VMAC confuse them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The setting of the network namespace that the reader is in; Linux 4.3 has it.
pub(crate) const SETTING: &str = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";

/// No such report is sent while this lives; then the setting is what it was.
#[derive(Debug)]
pub(crate) struct Silence {
    setting: PathBuf,
    before: u32,
}

impl Silence {
    /// Turns the reports off.
    ///
    /// # Errors
    /// When the kernel has no such setting, or it cannot be written.
    pub(crate) fn begin(setting: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(setting)?;
        let before = text.trim().parse().map_err(io::Error::other)?;
        if before != 0 {
            fs::write(setting, "0")?;
        }
        Ok(Self::of(setting, before))
    }

    /// Goes on with what a predecessor found.
    pub(crate) fn of(setting: &Path, before: u32) -> Self {
        Self {
            setting: setting.to_owned(),
            before,
        }
    }

    /// What the setting was.
    pub(crate) const fn before(&self) -> u32 {
        self.before
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.setting, self.before.to_string()) {
            log::warn!("cannot set {} back: {error}", self.setting.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_what_it_was_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let setting = directory.path().join("reports");
        let value = || fs::read_to_string(&setting).unwrap();
        assert!(Silence::begin(&setting).is_err());
        for before in ["1\n", "0\n"] {
            fs::write(&setting, before).unwrap();
            let silence = Silence::begin(&setting).unwrap();
            assert_eq!(value().trim(), "0");
            // An upgrade: the first program ends without a trace.
            let next = Silence::of(&setting, silence.before());
            std::mem::forget(silence);
            drop(next);
            assert_eq!(value().trim(), before.trim());
        }
    }
}
