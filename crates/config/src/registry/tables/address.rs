//! Address lines.

use super::{Block, Keyword, MANY, SUPPORTED, keywords};

keywords! {
    ADDRESS:
    in AddressLine {
    SUPPORTED (0, MANY) "ADDR[/LEN]" "192.0.2.1/24 or 2001:db8::1/64" ["LEN 32 (IPv4) or 128 (IPv6)"] ["LEN 0..32 / 0..128; a bad LEN is reported and the default kept"]
        "First word of every static, virtual and excluded address.";
    SUPPORTED (0, MANY) "dev" "dev NAME" ["interface of the instance (its VMAC when there is one); default_interface for static addresses"] ["existing interface, unless dynamic_interfaces"]
        "Interface that gets the address. An instance goes to FAULT when a tracked interface of one of its addresses goes down.";
    SUPPORTED (0, MANY) "scope" "scope NAME|N" ["global"] ["IPv4 only"]
        "Kernel scope of the address: global, link, host, site, nowhere or a number.";
    SUPPORTED (0, MANY) "brd" "brd ADDR|+|-" ["none"] ["IPv4 only; + and - need a prefix of at most /30"]
        "Broadcast address: given, + sets the host part to ones, - sets it to zeros.";
    SUPPORTED (0, MANY) "broadcast" "broadcast ADDR|+|-" ["none"] ["as brd"]
        "Same as brd.";
    SUPPORTED (0, MANY) "label" "label NAME" ["none"] ["at most 15 characters; IPv4 only"]
        "Label shown by ip address (for example eth0:1).";
    SUPPORTED (0, MANY) "peer" "peer ADDR" ["none"] ["same family as the address"]
        "Point-to-point peer; the prefix length becomes that of the peer.";
    SUPPORTED (0, MANY) "home" "home" ["off"] [""]
        "Sets IFA_F_HOMEADDRESS (mobile IPv6).";
    SUPPORTED (0, MANY) "-nodad" "-nodad" ["duplicate address detection is skipped for IPv6"] ["IPv6"]
        "Leaves duplicate address detection on for the address; it is off for every other IPv6 address.";
    SUPPORTED (0, MANY) "mngtmpaddr" "mngtmpaddr" ["off"] ["kernel 3.14 or later"]
        "Sets IFA_F_MANAGETEMPADDR.";
    SUPPORTED (0, MANY) "noprefixroute" "noprefixroute" ["off"] ["kernel 3.14 or later"]
        "Sets IFA_F_NOPREFIXROUTE: no route to the prefix is added with the address.";
    SUPPORTED (0, MANY) "autojoin" "autojoin" ["off"] ["kernel 4.1 or later"]
        "Sets IFA_F_MCAUTOJOIN (join the multicast group of a multicast address).";
    SUPPORTED (0, MANY) "no_track" "no_track" ["tracked"] [""]
        "The instance does not depend on the interface of this address, nor on the kernel taking it. When another program deletes it, it is put back as every address is.";
    SUPPORTED (0, MANY) "preferred_lft" "preferred_lft SECONDS|forever" ["0 (so the address is deprecated) for an IPv6 /128, forever for other IPv6 addresses"] ["0..4294967295; IPv6 only"]
        "Preferred lifetime of an IPv6 address. The valid lifetime is always forever.";
    SUPPORTED (0, MANY) "track_group" "track_group NAME" ["none"] ["static addresses with an interface only"]
        "Names the track_group block whose instances depend on this address.";
    SUPPORTED (0, MANY) "use_vmac" "use_vmac" ["off"] ["virtual and excluded addresses only"]
        "Puts the address on an extra VMAC interface of its own, unless the instance uses use_vmac and the address is on its interface (then the instance VMAC is used, with a warning) or use_vmac_addr already does so.";
    SUPPORTED (0, MANY) "(unknown word)" "-" [""] [""]
        "Is reported and ignored; the address is kept. A missing argument rejects the whole address.";
    }
}
