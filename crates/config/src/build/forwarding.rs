//! `lb_kind`, `lvs_method` and `sorry_server_lvs_method`: how packets reach a server, with the encapsulation of
//! tunnels.

use std::num::NonZeroU16;

use kr_model::lvs::{Forwarding, GueChecksum, Tunnel};

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{advice, error};
use super::value::set;

/// Options after `TUN` as written, each with its word.
#[derive(Default)]
struct Options<'a> {
    kind: Option<&'a Word>,
    port: Option<(NonZeroU16, &'a Word)>,
    checksum: Option<(GueChecksum, &'a Word)>,
}

impl Build<'_> {
    /// The method of a line; `None` when it is not one, or the options of its tunnel contradict each other.
    pub(super) fn forwarding(&mut self, line: &Statement) -> Option<Forwarding> {
        let (word, words) = line.arguments.split_first()?;
        let options = self.tunnel_options(words)?;
        let method = match word.text.as_str() {
            "NAT" => Forwarding::Nat,
            "DR" => Forwarding::Direct,
            "TUN" => return self.tunnel(word, &options).map(Forwarding::Tunnel),
            other => {
                let upper = other.to_ascii_uppercase();
                let finding = error(word.span, format!("unknown forwarding method `{other}`"))
                    .label("expected `NAT`, `DR` or `TUN`");
                self.report(if matches!(upper.as_str(), "NAT" | "DR" | "TUN") {
                    finding.help(format!("write `{upper}`"))
                } else {
                    finding
                });
                return None;
            }
        };
        if let Some(first) = words.first() {
            self.report(
                advice(
                    first.span,
                    format!(
                        "`{}` is for tunnels and has no effect with {}",
                        first.text, word.text
                    ),
                )
                .help("remove it, or use `TUN`"),
            );
        }
        Some(method)
    }

    fn tunnel_options<'a>(&mut self, words: &'a [Word]) -> Option<Options<'a>> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "type" => match words.next() {
                    Some(kind) => options.kind = Some(kind),
                    None => {
                        self.report(
                            error(word.span, "`type` lacks its value")
                                .label("expected `type ipip`, `type gue port N` or `type gre`"),
                        );
                        return None;
                    }
                },
                "port" => {
                    let Some(value) = words.next() else {
                        self.report(error(word.span, "`port` lacks its number"));
                        return None;
                    };
                    let number = self.number_of(value, 1, u16::MAX.into())?;
                    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
                    set(&mut options.port, port.map(|port| (port, word)));
                }
                "nocsum" => options.checksum = Some((GueChecksum::None, word)),
                "csum" => options.checksum = Some((GueChecksum::Full, word)),
                "remcsum" => options.checksum = Some((GueChecksum::Remote, word)),
                other => {
                    self.report(
                        error(word.span, format!("unknown option `{other}` of a tunnel"))
                            .label("expected `type`, `port`, `nocsum`, `csum` or `remcsum`"),
                    );
                    return None;
                }
            }
        }
        Some(options)
    }

    fn tunnel(&mut self, method: &Word, options: &Options<'_>) -> Option<Tunnel> {
        let kind = options.kind.map_or("ipip", |word| word.text.as_str());
        let at = options.kind.unwrap_or(method).span;
        let checksum = options.checksum;
        let port_word = options.port.map(|(_, word)| word);
        let (tunnel, unfit) = match kind {
            "ipip" => {
                let sum = checksum.filter(|(checksum, _)| *checksum != GueChecksum::None);
                (Tunnel::Ipip, sum.map(|(_, word)| word).or(port_word))
            }
            "gue" => {
                let Some((port, _)) = options.port else {
                    self.report(
                        error(at, "this tunnel lacks its UDP port; the line is ignored")
                            .help("add `port 6080`, the port that the real server listens on"),
                    );
                    return None;
                };
                let checksum = checksum.map_or(GueChecksum::None, |(checksum, _)| checksum);
                (Tunnel::Gue { port, checksum }, None)
            }
            "gre" => match checksum {
                Some((GueChecksum::Remote, word)) => (Tunnel::Gre { checksum: false }, Some(word)),
                other => {
                    let checksum = matches!(other, Some((GueChecksum::Full, _)));
                    (Tunnel::Gre { checksum }, port_word)
                }
            },
            other => {
                self.report(
                    error(at, format!("unknown type of tunnel `{other}`"))
                        .label("expected `ipip`, `gue` or `gre`"),
                );
                return None;
            }
        };
        if let Some(word) = unfit {
            self.report(error(
                word.span,
                format!(
                    "a tunnel of type {kind} has no option `{}`; the line is ignored",
                    word.text
                ),
            ));
            return None;
        }
        Some(tunnel)
    }
}
