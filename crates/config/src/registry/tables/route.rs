//! Route lines.

use super::{Block, Keyword, MANY, SUPPORTED, keywords};

keywords! {
    ROUTE:
    in RouteLine {
    SUPPORTED (0, MANY) "inet | inet6" "inet6 DEST ..." [""] [""]
        "Fixes the family.";
    SUPPORTED (0, MANY) "to" "[to] DEST" [""] ["one"]
        "Keyword before the destination, optional. A type word cannot follow it.";
    SUPPORTED (0, MANY) "(type)" "unicast|local|broadcast|brd|multicast|anycast|blackhole|unreachable|prohibit|throw|nat|xresolve DEST" ["unicast"] ["one"]
        "Kernel route type, written just before the destination without \"to\".";
    SUPPORTED (0, MANY) "(destination)" "ADDR[/LEN] | default | any | all | default6" ["none, required"] ["one; a later one replaces it"]
        "Destination prefix. default, any and all mean 0.0.0.0/0 or ::/0; default6 is the deprecated spelling of inet6 default.";
    SUPPORTED (0, MANY) "src" "src ADDR" ["none"] ["same family"]
        "Preferred source address.";
    SUPPORTED (0, MANY) "via" "via [inet|inet6] ADDR" ["none"] ["one; a later one replaces it"]
        "Gateway.";
    SUPPORTED (0, MANY) "gw" "gw ADDR" [""] [""]
        "Deprecated spelling of via; reported.";
    SUPPORTED (0, MANY) "from" "from ADDR[/LEN]" ["any"] ["IPv6 only"]
        "Source prefix of the route.";
    SUPPORTED (0, MANY) "tos" "tos N|NAME" ["0"] ["0..255 or a name from rt_dsfield"]
        "Type of service. dsfield is the same word.";
    SUPPORTED (0, MANY) "dsfield" "dsfield N|NAME" ["0"] ["as tos"]
        "Same as tos.";
    SUPPORTED (0, MANY) "table" "table N|NAME" ["main (254)"] ["0..4294967295 or a name from rt_tables"]
        "Routing table.";
    SUPPORTED (0, MANY) "protocol" "protocol N|NAME" ["18"] ["0..255 or a name from rt_protos"]
        "Protocol number shown by ip route. While the route is tracked it is forced to 18 (RTPROT_KEEPALIVED) with a warning, because that is how it is recognised.";
    SUPPORTED (0, MANY) "scope" "scope N|NAME" ["global"] ["IPv4 only"]
        "Kernel scope of the route.";
    SUPPORTED (0, MANY) "metric" "metric N" ["0"] ["0..4294967295"]
        "Route metric.";
    SUPPORTED (0, MANY) "priority" "priority N" ["0"] ["as metric"]
        "Same as metric.";
    SUPPORTED (0, MANY) "preference" "preference N" ["0"] ["as metric"]
        "Same as metric.";
    SUPPORTED (0, MANY) "dev" "dev NAME" ["none"] [""]
        "Output interface. oif is the same word.";
    SUPPORTED (0, MANY) "oif" "oif NAME" ["none"] [""]
        "Same as dev.";
    SUPPORTED (0, MANY) "onlink" "onlink" ["off"] ["IPv4 only"]
        "The gateway is reachable although no connected route covers it.";
    SUPPORTED (0, MANY) "encap ip" "encap ip [id N] [dst ADDR] [src ADDR] [tos N] [ttl N] [flags N]" [""] ["id or dst required; id 64-bit, ttl 0..255, flags 0..65535"]
        "IPv4 tunnel encapsulation (lightweight tunnel).";
    SUPPORTED (0, MANY) "encap ip6" "encap ip6 [id N] [dst ADDR] [src ADDR] [tc N] [hoplimit N] [flags N]" [""] ["id or dst required; hoplimit 0..255, flags 0..65535"]
        "IPv6 tunnel encapsulation.";
    SUPPORTED (0, MANY) "encap mpls" "encap mpls LABEL[/LABEL...]" [""] [""]
        "MPLS label stack encapsulation.";
    SUPPORTED (0, MANY) "encap ila" "encap ila LOCATOR" [""] [""]
        "ILA encapsulation.";
    SUPPORTED (0, MANY) "expires" "expires SECONDS" ["never"] ["IPv6 only; 0..4294967295"]
        "Remove the route after this time.";
    SUPPORTED (0, MANY) "mtu" "mtu [lock] N" ["path"] ["0..4294967295"]
        "Path MTU; lock forbids discovery of a smaller one. lock has the same meaning on every metric below that accepts it.";
    SUPPORTED (0, MANY) "hoplimit" "hoplimit N" ["from interface"] ["0..255"]
        "Hop limit of packets sent along the route.";
    SUPPORTED (0, MANY) "advmss" "advmss [lock] N" ["kernel"] ["0..4294967295"]
        "TCP maximum segment size advertised.";
    SUPPORTED (0, MANY) "rtt" "rtt [lock] TIME" ["kernel"] ["200 ms..120 s (clamped); suffix s, sec, secs or ms; no suffix means raw units of 1/8 ms"]
        "Initial round-trip time.";
    SUPPORTED (0, MANY) "rttvar" "rttvar [lock] TIME" ["kernel"] ["as rtt, raw units of 1/4 ms"]
        "Initial round-trip variance.";
    SUPPORTED (0, MANY) "reordering" "reordering [lock] N" ["kernel"] ["0..4294967295"]
        "Initial reordering distance.";
    SUPPORTED (0, MANY) "window" "window N" ["kernel"] ["0..4294967295"]
        "Maximum advertised window.";
    SUPPORTED (0, MANY) "cwnd" "cwnd [lock] N" ["kernel"] ["0..4294967295"]
        "Congestion window clamp.";
    SUPPORTED (0, MANY) "ssthresh" "ssthresh [lock] N" ["kernel"] ["0..4294967295"]
        "Initial slow start threshold.";
    SUPPORTED (0, MANY) "realms" "realms [FROM/]TO" ["none"] ["IPv4 only; 0..65535 or names from rt_realms"]
        "Route realm.";
    SUPPORTED (0, MANY) "rto_min" "rto_min [lock] TIME" ["kernel"] ["as rtt, raw units of 1 ms"]
        "Minimum retransmission timeout.";
    SUPPORTED (0, MANY) "initcwnd" "initcwnd N" ["kernel"] ["0..4294967295"]
        "Initial congestion window.";
    SUPPORTED (0, MANY) "initrwnd" "initrwnd N" ["kernel"] ["0..4294967295"]
        "Initial receive window.";
    SUPPORTED (0, MANY) "features" "features ecn" ["none"] ["ecn"]
        "Use ECN on connections of this route.";
    SUPPORTED (0, MANY) "quickack" "quickack 0|1" ["kernel"] ["0..1"]
        "TCP quick acknowledgements.";
    SUPPORTED (0, MANY) "congctl" "congctl [lock] NAME" ["kernel"] ["name of a TCP algorithm"]
        "Congestion control algorithm for connections that use the route.";
    SUPPORTED (0, MANY) "pref" "pref low|medium|high|N" ["medium"] ["IPv6 only; N 0..255"]
        "Router preference.";
    SUPPORTED (0, MANY) "ttl-propagate" "ttl-propagate enabled|disabled" ["kernel"] [""]
        "Whether the MPLS TTL follows the IP TTL.";
    SUPPORTED (0, MANY) "fastopen_no_cookie" "fastopen_no_cookie 0|1" ["kernel"] ["0..1"]
        "TCP fast open without a cookie for the route.";
    SUPPORTED (0, MANY) "prepend" "prepend" ["prepend"] [""]
        "Insert the route before others with the same destination (default).";
    SUPPORTED (0, MANY) "append" "append" ["prepend"] [""]
        "Insert it after them.";
    SUPPORTED (0, MANY) "add" "add" ["prepend"] [""]
        "Ask the kernel for the iproute2 \"add\" behaviour: the route is refused when an equal one exists.";
    SUPPORTED (0, MANY) "nexthop" "nexthop via [inet|inet6] ADDR [dev NAME] [weight N] [onlink] [encap ...] [realms ...] [nexthop ...]" [""] ["weight 1..256; must be last on the line"]
        "Multipath route. The family of the gateways must match the route.";
    SUPPORTED (0, MANY) "or" "or ADDR" [""] ["one"]
        "Deprecated spelling of a second nexthop; reported.";
    SUPPORTED (0, MANY) "as" "as [to] ADDR" [""] [""]
        "Accepted and reported as not supported (MPLS as-to).";
    SUPPORTED (0, MANY) "no_track" "no_track" ["tracked"] [""]
        "The route is not watched, and may have another protocol number; the instance does not depend on its interface.";
    SUPPORTED (0, MANY) "track_group" "track_group NAME" ["none"] ["static routes with dev only"]
        "Names the track_group block that depends on the route.";
    SUPPORTED (0, MANY) "vrf" "vrf NAME" ["none"] ["existing VRF device"]
        "Puts the route into the table of that VRF.";
    SUPPORTED (0, MANY) "(rejection)" "-" [""] [""]
        "Mixed families, an unknown name, a missing destination or trailing words reject the whole route with an error; the daemon continues.";
    }
}
