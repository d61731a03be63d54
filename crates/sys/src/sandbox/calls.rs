//! The system calls of each role. A call without a row ends the process: a row that is missing for a
//! library's rare path kills in production, so those paths are listed with their reason as well.
//!
//! Found by `--sandbox=log` and `strace -f` over the tests of each daemon. A test lets a daemon do all its work and
//! compares (`tests/system/tests/rows`): a row that nobody makes use of has to say why it is there all the same.

use nix::libc::{
    self, AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, F_DUPFD_CLOEXEC, F_GETFD, IP_ADD_MEMBERSHIP,
    IP_DROP_MEMBERSHIP, IP_FREEBIND, IP_HDRINCL, IP_MULTICAST_ALL, IP_MULTICAST_LOOP, IP_PKTINFO,
    IP_RECVERR, IP_RECVTTL, IP_TOS, IP_TTL, IPPROTO_AH, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP,
    IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP,
    IPV6_FREEBIND, IPV6_HDRINCL, IPV6_MULTICAST_ALL, IPV6_MULTICAST_LOOP, IPV6_RECVERR,
    IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY,
    NETLINK_GENERIC, O_APPEND, O_CREAT, O_RDWR, O_TRUNC, O_WRONLY, PR_GET_SECCOMP, PROT_EXEC,
    SIGABRT, SO_ATTACH_FILTER, SO_BINDTODEVICE, SO_ERROR, SO_LINGER, SO_MARK, SO_PRIORITY,
    SO_RCVBUF, SO_RCVBUFFORCE, SO_REUSEADDR, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET, c_int,
};

use super::call::{Must, Row, Test, is, kind, permit, refuse, without};
use crate::privilege::{Duty, Role};

/// `FIONBIO` of `asm-generic/ioctls.h`; the C libraries do not agree on its type.
const FIONBIO: c_int = 0x5421;

/// The protocol number of VRRP (RFC 9568 section 5.1.1.4).
const IPPROTO_VRRP: c_int = 112;

/// Protocol 0: the family's usual one.
const DEFAULT_PROTOCOL: c_int = 0;

const OWN: Test = Test {
    argument: 0,
    must: Must::BeThisProcess,
    text: "itself",
};

/// Why a row is of no use where the tests run.
const MUSL: &str = "made by programs with the C library musl";
const ELSEWHERE: &str = "made by programs with musl, and on architectures without the older call";
const ALLOCATOR: &str = "depends on the sizes of what is allocated, and their order";
const FAULT: &str =
    "made by a fault only; `tests/sandbox` of this crate aborts and overflows on purpose";
const NO_STATX: &str = "made where the kernel has no statx";

const ONLY_READ: Test = without!(2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND);

/// What every role may do: wait, talk over the channels, log, manage its memory, end.
const COMMON: &[Row] = &[
    // Waiting.
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_epoll_wait, "the loop waits"),
    permit!(
        SYS_epoll_pwait,
        "the loop waits (musl, and architectures without epoll_wait)"
    )
    .rare(ELSEWHERE),
    permit!(
        SYS_epoll_ctl,
        "the loop watches sockets that come and forgets those that go"
    ),
    permit!(
        SYS_clock_gettime,
        "the time, where the kernel offers no vDSO for it"
    )
    .rare("with a vDSO it is no system call"),
    #[cfg(target_arch = "x86_64")]
    permit!(SYS_poll, "the log asks whether the console takes a line"),
    permit!(
        SYS_ppoll,
        "the log asks whether the console takes a line (architectures without poll)"
    )
    .rare(ELSEWHERE),
    permit!(
        SYS_restart_syscall,
        "the kernel goes on with a wait that SIGSTOP interrupted"
    )
    .rare("needs a stop within the few microseconds of poll or of a rest"),
    // Descriptors that are open already.
    permit!(SYS_read, "timer, signals, connections"),
    permit!(SYS_write, "log lines, connections"),
    permit!(SYS_close, "closes what is no longer used"),
    permit!(SYS_recvmsg, "messages of other processes and of the kernel"),
    permit!(SYS_sendmsg, "messages to other processes"),
    permit!(SYS_sendto, "packets, requests, syslog lines"),
    permit!(
        SYS_fcntl,
        "debug builds look at a descriptor before they close it",
        &[is!(1, F_GETFD)]
    )
    .rare("release builds do not look"),
    // The log connects again when the syslog server was restarted.
    permit!(
        SYS_socket,
        "the log connects to the syslog server again",
        &[is!(0, AF_UNIX), kind!(SOCK_DGRAM), is!(2, DEFAULT_PROTOCOL)],
    ),
    permit!(SYS_connect, "the log connects to the syslog server again"),
    permit!(
        SYS_ioctl,
        "a new socket shall not block",
        &[is!(1, FIONBIO)]
    ),
    // Memory.
    permit!(SYS_brk, "the allocator"),
    permit!(
        SYS_mmap,
        "the allocator; never memory that can be executed",
        &[without!(2, PROT_EXEC)]
    )
    .rare(ALLOCATOR),
    permit!(SYS_munmap, "the allocator"),
    permit!(SYS_mremap, "the allocator").rare(ALLOCATOR),
    permit!(SYS_madvise, "the allocator").rare(ALLOCATOR),
    permit!(
        SYS_mprotect,
        "the allocator (musl); never memory that can be executed",
        &[without!(2, PROT_EXEC)]
    )
    .rare(ALLOCATOR),
    permit!(
        SYS_getrandom,
        "seeds of hash tables, of the TLS library and of random waits"
    )
    .rare("made where something makes its first hash table, in checkerd alone so far"),
    // Ending, also by a fault of this program.
    permit!(SYS_exit_group, "the end"),
    permit!(SYS_exit, "the end (musl, after exit_group)").rare(MUSL),
    permit!(
        SYS_futex,
        "locks of the standard library, should one ever wait"
    )
    .rare("there is one thread, which waits for nobody"),
    permit!(
        SYS_sigaltstack,
        "the standard library gives back the stack of its overflow handler at the end"
    ),
    permit!(
        SYS_rt_sigaction,
        "a fault: the overflow handler and abort restore the default action"
    )
    .rare(FAULT),
    permit!(SYS_rt_sigprocmask, "a fault: abort unblocks its signal").rare(FAULT),
    permit!(
        SYS_rt_sigreturn,
        "a fault: return from the overflow handler"
    )
    .rare(FAULT),
    permit!(SYS_getpid, "a fault: abort names the process").rare(FAULT),
    permit!(SYS_gettid, "a fault: abort names the thread").rare(FAULT),
    permit!(SYS_tgkill, "a fault: abort", &[OWN, is!(2, SIGABRT)]).rare(FAULT),
    permit!(SYS_tkill, "a fault: abort (musl)", &[OWN, is!(1, SIGABRT)]).rare(FAULT),
    permit!(
        SYS_prctl,
        "start-up asks whether this filter is in force",
        &[is!(0, PR_GET_SECCOMP)]
    ),
];

/// `vrrpd` and `ipvsd` wait for microseconds, and have no file to open.
const BESIDE_CHECKERD: &[Row] = &[
    permit!(SYS_timerfd_settime, "the loop's deadline, in microseconds"),
    refuse!(
        SYS_openat,
        "no file is opened; a library that looks for one goes on without"
    )
    .rare("no library looks for one so far"),
    #[cfg(target_arch = "x86_64")]
    refuse!(
        SYS_open,
        "no file is opened; a library that looks for one goes on without (musl)"
    )
    .rare(MUSL),
];

const VRRPD: &[Row] = &[
    permit!(SYS_recvfrom, "packets, and what waits at a new socket"),
    permit!(SYS_recvmmsg, "many adverts at once"),
    permit!(SYS_sendmmsg, "many adverts at once"),
    permit!(
        SYS_clock_nanosleep,
        "a short rest when adverts come faster than they need be heard"
    ),
    permit!(
        SYS_socket,
        "adverts of an interface that comes or is configured",
        &[is!(0, AF_INET), kind!(SOCK_RAW), is!(2, IPPROTO_VRRP)],
        &[is!(0, AF_INET), kind!(SOCK_RAW), is!(2, IPPROTO_AH)],
        &[is!(0, AF_INET6), kind!(SOCK_RAW), is!(2, IPPROTO_VRRP)],
    ),
    permit!(
        SYS_socket,
        "BFD packets, for all sessions in and for each session out",
        &[is!(0, AF_INET), kind!(SOCK_DGRAM), is!(2, IPPROTO_UDP)],
        &[is!(0, AF_INET6), kind!(SOCK_DGRAM), is!(2, IPPROTO_UDP)],
    ),
    permit!(
        SYS_bind,
        "the ports of BFD, a source port for each session, and changes of routes while there are any"
    ),
    permit!(
        SYS_setsockopt,
        "such a socket: TTL in and out, traffic class, a source address that is not there yet",
        &[is!(1, IPPROTO_IP), is!(2, IP_TTL)],
        &[is!(1, IPPROTO_IP), is!(2, IP_TOS)],
        &[is!(1, IPPROTO_IP), is!(2, IP_RECVTTL)],
        &[is!(1, IPPROTO_IP), is!(2, IP_PKTINFO)],
        &[is!(1, IPPROTO_IP), is!(2, IP_FREEBIND)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_V6ONLY)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_UNICAST_HOPS)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_TCLASS)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_FREEBIND)],
    ),
    permit!(
        SYS_setsockopt,
        "such a socket: one interface, own header, no copies, its groups, only own router ids",
        &[is!(1, SOL_SOCKET), is!(2, SO_BINDTODEVICE)],
        &[is!(1, SOL_SOCKET), is!(2, SO_PRIORITY)],
        &[is!(1, SOL_SOCKET), is!(2, SO_ATTACH_FILTER)],
        &[is!(1, IPPROTO_IP), is!(2, IP_HDRINCL)],
        &[is!(1, IPPROTO_IP), is!(2, IP_MULTICAST_LOOP)],
        &[is!(1, IPPROTO_IP), is!(2, IP_MULTICAST_ALL)],
        &[is!(1, IPPROTO_IP), is!(2, IP_ADD_MEMBERSHIP)],
        &[is!(1, IPPROTO_IP), is!(2, IP_DROP_MEMBERSHIP)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_HDRINCL)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_MULTICAST_LOOP)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_MULTICAST_ALL)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_RECVHOPLIMIT)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_RECVPKTINFO)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_ADD_MEMBERSHIP)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_DROP_MEMBERSHIP)],
    ),
];

const IPVSD: &[Row] = &[
    permit!(
        SYS_socket,
        "the kernel's IPVS table, opened again after an error",
        &[is!(0, AF_NETLINK), kind!(SOCK_RAW), is!(2, NETLINK_GENERIC)],
    ),
    permit!(
        SYS_setsockopt,
        "room for the answers about a large table",
        &[is!(1, SOL_SOCKET), is!(2, SO_RCVBUFFORCE)],
    ),
    permit!(
        SYS_setsockopt,
        "the same, in a container",
        &[is!(1, SOL_SOCKET), is!(2, SO_RCVBUF)],
    )
    .rare("made where CAP_NET_ADMIN is that of a container alone"),
    permit!(
        SYS_fcntl,
        "net_namespace_ipvs: the socket that the parent opened, taken again after an error",
        &[is!(1, F_DUPFD_CLOEXEC)],
    ),
    permit!(SYS_bind, "an address for such a socket"),
    permit!(
        SYS_getsockname,
        "which address the kernel chose for such a socket"
    ),
];

/// `ipvsd`, when checks have a mark or a low source port. It connects none of these sockets.
const CHECK_SOCKETS: &[Row] = &[
    permit!(
        SYS_socket,
        "sockets of checks with fwmark or a low bind_port, for the checker process",
        &[is!(0, AF_INET), kind!(SOCK_STREAM), is!(2, IPPROTO_TCP)],
        &[is!(0, AF_INET6), kind!(SOCK_STREAM), is!(2, IPPROTO_TCP)],
        &[is!(0, AF_INET), kind!(SOCK_DGRAM), is!(2, IPPROTO_UDP)],
        &[is!(0, AF_INET6), kind!(SOCK_DGRAM), is!(2, IPPROTO_UDP)],
    ),
    permit!(
        SYS_setsockopt,
        "fwmark, bind_if and bind_port of such a socket",
        &[is!(1, SOL_SOCKET), is!(2, SO_MARK)],
        &[is!(1, SOL_SOCKET), is!(2, SO_BINDTODEVICE)],
        &[is!(1, SOL_SOCKET), is!(2, SO_REUSEADDR)],
    ),
];

const CHECKERD: &[Row] = &[
    permit!(SYS_recvfrom, "answers of servers"),
    permit!(
        SYS_socket,
        "checks and mail over TCP, questions to name servers over UDP",
        &[is!(0, AF_INET), kind!(SOCK_STREAM), is!(2, IPPROTO_TCP)],
        &[is!(0, AF_INET6), kind!(SOCK_STREAM), is!(2, IPPROTO_TCP)],
        &[is!(0, AF_INET), kind!(SOCK_DGRAM), is!(2, DEFAULT_PROTOCOL)],
        &[
            is!(0, AF_INET6),
            kind!(SOCK_DGRAM),
            is!(2, DEFAULT_PROTOCOL)
        ],
    ),
    permit!(SYS_connect, "checks, mail, questions to name servers"),
    permit!(
        SYS_socket,
        "DNS_CHECK and UDP_CHECK",
        &[is!(0, AF_INET), kind!(SOCK_DGRAM), is!(2, IPPROTO_UDP)],
        &[is!(0, AF_INET6), kind!(SOCK_DGRAM), is!(2, IPPROTO_UDP)],
    ),
    permit!(
        SYS_socket,
        "PING_CHECK; the kernel lets only echo requests out, and only of the groups in ping_group_range",
        &[is!(0, AF_INET), kind!(SOCK_DGRAM), is!(2, IPPROTO_ICMP)],
        &[is!(0, AF_INET6), kind!(SOCK_DGRAM), is!(2, IPPROTO_ICMPV6)],
    ),
    permit!(
        SYS_bind,
        "bindto and bind_port of a check; a port of its own for each question"
    ),
    permit!(
        SYS_setsockopt,
        "bind_if and bind_port of a check",
        &[is!(1, SOL_SOCKET), is!(2, SO_BINDTODEVICE)],
        &[is!(1, SOL_SOCKET), is!(2, SO_REUSEADDR)],
        &[is!(1, SOL_SOCKET), is!(2, SO_LINGER)],
    ),
    permit!(SYS_listen, "metrics_listen"),
    permit!(SYS_accept4, "clients of metrics_listen"),
    permit!(SYS_shutdown, "the end of an answer to such a client"),
    permit!(
        SYS_setsockopt,
        "ICMP errors of UDP_CHECK and PING_CHECK",
        &[is!(1, IPPROTO_IP), is!(2, IP_RECVERR)],
        &[is!(1, IPPROTO_IPV6), is!(2, IPV6_RECVERR)],
    ),
    permit!(
        SYS_getsockopt,
        "how a connection ended",
        &[is!(1, SOL_SOCKET), is!(2, SO_ERROR)]
    ),
    permit!(
        SYS_openat,
        "reads /etc/hosts and /etc/resolv.conf before a mail; Landlock allows no other file",
        &[ONLY_READ]
    ),
    #[cfg(target_arch = "x86_64")]
    permit!(
        SYS_open,
        "reads /etc/hosts and /etc/resolv.conf before a mail (musl)",
        &[without!(
            1,
            O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND
        )]
    )
    .rare(MUSL),
    permit!(SYS_statx, "how long such a file is"),
    permit!(
        SYS_fstat,
        "how long such a file is (kernels without statx, as older C libraries ask)"
    )
    .rare(NO_STATX),
    permit!(
        SYS_newfstatat,
        "how long such a file is (kernels without statx, as newer C libraries ask)"
    )
    .rare(NO_STATX),
];

impl Role {
    /// The system calls of the role. A call may have several rows; then each adds its cases.
    pub fn calls(self) -> impl Iterator<Item = &'static Row> {
        let own: [&'static [Row]; 2] = match self {
            Self::Vrrpd => [VRRPD, BESIDE_CHECKERD],
            Self::Checkerd => [CHECKERD, &[]],
            Self::Ipvsd => [IPVSD, BESIDE_CHECKERD],
        };
        COMMON.iter().chain(own.into_iter().flatten())
    }
}

impl Duty {
    /// The system calls that it adds to those of the role.
    pub fn calls(self) -> impl Iterator<Item = &'static Row> {
        match self {
            // The sockets of the packet filter are open before the sandbox is entered.
            Self::Usual | Self::Firewall => &[],
            Self::Sockets | Self::LowPorts => CHECK_SOCKETS,
        }
        .iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn rows_of_the_same_call_have_cases_all_or_none() {
        for role in Role::ALL {
            let mut rows: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
            for row in role.calls().chain(Duty::LowPorts.calls()) {
                rows.entry(row.number).or_default().push(row);
            }
            for rows in rows.values().filter(|rows| rows.len() > 1) {
                let kind = |row: &Row| std::mem::discriminant(&row.verdict);
                let first = kind(rows[0]);
                assert!(rows.iter().all(|row| kind(row) == first), "{rows:?}");
            }
        }
    }

    #[test]
    fn no_role_may_start_a_program_or_gain_a_right() {
        let never = [
            "execve",
            "execveat",
            "fork",
            "vfork",
            "clone",
            "clone3",
            "ptrace",
            "setuid",
            "setresuid",
            "capset",
            "mount",
            "unshare",
            "setns",
            "kill",
            "init_module",
            "finit_module",
            "bpf",
            "pidfd_open",
            "process_vm_writev",
            "keyctl",
            "seccomp",
            "io_uring_setup",
            "userfaultfd",
            "perf_event_open",
            "socketpair",
            "chroot",
        ];
        for role in Role::ALL {
            for row in role.calls().chain(Duty::LowPorts.calls()) {
                assert!(!never.contains(&row.name()), "{role:?}: {}", row.name());
            }
        }
    }
}
