//! Virtual servers, their groups and real servers.

use super::{Block, Keyword, MANY, NEVER_HAD_EFFECT, NO_SNMP, SUPPORTED, keywords};

keywords! {
    LVS:
    in ServerGroup {
    SUPPORTED (0, MANY) "(address)" "<IPADDR> [<PORT>]" ["port 0"] ["1..65535"]
        "One service address of the group; port 0 or absent means all ports and forces persistence on the using service.";
    SUPPORTED (0, MANY) "(short range)" "<IPADDR>-<LAST> [<PORT>]" ["port 0"] ["IPv4 LAST decimal 0..255; IPv6 LAST hex 0..ffff; must exceed the start"]
        "One service per address from the start to the address whose last octet (IPv4) or last 16-bit group (IPv6) equals LAST, both ends included.";
    SUPPORTED (0, MANY) "(full range)" "<IPADDR>-<IPADDR> [<PORT>]" ["port 0"] ["same family, end >= start"]
        "One service per address between the two addresses, both ends included.";
    SUPPORTED (0, MANY) "(prefix)" "<IPADDR>/<LEN> [<PORT>]" ["port 0"] ["1..32 / 1..128, host bits must be zero"]
        "One service per address of the prefix, network and broadcast addresses included.";
    SUPPORTED (0, MANY) "fwmark" "fwmark INT" [""] ["1..4294967295"]
        "Adds a fwmark service to the group; the family follows the virtual server (IPv4 if unknown).";
    }
    in VirtualServer {
    SUPPORTED (1, 1) "ip_family" "ip_family inet|inet6" ["inet if nothing else determines it"] ["inet | inet6"]
        "Family of a firewall mark, where neither its group nor its real servers tell it.";
    SUPPORTED (1, 1) "delay_loop" "delay_loop SECONDS" ["60 s"] ["0.000001..18446744073709.551615"]
        "Time from the end of one check to the start of the next, unless the checker has its own.";
    SUPPORTED (1, 1) "retry" "retry INT" ["1; MISC_CHECK 0"] ["1..4294967295 (0 refused at this level)"]
        "Default number of extra attempts after a failure before a checker goes down.";
    SUPPORTED (1, 1) "delay_before_retry" "delay_before_retry SECONDS" ["checker specific: 1 s; HTTP_GET/SSL_GET 3 s; DNS_CHECK = delay_loop"] ["0..18446744073709.551615"]
        "Default wait between a failed attempt and its retry.";
    SUPPORTED (1, 1) "warmup" "warmup SECONDS" ["= delay_loop of the checker"] ["0..18446744073709.551615"]
        "Upper bound of the random extra delay before the first run of each checker.";
    SUPPORTED (1, 1) "connect_timeout" "connect_timeout SECONDS" ["5 s"] ["0.000001 .. 4294.967295 s"]
        "Default connect/read timeout of the network checkers.";
    SUPPORTED (0, 1) "inhibit_on_failure" "inhibit_on_failure" ["off"] [""]
        "Default for the real servers: a failed server stays in the IPVS table with weight 0 instead of being deleted.";
    SUPPORTED (1, 1) "lb_algo" "lb_algo SCHEDULER" ["wlc, with an error"] ["rr wrr lc wlc lblc sh mh dh fo ovf lblcr sed nq twos"]
        "IPVS scheduler.";
    SUPPORTED (1, 1) "lvs_sched" "lvs_sched SCHEDULER" ["wlc"] ["as lb_algo"]
        "Synonym of lb_algo.";
    NEVER_HAD_EFFECT (0, MANY) "hashed" "hashed" ["no effect"] [""]
        "Sets nothing.";
    SUPPORTED (0, 0) "ops" "ops" ["off"] ["UDP or fwmark only"]
        "One-packet scheduling.";
    SUPPORTED (0, 0) "flag-1" "flag-1" ["off"] [""]
        "Sets scheduler flag 0x08 whatever the scheduler.";
    SUPPORTED (0, 0) "flag-2" "flag-2" ["off"] [""]
        "Sets scheduler flag 0x10.";
    SUPPORTED (0, 0) "flag-3" "flag-3" ["off"] [""]
        "Sets scheduler flag 0x20.";
    SUPPORTED (0, 0) "sh-port" "sh-port" ["off"] ["after lb_algo sh"]
        "Source hashing also hashes the source port; with lb_algo sh.";
    SUPPORTED (0, 0) "sh-fallback" "sh-fallback" ["off"] ["after lb_algo sh"]
        "Source hashing falls back to another server when the chosen one is unavailable; with lb_algo sh.";
    SUPPORTED (0, 0) "mh-port" "mh-port" ["off"] ["after lb_algo mh"]
        "Maglev hashing also hashes the source port; with lb_algo mh.";
    SUPPORTED (0, 0) "mh-fallback" "mh-fallback" ["off"] ["after lb_algo mh"]
        "Maglev hashing falls back when the chosen server is unavailable; with lb_algo mh.";
    SUPPORTED (1, MANY) "lb_kind" "lb_kind NAT|DR|TUN [tunnel options]" ["NAT, with an error"] ["upper case only"]
        "Default forwarding method of real and sorry servers that do not set lvs_method.";
    SUPPORTED (1, MANY) "lvs_method" "lvs_method NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]" ["NAT"] ["as lb_kind"]
        "Synonym of lb_kind.";
    SUPPORTED (1, 1) "persistence_engine" "persistence_engine NAME" ["none"] ["sip"]
        "What makes a client besides its address: with sip, the Call-ID of a call over UDP; only with persistence.";
    SUPPORTED (0, 1) "persistence_timeout" "persistence_timeout [SECONDS]" ["off; 360 without a value"] ["1..2678400"]
        "Keeps a client on its server for this long; needed by services on all ports.";
    SUPPORTED (1, 1) "persistence_granularity" "persistence_granularity NETMASK|PREFIXLEN" ["255.255.255.255 / 128"] ["a mask of leading bits; IPv6 1..128"]
        "Client mask used for persistence; implies persistence_timeout 360.";
    SUPPORTED (1, 1) "protocol" "protocol TCP|UDP|SCTP" ["UDP, with an error"] ["case-insensitive"]
        "Transport protocol of the service; a firewall mark has none.";
    SUPPORTED (0, MANY) "ha_suspend" "ha_suspend" ["off"] ["not with fwmarks"]
        "Runs the checkers of this service only while its address (or one of its group's) is on a local interface or an instance that sets it is master; until then its servers stay as they are.";
    SUPPORTED (0, 1) "smtp_alert" "smtp_alert [BOOL]" ["off unless a global default says otherwise"] ["on|off|true|false|yes|no"]
        "Sends a mail at every quorum gain or loss.";
    SUPPORTED (1, 1) "virtualhost" "virtualhost NAME" ["none"] [""]
        "Host header (and server name) of the HTTP_GET and SSL_GET of all real servers, unless they have their own.";
    NO_SNMP (0, MANY) "snmp_name" "snmp_name STRING" ["none"] ["exactly one word"]
        "Label exported in the SNMP table only (build option).";
    SUPPORTED (0, 0) "alpha" "alpha" ["off"] [""]
        "Default for checkers: assume failed until the first success, so real servers start outside the pool.";
    SUPPORTED (0, 0) "omega" "omega" ["off"] [""]
        "At stop also run the notifications of what goes away.";
    SUPPORTED (1, 3) "quorum_up" "quorum_up CMD [USER [:][GROUP]]" ["none"] ["quote when it has arguments"]
        "Program run when quorum is gained, also once at start-up as soon as the initial pool reaches quorum.";
    SUPPORTED (1, 3) "quorum_down" "quorum_down CMD [USER [:][GROUP]]" ["none"] ["quote when it has arguments"]
        "Program run when quorum is lost (and at start-up when a sorry server has to be used).";
    SUPPORTED (1, 1) "quorum" "quorum INT" ["1"] ["1..4294967295, cut to the total configured weight"]
        "Total weight of alive real servers needed to consider the service up.";
    SUPPORTED (1, 1) "hysteresis" "hysteresis INT" ["0"] ["0..4294967295, cut to quorum-1"]
        "Quorum is gained at quorum+hysteresis and lost below quorum-hysteresis.";
    SUPPORTED (1, 1) "weight" "weight INT" ["1"] ["1..2147483647"]
        "Default weight of the real servers of this service.";
    SUPPORTED (1, 2) "sorry_server" "sorry_server IPADDR [PORT]" ["none"] ["port absent/0 = service port"]
        "Destination that replaces all real servers, with weight 1, while quorum is lost.";
    SUPPORTED (0, 0) "sorry_server_inhibit" "sorry_server_inhibit" ["off"] ["after sorry_server"]
        "Keeps the sorry server permanently in the table with weight 0 while it is not needed.";
    SUPPORTED (1, MANY) "sorry_server_lvs_method" "sorry_server_lvs_method NAT|DR|TUN [tunnel options]" ["service default"] ["after sorry_server"]
        "Forwarding method of the sorry server.";
    SUPPORTED (1, 1) "drain_timeout" "drain_timeout SECONDS" ["0"] ["0..86400"]
        "Default for the real servers: how long one that a reload takes away keeps its connections. A keyword of keepalived-rs alone.";
    SUPPORTED (1, 2) "real_server" "real_server IPADDR [PORT] { }" ["port of the service"] ["PORT 1..65535, 0 = none"]
        "Adds a destination; with DR and TUN its port is that of the service.";
    }
    in SchedulerName {
    SUPPORTED (0, MANY) "rr" "rr" [""] [""]
        "Round robin.";
    SUPPORTED (0, MANY) "wrr" "wrr" [""] [""]
        "Weighted round robin.";
    SUPPORTED (0, MANY) "lc" "lc" [""] [""]
        "Least connections.";
    SUPPORTED (0, MANY) "wlc" "wlc" [""] [""]
        "Weighted least connections (the default).";
    SUPPORTED (0, MANY) "lblc" "lblc" [""] [""]
        "Locality-based least connections.";
    SUPPORTED (0, MANY) "lblcr" "lblcr" [""] [""]
        "Locality-based least connections with replication.";
    SUPPORTED (0, MANY) "dh" "dh" [""] [""]
        "Destination hashing.";
    SUPPORTED (0, MANY) "sh" "sh" [""] [""]
        "Source hashing; takes sh-port and sh-fallback.";
    SUPPORTED (0, MANY) "mh" "mh" [""] [""]
        "Maglev hashing (Linux 4.18+); takes mh-port and mh-fallback.";
    SUPPORTED (0, MANY) "sed" "sed" [""] [""]
        "Shortest expected delay.";
    SUPPORTED (0, MANY) "nq" "nq" [""] [""]
        "Never queue.";
    SUPPORTED (0, MANY) "fo" "fo" [""] [""]
        "Weighted failover: always the highest weight.";
    SUPPORTED (0, MANY) "ovf" "ovf" [""] [""]
        "Weighted overflow: fills the highest weight first.";
    SUPPORTED (0, MANY) "twos" "twos" [""] [""]
        "Power of two random choices (Linux 5.15+).";
    }
    in ProtocolName {
    SUPPORTED (0, MANY) "TCP" "TCP" [""] ["any case"]
        "IP protocol 6.";
    SUPPORTED (0, MANY) "UDP" "UDP" [""] ["any case"]
        "IP protocol 17; only protocol allowed with ops on address services.";
    SUPPORTED (0, MANY) "SCTP" "SCTP" [""] ["any case"]
        "IP protocol 132.";
    }
    in ForwardingName {
    SUPPORTED (0, MANY) "NAT" "NAT" ["default"] [""]
        "Masquerading (kernel forwarding method 0); real-server port may differ from the service port.";
    SUPPORTED (0, MANY) "DR" "DR" [""] [""]
        "Direct routing (3); real-server port is forced to the service port.";
    SUPPORTED (0, MANY) "TUN" "TUN" [""] [""]
        "Tunnelling (2); real server may be of the other address family.";
    SUPPORTED (0, MANY) "type" "type ipip|gue|gre" ["ipip"] ["gue needs port; gre Linux 5.3+, gue 5.2+"]
        "Encapsulation of a tunnel; after NAT and DR it has no effect.";
    SUPPORTED (0, MANY) "port" "port N" ["none"] ["1..65535, mandatory for gue, forbidden otherwise"]
        "UDP port of GUE encapsulation.";
    SUPPORTED (0, MANY) "nocsum" "nocsum" ["default"] [""]
        "No checksum in the GUE/GRE header (tunnel flag 0).";
    SUPPORTED (0, MANY) "csum" "csum" [""] ["not with ipip"]
        "Checksum in the GUE/GRE header (tunnel flag 1).";
    SUPPORTED (0, MANY) "remcsum" "remcsum" [""] ["gue only"]
        "Remote checksum offload for GUE (tunnel flag 2).";
    }
    in RealServer {
    SUPPORTED (1, 1) "weight" "weight INT" ["virtual_server weight (1)"] ["0..2147483647"]
        "IPVS weight; 0 keeps the server in the pool without new connections.";
    SUPPORTED (1, MANY) "lvs_method" "lvs_method NAT|DR|TUN [tunnel options]" ["service default"] [""]
        "Forwarding method of this server.";
    SUPPORTED (1, 1) "uthreshold" "uthreshold INT" ["0 = none"] ["0..4294967295"]
        "Upper connection limit sent to the kernel; 0 is none.";
    SUPPORTED (1, 1) "lthreshold" "lthreshold INT" ["0 = none"] ["0..4294967295"]
        "Lower connection limit sent to the kernel; 0 is none.";
    SUPPORTED (1, 1) "drain_timeout" "drain_timeout SECONDS" ["virtual_server setting (0)"] ["0..86400"]
        "How long this server, when a reload takes it away while it is up, stays with weight 0 so that its connections can end. A keyword of keepalived-rs alone.";
    SUPPORTED (0, 1) "inhibit_on_failure" "inhibit_on_failure [BOOL]" ["virtual_server setting (off)"] ["on|off|true|false|yes|no"]
        "On failure the server stays in the table with weight 0 instead of being removed.";
    SUPPORTED (1, 3) "notify_up" "notify_up CMD [USER [:][GROUP]]" ["none"] ["quote when it has arguments; first one wins"]
        "Program run when the server goes from down to up; no arguments are added.";
    SUPPORTED (1, 3) "notify_down" "notify_down CMD [USER [:][GROUP]]" ["none"] ["quote when it has arguments; first one wins"]
        "Program run when the server goes down, and for a first failed check in alpha mode.";
    SUPPORTED (0, 1) "alpha" "alpha [BOOL]" ["virtual_server setting (off)"] ["on|off|true|false|yes|no"]
        "Default alpha mode of this server's checkers.";
    SUPPORTED (1, 1) "retry" "retry INT" ["1; MISC_CHECK 0"] ["1..4294967295"]
        "Default retries of this server's checkers.";
    SUPPORTED (1, 1) "delay_before_retry" "delay_before_retry SECONDS" ["virtual_server, else checker default"] ["0..18446744073709.551615"]
        "Default retry delay of this server's checkers.";
    SUPPORTED (1, 1) "warmup" "warmup SECONDS" ["virtual_server, else delay_loop"] ["0..18446744073709.551615"]
        "Default start spread of this server's checkers.";
    SUPPORTED (1, 1) "connect_timeout" "connect_timeout SECONDS" ["virtual_server (5 s)"] ["0.000001 .. 4294.967295 s"]
        "Default timeout of this server's network checkers.";
    SUPPORTED (1, 1) "delay_loop" "delay_loop SECONDS" ["virtual_server (60 s)"] ["0.000001..18446744073709.551615"]
        "Default interval of this server's checkers.";
    SUPPORTED (0, 1) "smtp_alert" "smtp_alert [BOOL]" ["on unless a global default says otherwise"] ["on|off|true|false|yes|no"]
        "Sends a mail when one of its checkers changes state (see no_checker_emails).";
    SUPPORTED (1, 1) "virtualhost" "virtualhost NAME" ["virtual_server virtualhost"] [""]
        "Host header (and server name) default of the HTTP_GET and SSL_GET of this server.";
    NO_SNMP (0, MANY) "snmp_name" "snmp_name STRING" ["none"] ["exactly one word"]
        "Label exported in the SNMP table only.";
    SUPPORTED (0, 0) "HTTP_GET" "HTTP_GET { }" [""] ["any number, any mix, per real server"]
        "Fetches pages over HTTP.";
    SUPPORTED (0, 0) "SSL_GET" "SSL_GET { }" [""] ["any number, any mix, per real server"]
        "HTTP over TLS checker; the certificate is verified only with SSL { ca }.";
    SUPPORTED (0, 0) "TCP_CHECK" "TCP_CHECK { }" [""] ["any number, any mix, per real server"]
        "Success is a TCP connection.";
    SUPPORTED (0, 0) "SMTP_CHECK" "SMTP_CHECK { }" [""] ["any number, any mix, per real server"]
        "Success is the dialogue 220, HELO, 250, QUIT.";
    SUPPORTED (0, 0) "MISC_CHECK" "MISC_CHECK { }" [""] ["any number, any mix, per real server"]
        "The exit code of a program decides.";
    SUPPORTED (0, 0) "DNS_CHECK" "DNS_CHECK { }" ["no checker = always up"] ["any number, any mix, per real server"]
        "One UDP DNS query, any reply with RCODE 0 is success.";
    SUPPORTED (0, 0) "UDP_CHECK" "UDP_CHECK { }" ["no checker = always up"] ["any number, any mix, per real server"]
        "Sends one datagram; failure on ICMP unreachable or, optionally, on missing/wrong reply.";
    SUPPORTED (0, 0) "PING_CHECK" "PING_CHECK { }" ["no checker = always up"] ["any number, any mix, per real server"]
        "ICMP echo through an unprivileged ICMP socket.";
    SUPPORTED (0, 0) "BFD_CHECK" "BFD_CHECK { name BFD_INSTANCE }" ["no checker = always up"] ["any number, any mix, per real server"]
        "Follows the state of a bfd_instance. All checkers of a real server must be up for it to be up.";
    SUPPORTED (0, 0) "FILE_CHECK" "FILE_CHECK { }" ["no checker = always up"] ["any number, any mix, per real server"]
        "Follows the integer in a track_file, as fault or as weight adjustment.";
    }
}
