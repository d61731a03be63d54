//! Parent and checker process.

#[path = "../../../../checkerd/src/intake.rs"]
mod intake;

use kr_check::presence::Presence;
use kr_check::{Action, Checks, Failure, Input, Outcome, Rng};
use kr_ipc::Instances;
use kr_ipc::edge::parentd_checkerd::{FromCheckerd, ToCheckerd};
use kr_model::Instant;
use kr_model::bfd::Reach;
use kr_model::check::Probe;
use kr_model::script::ScriptOutcome;

use crate::ipc::message;
use crate::pieces::frames;
use intake::{Complete, Intake};

/// Attempts at a time.
const LIMIT: usize = 4;

/// Times that are let come under each configuration.
const TIMES: usize = 30;

/// A configuration that passes is one that can be run: every run has something to try, no more than the
/// bound run at a time, and every time leads to a later one.
pub fn ipc_parentd_checkerd(data: &[u8]) {
    let mut intake = Intake::default();
    let mut checks = Checks::new(LIMIT, Rng::new(1));
    let mut now = Instant::from_micros(0);
    for frame in frames(data) {
        let _: Option<FromCheckerd> = message(frame);
        let Some(message) = message::<ToCheckerd>(frame) else {
            continue;
        };
        let refused = match message {
            ToCheckerd::Begin(generation) => intake.begin(generation),
            ToCheckerd::Global(global) => intake.global(*global),
            ToCheckerd::Authorities(piece) => intake.authorities(&piece),
            ToCheckerd::Checker(checker) => intake.checker(*checker),
            ToCheckerd::Kept(ids) => intake.kept(&ids, &checks),
            ToCheckerd::Resume(snapshot) => intake.resume(snapshot),
            ToCheckerd::Commit(generation) => intake.commit(generation).map(|complete| {
                now = run(&mut checks, complete, now);
            }),
            ToCheckerd::ScriptEnded {
                checker,
                run,
                outcome,
            } => {
                checks.handle(
                    Input::ScriptEnded {
                        checker,
                        run,
                        outcome,
                    },
                    now,
                );
                answered(&mut checks, now);
                Ok(())
            }
            ToCheckerd::Number { file, number } => {
                checks.handle(Input::Number { file, number }, now);
                answered(&mut checks, now);
                Ok(())
            }
            ToCheckerd::Instance(id) => intake.instance(id),
            ToCheckerd::Session(id) => intake.session(id),
            ToCheckerd::Suspension(suspension) => intake.suspension(*suspension),
            ToCheckerd::Sibling(_) => {
                checks.handle(Input::Announce, now);
                Ok(())
            }
            ToCheckerd::Mail(_) | ToCheckerd::LogFile | ToCheckerd::Ping { .. } => Ok(()),
            ToCheckerd::Stop => return,
        };
        if let Err(error) = refused {
            // The daemon ends here.
            return assert!(!error.to_string().is_empty());
        }
    }
}

fn run(
    checks: &mut Checks,
    Complete {
        global,
        checks: configuration,
        instances,
        sessions,
        suspensions,
    }: Complete,
    now: Instant,
) -> Instant {
    assert!(!format!("{global:?}").is_empty());
    Instances::default().configure(configuration.generation, instances);
    checks.handle(Input::Configure(configuration), now);
    let mut presence = Presence::default();
    presence.configure(suspensions);
    presence.decide();
    checks.handle(Input::Suspend(presence.suspended()), now);
    for session in sessions {
        for reach in [Reach::Untried, Reach::Down, Reach::Up] {
            checks.handle(Input::Reach { session, reach }, now);
        }
    }
    let mut now = now;
    for _ in 0..TIMES {
        answered(checks, now);
        let Some(at) = checks.poll_timeout() else {
            break;
        };
        now = now.max(at);
        checks.handle(Input::Tick, now);
        answered(checks, now);
        assert!(
            checks.poll_timeout().is_none_or(|next| next > now),
            "a time without end"
        );
    }
    now
}

/// Answers every run at once: the even ones pass, the odd ones fail.
fn answered(checks: &mut Checks, now: Instant) {
    let mut running = 0;
    loop {
        let actions: Vec<Action> = std::iter::from_fn(|| checks.poll_action()).collect();
        if actions.is_empty() {
            return;
        }
        for action in actions {
            match action {
                Action::Start { checker, run } => {
                    running += 1;
                    assert!(running <= LIMIT);
                    assert!(checks.attempt(checker).is_some());
                    running -= 1;
                    let failed = Outcome::Failed(Failure::ClosedBefore("reply"));
                    let outcome = if run % 2 == 0 {
                        Outcome::Passed
                    } else {
                        failed
                    };
                    checks.handle(
                        Input::Finished {
                            checker,
                            run,
                            outcome,
                        },
                        now,
                    );
                }
                Action::RunScript { checker, run } => {
                    let probe = checks.checker(checker).map(|checker| &checker.probe);
                    assert!(matches!(probe, Some(Probe::Misc { .. })));
                    let outcome = ScriptOutcome::Exit(u8::try_from(run % 256).unwrap_or(0));
                    checks.handle(
                        Input::ScriptEnded {
                            checker,
                            run,
                            outcome,
                        },
                        now,
                    );
                }
                Action::Log { event, .. } => assert!(!event.to_string().is_empty()),
                // Told to others.
                _ => {}
            }
        }
    }
}
