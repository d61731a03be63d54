//! Scripts and FIFOs.

use super::{instance_with, loaded, messages};
use crate::typed::Deletion;

#[test]
fn a_fifo_of_two_keywords_is_one_and_a_reader_needs_a_fifo() {
    let text = format!(
        "global_defs {{\n notify_fifo /run/n root\n notify_fifo_script /bin/cat\n vrrp_notify_fifo /run/n\n \
         lvs_notify_fifo n\n lvs_notify_fifo_script /bin/cat\n}}\n{}",
        instance_with("")
    );
    assert_eq!(
        messages(&text),
        [
            "scripts run without `enable_script_security`",
            "`/run/n` is used twice",
            "`n` is not the path of a FIFO",
            "there is no `lvs_notify_fifo` for this script to read",
        ]
    );
    let fifos = loaded(&text).config.unwrap().global.fifos;
    let [fifo] = fifos.as_slice() else {
        panic!("{fifos:?}");
    };
    assert!(fifo.vrrp && fifo.lvs && fifo.reader.is_some());
    assert_eq!(fifo.user.as_ref().unwrap().user, "root");
}

#[test]
fn a_deletion_is_told_with_and_without_a_script() {
    let deleted = |lines: &str| {
        let config = loaded(&instance_with(lines)).config.unwrap();
        let entry = config.instances.into_values().next().unwrap();
        entry.notify.deleted
    };
    assert_eq!(deleted(""), None);
    assert_eq!(deleted("notify_deleted"), Some(Deletion { script: None }));
    assert!(
        deleted("notify_deleted /bin/true")
            .unwrap()
            .script
            .is_some()
    );
}
