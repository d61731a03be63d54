//! Mail servers that talk without end.

use std::time::Duration;

use super::{dripping, each, endless, ordeal, stuck};
use crate::harness::smtp;

#[test]
fn replies_without_end_or_sense_go_down_and_cost_little() {
    let too_long = Err("reply of the mail server longer than 16384 bytes");
    let slow = Duration::from_millis(300);
    let servers = [
        (endless(b"", b"220-x\r\n"), too_long),
        (endless(b"220 ", b"x"), too_long),
        (endless(b"220 a\r\n", b"250-x\r\n"), Err("")),
        (endless(b"", b"\0\r\n"), Err("answer to the protocol: ?")),
        (
            dripping(b"", b"220-x\r\n", slow),
            Err("still sending after 5 s"),
        ),
        (
            dripping(b"220 x", b"x", slow),
            Err("still sending after 5 s"),
        ),
        (stuck(b""), Err("no greeting within 0.5 s")),
        (stuck(b"220 a\r\n"), Err("no reply to HELO within 0.5 s")),
        (stuck(b"220 a\r\n250-b\r\n"), Err("")),
        (
            stuck(b"554 go away\r\n"),
            Err("answer to the connection: 554 go away"),
        ),
    ];
    let cases = each(
        |id, at| smtp(id, &[at]),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}
