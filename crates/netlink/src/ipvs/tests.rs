use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use kr_model::ipvs::{Destination, Service};
use kr_model::lvs::{Forwarding, Protocol, Scheduler, ServiceFlags};
use kr_model::units::Weight;

use super::*;

fn key() -> ServiceKey {
    ServiceKey::Address {
        address: SocketAddr::from(([192, 0, 2, 1], 80)),
        protocol: Protocol::Tcp,
    }
}

fn service() -> Service {
    Service {
        scheduler: Scheduler::Maglev,
        flags: ServiceFlags::empty(),
        persistence: None,
    }
}

fn destination() -> Destination {
    Destination {
        forwarding: Forwarding::Nat,
        weight: Weight::ONE,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

#[test]
fn a_table_that_differs_from_what_was_believed_is_met_halfway() {
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let (key, service, destination) = (key(), service(), destination());
    let add = Operation::AddService { key, service };
    let set = Operation::SetService { key, service };
    let add_to = Operation::AddDestination {
        key,
        address,
        destination,
    };
    let set_in = Operation::SetDestination {
        key,
        address,
        destination,
    };
    let table = [
        (add, Errno::EEXIST, Some(set)),
        (set, Errno::ESRCH, Some(add)),
        (add_to, Errno::EEXIST, Some(set_in)),
        (set_in, Errno::ENOENT, Some(add_to)),
        // The scheduler is missing, or the service is: no other operation would help.
        (add, Errno::ENOENT, None),
        (set_in, Errno::ESRCH, None),
    ];
    for (operation, errno, expected) in table {
        assert_eq!(
            instead(&operation, Err(errno)),
            expected,
            "{operation} {errno}"
        );
    }
    for gone in [Errno::ESRCH, Errno::ENOENT] {
        assert_eq!(settle(&Operation::RemoveService { key }, Err(gone)), Ok(()));
        assert_eq!(
            settle(&Operation::RemoveDestination { key, address }, Err(gone)),
            Ok(())
        );
    }
    assert_eq!(settle(&add, Err(Errno::ENOENT)), Err(Errno::ENOENT));
}

#[test]
fn a_missing_scheduler_is_named_with_its_module() {
    let add = Operation::AddService {
        key: key(),
        service: service(),
    };
    assert_eq!(
        explain(&add, Errno::ENOENT),
        "this kernel has no scheduler `mh`; try `modprobe ip_vs_mh`"
    );
}

/// As when the IPVS processes before and after an upgrade both have the socket of another namespace's table.
#[test]
fn an_answer_that_another_user_of_the_socket_asked_for_is_never_taken_for_an_own_one() {
    let controller = (CONTROLLER, CONTROLLER_VERSION);
    let question = |writer: &mut Writer| writer.text(FAMILY_NAME, "nlctrl");
    let number = |body: &[u8]| {
        let id = attributes(body).find(|attribute| attribute.kind == FAMILY_ID);
        id.and_then(|id| id.u16())
    };
    let mut theirs = Socket::open(SockProtocol::NetlinkGeneric, 0).unwrap();
    let same = theirs.as_fd().try_clone_to_owned().unwrap();
    let mut ours = Socket::adopt(same, 1 << 20).unwrap();
    // They ask for a family that is not there, and are not there to read the refusal.
    let mut writer = Writer::default();
    let sequence = theirs.next_sequence();
    writer.request(
        CONTROLLER,
        REQUEST | ACK,
        sequence,
        GET_FAMILY,
        CONTROLLER_VERSION,
        |w| w.text(FAMILY_NAME, "nobody"),
    );
    theirs.send(writer.bytes()).unwrap();
    let mut found = None;
    let asked = ask(
        &mut ours,
        controller,
        REQUEST | ACK,
        GET_FAMILY,
        question,
        |body| {
            found = number(body);
        },
    );
    assert_eq!((asked, found), (Ok(()), Some(CONTROLLER)));
    // Their answer is gone; they notice, and may ask again.
    while ours.receive().unwrap().is_some() {}
    assert_eq!(theirs.receive(), Ok(None));
    let lost = IpvsError::from(NetlinkError::Unanswered);
    assert!(lost.is_shared());
    let asked = ask(
        &mut theirs,
        controller,
        REQUEST | ACK,
        GET_FAMILY,
        question,
        |_| {},
    );
    assert_eq!(asked, Ok(()));
}
