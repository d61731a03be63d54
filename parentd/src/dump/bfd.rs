//! `keepalived_bfd.data`: the BFD sessions.

use kr_config::typed::BfdEntry;
use kr_model::bfd::{Micros, Path, PeerState, Remote, Snapshot};

use crate::dump::Data;
use crate::dump::text::{Moment, Past, Text};

/// The state of every session with its settings.
pub(super) fn topology(data: &Data<'_>) -> Text {
    let mut text = Text::default();
    text.title("BFD Topology");
    for (id, entry) in &data.config.bfd {
        text.value("BFD Instance", &entry.session.name);
        text.under(|text| {
            match data.published.bfd.get(id) {
                Some(snapshot) => state(text, snapshot, data.moment),
                None => text.value("State", "not known yet"),
            }
            settings(text, entry);
        });
    }
    text
}

fn state(text: &mut Text, snapshot: &Snapshot, moment: Moment) {
    text.value("State", PeerState::from(snapshot.state).word());
    text.value("Since", Past(snapshot.since, moment));
    text.value("Diagnostic", snapshot.diagnostic);
    text.value("Local discriminator", Hex(snapshot.local.get()));
    text.value("Transmit interval told", Millis(snapshot.min_tx));
    text.value("Receive interval told", Millis(snapshot.min_rx));
    match &snapshot.remote {
        Some(remote) => neighbor(text, remote),
        None => text.value("Neighbor", "not heard"),
    }
    let counters = snapshot.counters;
    text.value("Counters", "");
    text.under(|text| {
        for (label, number) in [
            ("Packets received", counters.received),
            ("Packets sent", counters.sent),
            ("Malformed packets", counters.malformed),
            ("TTL errors", counters.far),
            ("Packets of no session", counters.stray),
            ("Came up", counters.came_up),
            ("Went down", counters.went_down),
        ] {
            text.value(label, number);
        }
    });
}

fn neighbor(text: &mut Text, remote: &Remote) {
    text.value("Neighbor", remote.state.word());
    text.under(|text| {
        text.value("Diagnostic", remote.diagnostic);
        text.value("Discriminator", Hex(remote.discriminator.get()));
        text.value("Transmit interval", Millis(remote.min_tx));
        text.value("Receive interval", Millis(remote.min_rx));
        text.value("Multiplier", remote.multiplier);
        text.flag("Demand mode", remote.demand);
    });
}

fn settings(text: &mut Text, entry: &BfdEntry) {
    let session = &entry.session;
    text.value("Neighbor IP", session.neighbor);
    text.optional("Source IP", session.source);
    text.value("UDP port", session.path.port());
    text.flag("Multihop", session.path == Path::MultiHop);
    text.flag("Passive", session.passive);
    text.value("Required min RX interval", Millis(session.min_rx));
    text.value("Desired min TX interval", Millis(session.min_tx));
    text.value("Desired idle TX interval", Millis(session.idle_tx));
    text.value("Detection multiplier", session.multiplier);
    text.value("TTL", session.ttl);
    text.value("Least TTL accepted", session.min_ttl);
    text.value("Weight", entry.weight);
    text.flag("Weight reversed", entry.reverse);
    text.flag("For VRRP instances", entry.for_vrrp);
    text.flag("For checkers", entry.for_checkers);
}

/// A discriminator as other BFD programs show it.
struct Hex(u32);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// An interval in milliseconds: `50 ms`, `3.312 ms`.
struct Millis(Micros);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Micros(micros) = self.0;
        match micros % 1_000 {
            0 => write!(f, "{} ms", micros / 1_000),
            rest => write!(f, "{}.{rest:03} ms", micros / 1_000),
        }
    }
}
