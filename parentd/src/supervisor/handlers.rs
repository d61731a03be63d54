//! What each child says, one function per child. Whatever comes is checked against the configuration: a
//! child that speaks of objects it was never given is ended.

use std::fmt;

use kr_config::typed::Config;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_checkerd::{FromCheckerd, ToCheckerd};
use kr_ipc::edge::parentd_ipvsd::FromIpvsd;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_model::check::{Mail, Probe};
use kr_model::own_link::{LinkReport, LinkRole};
use kr_model::{
    CheckerId, Generation, GroupId, InstanceId, RealServerId, TrackerId, VirtualServerId,
};
use kr_sys::privilege::Duty;

use crate::alert;
use crate::own_links;
use crate::scripts::CheckEnded;
use crate::supervisor::heartbeat::StrayPong;
use crate::supervisor::{MAILS_KEPT, Supervisor};
use crate::transfer;

/// A child said what it may not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misbehaviour {
    Instance(InstanceId),
    Group(GroupId),
    Tracker(TrackerId),
    Checker(CheckerId),
    RealServer(RealServerId),
    VirtualServer(VirtualServerId),
    Generation(Generation),
    NotAScript(CheckerId),
    Link(InstanceId),
    AccusesItself,
    Pong,
}

impl From<StrayPong> for Misbehaviour {
    fn from(StrayPong: StrayPong) -> Self {
        Self::Pong
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, number) = match self {
            Self::Instance(id) => ("instance", u64::from(id.0)),
            Self::Group(id) => ("sync group", u64::from(id.0)),
            Self::Tracker(id) => ("tracked object", u64::from(id.0)),
            Self::Checker(id) => ("checker", u64::from(id.0)),
            Self::RealServer(id) => ("real server", u64::from(id.0)),
            Self::VirtualServer(id) => ("virtual server", u64::from(id.0)),
            Self::Generation(generation) => ("configuration", generation.0),
            Self::Link(id) => {
                return write!(f, "it names a link that instance {id} cannot have");
            }
            Self::NotAScript(id) => {
                return write!(f, "it asks for a script of checker {id}, which has none");
            }
            Self::AccusesItself => return f.write_str("it says that it broke the protocol itself"),
            Self::Pong => return f.write_str("it answers what nobody asked"),
        };
        write!(f, "it speaks of {kind} {number}, which it was not given")
    }
}

/// Why a child is ended that its sibling accuses. One word is enough, a few times: whoever accuses has
/// closed the channel itself, and a child that is ended for nothing is back in milliseconds.
const SIBLING: &str = "its sibling says that it broke the protocol of their channel";

/// So many messages in one turn come only when everything changes at once.
const MANY: usize = 32;

impl Supervisor {
    pub(super) fn read_vrrpd(&mut self) {
        let (messages, more) = self.vrrpd.receive();
        self.more_to_read |= more;
        self.flooded |= messages.len() > MANY;
        for message in messages {
            if let Err(misbehaviour) = self.hear_vrrpd(message) {
                self.vrrpd.end(&misbehaviour);
                return;
            }
        }
    }

    pub(super) fn read_checkerd(&mut self) {
        let (messages, more) = self.checkerd.receive();
        self.more_to_read |= more;
        for message in messages {
            if let Err(misbehaviour) = self.hear_checkerd(message) {
                self.checkerd.end(&misbehaviour);
                return;
            }
        }
    }

    pub(super) fn read_ipvsd(&mut self) {
        let (messages, more) = self.ipvsd.receive();
        self.more_to_read |= more;
        for message in messages {
            if let Err(misbehaviour) = self.hear_ipvsd(message) {
                self.ipvsd.end(&misbehaviour);
                return;
            }
        }
    }

    /// One child says that another broke the protocol of their channel.
    fn accused(&mut self, by: Sibling, sibling: Sibling) -> Result<(), Misbehaviour> {
        if by == sibling {
            return Err(Misbehaviour::AccusesItself);
        }
        if !self.accusations.is_believed(by, self.now) {
            log::error!(
                "{by} says once more that {sibling} broke the protocol of their channel, too often to be believed: \
                 they stay apart until one of them is started again"
            );
            return Ok(());
        }
        match sibling {
            Sibling::Vrrpd => self.vrrpd.end(&SIBLING),
            Sibling::Checkerd => self.checkerd.end(&SIBLING),
            Sibling::Ipvsd => self.ipvsd.end(&SIBLING),
        }
        Ok(())
    }

    fn hear_vrrpd(&mut self, message: FromVrrpd) -> Result<(), Misbehaviour> {
        match message {
            FromVrrpd::Pong { nonce } => self.vrrpd.answered(nonce)?,
            FromVrrpd::Times(times) => self.vrrpd.set_times(times),
            FromVrrpd::Misbehaved(sibling) => self.accused(Sibling::Vrrpd, sibling)?,
            FromVrrpd::Ready(generation) => {
                self.check_generation(generation)?;
                // It has said farewell for what the reload took away; now it may be replaced.
                let duty = transfer::duty_of_vrrpd(&self.config);
                if duty != Duty::Usual && self.vrrpd.replace_unless(duty) {
                    return Ok(());
                }
                self.vrrpd.set_ready(generation);
                self.announce_untold();
            }
            FromVrrpd::Snapshots(snapshots) => {
                for snapshot in snapshots {
                    self.snapshot_came(snapshot)?;
                }
            }
            FromVrrpd::Bfd(snapshot) => {
                let id = snapshot.id;
                self.find(|config| config.bfd.get(&id))
                    .ok_or(Misbehaviour::Tracker(id))?;
                self.published.bfd.insert(id, *snapshot);
            }
            FromVrrpd::OwnLink(report) => self.link_made(report)?,
            FromVrrpd::Transition {
                instance,
                to,
                priority,
                cause,
            } => self.instance_changed(instance, to, priority, &cause)?,
            FromVrrpd::LowerPriorityHeard { instance } => self.lower_priority_heard(instance)?,
            FromVrrpd::GroupTransition { group, to } => self.group_changed(group, to)?,
        }
        Ok(())
    }

    /// An instance has a link for itself.
    fn link_made(&mut self, report: LinkReport) -> Result<(), Misbehaviour> {
        let id = report.instance;
        let entry = self.find(|config| config.instances.get(&id));
        let instance = &entry.ok_or(Misbehaviour::Instance(id))?.instance;
        let name = own_links::name(instance, report).ok_or(Misbehaviour::Link(id))?;
        own_links::set_inet6(&name, report.inet6);
        if report.role == LinkRole::Instance {
            self.published.links.insert(id, name);
        }
        Ok(())
    }

    fn hear_checkerd(&mut self, message: FromCheckerd) -> Result<(), Misbehaviour> {
        match message {
            FromCheckerd::Pong { nonce } => self.checkerd.answered(nonce)?,
            FromCheckerd::Times(times) => self.checkerd.set_times(times),
            FromCheckerd::Ready(generation) => {
                self.check_generation(generation)?;
                self.checkerd.set_ready(generation);
            }
            FromCheckerd::Snapshot(snapshot) => {
                self.find(|config| config.checkers.get(&snapshot.id))
                    .ok_or(Misbehaviour::Checker(snapshot.id))?;
                self.published.checkers.insert(snapshot.id, snapshot);
            }
            FromCheckerd::RunScript { checker, run } => self.run_check(checker, run)?,
            FromCheckerd::Misbehaved(sibling) => self.accused(Sibling::Checkerd, sibling)?,
        }
        Ok(())
    }

    fn run_check(&mut self, checker: CheckerId, run: u64) -> Result<(), Misbehaviour> {
        let Some(entry) = self.config.checkers.get(&checker) else {
            // It has not yet heard of the reload that removed the checker.
            return self
                .find(|config| config.checkers.get(&checker))
                .map(drop)
                .ok_or(Misbehaviour::Checker(checker));
        };
        let (Probe::Misc { timeout, .. }, Some(script)) = (&entry.checker.probe, entry.script)
        else {
            return Err(Misbehaviour::NotAScript(checker));
        };
        let failed = self
            .scripts
            .check(checker, run, script, *timeout, &self.events, self.now);
        if let Some(ended) = failed {
            self.script_ended(ended);
        }
        Ok(())
    }

    fn hear_ipvsd(&mut self, message: FromIpvsd) -> Result<(), Misbehaviour> {
        match message {
            FromIpvsd::Pong { nonce } => self.ipvsd.answered(nonce)?,
            FromIpvsd::Times(times) => self.ipvsd.set_times(times),
            FromIpvsd::Ready(generation) => {
                self.check_generation(generation)?;
                self.ipvsd.set_ready(generation);
                self.forget_departed();
                self.forget_services();
            }
            FromIpvsd::Snapshot(snapshot) => {
                let id = snapshot.id;
                let is_departed = self.published.departed.contains_key(&id);
                if !is_departed {
                    self.find(|config| config.virtual_servers.get(&id))
                        .ok_or(Misbehaviour::VirtualServer(id))?;
                }
                // Bounded by what is configured, not by what the child says.
                for verdict in &snapshot.verdicts {
                    self.find(|config| config.checkers.get(&verdict.checker))
                        .ok_or(Misbehaviour::Checker(verdict.checker))?;
                }
                self.published.keep_pool(*snapshot);
                if is_departed {
                    self.forget_departed();
                }
            }
            FromIpvsd::Remains(remain) => {
                self.published.services_remain = remain;
                self.forget_services();
            }
            FromIpvsd::Timeouts(values) => self.published.timeouts = values,
            FromIpvsd::RealServerChanged {
                real_server,
                up,
                reason,
            } => self.server_changed(real_server, up, reason)?,
            FromIpvsd::CheckerChanged {
                checker,
                up,
                with_server,
            } => {
                let mail = self.mail_of_checker(checker, up, with_server)?;
                self.mail(mail);
            }
            FromIpvsd::QuorumChanged {
                virtual_server,
                up,
                weight,
                reason,
            } => self.quorum_changed(virtual_server, up, weight, reason)?,
            FromIpvsd::Kernel { usable } => {
                self.published.ipvs_usable = Some(usable);
            }
            FromIpvsd::Misbehaved(sibling) => self.accused(Sibling::Ipvsd, sibling)?,
        }
        Ok(())
    }

    /// Before the IPVS process runs this configuration, it may not have said yet what remains.
    fn forget_departed(&mut self) {
        if self.ipvsd.is_ready(self.generation) {
            self.published.forget_departed();
        }
    }

    /// Once the IPVS process runs this configuration, the kernel holds its services alone, unless some wait for
    /// their connections.
    fn forget_services(&mut self) {
        if self.ipvsd.is_ready(self.generation) && !self.published.services_remain {
            self.published.set_services(&self.config);
        }
    }

    fn mail_of_checker(
        &self,
        checker: CheckerId,
        up: bool,
        with_server: bool,
    ) -> Result<Option<Mail>, Misbehaviour> {
        let (entry, config) = self
            .find_with(|config| config.checkers.get(&checker))
            .ok_or(Misbehaviour::Checker(checker))?;
        let Some(server) = config.real_servers.get(&entry.real_server) else {
            return Ok(None);
        };
        if !server.mail || !with_server && config.global.no_checker_mail {
            return Ok(None);
        }
        let known = self.published.servers_up.get(&entry.real_server);
        let server_up = if with_server {
            up
        } else {
            known.copied().unwrap_or(up)
        };
        Ok(alert::of_checker(
            config,
            &entry.checker,
            server,
            up,
            server_up,
        ))
    }

    /// Looks an object up in the configuration in force, then in the one before it, of which a child may
    /// speak until it has the new one.
    fn find<T>(&self, get: impl Fn(&Config) -> Option<&T>) -> Option<&T> {
        self.find_with(get).map(|(object, _)| object)
    }

    pub(super) fn find_with<T>(
        &self,
        get: impl Fn(&Config) -> Option<&T>,
    ) -> Option<(&T, &Config)> {
        [Some(&self.config), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|config| get(config).map(|object| (object, config)))
    }

    fn check_generation(&self, generation: Generation) -> Result<(), Misbehaviour> {
        if generation <= self.generation {
            Ok(())
        } else {
            Err(Misbehaviour::Generation(generation))
        }
    }

    pub(super) fn script_ended(&mut self, ended: CheckEnded) {
        self.checkerd.send(&ToCheckerd::ScriptEnded {
            checker: ended.checker,
            run: ended.run,
            outcome: ended.outcome,
        });
    }

    /// Hands a mail to the checker process, or keeps it until that runs again.
    pub(super) fn mail(&mut self, mail: Option<Mail>) {
        let Some(mail) = mail else { return };
        if self.config.checker.mail.is_none() {
            return;
        }
        if self.mails.len() >= MAILS_KEPT {
            log::warn!("mail `{}` is lost: checkerd is away too long", mail.subject);
            return;
        }
        self.mails.push(mail);
        self.send_mails();
    }

    pub(super) fn send_mails(&mut self) {
        if self.checkerd.is_running() {
            for mail in std::mem::take(&mut self.mails) {
                self.checkerd.send(&ToCheckerd::Mail(Box::new(mail)));
            }
        }
    }
}
