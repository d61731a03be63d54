//! Makes the sockets that `sockets` allows, in keepalived's order: mark, interface, source.

use std::io;

use kr_ipc::edge::checkerd_ipvsd::{SocketRefusal, SocketStep};
use kr_model::check::{SocketKind, SocketRule};
use kr_model::net::Family;
use socket2::{Domain, Protocol, Socket, Type};

/// The socket of a rule: non-blocking, closed at exec, not connected.
///
/// # Errors
/// When the kernel refuses a step.
pub(crate) fn open(rule: &SocketRule) -> Result<Socket, SocketRefusal> {
    let domain = match rule.family {
        Family::Inet => Domain::IPV4,
        Family::Inet6 => Domain::IPV6,
    };
    let (kind, protocol) = match rule.kind {
        SocketKind::Stream => (Type::STREAM, Protocol::TCP),
        SocketKind::Datagram => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new_raw(domain, kind.nonblocking().cloexec(), Some(protocol))
        .map_err(refused(SocketStep::Open))?;
    if rule.mark != 0 {
        socket
            .set_mark(rule.mark)
            .map_err(refused(SocketStep::Mark))?;
    }
    if let Some(interface) = &rule.interface {
        socket
            .bind_device(Some(interface.as_str().as_bytes()))
            .map_err(refused(SocketStep::Interface))?;
    }
    if let Some(source) = rule.source {
        if source.port() != 0 {
            // Checks of several servers use the port at a time.
            socket
                .set_reuse_address(true)
                .map_err(refused(SocketStep::Source))?;
        }
        socket
            .bind(&source.into())
            .map_err(refused(SocketStep::Source))?;
    }
    Ok(socket)
}

fn refused(step: SocketStep) -> impl FnOnce(io::Error) -> SocketRefusal {
    move |error| SocketRefusal::Kernel {
        step,
        errno: error.raw_os_error().unwrap_or_default(),
    }
}
