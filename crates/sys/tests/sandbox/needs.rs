//! What must go on to work, above all what happens rarely: faults of the program, a syslog server that was
//! restarted, an allocator under load. A row that is missing for one of these ends a daemon in production.

use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::{env, fs, panic, process};

use kr_sys::local_time::LocalTime;
use kr_sys::privilege::Role::{self, Checkerd, Ipvsd, Vrrpd};
use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::pipe;
use socket2::{Domain, Protocol, Socket, Type};

use crate::calls::call;
use crate::{ABORTS, Attempt, End, MADE, WORKS};

const ALL: &[Role] = &Role::ALL;

pub(crate) const NEEDS: &[Attempt] = &[
    Attempt {
        name: "end",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || Box::new(|| Ok(())),
    },
    Attempt {
        name: "panic, and clean up",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || {
            Box::new(|| {
                panic::catch_unwind(|| panic!("a test")).unwrap_err();
                Ok(())
            })
        },
    },
    Attempt {
        name: "abort",
        roles: ALL,
        landlock: 0,
        ends: ABORTS,
        prepare: || Box::new(|| process::abort()),
    },
    Attempt {
        name: "overflow the stack",
        roles: ALL,
        landlock: 0,
        ends: ABORTS,
        prepare: || Box::new(|| Err(Errno::from_raw(overflow(0)))),
    },
    Attempt {
        name: "use much memory",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || {
            Box::new(|| {
                let mut numbers = Vec::new();
                let mut texts = HashMap::new();
                for number in 0..1_000_000_u64 {
                    numbers.push(number);
                    if number % 10 == 0 {
                        texts.insert(number, vec![0_u8; 100]);
                    }
                }
                drop(black_box((numbers, texts)));
                Ok(())
            })
        },
    },
    Attempt {
        name: "log to a syslog server that was restarted",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let path = env::temp_dir().join("syslog");
            let server = UnixDatagram::bind(&path).unwrap();
            Box::new(move || {
                let own = made(UnixDatagram::unbound())?;
                made(own.set_nonblocking(true))?;
                made(own.connect(&path))?;
                made(own.send(b"a line"))?;
                drop(server);
                Ok(())
            })
        },
    },
    Attempt {
        name: "log to the console at a local time",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || {
            Box::new(|| {
                let stderr = io::stderr();
                let mut fds = [PollFd::new(
                    std::os::fd::AsFd::as_fd(&stderr),
                    PollFlags::POLLOUT,
                )];
                poll(&mut fds, PollTimeout::ZERO)?;
                #[expect(clippy::print_stderr, reason = "this is what is tried")]
                {
                    eprintln!("{}", LocalTime::of(1_000_000_000));
                }
                Ok(())
            })
        },
    },
    Attempt {
        name: "wait for a deadline in microseconds",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let flags = TimerFlags::TFD_NONBLOCK;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).unwrap();
            let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
            Box::new(move || {
                epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, 1))?;
                let soon = Expiration::OneShot(TimeSpec::microseconds(100));
                timer.set(soon, TimerSetTimeFlags::empty())?;
                let mut events = [EpollEvent::empty()];
                assert_eq!(epoll.wait(&mut events, EpollTimeout::NONE)?, 1);
                timer.wait()?;
                epoll.delete(&timer)
            })
        },
    },
    Attempt {
        name: "read the clock without vDSO",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let mut time = [0_u64; 2];
            let pointer = time.as_mut_ptr().expose_provenance();
            Box::new(move || {
                let pointer = c_long::try_from(pointer).unwrap();
                let result = call(libc::SYS_clock_gettime, [1, pointer, 0, 0, 0, 0]);
                black_box(&mut time);
                result
            })
        },
    },
    Attempt {
        name: "close a descriptor in a debug build",
        roles: ALL,
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let (read, write) = pipe().unwrap();
            Box::new(move || {
                drop((read, write));
                Ok(())
            })
        },
    },
    Attempt {
        name: "make a socket for an interface that came",
        roles: &[Vrrpd],
        landlock: 0,
        ends: MADE,
        prepare: || Box::new(|| made(advert_socket()).map(drop)),
    },
    Attempt {
        name: "make such a socket of IPv6",
        roles: &[Vrrpd],
        landlock: 0,
        ends: MADE,
        prepare: || Box::new(|| made(advert_socket_v6()).map(drop)),
    },
    Attempt {
        name: "make the sockets of BFD",
        roles: &[Vrrpd],
        landlock: 0,
        ends: WORKS,
        prepare: || Box::new(|| bfd_sockets().map_err(|_| Errno::last())),
    },
    Attempt {
        name: "open the IPVS table again",
        roles: &[Ipvsd],
        landlock: 0,
        ends: WORKS,
        prepare: || Box::new(generic_netlink),
    },
    Attempt {
        name: "be refused a file, and go on",
        roles: &[Vrrpd, Ipvsd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            Box::new(|| {
                assert!(fs::read("/sys/devices/system/cpu/online").is_err());
                Ok(())
            })
        },
    },
    Attempt {
        name: "read the name files",
        roles: &[Checkerd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let known = fs::read_to_string("/etc/hosts").ok();
            Box::new(move || {
                assert_eq!(fs::read_to_string("/etc/hosts").ok(), known);
                Ok(())
            })
        },
    },
    Attempt {
        name: "check a server",
        roles: &[Checkerd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let target = listener.local_addr().unwrap();
            Box::new(move || {
                made(check(target))?;
                drop(listener);
                Ok(())
            })
        },
    },
    Attempt {
        name: "check a server from a certain interface",
        roles: &[Checkerd],
        landlock: 0,
        ends: MADE,
        prepare: || {
            Box::new(|| {
                let socket = made(tcp())?;
                made(socket.set_linger(Some(std::time::Duration::ZERO)))?;
                made(socket.bind_device(Some(b"lo")))
            })
        },
    },
    Attempt {
        name: "serve a client of metrics_listen",
        roles: &[Checkerd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            Box::new(|| {
                let socket = made(tcp())?;
                made(socket.set_reuse_address(true))?;
                let any: SocketAddr = ([127, 0, 0, 1], 0).into();
                made(socket.bind(&any.into()))?;
                made(socket.listen(1))?;
                let listener = TcpListener::from(socket);
                // Nobody comes; the call itself must not end the process.
                match listener.accept() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                    other => made(other.map(drop)),
                }
            })
        },
    },
    Attempt {
        name: "make a UDP_CHECK, and a PING_CHECK as far as the kernel lets it",
        roles: &[Checkerd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let target = server.local_addr().unwrap();
            Box::new(move || {
                let kind = Type::DGRAM.nonblocking().cloexec();
                let udp = made(Socket::new_raw(Domain::IPV4, kind, Some(Protocol::UDP)))?;
                made(udp.connect(&target.into()))?;
                setsockopt(&udp, sockopt::Ipv4RecvErr, &true)?;
                made(udp.send(b"a datagram"))?;
                drop(server);
                let v6 = made(Socket::new_raw(Domain::IPV6, kind, Some(Protocol::UDP)))?;
                setsockopt(&v6, sockopt::Ipv6RecvErr, &true)?;
                for (domain, protocol) in [
                    (Domain::IPV4, Protocol::ICMPV4),
                    (Domain::IPV6, Protocol::ICMPV6),
                ] {
                    let ping = Socket::new_raw(domain, kind, Some(protocol));
                    if let Err(error) = ping {
                        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                    }
                }
                Ok(())
            })
        },
    },
    Attempt {
        name: "ask a name server",
        roles: &[Checkerd],
        landlock: 0,
        ends: WORKS,
        prepare: || {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let target = server.local_addr().unwrap();
            Box::new(move || {
                let socket = made(UdpSocket::bind("0.0.0.0:0"))?;
                made(socket.set_nonblocking(true))?;
                made(socket.connect(target))?;
                made(socket.send(b"a question"))?;
                drop(server);
                Ok(())
            })
        },
    },
];

/// The error as its number.
fn made<T>(result: io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// Uses up the stack; what it returns keeps the compiler from making a loop of it.
fn overflow(depth: c_int) -> c_int {
    let frame = black_box([depth; 1024]);
    if depth == c_int::MAX {
        return 0;
    }
    overflow(depth + 1).wrapping_add(frame[0])
}

/// Needed when checks have marks or low source ports.
pub(crate) const OF_SOCKETS: &[Attempt] = &[
    Attempt {
        name: "make a marked socket with a low port for a check over TCP",
        roles: &[Ipvsd],
        landlock: 0,
        ends: MADE_LOW,
        prepare: || Box::new(|| made(check_socket(Domain::IPV4, Type::STREAM, Protocol::TCP))),
    },
    Attempt {
        name: "make one for a check over UDP and IPv6",
        roles: &[Ipvsd],
        landlock: 0,
        ends: MADE_LOW,
        prepare: || Box::new(|| made(check_socket(Domain::IPV6, Type::DGRAM, Protocol::UDP))),
    },
];

/// The calls are made; an account without capabilities may neither mark nor bind.
const MADE_LOW: &[End] = &[
    End::Works,
    End::Error(Errno::EPERM),
    End::Error(Errno::EACCES),
];

/// As `ipvsd` makes it.
fn check_socket(domain: Domain, kind: Type, protocol: Protocol) -> io::Result<()> {
    let kind = kind.nonblocking().cloexec();
    let socket = Socket::new_raw(domain, kind, Some(protocol))?;
    socket.set_mark(7)?;
    socket.bind_device(Some(b"lo"))?;
    socket.set_reuse_address(true)?;
    let source: SocketAddr = match domain {
        Domain::IPV4 => ([127, 0, 0, 1], 874).into(),
        _ => (std::net::Ipv6Addr::LOCALHOST, 874).into(),
    };
    socket.bind(&source.into())
}

/// As `vrrpd` makes it.
fn advert_socket() -> io::Result<Socket> {
    let kind = Type::RAW.nonblocking();
    let socket = Socket::new(Domain::IPV4, kind, Some(Protocol::from(112)))?;
    socket.bind_device(Some(b"lo"))?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_priority(6)?;
    socket.set_multicast_all_v4(false)?;
    socket.attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])?;
    Ok(socket)
}

/// As `vrrpd` makes it for IPv6.
fn advert_socket_v6() -> io::Result<Socket> {
    let kind = Type::RAW.nonblocking();
    let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::from(112)))?;
    socket.set_header_included_v6(true)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_all_v6(false)?;
    socket.set_recv_hoplimit_v6(true)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    Ok(socket)
}

/// As `vrrpd` makes them for each family: one that listens, and one that sends.
fn bfd_sockets() -> io::Result<()> {
    let new = |domain| Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP));
    let four = new(Domain::IPV4)?;
    setsockopt(&four, sockopt::Ipv4RecvTtl, &true)?;
    setsockopt(&four, sockopt::Ipv4PacketInfo, &true)?;
    four.set_ttl_v4(255)?;
    four.set_tos_v4(0xc0)?;
    four.set_freebind_v4(true)?;
    four.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let six = new(Domain::IPV6)?;
    six.set_only_v6(true)?;
    six.set_recv_hoplimit_v6(true)?;
    setsockopt(&six, sockopt::Ipv6RecvPacketInfo, &true)?;
    six.set_unicast_hops_v6(255)?;
    six.set_tclass_v6(0xc0)?;
    six.set_freebind_v6(true)
}

/// As `ipvsd` opens it.
fn generic_netlink() -> Result<(), Errno> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkGeneric,
    )?;
    if setsockopt(&socket, sockopt::RcvBufForce, &4096).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &4096)?;
    }
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    getsockname::<NetlinkAddr>(socket.as_raw_fd())?;
    // One that the parent opened is used so.
    let again = socket.try_clone().map(drop);
    again.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn tcp() -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    Socket::new_raw(Domain::IPV4, kind, Some(Protocol::TCP))
}

/// As `checkerd` does it, with `bind_port`.
fn check(target: SocketAddr) -> io::Result<()> {
    let socket = tcp()?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
