//! `vrrp_instance`, `vrrp_sync_group` and what stands inside them.

use super::{
    Block, FIXED_BUFFERS, Keyword, LINK_EVENTS, MANY, NEVER_HAD_EFFECT, SUPPORTED, keywords,
};

keywords! {
    VRRP:
    in VrrpInstance {
    SUPPORTED (0, MANY) "use_vmac" "use_vmac [[name] IFNAME] [MAC] [netlink_notify_msg] [group GROUP]" ["off; name vmac_prefix.VRID (or a free variant); MAC 00:00:5e:00:01:VRID (IPv4) or 00:00:5e:00:02:VRID (IPv6)"] ["Ethernet parent only; MAC 5 or 6 octets, not multicast, not the RFC range"]
        "Run VRRP on a macvlan of the interface with the virtual MAC (see block use_vmac-args). It is made at start and removed at the end; one of a killed daemon is taken over, one that others have made with the same MAC is used and left. Unicast needs vmac_xmit_base, which is then set.";
    SUPPORTED (0, 0) "use_vmac_addr" "use_vmac_addr" ["off"] [""]
        "Put every address that is not on the interface of the instance (or of the other family) on an extra VMAC of that interface.";
    SUPPORTED (0, 0) "vmac_xmit_base" "vmac_xmit_base" ["off"] ["with use_vmac"]
        "Send and receive adverts on the interface below; addresses stay on the VMAC. Not allowed in strict mode.";
    SUPPORTED (0, MANY) "use_ipvlan" "use_ipvlan [[name] IFNAME] [ADDR[/LEN]] [bridge|private|vepa] [group GROUP]" ["off; name as use_vmac"] ["ADDR required for IPv4; only one type word counts"]
        "Run VRRP on an L2 ipvlan of the interface; ADDR is put on it and is the advert source unless another is set.";
    SUPPORTED (0, 0) "unicast_peer" "unicast_peer { lines of block unicast_peer-line }" ["none (multicast)"] ["same family as the instance"]
        "Send adverts to these addresses and receive only unicast ones.";
    SUPPORTED (0, 0) "unicast_fault_no_peer" "unicast_fault_no_peer" ["off"] [""]
        "Go to FAULT when a unicast keyword is given and no peer is; otherwise such an instance falls back to multicast with a deprecation warning.";
    SUPPORTED (0, 0) "check_unicast_src" "check_unicast_src" ["off"] [""]
        "Refuse adverts whose source is not a peer. Set by vrrp_check_unicast_src and by min_ttl/max_ttl too.";
    SUPPORTED (0, 1) "old_unicast_checksum" "old_unicast_checksum [never]" ["off, automatic detection"] ["unicast VRRPv3 only"]
        "Use the checksum of keepalived 1.3.6 and older for unicast VRRPv3 adverts: the destination in the pseudo header is the IPv4 multicast group instead of the peer. never forbids the detection that switches to it.";
    SUPPORTED (0, 0) "native_ipv6" "native_ipv6" ["off"] [""]
        "Deprecated way to say that addresses are IPv6; also sets version 3.";
    SUPPORTED (1, 1) "state" "state MASTER|BACKUP" ["MASTER when priority is 255, else BACKUP"] ["MASTER or BACKUP"]
        "State that is aimed for at start. MASTER then BACKUP is refused. state MASTER without priority makes the priority 255.";
    SUPPORTED (1, 1) "interface" "interface NAME" ["none; required unless a unicast keyword and unicast_src_ip are given"] ["at most 15 characters, not loopback"]
        "Interface that adverts are sent on and that the addresses are set on by default.";
    SUPPORTED (1, 1) "vrf" "vrf NAME" ["none"] ["unicast without interface only"]
        "VRF device that adverts leave and come by. Addresses need an interface of their own (dev).";
    SUPPORTED (0, 0) "dont_track_primary" "dont_track_primary" ["off"] [""]
        "The instance keeps running when its own interface goes down, and its addresses do not count as tracked on that interface.";
    SUPPORTED (0, 0) "track_interface" "track_interface { lines of block track-line }" ["none"] [""]
        "Interfaces tracked besides the own one; the own interface there is ignored with an error.";
    SUPPORTED (0, 0) "track_script" "track_script { lines of block track-line }" ["none"] [""]
        "Scripts tracked.";
    SUPPORTED (0, 0) "track_file" "track_file { lines of block track-line }" ["none"] [""]
        "Files tracked.";
    SUPPORTED (0, 0) "track_process" "track_process { lines of block track-line }" ["none"] [""]
        "Processes tracked.";
    SUPPORTED (0, MANY) "track_bfd" "track_bfd { lines of block track-line }" ["none"] [""]
        "BFD sessions tracked.";
    SUPPORTED (1, 1) "mcast_src_ip" "mcast_src_ip ADDR" ["first address of the interface"] ["same family"]
        "Source address of multicast adverts.";
    SUPPORTED (1, 1) "unicast_src_ip" "unicast_src_ip ADDR" ["first address of the interface; required without interface"] ["same family"]
        "Source address of unicast adverts, and the address received adverts must be sent to.";
    SUPPORTED (1, 1) "mcast_dst_ip" "mcast_dst_ip ADDR" ["vrrp_mcast_group4 / vrrp_mcast_group6"] ["IPv4 multicast or IPv6 link-local multicast"]
        "Destination of multicast adverts. Not for unicast.";
    SUPPORTED (0, 0) "track_src_ip" "track_src_ip" ["off"] ["with mcast_src_ip or unicast_src_ip"]
        "Go to FAULT while the configured source address is not on the interface.";
    SUPPORTED (1, 1) "virtual_router_id" "virtual_router_id N" ["none, required"] ["1..255"]
        "VRID; two instances of one family and interface cannot share it.";
    SUPPORTED (1, 1) "unicast_ttl" "unicast_ttl N" ["255 for IPv4, kernel default for IPv6"] ["0..255"]
        "TTL or hop limit of unicast adverts. Without unicast peers it is reported and set to 0.";
    SUPPORTED (1, 1) "version" "version 2|3" ["vrrp_version; 3 for IPv6"] ["2 or 3"]
        "VRRP version. Version 2 over IPv6 is understood by keepalived only.";
    SUPPORTED (1, 1) "priority" "priority N" ["255 with state MASTER, else 100"] ["1..255"]
        "Priority; 255 is the address owner, which starts as MASTER and is never preempted.";
    SUPPORTED (1, 1) "advert_int" "advert_int SECONDS" ["1"] ["0.01..255; version 2 whole seconds 1..255, version 3 multiples of 0.01 up to 40.95; other values are rounded"]
        "Advert interval; it must be equal on all routers of a VRID in version 2.";
    SUPPORTED (0, 0) "virtual_ipaddress" "virtual_ipaddress { lines of block address-line }" ["none; required for version 3 or strict mode"] ["all of one family; from the 256th on they are treated as excluded"]
        "Addresses that are sent in adverts and set while master.";
    SUPPORTED (0, 0) "virtual_ipaddress_excluded" "virtual_ipaddress_excluded { lines of block address-line }" ["none"] ["any family"]
        "Addresses set while master but not in adverts and not compared; the other family is allowed here.";
    SUPPORTED (0, 0) "no_virtual_ipaddress" "no_virtual_ipaddress" ["off"] [""]
        "Allows an instance without addresses, without the warning.";
    SUPPORTED (0, 0) "promote_secondaries" "promote_secondaries" ["off"] [""]
        "Sets net.ipv4.conf.IFACE.promote_secondaries while the instance runs, so that removing the first address of a subnet keeps the others. A VMAC always has it.";
    LINK_EVENTS (0, MANY) "linkbeat_use_polling" "linkbeat_use_polling" ["off"] [""]
        "Deprecated: polls the link of the interface; use the linkbeat_interfaces block.";
    SUPPORTED (0, 1) "v3_checksum_as_v2" "v3_checksum_as_v2 [BOOL]" ["v3_checksum_as_v2 global value"] ["IPv4 VRRPv3 only"]
        "Leave the IPv4 pseudo header out of the VRRPv3 checksum, as some other vendors do.";
    SUPPORTED (0, 0) "virtual_routes" "virtual_routes { lines of block route-line }" ["none"] [""]
        "Routes installed while master, removed before the addresses.";
    SUPPORTED (0, 0) "virtual_rules" "virtual_rules { lines of block rule-line }" ["none"] [""]
        "Policy rules installed while master, removed first.";
    SUPPORTED (0, 0) "accept" "accept" ["on, but off in strict mode unless priority 255"] [""]
        "The virtual addresses are used as local ones while master. An instance of priority 255 accepts in any case; in strict mode with version 2 no other does.";
    SUPPORTED (0, 0) "no_accept" "no_accept" ["off"] [""]
        "While master, traffic to and from the virtual and excluded addresses is dropped by nftables (table of the keyword nftables), for services behind them as well; ARP and neighbour discovery are answered.";
    SUPPORTED (0, 1) "skip_check_adv_addr" "skip_check_adv_addr [BOOL]" ["vrrp_skip_check_adv_addr"] [""]
        "Do not compare the address list of adverts that come from the master already known.";
    SUPPORTED (0, 1) "strict_mode" "strict_mode [BOOL]" ["vrrp_strict"] [""]
        "Follow the VRRP RFC: no authentication, no unicast on an interface with multicast, priority 255 exactly when state MASTER, no preempt_delay, down_timer_adverts 3, no GARP on lower priority, no advert on lower or higher priority, no vmac_xmit_base, no own VMAC MAC, at least one address, IPv6 version 3. Traffic to the addresses stays accepted, as no_accept is not built yet.";
    SUPPORTED (0, 0) "preempt" "preempt" ["preempt"] [""]
        "Old keyword for the default; undoes nopreempt earlier in the block.";
    SUPPORTED (0, 0) "nopreempt" "nopreempt" ["preempt"] ["state BACKUP, priority below 255"]
        "A backup keeps the master of lower priority. Cleared (with an error) for priority 255 or state MASTER.";
    SUPPORTED (1, 1) "preempt_delay" "preempt_delay SECONDS" ["0"] ["0..1000, decimal"]
        "A backup waits this long, counted from the first advert of lower priority, before it takes over.";
    NEVER_HAD_EFFECT (0, MANY) "debug" "debug N" ["0"] ["0..4"]
        "Stored and shown in the dump; has no other effect.";
    SUPPORTED (1, 3) "notify_master" "notify_master \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when the instance becomes master (after its addresses are set).";
    SUPPORTED (1, 3) "notify_backup" "notify_backup \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when the instance becomes backup.";
    SUPPORTED (1, 3) "notify_fault" "notify_fault \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when the instance goes to fault.";
    SUPPORTED (1, 3) "notify_stop" "notify_stop \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when keepalived stops.";
    SUPPORTED (0, 3) "notify_deleted" "notify_deleted [\"COMMAND [ARG...]\" [USER [[:]GROUP]]]" ["off"] ["one quoted word, see config-file"]
        "A reload that removes the instance is reported as DELETED instead of FAULT; SCRIPT runs then.";
    SUPPORTED (1, 3) "notify" "notify \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run after the state script of every change, with INSTANCE NAME STATE PRIORITY appended.";
    SUPPORTED (1, 3) "notify_master_rx_lower_pri" "notify_master_rx_lower_pri \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when, while master, adverts of lower priority (or same priority and lower address) arrive: at most once per advert interval, and once more when they have ended.";
    SUPPORTED (0, 1) "smtp_alert" "smtp_alert [BOOL]" ["smtp_alert_vrrp, then smtp_alert, else off"] [""]
        "Mail state changes.";
    SUPPORTED (0, 1) "notify_priority_changes" "notify_priority_changes [BOOL]" ["sync group value, else vrrp_notify_priority_changes"] [""]
        "Also notify every change of the effective priority.";
    SUPPORTED (1, 1) "lvs_sync_daemon_interface" "lvs_sync_daemon_interface IFNAME" ["none"] [""]
        "Deprecated after 1.2.19: IPVS synchronisation on this instance; use lvs_sync_daemon.";
    SUPPORTED (1, 1) "garp_master_delay" "garp_master_delay SECONDS" ["vrrp_garp_master_delay"] ["0..4294"]
        "Delay of the second gratuitous ARP/NA set.";
    SUPPORTED (1, 1) "garp_master_repeat" "garp_master_repeat N" ["vrrp_garp_master_repeat"] ["0..4294967295 (0 becomes 1)"]
        "Number of gratuitous ARP/NA per address in a set.";
    SUPPORTED (1, 1) "garp_master_refresh" "garp_master_refresh SECONDS" ["vrrp_garp_master_refresh"] ["0..4294967295"]
        "Period of the refresh while master.";
    SUPPORTED (1, 1) "garp_master_refresh_repeat" "garp_master_refresh_repeat N" ["vrrp_garp_master_refresh_repeat"] ["0..4294967295 (0 becomes 1)"]
        "Number per address in a refresh.";
    SUPPORTED (1, 1) "garp_lower_prio_delay" "garp_lower_prio_delay SECONDS" ["vrrp_garp_lower_prio_delay"] ["0..4294"]
        "Delay of the second set sent after a lower priority advert. 0 in strict mode.";
    SUPPORTED (1, 1) "garp_lower_prio_repeat" "garp_lower_prio_repeat N" ["vrrp_garp_lower_prio_repeat"] ["0..2147483647"]
        "Number per address sent after a lower priority advert; 0 sends none. 0 in strict mode.";
    SUPPORTED (1, 1) "down_timer_adverts" "down_timer_adverts N" ["vrrp_down_timer_adverts, else 3"] ["1..100; 3 in strict mode"]
        "Advert intervals without advert before a backup takes over.";
    SUPPORTED (0, 1) "timer_expired_backup" "timer_expired_backup [PRIORITY]" ["off; 254 without argument"] ["1..254; needs nopreempt"]
        "When this process was held up so long that a router with this priority would already have taken over (3 advert intervals plus its skew), leave MASTER at once instead of sending adverts again.";
    SUPPORTED (0, 1) "thread_timer_expired" "thread_timer_expired [PRIORITY]" [""] [""]
        "Old name of timer_expired_backup.";
    SUPPORTED (1, 2) "garp_extra_if" "garp_extra_if [all] SECONDS" ["vrrp_garp_extra_if"] ["0..86400"]
        "Repeat gratuitous ARP/NA for VMAC interfaces that send no adverts (one address per interface), or with all for every interface of the addresses.";
    SUPPORTED (1, 2) "vmac_garp_intvl" "vmac_garp_intvl [all] SECONDS" [""] [""]
        "Old spelling of garp_extra_if (deprecated after 2.2.2); reported.";
    SUPPORTED (0, 1) "lower_prio_no_advert" "lower_prio_no_advert [BOOL]" ["vrrp_lower_prio_no_advert; true in strict mode"] [""]
        "Do not answer an advert of lower priority with an own advert.";
    SUPPORTED (0, 1) "higher_prio_send_advert" "higher_prio_send_advert [BOOL]" ["vrrp_higher_prio_send_advert, else on; off in strict mode"] [""]
        "Before becoming backup because of an advert of higher priority, send one more own advert: it shows the new master that there were two, so that it announces the addresses again. On by default, unlike in keepalived.";
    SUPPORTED (0, 1) "owner_ignore_adverts" "owner_ignore_adverts [BOOL]" ["true for priority 255 in strict mode, else vrrp_owner_ignore_adverts"] ["priority 255 only"]
        "Drop every advert while the effective priority is 255.";
    FIXED_BUFFERS (0, MANY) "kernel_rx_buf_size" "kernel_rx_buf_size BYTES" ["vrrp_rx_bufs_policy"] ["0..4294967295"]
        "Receive buffer of the socket of this instance (SO_RCVBUF).";
    SUPPORTED (0, 0) "authentication" "authentication { ... }" ["none"] ["version 2 only; not in strict mode"]
        "Opens the authentication block. A block without auth_pass is an error that switches authentication off.";
    SUPPORTED (0, 0) "auth_hmac" "auth_hmac { ... }" ["none"] ["not together with authentication"]
        "Opens the HMAC extension block (version 2 and 3, any family).";
    }
    in Authentication {
    SUPPORTED (1, 1) "auth_type" "auth_type PASS|AH" ["none"] ["PASS or AH"]
        "PASS puts the password into each advert; AH proves with HMAC-MD5 that the sender knows it, and that the advert is new.";
    SUPPORTED (1, 1) "auth_pass" "auth_pass TEXT" ["empty"] ["at most 8 bytes, longer is cut with a warning"]
        "Password; unused bytes are zero. Without it authentication is switched off.";
    }
    in AuthHmac {
    SUPPORTED (2, 2) "key" "key ID VALUE" ["none, at least one required"] ["ID 1..255; VALUE 32..64 bytes after decoding"]
        "Shared key. hex:DIGITS gives raw bytes, file:PATH reads the value from a file (a file that others may read is reported but used), credential:NAME from a credential of the systemd unit; other text is used as it stands.";
    SUPPORTED (1, 1) "active_key" "active_key ID" ["0 (not set)"] ["1..255"]
        "Key used for sending; it must be defined, except in mode receive-only.";
    SUPPORTED (1, 1) "time_window" "time_window SECONDS" ["3 advert intervals (whole seconds), at least 5"] ["1..300"]
        "Largest difference between the sender time in the trailer and the local clock in time mode.";
    SUPPORTED (1, 1) "anti_replay" "anti_replay time|monotonic" ["time"] [""]
        "time refuses old time stamps and repeats; monotonic refuses only repeats.";
    SUPPORTED (1, 1) "mode" "mode enforce|permissive|receive-only" ["enforce"] ["strict mode allows enforce only"]
        "enforce requires a valid trailer; permissive signs but accepts adverts without a trailer; receive-only signs nothing and accepts adverts without a trailer.";
    }
    in UseVmac {
    SUPPORTED (0, MANY) "IFNAME" "use_vmac IFNAME" ["generated"] ["valid interface name, at most 15 characters, not used by another instance"]
        "Name of the VMAC. A word holding a colon is taken as a MAC instead.";
    SUPPORTED (0, MANY) "MAC" "use_vmac aa:bb:cc:dd:ee[:ff]" ["see use_vmac"] ["5 octets get VRID as the sixth; 6 octets are used as given"]
        "MAC of the VMAC. Multicast addresses and 00:00:5e:00:01/02 are refused.";
    SUPPORTED (0, MANY) "netlink_notify_msg" "netlink_notify_msg" ["off"] [""]
        "After creating and after deleting the VMAC, write the interface group of the parent again, so that other programs receive a netlink message with the changed promiscuous state of the parent.";
    SUPPORTED (0, MANY) "group" "group NAME|N" ["group of the parent"] ["name from the iproute2 group file"]
        "Interface group of the VMAC.";
    }
    in UseIpvlan {
    SUPPORTED (0, MANY) "name" "name IFNAME" ["generated"] ["as use_vmac"]
        "Optional word before the interface name.";
    SUPPORTED (0, MANY) "IFNAME" "use_ipvlan IFNAME" ["generated"] ["at most 15 characters"]
        "Name of the ipvlan.";
    SUPPORTED (0, MANY) "ADDR" "use_ipvlan ADDR[/LEN]" ["none"] ["required for IPv4"]
        "Address of the ipvlan interface, also the advert source when none is set.";
    SUPPORTED (0, MANY) "bridge" "bridge" ["bridge"] ["one of the three"]
        "L2 ipvlan in bridge mode.";
    SUPPORTED (0, MANY) "private" "private" [""] [""]
        "L2 ipvlan in private mode.";
    SUPPORTED (0, MANY) "vepa" "vepa" [""] [""]
        "L2 ipvlan in VEPA mode.";
    SUPPORTED (0, MANY) "group" "group NAME|N" ["group of the parent"] ["as use_vmac"]
        "Interface group of the ipvlan.";
    }
    in UnicastPeer {
    SUPPORTED (0, MANY) "ADDR" "ADDR" [""] ["one per line, no duplicates"]
        "Address a unicast instance sends adverts to.";
    SUPPORTED (0, MANY) "min_ttl" "ADDR min_ttl N" ["0"] ["0..255"]
        "Adverts from this peer with a smaller TTL/hop limit are dropped.";
    SUPPORTED (0, MANY) "max_ttl" "ADDR max_ttl N" ["255"] ["0..255"]
        "Adverts from this peer with a larger TTL/hop limit are dropped.";
    }
    in SyncGroup {
    SUPPORTED (0, 0) "group" "group { INSTANCE... }" ["none, required"] ["existing instance names; one group per instance"]
        "Members of the group.";
    SUPPORTED (0, 0) "track_interface" "track_interface { lines of block track-line }" ["none"] [""]
        "Interfaces tracked for every member.";
    SUPPORTED (0, 0) "track_script" "track_script { lines of block track-line }" ["none"] [""]
        "Scripts tracked for every member.";
    SUPPORTED (0, 0) "track_file" "track_file { lines of block track-line }" ["none"] [""]
        "Files tracked for every member.";
    SUPPORTED (0, 0) "track_process" "track_process { lines of block track-line }" ["none"] [""]
        "Processes tracked for every member.";
    SUPPORTED (0, MANY) "track_bfd" "track_bfd { lines of block track-line }" ["none"] [""]
        "BFD sessions tracked for every member.";
    SUPPORTED (1, 3) "notify_master" "notify_master \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run once when the whole group becomes master. Later ones are ignored.";
    SUPPORTED (1, 3) "notify_backup" "notify_backup \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when the group becomes backup.";
    SUPPORTED (1, 3) "notify_fault" "notify_fault \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when the group goes to fault.";
    SUPPORTED (1, 3) "notify_stop" "notify_stop \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run when keepalived stops.";
    SUPPORTED (1, 3) "notify" "notify \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Run after the state script, with arguments GROUP NAME STATE 0.";
    SUPPORTED (0, 1) "smtp_alert" "smtp_alert [BOOL]" ["value of smtp_alert_vrrp, then smtp_alert"] [""]
        "Mail the state changes of the group.";
    SUPPORTED (0, 0) "global_tracking" "global_tracking" ["off"] [""]
        "Deprecated: reported and treated as sync_group_tracking_weight.";
    SUPPORTED (0, 0) "sync_group_tracking_weight" "sync_group_tracking_weight" ["off"] [""]
        "Keep the weights of tracked objects of the members.";
    SUPPORTED (0, 1) "notify_priority_changes" "notify_priority_changes [BOOL]" ["value of vrrp_notify_priority_changes"] [""]
        "Report priority changes of members by notify and FIFO.";
    }
}
