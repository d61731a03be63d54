//! One line of an address list: `ADDR[/LEN] [dev NAME] [scope S] [brd B] [label L] [peer P] ...`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kr_model::net::{Cidr, Family};
use kr_model::units::IfName;
use kr_model::vrrp::{AddressFlags, VirtualAddress};

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;
use super::line_value::Use;
use super::names::Names;
use super::own_link::address_flag;
use super::value::MAX_U32;

/// Options with a value that come after the address is known.
#[derive(Default)]
struct Options<'a> {
    broadcast: Option<&'a Word>,
    scope: Option<&'a Word>,
    label: Option<&'a Word>,
    peer: Option<&'a Word>,
    device: Option<&'a Word>,
    lifetime: Option<&'a Word>,
    group: Option<&'a Word>,
}

impl Build<'_> {
    /// Reads a line, and the `track_group` of a static one. `None` when the address cannot be set.
    pub(super) fn address_line(
        &mut self,
        globals: &Globals,
        line: &Statement,
        usage: Use,
    ) -> Option<(VirtualAddress, Option<Word>)> {
        let (address, prefix) = self.with_prefix(&line.keyword)?;
        let family = Family::of(address);
        let mut flags = AddressFlags::default();
        let (mut tracked, mut own_link) = (true, false);
        let mut options = Options::default();
        let mut words = line.arguments.iter();
        while let Some(word) = words.next() {
            let slot = match word.text.as_str() {
                "dev" => &mut options.device,
                "scope" => &mut options.scope,
                "brd" | "broadcast" => &mut options.broadcast,
                "label" => &mut options.label,
                "peer" => &mut options.peer,
                "preferred_lft" => &mut options.lifetime,
                "track_group" => &mut options.group,
                other => {
                    let known = flag(&mut flags, &mut tracked, other)
                        || (usage == Use::Virtual && address_flag(&mut own_link, other));
                    if !known {
                        self.unknown_option(word);
                    }
                    continue;
                }
            };
            *slot = words.next();
            if slot.is_none() {
                self.report(error(
                    word.span,
                    format!("`{}` lacks its value; the address is left out", word.text),
                ));
                return None;
            }
        }
        let peer = match options.peer {
            Some(word) => Some(self.peer(word, family)?),
            None => None,
        };
        let prefix = match peer {
            Some(_) => family.max_prefix(),
            None => prefix.unwrap_or_else(|| family.max_prefix()),
        };
        let address = Cidr::new(address, prefix).ok()?;
        let group = self.line_group(options.group, usage, "address");
        let address = VirtualAddress {
            address,
            device: self.device(globals, options.device)?,
            scope: self.scope(options.scope, family),
            broadcast: self.broadcast(options.broadcast, address, peer.is_some())?,
            label: self.label(options.label, family)?,
            peer,
            flags,
            tracked,
            own_link,
            preferred_lifetime: self.lifetime(options.lifetime, address),
            lifetime: match usage {
                Use::Virtual => globals.vip_lifetime,
                Use::Static => None,
            },
        };
        Some((address, group))
    }

    fn with_prefix(&mut self, word: &Word) -> Option<(IpAddr, Option<u8>)> {
        let (text, length) = match word.text.split_once('/') {
            Some((text, length)) => (text, Some(length)),
            None => (word.text.as_str(), None),
        };
        let Ok(address) = text.parse::<IpAddr>() else {
            self.report(
                error(word.span, format!("`{}` is not an address", word.text))
                    .label("expected ADDRESS or ADDRESS/LENGTH"),
            );
            return None;
        };
        let longest = Family::of(address).max_prefix();
        let prefix = length.and_then(|length| length.parse().ok().filter(|n| *n <= longest));
        if length.is_some() && prefix.is_none() {
            self.report(
                error(
                    word.span,
                    format!(
                        "`{}` has a wrong prefix length; {longest} is used",
                        word.text
                    ),
                )
                .label(format!("expected a length from 0 to {longest}")),
            );
        }
        Some((address, prefix))
    }

    fn unknown_option(&mut self, word: &Word) {
        let finding = match word.text.as_str() {
            "use_vmac" => error(
                word.span,
                "`use_vmac` is for addresses of an instance; it is ignored",
            ),
            other if is_address(other) => error(
                word.span,
                format!("a second address in one line, `{other}`, is ignored"),
            )
            .help("give each address a line of its own"),
            other => error(
                word.span,
                format!("unknown option `{other}` of an address is ignored"),
            )
            .help("put `#` before a comment"),
        };
        self.report(finding);
    }

    fn peer(&mut self, word: &Word, family: Family) -> Option<IpAddr> {
        // A prefix written on the peer says nothing that the peer does not.
        let text = word.text.split('/').next().unwrap_or_default();
        let peer = text.parse().ok().filter(|peer| Family::of(*peer) == family);
        if peer.is_none() {
            self.report(
                error(
                    word.span,
                    format!(
                        "`{}` is not a peer of this address; the address is left out",
                        word.text
                    ),
                )
                .label("expected an address of the same family"),
            );
        }
        peer
    }

    /// `dev`: the outer `None` leaves the address out.
    fn device(&mut self, globals: &Globals, word: Option<&Word>) -> Option<Option<IfName>> {
        let Some(word) = word else { return Some(None) };
        let name = self.interface_of(word)?;
        if !self.knows_interface(globals, &name) {
            self.report(
                error(
                    word.span,
                    format!("there is no interface `{name}`; the address is left out"),
                )
                .help("put `dynamic_interfaces` into global_defs if it comes later"),
            );
            return None;
        }
        Some(Some(name))
    }

    fn scope(&mut self, word: Option<&Word>, family: Family) -> u8 {
        let Some(word) = word else { return 0 };
        if family == Family::Inet6 {
            self.report(warning(
                word.span,
                "an IPv6 address has no `scope` option; it is ignored",
            ));
            return 0;
        }
        let number = self.look_up(Names::Scopes, &word.text);
        let scope = number.and_then(|number| u8::try_from(number).ok());
        scope.unwrap_or_else(|| {
            self.report(
                error(
                    word.span,
                    format!("unknown scope `{}`; global is used", word.text),
                )
                .label("expected global, site, link, host, nowhere, another name of rt_scopes, or a number from 0 to 255"),
            );
            0
        })
    }

    /// `brd`: the outer `None` leaves the address out.
    fn broadcast(
        &mut self,
        word: Option<&Word>,
        address: Cidr,
        has_peer: bool,
    ) -> Option<Option<Ipv4Addr>> {
        let Some(word) = word else { return Some(None) };
        let IpAddr::V4(own) = address.address() else {
            self.report(error(
                word.span,
                "IPv6 has no broadcast; the address is left out",
            ));
            return None;
        };
        if has_peer {
            self.report(warning(
                word.span,
                "an address with a peer has no broadcast; it is ignored",
            ));
            return Some(None);
        }
        let host_bits = u32::MAX.checked_shr(address.prefix().into()).unwrap_or(0);
        let bits = u32::from(own);
        let value = match word.text.as_str() {
            "+" if address.prefix() <= 30 => Some(Ipv4Addr::from(bits | host_bits)),
            "-" if address.prefix() <= 30 => Some(Ipv4Addr::from(bits & !host_bits)),
            other => other.parse().ok(),
        };
        if value.is_none() {
            self.report(
                error(
                    word.span,
                    format!(
                        "`{}` is not a broadcast address here; it is ignored",
                        word.text
                    ),
                )
                .label("expected an IPv4 address, or + or - with a prefix of at most /30"),
            );
        }
        Some(value)
    }

    /// `label`: the outer `None` leaves the address out.
    fn label(&mut self, word: Option<&Word>, family: Family) -> Option<Option<IfName>> {
        let Some(word) = word else { return Some(None) };
        if family == Family::Inet6 {
            self.report(warning(
                word.span,
                "an IPv6 address has no label; it is ignored",
            ));
            return Some(None);
        }
        self.interface_of(word).map(Some)
    }

    /// `preferred_lft`. keepalived marks an IPv6 host address as deprecated unless told otherwise, so that
    /// it is never chosen as a source.
    fn lifetime(&mut self, word: Option<&Word>, address: Cidr) -> Option<Duration> {
        let host_route = address.family() == Family::Inet6 && address.prefix() == 128;
        let default = host_route.then_some(Duration::ZERO);
        let Some(word) = word else { return default };
        if address.family() == Family::Inet {
            self.report(warning(
                word.span,
                "`preferred_lft` is for IPv6 only; it is ignored",
            ));
            return None;
        }
        if word.text == "forever" {
            return None;
        }
        match self.number_of(word, 0, MAX_U32) {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => default,
        }
    }
}

/// True for an address, with or without the length of its prefix.
fn is_address(word: &str) -> bool {
    let address = word.split('/').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok()
}

/// Sets what a word without value says. False when the word is none.
fn flag(flags: &mut AddressFlags, tracked: &mut bool, word: &str) -> bool {
    match word {
        "home" => flags.home = true,
        "-nodad" => flags.detect_duplicates = true,
        "mngtmpaddr" => flags.manage_temporary = true,
        "noprefixroute" => flags.no_prefix_route = true,
        "autojoin" => flags.autojoin = true,
        "no_track" => *tracked = false,
        _ => return false,
    }
    true
}
