//! `lvs_sync_daemon`, and `lvs_sync_daemon_interface` of an instance, its older form.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};

use kr_model::lvs::{SyncDaemon, SyncSettings};
use kr_model::units::IfName;

use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::typed::Config;

use super::Build;
use super::finding::{error, note};

/// Longest message: what fits a UDP datagram.
const LONGEST_MESSAGE: u64 = 65_507;

/// The values of one line.
#[derive(Clone)]
pub(super) struct SyncDraft {
    interface: IfName,
    instance: Option<(String, Span)>,
    id: Option<u8>,
    max_length: Option<NonZeroU16>,
    port: Option<NonZeroU16>,
    ttl: Option<NonZeroU8>,
    group: Option<IpAddr>,
}

impl SyncDraft {
    const fn new(interface: IfName) -> Self {
        Self {
            interface,
            instance: None,
            id: None,
            max_length: None,
            port: None,
            ttl: None,
            group: None,
        }
    }

    /// `lvs_sync_daemon_interface` of an instance.
    pub(super) fn of_instance(interface: IfName, instance: &str, at: Span) -> Self {
        Self {
            instance: Some((instance.to_owned(), at)),
            id: Some(0),
            ..Self::new(interface)
        }
    }
}

impl Build<'_> {
    /// Reads the interface and the pairs of a line. Bare second and third words are the instance and the id,
    /// as they were once written.
    pub(super) fn sync_daemon(&mut self, line: &Statement) -> Option<SyncDraft> {
        let mut words = line.arguments.iter();
        let mut draft = SyncDraft::new(self.interface_of(words.next()?)?);
        let mut place = 0_usize;
        while let Some(word) = words.next() {
            place = place.saturating_add(1);
            let name = word.text.as_str();
            if !matches!(name, "inst" | "id" | "maxlen" | "port" | "ttl" | "group") {
                self.bare_word(&mut draft, word, place);
                continue;
            }
            let Some(value) = words.next() else {
                self.report(error(word.span, format!("`{name}` lacks its value")));
                break;
            };
            self.sync_option(&mut draft, name, value);
        }
        Some(draft)
    }

    fn bare_word(&mut self, draft: &mut SyncDraft, word: &Word, place: usize) {
        match place {
            1 => draft.instance = Some((word.text.clone(), word.span)),
            2 if draft.instance.is_some() => {
                let id = self.number_of(word, 0, 255);
                draft.id = id.and_then(|id| u8::try_from(id).ok());
                if id.is_some() {
                    self.report(
                        note(word.span, "an id without `id` is the old form")
                            .help(format!("write `id {}`", word.text)),
                    );
                }
            }
            _ => self.report(
                error(word.span, format!("`{}` is not an option here", word.text)).label(
                    "expected `inst`, `id`, `maxlen`, `port`, `ttl` or `group` with a value",
                ),
            ),
        }
    }

    fn sync_option(&mut self, draft: &mut SyncDraft, name: &str, value: &Word) {
        match name {
            "inst" => draft.instance = Some((value.text.clone(), value.span)),
            "id" => {
                let id = self.number_of(value, 0, 255);
                draft.id = id.and_then(|id| u8::try_from(id).ok());
            }
            "maxlen" => draft.max_length = self.number16(value, LONGEST_MESSAGE),
            "port" => draft.port = self.number16(value, 65_535),
            "ttl" => {
                let ttl = self.number_of(value, 1, 255);
                let ttl = ttl.and_then(|ttl| u8::try_from(ttl).ok());
                draft.ttl = ttl.and_then(NonZeroU8::new);
            }
            _ => {
                let group: Option<IpAddr> = value.text.parse().ok();
                draft.group = group.filter(IpAddr::is_multicast);
                if draft.group.is_none() {
                    self.report(
                        error(
                            value.span,
                            format!("`{}` is not a multicast group", value.text),
                        )
                        .label("expected an IPv4 address from 224.0.0.0 to 239.255.255.255, or an IPv6 address that begins with ff"),
                    );
                }
            }
        }
    }

    fn number16(&mut self, word: &Word, most: u64) -> Option<NonZeroU16> {
        let number = self.number_of(word, 1, most)?;
        u16::try_from(number).ok().and_then(NonZeroU16::new)
    }

    /// Completes the setting once the instances are known. One of an instance that does not exist is left
    /// out: it would synchronise all the time.
    pub(super) fn finish_sync(
        &mut self,
        draft: SyncDraft,
        config: &Config,
    ) -> Option<SyncSettings> {
        let mut id = draft.id;
        let instance = match draft.instance {
            None => None,
            Some((name, at)) => {
                let mut instances = config.instances.values().map(|entry| &entry.instance);
                let Some(found) = instances.find(|instance| instance.name == name) else {
                    self.report(
                        error(at, format!("there is no vrrp_instance `{name}`"))
                            .label("connections are not synchronised"),
                    );
                    return None;
                };
                id = id.or_else(|| Some(found.vrid.get()));
                Some(found.id)
            }
        };
        Some(SyncSettings {
            daemon: SyncDaemon {
                interface: draft.interface,
                id: id.unwrap_or(0),
                max_length: draft.max_length,
                port: draft.port,
                ttl: draft.ttl,
                group: draft.group,
            },
            instance,
        })
    }
}
