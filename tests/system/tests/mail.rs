//! Notification mail, from a change of state to a mail server's queue.

use kr_testkit::servers::smtp::{Received, SmtpServer};
use kr_testkit::wait::eventually;

use crate::rig::{Rig, SOON, WHOLE};

#[test]
fn changes_of_routers_and_servers_reach_the_mail_server() {
    let rig = Rig::new(WHOLE);
    let server = rig
        .host
        .enter(|| SmtpServer::start(Vec::new()))
        .unwrap()
        .unwrap();
    let mail = format!(
        "router_id TEST
    notification_email {{
        first@example.net
        \"The Second <second@example.net>\"
    }}
    notification_email_from \"The Router <router@example.net>\"
    smtp_server 127.0.0.1 {}
    smtp_connect_timeout 5
    smtp_alert",
        server.address().port()
    );
    rig.configure(&WHOLE.replace("router_id TEST", &mail));
    let mut daemon = rig.start_and_wait();
    // Nothing listens on the real server's port, so its check fails.
    let subjects = [
        "Subject: [TEST] VRRP Instance VI_1 - Entering MASTER state",
        "Subject: [TEST] Realserver [10.9.0.1]:tcp:80 of virtual server [10.9.0.9]:tcp:80 - DOWN",
        "Subject: [TEST] Virtualserver [10.9.0.9]:tcp:80 - DOWN",
    ];
    let found = |subject: &str| -> Option<Received> {
        let of = |mail: &Received| mail.text.lines().any(|line| line == subject);
        server.mails().into_iter().find(of)
    };
    for subject in subjects {
        eventually(SOON, subject, || found(subject).is_some())
            .unwrap_or_else(|error| panic!("{error}\n{:?}\n{}", server.mails(), daemon.log()));
    }
    let mail = found(subjects[0]).unwrap();
    assert_eq!(mail.from, "router@example.net");
    assert_eq!(mail.to, ["first@example.net", "second@example.net"]);
    // What is said at the stop is delivered before the checker process leaves.
    daemon.terminate(SOON).unwrap();
    let stopping = "Subject: [TEST] VRRP Instance VI_1 - Stopping";
    assert!(found(stopping).is_some(), "{:?}", server.mails());
}
