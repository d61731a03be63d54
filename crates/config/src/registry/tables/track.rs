//! What instances follow: scripts, processes, files, BFD sessions.

use super::{Block, Keyword, MANY, PLANNED, SUPPORTED, keywords};

keywords! {
    TRACK:
    in TrackLine {
    SUPPORTED (0, MANY) "track_interface line" "NAME [weight N [reverse]]" ["weight 0"] ["-254..254, +/-254 becomes +/-253"]
        "Weight 0: the instance goes to FAULT while the interface is down (or up, with reverse).";
    PLANNED (0, MANY) "track_script line" "NAME [weight N [reverse|noreverse]]" ["weight of the script"] ["-254..254, +/-254 becomes +/-253"]
        "Weight 0: FAULT while the script fails. Otherwise the priority changes as above.";
    PLANNED (0, MANY) "track_file line" "NAME [weight N [reverse|noreverse]]" ["weight of the file"] ["-254..254"]
        "Weight 0: FAULT while the number in the file is not 0 (reverse: while it is 0).";
    PLANNED (0, MANY) "track_process line" "NAME [weight N [reverse|noreverse]]" ["weight of the process"] ["-254..254"]
        "Like a script: N counts while the process quorum is met (or not met, reverse).";
    PLANNED (0, MANY) "track_bfd line" "NAME [weight N [reverse|noreverse]]" ["weight of the BFD"] ["-253..253"]
        "Like a script for the state of the BFD session.";
    }
    in VrrpScript {
    PLANNED (0, MANY) "script" "script \"COMMAND [ARG...]\"" ["none, required"] ["one quoted word, see config-file"]
        "Command with its arguments, run at each interval.";
    PLANNED (0, MANY) "interval" "interval SECONDS" ["1"] ["0.001..4294, resolution 1 ms (0 becomes 1)"]
        "Time between the start of two runs. A run that is still going is not started again.";
    PLANNED (0, MANY) "timeout" "timeout SECONDS" ["the interval"] ["0.001..4294 (0 becomes 1)"]
        "A longer run is a failure: the command gets SIGTERM, then SIGKILL 2 s later.";
    PLANNED (0, MANY) "weight" "weight N [reverse]" ["0"] ["-253..253"]
        "Default weight of the instances that track the script.";
    PLANNED (0, MANY) "rise" "rise N" ["1"] ["1..2147483647"]
        "Passes needed before a failed script counts as good.";
    PLANNED (0, MANY) "fall" "fall N" ["1"] ["1..2147483647"]
        "Failures needed before a good script counts as failed.";
    PLANNED (0, MANY) "user" "user USER [[:]GROUP]" ["script_user"] ["existing user and group"]
        "User of the command. An unknown user removes the script with an error.";
    PLANNED (0, MANY) "init_fail" "init_fail" ["off"] [""]
        "Start as failed until the script passes.";
    }
    in TrackProcess {
    PLANNED (0, MANY) "process" "process COMMAND [ARG...]" ["none, required"] [""]
        "Process to watch by the name in /proc/PID/comm, or with arguments (or full_command) by /proc/PID/cmdline.";
    PLANNED (0, MANY) "param_match" "param_match [initial|partial]" ["exact when process has arguments, otherwise arguments are not compared"] [""]
        "How arguments are compared.";
    PLANNED (0, MANY) "weight" "weight N [reverse]" ["0"] ["-254..254"]
        "Default weight of the instances that track it; a second line is refused.";
    PLANNED (0, MANY) "quorum" "quorum N" ["1"] ["1..65535, at most quorum_max"]
        "Number of processes that must run.";
    PLANNED (0, MANY) "quorum_max" "quorum_max N" ["no limit"] ["0..65535, at least quorum; 0 sets quorum to 0"]
        "Highest number of processes; 0 means none may run.";
    PLANNED (0, MANY) "delay" "delay SECONDS" ["0"] ["0.000001..3600"]
        "Sets fork_delay and terminate_delay together.";
    PLANNED (0, MANY) "terminate_delay" "terminate_delay SECONDS" ["0"] ["0.000001..3600"]
        "Time a process must be gone before it counts as gone.";
    PLANNED (0, MANY) "fork_delay" "fork_delay SECONDS" ["0"] ["0.000001..3600"]
        "Time a new process must run before it counts.";
    PLANNED (0, MANY) "full_command" "full_command" ["off"] [""]
        "Compare the full command line even without arguments or param_match.";
    }
    in TrackFile {
    PLANNED (0, MANY) "file" "file PATH" ["none, required"] ["directory must exist; a read-only, network or pseudo file system is refused"]
        "File that holds one number. A missing file counts as 0.";
    PLANNED (0, MANY) "weight" "weight N [reverse]" ["1"] ["-254..254"]
        "Multiplier of the number: the instance changes its priority by value times weight.";
    PLANNED (0, MANY) "init_file" "init_file [VALUE] [overwrite]" ["not created"] ["VALUE any integer, outside +/-254 reported"]
        "Creates the file with VALUE (default 0) when it does not exist, or always with overwrite.";
    }
    in VrrpTrackFile {
    PLANNED (0, MANY) "(same members as track_file)" "vrrp_track_file NAME { file ... weight ... init_file ... }" [""] [""]
        "Every member of track_file; only the block name is deprecated (logged).";
    PLANNED (0, MANY) "file" "file PATH" ["required"] ["on a writable, inotify-capable filesystem"]
        "File to watch (close-after-write, rename in/out, delete); its directory must exist.";
    PLANNED (0, MANY) "weight" "weight INT [reverse]" ["1"] ["-254..254"]
        "Default multiplier for users that give none.";
    PLANNED (0, MANY) "init_file" "init_file [VALUE] [overwrite]" ["no initialisation; VALUE 0"] ["int"]
        "At start (not reload) writes VALUE to the file if missing, or always with overwrite.";
    }
    in BfdInstance {
    SUPPORTED (1, 1) "source_ip" "source_ip ADDR" ["chosen by the kernel"] ["same family as the neighbour"]
        "Local address of the session; packets to other addresses are not taken for it.";
    SUPPORTED (1, 1) "neighbor_ip" "neighbor_ip ADDR" ["none, required"] ["no link-local address"]
        "Address of the neighbour; packets of nobody else are taken.";
    SUPPORTED (1, 1) "neighbour_ip" "neighbour_ip ADDR" [""] [""]
        "Same as neighbor_ip.";
    SUPPORTED (1, 1) "min_rx" "min_rx MILLISECONDS" ["10"] ["1..4294967, decimal with 3 places"]
        "Least receive interval.";
    SUPPORTED (1, 1) "min_tx" "min_tx MILLISECONDS" ["10"] ["1..4294967, decimal with 3 places"]
        "Least transmit interval while up.";
    SUPPORTED (1, 1) "idle_tx" "idle_tx MILLISECONDS" ["1000"] ["1000..4294967, decimal with 3 places"]
        "Transmit interval while down or in init.";
    SUPPORTED (1, 1) "multiplier" "multiplier N" ["5"] ["1..255"]
        "Number of intervals missed before the neighbour takes this end to be down.";
    SUPPORTED (0, 0) "passive" "passive" ["off"] [""]
        "Send no packet until the neighbour has sent one.";
    SUPPORTED (1, 1) "ttl" "ttl N" ["255"] ["1..255"]
        "TTL of the packets sent, with which that of received packets is compared. An IPv6 session without it takes packets from 64 on, for that is what keepalived sends.";
    SUPPORTED (1, 1) "hoplimit" "hoplimit N" ["as ttl"] ["1..255"]
        "Same as ttl.";
    SUPPORTED (1, 1) "max_hops" "max_hops N" ["0"] ["-1..255, at most ttl; 255 switches the check off"]
        "How many routers a received packet may have passed: packets whose TTL plus max_hops is below ttl are ignored. -1 asks for a TTL above it.";
    SUPPORTED (0, 1) "multihop" "multihop [BOOL]" ["false"] [""]
        "Use port 4784 (RFC 5883) instead of 3784. Give max_hops too.";
    SUPPORTED (1, 2) "weight" "weight N [reverse]" ["0"] ["-253..253"]
        "Default weight of the instances that track it.";
    SUPPORTED (0, 0) "vrrp" "vrrp" ["both may follow it"] [""]
        "Only instances may follow it, unless checker is given too.";
    SUPPORTED (0, 0) "checker" "checker" ["both may follow it"] [""]
        "Only checkers may follow it, unless vrrp is given too.";
    }
}
