//! Collects a configuration as the parent sends it, and refuses one that makes no sense. No system
//! calls.

use std::collections::BTreeSet;
use std::fmt;

use kr_check::{Checks, Configuration};
use kr_model::check::{Checker, CheckerGlobal, CheckerSnapshot, Probe, Suspension};
use kr_model::{CheckerId, Generation, InstanceId, TrackerId, VirtualServerId};

/// A whole configuration.
#[derive(Debug)]
pub(crate) struct Complete {
    pub(crate) global: CheckerGlobal,
    pub(crate) checks: Configuration,
    /// Of which the VRRP process may speak.
    pub(crate) instances: BTreeSet<InstanceId>,
    /// The same of BFD sessions.
    pub(crate) sessions: BTreeSet<TrackerId>,
    /// Checkers that follow an address.
    pub(crate) suspensions: Vec<Suspension>,
}

/// What the parent did wrong. Any of these is a fault of this program, not of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeError {
    /// A configuration within another.
    Nested,
    /// A configuration that is not newer than the one in force.
    Generation(Generation),
    /// An item or a commit outside a configuration.
    NotBegun,
    /// A commit for another configuration than was begun.
    OtherGeneration,
    /// A second global part, or none at the commit.
    Global,
    /// Two checkers of one id.
    Duplicate(CheckerId),
    /// Two instances of one id.
    DuplicateInstance(InstanceId),
    /// Two BFD sessions of one id.
    DuplicateSession(TrackerId),
    /// Checkers or instances of a suspension that are not configured.
    Suspension(VirtualServerId),
    /// A checker without urls or hosts.
    Empty(CheckerId),
    /// A checker is said to stay that the configuration in force does not have.
    NotInForce(CheckerId),
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested => f.write_str("a configuration began within another"),
            Self::Generation(generation) => write!(f, "configuration {generation} is out of turn"),
            Self::NotBegun => f.write_str("a part of a configuration without its beginning"),
            Self::OtherGeneration => f.write_str("the end of another configuration than was begun"),
            Self::Global => f.write_str("no global part, or two"),
            Self::Duplicate(id) => write!(f, "two checkers with id {id}"),
            Self::DuplicateInstance(id) => write!(f, "two instances with id {id}"),
            Self::DuplicateSession(id) => write!(f, "two BFD sessions with id {id}"),
            Self::Suspension(id) => {
                write!(
                    f,
                    "a suspension of virtual server {id} of objects that are not configured"
                )
            }
            Self::NotInForce(id) => {
                write!(f, "checker {id} is to stay, but it is not configured")
            }
            Self::Empty(id) => write!(f, "checker {id} without anything to check"),
        }
    }
}

impl std::error::Error for IntakeError {}

/// The configuration that is under way, if any, and which one came before it.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    partial: Option<Partial>,
    in_force: Option<Generation>,
}

#[derive(Debug)]
struct Partial {
    generation: Generation,
    global: Option<CheckerGlobal>,
    checkers: Vec<Checker>,
    kept: BTreeSet<CheckerId>,
    ids: BTreeSet<CheckerId>,
    resume: Vec<CheckerSnapshot>,
    instances: BTreeSet<InstanceId>,
    sessions: BTreeSet<TrackerId>,
    suspensions: Vec<Suspension>,
}

impl Intake {
    /// A configuration follows.
    ///
    /// # Errors
    /// Within another, and when it is not newer than the one in force.
    pub(crate) fn begin(&mut self, generation: Generation) -> Result<(), IntakeError> {
        if self.partial.is_some() {
            return Err(IntakeError::Nested);
        }
        if Some(generation) <= self.in_force {
            return Err(IntakeError::Generation(generation));
        }
        self.partial = Some(Partial {
            generation,
            global: None,
            checkers: Vec::new(),
            kept: BTreeSet::new(),
            ids: BTreeSet::new(),
            resume: Vec::new(),
            instances: BTreeSet::new(),
            sessions: BTreeSet::new(),
            suspensions: Vec::new(),
        });
        Ok(())
    }

    pub(crate) fn global(&mut self, global: CheckerGlobal) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        match partial.global.replace(global) {
            None => Ok(()),
            Some(_) => Err(IntakeError::Global),
        }
    }

    /// A piece of the authorities, after a global part that has some.
    pub(crate) fn authorities(&mut self, piece: &[u8]) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        let global = partial.global.as_mut().ok_or(IntakeError::Global)?;
        let text = global.trusted_authorities.as_mut();
        text.ok_or(IntakeError::Global)?.extend_from_slice(piece);
        Ok(())
    }

    pub(crate) fn checker(&mut self, checker: Checker) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        let empty = match &checker.probe {
            Probe::Http(http) => http.urls.is_empty(),
            Probe::Smtp { hosts, .. } => hosts.is_empty(),
            Probe::Tcp(_)
            | Probe::Dns { .. }
            | Probe::Udp(_)
            | Probe::Ping(_)
            | Probe::Bfd { .. }
            | Probe::File(_)
            | Probe::Misc { .. } => false,
        };
        if empty {
            return Err(IntakeError::Empty(checker.id));
        }
        if partial.kept.contains(&checker.id) || !partial.ids.insert(checker.id) {
            return Err(IntakeError::Duplicate(checker.id));
        }
        partial.checkers.push(checker);
        Ok(())
    }

    /// Checkers of the configuration in force, which stay as they are.
    pub(crate) fn kept(&mut self, ids: &[CheckerId], in_force: &Checks) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        for id in ids {
            if in_force.checker(*id).is_none() {
                return Err(IntakeError::NotInForce(*id));
            }
            if partial.ids.contains(id) || !partial.kept.insert(*id) {
                return Err(IntakeError::Duplicate(*id));
            }
        }
        Ok(())
    }

    /// What a predecessor knew. Of a checker that is not configured it is of no use and later ignored.
    pub(crate) fn resume(&mut self, snapshot: CheckerSnapshot) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        partial.resume.push(snapshot);
        Ok(())
    }

    /// An instance of which the VRRP process may speak.
    pub(crate) fn instance(&mut self, id: InstanceId) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        if partial.instances.insert(id) {
            Ok(())
        } else {
            Err(IntakeError::DuplicateInstance(id))
        }
    }

    /// When checkers do not run; they, and the instances that it names, came before.
    pub(crate) fn suspension(&mut self, suspension: Suspension) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        let checkers = suspension.checkers.iter();
        let instances = suspension.instances.iter();
        let mut checkers = checkers.copied();
        let known = checkers.all(|id| partial.ids.contains(&id) || partial.kept.contains(&id))
            && instances.copied().all(|id| partial.instances.contains(&id));
        if !known {
            return Err(IntakeError::Suspension(suspension.virtual_server));
        }
        partial.suspensions.push(suspension);
        Ok(())
    }

    /// A BFD session of which the VRRP process may speak.
    pub(crate) fn session(&mut self, id: TrackerId) -> Result<(), IntakeError> {
        let partial = self.partial.as_mut().ok_or(IntakeError::NotBegun)?;
        if partial.sessions.insert(id) {
            Ok(())
        } else {
            Err(IntakeError::DuplicateSession(id))
        }
    }

    pub(crate) fn commit(&mut self, generation: Generation) -> Result<Complete, IntakeError> {
        let partial = self.partial.take().ok_or(IntakeError::NotBegun)?;
        if partial.generation != generation {
            return Err(IntakeError::OtherGeneration);
        }
        let global = partial.global.ok_or(IntakeError::Global)?;
        self.in_force = Some(generation);
        Ok(Complete {
            checks: Configuration {
                generation,
                share: global.share,
                checkers: partial.checkers,
                kept: partial.kept,
                resume: partial.resume,
            },
            global,
            instances: partial.instances,
            sessions: partial.sessions,
            suspensions: partial.suspensions,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kr_check::Rng;
    use kr_check::checks::Input;
    use kr_model::Instant;
    use kr_model::check::Timing;

    use super::*;

    fn checker(id: u32, probe: Probe) -> Checker {
        Checker {
            id: CheckerId(id),
            server: String::new(),
            service: String::new(),
            probe,
            timing: Timing {
                delay_loop: Duration::from_secs(6),
                retry: 0,
                delay_before_retry: Duration::from_secs(1),
                warmup: Duration::ZERO,
            },
            alpha: false,
            log_all_failures: false,
        }
    }

    fn misc(id: u32) -> Checker {
        let timeout = Duration::from_secs(1);
        checker(
            id,
            Probe::Misc {
                dynamic: false,
                timeout,
            },
        )
    }

    fn begun() -> Intake {
        let mut intake = Intake::default();
        intake.begin(Generation(3)).unwrap();
        intake
    }

    #[test]
    fn a_whole_configuration_comes_out_as_it_was_sent() {
        let mut intake = begun();
        intake.global(CheckerGlobal::default()).unwrap();
        intake.checker(misc(2)).unwrap();
        intake.instance(InstanceId(7)).unwrap();
        assert_eq!(
            intake.instance(InstanceId(7)),
            Err(IntakeError::DuplicateInstance(InstanceId(7)))
        );
        let complete = intake.commit(Generation(3)).unwrap();
        assert_eq!(complete.checks.generation, Generation(3));
        assert_eq!(complete.checks.checkers, [misc(2)]);
        assert_eq!(complete.global, CheckerGlobal::default());
        assert_eq!(complete.instances, [InstanceId(7)].into());
    }

    #[test]
    fn parts_out_of_order_are_refused() {
        let global = CheckerGlobal::default;
        assert_eq!(
            Intake::default().global(global()),
            Err(IntakeError::NotBegun)
        );
        assert_eq!(
            Intake::default().checker(misc(1)),
            Err(IntakeError::NotBegun)
        );
        assert_eq!(
            Intake::default().commit(Generation(1)).unwrap_err(),
            IntakeError::NotBegun
        );
        assert_eq!(
            begun().commit(Generation(3)).unwrap_err(),
            IntakeError::Global
        );
        assert_eq!(
            begun().commit(Generation(4)).unwrap_err(),
            IntakeError::OtherGeneration
        );
        assert_eq!(begun().begin(Generation(4)), Err(IntakeError::Nested));
        let mut again = begun();
        again.global(global()).unwrap();
        again.commit(Generation(3)).unwrap();
        for earlier in [2, 3].map(Generation) {
            assert_eq!(again.begin(earlier), Err(IntakeError::Generation(earlier)));
        }
        again.begin(Generation(4)).unwrap();
        let mut twice = begun();
        twice.global(global()).unwrap();
        assert_eq!(twice.global(global()), Err(IntakeError::Global));
    }

    #[test]
    fn a_suspension_of_what_is_not_configured_is_refused() {
        let suspension = |checker, instance| Suspension {
            virtual_server: VirtualServerId(5),
            label: String::new(),
            addresses: Vec::new(),
            instances: vec![InstanceId(instance)],
            checkers: vec![CheckerId(checker)],
        };
        let mut intake = begun();
        intake.checker(misc(1)).unwrap();
        intake.instance(InstanceId(2)).unwrap();
        intake.suspension(suspension(1, 2)).unwrap();
        for (checker, instance) in [(9, 2), (1, 9)] {
            assert_eq!(
                intake.suspension(suspension(checker, instance)),
                Err(IntakeError::Suspension(VirtualServerId(5)))
            );
        }
        intake.global(CheckerGlobal::default()).unwrap();
        let complete = intake.commit(Generation(3)).unwrap();
        assert_eq!(complete.suspensions, [suspension(1, 2)]);
    }

    #[test]
    fn a_checker_stays_only_if_it_is_there() {
        let mut in_force = Checks::new(1, Rng::new(1));
        let configuration = Configuration {
            generation: Generation(1),
            checkers: vec![misc(1), misc(5)],
            kept: BTreeSet::new(),
            share: false,
            resume: Vec::new(),
        };
        in_force.handle(Input::Configure(configuration), Instant::ZERO);
        let mut intake = begun();
        intake.kept(&[CheckerId(1)], &in_force).unwrap();
        assert_eq!(
            intake.kept(&[CheckerId(2)], &in_force),
            Err(IntakeError::NotInForce(CheckerId(2)))
        );
        assert_eq!(
            intake.kept(&[CheckerId(1)], &in_force),
            Err(IntakeError::Duplicate(CheckerId(1)))
        );
        assert_eq!(
            intake.checker(misc(1)),
            Err(IntakeError::Duplicate(CheckerId(1)))
        );
        intake.global(CheckerGlobal::default()).unwrap();
        let complete = intake.commit(Generation(3)).unwrap();
        assert_eq!(complete.checks.checkers, []);
        assert_eq!(complete.checks.kept, [CheckerId(1)].into());
        in_force.handle(Input::Configure(complete.checks), Instant::ZERO);
        let stay: Vec<_> = in_force.all().collect();
        assert_eq!(stay, [&misc(1)]);
    }

    #[test]
    fn checkers_that_cannot_be_are_refused() {
        let mut intake = begun();
        intake.checker(misc(1)).unwrap();
        assert_eq!(
            intake.checker(misc(1)),
            Err(IntakeError::Duplicate(CheckerId(1)))
        );
        let probe = Probe::Smtp {
            helo: String::new(),
            hosts: Vec::new(),
        };
        assert_eq!(
            intake.checker(checker(2, probe)),
            Err(IntakeError::Empty(CheckerId(2)))
        );
    }
}
