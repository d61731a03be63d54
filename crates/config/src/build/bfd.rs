//! `bfd_instance`: a BFD session, and who may follow it; `BFD_CHECK`: a checker that does.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::TrackerId;
use kr_model::bfd::{MOST_SESSIONS, Micros, Path, Session};
use kr_model::check::Probe;
use kr_model::units::Multiplier;

use crate::registry::Block;
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::typed::{BfdEntry, Config};

use super::check_draft::{CheckKind, CheckerDraft, ConnectionDraft, TimingDraft};
use super::finding::{Finding, advice, error, warning};
use super::value::{milliseconds, set};
use super::walk::{Context, Seen};
use super::{Build, next_id};

const BFD: Context = Context {
    name: "bfd_instance",
    blocks: &[Block::BfdInstance],
    also: &[],
    repeatable: &[],
};

/// Longest name in bytes.
const MOST_NAME: usize = 31;
/// Largest interval in milliseconds: what fits into a packet.
const MOST_MILLIS: u32 = 4_294_967;
/// From here on an interval is more likely a mistake in the unit.
const SLOW: Micros = Micros(10_000_000);
/// `max_hops` that switches the check off.
const ANY_HOPS: i16 = 255;
/// The largest weight that counts.
const MOST_WEIGHT: i16 = 253;
/// What keepalived sends over IPv6 when nothing is said, and has to be accepted from it.
const IPV6_TTL: u8 = 64;

const BFD_CHECK: Context = Context {
    name: "BFD_CHECK",
    blocks: &[Block::BfdCheck],
    also: &[],
    repeatable: &[],
};

/// The values of one block.
struct Draft {
    neighbor: Option<IpAddr>,
    source: Option<(IpAddr, Span)>,
    path: Path,
    passive: bool,
    min_rx: Micros,
    min_tx: Micros,
    idle_tx: Micros,
    multiplier: Option<Multiplier>,
    ttl: Option<u8>,
    max_hops: Option<(i16, Span)>,
    weight: (i16, bool),
    vrrp: bool,
    checker: bool,
}

impl Build<'_> {
    /// Reads a `bfd_instance` block.
    pub(super) fn bfd_instance(&mut self, config: &mut Config, statement: &Statement) {
        let (Some(name), Some(block)) = (statement.arguments.first(), &statement.block) else {
            return;
        };
        if let Some(finding) = bad_name(config, name) {
            self.report(finding.label("this block is skipped"));
            return;
        }
        let mut draft = Draft {
            neighbor: None,
            source: None,
            path: Path::SingleHop,
            passive: false,
            min_rx: Micros(10_000),
            min_tx: Micros(10_000),
            idle_tx: Micros::SECOND,
            multiplier: None,
            ttl: None,
            max_hops: None,
            weight: (0, false),
            vrrp: false,
            checker: false,
        };
        let mut seen = Seen::default();
        for line in &block.statements {
            let Some(keyword) = self.accept(&BFD, &mut seen, line) else {
                continue;
            };
            if !self.bfd_setting(&mut draft, keyword.name, line) {
                self.unbuilt(keyword, line);
            }
        }
        // Counted from the end, so that no session has the number of another tracked object.
        let id = TrackerId(u32::MAX - next_id(&config.bfd));
        if let Some(entry) = self.finish_bfd(config, id, name, &draft) {
            self.trackers.add_session(&entry, name.span);
            config.bfd.insert(id, entry);
        }
    }

    fn bfd_setting(&mut self, draft: &mut Draft, name: &str, line: &Statement) -> bool {
        let at = line.keyword.span;
        match name {
            "neighbor_ip" | "neighbour_ip" => set(&mut draft.neighbor, self.address(line)),
            "source_ip" => {
                let source = self.address(line);
                set(&mut draft.source, source.map(|source| (source, at)));
            }
            "min_rx" => draft.min_rx = self.bfd_interval(line, 1).unwrap_or(draft.min_rx),
            "min_tx" => draft.min_tx = self.bfd_interval(line, 1).unwrap_or(draft.min_tx),
            "idle_tx" => draft.idle_tx = self.bfd_interval(line, 1_000).unwrap_or(draft.idle_tx),
            "multiplier" => {
                let number = self.number(line, 1, 255);
                let multiplier = number.and_then(|number| Multiplier::try_from(number).ok());
                set(&mut draft.multiplier, multiplier);
            }
            "passive" => draft.passive = true,
            "ttl" | "hoplimit" => {
                let ttl = self.number(line, 1, 255);
                set(&mut draft.ttl, ttl.and_then(|ttl| u8::try_from(ttl).ok()));
            }
            "max_hops" => {
                let hops = self.signed(line, -1, ANY_HOPS);
                set(&mut draft.max_hops, hops.map(|hops| (hops, at)));
            }
            "multihop" => {
                draft.path = match self.switch(line) {
                    Some(true) => Path::MultiHop,
                    Some(false) => Path::SingleHop,
                    None => draft.path,
                };
            }
            "weight" => self.default_weight(draft, line),
            "vrrp" => draft.vrrp = true,
            "checker" => draft.checker = true,
            _ => return false,
        }
        true
    }

    /// The first argument as milliseconds with up to three decimals, from `min`.
    fn bfd_interval(&mut self, line: &Statement, min: u32) -> Option<Micros> {
        let word = line.arguments.first()?;
        let time = milliseconds(&word.text);
        let range = Duration::from_millis(min.into())..=Duration::from_millis(MOST_MILLIS.into());
        let micros = time.filter(|(time, _)| range.contains(time));
        let micros = micros.and_then(|(time, _)| u32::try_from(time.as_micros()).ok());
        let Some(interval) = micros.map(Micros) else {
            self.report(
                error(word.span, format!("`{}` is not valid here", word.text)).label(format!(
                    "expected milliseconds from {min} to {MOST_MILLIS}, with up to 3 decimals"
                )),
            );
            return None;
        };
        if time.is_some_and(|(_, exact)| !exact) {
            self.report(warning(
                word.span,
                format!("`{}` is rounded to microseconds", word.text),
            ));
        }
        if interval > SLOW {
            self.report(
                advice(
                    word.span,
                    format!("`{}` is more than ten seconds", line.keyword.text),
                )
                .help("the unit is milliseconds"),
            );
        }
        Some(interval)
    }

    fn default_weight(&mut self, draft: &mut Draft, line: &Statement) {
        if let Some(weight) = self.signed(line, -MOST_WEIGHT, MOST_WEIGHT) {
            draft.weight.0 = weight;
        }
        match line.arguments.get(1) {
            None => {}
            Some(word) if word.text == "reverse" => draft.weight.1 = true,
            Some(word) => self.report(
                error(word.span, format!("`{}` is not valid here", word.text))
                    .label("expected `reverse` or nothing"),
            ),
        }
    }

    fn finish_bfd(
        &mut self,
        config: &Config,
        id: TrackerId,
        name: &Word,
        draft: &Draft,
    ) -> Option<BfdEntry> {
        let skipped = "this block is skipped";
        let Some(neighbor) = draft.neighbor else {
            self.report(
                error(
                    name.span,
                    format!("bfd_instance `{}` has no valid neighbor_ip", name.text),
                )
                .label(skipped)
                .help("add `neighbor_ip ADDRESS`"),
            );
            return None;
        };
        if let Some(finding) = bad_neighbor(name, neighbor) {
            self.report(finding.label(skipped));
            return None;
        }
        let source = self.source_of(neighbor, draft);
        let same_way = config.bfd.values().find(|other| {
            let other = &other.session;
            (other.neighbor, other.path) == (neighbor, draft.path)
                && (source.is_none() || other.source.is_none() || other.source == source)
        });
        if let Some(other) = same_way {
            self.report(
                error(
                    name.span,
                    format!(
                        "bfd_instance `{}` has the same neighbour as `{}`",
                        name.text, other.session.name
                    ),
                )
                .label(skipped)
                .help("their packets cannot be told apart; give each a source_ip of its own"),
            );
            return None;
        }
        let session = Session {
            id,
            name: name.text.clone(),
            neighbor,
            source,
            path: draft.path,
            passive: draft.passive,
            min_rx: draft.min_rx,
            min_tx: draft.min_tx,
            idle_tx: draft.idle_tx,
            multiplier: draft.multiplier.unwrap_or(Multiplier::DEFAULT),
            ttl: draft.ttl.unwrap_or(u8::MAX),
            min_ttl: self.least_ttl(name, neighbor, draft),
        };
        let both = draft.vrrp == draft.checker;
        Some(BfdEntry {
            session,
            weight: draft.weight.0,
            reverse: draft.weight.1,
            for_vrrp: both || draft.vrrp,
            for_checkers: both || draft.checker,
        })
    }

    fn source_of(&mut self, neighbor: IpAddr, draft: &Draft) -> Option<IpAddr> {
        let (source, at) = draft.source?;
        if source.is_ipv4() == neighbor.is_ipv4() && !source.is_multicast() {
            return Some(source);
        }
        self.report(
            error(at, format!("{source} cannot send to {neighbor}"))
                .label("ignored: the kernel chooses the address"),
        );
        None
    }

    /// The least TTL of a packet that is accepted: every router on the way takes one away.
    fn least_ttl(&mut self, name: &Word, neighbor: IpAddr, draft: &Draft) -> u8 {
        let default = if neighbor.is_ipv4() {
            u8::MAX
        } else {
            IPV6_TTL
        };
        let sent = i16::from(draft.ttl.unwrap_or(default));
        let Some((hops, at)) = draft.max_hops else {
            if draft.path == Path::MultiHop {
                self.report(
                    advice(
                        name.span,
                        format!(
                            "bfd_instance `{}` ignores packets that passed a router: it is multihop without max_hops",
                            name.text
                        ),
                    )
                    .help("add `max_hops N`, the number of routers in between, or 255 for any"),
                );
            }
            return draft.ttl.unwrap_or(default);
        };
        if hops == ANY_HOPS {
            return 0;
        }
        let least = u8::try_from(sent.saturating_sub(hops));
        least.unwrap_or_else(|_| {
            self.report(
                error(at, format!("no packet has a TTL of {sent} less {hops}"))
                    .label("0 is used")
                    .help(format!(
                        "write a number from 0 to {sent}, or 255 for any way"
                    )),
            );
            draft.ttl.unwrap_or(default)
        })
    }
}

impl Build<'_> {
    /// Reads a `BFD_CHECK` block.
    pub(super) fn bfd_check(&mut self, statement: &Statement) -> Option<CheckerDraft> {
        let at = statement.keyword.span;
        let mut timing = TimingDraft::default();
        let mut session = None;
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&BFD_CHECK, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "name" => session = line.arguments.first().cloned(),
                name => {
                    if !self.timing_setting(&mut timing, name, line) {
                        self.unbuilt(keyword, line);
                    }
                }
            }
        }
        let Some(name) = session else {
            self.report(
                error(at, "this BFD_CHECK has no name and is left out")
                    .help("add `name BFD_INSTANCE`"),
            );
            return None;
        };
        Some(CheckerDraft {
            at,
            connection: ConnectionDraft::default(),
            timing,
            kind: CheckKind::Bfd { name },
        })
    }

    /// The session that a `BFD_CHECK` follows.
    pub(super) fn followed_session(&mut self, config: &Config, name: &Word) -> Option<Probe> {
        let mut sessions = config.bfd.values();
        let found = sessions.find(|entry| entry.session.name == name.text);
        let finding = match found {
            Some(entry) if entry.for_checkers => {
                return Some(Probe::Bfd {
                    session: entry.session.id,
                    name: entry.session.name.clone(),
                });
            }
            Some(_) => error(
                name.span,
                format!("bfd_instance `{}` is for instances only", name.text),
            )
            .help("remove `vrrp` from it, or add `checker`"),
            None => error(
                name.span,
                format!("there is no bfd_instance `{}` that runs", name.text),
            ),
        };
        self.report(finding.label("this BFD_CHECK is left out"));
        None
    }
}

fn bad_name(config: &Config, name: &Word) -> Option<Finding> {
    if name.text.len() > MOST_NAME {
        let text = format!("the name of a bfd_instance has at most {MOST_NAME} characters");
        return Some(error(name.span, text));
    }
    let mut sessions = config.bfd.values();
    if sessions.any(|other| other.session.name == name.text) {
        let text = format!("there is a bfd_instance `{}` already", name.text);
        return Some(error(name.span, text).help("give each session a name of its own"));
    }
    if config.bfd.len() >= MOST_SESSIONS {
        let text = format!("there are more than {MOST_SESSIONS} BFD sessions");
        return Some(error(name.span, text));
    }
    None
}

fn bad_neighbor(name: &Word, neighbor: IpAddr) -> Option<Finding> {
    let local = match neighbor {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if local {
        let text = format!(
            "bfd_instance `{}` has a link-local neighbour, and no interface to find it on",
            name.text
        );
        return Some(
            error(name.span, text).help("give an address that is valid on all interfaces"),
        );
    }
    if neighbor.is_multicast() || neighbor.is_unspecified() {
        let text = format!("{neighbor} is nobody's address");
        return Some(error(name.span, text));
    }
    None
}
