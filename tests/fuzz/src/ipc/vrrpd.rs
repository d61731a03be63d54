//! Parent and VRRP process.

#[path = "../../../../vrrpd/src/intake.rs"]
mod intake;

use std::collections::BTreeMap;
use std::time::Duration;

use kr_bfd::Sessions;
use kr_ipc::edge::parentd_vrrpd::{FromVrrpd, ToVrrpd};
use kr_model::bfd;
use kr_model::net::Family;
use kr_model::rng::Rng;
use kr_model::{Instant, TrackerId};
use kr_vrrp::{Action, Input, LinkState, Router};

use crate::ipc::message;
use crate::pieces::frames;
use intake::{Configuration, Intake, Order};

/// Timers that are let run out under each configuration.
const TIMERS: usize = 30;

/// A configuration that passes is one that the router can run: every timer leads to a later one.
pub fn ipc_parentd_vrrpd(data: &[u8]) {
    let mut intake = Intake::default();
    let mut router = Router::new();
    let mut now = Instant::from_micros(0);
    let mut last = None;
    for frame in frames(data) {
        let _: Option<FromVrrpd> = message(frame);
        let Some(message) = message::<ToVrrpd>(frame) else {
            continue;
        };
        match intake.take(message) {
            Ok(Order::Wait | Order::LogFile | Order::Meet(_) | Order::Answer { .. }) => {}
            Ok(Order::Track(tracker, state)) => {
                router.handle(Input::Tracker { tracker, state }, now);
                let _ = actions(&mut router);
            }
            Ok(Order::Apply(configuration)) => {
                assert!(last < Some(configuration.generation));
                last = Some(configuration.generation);
                now = run(&mut router, *configuration, now);
            }
            Ok(Order::Stop) => {
                router.handle(Input::Shutdown, now);
                let _ = actions(&mut router);
                return;
            }
            // The daemon ends here.
            Err(error) => return assert!(!error.to_string().is_empty()),
        }
    }
}

fn run(router: &mut Router, configuration: Configuration, mut now: Instant) -> Instant {
    for instance in configuration.instances.values() {
        let (interface, state) = (instance.interface.clone(), LinkState::Up);
        router.handle(
            Input::Link {
                interface: interface.clone(),
                state,
            },
            now,
        );
        let (family, address) = (Family::Inet, Some([192, 0, 2, 1].into()));
        router.handle(
            Input::Source {
                interface,
                family,
                address,
            },
            now,
        );
    }
    let most = most_actions(&configuration);
    let Configuration {
        global,
        trackers,
        bfd,
        resume_bfd,
        instances,
        resume,
        ..
    } = configuration;
    run_bfd(bfd, resume_bfd, now);
    router.handle(Input::Trackers(trackers), now);
    router.handle(
        Input::Configure {
            global,
            instances,
            resume,
        },
        now,
    );
    let _ = actions(router);
    for _ in 0..TIMERS {
        let Some(at) = router.poll_timeout() else {
            break;
        };
        now = now.max(at);
        router.handle(Input::Timer, now);
        assert!(actions(router) <= most);
        assert!(
            router.poll_timeout().is_none_or(|next| next > now),
            "a timer without end"
        );
    }
    now.saturating_add(Duration::from_secs(1))
}

/// Sessions that pass can be run too.
fn run_bfd(
    sessions: BTreeMap<TrackerId, bfd::Session>,
    resume: BTreeMap<TrackerId, bfd::Snapshot>,
    mut now: Instant,
) {
    let most = sessions.len() * 6;
    let mut machine = Sessions::new(Rng::new(1));
    machine.handle(kr_bfd::Input::Configure { sessions, resume }, now);
    for _ in 0..TIMERS {
        let actions = std::iter::from_fn(|| machine.poll_action()).count();
        assert!(actions <= most, "{actions} actions");
        let Some(at) = machine.poll_timeout() else {
            return;
        };
        now = now.max(at);
        machine.handle(kr_bfd::Input::Timer, now);
        assert!(
            machine.poll_timeout().is_none_or(|next| next > now),
            "a timer without end"
        );
    }
}

fn actions(router: &mut Router) -> usize {
    std::iter::from_fn(|| router.poll_action())
        .map(|_: Action| ())
        .count()
}

/// What all instances may do at one time: each may change its state, which is told, written down and logged,
/// send, set every address, and announce it in at most three sets of a hundred.
fn most_actions(configuration: &Configuration) -> usize {
    let each = configuration.instances.values().map(|instance| {
        let addresses = instance.addresses.len() + instance.excluded.len();
        20 + addresses * 301
    });
    each.sum()
}
