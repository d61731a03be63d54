//! What instances follow: scripts, processes, files, BFD sessions.

use super::{Block, Keyword, MANY, SUPPORTED, keywords};

keywords! {
    TRACK:
    in TrackLine {
    SUPPORTED (0, MANY) "track_interface line" "NAME [weight N [reverse]]" ["weight 0"] ["-254..254, +/-254 becomes +/-253"]
        "Weight 0: the instance goes to FAULT while the interface is down (or up, with reverse).";
    SUPPORTED (0, MANY) "track_script line" "NAME [weight N [reverse|noreverse]]" ["weight of the script"] ["-254..254, +/-254 becomes +/-253"]
        "Weight 0: FAULT while the script fails, and no start before its first result. Otherwise the priority changes as with track_interface; noreverse undoes reverse of the script.";
    SUPPORTED (0, MANY) "track_file line" "NAME [weight N [reverse|noreverse]]" ["weight of the file"] ["-254..254"]
        "Weight 0: FAULT while the number in the file is not 0 (reverse: while it is 0). Otherwise N times the number (negated by reverse) is added to the priority; -254 or less is FAULT, above 253 counts as 253.";
    SUPPORTED (0, MANY) "track_process line" "NAME [weight N [reverse|noreverse]]" ["weight of the process"] ["-254..254"]
        "Like a script: N counts while the process quorum is met (or not met, reverse).";
    SUPPORTED (0, MANY) "track_bfd line" "NAME [weight N [reverse|noreverse]]" ["weight of the BFD"] ["-253..253"]
        "Like a script for the state of the BFD session. With weight 0 an instance does not start until the session is up, or the neighbour had idle_tx times multiplier to answer.";
    }
    in VrrpScript {
    SUPPORTED (1, MANY) "script" "script \"COMMAND [ARG...]\"" ["none, required"] ["one quoted word, see config-file"]
        "Command with its arguments, run at each interval.";
    SUPPORTED (1, 1) "interval" "interval SECONDS" ["1"] ["0.001..4294, resolution 1 ms (0 becomes 1)"]
        "Time between the start of two runs. A run that is still going is not started again. The state outlives a reload when command and user stay.";
    SUPPORTED (1, 1) "timeout" "timeout SECONDS" ["the interval"] ["0.001..4294 (0 becomes 1)"]
        "A longer run is a failure: the command gets SIGTERM, then SIGKILL 2 s later.";
    SUPPORTED (1, 2) "weight" "weight N [reverse]" ["0"] ["-253..253"]
        "Default weight of the instances that track the script.";
    SUPPORTED (1, 1) "rise" "rise N" ["1"] ["1..2147483647"]
        "Passes needed before a failed script counts as good.";
    SUPPORTED (1, 1) "fall" "fall N" ["1"] ["1..2147483647"]
        "Failures needed before a good script counts as failed.";
    SUPPORTED (1, 2) "user" "user USER [[:]GROUP]" ["script_user"] ["existing user and group"]
        "User of the command. An unknown user removes the script with an error.";
    SUPPORTED (0, 0) "init_fail" "init_fail" ["off"] [""]
        "Start as failed, instead of unknown, until the script has passed rise times.";
    }
    in TrackProcess {
    SUPPORTED (1, MANY) "process" "process COMMAND [ARG...]" ["none, required"] [""]
        "Process to watch by the name in /proc/PID/comm, or with arguments (or full_command) by /proc/PID/cmdline. Its end is noticed at once, its start within a second.";
    SUPPORTED (0, 1) "param_match" "param_match [initial|partial]" ["exact when process has arguments, otherwise arguments are not compared"] [""]
        "How arguments are compared: they are equal; begin with those given (partial); or begin with those given, of which the last may be the start of an argument (initial).";
    SUPPORTED (1, 2) "weight" "weight N [reverse]" ["0"] ["-254..254"]
        "Default weight of the instances that track it; a second line is refused.";
    SUPPORTED (1, 1) "quorum" "quorum N" ["1"] ["1..65535, at most quorum_max"]
        "Number of processes that must run.";
    SUPPORTED (1, 1) "quorum_max" "quorum_max N" ["no limit"] ["0..65535, at least quorum; 0 sets quorum to 0"]
        "Highest number of processes; 0 means none may run.";
    SUPPORTED (1, 1) "delay" "delay SECONDS" ["0"] ["0.000001..3600"]
        "Sets fork_delay and terminate_delay together.";
    SUPPORTED (1, 1) "terminate_delay" "terminate_delay SECONDS" ["0"] ["0.000001..3600"]
        "Time a process must be gone before it counts as gone.";
    SUPPORTED (1, 1) "fork_delay" "fork_delay SECONDS" ["0"] ["0.000001..3600"]
        "Time a new process must run before it counts.";
    SUPPORTED (0, 0) "full_command" "full_command" ["off"] [""]
        "Compare the full command line even without arguments or param_match.";
    }
    in TrackFile {
    SUPPORTED (1, 1) "file" "file PATH" ["none, required"] ["whole path; not on a network, user (FUSE) or pseudo file system"]
        "File that holds one number: decimal, 0x hexadecimal or 0 octal at its start. It may be replaced, removed and made again; a missing file counts as 0. Its directory may come later.";
    SUPPORTED (1, 2) "weight" "weight N [reverse]" ["1"] ["-254..254"]
        "Multiplier of the number: the instance changes its priority by value times weight.";
    SUPPORTED (0, 2) "init_file" "init_file [VALUE] [overwrite]" ["not created"] ["VALUE any integer, outside +/-254 reported"]
        "Creates the file with VALUE (default 0) when it does not exist, or always with overwrite.";
    }
    in VrrpTrackFile {
    SUPPORTED (0, MANY) "(same members as track_file)" "vrrp_track_file NAME { file ... weight ... init_file ... }" [""] [""]
        "Every member of track_file; only the block name is deprecated (logged).";
    SUPPORTED (1, 1) "file" "file PATH" ["required"] ["on a writable, inotify-capable filesystem"]
        "File to watch (close-after-write, rename in/out, delete); its directory must exist.";
    SUPPORTED (1, 2) "weight" "weight INT [reverse]" ["1"] ["-254..254"]
        "Default multiplier for users that give none.";
    SUPPORTED (0, 2) "init_file" "init_file [VALUE] [overwrite]" ["no initialisation; VALUE 0"] ["int"]
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
