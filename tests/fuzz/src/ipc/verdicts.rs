//! Checker process and IPVS process: the edge behind which a captured checker process would try its luck.

use kr_ipc::edge::checkerd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_ipc::{Early, Judgement};
use kr_lvs::{Input, Table};
use kr_model::Instant;

use crate::ipc::message;
use crate::ipc::table::{Permitted, give};
use crate::pieces::frames;
use crate::samples;

/// A liar about health makes servers come and go, and nothing else: every operation is on a service and a
/// server of the configuration.
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
    for frame in frames(data) {
        // Nothing is ever said in the other direction.
        assert!(kr_ipc::codec::decode::<FromIpvsd>(frame).is_err());
        let Some(ToIpvsd::Verdict {
            generation,
            verdict,
        }) = message(frame)
        else {
            continue;
        };
        let known = table.knows(verdict.checker);
        match early.judge(
            table.generation(),
            known,
            generation,
            verdict.checker,
            verdict,
        ) {
            Judgement::Counts => {
                assert!(known);
                give(&mut table, &permitted, Input::Verdict(verdict), now);
            }
            Judgement::Nothing => assert_ne!(generation, table.generation()),
            // The channel ends here.
            Judgement::Misbehaviour => return,
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
    for (_, verdict) in due {
        if table.knows(verdict.checker) {
            give(&mut table, &permitted, Input::Verdict(verdict), now);
        }
    }
}
