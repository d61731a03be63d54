//! `lvs_timeouts`: pairs of a name and seconds.

use kr_model::lvs::TimeoutSettings;

use crate::tree::Statement;

use super::Build;
use super::finding::error;

/// Longest time in seconds (31 days).
const LONGEST: u64 = 2_678_400;

impl Build<'_> {
    /// Reads the pairs of a line; 0 leaves the kernel's value, as leaving the pair out does.
    pub(super) fn timeouts(&mut self, line: &Statement) -> TimeoutSettings {
        let mut settings = TimeoutSettings::NONE;
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            let slot = match word.text.as_str() {
                "tcp" => &mut settings.tcp,
                "tcpfin" => &mut settings.tcp_fin,
                "udp" => &mut settings.udp,
                other => {
                    self.report(
                        error(word.span, format!("`{other}` is not a connection timeout"))
                            .label("expected `tcp SECONDS`, `tcpfin SECONDS` or `udp SECONDS`"),
                    );
                    return settings;
                }
            };
            let Some(value) = words.next() else {
                self.report(error(
                    word.span,
                    format!("`{}` lacks its seconds", word.text),
                ));
                return settings;
            };
            let seconds = self.number_of(value, 0, LONGEST).unwrap_or(0);
            *slot = u32::try_from(seconds).ok().filter(|seconds| *seconds > 0);
        }
        settings
    }
}
