//! What the kernel says of its IPVS table.

use kr_model::ipvs::Operation;
use kr_model::net::Family;
use kr_netlink::ipvs::{attributes_of, read_destination, read_service};
use kr_netlink::socket::messages;

/// Services and destinations that were read are the same after they were written and read again. The bytes
/// are tried as a datagram, and as the attributes of one message.
pub fn ipvs_netlink(data: &[u8]) {
    for message in messages(data).flatten() {
        let _ = message.meaning();
        // Behind the header of generic netlink.
        attributes(message.body.get(4..).unwrap_or_default());
    }
    attributes(data);
}

fn attributes(bytes: &[u8]) {
    let Some((key, service)) = read_service(bytes) else {
        destination(bytes, Family::Inet);
        destination(bytes, Family::Inet6);
        return;
    };
    if let Some(service) = service {
        let written = attributes_of(&Operation::AddService { key, service });
        assert_eq!(read_service(&written), Some((key, Some(service))));
    }
    let removal = attributes_of(&Operation::RemoveService { key });
    assert_eq!(read_service(&removal), Some((key, None)));
    destination(bytes, key.family());
}

fn destination(bytes: &[u8], family: Family) {
    let Some((address, Some(destination))) = read_destination(bytes, family) else {
        return;
    };
    let key = crate::samples::service_key();
    let written = attributes_of(&Operation::AddDestination {
        key,
        address,
        destination,
    });
    // What was written names its family, so that of the service does not matter.
    for family in [Family::Inet, Family::Inet6] {
        assert_eq!(
            read_destination(&written, family),
            Some((address, Some(destination)))
        );
    }
}
