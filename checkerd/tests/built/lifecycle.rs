//! The built checker process and its neighbours: resume after a kill, channels that break, mail, stop.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use crate::harness::{Checkerd, http, misc, nobody, tcp};
use kr_ipc::Channel;
use kr_ipc::channel::pair;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_checkerd::ToCheckerd;
use kr_ipc::edge::vrrpd_checkerd;
use kr_model::check::{CheckerGlobal, Mail, MailSettings};
use kr_model::script::ScriptOutcome;
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, InstanceId};
use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::servers::smtp::SmtpServer;

#[test]
fn metrics_are_served_where_the_configuration_says() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let (first, second) = (nobody(), nobody());
    let listening = |address| CheckerGlobal {
        metrics_listen: address,
        ..CheckerGlobal::default()
    };
    let get = |address: SocketAddr| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let up = "keepalived_real_server_up{virtual_server=\"test\",real_server=\"1\"} 1\n";
    let mut daemon = Checkerd::start();
    let checkers = [tcp(1, server.address())];
    daemon.configure(1, &listening(Some(first)), &checkers, &[]);
    daemon.until_verdict(1, true);
    assert!(get(first).unwrap().contains(up));
    daemon.configure(2, &listening(Some(second)), &checkers, &[]);
    assert!(get(second).unwrap().contains(up));
    assert_eq!(get(first), None);
    daemon.configure(3, &listening(None), &checkers, &[]);
    assert_eq!(get(second), None);
    // An address of nobody's is no reason to end.
    let absent = SocketAddr::from(([192, 0, 2, 77], 9650));
    daemon.configure(4, &listening(Some(absent)), &checkers, &[]);
    daemon.until_log("cannot listen on 192.0.2.77:9650 (metrics_listen)");
}

#[test]
fn a_successor_of_a_killed_process_carries_on() {
    let server = HttpServer::start(Behaviour::ok("x")).unwrap();
    let mut slow = http(2, server.address(), &["/"]);
    slow.timing.retry = 2;
    slow.timing.delay_before_retry = Duration::from_secs(2);
    let checkers = [tcp(1, nobody()), slow, tcp(3, server.address())];
    let mut first = Checkerd::with(&checkers);
    for (id, up) in [(1, false), (2, true), (3, true)] {
        first.until_verdict(id, up);
    }
    server.set(Behaviour::status(500));
    first.until("first failure of two", |d| {
        d.snapshots
            .last()
            .is_some_and(|last| last.id == CheckerId(2) && last.failures == 1)
    });
    let known = first.snapshots.clone();
    first.kill();

    let mut second = Checkerd::start();
    second.configure(1, &CheckerGlobal::default(), &checkers, &known);
    // Known at once, before any check has run.
    second.new_ipvsd();
    second.until("all verdicts", |d| d.verdicts.len() >= 3);
    assert_eq!(
        [1, 2, 3].map(|id| second.verdict(id)),
        [Some(false), Some(true), Some(true)]
    );
    // One of three attempts had failed; the successor makes the other two.
    second.until_verdict(2, false);
    let last = second
        .snapshots
        .iter()
        .rfind(|s| s.id == CheckerId(2))
        .unwrap();
    assert_eq!(last.failed_attempts, 3);
}

#[test]
fn an_answer_to_the_predecessors_script_is_not_taken() {
    let mut daemon = Checkerd::with(&[misc(1, false)]);
    daemon.until("request for the script", |d| !d.scripts.is_empty());
    let (checker, run) = daemon.scripts[0];
    let outcome = ScriptOutcome::Exit(1);
    daemon.send(&ToCheckerd::ScriptEnded {
        checker,
        run: run.wrapping_sub(1),
        outcome,
    });
    daemon.send(&ToCheckerd::ScriptEnded {
        checker,
        run,
        outcome: ScriptOutcome::Exit(0),
    });
    daemon.until_verdict(1, true);
    assert_eq!(daemon.verdicts.len(), 1);
}

#[test]
fn a_new_ipvs_process_hears_every_verdict() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let mut daemon = Checkerd::with(&[tcp(1, server.address()), tcp(2, nobody())]);
    daemon.until_verdict(1, true);
    daemon.until_verdict(2, false);
    daemon.verdicts.clear();
    daemon.new_ipvsd();
    daemon.until("two verdicts", |d| d.verdicts.len() == 2);
    assert_eq!(
        (daemon.verdict(1), daemon.verdict(2)),
        (Some(true), Some(false))
    );
}

#[test]
fn an_ipvs_process_that_speaks_is_cut_off_and_reported() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let mut daemon = Checkerd::with(&[tcp(1, server.address())]);
    let (ours, theirs) = pair().unwrap();
    let message = ToCheckerd::Sibling(Sibling::Ipvsd);
    daemon.parent.send_with(&message, theirs).unwrap();
    nix::sys::socket::send(
        ours.as_raw_fd(),
        b"rubbish",
        nix::sys::socket::MsgFlags::empty(),
    )
    .unwrap();
    daemon.until("report", |d| d.misbehaved == [Sibling::Ipvsd]);
    // Checks go on, and a successor hears them.
    daemon.new_ipvsd();
    daemon.until_verdict(1, true);
}

#[test]
fn a_vrrp_process_that_breaks_the_protocol_is_cut_off_and_reported() {
    let mut daemon = Checkerd::with(&[]);
    let garbage = daemon.new_vrrpd();
    nix::sys::socket::send(
        garbage.as_raw_fd(),
        b"rubbish",
        nix::sys::socket::MsgFlags::empty(),
    )
    .unwrap();
    daemon.until("report", |d| d.misbehaved == [Sibling::Vrrpd]);
    let says = |instance| vrrpd_checkerd::ToCheckerd::Instance {
        generation: Generation(1),
        instance: InstanceId(instance),
        state: State::Master,
    };
    let mut liar = daemon.new_vrrpd();
    liar.send(&says(1)).unwrap();
    liar.send(&says(99)).unwrap();
    daemon.until("report", |d| d.misbehaved == [Sibling::Vrrpd; 2]);
    daemon.until_log("it named instance 99, which is not configured");
}

#[test]
fn nonsense_from_the_parent_ends_the_process() {
    let mut outside = Checkerd::start();
    outside.send(&ToCheckerd::Commit(Generation(1)));
    assert!(!outside.ended());
    outside.until_log("without its beginning");

    let mut unexpected = Checkerd::start();
    let (_, descriptor) = pair().unwrap();
    unexpected
        .parent
        .send_with(&ToCheckerd::Stop, descriptor)
        .unwrap();
    assert!(!unexpected.ended());
}

#[test]
fn the_process_ends_with_its_parent() {
    let mut daemon = Checkerd::with(&[tcp(1, nobody())]);
    let (other, _end) = pair().unwrap();
    daemon.parent = Channel::new(other);
    assert!(daemon.ended());
    daemon.until_log("the parent process is gone");
}

fn mail_to(server: &SmtpServer, name: &str) -> CheckerGlobal {
    CheckerGlobal {
        mail: Some(MailSettings {
            server: name.to_owned(),
            port: u64::from(server.address().port()).try_into().unwrap(),
            helo: "lb1".to_owned(),
            from: "lb1@example.org".to_owned(),
            to: vec!["ops@example.org".to_owned(), "gone@example.org".to_owned()],
            timeout: Duration::from_secs(5),
        }),
        ..CheckerGlobal::default()
    }
}

fn mail(subject: &str) -> ToCheckerd {
    ToCheckerd::Mail(Box::new(Mail {
        subject: subject.to_owned(),
        body: "=> TCP CHECK failed on service <=\n.\n".to_owned(),
    }))
}

#[test]
fn mail_reaches_the_server_by_address_and_by_name() {
    let server = SmtpServer::start(vec![("RCPT TO:<gone", "550 unknown")]).unwrap();
    let mut daemon = Checkerd::start();
    for (generation, name) in [(1, "127.0.0.1"), (2, "localhost")] {
        daemon.configure(generation, &mail_to(&server, name), &[], &[]);
        daemon.send(&mail(name));
        daemon.until("mail", |_| {
            server
                .mails()
                .iter()
                .any(|m| m.text.contains(&format!("Subject: {name}\n")))
        });
    }
    let received = &server.mails()[0];
    assert_eq!(received.from, "lb1@example.org");
    assert_eq!(received.to, ["ops@example.org"]);
    assert!(
        received
            .text
            .ends_with("\n\n=> TCP CHECK failed on service <=\n.\n"),
        "{}",
        received.text
    );
    daemon.until_log("refused recipient gone@example.org: 550 unknown");
}

#[test]
fn a_stopping_process_first_delivers_the_mail_that_waits() {
    let server = SmtpServer::start(Vec::new()).unwrap();
    let mut daemon = Checkerd::start();
    daemon.configure(1, &mail_to(&server, "127.0.0.1"), &[], &[]);
    for subject in ["one", "two", "three"] {
        daemon.send(&mail(subject));
    }
    daemon.send(&ToCheckerd::Stop);
    assert!(daemon.ended());
    assert_eq!(server.mails().len(), 3);
}

#[test]
fn a_mail_server_that_is_away_is_told_of_and_tried_again() {
    let server = SmtpServer::start(Vec::new()).unwrap();
    let settings = mail_to(&server, "127.0.0.1");
    drop(server);
    let mut daemon = Checkerd::start();
    daemon.configure(1, &settings, &[], &[]);
    daemon.send(&mail("lost"));
    daemon.until("complaint", |d| {
        d.log()
            .contains("mail server 127.0.0.1: connection refused; next attempt in 10 s")
    });
    daemon.send(&ToCheckerd::Stop);
    assert!(daemon.ended());
    daemon.until_log("the mail is dropped");
}
