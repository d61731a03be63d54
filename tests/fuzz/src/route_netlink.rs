//! What the kernel says of links, addresses, routes and rules.

use kr_model::vrrp::{AddressFlags, VirtualAddress};
use kr_netlink::route::{Address, Change, Event, Place, read};
use kr_netlink::socket::messages;

/// A datagram ends; an address that was read is the same after a request was made of it and read again.
pub fn route_netlink(data: &[u8]) {
    let mut seen = 0;
    for message in messages(data) {
        let Ok(message) = message else {
            continue;
        };
        seen += 1;
        let _ = (message.meaning(), message.interrupted());
        let _ = kr_netlink::fib::read(&message);
        match read(&message) {
            Some(Event::Address(address) | Event::AddressGone(address)) => same_again(&address),
            Some(Event::Link(link)) => assert!((1..=15).contains(&link.name.as_str().len())),
            Some(_) | None => {}
        }
    }
    // A message is at least its header.
    assert!(seen <= data.len() / 16);
}

fn same_again(address: &Address) {
    let wanted = VirtualAddress {
        address: address.place.local,
        device: None,
        scope: address.scope,
        broadcast: None,
        label: None,
        peer: address.place.peer,
        flags: AddressFlags::default(),
        tracked: true,
        preferred_lifetime: None,
        own_link: false,
        lifetime: None,
    };
    let link = address.place.link;
    assert_eq!(Place::of(link, &wanted), address.place);
    let add = Change::Add {
        link,
        address: &wanted,
    };
    for change in [add, Change::Remove(address.place)] {
        let request = change.request(7).expect("what was read can be written");
        let events: Vec<Event> = messages(&request)
            .map(|message| read(&message.expect("own messages are whole")).expect("an address"))
            .collect();
        match &events[..] {
            [Event::Address(again)] => {
                assert_eq!((again.place, again.scope), (address.place, address.scope));
                assert!(again.is_ours());
            }
            [Event::AddressGone(again)] => assert_eq!(again.place, address.place),
            other => panic!("{other:?}"),
        }
    }
}
