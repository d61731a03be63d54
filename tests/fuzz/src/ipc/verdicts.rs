//! Checker process and IPVS process: the edge behind which a captured checker process would try its luck.

#[path = "../../../../ipvsd/src/sockets.rs"]
mod sockets;

use kr_ipc::edge::checkerd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_ipc::{Early, Judgement};
use kr_lvs::{Input, Table};
use kr_model::Instant;

use crate::ipc::message;
use crate::ipc::table::{Permitted, give};
use crate::pieces::frames;
use crate::samples;
use sockets::{Answer, Sockets};

/// A liar about health makes servers come and go, and nothing else: every operation is on a service and a
/// server of the configuration. Who asks for sockets gets those of the configuration.
pub fn ipc_checkerd_ipvsd(data: &[u8]) {
    let now = Instant::from_micros(0);
    let configuration = samples::ipvs_configuration();
    let mut permitted = Permitted::default();
    permitted.add(&configuration);
    let mut table = Table::new();
    give(
        &mut table,
        &permitted,
        Input::Configure(Box::new(configuration)),
        now,
    );
    let mut early = Early::default();
    let rules = samples::socket_rules();
    let mut sockets = Sockets::new();
    assert!(
        sockets
            .configure(table.generation(), rules.clone())
            .is_empty()
    );
    for frame in frames(data) {
        // What the other side may hear: nothing that it asked for itself.
        let _: Option<FromIpvsd> = message(frame);
        match message(frame) {
            None => {}
            Some(ToIpvsd::Verdict {
                generation,
                verdict,
            }) => {
                let known = table.knows(verdict.checker);
                let checker = verdict.checker;
                match early.judge(table.generation(), known, generation, checker, verdict) {
                    Judgement::Counts => {
                        assert!(known);
                        give(&mut table, &permitted, Input::Verdict(verdict), now);
                    }
                    Judgement::Nothing => assert_ne!(generation, table.generation()),
                    // The channel ends here.
                    Judgement::Misbehaviour => return,
                }
            }
            Some(ToIpvsd::SocketWanted(wanted)) => match sockets.judge(wanted, now) {
                Answer::Open(rule) => {
                    assert!(rules.contains(rule));
                    assert_eq!((rule.checker, rule.host), (wanted.checker, wanted.host));
                }
                Answer::Refuse(refusal) => assert!(!refusal.to_string().is_empty()),
                Answer::Later => assert!(wanted.generation > table.generation()),
                Answer::Misbehaviour => return,
            },
        }
    }
    // A reload that all of them were early for.
    let mut next = samples::ipvs_configuration();
    next.generation = kr_model::Generation(u64::MAX);
    let due = early.due(next.generation);
    give(
        &mut table,
        &permitted,
        Input::Configure(Box::new(next)),
        now,
    );
    for wanted in sockets.configure(kr_model::Generation(u64::MAX), rules) {
        assert!(!matches!(sockets.judge(wanted, now), Answer::Later));
    }
    sockets.forget_requests();
    for (_, verdict) in due {
        if table.knows(verdict.checker) {
            give(&mut table, &permitted, Input::Verdict(verdict), now);
        }
    }
}
