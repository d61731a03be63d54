//! One line of a rule list: `[not] [from PREFIX] [to PREFIX] ... table N | ACTION`.

use kr_model::net::{Cidr, Family};
use kr_model::rule::{Rule, RuleAction};
use kr_model::units::IfName;

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;
use super::line_value::{Agreed, Line, Use};
use super::names::{Names, whole_number};
use super::value::MAX_U32;
use super::words::Words;

/// What messages call the object of such a line.
const WHAT: &str = "rule";

/// Preference of the first rule of a family that gives none; the next one has one less.
const FIRST_PREFERENCE: u32 = 16_384;

/// Largest value of `suppress_prefixlength` and of the number of an interface group.
const MAX_SIGNED: u32 = 2_147_483_647;

/// Preferences given to rules without one so far.
#[derive(Debug, Default)]
pub(super) struct Preferences {
    inet: u32,
    inet6: u32,
}

impl Preferences {
    fn next(&mut self, family: Family) -> u32 {
        let given = match family {
            Family::Inet => &mut self.inet,
            Family::Inet6 => &mut self.inet6,
        };
        let preference = FIRST_PREFERENCE.saturating_sub(*given);
        *given = given.saturating_add(1);
        preference
    }
}

/// What was read so far.
#[derive(Default)]
struct Draft<'a> {
    family: Agreed,
    inverted: bool,
    from: Option<Cidr>,
    to: Option<Cidr>,
    preference: Option<u32>,
    tos: u8,
    mark: Option<(u32, u32)>,
    realms: Option<(u32, &'a Word)>,
    suppress_prefix: Option<(u32, &'a Word)>,
    suppress_group: Option<(u32, &'a Word)>,
    input: Option<IfName>,
    output: Option<IfName>,
    tunnel: Option<u64>,
    users: Option<(u32, u32)>,
    protocol: Option<(u8, &'a Word)>,
    ip_protocol: Option<u8>,
    source_ports: Option<(u16, u16)>,
    destination_ports: Option<(u16, u16)>,
    action: Option<RuleAction>,
    untracked: bool,
    group: Option<&'a Word>,
}

impl Build<'_> {
    /// Reads a line. `None` when there is no such rule; the reason was reported.
    pub(super) fn rule(
        &mut self,
        globals: &Globals,
        line: &Statement,
        usage: Use,
    ) -> Option<Line<Rule>> {
        let mut draft = Draft::default();
        let mut words = Words::of(line);
        while let Some(word) = words.next() {
            let known = self.rule_prefix(&mut draft, word, &mut words)?
                || self.rule_selector(globals, &mut draft, word, &mut words)?
                || self.rule_range(&mut draft, word, &mut words)?
                || self.rule_action(&mut draft, word, &mut words)?
                || self.rule_option(&mut draft, word, &mut words)?;
            if !known {
                self.unknown_word(word, Block::RuleLine, WHAT);
                return None;
            }
        }
        self.finish_rule(line, draft, usage)
    }

    /// Addresses and families.
    fn rule_prefix(
        &mut self,
        draft: &mut Draft<'_>,
        word: &Word,
        words: &mut Words<'_>,
    ) -> Option<bool> {
        let slot = match word.text.as_str() {
            "inet" => {
                self.agree(&mut draft.family, word, Family::Inet, WHAT)?;
                return Some(true);
            }
            "inet6" => {
                self.agree(&mut draft.family, word, Family::Inet6, WHAT)?;
                return Some(true);
            }
            "from" => &mut draft.from,
            "to" => &mut draft.to,
            _ => return Some(false),
        };
        let value = self.value_of(words, word, WHAT)?;
        *slot = match value.text.as_str() {
            "all" | "any" | "default" => None,
            _ => Some(self.line_prefix(&mut draft.family, value, WHAT)?),
        };
        Some(true)
    }

    /// What else packets must have.
    fn rule_selector(
        &mut self,
        globals: &Globals,
        draft: &mut Draft<'_>,
        word: &Word,
        words: &mut Words<'_>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "not" => draft.inverted = true,
            "tos" | "dsfield" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.tos = u8::try_from(self.named(Names::Services, value, 255)?).ok()?;
            }
            "fwmark" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.mark = Some(self.mark_and_mask(value)?);
            }
            "iif" | "dev" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.input = Some(self.line_interface(globals, value, WHAT)?);
            }
            "oif" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.output = Some(self.line_interface(globals, value, WHAT)?);
            }
            "tunnel-id" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.tunnel = whole_number(&value.text);
                if draft.tunnel.is_none() {
                    self.not_valid(value, "a whole number", WHAT);
                    return None;
                }
            }
            "ipproto" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.ip_protocol = u8::try_from(self.named(Names::IpProtocols, value, 255)?).ok();
            }
            _ => return Some(false),
        }
        Some(true)
    }

    /// Ranges of users and of ports.
    fn rule_range(
        &mut self,
        draft: &mut Draft<'_>,
        word: &Word,
        words: &mut Words<'_>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "uidrange" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.users = Some(self.range(value, MAX_U32)?);
            }
            "sport" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.source_ports = Some(ports(self.range(value, 65535)?)?);
            }
            "dport" => {
                let value = self.value_of(words, word, WHAT)?;
                draft.destination_ports = Some(ports(self.range(value, 65535)?)?);
            }
            _ => return Some(false),
        }
        Some(true)
    }

    /// What is done.
    fn rule_action(
        &mut self,
        draft: &mut Draft<'_>,
        word: &Word,
        words: &mut Words<'_>,
    ) -> Option<bool> {
        let named = |text: &str| match text {
            "blackhole" => Some(RuleAction::Blackhole),
            "unreachable" => Some(RuleAction::Unreachable),
            "prohibit" => Some(RuleAction::Prohibit),
            _ => None,
        };
        let action = match word.text.as_str() {
            "table" | "lookup" => {
                let value = self.value_of(words, word, WHAT)?;
                let table = self.named(Names::Tables, value, u32::MAX)?;
                if table == 0 {
                    self.not_valid(value, "a table from 1 to 4294967295", WHAT);
                    return None;
                }
                RuleAction::Lookup {
                    table,
                    suppress_prefix: None,
                    suppress_group: None,
                    realms: None,
                }
            }
            "l3mdev" => RuleAction::L3mdev,
            "nop" => RuleAction::Nop,
            "goto" => {
                let value = self.value_of(words, word, WHAT)?;
                RuleAction::Goto(self.line_number(value, MAX_U32, WHAT)?)
            }
            "type" => {
                let value = self.value_of(words, word, WHAT)?;
                let Some(action) = named(&value.text) else {
                    self.not_valid(value, "`blackhole`, `unreachable` or `prohibit`", WHAT);
                    return None;
                };
                action
            }
            other => match named(other) {
                Some(action) => action,
                None => return Some(false),
            },
        };
        if draft.action.replace(action).is_some() {
            self.report(error(
                word.span,
                "a second action in one rule; the rule is left out",
            ));
            return None;
        }
        Some(true)
    }

    /// About the rule itself.
    fn rule_option<'a>(
        &mut self,
        draft: &mut Draft<'a>,
        word: &'a Word,
        words: &mut Words<'a>,
    ) -> Option<bool> {
        match word.text.as_str() {
            "no_track" => {
                draft.untracked = true;
                return Some(true);
            }
            "preference"
            | "order"
            | "priority"
            | "realms"
            | "suppress_prefixlength"
            | "sup_pl"
            | "suppress_ifgroup"
            | "sup_group"
            | "protocol"
            | "track_group" => {}
            _ => return Some(false),
        }
        let value = self.value_of(words, word, WHAT)?;
        match word.text.as_str() {
            "realms" => draft.realms = Some((self.realms(value)?, word)),
            "suppress_prefixlength" | "sup_pl" => {
                let length = self.line_number(value, MAX_SIGNED.into(), WHAT)?;
                draft.suppress_prefix = Some((length, word));
            }
            "suppress_ifgroup" | "sup_group" => {
                let group = self.named(Names::Groups, value, MAX_SIGNED)?;
                draft.suppress_group = Some((group, word));
            }
            "protocol" => {
                let number = self.named(Names::Protocols, value, 255)?;
                draft.protocol = Some((u8::try_from(number).ok()?, word));
            }
            "track_group" => draft.group = Some(value),
            _ => draft.preference = Some(self.line_number(value, MAX_U32, WHAT)?),
        }
        Some(true)
    }

    fn finish_rule(
        &mut self,
        line: &Statement,
        draft: Draft<'_>,
        usage: Use,
    ) -> Option<Line<Rule>> {
        let family = draft.family.unwrap_or(Family::Inet);
        let at = &line.keyword;
        let action = self.finish_action(at, &draft, family)?;
        let preference = draft.preference.unwrap_or_else(|| {
            let preference = self.preferences.next(family);
            self.report(
                warning(
                    at.span,
                    format!("a rule without preference gets {preference}"),
                )
                .help(
                    "give each rule a `preference N`: the order of rules decides which one counts",
                ),
            );
            preference
        });
        if let RuleAction::Goto(target) = action
            && target <= preference
        {
            self.report(error(
                at.span,
                format!(
                    "`goto {target}` leads back: the preference of this rule is {preference}; the rule is left out"
                ),
            ));
            return None;
        }
        Some(Line {
            object: Rule {
                family,
                preference,
                inverted: draft.inverted,
                from: draft.from,
                to: draft.to,
                tos: draft.tos,
                mark: draft.mark,
                input: draft.input,
                output: draft.output,
                tunnel: draft.tunnel,
                users: draft.users,
                ip_protocol: draft.ip_protocol,
                source_ports: draft.source_ports,
                destination_ports: draft.destination_ports,
                action,
                protocol: self.line_protocol(draft.protocol, draft.untracked),
                tracked: !draft.untracked,
            },
            group: self.line_group(draft.group, usage, WHAT),
        })
    }

    /// The action with its options, which only a lookup has.
    fn finish_action(
        &mut self,
        at: &Word,
        draft: &Draft<'_>,
        family: Family,
    ) -> Option<RuleAction> {
        let options = [draft.realms, draft.suppress_prefix, draft.suppress_group];
        let number = |option: Option<(u32, &Word)>| option.map(|(number, _)| number);
        match &draft.action {
            None => {
                self.report(
                    error(at.span, "a rule without action is left out")
                        .help("add `table N`, `blackhole`, `unreachable`, `prohibit`, `goto N`, `nop` or `l3mdev`"),
                );
                None
            }
            Some(RuleAction::Lookup { table, .. }) => {
                let realms = draft.realms.filter(|(_, word)| {
                    if family == Family::Inet6 {
                        self.report(warning(
                            word.span,
                            "`realms` is for IPv4 only; it is ignored",
                        ));
                    }
                    family == Family::Inet
                });
                Some(RuleAction::Lookup {
                    table: *table,
                    suppress_prefix: number(draft.suppress_prefix),
                    suppress_group: number(draft.suppress_group),
                    realms: number(realms),
                })
            }
            Some(other) => {
                if let Some((_, word)) = options.into_iter().flatten().next() {
                    self.report(error(
                        word.span,
                        format!("`{}` needs a `table`; the rule is left out", word.text),
                    ));
                    return None;
                }
                Some(other.clone())
            }
        }
    }

    /// `VALUE` or `VALUE/MASK`.
    fn mark_and_mask(&mut self, word: &Word) -> Option<(u32, u32)> {
        let (value, mask) = match word.text.split_once('/') {
            Some((value, mask)) => (value, whole_number(mask)),
            None => (word.text.as_str(), Some(MAX_U32)),
        };
        let number = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let mark = number(whole_number(value)).zip(number(mask));
        if mark.is_none() {
            self.not_valid(word, "a mark, or MARK/MASK", WHAT);
        }
        mark
    }

    /// `FIRST-LAST`, or one number for both.
    fn range(&mut self, word: &Word, max: u64) -> Option<(u32, u32)> {
        let (first, last) = word
            .text
            .split_once('-')
            .unwrap_or((&word.text, &word.text));
        let number = |text| {
            let number = whole_number(text).filter(|number| *number <= max)?;
            u32::try_from(number).ok()
        };
        let range = number(first).zip(number(last));
        let range = range.filter(|(first, last)| first <= last);
        if range.is_none() {
            self.not_valid(word, &format!("FIRST-LAST with numbers up to {max}"), WHAT);
        }
        range
    }
}

fn ports((first, last): (u32, u32)) -> Option<(u16, u16)> {
    Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?))
}
