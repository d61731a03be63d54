//! `global_defs`.

use super::{
    Block, FIXED_BUFFERS, Keyword, MANY, NO_BFD_PROCESS, NO_CONNECTOR, NO_DBUS, NO_IPTABLES,
    NO_OWN_PRIORITY, NO_RANGE_MARKS, NO_SNMP, OWN_NAMES, PARENT_READS_ONCE, SUPPORTED, keywords,
};

keywords! {
    GLOBAL:
    in GlobalDefs {
    OWN_NAMES (0, MANY) "process_names" "process_names" ["off"] [""]
        "Renames the four processes to keepalived, keepalived_vrrp, keepalived_lvs (the manual page says keepalived_ipvs) and keepalived_bfd.";
    OWN_NAMES (0, MANY) "process_name" "process_name NAME" ["program name"] ["at most 15 characters, longer is cut"]
        "Name of the parent process in /proc/comm.";
    OWN_NAMES (0, MANY) "vrrp_process_name" "vrrp_process_name NAME" ["program name"] ["at most 15 characters, longer is cut"]
        "Name of the VRRP child process.";
    OWN_NAMES (0, MANY) "checker_process_name" "checker_process_name NAME" ["program name"] ["at most 15 characters, longer is cut"]
        "Name of the health-checker child process.";
    OWN_NAMES (0, MANY) "lvs_process_name" "lvs_process_name NAME" [""] [""]
        "Old spelling of checker_process_name (deprecated 12/07/20).";
    OWN_NAMES (0, MANY) "bfd_process_name" "bfd_process_name NAME" ["program name"] ["at most 15 characters, longer is cut"]
        "Name of the BFD child process.";
    SUPPORTED (0, 1) "use_symlink_paths" "use_symlink_paths [BOOL]" ["false"] [""]
        "Scripts are started by the path as written, links included, for programs that act by their name; otherwise links are resolved when the configuration is loaded. Every link and directory on the way is checked in both cases.";
    SUPPORTED (0, 1) "set_supplementary_groups" "set_supplementary_groups [BOOL]" ["false"] [""]
        "Scripts whose user is given without : also get the supplementary groups of that user.";
    SUPPORTED (1, 1) "router_id" "router_id STRING" ["local host name"] [""]
        "Name of this host in mail subjects.";
    SUPPORTED (1, 1) "notification_email_from" "notification_email_from ADDRESS" ["root@ the local host name"] [""]
        "Envelope and header sender of every notification mail.";
    SUPPORTED (1, 2) "smtp_server" "smtp_server HOST [PORT]" ["PORT 25"] ["one server"]
        "Mail relay, an address or a name; without it no mail is sent.";
    SUPPORTED (1, 1) "smtp_helo_name" "smtp_helo_name NAME" ["local host name"] [""]
        "Name given in the HELO command.";
    SUPPORTED (1, 1) "smtp_connect_timeout" "smtp_connect_timeout SECONDS" ["30"] ["0..4294 (0 becomes 1)"]
        "Time allowed to connect to the mail server before the delivery is given up.";
    SUPPORTED (0, MANY) "notification_email" "notification_email { ADDRESS ... }" ["none"] [""]
        "Receivers of notification mail, one per line. Addresses accumulate; with an empty list no mail is sent.";
    SUPPORTED (0, 1) "smtp_alert" "smtp_alert [BOOL]" ["unset (means off unless a specific setting says otherwise)"] [""]
        "Default for smtp_alert of sync groups, instances, virtual servers and real servers.";
    SUPPORTED (1, 3) "startup_script" "startup_script \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Command run before the other processes are started; they wait for its end.";
    SUPPORTED (1, 1) "startup_script_timeout" "startup_script_timeout SECONDS" ["10"] ["1..1000"]
        "Time after which the start-up command is killed.";
    SUPPORTED (1, 3) "shutdown_script" "shutdown_script \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Command run after the other processes have stopped and before the daemon ends.";
    SUPPORTED (1, 1) "shutdown_script_timeout" "shutdown_script_timeout SECONDS" ["10"] ["1..1000"]
        "Time after which the shutdown command is killed.";
    NO_OWN_PRIORITY (0, MANY) "max_auto_priority" "max_auto_priority [PRIORITY]" ["0 (off)"] ["-1..99"]
        "Highest SCHED_RR priority that keepalived may raise itself to while timers run late.";
    NO_OWN_PRIORITY (0, MANY) "min_auto_priority_delay" "min_auto_priority_delay MICROSECONDS" ["1000000"] ["1..10000000"]
        "Lateness of a timer above which the real-time priority is raised by one step.";
    SUPPORTED (0, 1) "smtp_alert_vrrp" "smtp_alert_vrrp [BOOL]" ["unset, value of smtp_alert is used"] [""]
        "Default of smtp_alert for VRRP objects only.";
    SUPPORTED (0, 1) "smtp_alert_checker" "smtp_alert_checker [BOOL]" ["unset, value of smtp_alert is used"] [""]
        "Default of smtp_alert for health-checker objects only.";
    SUPPORTED (1, 1) "metrics_listen" "metrics_listen ADDRESS:PORT" ["none"] ["a port of 1024 or above; an IPv6 address in brackets"]
        "Serves /metrics (Prometheus), /status (JSON) and /healthz of the health checks there, see checkerd(8). keepalived has no such keyword.";
    SUPPORTED (0, 1) "checker_log_all_failures" "checker_log_all_failures [BOOL]" ["false"] [""]
        "Log every checker failure and not only the change.";
    SUPPORTED (0, 1) "checker_share" "checker_share [BOOL]" ["false"] [""]
        "Runs identical checks once and tells the result to every real server that has one: those with the same target, parameters, times, retries and alpha, in whatever virtual servers. MISC_CHECK is not shared. keepalived has no such keyword.";
    SUPPORTED (0, 1) "dynamic_interfaces" "dynamic_interfaces [allow_if_changes]" ["off"] [""]
        "Accept instances whose interfaces do not exist yet; they are in FAULT until the interface appears.";
    SUPPORTED (0, 0) "no_email_faults" "no_email_faults" ["off"] [""]
        "Do not send mail when an object enters FAULT.";
    SUPPORTED (1, 1) "vip_lifetime" "vip_lifetime SECONDS" ["off: addresses stay until they are removed"] ["5..86400"]
        "Gives virtual addresses a lifetime in the kernel, which is renewed three times in that time: a host whose whole daemon was killed loses them by itself, and so does one that keeps them at exit (-V).";
    SUPPORTED (1, 1) "default_interface" "default_interface NAME" ["eth0"] [""]
        "Interface used by static addresses that name no interface.";
    SUPPORTED (0, 0) "disable_local_igmp" "disable_local_igmp" ["off"] [""]
        "Writes 0 to net.ipv4.igmp_link_local_mcast_reports at start and puts the old value back at stop, so the kernel sends no IGMP report for 224.0.0.x groups and the firewall rules that move IGMP of IPv4 VMACs are not made. The daemon does not start where that cannot be written; a reload that changes it is refused.";
    SUPPORTED (0, 0) "v3_checksum_as_v2" "v3_checksum_as_v2" ["off"] [""]
        "Default for the instance keyword of the same name.";
    SUPPORTED (2, 6) "lvs_timeouts" "lvs_timeouts [tcp S] [tcpfin S] [udp S]" ["kernel values"] ["0..2678400 seconds each"]
        "Times after which the kernel forgets an idle connection; its own values, also meant by 0, are put back at the stop.";
    SUPPORTED (0, 0) "lvs_flush" "lvs_flush" ["off"] [""]
        "Remove the whole kernel IPVS table when starting.";
    SUPPORTED (0, 1) "lvs_flush_on_stop" "lvs_flush_on_stop [VS]" ["off"] ["VS or nothing"]
        "Empties the whole IPVS table at stop; with VS only removes own services, not destination by destination.";
    SUPPORTED (0, 1) "lvs_flush_onstop" "lvs_flush_onstop [VS]" ["off"] [""]
        "Old spelling of lvs_flush_on_stop.";
    SUPPORTED (1, 13) "lvs_sync_daemon" "lvs_sync_daemon IFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDR]" ["kernel values"] ["id 0..255, maxlen 1..65507, port 1..65535, ttl 1..255"]
        "Has the kernel synchronise connections with another director over IFACE: as master while INSTANCE is master, as backup otherwise (both without INSTANCE).";
    SUPPORTED (1, 1) "vrrp_mcast_group4" "vrrp_mcast_group4 ADDR" ["224.0.0.18"] ["IPv4 multicast"]
        "Multicast group of IPv4 adverts.";
    SUPPORTED (1, 1) "vrrp_mcast_group6" "vrrp_mcast_group6 ADDR" ["ff02::12"] ["IPv6 multicast"]
        "Multicast group of IPv6 adverts.";
    SUPPORTED (1, 1) "vrrp_garp_master_delay" "vrrp_garp_master_delay SECONDS" ["5"] ["0..4294"]
        "Delay before the second set of gratuitous ARP/NA after becoming master. 0 means no second set.";
    SUPPORTED (1, 1) "vrrp_garp_master_repeat" "vrrp_garp_master_repeat N" ["5"] ["0..4294967295 (0 becomes 1)"]
        "How many gratuitous ARP/NA per address are sent at once when becoming master, and again after the delay.";
    SUPPORTED (1, 1) "vrrp_garp_master_refresh" "vrrp_garp_master_refresh SECONDS" ["0 (off)"] ["0..4294967295"]
        "Period of the refresh while master.";
    SUPPORTED (1, 1) "vrrp_garp_master_refresh_repeat" "vrrp_garp_master_refresh_repeat N" ["1"] ["0..4294967295 (0 becomes 1)"]
        "Number of gratuitous ARP/NA per address in each refresh.";
    SUPPORTED (1, 1) "vrrp_garp_lower_prio_delay" "vrrp_garp_lower_prio_delay SECONDS" ["value of garp_master_delay"] ["0..4294"]
        "Delay before the second set after an advert of lower priority arrived while master.";
    SUPPORTED (1, 1) "vrrp_garp_lower_prio_repeat" "vrrp_garp_lower_prio_repeat N" ["value of garp_master_repeat"] ["0..2147483647"]
        "Number of gratuitous ARP/NA per address sent when a lower priority advert arrives while master; 0 sends none.";
    SUPPORTED (1, 1) "vrrp_down_timer_adverts" "vrrp_down_timer_adverts N" ["3"] ["1..100"]
        "Number of advert intervals after which a silent master is taken to be gone.";
    SUPPORTED (1, 1) "vrrp_garp_interval" "vrrp_garp_interval SECONDS" ["0 (no gap)"] ["0.000001..4294"]
        "Least time between two gratuitous ARP packets sent on one interface.";
    SUPPORTED (1, 1) "vrrp_gna_interval" "vrrp_gna_interval SECONDS" ["0"] ["0.000001..4294"]
        "Same for unsolicited neighbour advertisements.";
    SUPPORTED (0, 1) "vrrp_min_garp" "vrrp_min_garp [BOOL]" ["off"] [""]
        "A single gratuitous ARP or NA per address: repeat 1, no delayed set, no refresh, where these are still at their defaults.";
    SUPPORTED (1, 2) "vrrp_garp_extra_if" "vrrp_garp_extra_if [all] SECONDS" ["off"] ["1..86400"]
        "Repeat gratuitous ARP/NA for addresses that are not on the VMAC interface of their instance (or, with all, for every address) with this period.";
    SUPPORTED (1, 2) "vrrp_vmac_garp_intvl" "vrrp_vmac_garp_intvl [all] SECONDS" ["off"] [""]
        "Old spelling of vrrp_garp_extra_if (deprecated after 2.2.2); logs a warning.";
    SUPPORTED (0, 1) "vrrp_lower_prio_no_advert" "vrrp_lower_prio_no_advert [BOOL]" ["false"] [""]
        "Default of the instance keyword of the same meaning.";
    SUPPORTED (0, 1) "vrrp_higher_prio_send_advert" "vrrp_higher_prio_send_advert [BOOL]" ["true"] [""]
        "Default of the instance keyword of the same meaning.";
    SUPPORTED (1, 1) "vrrp_version" "vrrp_version 2|3" ["2"] ["2 or 3"]
        "Default VRRP version of instances.";
    NO_IPTABLES (0, MANY) "vrrp_iptables" "vrrp_iptables [IN_CHAIN [OUT_CHAIN]]" ["INPUT and OUTPUT when given without names; no filtering when absent"] ["chain name at most 29 characters"]
        "Use iptables and ip6tables to drop packets to virtual addresses that are in no-accept mode.";
    NO_IPTABLES (0, MANY) "vrrp_ipsets" "vrrp_ipsets [NAME ...up to 6]" ["keepalived, keepalived6, keepalived_if6, keepalived_igmp, keepalived_mld, keepalived_nd"] ["set name at most 31 characters"]
        "Keep the address lists in ipsets instead of one rule per address.";
    SUPPORTED (0, 1) "nftables" "nftables [TABLE]" ["keepalived"] ["name at most 127 characters"]
        "Name of the nftables tables (families ip and ip6) that drop traffic to and from addresses in no-accept mode. They are made when an instance needs them, replace tables of that name, and go at stop (not with -V).";
    SUPPORTED (1, 1) "nftables_priority" "nftables_priority N" ["-1"] ["32-bit integer"]
        "Priority of the base chains.";
    SUPPORTED (0, 1) "nftables_ifindex" "nftables_ifindex [BOOL]" ["false"] [""]
        "Matches interfaces in those tables by index and not by name; link-local addresses are dropped on their interface only.";
    SUPPORTED (0, 0) "vrrp_check_unicast_src" "vrrp_check_unicast_src" ["off"] [""]
        "Every unicast instance drops adverts whose source is not one of its unicast_peer addresses.";
    SUPPORTED (0, 1) "vrrp_skip_check_adv_addr" "vrrp_skip_check_adv_addr [BOOL]" ["false"] [""]
        "Do not compare the address list of adverts from the current master with the own list.";
    SUPPORTED (0, 1) "vrrp_strict" "vrrp_strict [BOOL]" ["false"] [""]
        "Default of the instance keyword strict_mode.";
    SUPPORTED (1, 1) "vrrp_priority" "vrrp_priority N" ["0"] ["-20..19"]
        "nice value of the VRRP process.";
    SUPPORTED (0, 0) "vrrp_no_swap" "vrrp_no_swap" ["off"] [""]
        "Locks all memory of the VRRP process, from its next start on.";
    SUPPORTED (1, 1) "vrrp_rt_priority" "vrrp_rt_priority N" ["0 (normal scheduling)"] ["1..99"]
        "SCHED_RR priority of the VRRP process.";
    SUPPORTED (1, MANY) "vrrp_cpu_affinity" "vrrp_cpu_affinity CPU..." ["all CPUs"] ["0..number of CPUs-1"]
        "Ties the VRRP process to the named CPUs.";
    SUPPORTED (1, 1) "vrrp_rlimit_rttime" "vrrp_rlimit_rttime MICROSECONDS" ["none: a process that no longer answers is replaced"] ["1..4294967295 (1 becomes 2)"]
        "CPU time that the process, with a real-time priority, may use without sleeping; then it is killed and replaced. Its start counts too.";
    SUPPORTED (1, 1) "vrrp_rlimit_rtime" "vrrp_rlimit_rtime MICROSECONDS" ["none"] ["as above"]
        "Old spelling of vrrp_rlimit_rttime (deprecated 02/02/2020).";
    NO_RANGE_MARKS (0, MANY) "nftables_ipvs" "nftables_ipvs [TABLE]" ["keepalived_ipvs"] ["name at most 127 characters"]
        "nftables table used for LVS marks of ranges.";
    NO_RANGE_MARKS (0, MANY) "nftables_ipvs_priority" "nftables_ipvs_priority N" ["-1"] ["32-bit integer"]
        "Priority of those chains.";
    NO_RANGE_MARKS (0, MANY) "nftables_ipvs_start_fwmark" "nftables_ipvs_start_fwmark N" ["1000"] ["1..4294967295"]
        "First firewall mark that keepalived gives away itself.";
    SUPPORTED (0, 0) "nftables_counters" "nftables_counters" ["off"] [""]
        "Every nftables rule gets a packet and byte counter.";
    SUPPORTED (1, 3) "notify_fifo" "notify_fifo NAME [USER [[:]GROUP]]" ["none"] [""]
        "FIFO that gets a line for every change of state of VRRP objects and of servers. Made when missing, removed at the stop; its owner is USER, else script_user.";
    SUPPORTED (1, 3) "notify_fifo_script" "notify_fifo_script \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Command that reads notify_fifo, started with the path of the FIFO as its last argument at the start, and at a reload when it has ended or changed.";
    SUPPORTED (1, 3) "vrrp_notify_fifo" "vrrp_notify_fifo NAME [USER [[:]GROUP]]" ["none"] [""]
        "The same for instances and sync groups only.";
    SUPPORTED (1, 3) "vrrp_notify_fifo_script" "vrrp_notify_fifo_script \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Command that reads vrrp_notify_fifo.";
    SUPPORTED (0, 1) "vrrp_notify_priority_changes" "vrrp_notify_priority_changes [BOOL]" ["false"] [""]
        "Changes of the effective priority are told to the FIFOs, as MASTER_PRIORITY or BACKUP_PRIORITY.";
    SUPPORTED (0, 0) "fifo_write_vrrp_states_on_reload" "fifo_write_vrrp_states_on_reload" ["off"] [""]
        "After a reload the state of every instance and sync group is written to the FIFOs even when unchanged.";
    SUPPORTED (1, 3) "lvs_notify_fifo" "lvs_notify_fifo NAME [USER [[:]GROUP]]" ["none"] [""]
        "The same for virtual and real servers only.";
    SUPPORTED (1, 3) "lvs_notify_fifo_script" "lvs_notify_fifo_script \"COMMAND [ARG...]\" [USER [[:]GROUP]]" ["none"] ["one quoted word, see config-file"]
        "Reader command of lvs_notify_fifo.";
    SUPPORTED (1, 1) "checker_priority" "checker_priority N" ["0"] ["-20..19"]
        "nice value of the checker process and the IPVS process.";
    SUPPORTED (0, 0) "checker_no_swap" "checker_no_swap" ["off"] [""]
        "The same for the checker process and the IPVS process.";
    SUPPORTED (1, 1) "checker_rt_priority" "checker_rt_priority N" ["0"] ["1..99"]
        "SCHED_RR priority of the checker process and the IPVS process.";
    SUPPORTED (1, MANY) "checker_cpu_affinity" "checker_cpu_affinity CPU..." ["all"] [""]
        "CPUs of the checker process and the IPVS process.";
    SUPPORTED (1, 1) "checker_rlimit_rttime" "checker_rlimit_rttime MICROSECONDS" ["none"] ["1..4294967295"]
        "The same for the checker process and the IPVS process.";
    SUPPORTED (1, 1) "checker_rlimit_rtime" "checker_rlimit_rtime MICROSECONDS" ["none"] ["as above"]
        "Old spelling of checker_rlimit_rttime (deprecated 02/02/2020).";
    NO_BFD_PROCESS (0, MANY) "bfd_priority" "bfd_priority N" ["0"] ["-20..19"]
        "nice value of the BFD process.";
    NO_BFD_PROCESS (0, MANY) "bfd_no_swap" "bfd_no_swap" ["off"] [""]
        "Lock the memory of the BFD process.";
    NO_BFD_PROCESS (0, MANY) "bfd_rt_priority" "bfd_rt_priority N" ["0"] ["1..99"]
        "SCHED_RR priority of the BFD process.";
    NO_BFD_PROCESS (0, MANY) "bfd_cpu_affinity" "bfd_cpu_affinity CPU..." ["all"] [""]
        "CPUs of the BFD process.";
    NO_BFD_PROCESS (0, MANY) "bfd_rlimit_rttime" "bfd_rlimit_rttime MICROSECONDS" ["10000"] ["1..4294967295"]
        "RLIMIT_RTTIME of the BFD process.";
    NO_BFD_PROCESS (0, MANY) "bfd_rlimit_rtime" "bfd_rlimit_rtime MICROSECONDS" ["10000"] ["as above"]
        "Old spelling of bfd_rlimit_rttime (deprecated 02/02/2020).";
    NO_SNMP (0, MANY) "snmp_socket" "snmp_socket ADDRESS" ["unix:/var/agentx/master"] ["one argument"]
        "AgentX master socket, in net-snmp address syntax. -A does the same and the first one given wins.";
    NO_SNMP (0, MANY) "enable_traps" "enable_traps" ["off"] [""]
        "Send SNMP notifications.";
    NO_SNMP (0, MANY) "enable_snmp_vrrp" "enable_snmp_vrrp" ["off (on with -x)"] [""]
        "Serve the keepalived VRRP objects over AgentX.";
    NO_SNMP (0, MANY) "enable_snmp_keepalived" "enable_snmp_keepalived" [""] [""]
        "Old spelling of enable_snmp_vrrp (deprecated 2.0.0).";
    NO_SNMP (0, MANY) "enable_snmp_rfc" "enable_snmp_rfc" ["off (on with -x)"] [""]
        "Serve both RFC tables: 2787 for VRRPv2 and 6527 for VRRPv3.";
    NO_SNMP (0, MANY) "enable_snmp_rfcv2" "enable_snmp_rfcv2" ["off (on with -x)"] [""]
        "Serve the RFC 2787 table.";
    NO_SNMP (0, MANY) "enable_snmp_rfcv3" "enable_snmp_rfcv3" ["off (on with -x)"] [""]
        "Serve the RFC 6527 table.";
    NO_SNMP (0, MANY) "enable_snmp_checker" "enable_snmp_checker" ["off (on with -x)"] [""]
        "Serve the LVS tables.";
    NO_SNMP (0, MANY) "snmp_vs_stats_update_interval" "snmp_vs_stats_update_interval SECONDS" ["5"] ["0.001..30"]
        "Cache time of virtual-server IPVS statistics read for SNMP.";
    NO_SNMP (0, MANY) "snmp_rs_stats_update_interval" "snmp_rs_stats_update_interval SECONDS" ["same as snmp_vs_stats_update_interval"] ["0.001..30"]
        "Cache time of real-server IPVS statistics.";
    NO_DBUS (0, MANY) "enable_dbus" "enable_dbus" ["off"] [""]
        "Publish the VRRP objects on the D-Bus system bus.";
    NO_DBUS (0, MANY) "dbus_service_name" "dbus_service_name NAME" ["org.keepalived.Vrrp1"] ["valid D-Bus well-known name"]
        "Bus name and base of the object paths.";
    NO_DBUS (0, MANY) "dbus_no_interface_name" "dbus_no_interface_name NAME" ["none"] ["one path element"]
        "Path element used for an instance that has no interface.";
    SUPPORTED (1, 3) "script_user" "script_user USER [[:]GROUP]" ["keepalived_script if it exists, else the user that started the daemon"] ["existing user and group"]
        "User and group of scripts that name none.";
    SUPPORTED (0, 0) "enable_script_security" "enable_script_security" ["off"] [""]
        "A script that others than root could replace is not run as root.";
    SUPPORTED (0, 1) "script_no_new_privileges" "script_no_new_privileges [BOOL]" ["off"] [""]
        "No script gains privileges by what it executes: sudo, set-user-id programs and file capabilities have no effect for it. A keyword of keepalived-rs alone.";
    SUPPORTED (0, MANY) "script_read_only" "script_read_only [DIRECTORY...]" ["off"] ["existing directories"]
        "No script writes, makes, removes or truncates a file, whatever its account may, except below these directories; nor does it gain privileges. The kernel needs Landlock. A keyword of keepalived-rs alone.";
    SUPPORTED (1, 1) "sandbox" "sandbox on|strict" ["on"] [""]
        "What happens on a kernel that cannot enforce all of the sandbox of the child processes (seccomp, Landlock up to Linux 6.12). `on`: the log says what is missing. `strict`: the daemon does not start. A reload does not change it. A keyword of keepalived-rs alone.";
    FIXED_BUFFERS (0, MANY) "vrrp_netlink_cmd_rcv_bufs" "vrrp_netlink_cmd_rcv_bufs BYTES" ["kernel default"] ["1..4294967295"]
        "Receive buffer of the socket used for netlink commands.";
    FIXED_BUFFERS (0, MANY) "vrrp_netlink_cmd_rcv_bufs_force" "vrrp_netlink_cmd_rcv_bufs_force [BOOL]" ["false"] [""]
        "Use SO_RCVBUFFORCE so the system limit does not apply.";
    FIXED_BUFFERS (0, MANY) "vrrp_netlink_monitor_rcv_bufs" "vrrp_netlink_monitor_rcv_bufs BYTES" ["kernel default"] ["1..4294967295"]
        "Receive buffer of the netlink socket that reports link, address and route changes.";
    FIXED_BUFFERS (0, MANY) "vrrp_netlink_monitor_rcv_bufs_force" "vrrp_netlink_monitor_rcv_bufs_force [BOOL]" ["false"] [""]
        "Use SO_RCVBUFFORCE for it.";
    NO_CONNECTOR (0, MANY) "process_monitor_rcv_bufs" "process_monitor_rcv_bufs BYTES" ["kernel default"] ["1..4294967295"]
        "Receive buffer of the process event connector; it doubles by itself when the kernel reports lost events.";
    NO_CONNECTOR (0, MANY) "process_monitor_rcv_bufs_force" "process_monitor_rcv_bufs_force [BOOL]" ["false"] [""]
        "Use SO_RCVBUFFORCE for it.";
    FIXED_BUFFERS (0, MANY) "lvs_netlink_cmd_rcv_bufs" "lvs_netlink_cmd_rcv_bufs BYTES" ["kernel default"] ["1..4294967295"]
        "Checker netlink command socket buffer.";
    FIXED_BUFFERS (0, MANY) "lvs_netlink_cmd_rcv_bufs_force" "lvs_netlink_cmd_rcv_bufs_force [BOOL]" ["false"] [""]
        "Force that size.";
    FIXED_BUFFERS (0, MANY) "lvs_netlink_monitor_rcv_bufs" "lvs_netlink_monitor_rcv_bufs BYTES" ["kernel default"] ["1..4294967295"]
        "Checker netlink monitor socket buffer.";
    FIXED_BUFFERS (0, MANY) "lvs_netlink_monitor_rcv_bufs_force" "lvs_netlink_monitor_rcv_bufs_force [BOOL]" ["false"] [""]
        "Force that size.";
    SUPPORTED (0, 1) "rs_init_notifies" "rs_init_notifies [BOOL]" ["off"] [""]
        "Announces also the real servers that are put into service at start.";
    SUPPORTED (0, 1) "no_checker_emails" "no_checker_emails [BOOL]" ["off"] [""]
        "No mail for a checker that changes without changing its real server.";
    FIXED_BUFFERS (0, MANY) "vrrp_rx_bufs_policy" "vrrp_rx_bufs_policy MTU|ADVERT|BYTES" ["kernel default"] ["words not case-sensitive; BYTES 0..4294967295"]
        "How the receive buffer of the VRRP sockets is sized: from the largest interface MTU, from the size of a full advert, or a fixed number.";
    FIXED_BUFFERS (0, MANY) "vrrp_rx_bufs_multiplier" "vrrp_rx_bufs_multiplier N" ["3"] ["1..4294967295"]
        "Number of packets that the MTU and ADVERT policies leave room for.";
    SUPPORTED (1, 1) "vrrp_startup_delay" "vrrp_startup_delay SECONDS" ["0"] ["0.001..4294.967295"]
        "For this time after start instances ignore received adverts and cannot become MASTER; their timers count from the end of it.";
    SUPPORTED (1, 1) "vrrp_delay_after_boot" "vrrp_delay_after_boot SECONDS" ["0"] ["as above"]
        "Like vrrp_startup_delay but counted from system boot as reported by /proc/uptime.";
    SUPPORTED (0, 0) "log_unknown_vrids" "log_unknown_vrids" ["off"] [""]
        "Log adverts that arrive for VRIDs with no instance on that interface.";
    SUPPORTED (0, 1) "vrrp_owner_ignore_adverts" "vrrp_owner_ignore_adverts [BOOL]" ["false"] [""]
        "Default of owner_ignore_adverts for instances of priority 255.";
    SUPPORTED (1, 1) "vmac_prefix" "vmac_prefix TEXT" ["vrrp"] ["first one counts"]
        "Name prefix of generated VMAC interfaces (PREFIX.VRID and variants).";
    SUPPORTED (1, 1) "vmac_addr_prefix" "vmac_addr_prefix TEXT" ["value of vmac_prefix"] ["first one counts"]
        "Name prefix of generated interfaces for use_vmac addresses.";
    SUPPORTED (1, MANY) "umask" "umask NUMBER | BIT[|BIT]..." ["0177 (only owner read and write)"] ["0..0777, 0x and leading-0 forms accepted; BIT names IRUSR IWUSR IXUSR IRWXU IRGRP IWGRP IXGRP IRWXG IROTH IWOTH IXOTH IRWXO"]
        "File creation mask of keepalived and of files it writes.";
    SUPPORTED (1, 1) "random_seed" "random_seed N" ["other numbers each time"] ["0..4294967295"]
        "From this line on ${_RANDOM} gives the sequence of numbers that belongs to N, so that a configuration can be repeated. Another program, or another version of this one, may have another sequence.";
    SUPPORTED (0, 1) "reload_check_config" "reload_check_config [LOG_FILE]" ["off: a reload is refused for errors, not for warnings"] ["absolute path"]
        "A reload is refused unless --config-test would find nothing in the new text: for warnings and scripts that are not secure too. What such a test prints is written to LOG_FILE, never through a symbolic link, at each reload. The line of the running configuration counts.";
    SUPPORTED (1, 1) "reload_time_file" "reload_time_file FILE" ["none"] ["absolute path"]
        "Holds one line with the time of the next reload: HH:MM:SS, YY-MM-DD HH:MM:SS or YYYY-MM-DD HH:MM:SS, each optionally followed by Z for UTC. The file is watched, so a rewrite changes the time and a delete cancels it; a date in the past is ignored, and a time that has passed means tomorrow. When the reload comes the file is removed, so its directory must be one that the daemon may write (below /etc the unit for systemd forbids that).";
    SUPPORTED (0, 0) "reload_repeat" "reload_repeat" ["off"] [""]
        "Do not remove reload_time_file when it holds a time without a date, so the reload repeats every day.";
    SUPPORTED (0, 1) "reload_file" "reload_file [FILE]" ["none; without FILE keepalived.reload in the pid directory (instance suffix as for pid files)"] ["absolute path"]
        "Marker for programs that rewrite the configuration: the parent creates the file (or truncates it) mode 0644 before it reads the configuration and removes it when reading has ended, both at start-up and on reload. FILE must be in a directory of root that the daemon may write (below /etc the unit for systemd forbids that).";
    SUPPORTED (0, MANY) "include_check" "include_check [+|-][read|match|wildcard_match|brace_match]..." ["none checked"] ["no word turns all on"]
        "Which include that matches or reads nothing is an error; + adds, - takes away.";
    PARENT_READS_ONCE (0, MANY) "config_save_dir" "config_save_dir DIR" ["none"] [""]
        "Debug aid: each process writes a dump of its parsed configuration to DIR/keepalived_PROCESS.PID.N.pre before and .post after it is checked, N counts loads.";
    PARENT_READS_ONCE (0, MANY) "tmp_config_directory" "tmp_config_directory DIR" ["anonymous memory file"] [""]
        "Where the copy of the configuration text that the children read is made instead of memory.";
    SUPPORTED (0, 1) "data_use_instance" "data_use_instance [BOOL]" ["false"] [""]
        "Dump file names get the instance and namespace name.";
    SUPPORTED (1, 1) "json_version" "json_version 1|2" ["1"] ["1 or 2"]
        "Layout of the JSON dump.";
    SUPPORTED (1, 1) "iproute_usr_dir" "iproute_usr_dir DIR" ["/usr/share/iproute2"] ["absolute path"]
        "Directory with the distribution name files of iproute2 (rt_tables, rt_dsfield, rt_realms, rt_protos, rt_scopes, group and their .d directories). A file is read only when there is none of its name in iproute_etc_dir.";
    SUPPORTED (1, 1) "iproute_etc_dir" "iproute_etc_dir DIR" ["/etc/iproute2"] ["absolute path"]
        "Directory with the local name files of iproute2; what they and the files of their .d directories name wins over iproute_usr_dir. Nothing is written there.";
    SUPPORTED (1, 1) "state_dump_file" "state_dump_file PATH" ["keepalived.data in the temporary directory"] ["non-empty"]
        "Name of the data dump; those of the parent and the checks get _parent and _check before the last dot. A path ending in / is a directory, one without / in front is in the temporary directory.";
    SUPPORTED (1, 1) "stats_dump_file" "stats_dump_file PATH" ["keepalived.stats in the temporary directory"] ["non-empty"]
        "Name of the statistics dump, in the same forms.";
    SUPPORTED (1, 1) "json_dump_file" "json_dump_file PATH" ["keepalived.json in the temporary directory"] ["non-empty"]
        "Name of the JSON dump, in the same forms.";
    SUPPORTED (1, 1) "vrrpd_user" "vrrpd_user USER" ["keepalived-vrrp"] ["existing account"]
        "Account that the VRRP process runs under. A keyword of keepalived-rs alone.";
    SUPPORTED (1, 1) "checkerd_user" "checkerd_user USER" ["keepalived-check"] ["existing account"]
        "Account that the checker process runs under. A keyword of keepalived-rs alone.";
    SUPPORTED (1, 1) "ipvsd_user" "ipvsd_user USER" ["keepalived-ipvs"] ["existing account"]
        "Account that the IPVS process runs under. A keyword of keepalived-rs alone.";
    }
    in SyncDaemon {
    SUPPORTED (0, MANY) "inst" "inst VRRP_INSTANCE" ["none"] ["existing instance"]
        "Ties the sync threads to that VRRP instance; unknown name cancels the whole setting.";
    SUPPORTED (0, MANY) "id" "id N" ["VRID of the instance, 0 without instance"] ["0..255"]
        "Sync id of the threads. A bare third word is the same (old syntax, reported).";
    SUPPORTED (0, MANY) "maxlen" "maxlen BYTES" ["kernel default"] ["1..65507"]
        "Maximum UDP payload of sync messages (Linux 4.3+).";
    SUPPORTED (0, MANY) "port" "port N" ["kernel default 8848"] ["1..65535"]
        "UDP port (Linux 4.3+).";
    SUPPORTED (0, MANY) "ttl" "ttl N" ["kernel default 1"] ["1..255"]
        "Multicast TTL (Linux 4.3+).";
    SUPPORTED (0, MANY) "group" "group MCAST" ["kernel default 224.0.0.81"] ["IPv4 or IPv6 multicast"]
        "Multicast group (Linux 4.3+).";
    }
    in LvsTimeouts {
    SUPPORTED (0, MANY) "tcp" "tcp S" ["unchanged"] ["0..2678400"]
        "Established TCP timeout.";
    SUPPORTED (0, MANY) "tcpfin" "tcpfin S" ["unchanged"] ["0..2678400"]
        "TCP timeout after FIN.";
    SUPPORTED (0, MANY) "udp" "udp S" ["unchanged"] ["0..2678400"]
        "UDP timeout.";
    }
}
