//! The places where a keyword can stand.

macro_rules! blocks {
    ($($name:ident $label:literal $doc:literal;)*) => {
        /// A place where keywords stand: a block of the file, the words of a line, or the values of a
        /// keyword.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Block {
            $(#[doc = $doc] $name,)*
        }

        impl Block {
            /// Every place, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name that lists and messages use.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

blocks! {
    ConfigFile "config-file" "Words, comments, parameters and includes: the form of a file.";
    Root "root" "Outside every block.";
    GlobalDefs "global_defs" "`global_defs`.";
    SyncDaemon "global_defs.lvs_sync_daemon option" "Option words of `lvs_sync_daemon`.";
    LvsTimeouts "global_defs.lvs_timeouts option" "Option words of `lvs_timeouts`.";
    TrackGroup "track_group" "`track_group`.";
    StaticAddress "static_ipaddress" "`static_ipaddress`.";
    StaticRoutes "static_routes" "`static_routes`.";
    StaticRules "static_rules" "`static_rules`.";
    AddressLine "address-line" "One line of an address list.";
    RouteLine "route-line" "One line of a route list.";
    RuleLine "rule-line" "One line of a rule list.";
    SyncGroup "vrrp_sync_group" "`vrrp_sync_group`.";
    GarpGroup "garp_group" "`garp_group`.";
    Linkbeat "linkbeat_interfaces" "`linkbeat_interfaces`.";
    InterfaceDelays "interface_up_down_delays" "`interface_up_down_delays`.";
    VrrpInstance "vrrp_instance" "`vrrp_instance`.";
    Authentication "vrrp_instance/authentication" "`authentication` of an instance.";
    AuthHmac "vrrp_instance/auth_hmac" "`auth_hmac` of an instance.";
    UseVmac "use_vmac-args" "Option words of `use_vmac`.";
    UseIpvlan "use_ipvlan-args" "Option words of `use_ipvlan`.";
    UnicastPeer "unicast_peer-line" "One line of `unicast_peer`.";
    TrackLine "track-line" "One line of a `track_*` list.";
    VrrpScript "vrrp_script" "`vrrp_script`.";
    TrackProcess "vrrp_track_process" "`vrrp_track_process`.";
    TrackFile "track_file" "`track_file`.";
    VrrpTrackFile "vrrp_track_file" "`vrrp_track_file`, the old name of `track_file`.";
    BfdInstance "bfd_instance" "`bfd_instance`.";
    Ssl "SSL" "`SSL`.";
    ServerGroup "virtual_server_group" "`virtual_server_group`.";
    VirtualServer "virtual_server" "`virtual_server`.";
    SchedulerName "virtual_server.lb_algo value" "Values of `lb_algo`.";
    ProtocolName "virtual_server.protocol value" "Values of `protocol`.";
    ForwardingName "forwarding method value (lb_kind, lvs_method, sorry_server_lvs_method)" "Values and option words of `lb_kind` and its like.";
    RealServer "real_server" "`real_server`.";
    Connection "checker common, connection (TCP_CHECK HTTP_GET SSL_GET SMTP_CHECK SMTP_CHECK/host DNS_CHECK UDP_CHECK PING_CHECK)" "Connection keywords of the network checkers.";
    Timing "checker common, timing (all but BFD_CHECK and FILE_CHECK)" "Timing keywords of the checkers.";
    HttpSsl "HTTP_GET / SSL_GET" "`HTTP_GET` and `SSL_GET`.";
    SslGet "SSL_GET" "`SSL_GET` alone.";
    Url "HTTP_GET / SSL_GET.url" "`url`.";
    SslUrl "SSL_GET.url" "`url` of an `SSL_GET`.";
    RegexOption "url.regex_options value" "Values of `regex_options`.";
    HttpProtocol "HTTP_GET / SSL_GET.http_protocol value" "Values of `http_protocol`.";
    SmtpCheck "SMTP_CHECK" "`SMTP_CHECK`.";
    DnsCheck "DNS_CHECK" "`DNS_CHECK`.";
    DnsType "DNS_CHECK.type value" "Values of `type` in a `DNS_CHECK`.";
    MiscCheck "MISC_CHECK" "`MISC_CHECK`.";
    UdpCheck "UDP_CHECK" "`UDP_CHECK`.";
    BfdCheck "BFD_CHECK" "`BFD_CHECK`.";
    FileCheck "FILE_CHECK" "`FILE_CHECK`.";
    Retired "not accepted by 2.4 (seen in old configs or in the manual)" "Spellings that keepalived 2.4 does not accept.";
}
