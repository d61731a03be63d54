//! Words of a route line about the connections that use it, and about what packets are wrapped into.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use kr_model::route::{Encapsulation, Metric, MetricValue, Metrics, Tunnel};

use crate::tree::Word;

use super::Build;
use super::finding::{error, warning};
use super::names::whole_number;
use super::value::{MAX_U32, parse_seconds};
use super::words::Words;

/// What messages call the object of such a line.
const WHAT: &str = "route";

/// Longest name of a congestion control algorithm that the kernel takes (`TCP_CA_NAME_MAX` less the end mark).
const LONGEST_ALGORITHM: usize = 15;

/// Most labels that the kernel takes.
const MOST_LABELS: usize = 30;
/// An MPLS label has 20 bits.
const LARGEST_LABEL: u64 = (1 << 20) - 1;

/// Times that a connection can use.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(120);

impl Build<'_> {
    /// Takes a metric. `None` when the route is left out; false when the word is none.
    pub(super) fn route_metric(
        &mut self,
        metrics: &mut Metrics,
        word: &Word,
        words: &mut Words<'_>,
    ) -> Option<bool> {
        if word.text == "congctl" {
            let locked = words.skip("lock");
            let value = self.value_of(words, word, WHAT)?;
            if value.text.len() > LONGEST_ALGORITHM || value.text.is_empty() {
                self.not_valid(value, "the name of a TCP algorithm", WHAT);
                return None;
            }
            metrics.congestion = Some((value.text.clone(), locked));
            return Some(true);
        }
        let Some(metric) = Metric::from_word(&word.text) else {
            return Some(false);
        };
        let locked = can_be_locked(metric) && words.skip("lock");
        let value = self.value_of(words, word, WHAT)?;
        let value = match metric {
            Metric::Rtt => self.metric_time(value, 8)?,
            Metric::Rttvar => self.metric_time(value, 4)?,
            Metric::RtoMin => self.metric_time(value, 1)?,
            Metric::Hoplimit => self.line_number(value, 255, WHAT)?,
            Metric::Quickack | Metric::FastopenNoCookie => self.line_number(value, 1, WHAT)?,
            Metric::Features => {
                if value.text != "ecn" {
                    self.not_valid(value, "`ecn`", WHAT);
                    return None;
                }
                1
            }
            Metric::Mtu
            | Metric::Window
            | Metric::Ssthresh
            | Metric::Cwnd
            | Metric::Advmss
            | Metric::Reordering
            | Metric::Initcwnd
            | Metric::Initrwnd => self.line_number(value, MAX_U32, WHAT)?,
        };
        metrics.values.insert(metric, MetricValue { value, locked });
        Some(true)
    }

    /// A time with a unit, or a number of the kernel's units of which a millisecond has `per_millisecond`.
    fn metric_time(&mut self, word: &Word, per_millisecond: u64) -> Option<u32> {
        let text = word.text.as_str();
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let time = match text.strip_prefix(number) {
            Some("") => whole_number(text)
                .map(|units| Duration::from_micros(units.saturating_mul(1000) / per_millisecond)),
            Some("s" | "sec" | "secs") => parse_seconds(number).map(|(time, _)| time),
            Some("ms" | "msec" | "msecs") => parse_seconds(number).map(|(time, _)| time / 1000),
            Some(_) | None => None,
        };
        let Some(time) = time else {
            self.not_valid(word, "a time such as `300ms` or `1.5s`", WHAT);
            return None;
        };
        let used = time.clamp(SHORTEST, LONGEST);
        if used != time {
            self.report(
                warning(word.span, format!("`{text}` is out of range"))
                    .label(format!("{} ms is used", used.as_millis())),
            );
        }
        let units = used.as_micros().saturating_mul(per_millisecond.into()) / 1000;
        u32::try_from(units).ok()
    }

    /// `encap TYPE ...`, up to the first word that does not belong to it.
    pub(super) fn encapsulation(
        &mut self,
        option: &Word,
        words: &mut Words<'_>,
    ) -> Option<Encapsulation> {
        let kind = self.value_of(words, option, WHAT)?;
        match kind.text.as_str() {
            "ip" => Some(Encapsulation::Ip(
                self.route_tunnel::<Ipv4Addr>(kind, words, "tos", "ttl")?,
            )),
            "ip6" => Some(Encapsulation::Ip6(
                self.route_tunnel::<Ipv6Addr>(kind, words, "tc", "hoplimit")?,
            )),
            "mpls" => {
                let value = self.value_of(words, kind, WHAT)?;
                let labels: Option<Vec<u32>> = value.text.split('/').map(label).collect();
                let labels = labels.filter(|labels| labels.len() <= MOST_LABELS);
                if labels.is_none() {
                    self.not_valid(value, "labels below 1048576 with `/` between", WHAT);
                }
                labels.map(Encapsulation::Mpls)
            }
            "ila" => {
                let value = self.value_of(words, kind, WHAT)?;
                let locator = locator(&value.text);
                if locator.is_none() {
                    self.not_valid(value, "a locator such as `2001:db8:0:1`", WHAT);
                }
                locator.map(Encapsulation::Ila)
            }
            _ => {
                self.not_valid(kind, "`ip`, `ip6`, `mpls` or `ila`", WHAT);
                None
            }
        }
    }

    /// `[id N] [dst ADDR] [src ADDR] [tos N] [ttl N] [flags N]`, in any order.
    fn route_tunnel<A: FromStr>(
        &mut self,
        kind: &Word,
        words: &mut Words<'_>,
        class: &str,
        limit: &str,
    ) -> Option<Tunnel<A>> {
        let mut tunnel = Tunnel::default();
        while let Some(option) = words.peek() {
            let text = option.text.as_str();
            if !["id", "dst", "src", "flags", class, limit].contains(&text) {
                break;
            }
            words.next();
            let value = self.value_of(words, option, WHAT)?;
            match text {
                "id" => tunnel.id = Some(self.wide_number(value)?),
                "dst" => tunnel.destination = Some(self.tunnel_end(value)?),
                "src" => tunnel.source = Some(self.tunnel_end(value)?),
                "flags" => {
                    let flags = self.line_number(value, 65535, WHAT)?;
                    tunnel.flags = u16::try_from(flags).ok();
                }
                _ => {
                    let number = u8::try_from(self.line_number(value, 255, WHAT)?).ok();
                    if text == class {
                        tunnel.traffic_class = number;
                    } else {
                        tunnel.hop_limit = number;
                    }
                }
            }
        }
        if tunnel.id.is_none() && tunnel.destination.is_none() {
            self.report(error(
                kind.span,
                "an encapsulation needs `id` or `dst`; the route is left out",
            ));
            return None;
        }
        Some(tunnel)
    }

    fn tunnel_end<A: FromStr>(&mut self, word: &Word) -> Option<A> {
        let address = word.text.parse().ok();
        if address.is_none() {
            self.not_valid(word, "an address of the tunnel's family", WHAT);
        }
        address
    }

    fn wide_number(&mut self, word: &Word) -> Option<u64> {
        let number = whole_number(&word.text);
        if number.is_none() {
            self.not_valid(word, "a whole number", WHAT);
        }
        number
    }
}

const fn can_be_locked(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::Mtu
            | Metric::Advmss
            | Metric::Rtt
            | Metric::Rttvar
            | Metric::Reordering
            | Metric::Cwnd
            | Metric::Ssthresh
            | Metric::RtoMin
    )
}

fn label(text: &str) -> Option<u32> {
    let number = whole_number(text).filter(|number| *number <= LARGEST_LABEL)?;
    u32::try_from(number).ok()
}

/// Four groups of hexadecimal digits.
fn locator(text: &str) -> Option<u64> {
    let mut groups = text.split(':');
    let mut locator = 0;
    for _ in 0..4 {
        let group = groups.next()?;
        if group.is_empty() || group.starts_with('+') {
            return None;
        }
        locator = locator << 16 | u64::from(u16::from_str_radix(group, 16).ok()?);
    }
    groups.next().is_none().then_some(locator)
}
