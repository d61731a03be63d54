//! What the VRRP process publishes of a virtual router.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{InstanceId, TrackerId};
use crate::signing::Stamp;
use crate::time::Instant;
use crate::track::{Offender, TrackerState};
use crate::units::{AdvertInterval, Priority};

/// State of an instance as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Not decided yet.
    Init,
    /// Another router is, or shall be, master.
    Backup,
    /// This router holds the addresses.
    Master,
    /// Something that the instance needs is missing.
    Fault,
    /// The daemon is ending.
    Stop,
}

impl State {
    /// The word that scripts, FIFOs and mail use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
        }
    }
}

/// Why an instance is in its state: the `why` of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The process or the instance starts.
    Start,
    /// No advert of a master came for the master-down time.
    MasterSilent {
        /// How late the timer was served, beyond its deadline.
        late: Duration,
    },
    /// The master said that it stops (priority 0) and nobody better took over.
    MasterResigned,
    /// This router is the address owner.
    Owner,
    /// An advert won the election against us.
    BetterMaster {
        /// Its sender.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// An interface that the instance needs went down.
    InterfaceDown,
    /// An interface is up that is tracked with `reverse`.
    InterfaceUp,
    /// An interface that the instance needs does not exist.
    InterfaceMissing,
    /// A tracked object is down, or has no result yet.
    Tracked(Offender),
    /// Another member of its sync group waits for the first result of a tracked script.
    GroupWaits,
    /// The interface has no address to send from.
    NoSourceAddress,
    /// The configured source address is not on the interface.
    SourceAddressMissing,
    /// This master was held up for so long that another router must have taken over.
    HeldUp {
        /// How late its advert was.
        late: Duration,
    },
    /// The last reason for a fault went away.
    FaultCleared,
    /// A unicast instance has nobody to send to.
    NoPeer,
    /// Another member of its sync group is in FAULT.
    GroupFault,
    /// Another member of its sync group became BACKUP.
    GroupBackup,
    /// The kernel takes none of the virtual addresses.
    AddressRefused,
    /// The daemon was told to stop, or a reload removed the instance.
    Shutdown,
}

impl Cause {
    /// True for what keeps an instance from its start, and is no fault of one that runs.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(
            self,
            Self::GroupWaits
                | Self::Tracked(Offender {
                    state: TrackerState::Pending,
                    ..
                })
        )
    }

    /// The tracked object that it is about.
    #[must_use]
    pub const fn tracker(self) -> Option<TrackerId> {
        if let Self::Tracked(offender) = self {
            Some(offender.tracker)
        } else {
            None
        }
    }

    /// The cause in words, with the name of its tracked object where that is known.
    #[must_use]
    pub fn naming(self, object: Option<&str>) -> String {
        match (self, object) {
            (Self::Tracked(offender), Some(name)) => offender.named(name).to_string(),
            (cause, _) => cause.to_string(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the instance starts"),
            Self::MasterSilent { late } if late.as_millis() == 0 => {
                f.write_str("no advert came within the master-down time")
            }
            Self::MasterSilent { late } => write!(
                f,
                "no advert came within the master-down time (noticed {} ms late)",
                late.as_millis()
            ),
            Self::MasterResigned => f.write_str("the master said that it stops"),
            Self::Owner => f.write_str("this router owns the addresses (priority 255)"),
            Self::BetterMaster { source, priority } => {
                write!(f, "{source} is master with priority {priority}")
            }
            Self::InterfaceDown => f.write_str("an interface is down"),
            Self::InterfaceUp => f.write_str("an interface is up that is tracked in reverse"),
            Self::InterfaceMissing => f.write_str("an interface does not exist"),
            Self::Tracked(offender) => offender.fmt(f),
            Self::GroupWaits => f.write_str("another member of its sync group waits for a result"),
            Self::NoSourceAddress => f.write_str("the interface has no address to send from"),
            Self::SourceAddressMissing => {
                f.write_str("the configured source address is not on the interface")
            }
            Self::HeldUp { late } => write!(
                f,
                "this process did not run for {} ms, so another router is master",
                late.as_millis()
            ),
            Self::FaultCleared => f.write_str("the last fault is gone"),
            Self::NoPeer => f.write_str("it is unicast and has no unicast_peer"),
            Self::GroupFault => f.write_str("another member of its sync group is in fault"),
            Self::GroupBackup => f.write_str("another member of its sync group is backup"),
            Self::AddressRefused => f.write_str("none of its virtual addresses could be set"),
            Self::Shutdown => f.write_str("stopped or removed by the operator"),
        }
    }
}

/// Counters of an instance, with the names of the statistics dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each name is the statistics dump's own label")]
pub struct Counters {
    pub advert_received: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_length_errors: u64,
    pub ttl_errors: u64,
    pub version_errors: u64,
    pub checksum_errors: u64,
    pub invalid_type_received: u64,
    pub advert_interval_errors: u64,
    pub address_list_errors: u64,
    pub invalid_auth_type: u64,
    pub auth_type_mismatch: u64,
    pub auth_failures: u64,
    pub signature_missing: u64,
    pub signature_malformed: u64,
    pub signature_unknown_key: u64,
    pub signature_invalid: u64,
    pub signature_stale: u64,
    pub signature_replayed: u64,
    pub priority_zero_received: u64,
    pub priority_zero_sent: u64,
}

impl Counters {
    /// What was counted since `before`.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            advert_received: self.advert_received.saturating_sub(before.advert_received),
            advert_sent: self.advert_sent.saturating_sub(before.advert_sent),
            become_master: self.become_master.saturating_sub(before.become_master),
            release_master: self.release_master.saturating_sub(before.release_master),
            packet_length_errors: self
                .packet_length_errors
                .saturating_sub(before.packet_length_errors),
            ttl_errors: self.ttl_errors.saturating_sub(before.ttl_errors),
            version_errors: self.version_errors.saturating_sub(before.version_errors),
            checksum_errors: self.checksum_errors.saturating_sub(before.checksum_errors),
            invalid_type_received: self
                .invalid_type_received
                .saturating_sub(before.invalid_type_received),
            advert_interval_errors: self
                .advert_interval_errors
                .saturating_sub(before.advert_interval_errors),
            address_list_errors: self
                .address_list_errors
                .saturating_sub(before.address_list_errors),
            invalid_auth_type: self
                .invalid_auth_type
                .saturating_sub(before.invalid_auth_type),
            auth_type_mismatch: self
                .auth_type_mismatch
                .saturating_sub(before.auth_type_mismatch),
            auth_failures: self.auth_failures.saturating_sub(before.auth_failures),
            signature_missing: self
                .signature_missing
                .saturating_sub(before.signature_missing),
            signature_malformed: self
                .signature_malformed
                .saturating_sub(before.signature_malformed),
            signature_unknown_key: self
                .signature_unknown_key
                .saturating_sub(before.signature_unknown_key),
            signature_invalid: self
                .signature_invalid
                .saturating_sub(before.signature_invalid),
            signature_stale: self.signature_stale.saturating_sub(before.signature_stale),
            signature_replayed: self
                .signature_replayed
                .saturating_sub(before.signature_replayed),
            priority_zero_received: self
                .priority_zero_received
                .saturating_sub(before.priority_zero_received),
            priority_zero_sent: self
                .priority_zero_sent
                .saturating_sub(before.priority_zero_sent),
        }
    }
}

/// What the VRRP process publishes of an instance at every change, and gets back after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The instance.
    pub id: InstanceId,
    /// State with what only that state has.
    pub role: Role,
    /// Effective priority.
    pub priority: Priority,
    /// Counters.
    pub counters: Counters,
    /// With `auth_type AH`: no advert of this virtual router had a larger sequence number yet, and a successor
    /// of a master goes on from here. 0 otherwise.
    pub sequence: u32,
    /// With `auth_hmac`: what was sent and heard last.
    pub signatures: SignatureMarks,
    /// A peer was detected whose checksums are those of [`ChecksumMode::OldUnicast`](super::ChecksumMode::OldUnicast).
    pub old_checksum: bool,
    /// When the state was entered.
    pub since: Instant,
    /// Why the state was entered.
    pub cause: Cause,
}

/// The time stamps that stop replays (`auth_hmac`): no stamp counts twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureMarks {
    /// No own advert had a later stamp.
    pub sent: Stamp,
    /// The last accepted stamp of each sender, the one that was heard last at the end.
    pub heard: Vec<(IpAddr, Stamp)>,
}

/// State of an instance with the data that a successor process needs to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Not started.
    Init,
    /// Waiting.
    Backup {
        /// When this router takes over unless an advert comes.
        master_down_at: Instant,
        /// The master last heard and its priority, unless it has resigned.
        master: Option<(IpAddr, u8)>,
        /// The advert interval in force (version 3 learns it from the master).
        interval: AdvertInterval,
        /// When `preempt_delay` runs out, while it runs.
        preempt_at: Option<Instant>,
    },
    /// Holding the addresses.
    Master {
        /// When the next own advert is due.
        advert_at: Instant,
    },
    /// Something is missing.
    Fault,
}

impl Role {
    /// The plain state.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Init => State::Init,
            Self::Backup { .. } => State::Backup,
            Self::Master { .. } => State::Master,
            Self::Fault => State::Fault,
        }
    }

    /// True of a master, and of a backup that heard one.
    #[must_use]
    pub const fn is_at_work(&self) -> bool {
        matches!(
            self,
            Self::Master { .. }
                | Self::Backup {
                    master: Some(_),
                    ..
                }
        )
    }
}
