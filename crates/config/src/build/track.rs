//! `track_interface`: `NAME [weight N [reverse]]`, one a line.

use kr_model::vrrp::TrackedInterface;

use crate::tree::Statement;

use super::Build;
use super::finding::error;
use super::global::Globals;

/// The largest weight that counts.
const MOST: i16 = 253;

impl Build<'_> {
    /// Reads the lines of a `track_interface` block.
    pub(super) fn tracked_interfaces(
        &mut self,
        globals: &Globals,
        statement: &Statement,
    ) -> Vec<TrackedInterface> {
        let lines = statement.block.iter().flat_map(|block| &block.statements);
        lines
            .filter_map(|line| self.tracked_interface(globals, line))
            .collect()
    }

    fn tracked_interface(
        &mut self,
        globals: &Globals,
        line: &Statement,
    ) -> Option<TrackedInterface> {
        let interface = self.interface_of(&line.keyword)?;
        if !globals.dynamic_interfaces && !self.host.interface_exists(interface.as_str()) {
            self.report(
                error(
                    line.keyword.span,
                    format!("there is no interface `{interface}`; it is not tracked"),
                )
                .help("put `dynamic_interfaces` into global_defs if it comes later"),
            );
            return None;
        }
        let mut tracked = TrackedInterface {
            interface,
            weight: 0,
            reverse: false,
        };
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "weight" => {
                    let number = words.next();
                    let weight = number.and_then(|number| number.text.parse::<i16>().ok());
                    match weight.filter(|weight| weight.abs() <= 254) {
                        Some(weight) => tracked.weight = weight.clamp(-MOST, MOST),
                        None => self.report(
                            error(
                                number.unwrap_or(word).span,
                                "this weight is no number from -254 to 254; 0 is used",
                            )
                            .label("expected a number from -254 to 254"),
                        ),
                    }
                }
                "reverse" => tracked.reverse = true,
                other => self.report(
                    error(
                        word.span,
                        format!("unknown option `{other}` of a tracked interface"),
                    )
                    .label("expected `weight N` or `reverse`"),
                ),
            }
        }
        Some(tracked)
    }
}
