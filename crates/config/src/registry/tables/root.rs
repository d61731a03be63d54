//! Keywords outside every block, and the small blocks of the root.

use super::{Block, Keyword, LINK_EVENTS, MANY, NO_IPTABLES, SUPPORTED, keywords};

keywords! {
    ROOT:
    in Root {
    SUPPORTED (0, 0) "global_defs" "global_defs { ... }" [""] [""]
        "Opens the block of daemon-wide settings. May occur several times.";
    LINK_EVENTS (0, MANY) "linkbeat_use_polling" "linkbeat_use_polling" ["netlink events only"] [""]
        "Every interface without its own linkbeat_interfaces type is checked each second by MII, ETHTOOL or ioctl flags instead of by netlink link state.";
    SUPPORTED (1, 1) "net_namespace" "net_namespace NAME" ["default namespace"] [""]
        "All processes enter the network namespace NAME of ip-netns(8) before they start work, with /run/keepalived/NAME as their /run/keepalived; a reload cannot change it.";
    SUPPORTED (0, 1) "net_namespace_ipvs" "net_namespace_ipvs [NAME]" ["same as net_namespace"] [""]
        "The virtual servers are those of the network namespace NAME of ip-netns(8), without NAME of the one in which the daemon was started; so is the interface of lvs_sync_daemon. Checks go out from the daemon's own namespace, where everything else is too. A reload cannot change it.";
    NO_IPTABLES (0, MANY) "namespace_with_ipsets" "namespace_with_ipsets" ["off"] [""]
        "Allows ipsets inside a namespace on kernels before 3.13, where ipsets are shared between namespaces; from 3.13 on they are allowed anyway.";
    SUPPORTED (1, 1) "instance" "instance NAME" ["none"] [""]
        "Names this daemon so that several can run on one host; a reload cannot change it.";
    SUPPORTED (0, 0) "use_pid_dir" "use_pid_dir" ["off unless instance or net_namespace is used"] [""]
        "Pid files are kept in a keepalived sub-directory of the run directory.";
    SUPPORTED (1, 1) "child_wait_time" "child_wait_time SECONDS" ["5"] ["0..4294967295"]
        "When stopping, how long the parent waits for its children before it kills them.";
    SUPPORTED (1, 1) "track_group" "track_group NAME { ... }" [""] [""]
        "Set of VRRP instances that a static address, route or rule follows (see block track_group).";
    SUPPORTED (0, 0) "static_ipaddress" "static_ipaddress { ... }" [""] [""]
        "Addresses that are installed at start-up and removed at stop, independent of VRRP state.";
    SUPPORTED (0, 0) "static_routes" "static_routes { ... }" [""] [""]
        "Routes installed at start-up and removed at stop (block route-line).";
    SUPPORTED (0, 0) "static_rules" "static_rules { ... }" [""] [""]
        "Policy rules installed at start-up and removed at stop (block rule-line).";
    SUPPORTED (1, 1) "vrrp_sync_group" "vrrp_sync_group NAME { ... }" [""] [""]
        "Opens a group of instances that change state together.";
    SUPPORTED (0, 0) "garp_group" "garp_group { ... }" [""] [""]
        "Opens a group of interfaces that share a rate limit for gratuitous ARP / unsolicited NA. Several groups may be defined.";
    LINK_EVENTS (0, MANY) "linkbeat_interfaces" "linkbeat_interfaces { ... }" [""] [""]
        "List of interfaces watched by polling, with an optional method per interface.";
    SUPPORTED (1, 1) "vrrp_instance" "vrrp_instance NAME { ... }" [""] [""]
        "Opens one virtual router; the name is used in logs, notifications and mail.";
    SUPPORTED (1, 1) "vrrp_script" "vrrp_script NAME { ... }" [""] [""]
        "Opens a command that is run on a timer and tracked by instances or sync groups.";
    SUPPORTED (1, 1) "vrrp_track_process" "vrrp_track_process NAME { ... }" [""] [""]
        "Opens a watch on processes of other programs.";
    SUPPORTED (0, 0) "interface_up_down_delays" "interface_up_down_delays { ... }" [""] [""]
        "Per-interface time that a link change must last before it counts.";
    SUPPORTED (1, 1) "track_file" "track_file NAME { ... }" [""] [""]
        "Opens a watch on a file that holds a number.";
    SUPPORTED (1, 1) "vrrp_track_file" "vrrp_track_file NAME { ... }" [""] [""]
        "Old spelling of track_file (deprecated after 2.0.20); same members.";
    SUPPORTED (1, 1) "bfd_instance" "bfd_instance NAME { ... }" [""] ["NAME at most 31 characters"]
        "A BFD session (RFC 5880) with a neighbour, which instances and checkers can follow.";
    SUPPORTED (1, 1) "virtual_server_group" "virtual_server_group NAME { entries }" ["none"] ["unique name"]
        "Defines a named list of addresses, address ranges and firewall marks that a \"virtual_server group <NAME>\" expands to.";
    SUPPORTED (1, 2) "virtual_server" "virtual_server IPADDR [PORT] { }" ["port 0 (any)"] ["PORT 1..65535; 0 or absent = all ports"]
        "Declares an IPVS service keyed by address, port and protocol; IPv6 is recognised by a colon in the address.";
    SUPPORTED (2, 2) "virtual_server" "virtual_server fwmark INT { }" ["none"] ["1..4294967295"]
        "Declares an IPVS service keyed by firewall mark; protocol is ignored (a configured one is reported and cleared), the family comes from ip_family, persistence_granularity or the real servers, else IPv4.";
    SUPPORTED (2, 2) "virtual_server" "virtual_server group NAME { }" ["none"] ["name of a virtual_server_group"]
        "Declares one logical service that is installed once per address of every range and per fwmark of the group.";
    SUPPORTED (0, 0) "SSL" "SSL { password ca certificate key }" ["absent = automatic TLS context"] ["one block"]
        "TLS material of every SSL_GET; a second block replaces the first.";
    }
    in TrackGroup {
    SUPPORTED (0, 0) "group" "group { INSTANCE... }" [""] ["existing instance names"]
        "Instances that go to FAULT while an interface of the static objects of the group is down.";
    }
    in StaticAddress {
    SUPPORTED (0, MANY) "(address line)" "ADDR[/LEN] [options of block address-line]" ["dev = default_interface (eth0)"] ["one per line"]
        "Address set at start-up and removed at stop or when a reload drops it.";
    }
    in StaticRoutes {
    SUPPORTED (0, MANY) "(route line)" "route as in block route-line" ["table main"] ["one per line"]
        "Route installed at start-up and removed at stop or when a reload drops it; unless no_track it is added again when it is deleted by another program.";
    }
    in StaticRules {
    SUPPORTED (0, MANY) "(rule line)" "rule as in block rule-line" [""] ["one per line"]
        "Policy rule installed at start-up and removed at stop or when a reload drops it.";
    }
    in GarpGroup {
    SUPPORTED (1, 1) "interface" "interface NAME" ["none"] ["one group per interface; not a VMAC"]
        "Puts one interface into the group.";
    SUPPORTED (0, 0) "interfaces" "interfaces { NAME... }" ["none"] ["as interface"]
        "Puts several interfaces into the group; the list also numbers the group in dumps.";
    SUPPORTED (1, 1) "garp_interval" "garp_interval SECONDS" ["vrrp_garp_interval"] ["0.000001..4294"]
        "Least time between two gratuitous ARP packets on interfaces of the group.";
    SUPPORTED (1, 1) "gna_interval" "gna_interval SECONDS" ["vrrp_gna_interval"] ["0.000001..4294"]
        "Same for unsolicited NA. A group with neither interval is removed.";
    }
    in Linkbeat {
    LINK_EVENTS (0, MANY) "(interface line)" "NAME [MII|ETHTOOL|IOCTL]" ["all methods tried in that order"] [""]
        "Polls the link of the interface once per second.";
    }
    in InterfaceDelays {
    SUPPORTED (1, 2) "(interface line)" "NAME DOWN_DELAY [UP_DELAY]" ["UP_DELAY 0"] ["0..255 s, with decimals"]
        "A change of the link counts only after it has lasted this long, for instances on the interface and for those that track it. DOWN_DELAY is cut to what lets a backup still wait for adverts: down_timer_adverts - 1 intervals of the instances on the interface, less 1/256 of one.";
    }
}
