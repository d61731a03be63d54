//! `interface_up_down_delays`.

use std::collections::BTreeMap;
use std::time::Duration;

use kr_model::units::IfName;
use kr_model::vrrp::LinkDelays;

use crate::source::Span;
use crate::tree::Statement;
use crate::typed::Config;

use super::Build;
use super::finding::{error, warning};
use super::value::decimal;

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(255);

/// Delays as written, and where.
pub(super) type DelayDrafts = BTreeMap<IfName, (LinkDelays, Span)>;

impl Build<'_> {
    /// Reads the lines of a block.
    pub(super) fn link_delays(&mut self, drafts: &mut DelayDrafts, statement: &Statement) {
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let at = line.keyword.span;
            let Some(interface) = self.interface_of(&line.keyword) else {
                continue;
            };
            let (Some(down), None) = (line.arguments.first(), line.arguments.get(2)) else {
                self.report(
                    error(at, "one or two delays must follow the interface").help(format!(
                        "write `{interface} DOWN_DELAY [UP_DELAY]`, in seconds"
                    )),
                );
                continue;
            };
            let down = self.seconds_of(down, Duration::ZERO, LONGEST);
            let up = match line.arguments.get(1) {
                Some(word) => self.seconds_of(word, Duration::ZERO, LONGEST),
                None => Some(Duration::ZERO),
            };
            let Some((down, up)) = down.zip(up) else {
                continue;
            };
            if drafts.contains_key(&interface) {
                self.report(warning(
                    at,
                    format!("`{interface}` has delays already; these are used"),
                ));
            }
            drafts.insert(interface, (LinkDelays { down, up }, at));
        }
    }

    /// Cuts delays that would keep an instance master for longer than its backups wait.
    pub(super) fn finish_delays(
        &mut self,
        drafts: &DelayDrafts,
        config: &Config,
    ) -> BTreeMap<IfName, LinkDelays> {
        let mut finished = BTreeMap::new();
        for (interface, (delays, at)) in drafts {
            let mut delays = *delays;
            for entry in config.instances.values() {
                let instance = &entry.instance;
                if instance.interface != *interface {
                    continue;
                }
                let interval = instance.advert_interval.as_duration();
                let adverts = u32::from(instance.down_timer_adverts).saturating_sub(1);
                let most = interval
                    .saturating_mul(adverts)
                    .saturating_sub(interval / 256);
                if adverts == 0 {
                    self.report(warning(*at, format!(
                        "instance `{}` has down_timer_adverts 1, which leaves no time for delays of `{interface}`; they are 0",
                        instance.name
                    )));
                    delays = LinkDelays {
                        down: Duration::ZERO,
                        up: Duration::ZERO,
                    };
                } else if delays.down > most {
                    self.report(warning(*at, format!(
                        "the down delay of `{interface}` is cut to {} s, which is less than backups of instance `{}` wait",
                        decimal(most),
                        instance.name
                    )));
                    delays.down = most;
                }
            }
            finished.insert(interface.clone(), delays);
        }
        finished
    }
}
