//! Putting a configuration into force: reading it again, and handing each child its slice.

use kr_ipc::channel;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_ipvsd::ToIpvsd;
use kr_ipc::edge::parentd_vrrpd::ToVrrpd;
use kr_model::Generation;
use kr_sys::parent::{RootScripts, Tunes};
use kr_sys::privilege::Role;
use sd_notify::NotifyState;

use crate::accounts;
use crate::changes::Changes;
use crate::load;
use crate::log_file;
use crate::reload_time::Now;
use crate::start::set_umask;
use crate::supervisor::child::{Child, Edge};
use crate::supervisor::child::{tunes, tuning};
use crate::supervisor::{Phase, Supervisor, cadences, tell_systemd};
use crate::transfer::{self, Receiver};

/// How far a child is that is handed a configuration.
#[derive(Debug, Clone, Copy)]
pub(super) enum Informed<'a> {
    /// It was just started.
    Started,
    /// It has not put the last configuration into force yet.
    Behind,
    /// It has, and this is what changes.
    UpToDate(&'a Changes),
}

impl<'a> Informed<'a> {
    fn of<E: Edge>(child: &Child<E>, generation: Generation, changes: &'a Changes) -> Self {
        if child.is_ready(generation) {
            Self::UpToDate(changes)
        } else {
            Self::Behind
        }
    }
}

impl Supervisor {
    /// Reads the configuration again and puts it into force, or keeps the old one.
    pub(super) fn reload(&mut self, cause: &str) {
        if matches!(self.phase, Phase::Stopping { .. } | Phase::Finishing { .. }) {
            return;
        }
        self.reopen_log_file();
        let taking_over = matches!(self.phase, Phase::TakingOver { .. });
        if taking_over || self.phase == Phase::Reloading && self.all_are_running() {
            log::info!("{cause}: reloading when the reload or upgrade on its way is done");
            self.reload_again = true;
            return;
        }
        log::info!("reloading the configuration: {cause}");
        let (options, paths) = (&self.options, &self.pid_paths);
        let new = load::reload(options, &self.config, &mut self.allocator, paths);
        let Some(new) = new else {
            // The time may be one of every day.
            self.follow_reload_time();
            return;
        };
        let changes = Changes::between(&self.config, &new.config);
        log::info!("{changes}");
        if let Ok(state) = NotifyState::monotonic_usec_now() {
            tell_systemd(&[NotifyState::Reloading, state]);
        }
        if self.root_scripts == RootScripts::None && new.scripts.of_root() == RootScripts::Allowed {
            log::warn!(
                "the new configuration has a script that runs as root, the one at start had none: until \
                 a restart it runs without most of root's capabilities"
            );
        }
        if self.tunes == Tunes::Nothing && tunes(&new.config.global) == Tunes::Children {
            log::warn!(
                "the new configuration gives processes another priority, the one at start did not: that takes \
                 privileges which this process has given up, until a restart"
            );
        }
        let config = new.config;
        self.scripts.replace(
            new.scripts,
            |id| config.checkers.contains_key(&id),
            self.now,
        );
        self.published.depart(&self.config, &config);
        // Who has not put the last configuration into force is told the whole new one.
        let checkerd = Informed::of(&self.checkerd, self.generation, &changes);
        let ipvsd = Informed::of(&self.ipvsd, self.generation, &changes);
        self.previous = Some(std::mem::replace(&mut self.config, config));
        self.cadences = cadences(&self.config);
        self.generation = self.generation.next();
        if self.phase == Phase::Running {
            self.phase = Phase::Reloading;
        }
        if self.previous.as_ref().map(|config| &config.global.accounts)
            != Some(&self.config.global.accounts)
        {
            self.identities.clear();
        }
        self.look_up_accounts();
        self.tune_children();
        set_umask(&self.options, &self.config.global);
        self.open_fifos();
        self.follow_tracked();
        self.follow_reload_time();
        self.transfer_to_vrrpd(false);
        // First who puts it into the kernel. One that is replaced gets it at its start.
        if !self.ipvsd.replace_unless(self.duty_of_ipvsd()) {
            self.transfer_to_ipvsd(ipvsd);
        }
        self.transfer_to_checkerd(checkerd);
    }

    /// Follows the `reload_time_file` of the configuration in force.
    pub(super) fn follow_reload_time(&mut self) {
        let now = self.both_clocks();
        let settings = &self.config.global.reload;
        self.reload_time.configure(settings, &self.events, now);
    }

    /// Reloads when the `reload_time_file` says so.
    pub(super) fn reload_at_its_time(&mut self) {
        if matches!(self.phase, Phase::Stopping { .. } | Phase::Finishing { .. }) {
            return;
        }
        let now = self.both_clocks();
        if self.reload_time.handle_timeout(now) {
            self.reload("the time of reload_time_file has come");
        }
    }

    /// The time of the loop and the time of day.
    pub(super) fn both_clocks(&self) -> Now {
        Now {
            monotonic: self.now,
            unix: self.clock.unix_seconds(),
        }
    }

    /// Opens the log file again, which may have been rotated away, and hands it to every process.
    fn reopen_log_file(&mut self) {
        let opened = match log_file::open(&self.options) {
            Ok(None) => return,
            Ok(Some(file)) => file.try_clone().map(|own| (own, file)),
            Err(error) => Err(error),
        };
        match opened {
            Ok((own, file)) => {
                kr_log::replace_file(own);
                self.vrrpd.give_log_file(&file);
                self.checkerd.give_log_file(&file);
                self.ipvsd.give_log_file(&file);
                self.launcher.log_file = Some(file);
            }
            Err(error) => log::error!("the old log file is kept: {error}"),
        }
    }

    fn tune_children(&mut self) {
        let global = &self.config.global;
        self.vrrpd.tune(&tuning(Role::Vrrpd, global));
        self.checkerd.tune(&tuning(Role::Checkerd, global));
        self.ipvsd.tune(&tuning(Role::Ipvsd, global));
    }

    /// Opens the FIFOs of the configuration, and starts the programs that read them.
    pub(super) fn open_fifos(&mut self) {
        self.fifos.replace(&self.config.global, &self.events);
        self.scripts
            .read_fifos(&self.fifos.readers(), &self.events, self.now);
    }

    /// Looks up the accounts of the processes that are needed. What is known stays, so that a warning
    /// about a missing account comes once.
    pub(super) fn look_up_accounts(&mut self) {
        for role in Role::ALL {
            let known = self.options.no_setuid || self.identities.contains_key(&role);
            if self.is_needed(role) && !known {
                let identity = accounts::of_child(role, &self.config.global.accounts);
                self.identities.insert(role, identity);
            }
        }
    }

    /// Tells a new IPVS process when the table is that of another namespace.
    pub(super) fn show_table(&mut self) {
        let Some(table) = &self.table else { return };
        match table.try_clone() {
            Ok(socket) => self.ipvsd.send_with(&ToIpvsd::Table, socket),
            // Without it the table of another namespace would be written.
            Err(error) => self.ipvsd.end(&format_args!(
                "the socket of its table cannot be duplicated: {error}"
            )),
        }
    }

    /// Gives a child that was just started a channel to each sibling that runs; a sibling that is started
    /// later is given one then.
    pub(super) fn join_siblings(&mut self, started: Role) {
        if matches!(started, Role::Vrrpd | Role::Ipvsd) {
            join(
                &mut self.vrrpd,
                Sibling::Vrrpd,
                &mut self.ipvsd,
                Sibling::Ipvsd,
            );
        }
        if matches!(started, Role::Vrrpd | Role::Checkerd) {
            join(
                &mut self.vrrpd,
                Sibling::Vrrpd,
                &mut self.checkerd,
                Sibling::Checkerd,
            );
        }
        if matches!(started, Role::Checkerd | Role::Ipvsd) {
            join(
                &mut self.checkerd,
                Sibling::Checkerd,
                &mut self.ipvsd,
                Sibling::Ipvsd,
            );
        }
    }

    pub(super) fn transfer_to_vrrpd(&mut self, resume: bool) {
        let resume = resume.then_some(&self.published);
        let state = |id, source: &_| self.tracking.state(id, source);
        for mut message in transfer::to_vrrpd(&self.config, self.generation, resume, state) {
            if let (ToVrrpd::Global(global), Some(_)) = (&mut message, resume) {
                global.startup_delay = self.told.left_of(global.startup_delay, self.now);
            }
            self.vrrpd.send(&message);
        }
    }

    pub(super) fn transfer_to_checkerd(&mut self, informed: Informed<'_>) {
        let receiver = self.receiver(informed);
        for message in transfer::to_checkerd(&self.config, self.generation, receiver) {
            self.checkerd.send(&message);
        }
        self.tell_numbers();
    }

    pub(super) fn transfer_to_ipvsd(&mut self, informed: Informed<'_>) {
        let receiver = self.receiver(informed);
        for message in transfer::to_ipvsd(&self.config, self.generation, receiver) {
            self.ipvsd.send(&message);
        }
        self.published.add_services(&self.config);
    }

    const fn receiver<'a>(&'a self, informed: Informed<'a>) -> Receiver<'a> {
        match informed {
            Informed::Started => Receiver::New(&self.published),
            Informed::UpToDate(changes) => Receiver::Has(changes),
            Informed::Behind => Receiver::Running,
        }
    }

    /// No needed child is missing, so that a reload on its way will come to its end.
    fn all_are_running(&self) -> bool {
        (!self.is_needed(Role::Vrrpd) || self.vrrpd.is_running())
            && (!self.is_needed(Role::Checkerd) || self.checkerd.is_running())
            && (!self.is_needed(Role::Ipvsd) || self.ipvsd.is_running())
    }
}

/// Makes a new channel between two children, when both run.
fn join<A: Edge, B: Edge>(
    one: &mut Child<A>,
    one_is: Sibling,
    other: &mut Child<B>,
    other_is: Sibling,
) {
    if !one.is_running() || !other.is_running() {
        return;
    }
    match channel::pair() {
        Ok((a, b)) => {
            other.send_with(&B::sibling(one_is), a);
            one.send_with(&A::sibling(other_is), b);
        }
        Err(errno) => log::error!("no channel between {one_is} and {other_is}: {errno}"),
    }
}
