//! The loop of the parent: keeps the children that the configuration needs, hands them their slices,
//! runs scripts and sends mail for what they say, reloads, and stops.
//!
//! Every turn ends with [`Supervisor::reconcile`], which compares what should run with what runs. Start,
//! reload, crash and stop are this one path.

mod accusations;
mod announce;
mod backoff;
pub(crate) mod child;
mod children;
mod handlers;
mod heartbeat;
mod reload;
mod takeover;
mod time_of_day;
mod track;
mod upgrade;
mod watchdog;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use kr_config::ids::IdAllocator;
use kr_config::typed::Config;
use kr_event::{Clock, EventLoop, Signals};
use kr_model::check::Mail;
use kr_model::{Generation, Instant};
use kr_sys::parent::{RootScripts, Tunes};
use kr_sys::privilege::Role;
use kr_sys::signals;
use kr_sys::spawn::Identity;
use mio::{Interest, Token};
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sd_notify::NotifyState;

use crate::cli::Options;
use crate::daemon::Starter;
use crate::dump;
use crate::fifos::Fifos;
use crate::load::Settings;
use crate::local_igmp::Silence;
use crate::namespace::Namespace;
use crate::pidfile::{Paths, PidFile};
use crate::published::Published;
use crate::reload_time::ReloadTime;
use crate::scripts::{RunEnded, Scripts};
use crate::supervisor::accusations::Accusations;
use crate::supervisor::child::{Checkerd, Child, Edge, Ipvsd, Launcher, Tokens, Vrrpd};
use crate::supervisor::heartbeat::{Cadence, PERIOD, Pace};
use crate::supervisor::time_of_day::TimeOfDay;
use crate::supervisor::upgrade::Upgrade;
use crate::supervisor::watchdog::Watchdog;
use crate::told::Told;
use crate::tracking::{self, Tracking};
use crate::upgrade::Program;

const SIGNALS: Token = Token(0);
const VRRPD: Token = Token(1);
const VRRPD_PROCESS: Token = Token(2);
const CHECKERD: Token = Token(3);
const CHECKERD_PROCESS: Token = Token(4);
const IPVSD: Token = Token(5);
const IPVSD_PROCESS: Token = Token(6);
const TRACKED_FILES: Token = Token(7);
const RELOAD_TIME: Token = Token(15);
const VRRPD_STANDBY: [Token; 2] = [Token(8), Token(9)];
const CHECKERD_STANDBY: [Token; 2] = [Token(10), Token(11)];
const IPVSD_STANDBY: [Token; 2] = [Token(12), Token(13)];
const TRIAL: Token = Token(14);
const FIRST_FIFO: usize = 80;
const FIRST_SCRIPT: usize = 100;
/// Far above what scripts ever use.
const FIRST_PROCESS: usize = usize::MAX / 2;

/// Mails kept while the checker process is away.
const MAILS_KEPT: usize = 64;

/// Time for the children to put the first configuration into force before whoever waits for it is told
/// that something is wrong.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Exit codes (the manual's list of them).
pub(crate) const EXIT_FATAL: u8 = 1;
pub(crate) const EXIT_CONFIGURATION: u8 = 2;
pub(crate) const EXIT_NO_PERMISSION: u8 = 4;

/// How far the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The children put their first configuration into force.
    Starting,
    /// All of them did.
    Running,
    /// A new configuration is on its way to the children.
    Reloading,
    /// The version before started the children: they are replaced one after the other.
    TakingOver {
        /// After a failure: when it goes on.
        next_try: Instant,
    },
    /// The children leave, then the scripts; then the program ends with this code.
    Stopping { code: u8 },
    /// The children are gone; scripts have until then.
    Finishing { code: u8, until: Instant },
}

/// What a supervisor is made from.
pub(crate) struct Parts {
    /// The command line.
    pub(crate) options: Options,
    /// The first configuration.
    pub(crate) settings: Settings,
    /// Gave out its ids.
    pub(crate) allocator: IdAllocator,
    /// What children are started with.
    pub(crate) launcher: Launcher,
    /// This program, as an upgrade executes it again.
    pub(crate) program: Program,
    /// The network namespace that was entered.
    pub(crate) namespace: Option<Namespace>,
    /// Names of pid files.
    pub(crate) pid_paths: Paths,
    /// That of this process; a trial has none.
    pub(crate) pid_file: Option<PidFile>,
    /// What was kept for scripts of root.
    pub(crate) root_scripts: RootScripts,
    /// Capabilities that this process holds, as a bit mask.
    pub(crate) held: u64,
    /// What was kept for priorities.
    pub(crate) tunes: Tunes,
    /// What leads to the IPVS table of another namespace.
    pub(crate) table: Option<OwnedFd>,
    /// `disable_local_igmp`.
    pub(crate) local_igmp: Option<Silence>,
    /// What [`answered_signals`] gave; some may have come already.
    pub(crate) signals: Signals,
}

/// From here on the signals that the daemon answers wait until its loop runs.
///
/// # Errors
/// When the kernel gives no descriptor.
pub(crate) fn answered_signals() -> io::Result<Signals> {
    Ok(Signals::of_numbers(&[
        libc::SIGHUP,
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        signals::json(),
        signals::upgrade(),
        signals::statistics_and_clear(),
    ])?)
}

/// The parent at work.
pub(crate) struct Supervisor {
    options: Options,
    launcher: Launcher,
    program: Program,
    namespace: Option<Namespace>,
    pid_paths: Paths,
    pid_file: Option<PidFile>,
    pid_files: BTreeMap<Role, PidFile>,
    starter: Starter,
    events: EventLoop,
    signals: Signals,
    clock: Clock,
    now: Instant,
    phase: Phase,
    config: Config,
    /// The configuration before, whose objects a child may speak of until it has the new one.
    previous: Option<Config>,
    generation: Generation,
    allocator: IdAllocator,
    identities: BTreeMap<Role, Identity>,
    published: Published,
    /// Which of it was announced.
    told: Told,
    /// From where the statistics count.
    zero: dump::Zero,
    scripts: Scripts,
    fifos: Fifos,
    tracking: Tracking,
    reload_time: ReloadTime,
    mails: Vec<Mail>,
    vrrpd: Child<Vrrpd>,
    checkerd: Child<Checkerd>,
    ipvsd: Child<Ipvsd>,
    /// A child may have said more than was read.
    more_to_read: bool,
    /// Very much was read, and memory was taken for it.
    flooded: bool,
    /// A reload was asked for while one was on its way.
    reload_again: bool,
    started_at: Instant,
    root_scripts: RootScripts,
    held: u64,
    tunes: Tunes,
    /// What leads to the IPVS table of another namespace.
    table: Option<OwnedFd>,
    /// `disable_local_igmp`.
    local_igmp: Option<Silence>,
    pace: Pace,
    time_of_day: TimeOfDay,
    accusations: Accusations,
    /// Of the VRRP, the checker and the IPVS process.
    cadences: [Cadence; 3],
    watchdog: Watchdog,
    upgrade: Upgrade,
}

impl Supervisor {
    /// Takes over from the start.
    ///
    /// # Errors
    /// When the kernel gives no descriptors.
    pub(crate) fn new(parts: Parts, starter: Starter) -> io::Result<Self> {
        let mut supervisor = Self::made(parts)?;
        supervisor.starter = starter;
        if let Some(script) = supervisor.config.global.startup {
            let (events, now) = (&supervisor.events, supervisor.now);
            supervisor.scripts.run_daemon_script(script, events, now);
        }
        supervisor.look_up_accounts();
        supervisor.open_fifos();
        tracking::write_first_numbers(&supervisor.config.trackers);
        supervisor.follow_tracked();
        supervisor.follow_reload_time();
        Ok(supervisor)
    }

    /// Nothing runs yet.
    fn made(parts: Parts) -> io::Result<Self> {
        let events = EventLoop::new()?;
        let signals = parts.signals;
        events.register_for(signals.as_fd(), SIGNALS, Interest::READABLE)?;
        let clock = Clock::new();
        let cadences = cadences(&parts.settings.config);
        Ok(Self {
            options: parts.options,
            launcher: parts.launcher,
            program: parts.program,
            namespace: parts.namespace,
            pid_paths: parts.pid_paths,
            pid_file: parts.pid_file,
            pid_files: BTreeMap::new(),
            starter: Starter::nobody(),
            events,
            signals,
            clock,
            now: clock.now(),
            phase: Phase::Starting,
            config: parts.settings.config,
            previous: None,
            generation: Generation(1),
            allocator: parts.allocator,
            identities: BTreeMap::new(),
            published: Published::default(),
            told: Told::default(),
            zero: dump::Zero::new(),
            scripts: Scripts::new(parts.settings.scripts, FIRST_SCRIPT),
            fifos: Fifos::new(FIRST_FIFO),
            tracking: Tracking::new(TRACKED_FILES, FIRST_PROCESS),
            reload_time: ReloadTime::new(RELOAD_TIME),
            mails: Vec::new(),
            vrrpd: Child::new(Tokens {
                running: [VRRPD, VRRPD_PROCESS],
                standby: VRRPD_STANDBY,
            }),
            checkerd: Child::new(Tokens {
                running: [CHECKERD, CHECKERD_PROCESS],
                standby: CHECKERD_STANDBY,
            }),
            ipvsd: Child::new(Tokens {
                running: [IPVSD, IPVSD_PROCESS],
                standby: IPVSD_STANDBY,
            }),
            more_to_read: false,
            flooded: false,
            reload_again: false,
            started_at: clock.now(),
            root_scripts: parts.root_scripts,
            held: parts.held,
            tunes: parts.tunes,
            table: parts.table,
            local_igmp: parts.local_igmp,
            pace: Pace::new(clock.now()),
            time_of_day: TimeOfDay::new(clock.utc_offset()),
            accusations: Accusations::default(),
            cadences,
            watchdog: Watchdog::from_environment(clock.now()),
            upgrade: Upgrade::None,
        })
    }

    /// Runs until the daemon has stopped, and returns its exit code.
    pub(crate) fn run(mut self) -> u8 {
        let code = self.work();
        let namespace = self.namespace.take();
        // The pid files go first.
        drop(self);
        namespace.iter().for_each(Namespace::leave);
        code
    }

    fn work(&mut self) -> u8 {
        loop {
            if let Some(code) = self.reconcile() {
                return code;
            }
            if !self.more_to_read && std::mem::take(&mut self.flooded) {
                // A thousand instances changed at once; from now on they do so one by one.
                kr_sys::memory::give_back();
            }
            let deadline = self.poll_timeout();
            self.pace.sleep(self.clock.now(), deadline);
            let wake_at = if self.more_to_read {
                Instant::ZERO
            } else {
                deadline
            };
            let ready = match self.events.wait(Some(wake_at)) {
                Ok(ready) => ready,
                Err(error) => {
                    log::error!("waiting for events failed, the daemon cannot go on: {error}");
                    return EXIT_FATAL;
                }
            };
            self.now = self.clock.now();
            self.more_to_read = false;
            for event in ready {
                self.dispatch(event.token);
            }
            if self.more_to_read {
                self.read_children();
            }
            self.beat();
        }
    }

    /// After what the children said was heard: asks whether they are alive, and tells systemd.
    fn beat(&mut self) {
        let beat = self.pace.woke(self.now);
        if !beat.stalled.is_zero() {
            self.scripts.stalled(beat.stalled);
            self.tracking.stalled(beat.stalled, self.now);
        }
        if beat.is_news {
            log::warn!(
                "this process did not run for {:.1} s (stopped, or the host lacks processor time): scripts have as \
                 much more time",
                beat.stalled.as_secs_f32()
            );
        }
        if let Some(step) = self.time_of_day.step(self.clock.utc_offset()) {
            log::info!(
                "the clock was set {step}, or the host slept: no timer depends on the time of day"
            );
        }
        let generation = self.generation;
        let [vrrpd, checkerd, ipvsd] = self.cadences;
        self.vrrpd.beat(beat, vrrpd, generation);
        self.checkerd.beat(beat, checkerd, generation);
        self.ipvsd.beat(beat, ipvsd, generation);
        let lost = self.vrrpd.is_lost() || self.checkerd.is_lost() || self.ipvsd.is_lost();
        if !lost && self.watchdog.is_due(self.now) {
            tell_systemd(&[NotifyState::Watchdog]);
        }
    }

    fn dispatch(&mut self, token: Token) {
        match token {
            SIGNALS => self.read_signals(),
            VRRPD => {
                self.vrrpd.flush();
                self.read_vrrpd();
            }
            CHECKERD => {
                self.checkerd.flush();
                self.read_checkerd();
            }
            IPVSD => {
                self.ipvsd.flush();
                self.read_ipvsd();
            }
            VRRPD_PROCESS => self.collect_vrrpd(),
            CHECKERD_PROCESS => self.collect_checkerd(),
            IPVSD_PROCESS => self.collect_ipvsd(),
            // Looked at before the next sleep.
            TRIAL => {}
            standby if is_of_standby(standby) => {}
            fifo if self.fifos.handle_ready(fifo) => {}
            tracked if self.tracking.handle_ready(tracked, &self.events, self.now) => {}
            time if self.reload_time.handle_ready(time, self.both_clocks()) => {}
            script => match self.scripts.collect(script, &self.events, self.now) {
                Some(RunEnded::Check(ended)) => self.script_ended(ended),
                Some(RunEnded::Track {
                    tracker,
                    run,
                    outcome,
                }) => self.tracking.script_ended(tracker, run, outcome, self.now),
                None => {}
            },
        }
    }

    /// Those that were killed are not waited for.
    fn collect_killed(&mut self) {
        if self.vrrpd.is_killed() {
            self.collect_vrrpd();
        }
        if self.checkerd.is_killed() {
            self.collect_checkerd();
        }
        if self.ipvsd.is_killed() {
            self.collect_ipvsd();
        }
    }

    fn collect_vrrpd(&mut self) {
        // Its last words first.
        self.read_vrrpd();
        if let Some(left) = self.vrrpd.collect(self.now) {
            self.after_end(Role::Vrrpd, left);
        }
    }

    fn collect_checkerd(&mut self) {
        self.read_checkerd();
        if let Some(left) = self.checkerd.collect(self.now) {
            self.scripts.abandon_checks(self.now);
            self.after_end(Role::Checkerd, left);
        }
    }

    fn collect_ipvsd(&mut self) {
        self.read_ipvsd();
        if let Some(left) = self.ipvsd.collect(self.now) {
            self.published.ipvs_usable = None;
            // A successor says it anew.
            self.published.services_remain = false;
            self.after_end(Role::Ipvsd, left);
        }
    }

    fn read_children(&mut self) {
        self.read_vrrpd();
        self.read_checkerd();
        self.read_ipvsd();
    }

    fn read_signals(&mut self) {
        while let Ok(Some(number)) = self.signals.read() {
            match Signal::try_from(number) {
                Ok(Signal::SIGHUP) => self.reload("SIGHUP came"),
                Ok(signal @ (Signal::SIGTERM | Signal::SIGINT)) => {
                    log::info!("stopping: {signal} came");
                    self.stop(0);
                }
                Ok(Signal::SIGUSR1) => self.with_data(dump::write_data),
                Ok(Signal::SIGUSR2) => self.write_statistics(),
                Ok(_) => log::debug!("signal {number} means nothing here"),
                // Real-time signals have no names.
                Err(_) if number == signals::json() => self.with_data(dump::write_json),
                Err(_) if number == signals::upgrade() => self.upgrade(),
                Err(_) => {
                    self.write_statistics();
                    self.zero = dump::zero(&self.published);
                }
            }
        }
    }

    fn write_statistics(&self) {
        self.with_data(|data| dump::write_statistics(data, &self.zero));
    }

    fn with_data(&self, show: impl FnOnce(&dump::Data<'_>)) {
        let children = [
            (Role::Vrrpd, process_of(&self.vrrpd)),
            (Role::Checkerd, process_of(&self.checkerd)),
            (Role::Ipvsd, process_of(&self.ipvsd)),
        ];
        let tracked = self.tracking.shown(&self.config.trackers);
        show(&dump::Data {
            tracked: &tracked,
            config: &self.config,
            label: &self.launcher.label,
            generation: self.generation,
            published: &self.published,
            parent: dump::Process {
                pid: Pid::this(),
                since: self.started_at,
                times: Some(self.events.times()),
            },
            children: &children,
            moment: dump::Moment {
                now: self.now,
                unix_seconds: self.clock.unix_seconds(),
            },
        });
    }

    /// Ends the daemon with `code`, unless it is ending already.
    fn stop(&mut self, code: u8) {
        if matches!(self.phase, Phase::Stopping { .. } | Phase::Finishing { .. }) {
            return;
        }
        self.phase = Phase::Stopping { code };
        self.stop_tracking();
        self.scripts.stop(self.now);
        tell_systemd(&[NotifyState::Stopping]);
    }

    /// Makes what runs equal to what should run; returns the exit code when nothing is left to do.
    fn reconcile(&mut self) -> Option<u8> {
        self.track();
        self.reload_at_its_time();
        self.scripts.handle_timeout(&self.events, self.now);
        let wait = self.config.global.child_wait_time;
        self.vrrpd.handle_timeout(wait, self.now);
        self.checkerd.handle_timeout(wait, self.now);
        self.ipvsd.handle_timeout(wait, self.now);
        self.collect_killed();
        match self.phase {
            // The processes wait for the `startup_script`.
            Phase::Starting if self.scripts.daemon_script_runs() => None,
            Phase::Starting | Phase::Running | Phase::Reloading | Phase::TakingOver { .. } => {
                self.replace_outdated();
                self.reconcile_children();
                self.notice_readiness();
                self.reconcile_upgrade();
                self.notice_slow_start();
                None
            }
            Phase::Stopping { code } => {
                self.reconcile_stop(code);
                None
            }
            Phase::Finishing { code, until } => {
                // Readers come to the end of their FIFO, and so to their own.
                self.fifos.close_when_written();
                let done = self.scripts.is_idle() && self.fifos.is_closed();
                if !done && self.now < until {
                    return None;
                }
                self.fifos.close();
                self.scripts.kill_all();
                Some(code)
            }
        }
    }

    /// When the loop must turn again: never later than the next question to the children.
    fn poll_timeout(&self) -> Instant {
        if self.more_to_read {
            return self.now;
        }
        let wait: Duration = self.config.global.child_wait_time;
        let phase = match self.phase {
            Phase::Finishing { until, .. } => Some(until),
            Phase::TakingOver { next_try } => Some(next_try).filter(|at| *at > self.now),
            Phase::Starting | Phase::Running | Phase::Reloading | Phase::Stopping { .. } => None,
        };
        let slow_start = self
            .starter
            .is_waiting()
            .then(|| self.started_at.saturating_add(START_PATIENCE));
        [
            self.scripts.poll_timeout(),
            self.tracking.poll_timeout(),
            self.reload_time.poll_timeout(self.both_clocks()),
            self.vrrpd.poll_timeout(wait),
            self.checkerd.poll_timeout(wait),
            self.ipvsd.poll_timeout(wait),
            self.vrrpd.standby_timeout(),
            self.checkerd.standby_timeout(),
            self.ipvsd.standby_timeout(),
            self.upgrade_timeout(),
            phase,
            slow_start,
        ]
        .into_iter()
        .flatten()
        .fold(self.now.saturating_add(PERIOD), Instant::min)
    }
}

/// A child as it is shown; `None` when it does not run.
fn process_of<E: Edge>(child: &Child<E>) -> Option<dump::Process<'_>> {
    child.running_since().map(|(pid, since)| dump::Process {
        pid,
        since,
        times: child.times(),
    })
}

/// How often each child is asked whether it lives: the VRRP, the checker and the IPVS process.
fn cadences(config: &Config) -> [Cadence; 3] {
    [
        Vrrpd::cadence(config),
        Checkerd::cadence(config),
        Ipvsd::cadence(config),
    ]
}

fn is_of_standby(token: Token) -> bool {
    [VRRPD_STANDBY, CHECKERD_STANDBY, IPVSD_STANDBY]
        .iter()
        .any(|tokens| tokens.contains(&token))
}

/// Systemd may not be there, and may be gone: neither concerns the service.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd was not told: {error}");
    }
}
