//! What somebody would try who has taken a process over, and what becomes of it.

use std::ffi::CStr;
use std::io;

use kr_testkit::captive::{Argument, Captive, End};
use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::Fate::{self, Its, Killed, Reaches, ReachesWhereBuilt, Refused, Works};
use super::{ABSTRACT, Scene, number};

/// One of them.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// Oldest Landlock interface of a kernel with which it fails everywhere.
    pub(super) landlock: i64,
    pub(super) attempt: fn(&mut Captive, &Scene) -> io::Result<End>,
    /// For root outside of the daemon.
    pub(super) outside: Fate,
    /// For vrrpd, checkerd, ipvsd, the parent, and a script of `nobody`.
    pub(super) fates: [Fate; 5],
}

/// No child, and nobody else who lacks the right.
const NOBODY: [Fate; 5] = [Killed, Killed, Killed, Refused, Refused];

const PARENT_READS: Fate = Its("it reads the configuration, and looks at scripts");
const PARENT_IS_ROOT: Fate =
    Its("files of root are open to root; the unit, AppArmor and SELinux take them away");
const PARENT_GIVES: Fate = Its("it holds what it gives to its children");
const PARENT_NETWORK: Fate =
    Its("a script may use the network; AppArmor and SELinux take it from the parent");
const PARENT_STARTS: Fate = Its("it starts children and scripts, and ends them");
const SCRIPT: Fate = Its("every program of that account may, and the operator chose it");
const CHECKS: Fate = Its("servers that are checked are anywhere");

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "open the passwords",
        landlock: 0,
        attempt: |captive, _| open(captive, c"/etc/shadow", libc::O_RDONLY),
        outside: Works,
        fates: [Refused, Refused, Refused, PARENT_READS, Refused],
    },
    Attack {
        name: "open a file that everybody may read",
        landlock: 1,
        attempt: |captive, _| open(captive, c"/etc/passwd", libc::O_RDONLY),
        outside: Works,
        fates: [Refused, Refused, Refused, PARENT_READS, SCRIPT],
    },
    Attack {
        name: "write to the configuration",
        landlock: 0,
        attempt: |captive, scene| {
            open(
                captive,
                &scene.configuration,
                libc::O_WRONLY | libc::O_APPEND,
            )
        },
        outside: Works,
        fates: [Refused, Killed, Refused, PARENT_IS_ROOT, Refused],
    },
    Attack {
        name: "write to a file of a stranger",
        landlock: 0,
        attempt: |captive, scene| open(captive, &scene.foreign, libc::O_WRONLY | libc::O_APPEND),
        outside: Works,
        fates: [Refused, Killed, Refused, Refused, Refused],
    },
    Attack {
        name: "make a file",
        landlock: 0,
        attempt: |captive, scene| open(captive, &scene.free, libc::O_WRONLY | libc::O_CREAT),
        outside: Works,
        fates: [Refused, Killed, Refused, PARENT_IS_ROOT, Refused],
    },
    Attack {
        name: "make a device",
        landlock: 0,
        attempt: |captive, scene| {
            let kind = number(libc::S_IFBLK | 0o600);
            let path = Argument::Bytes(scene.free.as_bytes_with_nul());
            captive.call(libc::SYS_mknodat, &[HERE, path, kind, number(0x0100)])
        },
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "connect elsewhere",
        landlock: 0,
        attempt: |captive, _| {
            let made = socket(captive, libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
            // Nobody listens at port 9 of this host: who is answered so has reached it.
            connect(
                captive,
                made,
                &[2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            )
        },
        outside: Reaches(Errno::ECONNREFUSED),
        fates: [Killed, CHECKS, Killed, PARENT_NETWORK, SCRIPT],
    },
    Attack {
        name: "connect to a local server",
        landlock: 0,
        attempt: |captive, scene| {
            let made = socket(captive, libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
            let path = scene.server.as_bytes_with_nul();
            connect(captive, made, &[&[1, 0], path].concat())
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_IS_ROOT, SCRIPT],
    },
    Attack {
        name: "send to an abstract socket",
        landlock: 6,
        attempt: |captive, _| {
            let made = socket(captive, libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
            connect(captive, made, &[&[1, 0, 0], ABSTRACT].concat())
        },
        outside: Works,
        fates: [Refused, Refused, Refused, PARENT_NETWORK, SCRIPT],
    },
    Attack {
        name: "open a raw socket of ICMP",
        landlock: 0,
        attempt: |captive, _| socket(captive, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_GIVES, Refused],
    },
    Attack {
        name: "open a raw socket of VRRP",
        landlock: 0,
        attempt: |captive, _| socket(captive, libc::AF_INET, libc::SOCK_RAW, 112),
        outside: Works,
        fates: [
            Its("it sends adverts"),
            Killed,
            Killed,
            PARENT_GIVES,
            Refused,
        ],
    },
    Attack {
        name: "open a packet socket",
        landlock: 0,
        attempt: |captive, _| socket(captive, libc::AF_PACKET, libc::SOCK_RAW, 0x0300),
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_GIVES, Refused],
    },
    Attack {
        name: "open a socket of rtnetlink",
        landlock: 0,
        attempt: |captive, _| {
            socket(
                captive,
                libc::AF_NETLINK,
                libc::SOCK_RAW,
                libc::NETLINK_ROUTE,
            )
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_GIVES, SCRIPT],
    },
    Attack {
        name: "open a socket of generic netlink",
        landlock: 0,
        attempt: |captive, _| {
            socket(
                captive,
                libc::AF_NETLINK,
                libc::SOCK_RAW,
                libc::NETLINK_GENERIC,
            )
        },
        outside: Works,
        fates: [Killed, Killed, Its("the IPVS table"), PARENT_GIVES, SCRIPT],
    },
    Attack {
        name: "open a socket of the packet filter",
        landlock: 0,
        attempt: |captive, _| {
            socket(
                captive,
                libc::AF_NETLINK,
                libc::SOCK_RAW,
                libc::NETLINK_NETFILTER,
            )
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_GIVES, SCRIPT],
    },
    Attack {
        name: "execute a program",
        landlock: 0,
        attempt: |captive, _| {
            let program = Argument::Bytes(b"/bin/true\0");
            captive.call(libc::SYS_execve, &[program, number(0), number(0)])
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_STARTS, SCRIPT],
    },
    Attack {
        name: "start a process",
        landlock: 0,
        // Arguments of no length: a process that might be started is not.
        attempt: |captive, _| captive.call(libc::SYS_clone3, &[number(0), number(0)]),
        outside: Reaches(Errno::EINVAL),
        fates: [Killed, Killed, Killed, PARENT_STARTS, SCRIPT],
    },
    Attack {
        name: "trace another process",
        landlock: 0,
        attempt: |captive, scene| {
            let attach = number(libc::PTRACE_ATTACH.cast_signed());
            captive.call(
                libc::SYS_ptrace,
                &[attach, victim(scene), number(0), number(0)],
            )
        },
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "open the memory of a child",
        landlock: 0,
        attempt: |captive, scene| {
            let path = format!("/proc/{}/mem\0", scene.sibling);
            let path = CStr::from_bytes_with_nul(path.as_bytes()).map_err(io::Error::other)?;
            open(captive, path, libc::O_RDONLY)
        },
        outside: Works,
        // vrrpd is this child itself.
        fates: [Refused, Refused, Refused, Refused, Refused],
    },
    Attack {
        name: "take a descriptor of another process",
        landlock: 0,
        attempt: |captive, scene| {
            let opened = captive.call(libc::SYS_pidfd_open, &[victim(scene), number(0)])?;
            let End::Returned(process) = opened else {
                return Ok(opened);
            };
            captive.call(
                libc::SYS_pidfd_getfd,
                &[number(process), number(1), number(0)],
            )
        },
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "become root",
        landlock: 0,
        attempt: |captive, _| captive.call(libc::SYS_setuid, &[number(0)]),
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_STARTS, Refused],
    },
    Attack {
        name: "mount a file system",
        landlock: 0,
        attempt: |captive, scene| {
            let [kind, place] = [
                Argument::Bytes(b"tmpfs\0"),
                Argument::Bytes(scene.directory.as_bytes_with_nul()),
            ];
            captive.call(libc::SYS_mount, &[kind, place, kind, number(0), number(0)])
        },
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "go to another root",
        landlock: 0,
        attempt: |captive, _| captive.call(libc::SYS_chroot, &[Argument::Bytes(b"/\0")]),
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "make a network of its own",
        landlock: 0,
        attempt: |captive, _| captive.call(libc::SYS_unshare, &[number(libc::CLONE_NEWNET)]),
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "send a signal to a stranger",
        landlock: 0,
        attempt: |captive, scene| {
            captive.call(libc::SYS_kill, &[victim(scene), number(libc::SIGWINCH)])
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_STARTS, Refused],
    },
    Attack {
        name: "send a signal to the parent",
        landlock: 0,
        attempt: |captive, scene| {
            let parent = number(scene.daemon.as_raw());
            captive.call(libc::SYS_kill, &[parent, number(libc::SIGWINCH)])
        },
        outside: Works,
        fates: [Killed, Killed, Killed, Its("that is itself"), Refused],
    },
    Attack {
        name: "load a kernel module",
        landlock: 0,
        attempt: |captive, _| {
            let nothing = Argument::Bytes(b"\0");
            captive.call(libc::SYS_init_module, &[nothing, number(0), nothing])
        },
        outside: ReachesWhereBuilt(Errno::ENOEXEC),
        fates: NOBODY,
    },
    Attack {
        name: "restart the machine",
        landlock: 0,
        // Without the words that it takes.
        attempt: |captive, _| captive.call(libc::SYS_reboot, &[]),
        outside: Reaches(Errno::EINVAL),
        fates: NOBODY,
    },
    Attack {
        name: "set the clock",
        landlock: 0,
        // To no time at all.
        attempt: |captive, _| captive.call(libc::SYS_settimeofday, &[]),
        outside: Works,
        fates: NOBODY,
    },
    Attack {
        name: "make memory that can be executed",
        landlock: 0,
        attempt: |captive, _| {
            let access = number(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
            let flags = number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let arguments = [
                number(0),
                number(4096),
                access,
                flags,
                number(-1),
                number(0),
            ];
            captive.call(libc::SYS_mmap, &arguments)
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_STARTS, SCRIPT],
    },
    Attack {
        name: "be open to tracing and core dumps",
        landlock: 0,
        attempt: |captive, _| {
            captive.call(libc::SYS_prctl, &[number(libc::PR_SET_DUMPABLE), number(1)])
        },
        outside: Works,
        fates: [Killed, Killed, Killed, PARENT_IS_ROOT, SCRIPT],
    },
];

/// What becomes of attempts otherwise when ipvsd makes the sockets of checks: it gets one, and cannot connect it.
pub(super) const WITH_SOCKETS: &[(&str, Fate)] = &[("connect elsewhere", Refused)];

/// `AT_FDCWD`.
const HERE: Argument<'static> = Argument::Number(libc::AT_FDCWD as i64);

fn victim(scene: &Scene) -> Argument<'static> {
    number(scene.victim.pid().as_raw())
}

fn open(captive: &mut Captive, path: &CStr, flags: c_int) -> io::Result<End> {
    let path = Argument::Bytes(path.to_bytes_with_nul());
    captive.call(
        libc::SYS_openat,
        &[HERE, path, number(flags), number(0o600)],
    )
}

fn socket(captive: &mut Captive, family: c_int, kind: c_int, protocol: c_int) -> io::Result<End> {
    captive.call(
        libc::SYS_socket,
        &[number(family), number(kind), number(protocol)],
    )
}

/// Connects a socket, when it was made.
fn connect(captive: &mut Captive, made: End, address: &[u8]) -> io::Result<End> {
    let End::Returned(socket) = made else {
        return Ok(made);
    };
    let length = i64::try_from(address.len()).map_err(io::Error::other)?;
    let arguments = [number(socket), Argument::Bytes(address), number(length)];
    captive.call(libc::SYS_connect, &arguments)
}
