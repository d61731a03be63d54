//! Settings of the daemon itself, which only the parent needs.

use std::path::PathBuf;
use std::time::Duration;

use crate::ids::ScriptId;
use crate::script::ScriptUser;

/// `global_defs` and root keywords that the parent acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    /// `router_id`, else the host's name: the subject prefix of mail.
    pub router_id: String,
    /// `instance`: label of pid files and logs.
    pub instance_name: Option<String>,
    /// `use_pid_dir`.
    pub use_pid_dir: bool,
    /// `child_wait_time`: from asking a child to stop to killing it. Default 5 s.
    pub child_wait_time: Duration,
    /// `script_user`.
    pub script_user: Option<ScriptUser>,
    /// `enable_script_security`.
    pub script_security: bool,
    /// `use_symlink_paths`.
    pub script_links: bool,
    /// `set_supplementary_groups`.
    pub script_groups: bool,
    /// `script_no_new_privileges`.
    pub script_no_new_privileges: bool,
    /// `script_read_only`: the directories that scripts may write to. `None`: as their accounts may.
    pub script_read_only: Option<Vec<PathBuf>>,
    /// `sandbox strict`.
    pub strict_sandbox: bool,
    /// `startup_script`.
    pub startup: Option<DaemonScript>,
    /// `shutdown_script`.
    pub shutdown: Option<DaemonScript>,
    /// `no_email_faults`.
    pub no_fault_mail: bool,
    /// `no_checker_emails`.
    pub no_checker_mail: bool,
    /// Accounts of the child processes.
    pub accounts: Accounts,
    /// `vrrp_priority` and its like: the VRRP process.
    pub vrrp_process: ProcessSettings,
    /// `checker_priority` and its like: the checker process and the IPVS process.
    pub checker_process: ProcessSettings,
    /// `umask`; the usual one is [`DEFAULT_UMASK`].
    pub umask: u32,
    /// `net_namespace`.
    pub namespace: Option<String>,
    /// `net_namespace_ipvs`.
    pub ipvs_namespace: IpvsNamespace,
    /// `reload_check_config` and its like.
    pub reload: ReloadSettings,
    /// `data_use_instance`, `state_dump_file` and its like.
    pub dumps: DumpSettings,
    /// `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo`: no path twice.
    pub fifos: Vec<NotifyFifo>,
    /// `vrrp_notify_priority_changes`.
    pub tells_priority_changes: bool,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_states_on_reload: bool,
}

/// Files are for their owner alone.
pub const DEFAULT_UMASK: u32 = 0o177;

/// How the kernel runs a child process. The default leaves everything as the parent was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessSettings {
    /// `vrrp_priority`: the nice value.
    pub nice: i8,
    /// `vrrp_rt_priority`: the priority of `SCHED_RR`; 0 is ordinary scheduling.
    pub realtime: u8,
    /// `vrrp_rlimit_rttime`.
    pub realtime_limit: Option<Duration>,
    /// `vrrp_cpu_affinity`; empty is all.
    pub cpus: Vec<u16>,
    /// `vrrp_no_swap`.
    pub locks_memory: bool,
}

/// `net_namespace_ipvs`: whose IPVS table is programmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum IpvsNamespace {
    /// That of the daemon's own network namespace.
    #[default]
    Own,
    /// That of the namespace in which the daemon was started, before it entered its own.
    Start,
    /// That of a namespace which `ip netns` lists.
    Named(String),
}

/// What is done around a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadSettings {
    /// `reload_check_config`.
    pub check: ReloadCheck,
    /// `reload_time_file`: an absolute path.
    pub time_file: Option<PathBuf>,
    /// `reload_repeat`: a time without a date counts every day.
    pub repeat: bool,
    /// `reload_file`.
    pub marker: Option<ReloadMarker>,
}

/// `reload_check_config`: what a new configuration must be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReloadCheck {
    /// Without errors.
    #[default]
    Errors,
    /// Such that a test of it finds nothing; what the test says is written there.
    Findings {
        /// The file, which is replaced at each reload.
        log: Option<PathBuf>,
    },
}

/// `reload_file`: which file there is while the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadMarker {
    /// `keepalived.reload` beside the pid files.
    BesidePidFiles,
    /// This one, an absolute path.
    File(PathBuf),
}

/// Names and forms of dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpSettings {
    /// `data_use_instance`.
    pub with_instance: bool,
    /// `json_version`.
    pub json: JsonVersion,
    /// `state_dump_file`.
    pub state: Option<String>,
    /// `stats_dump_file`.
    pub statistics: Option<String>,
    /// `json_dump_file`.
    pub json_file: Option<String>,
}

/// `json_version`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JsonVersion {
    /// An array of instances.
    #[default]
    One,
    /// An object with instances and tracked processes.
    Two,
}

/// A script that runs before the processes start, or after they have stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaemonScript {
    /// The script.
    pub script: ScriptId,
    /// When it is ended. Default 10 s.
    pub limit: Duration,
}

/// A FIFO that gets a line for each change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyFifo {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its owner; `None` is `script_user`, then the parent's user.
    pub user: Option<ScriptUser>,
    /// It gets the lines of instances and sync groups.
    pub vrrp: bool,
    /// It gets the lines of virtual and real servers.
    pub lvs: bool,
    /// The program that reads it, when the parent is to start one.
    pub reader: Option<ScriptId>,
}

/// `vrrpd_user`, `checkerd_user`, `ipvsd_user`: own keywords; accounts the children run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// Default `keepalived-vrrp`.
    pub vrrpd: String,
    /// Default `keepalived-check`.
    pub checkerd: String,
    /// Default `keepalived-ipvs`.
    pub ipvsd: String,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            vrrpd: "keepalived-vrrp".to_owned(),
            checkerd: "keepalived-check".to_owned(),
            ipvsd: "keepalived-ipvs".to_owned(),
        }
    }
}
