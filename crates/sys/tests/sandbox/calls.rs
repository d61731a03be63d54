//! System calls by number, and those that no role may make whatever the arguments.

use std::sync::atomic::{AtomicI64, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_long};

macro_rules! never {
    ($($number:ident),* $(,)?) => { &[$((stringify!($number), libc::$number)),*] };
}

/// Of the roles only checkerd has clients (`metrics_listen`).
pub(crate) const FOR_CHECKERD_ALONE: &[(&str, c_long)] = never![SYS_listen, SYS_accept4];

/// With arguments of zero they do no harm should they be made.
pub(crate) const NEVER: &[(&str, c_long)] = never![
    // Other programs, other processes.
    SYS_execve,
    SYS_execveat,
    SYS_clone,
    SYS_clone3,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_kill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_kcmp,
    // Rights.
    SYS_setuid,
    SYS_setgid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_setsid,
    SYS_setpgid,
    SYS_capset,
    SYS_unshare,
    SYS_setns,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_seccomp,
    SYS_prlimit64,
    SYS_setpriority,
    SYS_ioprio_set,
    SYS_sched_setscheduler,
    SYS_sched_setaffinity,
    SYS_personality,
    // Files.
    SYS_openat2,
    SYS_open_by_handle_at,
    SYS_unlinkat,
    SYS_renameat2,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_ftruncate,
    SYS_getdents64,
    SYS_chdir,
    SYS_chroot,
    SYS_pivot_root,
    SYS_mount,
    SYS_umount2,
    SYS_fsopen,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_name_to_handle_at,
    SYS_setxattr,
    SYS_utimensat,
    SYS_statfs,
    SYS_memfd_create,
    SYS_memfd_secret,
    SYS_inotify_init1,
    SYS_fanotify_init,
    // Sockets.
    SYS_socketpair,
    // The kernel.
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_userfaultfd,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_syslog,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_vhangup,
    SYS_quotactl,
    // Memory shared with others.
    SYS_shmget,
    SYS_shmat,
    SYS_semget,
    SYS_msgget,
    SYS_mq_open,
    SYS_remap_file_pages,
    SYS_pkey_mprotect,
];

static NUMBER: AtomicI64 = AtomicI64::new(0);

/// Says which call [`attempt`] makes.
pub(crate) fn attempt_number(number: c_long) {
    NUMBER.store(number, Ordering::Relaxed);
}

/// Makes the call with arguments of zero.
pub(crate) fn attempt() -> Result<(), Errno> {
    call(NUMBER.load(Ordering::Relaxed), [0; 6])
}

/// Makes any call. Pointers among the arguments must be zero or to memory that the call may use.
pub(crate) fn call(number: c_long, arguments: [c_long; 6]) -> Result<(), Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the callers pass numbers, zero for pointers, or pointers to living memory of the length
    // that they pass; a new process or program, should one begin, shares nothing with this one.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    Errno::result(result).map(drop)
}

/// The version of Landlock's interface; 0 without Landlock.
pub(crate) fn landlock_version() -> i32 {
    // SAFETY: with no attribute and this flag (LANDLOCK_CREATE_RULESET_VERSION) the call returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    i32::try_from(version.max(0)).unwrap()
}
