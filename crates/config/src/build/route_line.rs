//! One line of a route list: `[TYPE] DEST [via GATEWAY] [dev NAME] [table T] ... [nexthop ...]`.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::net::{Cidr, Family};
use kr_model::route::{Hop, Metrics, Path, Placement, Route, RouteKind, TABLE_MAIN, Table};
use kr_model::units::HopWeight;

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, note, warning};
use super::global::Globals;
use super::line_value::{Agreed, Line, Use};
use super::names::Names;
use super::value::MAX_U32;
use super::words::Words;

/// What messages call the object of such a line.
const WHAT: &str = "route";

/// Most ways of one route: it travels in one message.
const MOST_HOPS: usize = 256;

/// What was read so far. Words whose meaning depends on the family wait for the end.
#[derive(Default)]
struct Draft<'a> {
    family: Agreed,
    kind: Option<RouteKind>,
    destination: Option<Destination>,
    source: Option<Cidr>,
    preferred_source: Option<IpAddr>,
    tos: u8,
    table: Option<Table>,
    protocol: Option<(u8, &'a Word)>,
    scope: Option<&'a Word>,
    metric: Option<u32>,
    hop: Hop,
    more: Vec<(HopWeight, Hop)>,
    metrics: Metrics,
    expires: Option<(Duration, &'a Word)>,
    preference: Option<(u8, &'a Word)>,
    ttl_propagate: Option<bool>,
    placement: Option<Placement>,
    untracked: bool,
    group: Option<&'a Word>,
}

enum Destination {
    All,
    Prefix(Cidr),
}

impl Build<'_> {
    /// Reads a line. `None` when there is no such route; the reason was reported.
    pub(super) fn route(
        &mut self,
        globals: &Globals,
        line: &Statement,
        usage: Use,
    ) -> Option<Line<Route>> {
        let mut draft = Draft::default();
        let mut words = Words::of(line);
        while let Some(word) = words.next() {
            let known =
                self.route_hop_word(globals, &mut draft.family, &mut draft.hop, word, &mut words)?
                    || self.route_selector(&mut draft, word, &mut words)?
                    || self.route_attribute(&mut draft, word, &mut words)?
                    || self.route_metric(&mut draft.metrics, word, &mut words)?
                    || self.route_management(globals, &mut draft, word, &mut words)?;
            if !known {
                self.route_destination(&mut draft, word)?;
            }
        }
        self.finish_route(line, draft, usage)
    }

    /// Words about where packets go next.
    fn route_hop_word(
        &mut self,
        globals: &Globals,
        family: &mut Agreed,
        hop: &mut Hop,
        word: &Word,
        words: &mut Words<'_>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "via" | "gw" => {
                if word.text == "gw" {
                    self.report(note(word.span, "`gw` is an old spelling of `via`"));
                }
                for (text, named) in [("inet", Family::Inet), ("inet6", Family::Inet6)] {
                    if words.skip(text) {
                        self.agree(family, word, named, WHAT)?;
                    }
                }
                let value = self.value_of(words, word, WHAT)?;
                hop.gateway = Some(self.line_address(family, value, WHAT)?);
            }
            "dev" | "oif" => {
                let value = self.value_of(words, word, WHAT)?;
                hop.device = Some(self.line_interface(globals, value, WHAT)?);
            }
            "onlink" => hop.onlink = true,
            "realms" => {
                let value = self.value_of(words, word, WHAT)?;
                hop.realms = Some(self.realms(value)?);
            }
            "encap" => hop.encapsulation = Some(self.encapsulation(word, words)?),
            _ => return Some(false),
        }
        Some(true)
    }

    /// Words that say which packets take the route.
    fn route_selector<'a>(
        &mut self,
        draft: &mut Draft<'a>,
        word: &'a Word,
        words: &mut Words<'a>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "inet" => self.agree(&mut draft.family, word, Family::Inet, WHAT)?,
            "inet6" => self.agree(&mut draft.family, word, Family::Inet6, WHAT)?,
            "to" => {
                let value = self.value_of(words, word, WHAT)?;
                self.route_destination(draft, value)?;
            }
            "from" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.source = Some(self.line_prefix(&mut draft.family, value, WHAT)?);
            }
            "tos" | "dsfield" => {
                let value = self.value_of(words, word, WHAT)?;
                let tos = self.named(Names::Services, value, 255)?;
                draft.tos = u8::try_from(tos).ok()?;
            }
            text => {
                let Some(kind) = RouteKind::from_word(text) else {
                    return Some(false);
                };
                draft.kind = Some(kind);
                let value = self.value_of(words, word, WHAT)?;
                self.route_destination(draft, value)?;
            }
        }
        Some(true)
    }

    /// Words about the route itself.
    fn route_attribute<'a>(
        &mut self,
        draft: &mut Draft<'a>,
        word: &'a Word,
        words: &mut Words<'a>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "src" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.preferred_source = Some(self.line_address(&mut draft.family, value, WHAT)?);
            }
            "table" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.table = Some(Table::Number(self.named(Names::Tables, value, u32::MAX)?));
            }
            "protocol" => {
                let value = self.value_of(words, word, WHAT)?;
                let number = self.named(Names::Protocols, value, 255)?;
                draft.protocol = Some((u8::try_from(number).ok()?, word));
            }
            "scope" => draft.scope = Some(self.value_of(words, word, WHAT)?),
            "metric" | "priority" | "preference" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.metric = Some(self.line_number(value, MAX_U32, WHAT)?);
            }
            "expires" => {
                let value = self.value_of(words, word, WHAT)?;
                let seconds = self.line_number(value, MAX_U32, WHAT)?;
                draft.expires = Some((Duration::from_secs(seconds.into()), word));
            }
            "pref" => {
                let value = self.value_of(words, word, WHAT)?;
                let number = match value.text.as_str() {
                    "medium" => 0,
                    "high" => 1,
                    "low" => 3,
                    _ => self.line_number(value, 255, WHAT)?,
                };
                draft.preference = Some((u8::try_from(number).ok()?, word));
            }
            "ttl-propagate" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.ttl_propagate = Some(match value.text.as_str() {
                    "enabled" => true,
                    "disabled" => false,
                    _ => {
                        self.not_valid(value, "`enabled` or `disabled`", WHAT);
                        return None;
                    }
                });
            }
            "prepend" => draft.placement = Some(Placement::Prepend),
            "append" => draft.placement = Some(Placement::Append),
            "add" => draft.placement = Some(Placement::Alone),
            _ => return Some(false),
        }
        Some(true)
    }

    /// Words about how the route is kept, and those that name several ways.
    fn route_management<'a>(
        &mut self,
        globals: &Globals,
        draft: &mut Draft<'a>,
        word: &'a Word,
        words: &mut Words<'a>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "no_track" => draft.untracked = true,
            "track_group" => draft.group = Some(self.value_of(words, word, WHAT)?),
            "vrf" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.table = Some(Table::Vrf(self.line_interface(globals, value, WHAT)?));
            }
            "as" => {
                words.skip("to");
                self.value_of(words, word, WHAT)?;
                self.report(warning(
                    word.span,
                    "`as` is not supported by the kernel; it is ignored",
                ));
            }
            "or" => {
                self.report(
                    note(word.span, "`or` is an old spelling of a second nexthop")
                        .help("write `nexthop via A nexthop via B`"),
                );
                let value = self.value_of(words, word, WHAT)?;
                let gateway = Some(self.line_address(&mut draft.family, value, WHAT)?);
                let first = std::mem::take(&mut draft.hop);
                let second = Hop {
                    gateway,
                    device: first.device.clone(),
                    ..Hop::default()
                };
                draft.more = vec![(HopWeight::ONE, first), (HopWeight::ONE, second)];
            }
            "nexthop" => self.next_hops(globals, draft, word, words)?,
            _ => return Some(false),
        }
        Some(true)
    }

    /// Everything behind the first `nexthop`.
    fn next_hops<'a>(
        &mut self,
        globals: &Globals,
        draft: &mut Draft<'a>,
        first: &Word,
        words: &mut Words<'a>,
    ) -> Option<()> {
        let mut current = (HopWeight::ONE, Hop::default());
        while let Some(word) = words.next() {
            let hop = &mut current.1;
            if self.route_hop_word(globals, &mut draft.family, hop, word, words)? {
                continue;
            }
            match word.text.as_str() {
                "weight" => {
                    let value = self.value_of(words, word, WHAT)?;
                    let number = self.line_number(value, 256, WHAT)?;
                    let Ok(weight) = HopWeight::try_from(u64::from(number)) else {
                        self.not_valid(value, "a weight from 1 to 256", WHAT);
                        return None;
                    };
                    current.0 = weight;
                }
                "nexthop" => draft.more.push(std::mem::replace(
                    &mut current,
                    (HopWeight::ONE, Hop::default()),
                )),
                _ => {
                    self.report(
                        error(
                            word.span,
                            format!("`{}` behind `nexthop`; the route is left out", word.text),
                        )
                        .help("write the nexthops last, each with via, dev, weight, onlink, encap or realms"),
                    );
                    return None;
                }
            }
        }
        draft.more.push(current);
        let empty = |(_, hop): &(HopWeight, Hop)| hop.gateway.is_none() && hop.device.is_none();
        let fault = if draft.more.iter().any(empty) {
            "a nexthop has neither `via` nor `dev`"
        } else if draft.hop.gateway.is_some() {
            "a route has either `via` or nexthops"
        } else if draft.more.len() > MOST_HOPS {
            "a route has at most 256 nexthops"
        } else {
            return Some(());
        };
        self.report(error(first.span, format!("{fault}; the route is left out")));
        None
    }

    fn route_destination(&mut self, draft: &mut Draft<'_>, word: &Word) -> Option<()> {
        draft.destination = Some(match word.text.as_str() {
            "default" | "any" | "all" => Destination::All,
            "default6" => {
                self.report(
                    note(word.span, "`default6` is an old spelling").help("write `inet6 default`"),
                );
                self.agree(&mut draft.family, word, Family::Inet6, WHAT)?;
                Destination::All
            }
            text if text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(':') => {
                Destination::Prefix(self.line_prefix(&mut draft.family, word, WHAT)?)
            }
            _ => {
                self.unknown_word(word, Block::RouteLine, WHAT);
                return None;
            }
        });
        Some(())
    }

    fn finish_route(
        &mut self,
        line: &Statement,
        draft: Draft<'_>,
        usage: Use,
    ) -> Option<Line<Route>> {
        let family = draft.family.unwrap_or(Family::Inet);
        let destination = match draft.destination {
            Some(Destination::Prefix(prefix)) => prefix,
            Some(Destination::All) => Cidr::everything(family),
            None => {
                self.report(
                    error(line.keyword.span, "a route without destination is left out")
                        .help("write where it leads, for example `10.1.0.0/16 via 10.0.0.1`"),
                );
                return None;
            }
        };
        let at = &line.keyword;
        if draft.source.is_some() && family == Family::Inet {
            self.report(
                error(
                    at.span,
                    "`from` of a route is for IPv6 only; the route is left out",
                )
                .help("use a rule `from PREFIX table N`, and put the route into that table"),
            );
            return None;
        }
        let kind = draft.kind.unwrap_or(RouteKind::Unicast);
        let scope = self.route_scope(draft.scope, family, kind)?;
        let mut path = if draft.more.is_empty() {
            Path::Single(draft.hop)
        } else {
            Path::Multiple(draft.more)
        };
        if family == Family::Inet6 {
            self.drop_inet_words(at, &mut path);
        }
        let expires = draft.expires.filter(|(_, at)| self.inet6_only(family, at));
        let preference = draft
            .preference
            .filter(|(_, at)| self.inet6_only(family, at));
        Some(Line {
            object: Route {
                kind,
                destination,
                source: draft.source,
                preferred_source: draft.preferred_source,
                tos: draft.tos,
                table: draft.table.unwrap_or(Table::Number(TABLE_MAIN)),
                protocol: self.line_protocol(draft.protocol, draft.untracked),
                scope,
                metric: draft.metric,
                path,
                metrics: draft.metrics,
                expires: expires.map(|(time, _)| time),
                preference: preference.map(|(number, _)| number),
                ttl_propagate: draft.ttl_propagate,
                placement: draft.placement.unwrap_or(Placement::Prepend),
                tracked: !draft.untracked,
            },
            group: self.line_group(draft.group, usage, WHAT),
        })
    }

    /// Some kinds of route exist only in some scopes: there the default is the widest of them.
    fn route_scope(&mut self, word: Option<&Word>, family: Family, kind: RouteKind) -> Option<u8> {
        match (word, family) {
            (Some(word), Family::Inet) => {
                let scope = self.named(Names::Scopes, word, 255)?;
                u8::try_from(scope).ok()
            }
            (Some(word), Family::Inet6) => {
                self.report(warning(
                    word.span,
                    "an IPv6 route has no `scope`; it is ignored",
                ));
                Some(0)
            }
            (None, Family::Inet6) => Some(0),
            (None, Family::Inet) => Some(match kind {
                RouteKind::Local | RouteKind::Nat => 254,
                RouteKind::Broadcast | RouteKind::Anycast => 253,
                RouteKind::Unicast
                | RouteKind::Multicast
                | RouteKind::Blackhole
                | RouteKind::Unreachable
                | RouteKind::Prohibit
                | RouteKind::Throw
                | RouteKind::Xresolve => 0,
            }),
        }
    }

    fn drop_inet_words(&mut self, at: &Word, path: &mut Path) {
        let hops: Vec<&mut Hop> = match path {
            Path::Single(hop) => vec![hop],
            Path::Multiple(hops) => hops.iter_mut().map(|(_, hop)| hop).collect(),
        };
        for hop in hops {
            let onlink = std::mem::take(&mut hop.onlink).then_some("onlink");
            let realms = hop.realms.take().map(|_| "realms");
            for name in onlink.into_iter().chain(realms) {
                self.report(warning(
                    at.span,
                    format!("`{name}` is for IPv4 routes only; it is ignored"),
                ));
            }
        }
    }

    fn inet6_only(&mut self, family: Family, word: &Word) -> bool {
        if family == Family::Inet {
            self.report(warning(
                word.span,
                format!("`{}` is for IPv6 routes only; it is ignored", word.text),
            ));
        }
        family == Family::Inet6
    }
}
