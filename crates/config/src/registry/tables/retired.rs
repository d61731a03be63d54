//! Spellings of old configurations and of the manual page that keepalived 2.4 does not accept.

use super::{
    Block, IT_DOES_NOTHING, Keyword, MANY, NO_PLUGINS, SUPPORTED, USE_LVS_METHOD,
    USE_STATE_DUMP_FILE, USE_WEIGHT, keywords,
};

keywords! {
    RETIRED:
    in Retired {
    SUPPORTED (1, 1) "lvs_id" "lvs_id STRING" [""] [""]
        "Name of router_id before 1.1; taken as router_id.";
    IT_DOES_NOTHING (0, MANY) "nat_mask" "nat_mask MASK" [""] [""]
        "Has had no effect since Linux 2.4.";
    NO_PLUGINS (0, MANY) "plugin_dir" "plugin_dir DIR" [""] [""]
        "Removed feature of 1.1 and 1.2.";
    SUPPORTED (1, 1) "bind_to" "bind_to IP" [""] [""]
        "Frequent misspelling of bindto; taken as bindto.";
    SUPPORTED (1, 1) "bindport" "bindport PORT" [""] [""]
        "Frequent misspelling of bind_port; taken as bind_port.";
    USE_WEIGHT (0, MANY) "dynamic" "dynamic" [""] [""]
        "Never read by keepalived.";
    USE_STATE_DUMP_FILE (0, MANY) "state_file_location" "state_file_location PATH" [""] [""]
        "Name in an old manual page; the keyword is state_dump_file.";
    USE_LVS_METHOD (0, MANY) "lb_kind (in real_server)" "lb_kind NAT|DR|TUN" [""] [""]
        "Only lvs_method exists inside real_server.";
    }
}
