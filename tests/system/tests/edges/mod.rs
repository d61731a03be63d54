//! A process that somebody has taken over breaks the protocol of its channels, each in every way: that ends the
//! channel, and whoever broke the protocol, and nothing else. All others work on, no address moves.
//!
//! The messages are sent by the running processes themselves, over the channels that they have
//! ([`kr_testkit::captive`]).

mod faults;
mod wires;

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use kr_testkit::captive::{Captive, End};
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::rig::{Rig, SOON, WHOLE};
use faults::{Effect, Fault};
use wires::{send, wire};

/// One of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Parent,
    Vrrpd,
    Checkerd,
    Ipvsd,
}

const CHILDREN: [Who; 3] = [Who::Vrrpd, Who::Checkerd, Who::Ipvsd];

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Parent => "the parent",
            Self::Vrrpd => "vrrpd",
            Self::Checkerd => "checkerd",
            Self::Ipvsd => "ipvsd",
        }
    }

    fn pid(self, daemon: &Process) -> Option<Pid> {
        match self {
            Self::Parent => Some(daemon.pid()),
            Self::Vrrpd | Self::Checkerd | Self::Ipvsd => child_named(daemon.pid(), self.name()),
        }
    }
}

/// A daemon that is master, and what it was like before anything happened.
struct Scene<'a> {
    rig: &'a Rig,
    daemon: Process,
    pids: Vec<(Who, Pid)>,
    notes: Vec<String>,
}

impl<'a> Scene<'a> {
    fn new(rig: &'a Rig) -> Self {
        for name in ["log", "notes"] {
            let _ = fs::remove_file(rig.path(name));
        }
        let daemon = rig.start_and_wait();
        let is_master = || rig.notes().iter().any(|note| note.contains("MASTER"));
        eventually(SOON, "the master", is_master).unwrap();
        Self {
            pids: CHILDREN.map(|who| (who, who.pid(&daemon).unwrap())).into(),
            notes: rig.notes(),
            daemon,
            rig,
        }
    }

    fn pid(&self, who: Who) -> Pid {
        who.pid(&self.daemon).unwrap()
    }

    fn until(&self, what: &str, holds: impl FnMut() -> bool) -> Result<(), String> {
        eventually(SOON, what, holds)
            .map(drop)
            .map_err(|error| format!("{error}\n{}", self.daemon.log()))
    }

    /// The process has a successor.
    fn is_replaced(&self, who: Who) -> bool {
        let before = self.pids.iter().find(|(one, _)| *one == who);
        who.pid(&self.daemon)
            .is_some_and(|pid| before.is_some_and(|(_, before)| pid != *before))
    }

    /// All processes but one are the same as before, no address has moved, no script has run.
    fn is_whole_but_for(&self, who: Option<Who>) -> Result<(), String> {
        for (one, _) in self.pids.iter().filter(|(one, _)| Some(*one) != who) {
            if self.is_replaced(*one) || one.pid(&self.daemon).is_none() {
                return Err(format!(
                    "{} is not what it was\n{}",
                    one.name(),
                    self.daemon.log()
                ));
            }
        }
        if !self.rig.host.has_address("10.9.0.9") {
            return Err("the address is gone".to_owned());
        }
        if self.rig.notes() != self.notes {
            return Err(format!("scripts ran: {:?}", self.rig.notes()));
        }
        Ok(())
    }
}

/// Lets `from` send what is wrong.
fn commit(scene: &Scene<'_>, from: Pid, to: Pid, fault: &Fault) -> Result<(), String> {
    let found = || wire(&scene.rig.host, from, to);
    scene.until("the channel", || found().is_some())?;
    let descriptor = found().unwrap();
    let mut captive =
        Captive::take_in(from, &crate::captured::WAITS, SOON).map_err(|error| error.to_string())?;
    for frame in &fault.frames {
        match send(&mut captive, descriptor, frame) {
            Ok(End::Returned(_) | End::Failed(Errno::EAGAIN)) => {}
            // The channel has ended meanwhile, or the captive with it.
            Ok(End::Failed(Errno::EPIPE | Errno::ECONNRESET) | End::Killed(Signal::SIGKILL)) => {
                break;
            }
            other => return Err(format!("{other:?}")),
        }
    }
    captive.release().map_err(|error| error.to_string())
}

/// A child to its parent, and what the parent does about it.
fn judge_child(scene: &Scene<'_>, from: Who, effect: Effect) -> Result<(), String> {
    match effect {
        // It leaves by itself then.
        Effect::Closes => scene.until("a successor", || scene.is_replaced(from))?,
        Effect::Ends => {
            scene.until("a successor", || scene.is_replaced(from))?;
            let killed = format!("killing {}: ", from.name());
            scene.until(&killed, || scene.daemon.log().contains(&killed))?;
        }
        Effect::Nothing => {
            sleep(Duration::from_millis(300));
            scene.is_whole_but_for(None)?;
        }
        Effect::Either => sleep(Duration::from_millis(500)),
    }
    scene.is_whole_but_for(Some(from))
}

/// A child to a sibling, which tells the parent.
fn judge_sibling(scene: &Scene<'_>, (from, to): (Who, Who), effect: Effect) -> Result<(), String> {
    let cut = format!("{} broke the protocol, its channel is closed", from.name());
    let old = scene.pids.iter().find(|(one, _)| *one == from).unwrap().1;
    let is_open = || wire(&scene.rig.host, old, scene.pid(to)).is_some();
    match effect {
        Effect::Ends => {
            scene.until(&cut, || scene.daemon.log().contains(&cut))?;
            scene.until("a successor", || scene.is_replaced(from))?;
            let again = || {
                from.pid(&scene.daemon)
                    .is_some_and(|pid| wire(&scene.rig.host, pid, scene.pid(to)).is_some())
            };
            scene.until("another channel", again)?;
        }
        Effect::Closes => scene.until("the end of the channel", || !is_open())?,
        Effect::Nothing => {
            sleep(Duration::from_millis(300));
            scene.is_whole_but_for(None)?;
            if !is_open() {
                return Err("the channel has ended".to_owned());
            }
        }
        Effect::Either => sleep(Duration::from_millis(500)),
    }
    scene.is_whole_but_for(Some(from))
}

/// The parent to a child. The parent has a fault then, and the child leaves.
fn judge_parent(scene: &Scene<'_>, to: Who, effect: Effect) -> Result<(), String> {
    match effect {
        Effect::Ends | Effect::Closes => scene.until("a successor", || scene.is_replaced(to))?,
        Effect::Nothing => return scene.is_whole_but_for(None),
        Effect::Either => sleep(Duration::from_millis(500)),
    }
    if to == Who::Vrrpd {
        // It takes its addresses with it, for its successor to set them again.
        let has_address = || scene.rig.host.has_address("10.9.0.9");
        return scene.until("the address", has_address);
    }
    scene.is_whole_but_for(Some(to))
}

/// Commits every fault of these edges, each in a daemon of its own.
fn try_all(edges: impl IntoIterator<Item = (Who, Who)>) {
    let rig = Rig::new(WHOLE);
    let mut wrong = Vec::new();
    for (from, to) in edges {
        for fault in faults::of_edge(from, to) {
            let mut scene = Scene::new(&rig);
            let [pid, other] = [from, to].map(|who| scene.pid(who));
            let judged = commit(&scene, pid, other, &fault).and_then(|()| match (from, to) {
                (Who::Parent, _) => judge_parent(&scene, to, fault.effect),
                (_, Who::Parent) => judge_child(&scene, from, fault.effect),
                (_, _) => judge_sibling(&scene, (from, to), fault.effect),
            });
            let ended = scene.daemon.terminate(SOON).map(|status| status.code());
            if let Err(error) = judged {
                wrong.push(format!(
                    "{} to {}: {}: {error}",
                    from.name(),
                    to.name(),
                    fault.name
                ));
            } else if !matches!(ended, Ok(Some(0))) {
                wrong.push(format!(
                    "{} to {}: {}: the end: {ended:?}",
                    from.name(),
                    to.name(),
                    fault.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_child_may_not_say_to_the_parent_ends_the_child_and_nothing_else() {
    try_all(CHILDREN.map(|child| (child, Who::Parent)));
}

#[test]
fn what_the_parent_may_not_say_to_a_child_ends_the_child_and_nothing_else() {
    try_all(CHILDREN.map(|child| (Who::Parent, child)));
}

#[test]
fn what_vrrpd_may_not_say_and_what_may_not_be_said_to_it_ends_one_channel_and_nothing_else() {
    try_all([
        (Who::Vrrpd, Who::Checkerd),
        (Who::Vrrpd, Who::Ipvsd),
        (Who::Checkerd, Who::Vrrpd),
        (Who::Ipvsd, Who::Vrrpd),
    ]);
}

#[test]
fn what_checkerd_and_ipvsd_may_not_say_to_each_other_ends_one_channel_and_nothing_else() {
    try_all([(Who::Checkerd, Who::Ipvsd), (Who::Ipvsd, Who::Checkerd)]);
}
