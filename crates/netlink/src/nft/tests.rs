use kr_model::firewall::FirewallSettings;
use kr_model::units::{IfIndex, IfName};

use super::transaction::command;
use super::*;

/// A hexadecimal text with spaces as bytes.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn skeleton(vmacs: VmacRules) -> Skeleton {
    Skeleton {
        drops: true,
        vmacs,
        links: LinkKey::Index,
    }
}

fn name(text: &str) -> IfName {
    IfName::try_from(text.to_owned()).unwrap()
}

fn index(number: u64) -> IfIndex {
    IfIndex::try_from(number).unwrap()
}

/// Command and attributes of each message.
fn messages_of(transaction: &Transaction) -> Vec<(u8, Vec<u8>)> {
    let all = transaction.messages().iter();
    all.map(|message| (message.command, message.attributes.clone()))
        .collect()
}

#[test]
#[cfg(target_endian = "little")]
fn a_table_of_ipv4_is_made_of_a_set_two_chains_and_two_rules() {
    let settings = FirewallSettings {
        counters: true,
        ..FirewallSettings::default()
    };
    let mut transaction = Transaction::default();
    transaction.create(&settings, Family::Inet, skeleton(VmacRules::None));
    let table = "0f000100 6b656570616c6976656400 00";
    let out = "08000300 6f757400  14000480 08000100 00000003 08000200 ffffffff
               08000500 00000001  0b000700 66696c74657200 00";
    let into = "07000300 696e00 00  14000480 08000100 00000001 08000200 ffffffff
                08000500 00000001  0b000700 66696c74657200 00";
    let set = "09000200 7669707300 000000  08000400 00000007  08000500 00000004
               08000a00 00000005  0a000d00 000402000000 0000";
    // Payload of the network header, lookup, counter, drop.
    let rule = |chain: &str, offset: &str| {
        format!(
            "{chain} a4000480
             34000180 0c000100 7061796c6f616400
                24000280 08000100 00000001 08000200 00000001 08000300 {offset} 08000400 00000004
             28000180 0b000100 6c6f6f6b757000 00
                18000280 08000200 00000001 09000100 7669707300 000000
             14000180 0c000100 636f756e74657200 04000280
             30000180 0e000100 696d6d65646961746500 0000
                1c000280 08000100 00000000 10000280 0c000280 08000100 00000000"
        )
    };
    let expected = [
        (command::NEW_TABLE, String::new()),
        (command::NEW_SET, set.to_owned()),
        (command::NEW_CHAIN, out.to_owned()),
        (command::NEW_CHAIN, into.to_owned()),
        (command::NEW_RULE, rule("08000200 6f757400", "0000000c")),
        (command::NEW_RULE, rule("07000200 696e00 00", "00000010")),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(command, rest)| (*command, hex(&format!("{table}{rest}"))))
        .collect();
    assert_eq!(messages_of(&transaction), expected);
}

#[test]
#[cfg(target_endian = "little")]
fn entries_go_into_the_sets_that_their_table_has() {
    let settings = FirewallSettings::default();
    let mut transaction = Transaction::default();
    let entries = [
        Entry::Address([10, 9, 0, 100].into()),
        Entry::Address([10, 9, 0, 101].into()),
        Entry::LinkLocal {
            address: "fe80::100".parse().unwrap(),
            link: Link::Index(index(5)),
        },
        Entry::Vmac {
            family: Family::Inet,
            link: Link::Index(index(4)),
            parent: index(3),
        },
    ];
    transaction.put_in(
        &settings.table,
        |_| Some(skeleton(VmacRules::Duplicate)),
        entries.iter(),
    );
    let table = "0f000100 6b656570616c6976656400 00";
    let map = format!(
        "0d000200 766d61635f6d617000 000000 {table} 20000380
         1c000180 0c000180 08000100 04000000 0c000280 08000100 03000000"
    );
    let vips = format!(
        "09000200 7669707300 000000 {table} 24000380
         10000180 0c000180 08000100 0a090064 10000180 0c000180 08000100 0a090065"
    );
    let local = format!(
        "14000200 766970735f6c696e6b5f6c6f63616c00 {table} 24000380
         20000180 1c000180 18000100 fe800000000000000000000000000100 05000000"
    );
    let expected: Vec<_> = [map, vips, local]
        .iter()
        .map(|text| (command::NEW_ELEMENT, hex(text)))
        .collect();
    assert_eq!(messages_of(&transaction), expected);

    let mut transaction = Transaction::default();
    transaction.take_out(&settings.table, |_| None, entries.iter());
    assert!(transaction.is_empty(), "there is no table");
}

#[test]
fn an_interface_by_name_fills_the_room_of_a_name() {
    let settings = FirewallSettings::default();
    let mut transaction = Transaction::default();
    let entry = Entry::LinkLocal {
        address: "fe80::1".parse().unwrap(),
        link: Link::Name(name("eth0")),
    };
    let by_name = Skeleton {
        links: LinkKey::Name,
        ..skeleton(VmacRules::None)
    };
    transaction.put_in(&settings.table, |_| Some(by_name), [&entry].into_iter());
    let messages = messages_of(&transaction);
    let bytes = &messages[0].1;
    assert!(bytes.ends_with(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"));
    let set = b"vips_link_local_name\0";
    assert!(bytes.windows(set.len()).any(|part| part == set));
}

#[test]
fn many_entries_are_spread_over_messages_that_a_datagram_holds() {
    let settings = FirewallSettings::default();
    let mut transaction = Transaction::default();
    let entries: Vec<Entry> = (0..10_000_u32)
        .map(|number| Entry::Address(std::net::Ipv6Addr::from(u128::from(number)).into()))
        .collect();
    transaction.put_in(
        &settings.table,
        |_| Some(skeleton(VmacRules::None)),
        entries.iter(),
    );
    let messages = messages_of(&transaction);
    assert_eq!(messages.len(), 40);
    assert!(messages.iter().all(|(_, bytes)| bytes.len() < 16_000));
}

#[test]
fn a_change_of_another_table_is_none_of_ours() {
    let own = FirewallSettings::default().table;
    let event = |kind: u16, family: u8, table: &str| {
        let mut writer = Writer::default();
        writer.text(1, table);
        let body = [[family, 0, 0, 7].as_slice(), writer.bytes()].concat();
        let message = Message {
            kind,
            flags: 0,
            sequence: 9,
            port: 77,
            body: &body,
        };
        is_of(&message, &own)
    };
    let deleted = (SUBSYSTEM << 8) | u16::from(command::DELETE_TABLE);
    assert!(event(deleted, 2, "keepalived"));
    assert!(event(deleted, 10, "keepalived"));
    assert!(!event(deleted, 1, "keepalived"), "family inet");
    assert!(!event(deleted, 2, "keepalived2"));
    assert!(!event(0x0102, 2, "keepalived"), "another subsystem");
    let short = Message {
        kind: deleted,
        flags: 0,
        sequence: 9,
        port: 77,
        body: &[2],
    };
    assert!(!is_of(&short, &own));
}
