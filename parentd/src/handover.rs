//! What the program hands to its next version in an in-place upgrade: everything that is not in the
//! configuration, which that version reads itself. The parent executes the new program with the same process
//! id; children and scripts run on, descriptors keep their numbers.
//!
//! The text is JSON, so that a version can add a field (with `#[serde(default)]`) and still read what an older
//! one wrote. A change that older or newer versions would misread raises [`VERSION`]; they refuse then.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use kr_config::ids::{IdAllocator, Known};
use kr_model::Generation;
use kr_model::check::Mail;
use kr_model::global::IpvsNamespace;
use kr_sys::handover::{Handed, file_of, read_file};
use serde::{Deserialize, Serialize};

use crate::dump::Zero;
use crate::fifos::HandedOpen;
use crate::namespace::HandedNamespace;
use crate::published::Published;
use crate::scripts::HandedScripts;
use crate::supervisor::child::HandedChild;
use crate::told::Told;
use crate::tracking::HandedTracking;

/// Number of this form.
const VERSION: u32 = 1;

/// Longest text in bytes: tens of thousands of objects take a few million.
const MOST_BYTES: u64 = 1 << 30;

/// What is known of a child.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct HandedRole {
    /// While it runs.
    pub(crate) child: Option<HandedChild>,
    /// Its pid file.
    pub(crate) pid_file: Option<Handed>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) version: u32,
    /// The program that wrote it.
    pub(crate) program: String,
    /// Its [`kr_ipc::protocol`].
    pub(crate) protocol: u64,
    pub(crate) namespace: Option<HandedNamespace>,
    /// `instance` of the configuration, which cannot change.
    pub(crate) instance: Option<String>,
    /// `net_namespace_ipvs` of the configuration, which cannot change either, and what leads there.
    pub(crate) ipvs_namespace: IpvsNamespace,
    pub(crate) table: Option<Handed>,
    /// What `disable_local_igmp` found.
    #[serde(default)]
    pub(crate) local_igmp: Option<u32>,
    /// Of this process.
    pub(crate) pid_file: Option<Handed>,
    pub(crate) vrrpd: HandedRole,
    pub(crate) checkerd: HandedRole,
    pub(crate) ipvsd: HandedRole,
    pub(crate) known: Known,
    pub(crate) allocator: IdAllocator,
    pub(crate) generation: Generation,
    pub(crate) published: Published,
    pub(crate) told: Told,
    pub(crate) zero: Zero,
    pub(crate) mails: Vec<Mail>,
    pub(crate) scripts: HandedScripts,
    pub(crate) fifos: Vec<HandedOpen>,
    pub(crate) tracking: HandedTracking,
}

/// Why a state is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It cannot be read at all.
    Io(io::Error),
    /// It is of a form that this version does not know.
    Version {
        /// Number of the form.
        found: u32,
    },
    /// It is of the form that this version knows, and yet something in it is not.
    Content(serde_json::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the state of the running version cannot be taken over: ")?;
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Version { found } => write!(
                f,
                "it has form {found}, and this version ({}) knows only form {VERSION}; restart the daemon instead",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Content(error) => write!(f, "{error}; restart the daemon instead"),
        }
    }
}

impl State {
    /// Number of the form that this version writes.
    pub(crate) const VERSION: u32 = VERSION;

    /// A file without name that holds the state.
    ///
    /// # Errors
    /// When the kernel gives no descriptor or memory.
    pub(crate) fn write(&self) -> io::Result<OwnedFd> {
        file_of(&serde_json::to_vec(self)?)
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// When it is of another version, or cannot be read.
    pub(crate) fn read(file: OwnedFd) -> Result<Self, Refused> {
        Self::decode(&read_file(file, MOST_BYTES).map_err(Refused::Io)?)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let form: Form = serde_json::from_slice(bytes).map_err(Refused::Content)?;
        if form.version != VERSION {
            return Err(Refused::Version {
                found: form.version,
            });
        }
        serde_json::from_slice(bytes).map_err(Refused::Content)
    }
}
