//! What an attacker would try, with the arguments that he would use.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use kr_sys::privilege::Role::{self, Checkerd, Ipvsd, Vrrpd};
use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};

use crate::calls::call;
use crate::{Attempt, KILLED, REFUSED};

const ALL: &[Role] = &Role::ALL;

/// A file that everybody may read, so that only the sandbox can be in the way.
const PUBLIC: &str = "/proc/self/status";

/// What the duty to make sockets of checks allows on purpose; connecting them stays impossible.
pub(crate) const MAKES_SOCKETS: &[&str] = &["connect over TCP of IPv6"];

pub(crate) const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "open the passwords",
        roles: ALL,
        landlock: 1,
        ends: REFUSED,
        prepare: || Box::new(|| open("/etc/shadow")),
    },
    Attempt {
        name: "open a file that everybody may read",
        roles: ALL,
        landlock: 1,
        ends: REFUSED,
        prepare: || Box::new(|| open(PUBLIC)),
    },
    Attempt {
        name: "open a configuration",
        roles: ALL,
        landlock: 1,
        ends: REFUSED,
        prepare: || {
            let path = env::temp_dir().join("k.conf");
            fs::write(&path, "auth_pass secret").unwrap();
            Box::new(move || done(File::open(path)))
        },
    },
    Attempt {
        name: "read the memory of a sibling",
        roles: ALL,
        landlock: 1,
        ends: REFUSED,
        prepare: || {
            // The process that runs this test has the same account, and would let it be read.
            let path = format!("/proc/{}/mem", std::os::unix::process::parent_id());
            Box::new(move || open(&path))
        },
    },
    Attempt {
        name: "look through the files of a sibling",
        roles: ALL,
        landlock: 1,
        ends: REFUSED,
        prepare: || {
            let path = format!("/proc/{}/root", std::os::unix::process::parent_id());
            Box::new(move || open(&path))
        },
    },
    Attempt {
        name: "list a directory",
        roles: ALL,
        landlock: 1,
        ends: REFUSED,
        prepare: || Box::new(|| open("/etc")),
    },
    Attempt {
        name: "open a file for writing",
        roles: &[Checkerd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| write_to("/etc/hosts")),
    },
    Attempt {
        name: "open a file for writing",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: REFUSED,
        prepare: || Box::new(|| write_to("/etc/hosts")),
    },
    Attempt {
        name: "make a file",
        roles: &[Checkerd],
        landlock: 0,
        ends: KILLED,
        prepare: || {
            let path = env::temp_dir().join("new");
            Box::new(move || done(File::create(&path)))
        },
    },
    Attempt {
        name: "connect over TCP",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_INET, libc::SOCK_STREAM, 0)),
    },
    Attempt {
        name: "connect over TCP of IPv6",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP)),
    },
    Attempt {
        name: "send datagrams",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_INET, libc::SOCK_DGRAM, 0)),
    },
    Attempt {
        name: "connect with a socket that was open before",
        roles: &[Vrrpd, Ipvsd],
        landlock: 4,
        ends: REFUSED,
        prepare: || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let target = listener.local_addr().unwrap();
            let socket = socket2::Socket::new(
                socket2::Domain::IPV4,
                socket2::Type::STREAM,
                Some(socket2::Protocol::TCP),
            );
            let socket = socket.unwrap();
            Box::new(move || {
                let result = socket.connect(&target.into());
                drop(listener);
                done(result)
            })
        },
    },
    Attempt {
        name: "listen with a socket that was open before",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: KILLED,
        prepare: || {
            let socket = socket2::Socket::new(
                socket2::Domain::IPV4,
                socket2::Type::STREAM,
                Some(socket2::Protocol::TCP),
            );
            let socket = socket.unwrap();
            Box::new(move || done(socket.listen(1)))
        },
    },
    Attempt {
        name: "mark a socket",
        roles: &[Checkerd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| option(libc::SOL_SOCKET, libc::SO_MARK)),
    },
    Attempt {
        name: "open a raw socket",
        roles: &[Checkerd, Ipvsd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_INET, libc::SOCK_RAW, 112)),
    },
    Attempt {
        name: "open a raw socket of another protocol",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
    },
    Attempt {
        name: "open a packet socket",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300)),
    },
    Attempt {
        name: "open a socket of rtnetlink",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)),
    },
    Attempt {
        name: "open a socket of generic netlink",
        roles: &[Vrrpd, Checkerd],
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC)),
    },
    Attempt {
        name: "open a socket of the packet filter",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)),
    },
    Attempt {
        name: "open a socket of the kernel's cryptography",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
    },
    Attempt {
        name: "open a stream to a local server",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
    },
    Attempt {
        name: "send to an abstract socket",
        roles: ALL,
        landlock: 6,
        ends: REFUSED,
        prepare: || {
            // Made outside the sandbox, so it belongs to a stranger.
            let name = format!("kr-sandbox-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let server = UnixDatagram::bind_addr(&address).unwrap();
            Box::new(move || {
                let result = UnixDatagram::unbound().and_then(|own| own.connect_addr(&address));
                drop(server);
                done(result)
            })
        },
    },
    Attempt {
        name: "replace the packet filter through a socket option",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        // IPT_SO_SET_REPLACE.
        prepare: || Box::new(|| option(libc::IPPROTO_IP, 64)),
    },
    Attempt {
        name: "change the IPVS table through a socket option",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        // IP_VS_SO_SET_FLUSH.
        prepare: || Box::new(|| option(libc::IPPROTO_IP, 0x485)),
    },
    Attempt {
        name: "type into the terminal",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| call(libc::SYS_ioctl, [0, number(libc::TIOCSTI), 0, 0, 0, 0])),
    },
    Attempt {
        name: "change an interface by ioctl",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || Box::new(|| call(libc::SYS_ioctl, [0, number(libc::SIOCSIFADDR), 0, 0, 0, 0])),
    },
    Attempt {
        name: "abort another process",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        // No process has this id.
        prepare: || {
            let stranger = c_long::from(c_int::MAX);
            let abort = c_long::from(libc::SIGABRT);
            Box::new(move || call(libc::SYS_tgkill, [stranger, stranger, abort, 0, 0, 0]))
        },
    },
    Attempt {
        name: "become dumpable",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || {
            let option = c_long::from(libc::PR_SET_DUMPABLE);
            Box::new(move || call(libc::SYS_prctl, [option, 1, 0, 0, 0, 0]))
        },
    },
    Attempt {
        name: "map memory that can be executed",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || {
            let access = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
            let flags = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            Box::new(move || call(libc::SYS_mmap, [0, 4096, access, flags, -1, 0]))
        },
    },
    Attempt {
        name: "make memory executable",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || {
            let access = c_long::from(libc::PROT_EXEC);
            Box::new(move || call(libc::SYS_mprotect, [0, 0, access, 0, 0, 0]))
        },
    },
    Attempt {
        name: "take a descriptor's signals",
        roles: ALL,
        landlock: 0,
        ends: KILLED,
        prepare: || {
            let command = c_long::from(libc::F_SETOWN);
            Box::new(move || call(libc::SYS_fcntl, [0, command, 1, 0, 0, 0]))
        },
    },
];

fn done<T>(result: io::Result<T>) -> Result<(), Errno> {
    result
        .map(drop)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn open(path: &str) -> Result<(), Errno> {
    done(File::open(path))
}

fn write_to(path: &str) -> Result<(), Errno> {
    done(File::options().append(true).open(path))
}

fn socket(family: c_int, kind: c_int, protocol: c_int) -> Result<(), Errno> {
    let arguments = [family, kind, protocol].map(c_long::from);
    let [family, kind, protocol] = arguments;
    call(libc::SYS_socket, [family, kind, protocol, 0, 0, 0])
}

fn option(level: c_int, name: c_int) -> Result<(), Errno> {
    let (level, name) = (c_long::from(level), c_long::from(name));
    call(libc::SYS_setsockopt, [0, level, name, 0, 0, 0])
}

fn number(request: libc::c_ulong) -> c_long {
    c_long::try_from(request).unwrap()
}
