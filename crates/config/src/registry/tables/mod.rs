//! The tables, one file per family of blocks. A row is
//! `STATUS (least, most arguments) NAME SYNTAX [DEFAULT] [RANGE] DOCUMENTATION`.

use super::{Block, Keyword, Status};

mod address;
mod check;
mod form;
mod global;
mod lvs;
mod retired;
mod root;
mod route;
mod rule;
mod track;
mod vrrp;

/// Every table, in the order of the reference.
pub(super) static ALL: [&[Keyword]; 11] = [
    form::FORM,
    root::ROOT,
    global::GLOBAL,
    vrrp::VRRP,
    address::ADDRESS,
    route::ROUTE,
    rule::RULE,
    track::TRACK,
    lvs::LVS,
    check::CHECK,
    retired::RETIRED,
];

/// Any number of arguments.
pub(super) const MANY: usize = usize::MAX;

const SUPPORTED: Status = Status::Supported;
const NO_SNMP: Status =
    Status::Ignored("there is no SNMP agent; use notify scripts, mail and the state dump instead");
const NO_DBUS: Status = Status::Ignored("there is no D-Bus interface; use notify scripts instead");
const NO_PASSWORD: Status = Status::Refused(
    "keys are read without a pass phrase, which would stand in the clear next to them; write the key out with `openssl pkey -in KEY -out PLAIN` into a file that only root can read",
);
const NO_PATTERN_STACK: Status = Status::Ignored(
    "the engines that search here need no stack of their own; time and memory are bounded without it",
);
const NO_IPTABLES: Status =
    Status::Ignored("iptables and ipsets are never touched; write such rules yourself");
const OWN_NAMES: Status = Status::Ignored(
    "each process is an executable with a name of its own: keepalived-rs, vrrpd, checkerd, ipvsd",
);
const NO_BFD_PROCESS: Status =
    Status::Ignored("there is no BFD process; use the vrrp_ keyword of the same meaning instead");
const LINK_EVENTS: Status =
    Status::Ignored("link state always comes from the kernel's events; remove the line");
const NO_OWN_PRIORITY: Status = Status::Ignored(
    "a running process has no privilege to raise its priority; use vrrp_rt_priority or checker_rt_priority",
);
const NO_RANGE_MARKS: Status = Status::Ignored(
    "each address of a range is a service of its own, so no marks are given away; remove the line",
);
const NEVER_HAD_EFFECT: Status =
    Status::Ignored("it has no effect in keepalived either; remove the line");
const NO_CONNECTOR: Status = Status::Ignored(
    "processes are followed through /proc and process descriptors, so there is no event connector; remove the line",
);
const FIXED_BUFFERS: Status = Status::Ignored(
    "socket buffers are sized by the programs, and a lost event is made good by reading anew; remove the line",
);
const PARENT_READS_ONCE: Status = Status::Ignored(
    "only the parent reads the configuration, so no copy of its text is made; remove the line",
);
const IT_DOES_NOTHING: Status =
    Status::Refused("it never had an effect with IPVS; remove the line");
const NO_PLUGINS: Status = Status::Refused("there are no plugins; remove the line");
const USE_WEIGHT: Status = Status::Refused("write `weight` instead");
const USE_STATE_DUMP_FILE: Status = Status::Refused("write `state_dump_file` instead");
const USE_LVS_METHOD: Status = Status::Refused("write `lvs_method` instead");

macro_rules! keywords {
    ($table:ident: $(in $block:ident {$(
        $status:ident ($least:expr, $most:expr) $name:literal $syntax:literal [$default:literal] [$range:literal]
        $doc:literal;
    )*})*) => {
        pub(super) static $table: &[Keyword] = &[$($(
            Keyword {
                block: Block::$block,
                name: $name,
                syntax: $syntax,
                default: $default,
                range: $range,
                doc: $doc,
                arguments: ($least, $most),
                status: $status,
            },
        )*)*];
    };
}
use keywords;
