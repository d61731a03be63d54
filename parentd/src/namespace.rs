//! `net_namespace` and `-s`: the daemon in a network namespace, with a run directory of its own; and
//! `net_namespace_ipvs`: the IPVS table of another one.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use kr_model::global::IpvsNamespace;
use kr_sys::handover::{Handed, Kept};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};

/// Where named network namespaces are.
const NAMESPACES: &str = "/run/netns";

/// The network namespace of this process.
const OWN: &str = "/proc/self/ns/net";

/// What is another directory for each namespace.
const RUN_DIRECTORY: &str = "/run/keepalived";

/// The namespace that the daemon runs in.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    /// The directory of all namespaces, which can be reached by no path any more.
    shared: File,
    /// The network namespace before.
    before: File,
}

/// A namespace that the next program of this process finds itself in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedNamespace {
    pub(crate) name: String,
    shared: Handed,
    before: Handed,
}

impl Namespace {
    /// Enters a network namespace, and puts `/run/keepalived/NAME` in the place of `/run/keepalived` for this
    /// process and all that it starts.
    ///
    /// # Errors
    /// When there is no such namespace, or the kernel refuses.
    pub(crate) fn enter(name: &str) -> io::Result<Self> {
        let file = File::open(Path::new(NAMESPACES).join(name))?;
        let before = File::open(OWN)?;
        setns(file, CloneFlags::CLONE_NEWNET)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&str> = None;
        // What the host mounts later is seen here, but not the other way round.
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
        let shared = Path::new(RUN_DIRECTORY);
        let own = shared.join(name);
        make(shared)?;
        make(&own)?;
        let directory = File::open(shared)?;
        mount(Some(&own), shared, none, MsFlags::MS_BIND, none)?;
        Ok(Self {
            name: name.to_owned(),
            shared: directory,
            before,
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its name, and the directory of all of them, for the next program of this process, which is in it.
    pub(crate) fn hand_over(&self, kept: &mut Kept) -> HandedNamespace {
        HandedNamespace {
            name: self.name.clone(),
            shared: kept.keep(self.shared.as_fd()),
            before: kept.keep(self.before.as_fd()),
        }
    }

    /// The namespace that the program before entered.
    ///
    /// # Errors
    /// When the descriptor is missing.
    pub(crate) fn take_over(handed: HandedNamespace) -> io::Result<Self> {
        Ok(Self {
            name: handed.name,
            shared: handed.shared.take()?.into(),
            before: handed.before.take()?.into(),
        })
    }

    /// Removes the directory, when nothing is left in it.
    pub(crate) fn leave(&self) {
        // Another daemon of the namespace may still use it.
        let _ = unlinkat(&self.shared, self.name.as_str(), UnlinkatFlags::RemoveDir);
    }
}

/// A generic netlink socket of another network namespace than that of this process, for the kernel's IPVS table
/// there; `None` when `wanted` is this one. It is all that ever leads there: neither this process nor a child stays.
///
/// # Errors
/// When there is no such namespace, or the kernel refuses.
pub(crate) fn table_socket(
    wanted: &IpvsNamespace,
    entered: Option<&Namespace>,
) -> io::Result<Option<OwnedFd>> {
    let there = match (wanted, entered) {
        (IpvsNamespace::Own, _) | (IpvsNamespace::Start, None) => return Ok(None),
        (IpvsNamespace::Start, Some(entered)) => entered.before.try_clone()?,
        (IpvsNamespace::Named(name), _) => File::open(Path::new(NAMESPACES).join(name))?,
    };
    let here = File::open(OWN)?;
    setns(there, CloneFlags::CLONE_NEWNET)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkGeneric;
    let opened = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol);
    setns(here, CloneFlags::CLONE_NEWNET)?;
    Ok(Some(opened?))
}

/// Makes a directory that all can look into, whatever the umask is.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    // The directory of a file that is named without one.
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}
