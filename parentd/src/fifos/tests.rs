use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

use super::*;

fn config(path: &Path, subject: Subject) -> NotifyFifo {
    NotifyFifo {
        path: path.to_owned(),
        user: None,
        vrrp: subject == Subject::Vrrp,
        lvs: subject == Subject::Lvs,
        reader: None,
    }
}

fn with(fifos: Vec<NotifyFifo>) -> Global {
    Global {
        fifos,
        ..crate::sample::config().global
    }
}

fn reader(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .unwrap()
}

/// What is in the FIFO now.
fn read(reader: &mut File) -> String {
    let mut text = Vec::new();
    if let Err(error) = reader.read_to_end(&mut text) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_line_goes_to_the_fifos_of_its_subject() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["vrrp", "lvs"].map(|name| directory.path().join(name));
    let mut fifos = Fifos::new(50);
    let events = EventLoop::new().unwrap();
    let wanted = [
        config(&paths[0], Subject::Vrrp),
        config(&paths[1], Subject::Lvs),
    ];
    fifos.replace(&with(wanted.into()), &events);
    fifos.write(Subject::Vrrp, "v\n");
    fifos.write(Subject::Lvs, "l\n");
    assert_eq!(read(&mut reader(&paths[0])), "v\n");
    assert_eq!(read(&mut reader(&paths[1])), "l\n");
}

#[test]
fn a_slow_reader_gets_every_line_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let mut fifos = Fifos::new(50);
    let mut events = EventLoop::new().unwrap();
    fifos.replace(&with(vec![config(&path, Subject::Vrrp)]), &events);
    let line = |number: u32| format!("{number} {}\n", "x".repeat(200));
    let all: String = (0..2_000).map(line).collect();
    (0..2_000).for_each(|number| fifos.write(Subject::Vrrp, &line(number)));
    let mut reader = reader(&path);
    let mut got = String::new();
    while got.len() < all.len() {
        got += &read(&mut reader);
        for ready in events.wait(Some(kr_model::Instant::ZERO)).unwrap() {
            assert!(fifos.handle_ready(ready.token));
        }
    }
    assert!(got == all);
}

#[test]
fn without_a_reader_the_latest_lines_are_kept_and_wait_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let mut fifos = Fifos::new(50);
    let events = EventLoop::new().unwrap();
    fifos.replace(&with(vec![config(&path, Subject::Vrrp)]), &events);
    let line = |number: u32| format!("{number} {}\n", "x".repeat(1_000));
    (0..3_000).for_each(|number| fifos.write(Subject::Vrrp, &line(number)));
    let mut reader = reader(&path);
    let mut got = String::new();
    loop {
        let more = read(&mut reader);
        if more.is_empty() {
            break;
        }
        got += &more;
        assert!(fifos.handle_ready(Token(50)));
    }
    assert!(got.starts_with("0 x") && got.ends_with(&line(2_999)));
}

#[test]
fn a_reload_keeps_the_fifos_that_stay_and_removes_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let [kept, gone, new] = ["kept", "gone", "new"].map(|name| directory.path().join(name));
    let mut fifos = Fifos::new(50);
    let events = EventLoop::new().unwrap();
    let before = [config(&kept, Subject::Vrrp), config(&gone, Subject::Vrrp)];
    fifos.replace(&with(before.into()), &events);
    fifos.write(Subject::Vrrp, "before\n");
    let after = [config(&kept, Subject::Lvs), config(&new, Subject::Vrrp)];
    fifos.replace(&with(after.into()), &events);
    fifos.write(Subject::Lvs, "after\n");
    assert_eq!(read(&mut reader(&kept)), "before\nafter\n");
    assert!(new.exists() && !gone.exists());
}

#[test]
fn at_the_end_a_fifo_is_closed_when_its_lines_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let mut fifos = Fifos::new(50);
    let events = EventLoop::new().unwrap();
    fifos.replace(&with(vec![config(&path, Subject::Vrrp)]), &events);
    let line = "x".repeat(4_000);
    (0..40).for_each(|_| fifos.write(Subject::Vrrp, &line));
    fifos.close_when_written();
    assert!(!fifos.is_closed());
    let mut reader = reader(&path);
    while !read(&mut reader).is_empty() {
        fifos.handle_ready(Token(50));
    }
    fifos.close_when_written();
    assert!(fifos.is_closed());
}
