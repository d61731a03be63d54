//! What lines of routes and of rules have in common: values, the family that they agree on, and whose they are.

use std::net::IpAddr;

use kr_model::net::{Cidr, Family};
use kr_model::route::PROTOCOL_KEEPALIVED;
use kr_model::units::IfName;

use crate::tree::Word;

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;
use super::names::whole_number;

/// Whose list a line stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Of an instance.
    Virtual,
    /// Of nobody.
    Static,
}

/// What a line of a static list says, with the `track_group` that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<T> {
    /// The object.
    pub(super) object: T,
    /// The instances that depend on it.
    pub(super) group: Option<Word>,
}

/// The family that the words of a line agree on, once one of them says it.
pub(super) type Agreed = Option<Family>;

/// `what` is the word for the object in messages.
impl Build<'_> {
    /// Settles the family, or reports that two words of the line contradict each other.
    pub(super) fn agree(
        &mut self,
        agreed: &mut Agreed,
        at: &Word,
        family: Family,
        what: &str,
    ) -> Option<()> {
        if *agreed.get_or_insert(family) == family {
            return Some(());
        }
        self.report(error(
            at.span,
            format!("IPv4 and IPv6 in one {what}; the {what} is left out"),
        ));
        None
    }

    /// An address of the line's family.
    pub(super) fn line_address(
        &mut self,
        agreed: &mut Agreed,
        word: &Word,
        what: &str,
    ) -> Option<IpAddr> {
        let Ok(address) = word.text.parse() else {
            self.not_valid(word, "an address", what);
            return None;
        };
        self.agree(agreed, word, Family::of(address), what)?;
        Some(address)
    }

    /// `ADDRESS` or `ADDRESS/LENGTH` of the line's family, without host bits.
    pub(super) fn line_prefix(
        &mut self,
        agreed: &mut Agreed,
        word: &Word,
        what: &str,
    ) -> Option<Cidr> {
        let (text, length) = match word.text.split_once('/') {
            Some((text, length)) => (text, Some(length)),
            None => (word.text.as_str(), None),
        };
        let address = text.parse::<IpAddr>().ok();
        let prefix = address.and_then(|address| match length {
            None => Some(Cidr::host(address)),
            Some(length) => Cidr::new(address, length.parse().ok()?).ok(),
        });
        let Some(prefix) = prefix else {
            self.not_valid(word, "ADDRESS or ADDRESS/LENGTH", what);
            return None;
        };
        self.agree(agreed, word, prefix.family(), what)?;
        let network = prefix.network();
        if network != prefix {
            self.report(
                warning(
                    word.span,
                    format!("`{}` has bits behind its prefix", word.text),
                )
                .label(format!("{network} is used")),
            );
        }
        Some(network)
    }

    /// An interface that exists, or may come.
    pub(super) fn line_interface(
        &mut self,
        globals: &Globals,
        word: &Word,
        what: &str,
    ) -> Option<IfName> {
        let name = self.interface_of(word)?;
        if self.knows_interface(globals, &name) {
            return Some(name);
        }
        self.report(
            error(
                word.span,
                format!("there is no interface `{name}`; the {what} is left out"),
            )
            .help("put `dynamic_interfaces` into global_defs if it comes later"),
        );
        None
    }

    /// A whole number up to `max`, also in hexadecimal or octal.
    pub(super) fn line_number(&mut self, word: &Word, max: u64, what: &str) -> Option<u32> {
        let number = whole_number(&word.text).filter(|number| *number <= max);
        let number = number.and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            self.not_valid(word, &format!("a whole number from 0 to {max}"), what);
        }
        number
    }

    /// The protocol number: ours while the object is tracked, because that is how it is known again.
    pub(super) fn line_protocol(&mut self, given: Option<(u8, &Word)>, untracked: bool) -> u8 {
        match given {
            Some((number, _)) if untracked => number,
            Some((PROTOCOL_KEEPALIVED, _)) | None => PROTOCOL_KEEPALIVED,
            Some((_, word)) => {
                self.report(
                    warning(word.span, "`protocol` is ignored: 18 (keepalived) is used")
                        .help("add `no_track` to use another one"),
                );
                PROTOCOL_KEEPALIVED
            }
        }
    }

    /// `track_group`, which only static objects have.
    pub(super) fn line_group(
        &mut self,
        group: Option<&Word>,
        usage: Use,
        what: &str,
    ) -> Option<Word> {
        let group = group?;
        if usage == Use::Virtual {
            self.report(error(
                group.span,
                format!("`track_group` is for a static {what}; it is ignored"),
            ));
            return None;
        }
        Some(group.clone())
    }

    /// Reports a value for which the whole object is left out.
    pub(super) fn not_valid(&mut self, word: &Word, expected: &str, what: &str) {
        let finding = error(
            word.span,
            format!("`{}` is not valid here; the {what} is left out", word.text),
        )
        .label(format!("expected {expected}"));
        self.report(super::value::placeholder(finding, word));
    }
}
