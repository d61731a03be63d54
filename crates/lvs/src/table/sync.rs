//! `lvs_sync_daemon`: which threads of the kernel synchronise connections. What runs is read and compared
//! with what is wanted, so that a successor of this process restarts no thread that is right.

use std::collections::{BTreeMap, BTreeSet};

use kr_model::InstanceId;
use kr_model::ipvs::SyncChange;
use kr_model::lvs::{SyncDaemon, SyncRole, SyncSettings};
use kr_model::vrrp::State;

/// Threads as the kernel has them.
pub type SyncDaemons = BTreeMap<SyncRole, SyncDaemon>;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Read what runs.
    Read,
    /// Change it.
    Change(SyncChange),
}

/// What is wanted and what runs.
#[derive(Debug)]
pub(super) struct Sync {
    settings: Option<SyncSettings>,
    /// Threads may run that this daemon started.
    ours: bool,
    /// State of the instance that is followed, once it was said.
    state: State,
    present: Option<SyncDaemons>,
    /// A change was refused, and the kernel was not read since.
    refused: bool,
}

impl Sync {
    /// Nothing wanted, nothing known.
    pub(super) const fn new() -> Self {
        Self {
            settings: None,
            ours: false,
            state: State::Init,
            present: None,
            refused: false,
        }
    }

    /// Takes new settings. `former`: a predecessor of this process may have started threads that are not
    /// wanted any more.
    pub(super) fn configure(&mut self, settings: Option<SyncSettings>, former: bool) {
        let instance = |settings: &Option<SyncSettings>| settings.as_ref().and_then(|s| s.instance);
        if instance(&settings) != instance(&self.settings) {
            self.state = State::Init;
        }
        self.ours |= former || settings.is_some();
        self.settings = settings;
        self.forget();
    }

    /// The instance that is followed.
    pub(super) fn instance(&self) -> Option<InstanceId> {
        self.settings.as_ref()?.instance
    }

    /// The instance that is followed is in this state.
    pub(super) const fn follow(&mut self, state: State) {
        self.state = state;
        self.refused = false;
    }

    /// Other threads may run than did: reads them before anything else.
    pub(super) fn forget(&mut self) {
        self.present = None;
    }

    /// Takes note of what runs.
    pub(super) fn found(&mut self, present: SyncDaemons) {
        self.present = Some(present);
        self.refused = false;
    }

    /// Takes note of a change that was carried out, or refused.
    pub(super) fn changed(&mut self, change: SyncChange, done: bool) {
        if !done {
            self.refused = true;
            return;
        }
        let present = self.present.get_or_insert_with(BTreeMap::new);
        match change {
            SyncChange::Start(role, daemon) => drop(present.insert(role, daemon)),
            SyncChange::Stop(role, _) => drop(present.remove(&role)),
        }
    }

    /// The roles that shall run; `None`: those that do, until the state of the instance is known.
    fn wanted(&self) -> Option<BTreeSet<SyncRole>> {
        let Some(settings) = &self.settings else {
            return Some(BTreeSet::new());
        };
        match (settings.instance, self.state) {
            (None, _) => Some([SyncRole::Master, SyncRole::Backup].into()),
            (Some(_), State::Master) => Some([SyncRole::Master].into()),
            (Some(_), State::Backup | State::Fault) => Some([SyncRole::Backup].into()),
            (Some(_), State::Init | State::Stop) => None,
        }
    }

    /// The next step, when there is one.
    pub(super) fn step(&mut self) -> Option<Step> {
        if !self.ours || self.refused {
            return None;
        }
        let wanted = self.wanted()?;
        let Some(present) = &self.present else {
            return Some(Step::Read);
        };
        let settings = self.settings.as_ref();
        let is_right = |role: &SyncRole, daemon: &SyncDaemon| {
            wanted.contains(role)
                && settings.is_some_and(|settings| daemon.serves(&settings.daemon))
        };
        let wrong = present
            .iter()
            .find(|(role, daemon)| !is_right(role, daemon));
        if let Some((role, daemon)) = wrong {
            return Some(Step::Change(SyncChange::Stop(*role, daemon.id)));
        }
        let missing = wanted.iter().find(|role| !present.contains_key(role));
        if let Some((role, settings)) = missing.zip(settings) {
            let daemon = settings.daemon.clone();
            return Some(Step::Change(SyncChange::Start(*role, daemon)));
        }
        self.ours = self.settings.is_some();
        None
    }

    /// What is to be done at the stop.
    pub(super) fn last(&self) -> Vec<SyncChange> {
        let present = self.present.iter().flatten();
        let ours = present.filter(|_| self.ours);
        ours.map(|(role, daemon)| SyncChange::Stop(*role, daemon.id))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU8, NonZeroU16};

    use kr_model::units::IfName;

    use super::*;

    fn daemon() -> SyncDaemon {
        SyncDaemon {
            interface: IfName::try_from("eth0".to_owned()).unwrap(),
            id: 5,
            max_length: None,
            port: None,
            ttl: None,
            group: None,
        }
    }

    /// As the kernel tells it, with its own values where none were given.
    fn running() -> SyncDaemon {
        SyncDaemon {
            max_length: NonZeroU16::new(1472),
            port: NonZeroU16::new(8848),
            ttl: NonZeroU8::new(1),
            group: Some([224, 0, 0, 81].into()),
            ..daemon()
        }
    }

    fn settings(instance: Option<u32>) -> Option<SyncSettings> {
        Some(SyncSettings {
            daemon: daemon(),
            instance: instance.map(InstanceId),
        })
    }

    /// Takes steps until there is none, with a kernel that has `present` and takes everything.
    fn steps(sync: &mut Sync, present: &SyncDaemons) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(step) = sync.step() {
            match step {
                Step::Read => sync.found(present.clone()),
                Step::Change(change) => {
                    out.push(match &change {
                        SyncChange::Start(role, _) => format!("start {}", role.name()),
                        SyncChange::Stop(role, _) => format!("stop {}", role.name()),
                    });
                    sync.changed(change, true);
                }
            }
        }
        out
    }

    #[test]
    fn without_an_instance_both_run_until_the_stop() {
        let mut sync = Sync::new();
        assert_eq!(sync.step(), None);
        sync.configure(settings(None), false);
        let done = steps(&mut sync, &SyncDaemons::new());
        assert_eq!(done, ["start master", "start backup"]);
        assert_eq!(
            sync.last(),
            [
                SyncChange::Stop(SyncRole::Master, 5),
                SyncChange::Stop(SyncRole::Backup, 5)
            ]
        );
    }

    #[test]
    fn the_thread_follows_the_instance() {
        let mut sync = Sync::new();
        sync.configure(settings(Some(1)), false);
        assert_eq!(sync.instance(), Some(InstanceId(1)));
        assert_eq!(sync.step(), None, "until the instance is known");
        sync.follow(State::Backup);
        assert_eq!(steps(&mut sync, &SyncDaemons::new()), ["start backup"]);
        sync.follow(State::Master);
        let backup = [(SyncRole::Backup, running())].into();
        assert_eq!(steps(&mut sync, &backup), ["stop backup", "start master"]);
        sync.follow(State::Fault);
        let master = [(SyncRole::Master, running())].into();
        assert_eq!(steps(&mut sync, &master), ["stop master", "start backup"]);
    }

    #[test]
    fn a_successor_leaves_a_right_thread_alone_and_corrects_a_wrong_one() {
        let mut sync = Sync::new();
        sync.configure(settings(Some(1)), false);
        sync.follow(State::Master);
        let right: SyncDaemons = [(SyncRole::Master, running())].into();
        assert_eq!(steps(&mut sync, &right), [""; 0]);
        // Somebody else started another one.
        sync.forget();
        let mut wrong = right;
        wrong.insert(SyncRole::Backup, running());
        if let Some(master) = wrong.get_mut(&SyncRole::Master) {
            master.id = 9;
        }
        let corrected = ["stop master", "stop backup", "start master"];
        assert_eq!(steps(&mut sync, &wrong), corrected);
    }

    #[test]
    fn a_reload_without_the_keyword_stops_what_runs_and_then_minds_its_own_business() {
        for former in [false, true] {
            let mut sync = Sync::new();
            if !former {
                sync.configure(settings(None), false);
                let _ = steps(&mut sync, &SyncDaemons::new());
            }
            sync.configure(None, former);
            let present = [(SyncRole::Backup, running())].into();
            assert_eq!(steps(&mut sync, &present), ["stop backup"]);
            sync.forget();
            assert_eq!(steps(&mut sync, &present), [""; 0]);
            assert_eq!(sync.last(), []);
        }
    }

    #[test]
    fn a_refusal_is_not_repeated_before_the_next_reading() {
        let mut sync = Sync::new();
        sync.configure(settings(None), false);
        sync.found(SyncDaemons::new());
        let Some(Step::Change(change)) = sync.step() else {
            panic!("a start is due");
        };
        sync.changed(change, false);
        assert_eq!(sync.step(), None);
        sync.found(SyncDaemons::new());
        assert!(matches!(sync.step(), Some(Step::Change(_))));
    }
}
