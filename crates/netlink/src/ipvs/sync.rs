//! Messages about the threads that synchronise connections (`IPVS_CMD_NEW_DAEMON` and its companions).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16};

use kr_model::ipvs::SyncChange;
use kr_model::lvs::{SyncDaemon, SyncRole};
use kr_model::units::IfName;

use super::wire::command;
use crate::attributes::{Writer, attributes, by_kind};

/// Attribute of a message.
const DAEMON: u16 = 3;

/// Attributes of a daemon.
const STATE: u16 = 1;
const INTERFACE: u16 = 2;
const ID: u16 = 3;
const MAX_LENGTH: u16 = 4;
const GROUP: u16 = 5;
const GROUP6: u16 = 6;
const PORT: u16 = 7;
const TTL: u16 = 8;

const MASTER: u32 = 1;
const BACKUP: u32 = 2;

const fn state(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => MASTER,
        SyncRole::Backup => BACKUP,
    }
}

/// The command of a change.
pub(super) const fn command_of(change: &SyncChange) -> u8 {
    match change {
        SyncChange::Start(..) => command::NEW_DAEMON,
        SyncChange::Stop(..) => command::DEL_DAEMON,
    }
}

/// Writes the attributes of a change.
pub(super) fn write_change(writer: &mut Writer, change: &SyncChange) {
    let (role, id) = match change {
        SyncChange::Start(role, daemon) => (*role, daemon.id),
        SyncChange::Stop(role, id) => (*role, *id),
    };
    writer.nest(DAEMON, |w| {
        w.attribute(STATE, &state(role).to_ne_bytes());
        w.attribute(ID, &u32::from(id).to_ne_bytes());
        if let SyncChange::Start(_, daemon) = change {
            write_settings(w, daemon);
        }
    });
}

fn write_settings(writer: &mut Writer, daemon: &SyncDaemon) {
    writer.text(INTERFACE, daemon.interface.as_str());
    if let Some(length) = daemon.max_length {
        writer.attribute(MAX_LENGTH, &length.get().to_ne_bytes());
    }
    match daemon.group {
        Some(IpAddr::V4(group)) => writer.attribute(GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => writer.attribute(GROUP6, &group.octets()),
        None => {}
    }
    if let Some(port) = daemon.port {
        writer.attribute(PORT, &port.get().to_ne_bytes());
    }
    if let Some(ttl) = daemon.ttl {
        writer.attribute(TTL, &[ttl.get()]);
    }
}

/// Reads one daemon of the answer to `GET_DAEMON`; `None` for one that no configuration can ask for.
pub(super) fn read_daemon(attrs: &[u8]) -> Option<(SyncRole, SyncDaemon)> {
    let nest = attributes(attrs).find(|attribute| attribute.kind == DAEMON)?;
    let slots = by_kind(nest.payload);
    let slot = |kind: u16| slots.get(usize::from(kind)).copied().flatten();
    let role = match slot(STATE)?.u32()? {
        MASTER => SyncRole::Master,
        BACKUP => SyncRole::Backup,
        _ => return None,
    };
    let group = slot(GROUP)
        .and_then(|group| <[u8; 4]>::try_from(group.payload).ok())
        .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let group6 = slot(GROUP6)
        .and_then(|group| <[u8; 16]>::try_from(group.payload).ok())
        .map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    let number = |kind| {
        slot(kind)
            .and_then(|value| value.u16())
            .and_then(NonZeroU16::new)
    };
    let ttl = slot(TTL).and_then(|ttl| ttl.payload.first().copied());
    Some((
        role,
        SyncDaemon {
            interface: IfName::try_from(slot(INTERFACE)?.text()?.to_owned()).ok()?,
            id: u8::try_from(slot(ID)?.u32()?).ok()?,
            max_length: number(MAX_LENGTH),
            port: number(PORT),
            ttl: ttl.and_then(NonZeroU8::new),
            group: group.or(group6),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon() -> SyncDaemon {
        SyncDaemon {
            interface: IfName::try_from("eth0".to_owned()).unwrap(),
            id: 51,
            max_length: NonZeroU16::new(1400),
            port: NonZeroU16::new(8900),
            ttl: NonZeroU8::new(3),
            group: Some([224, 0, 0, 82].into()),
        }
    }

    #[test]
    fn a_daemon_is_written_as_the_kernel_reads_it() {
        let mut writer = Writer::default();
        write_change(&mut writer, &SyncChange::Start(SyncRole::Backup, daemon()));
        #[rustfmt::skip]
        let expected: &[u8] = &[
            64, 0, 3, 0x80,
                8, 0, 1, 0,  2, 0, 0, 0,
                8, 0, 3, 0,  51, 0, 0, 0,
                9, 0, 2, 0,  b'e', b't', b'h', b'0', 0, 0, 0, 0,
                6, 0, 4, 0,  0x78, 0x05, 0, 0,
                8, 0, 5, 0,  224, 0, 0, 82,
                6, 0, 7, 0,  0xc4, 0x22, 0, 0,
                5, 0, 8, 0,  3, 0, 0, 0,
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(writer.bytes(), expected);
        }
        // The kernel describes it in the same words.
        let read = read_daemon(writer.bytes());
        assert_eq!(read, Some((SyncRole::Backup, daemon())));
    }

    #[test]
    fn a_daemon_is_stopped_by_role_and_id() {
        let mut writer = Writer::default();
        write_change(&mut writer, &SyncChange::Stop(SyncRole::Master, 7));
        #[rustfmt::skip]
        let expected: &[u8] = &[
            20, 0, 3, 0x80,
                8, 0, 1, 0,  1, 0, 0, 0,
                8, 0, 3, 0,  7, 0, 0, 0,
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(writer.bytes(), expected);
        }
    }

    #[test]
    fn an_ipv6_group_has_its_own_attribute() {
        let mut wanted = daemon();
        wanted.group = Some("ff02::51".parse().unwrap());
        let mut writer = Writer::default();
        let change = SyncChange::Start(SyncRole::Master, wanted.clone());
        write_change(&mut writer, &change);
        assert_eq!(
            read_daemon(writer.bytes()),
            Some((SyncRole::Master, wanted))
        );
    }

    #[test]
    fn an_unknown_state_is_no_daemon_of_ours() {
        let mut writer = Writer::default();
        writer.nest(DAEMON, |w| w.attribute(STATE, &3_u32.to_ne_bytes()));
        assert_eq!(read_daemon(writer.bytes()), None);
    }
}
