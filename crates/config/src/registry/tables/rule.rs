//! Rule lines.

use super::{Block, Keyword, MANY, SUPPORTED, keywords};

keywords! {
    RULE:
    in RuleLine {
    SUPPORTED (0, MANY) "inet | inet6" "inet6 ..." ["IPv4"] [""]
        "Fixes the family.";
    SUPPORTED (0, MANY) "from" "from ADDR[/LEN] | all" ["all"] [""]
        "Source prefix.";
    SUPPORTED (0, MANY) "to" "to ADDR[/LEN] | all" ["all"] [""]
        "Destination prefix.";
    SUPPORTED (0, MANY) "table" "table N|NAME" ["none, an action is required"] ["1..4294967295 or a name from rt_tables"]
        "Look up this table. lookup is the same word. 0 is refused.";
    SUPPORTED (0, MANY) "lookup" "lookup N|NAME" [""] ["as table"]
        "Same as table.";
    SUPPORTED (0, MANY) "not" "not" ["off"] [""]
        "Invert the match.";
    SUPPORTED (0, MANY) "preference" "preference N" ["next number counting down from 16384 per family, with a warning"] ["0..4294967295, 0x and leading-0 forms accepted"]
        "Rule preference. order and priority are the same word.";
    SUPPORTED (0, MANY) "order" "order N" [""] ["as preference"]
        "Same as preference.";
    SUPPORTED (0, MANY) "priority" "priority N" [""] ["as preference"]
        "Same as preference.";
    SUPPORTED (0, MANY) "tos" "tos N|NAME" ["0"] ["0..255 or a name from rt_dsfield"]
        "Type of service to match. dsfield is the same word.";
    SUPPORTED (0, MANY) "dsfield" "dsfield N|NAME" ["0"] ["as tos"]
        "Same as tos.";
    SUPPORTED (0, MANY) "fwmark" "fwmark N[/MASK]" ["none"] ["0..4294967295 each, 0x accepted"]
        "Match the packet mark.";
    SUPPORTED (0, MANY) "realms" "realms [FROM/]TO" ["none"] ["IPv4 only; with table"]
        "Realm of the rule.";
    SUPPORTED (0, MANY) "suppress_prefixlength" "suppress_prefixlength N" ["off"] ["0..2147483647; with table"]
        "Skip routes from the table with this prefix length or shorter. sup_pl is the same word.";
    SUPPORTED (0, MANY) "sup_pl" "sup_pl N" ["off"] ["as above"]
        "Same as suppress_prefixlength.";
    SUPPORTED (0, MANY) "suppress_ifgroup" "suppress_ifgroup N|NAME" ["off"] ["with table; a name from the iproute2 group file"]
        "Skip routes whose output interface is in that group. sup_group is the same word.";
    SUPPORTED (0, MANY) "sup_group" "sup_group N|NAME" ["off"] ["as above"]
        "Same as suppress_ifgroup.";
    SUPPORTED (0, MANY) "iif" "iif NAME" ["none"] [""]
        "Input interface to match. dev is the same word.";
    SUPPORTED (0, MANY) "dev" "dev NAME" ["none"] [""]
        "Same as iif.";
    SUPPORTED (0, MANY) "oif" "oif NAME" ["none"] [""]
        "Output interface to match.";
    SUPPORTED (0, MANY) "tunnel-id" "tunnel-id N" ["none"] ["64 bit"]
        "Match the tunnel key.";
    SUPPORTED (0, MANY) "uidrange" "uidrange FIRST[-LAST]" ["none"] ["two 32-bit numbers"]
        "Match the user of the socket; a single number is a range of one.";
    SUPPORTED (0, MANY) "l3mdev" "l3mdev" ["off"] ["not together with table or another action"]
        "Look up the table of the VRF the packet belongs to.";
    SUPPORTED (0, MANY) "protocol" "protocol N" ["18"] ["0..255"]
        "Protocol number of the rule itself, shown by ip rule; forced to 18 while the rule is tracked.";
    SUPPORTED (0, MANY) "ipproto" "ipproto N|NAME" ["none"] ["0..255 or a name from /etc/protocols"]
        "Match the IP protocol. The manual page spells it ip_proto, which the reader does not know.";
    SUPPORTED (0, MANY) "sport" "sport FIRST[-LAST]" ["none"] ["0..65535"]
        "Match the source port range; a single number is a range of one.";
    SUPPORTED (0, MANY) "dport" "dport FIRST[-LAST]" ["none"] ["0..65535"]
        "Match the destination port range; a single number is a range of one.";
    SUPPORTED (0, MANY) "type" "[type] blackhole|unreachable|prohibit" [""] ["one action only"]
        "Action other than a table. The word type is optional.";
    SUPPORTED (0, MANY) "nop" "nop" [""] ["one action only"]
        "No operation.";
    SUPPORTED (0, MANY) "goto" "goto N" [""] ["preference must be lower than N"]
        "Continue at another rule.";
    SUPPORTED (0, MANY) "no_track" "no_track" ["tracked"] [""]
        "The rule is not watched, and may have another protocol number; otherwise as for routes, with iif and oif tracked.";
    SUPPORTED (0, MANY) "track_group" "track_group NAME" ["none"] ["static rules with iif only"]
        "Names the track_group block that depends on the rule.";
    SUPPORTED (0, MANY) "(rejection)" "-" [""] [""]
        "Mixed families, an unknown name, no action, two actions, a table option without a table action, or a bad goto reject the whole rule with an error.";
    }
}
