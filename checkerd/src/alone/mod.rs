//! `checkerd -f FILE`: the checks of a configuration and nothing else, as an ordinary user, without parent
//! and siblings. It reads the file itself, logs what it finds, runs the programs of `MISC_CHECK` as itself
//! and serves the pages of [`kr_check::exporter`]. It changes nothing on the host.

mod load;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use argh::{EarlyExit, FromArgs};
use kr_check::exporter::Directory;
use kr_check::{Configuration, Rng};
use kr_config::ids::IdAllocator;
use kr_config::typed::Config;
use kr_event::{Clock, EventLoop, Ready, Signals};
use kr_host::files::Files;
use kr_log::{Detail, Settings};
use kr_model::check::Probe;
use kr_model::track::TrackerSource;
use kr_model::{Generation, Instant, TrackerId};
use kr_sys::memory;
use mio::{Interest, Token};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::engine::{Engine, Request};
use crate::listener::{Listener, MOST_CLIENTS};
use crate::probe_io::Sockets;
use crate::sandbox::{MAX_RUNNING, raise_descriptor_limit};

use load::Loaded;
use scripts::Scripts;

const SIGNALS: Token = Token(1);
const LISTENER: Token = Token(2);
const FILES: Token = Token(3);
const FIRST_CLIENT_TOKEN: usize = 16;
/// Tokens from here on belong to checks ...
const FIRST_PROBE_TOKEN: usize = FIRST_CLIENT_TOKEN + MOST_CLIENTS;
/// ... and from here on to programs; the former never get so far.
const FIRST_SCRIPT_TOKEN: usize = usize::MAX / 2;

/// Descriptors that belong to no check.
const RESERVED: u64 = 64;

/// Makes the health checks of a keepalived configuration and reports them. It needs no privilege and
/// changes nothing on the host.
#[derive(FromArgs, Debug)]
pub struct Options {
    /// the configuration file
    #[argh(option, short = 'f', arg_name = "FILE")]
    file: PathBuf,
    /// serve /metrics, /status and /healthz here, for example 127.0.0.1:9650
    #[argh(option, arg_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// log each step
    #[argh(switch, short = 'D')]
    log_detail: bool,
}

/// Why the program ends, other than being told to.
#[derive(Debug)]
pub enum AloneError {
    /// The log cannot be started.
    Log,
    /// The configuration cannot run; the log says why.
    Configuration,
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The event loop failed.
    Loop(io::Error),
    /// The signal descriptor failed.
    Signals(Errno),
    /// Own memory cannot be kept out of core dumps.
    Memory(Errno),
}

impl fmt::Display for AloneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("logging was started twice"),
            Self::Configuration => f.write_str("the configuration cannot run, see above"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Loop(error) => write!(f, "event loop: {error}"),
            Self::Signals(errno) => write!(f, "signals: {errno}"),
            Self::Memory(errno) => {
                write!(f, "own memory cannot be kept out of core dumps: {errno}")
            }
        }
    }
}

impl std::error::Error for AloneError {}

/// The options of this command line; `None` when it is that of a child of keepalived-rs.
///
/// # Errors
/// Help, or what is wrong with the options.
pub fn options() -> Option<Result<Options, EarlyExit>> {
    let words: Vec<String> = env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let of_a_child = |word: &String| {
        let settings = ["--log=", "--sandbox=", "--duty=", "--protocol="];
        settings.iter().any(|name| word.starts_with(name))
            || [
                "--log-file",
                "--lock-memory",
                "--shared-account",
                "--unconfined",
            ]
            .contains(&word.as_str())
    };
    if words.iter().all(of_a_child) {
        return None;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(Options::from_args(&["checkerd"], &words))
}

/// Runs until `SIGTERM` or `SIGINT`. `SIGHUP` reads the file again.
///
/// # Errors
/// When the configuration cannot run at start, or a system call that nothing works without fails.
pub fn run(options: &Options) -> Result<(), AloneError> {
    // The configuration may hold keys.
    memory::keep_large_blocks_apart();
    memory::keep_to_itself().map_err(AloneError::Memory)?;
    let settings = Settings {
        ident: "checkerd".to_owned(),
        detail: if options.log_detail {
            Detail::Detailed
        } else {
            Detail::Normal
        },
        syslog: None,
        console: true,
    };
    kr_log::start(settings, None).map_err(|_| AloneError::Log)?;
    let mut alone = Alone::new(options)?;
    while alone.turn()? {}
    log::info!("told to end");
    Ok(())
}

struct Alone<'o> {
    options: &'o Options,
    clock: Clock,
    events: EventLoop,
    signals: Signals,
    allocator: IdAllocator,
    config: Config,
    generation: u64,
    engine: Engine,
    scripts: Scripts,
    listener: Option<Listener>,
    directory: Directory,
    /// Of `FILE_CHECK`s.
    files: Files,
    /// They may have changed more often than was read.
    more_files: bool,
}

impl<'o> Alone<'o> {
    fn new(options: &'o Options) -> Result<Self, AloneError> {
        let mut allocator = IdAllocator::default();
        let loaded = load::load(&options.file, None, &mut allocator);
        let Loaded { config, runnable } =
            loaded.into_startable().ok_or(AloneError::Configuration)?;
        let events = EventLoop::new().map_err(AloneError::Loop)?;
        let signals = [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT];
        let signals = Signals::new(&signals).map_err(AloneError::Signals)?;
        events
            .register_for(signals.as_fd(), SIGNALS, Interest::READABLE)
            .map_err(AloneError::Loop)?;
        let listen = |address| {
            Listener::open(address, LISTENER.0, FIRST_CLIENT_TOKEN, &events)
                .map_err(|error| AloneError::Listen(address, error))
        };
        let listener = options.listen.map(listen).transpose()?;
        if let Some(address) = listener
            .as_ref()
            .and_then(|listener| listener.address().ok())
        {
            log::info!("listening on {address} for /metrics, /status and /healthz");
        }
        // A program that runs takes a descriptor for itself and one for the news of its start.
        let running = raise_descriptor_limit().saturating_sub(RESERVED) / 2;
        let running = usize::try_from(running.min(MAX_RUNNING)).unwrap_or(usize::MAX);
        let clock = Clock::new();
        let seed = clock.now().as_micros() ^ u64::from(std::process::id());
        let mut alone = Self {
            options,
            clock,
            events,
            signals,
            allocator,
            engine: Engine::new(running, Rng::new(seed), FIRST_PROBE_TOKEN, Sockets::Own),
            scripts: Scripts::new(FIRST_SCRIPT_TOKEN),
            listener,
            directory: Directory::default(),
            files: Files::default(),
            more_files: false,
            generation: 0,
            config: config.clone(),
        };
        alone.configure(Loaded { config, runnable });
        Ok(alone)
    }

    /// One wake-up. False: told to end.
    fn turn(&mut self) -> Result<bool, AloneError> {
        let deadline = self.deadline();
        let ready = self
            .events
            .wait_coarsely(deadline, self.clock.now())
            .map_err(AloneError::Loop)?;
        let now = self.clock.now();
        for ready in ready {
            match ready.token {
                SIGNALS => {
                    if !self.read_signals()? {
                        self.scripts.kill_all();
                        return Ok(false);
                    }
                }
                FILES => self.more_files = true,
                LISTENER => self.listener.iter_mut().for_each(Listener::knocked),
                Token(token) => self.ready(token, ready, now),
            }
        }
        self.follow_files(now);
        self.engine.pass(now);
        self.carry_out(now);
        self.scripts.handle_timeout(now);
        if let Some(listener) = &mut self.listener {
            listener.pass(&self.events, &self.directory, self.engine.checks(), now);
        }
        Ok(true)
    }

    fn deadline(&self) -> Option<Instant> {
        let listener = self.listener.as_ref().and_then(Listener::poll_timeout);
        let all = [
            self.engine.poll_timeout(),
            self.scripts.poll_timeout(),
            self.files.poll_timeout(),
            self.more_files.then_some(Instant::ZERO),
            listener,
        ];
        all.into_iter().flatten().min()
    }

    fn ready(&mut self, token: usize, ready: Ready, now: Instant) {
        if let Some(listener) = &mut self.listener
            && listener.ready(token)
        {
            return;
        }
        if token < FIRST_SCRIPT_TOKEN {
            self.engine.ready(ready, now);
        } else if let Some((checker, run, outcome)) = self.scripts.collect(Token(token)) {
            self.engine.script_ended(checker, run, outcome, now);
        }
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(request) = self.engine.poll_request(&self.events, now) {
            match request {
                Request::RunScript { checker, run } => {
                    if let Err(outcome) = self.scripts.start(checker, run, &self.events, now) {
                        self.engine.script_ended(checker, run, outcome, now);
                    }
                }
                // There is no table to keep and no successor.
                Request::Verdict { .. } | Request::Snapshot(_) => {}
            }
        }
    }

    /// Reads files that changed.
    fn follow_files(&mut self, now: Instant) {
        let mut values = Vec::new();
        if self.more_files {
            (values, self.more_files) = self.files.handle_ready(now);
        }
        values.extend(self.files.handle_timeout(now));
        for new in values {
            self.engine.number(new.tracker, new.value, now);
        }
    }

    /// Follows the files of the configuration. The parent of keepalived-rs writes `init_file`; this program
    /// changes nothing.
    fn replace_files(&mut self, now: Instant) {
        let files = self.config.trackers.iter().filter_map(|(id, entry)| {
            if let TrackerSource::File(file) = &entry.source {
                Some((*id, file.path.clone()))
            } else {
                None
            }
        });
        let files: BTreeMap<TrackerId, PathBuf> = files.collect();
        let ids: Vec<TrackerId> = files.keys().copied().collect();
        let before = self.files.descriptor().is_some();
        self.files.replace(files, now);
        if let Some(descriptor) = self.files.descriptor().filter(|_| !before)
            && let Err(error) = self
                .events
                .register_for(descriptor, FILES, Interest::READABLE)
        {
            log::error!("files cannot be watched: {error}");
        }
        for id in ids {
            self.engine.number(id, self.files.value(id), now);
        }
    }

    /// False: told to end.
    fn read_signals(&mut self) -> Result<bool, AloneError> {
        while let Some(number) = self.signals.read().map_err(AloneError::Signals)? {
            if number != Signal::SIGHUP as i32 {
                return Ok(false);
            }
            log::info!("reading {} again", self.options.file.display());
            let running = Some(&self.config);
            let loaded = load::load(&self.options.file, running, &mut self.allocator);
            match loaded.into_reloadable() {
                Some(loaded) => self.configure(loaded),
                None => log::error!(
                    "the reload is refused because of the errors above: the old checks go on"
                ),
            }
        }
        Ok(true)
    }

    fn configure(&mut self, loaded: Loaded) {
        let Loaded { config, runnable } = loaded;
        let now = self.clock.now();
        self.generation = self.generation.saturating_add(1);
        let checkers: Vec<_> = config
            .checkers
            .values()
            .map(|entry| entry.checker.clone())
            .collect();
        for checker in &checkers {
            if !checker.socket_rules().is_empty() {
                log::warn!(
                    "{} has fwmark or a bind_port below 1024: that needs a privilege, for which keepalived-rs has its \
                     IPVS process; here this process must hold it itself",
                    checker.label()
                );
            }
        }
        for checker in &checkers {
            if let Probe::Bfd { .. } = checker.probe {
                log::warn!(
                    "{} follows a BFD session, of which only keepalived-rs has a VRRP process: here it stays {}",
                    checker.label(),
                    if checker.alpha { "down" } else { "up" },
                );
            }
        }
        self.directory = Directory::new(checkers.iter());
        self.scripts.replace(runnable, now);
        let configuration = Configuration {
            generation: Generation(self.generation),
            checkers,
            kept: BTreeSet::new(),
            share: config.checker.share,
            resume: Vec::new(),
        };
        self.engine
            .configure(config.checker.clone(), configuration, now);
        self.config = config;
        self.replace_files(now);
    }
}
