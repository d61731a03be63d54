//! How the processes run, and what their files are called.

use std::time::Duration;

use kr_model::global::{DEFAULT_UMASK, DumpSettings, JsonVersion, ProcessSettings};

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::error;
use super::value::{MAX_U32, set};

/// Numbers of CPUs are below this.
const CPUS: u64 = 1024;

/// The settings so far.
pub(super) struct Processes {
    pub(super) vrrp: ProcessSettings,
    pub(super) checker: ProcessSettings,
    pub(super) umask: u32,
    pub(super) strict_sandbox: bool,
    pub(super) dumps: DumpSettings,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            vrrp: ProcessSettings::default(),
            checker: ProcessSettings::default(),
            umask: DEFAULT_UMASK,
            strict_sandbox: false,
            dumps: DumpSettings::default(),
        }
    }
}

impl Build<'_> {
    /// Takes a statement about processes. False when it is none.
    pub(super) fn process_setting(
        &mut self,
        processes: &mut Processes,
        name: &str,
        statement: &Statement,
    ) -> bool {
        let prefixed = [
            ("vrrp_", &mut processes.vrrp),
            ("checker_", &mut processes.checker),
        ];
        for (prefix, settings) in prefixed {
            if let Some(rest) = name.strip_prefix(prefix) {
                return self.scheduling(settings, rest, statement);
            }
        }
        let dumps = &mut processes.dumps;
        match name {
            "umask" => processes.umask = self.umask(statement).unwrap_or(processes.umask),
            "sandbox" => {
                let strict = self.is_strict(statement);
                processes.strict_sandbox = strict.unwrap_or(processes.strict_sandbox);
            }
            "data_use_instance" => dumps.with_instance = self.switch(statement).unwrap_or(false),
            "json_version" => match self.number(statement, 1, 2) {
                Some(1) => dumps.json = JsonVersion::One,
                Some(_) => dumps.json = JsonVersion::Two,
                None => {}
            },
            "state_dump_file" => set(&mut dumps.state, self.text(statement)),
            "stats_dump_file" => set(&mut dumps.statistics, self.text(statement)),
            "json_dump_file" => set(&mut dumps.json_file, self.text(statement)),
            _ => return false,
        }
        true
    }

    /// `sandbox on` or `sandbox strict`.
    fn is_strict(&mut self, statement: &Statement) -> Option<bool> {
        let word = statement.arguments.first()?;
        match word.text.as_str() {
            "strict" => Some(true),
            "on" => Some(false),
            _ => {
                self.report(
                    error(word.span, format!("`{}` is no kind of sandbox", word.text))
                        .label("expected `on` or `strict`"),
                );
                None
            }
        }
    }

    fn scheduling(
        &mut self,
        settings: &mut ProcessSettings,
        name: &str,
        statement: &Statement,
    ) -> bool {
        match name {
            "priority" => settings.nice = self.nice(statement).unwrap_or(settings.nice),
            "rt_priority" => {
                let priority = self.number(statement, 1, 99);
                let priority = priority.and_then(|priority| u8::try_from(priority).ok());
                settings.realtime = priority.unwrap_or(settings.realtime);
            }
            "rlimit_rttime" | "rlimit_rtime" => {
                if name == "rlimit_rtime" {
                    let new = statement.keyword.text.replace("rtime", "rttime");
                    self.renamed(statement, &new);
                }
                let micros = self.number(statement, 1, MAX_U32);
                set(
                    &mut settings.realtime_limit,
                    micros.map(|micros| Duration::from_micros(micros.max(2))),
                );
            }
            "cpu_affinity" => {
                let numbers = statement.arguments.iter();
                let cpus = numbers.filter_map(|word| self.number_of(word, 0, CPUS - 1));
                settings.cpus = cpus.filter_map(|cpu| u16::try_from(cpu).ok()).collect();
                settings.cpus.sort_unstable();
                settings.cpus.dedup();
            }
            "no_swap" => settings.locks_memory = true,
            _ => return false,
        }
        true
    }

    fn nice(&mut self, statement: &Statement) -> Option<i8> {
        let word = statement.arguments.first()?;
        let value = word.text.parse().ok();
        let value = value.filter(|value| (-20..=19).contains(value));
        if value.is_none() {
            self.report(
                error(word.span, format!("`{}` is not valid here", word.text))
                    .label("expected a whole number from -20 to 19"),
            );
        }
        value
    }

    /// A number in any C notation, or names of bits.
    fn umask(&mut self, statement: &Statement) -> Option<u32> {
        let bits = statement
            .arguments
            .iter()
            .flat_map(|word| word.text.split('|'))
            .filter(|part| !part.is_empty());
        let mask = bits
            .map(umask_part)
            .try_fold(0, |mask, part| Some(mask | part?));
        let mask = mask.filter(|mask| *mask <= 0o777);
        if let (None, Some(Word { text, span, .. })) = (mask, statement.arguments.first()) {
            self.report(
                error(*span, format!("`{text}` is not a umask")).label(
                    "expected an octal number from 0 to 0777, or names such as `IRWXG|IRWXO`",
                ),
            );
        }
        mask
    }
}

fn umask_part(text: &str) -> Option<u32> {
    const BITS: [(&str, u32); 12] = [
        ("IRUSR", 0o400),
        ("IWUSR", 0o200),
        ("IXUSR", 0o100),
        ("IRWXU", 0o700),
        ("IRGRP", 0o040),
        ("IWGRP", 0o020),
        ("IXGRP", 0o010),
        ("IRWXG", 0o070),
        ("IROTH", 0o004),
        ("IWOTH", 0o002),
        ("IXOTH", 0o001),
        ("IRWXO", 0o007),
    ];
    if let Some((_, bits)) = BITS.iter().find(|(name, _)| *name == text) {
        return Some(*bits);
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return u32::from_str_radix(hexadecimal, 16).ok();
    }
    let radix = if text.starts_with('0') { 8 } else { 10 };
    u32::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_umask_is_a_number_of_any_radix_or_a_name() {
        for (text, mask) in [
            ("0", Some(0)),
            ("022", Some(0o022)),
            ("0x3f", Some(0o077)),
            ("18", Some(0o022)),
            ("IRWXO", Some(0o007)),
            ("IRWX", None),
            ("08", None),
        ] {
            assert_eq!(umask_part(text), mask, "{text}");
        }
    }
}
