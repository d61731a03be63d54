//! Which children run: those that the configuration needs, started, replaced and stopped in order.

use kr_sys::privilege::{Duty, Role};
use kr_sys::spawn::Ended;
use nix::unistd::getpid;
use sd_notify::NotifyState;

use crate::pidfile::PidFile;
use crate::scripts::{STOP_GRACE, STOP_LIMIT};
use crate::supervisor::child::{Left, tuning};
use crate::supervisor::reload::Informed;
use crate::supervisor::{
    EXIT_CONFIGURATION, EXIT_FATAL, EXIT_NO_PERMISSION, Phase, START_PATIENCE, Supervisor,
    tell_systemd,
};
use crate::transfer;
use crate::upgrade;

impl Supervisor {
    /// Whether the configuration asks for a process.
    pub(super) fn is_needed(&self, role: Role) -> bool {
        let config = &self.config;
        match role {
            Role::Vrrpd => {
                !config.instances.is_empty()
                    || !config.bfd.is_empty()
                    || !config.statics.is_empty()
                    || self.options.all_children && self.options.vrrp
            }
            // Mail goes out through it, also without a checker.
            Role::Checkerd => {
                !config.checkers.is_empty()
                    || config.checker.mail.is_some()
                    || self.options.all_children && self.options.checkers
            }
            Role::Ipvsd => {
                // Also while services of a former configuration may be in the kernel, which only it removes.
                !config.virtual_servers.is_empty()
                    || !self.published.services.is_empty()
                    || config.ipvs.sync.is_some()
                    || self.published.sync
                    || self.options.all_children && self.options.checkers
            }
        }
    }

    pub(super) fn reconcile_children(&mut self) {
        let now = self.now;
        if !self.is_needed(Role::Vrrpd) {
            self.vrrpd.ask_to_leave(now);
        } else if self.vrrpd.is_due(now) && self.start(Role::Vrrpd) {
            self.told.process_started(now);
            self.transfer_to_vrrpd(true);
            self.join_siblings(Role::Vrrpd);
        }
        if !self.is_needed(Role::Ipvsd) {
            self.ipvsd.ask_to_leave(now);
        } else if self.ipvsd.is_due(now) && self.start(Role::Ipvsd) {
            self.show_table();
            self.transfer_to_ipvsd(Informed::Started);
            self.join_siblings(Role::Ipvsd);
        }
        if !self.is_needed(Role::Checkerd) {
            self.checkerd.ask_to_leave(now);
        } else if self.checkerd.is_due(now) && self.start(Role::Checkerd) {
            self.transfer_to_checkerd(Informed::Started);
            self.join_siblings(Role::Checkerd);
            self.send_mails();
        }
    }

    pub(super) fn start(&mut self, role: Role) -> bool {
        let identity = self.identities.get(&role).cloned();
        if identity.is_none() && !self.options.no_setuid {
            return false;
        }
        let (launcher, events, now) = (&self.launcher, &self.events, self.now);
        let (tuning, identity) = (tuning(role, &self.config.global), identity.as_ref());
        let started = match role {
            Role::Vrrpd => {
                let how = (identity, transfer::duty_of_vrrpd(&self.config));
                self.vrrpd.start(launcher, how, tuning, events, now)
            }
            Role::Checkerd => {
                let how = (identity, Duty::Usual);
                self.checkerd.start(launcher, how, tuning, events, now)
            }
            Role::Ipvsd => {
                let how = (identity, self.duty_of_ipvsd());
                self.ipvsd.start(launcher, how, tuning, events, now)
            }
        };
        match started {
            Ok(pid) => {
                self.write_pid_file(role, pid);
                true
            }
            Err(error) => {
                log::error!("{} cannot be started: {error}", role.program());
                match role {
                    Role::Vrrpd => self.vrrpd.put_off(now),
                    Role::Checkerd => self.checkerd.put_off(now),
                    Role::Ipvsd => self.ipvsd.put_off(now),
                }
                false
            }
        }
    }

    /// What the IPVS process has to do beyond its usual work, as far as this process can pass the privilege
    /// on.
    pub(super) fn duty_of_ipvsd(&self) -> Duty {
        let wanted = transfer::duty_of_ipvsd(&self.config);
        let lacking = wanted.mask() & !self.held;
        if lacking == 0 {
            return wanted;
        }
        log::error!(
            "checks with a bind_port below 1024 give no result: this process was started without \
             CAP_NET_BIND_SERVICE (CapabilityBoundingSet of the unit, or capabilities of the container)"
        );
        Duty::Sockets
    }

    pub(super) fn write_pid_file(&mut self, role: Role, pid: nix::unistd::Pid) {
        let written = match self.pid_files.remove(&role) {
            Some(file) => Ok(file),
            None => PidFile::lock(self.pid_paths.child(role)),
        }
        .and_then(|mut file| {
            file.write(pid)?;
            Ok(file)
        });
        match written {
            Ok(file) => {
                self.pid_files.insert(role, file);
            }
            Err(error) => log::warn!("{error}"),
        }
    }

    /// Everybody has the configuration: tells systemd and whoever started the daemon.
    pub(super) fn notice_readiness(&mut self) {
        let generation = self.generation;
        let ready = (!self.is_needed(Role::Vrrpd) || self.vrrpd.is_ready(generation))
            && (!self.is_needed(Role::Checkerd) || self.checkerd.is_ready(generation))
            && (!self.is_needed(Role::Ipvsd) || self.ipvsd.is_ready(generation));
        let outdated =
            self.vrrpd.is_outdated() || self.checkerd.is_outdated() || self.ipvsd.is_outdated();
        if outdated || !ready || self.phase == Phase::Running {
            return;
        }
        self.published.retain(&self.config);
        self.told.retain(&self.config);
        self.previous = None;
        match self.phase {
            Phase::Starting => log::info!("up: every process runs its configuration"),
            Phase::Reloading => {
                log::info!("reloaded: configuration {generation} is in force");
                self.write_states();
            }
            Phase::TakingOver { .. } => {
                let version = env!("CARGO_PKG_VERSION");
                log::info!("upgraded: every process runs version {version}");
                let done = format!("version {version} runs as process {}", getpid());
                upgrade::answer(&self.pid_paths.parent, Ok(&done));
            }
            Phase::Running | Phase::Stopping { .. } | Phase::Finishing { .. } => {}
        }
        self.phase = Phase::Running;
        // What reading the file and handing it out took is not needed again until a reload.
        kr_sys::memory::give_back();
        self.starter.up();
        tell_systemd(&[NotifyState::Ready]);
        if std::mem::take(&mut self.reload_again) {
            self.reload("it was asked for during the last reload");
        }
    }

    /// The starting command does not wait for ever; the daemon itself does not give up.
    pub(super) fn notice_slow_start(&mut self) {
        if self.starter.is_waiting() && self.now >= self.started_at.saturating_add(START_PATIENCE) {
            let reason = "the daemon runs, but not every process has its configuration after 30 s; \
                          its log says why";
            log::error!("{reason}");
            self.starter.failed(EXIT_FATAL, reason);
        }
    }

    /// Addresses go first, then services, then mail, then scripts.
    pub(super) fn reconcile_stop(&mut self, code: u8) {
        let now = self.now;
        self.vrrpd.ask_to_leave(now);
        if self.vrrpd.is_absent() {
            self.ipvsd.ask_to_leave(now);
        }
        if self.vrrpd.is_absent() && self.ipvsd.is_absent() {
            self.checkerd.ask_to_leave(now);
        }
        if self.vrrpd.is_absent() && self.ipvsd.is_absent() && self.checkerd.is_absent() {
            self.pid_files.clear();
            self.scripts.limit_all(now);
            let mut limit = STOP_LIMIT;
            if let Some(script) = self.config.global.shutdown {
                self.scripts.run_daemon_script(script, &self.events, now);
                limit = limit.max(script.limit);
            }
            self.phase = Phase::Finishing {
                code,
                until: now.saturating_add(limit).saturating_add(STOP_GRACE),
            };
            log::info!("stopped");
        }
    }

    /// A child has ended: decides whether the daemon goes on.
    pub(super) fn after_end(&mut self, role: Role, left: Left) {
        let Left {
            ended,
            was_ready,
            was_asked,
            was_replaced,
        } = left;
        if was_replaced {
            return;
        }
        if was_asked {
            log::info!("{} left: it {ended}", role.program());
            self.pid_files.remove(&role);
            return;
        }
        if matches!(self.phase, Phase::Stopping { .. } | Phase::Finishing { .. }) {
            return;
        }
        let starting = self.phase == Phase::Starting && !was_ready;
        let fatal = match ended {
            Ended::Exit(code @ (EXIT_FATAL | EXIT_CONFIGURATION | EXIT_NO_PERMISSION)) => {
                Some(code)
            }
            Ended::NotStarted { .. } => Some(EXIT_NO_PERMISSION),
            Ended::Exit(_) | Ended::Signal(_) => None,
        };
        let code = match fatal {
            Some(code) if starting => code,
            Some(_) | None if !self.options.respawn => EXIT_FATAL,
            Some(_) | None => return,
        };
        let reason = format!("{} {ended}", role.program());
        log::error!("stopping: {reason}");
        self.starter.failed(code, &reason);
        self.stop(code);
    }
}
