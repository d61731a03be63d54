//! Health checkers.

use super::{Block, Keyword, MANY, NO_PASSWORD, NO_PATTERN_STACK, SUPPORTED, keywords};

keywords! {
    CHECK:
    in Connection {
    SUPPORTED (1, 1) "connect_ip" "connect_ip IPADDR" ["real server address"] ["family must match bindto"]
        "Address the check is sent to.";
    SUPPORTED (1, 1) "connect_port" "connect_port PORT" ["real server port"] ["1..65535"]
        "Port the check is sent to; the port of the real server also for SMTP_CHECK.";
    SUPPORTED (1, 1) "bindto" "bindto IPADDR" ["none"] ["family must match connect_ip"]
        "Source address of the check.";
    SUPPORTED (1, 1) "bind_port" "bind_port PORT" ["ephemeral"] ["1..65535"]
        "Source port of the check; only effective together with bindto, and not in PING_CHECK. Below 1024 the socket is made by the IPVS process, which then holds CAP_NET_BIND_SERVICE. A check that ends with its port still in use ends with a reset, so that TIME-WAIT does not hold up the next one.";
    SUPPORTED (1, 1) "bind_if" "bind_if IFNAME" ["none"] ["max 15 characters; required for IPv6 link-local targets"]
        "Binds the socket to the interface (SO_BINDTODEVICE).";
    SUPPORTED (1, 1) "connect_timeout" "connect_timeout SECONDS" ["real server, then virtual server, then 5 s"] ["0.000001 .. 4294.967295 s"]
        "Timeout of connect and of each read step.";
    SUPPORTED (1, 1) "fwmark" "fwmark INT" ["0 = none"] ["0..4294967295; not in PING_CHECK"]
        "Firewall mark (SO_MARK) of the packets of the check, for routing rules and packet filters; the socket is made by the IPVS process.";
    }
    in Timing {
    SUPPORTED (1, 1) "retry" "retry INT" ["real/virtual server, else 1 (DNS_CHECK 3, MISC_CHECK 0)"] ["0..4294967295"]
        "Extra attempts after a failure before the checker goes down; not used while it is already down, nor (except SMTP_CHECK) for the very first check.";
    SUPPORTED (1, 1) "delay_before_retry" "delay_before_retry SECONDS" ["real/virtual server, else 1 s (HTTP/SSL 3 s, DNS_CHECK = delay_loop)"] ["0..18446744073709.551615"]
        "Wait before a retry.";
    SUPPORTED (1, 1) "warmup" "warmup SECONDS" ["real/virtual server, else delay_loop of the checker"] ["0..18446744073709.551615"]
        "Maximum random delay, added to a fixed 1 s, before the first run after start or reload.";
    SUPPORTED (1, 1) "delay_loop" "delay_loop SECONDS" ["real server, virtual server, 60 s"] ["0.000001..18446744073709.551615"]
        "Interval between checks.";
    SUPPORTED (0, 1) "alpha" "alpha [BOOL]" ["real server, virtual server, off"] ["on|off|true|false|yes|no"]
        "Consider this checker failed until its first success.";
    SUPPORTED (0, 1) "log_all_failures" "log_all_failures [BOOL]" ["off"] ["on|off|true|false|yes|no"]
        "Per-checker version of checker_log_all_failures.";
    }
    in HttpSsl {
    SUPPORTED (1, 1) "nb_get_retry" "nb_get_retry INT" [""] ["0..4294967295"]
        "Old name of retry.";
    SUPPORTED (1, 1) "virtualhost" "virtualhost NAME" ["real server, then virtual server"] [""]
        "Host header for urls without their own; also an SNI candidate.";
    SUPPORTED (1, 1) "http_protocol" "http_protocol 1.0|1.0C|1.0K|1.1|1.1K" ["1.0"] ["c and k also small"]
        "Request version; 1.0C and 1.1 add a Connection: close header, 1.0K and 1.1K Connection: keep-alive.";
    SUPPORTED (0, 1) "enable_sni" "enable_sni [BOOL]" ["off"] ["on|off|true|false|yes|no"]
        "SSL_GET: sends the server name: sni_name, else virtualhost of url, checker, real server or virtual server.";
    SUPPORTED (0, 1) "sni_name" "sni_name [NAME]" ["none"] [""]
        "Server name to send; also switches enable_sni on.";
    SUPPORTED (0, 1) "fast_recovery" "fast_recovery [BOOL]" ["off"] ["on|off|true|false|yes|no"]
        "Checks the urls back-to-back, without delay_loop between them, while the checker is coming up.";
    SUPPORTED (0, 0) "url" "url { }" ["at least one required"] ["any number, tested in order"]
        "One page to fetch; several are fetched in order.";
    }
    in SslGet {
    SUPPORTED (0, 1) "tls_compliant" "tls_compliant [BOOL]" ["off"] ["on|off|true|false|yes|no"]
        "Ends the TLS sessions of all urls with a close_notify; one url can say otherwise.";
    }
    in Url {
    SUPPORTED (1, 1) "path" "path STRING" ["required"] ["request must fit in 2047 bytes"]
        "Request target placed verbatim in the GET line.";
    SUPPORTED (1, 1) "digest" "digest HEX" ["none"] ["exactly 32 hex digits"]
        "MD5 the body must have (bytes after the header, limited to Content-Length).";
    SUPPORTED (1, MANY) "status_code" "status_code CODE|MIN-MAX ..." ["200-299"] ["100..599"]
        "Accepted status codes; several lines accumulate.";
    SUPPORTED (1, 1) "virtualhost" "virtualhost NAME" ["checker, real server, virtual server"] [""]
        "Host header (sent as is, no port appended) and SNI candidate for this url.";
    SUPPORTED (1, 1) "regex" "regex PATTERN" ["none"] ["quoted when it has spaces; PCRE2 syntax without calls of groups and verbs"]
        "Pattern that the body must match. The header is not searched. With look-around or back references the body may have 32 KiB, else a match may.";
    SUPPORTED (0, 0) "regex_no_match" "regex_no_match" ["off"] ["needs regex"]
        "Inverts the test: a match is a failure.";
    SUPPORTED (1, MANY) "regex_options" "regex_options OPTION ..." ["none"] ["see url.regex_options value"]
        "Options of PCRE2 for the pattern; several lines accumulate.";
    SUPPORTED (1, 1) "regex_min_offset" "regex_min_offset BYTES" ["0"] [">=0"]
        "A match begins at this offset of the body or later.";
    SUPPORTED (1, 1) "regex_max_offset" "regex_max_offset BYTES" ["none"] [">= min offset (else both are dropped)"]
        "A match begins at this offset of the body or earlier.";
    NO_PATTERN_STACK (2, 2) "regex_stack" "regex_stack START MAX" ["none"] [""]
        "Sizes of the stack of PCRE2's compiler.";
    }
    in SslUrl {
    SUPPORTED (0, 1) "tls_compliant" "tls_compliant [BOOL]" ["that of the checker"] ["on|off|true|false|yes|no"]
        "Ends the TLS session of this url with a close_notify.";
    }
    in RegexOption {
    SUPPORTED (0, MANY) "allow_empty_class" "allow_empty_class" ["off"] [""]
        "`[]` matches nothing, and `[^]` any character.";
    SUPPORTED (0, MANY) "alt_bsux" "alt_bsux" ["off"] [""]
        "`\\u20AC` is the character with this number; `\\u`, `\\U` and `\\x` without their digits are letters.";
    SUPPORTED (0, MANY) "auto_callout" "auto_callout" ["off"] [""]
        "Changes nothing: there are no callouts.";
    SUPPORTED (0, MANY) "caseless" "caseless" ["off"] [""]
        "Upper and lower case are the same.";
    SUPPORTED (0, MANY) "dollar_endonly" "dollar_endonly" ["off"] [""]
        "`$` matches only at the very end, not also before a last line end.";
    SUPPORTED (0, MANY) "dotall" "dotall" ["off"] [""]
        "`.` matches a line end too.";
    SUPPORTED (0, MANY) "dupnames" "dupnames" ["off"] [""]
        "Several groups may have the same name, which no reference may use then.";
    SUPPORTED (0, MANY) "extended" "extended" ["off"] [""]
        "White space and comments in the pattern do not count.";
    SUPPORTED (0, MANY) "firstline" "firstline" ["off"] [""]
        "A match begins in the first line of what is searched.";
    SUPPORTED (0, MANY) "match_unset_backref" "match_unset_backref" ["off"] [""]
        "A reference to a group that took no part matches the empty text.";
    SUPPORTED (0, MANY) "multiline" "multiline" ["off"] [""]
        "`^` and `$` match at every line.";
    SUPPORTED (0, MANY) "never_ucp" "never_ucp" ["off"] [""]
        "Changes nothing: a pattern cannot switch ucp on.";
    SUPPORTED (0, MANY) "never_utf" "never_utf" ["off"] [""]
        "Changes nothing: a pattern cannot switch utf on.";
    SUPPORTED (0, MANY) "no_auto_capture" "no_auto_capture" ["off"] [""]
        "Changes nothing in what matches.";
    SUPPORTED (0, MANY) "no_auto_possess" "no_auto_possess" ["off"] [""]
        "Changes nothing in what matches.";
    SUPPORTED (0, MANY) "no_dotstar_anchor" "no_dotstar_anchor" ["off"] [""]
        "Changes nothing in what matches.";
    SUPPORTED (0, MANY) "no_start_optimize" "no_start_optimize" ["off"] [""]
        "Changes nothing in what matches.";
    SUPPORTED (0, MANY) "ucp" "ucp" ["off"] [""]
        "`\\d`, `\\s`, `\\w` and `\\b` know Unicode; needs utf.";
    SUPPORTED (0, MANY) "ungreedy" "ungreedy" ["off"] [""]
        "Repetitions take as little as they can, and with `?` as much.";
    SUPPORTED (0, MANY) "utf" "utf" ["off"] [""]
        "Pattern and body are UTF-8 instead of bytes.";
    SUPPORTED (0, MANY) "never_backslash_c" "never_backslash_c" ["off"] [""]
        "Changes nothing: `\\C` is refused in any case.";
    SUPPORTED (0, MANY) "alt_circumflex" "alt_circumflex" ["off"] [""]
        "With multiline, `^` matches after a last line end too; it does so in any case.";
    SUPPORTED (0, MANY) "alt_verbnames" "alt_verbnames" ["off"] [""]
        "Changes nothing: verbs are refused in any case.";
    SUPPORTED (0, MANY) "use_offset_limit" "use_offset_limit" ["off"] [""]
        "Changes nothing: regex_max_offset needs no such permission.";
    }
    in HttpProtocol {
    SUPPORTED (0, MANY) "1.0" "1.0" ["default"] [""]
        "HTTP/1.0 without Connection header.";
    SUPPORTED (0, MANY) "1.0C" "1.0C | 1.0c" [""] [""]
        "HTTP/1.0 with Connection: close.";
    SUPPORTED (0, MANY) "1.1" "1.1" [""] [""]
        "HTTP/1.1 with Connection: close.";
    }
    in SmtpCheck {
    SUPPORTED (1, 1) "helo_name" "helo_name NAME" ["smtpchecker.keepalived.org"] ["one word or quoted"]
        "Argument of HELO.";
    SUPPORTED (0, 0) "host" "host { connection and timing keywords }" ["the real server"] ["deprecated"]
        "Probes this address instead of the real server; with several blocks all must succeed.";
    }
    in DnsCheck {
    SUPPORTED (1, 1) "type" "type RRTYPE" ["SOA"] ["A NS CNAME SOA MX TXT AAAA RRSIG DNSKEY, any case"]
        "Query type.";
    SUPPORTED (1, 1) "name" "name DOMAIN" ["root (.)"] ["no empty labels"]
        "Query name; a trailing dot is optional.";
    }
    in DnsType {
    SUPPORTED (0, MANY) "A" "A" [""] ["any case"]
        "Query type number 1.";
    SUPPORTED (0, MANY) "NS" "NS" [""] ["any case"]
        "Query type number 2.";
    SUPPORTED (0, MANY) "CNAME" "CNAME" [""] ["any case"]
        "Query type number 5.";
    SUPPORTED (0, MANY) "SOA" "SOA" ["default"] ["any case"]
        "Query type number 6.";
    SUPPORTED (0, MANY) "MX" "MX" [""] ["any case"]
        "Query type number 15.";
    SUPPORTED (0, MANY) "TXT" "TXT" [""] ["any case"]
        "Query type number 16.";
    SUPPORTED (0, MANY) "AAAA" "AAAA" [""] ["any case"]
        "Query type number 28.";
    SUPPORTED (0, MANY) "RRSIG" "RRSIG" [""] ["any case"]
        "Query type number 46.";
    SUPPORTED (0, MANY) "DNSKEY" "DNSKEY" [""] ["any case"]
        "Query type number 48.";
    }
    in MiscCheck {
    SUPPORTED (1, 1) "misc_path" "misc_path CMD" ["required"] ["quote when it has arguments; backslash escapes allowed"]
        "Program and arguments to run for each check; started directly, in its own process group.";
    SUPPORTED (1, 1) "misc_timeout" "misc_timeout SECONDS" ["delay_loop of the virtual server"] ["0..4294 (0 = the default)"]
        "After this time the program is ended, and the run counts as failed.";
    SUPPORTED (0, 0) "misc_dynamic" "misc_dynamic" ["off"] [""]
        "Exit codes 2..255 are success and set the weight to the code less 2; 0 restores the configured weight, 1 is failure.";
    SUPPORTED (1, 3) "user" "user USER [[:]GROUP]" ["script_user"] ["existing account; unknown drops the checker"]
        "Account that the program runs under.";
    }
    in UdpCheck {
    SUPPORTED (1, MANY) "payload" "payload HEX" ["32 bytes of fixed filler text"] ["hex digits, spaces allowed, a lone digit is one byte"]
        "Datagram content.";
    SUPPORTED (0, MANY) "require_reply" "require_reply [HEX]" ["off"] ["hex; x or X = any nibble"]
        "Requires a datagram within connect_timeout; with data, reply and data must agree as far as both go.";
    SUPPORTED (1, 1) "min_reply_length" "min_reply_length INT" ["0"] ["0..65535"]
        "Fewest bytes of an accepted reply; needs require_reply.";
    SUPPORTED (1, 1) "max_reply_length" "max_reply_length INT" ["255 when require_reply has data"] ["0..65535"]
        "Most bytes of an accepted reply; needs require_reply.";
    }
    in BfdCheck {
    SUPPORTED (1, 1) "name" "name BFD_INSTANCE" ["required"] ["once per real server"]
        "BFD session to follow: up while it is up. Until it was up for the first time, or the neighbour had idle_tx times multiplier to answer, the checker stays as it is.";
    SUPPORTED (0, 1) "alpha" "alpha [BOOL]" ["real server setting"] ["on|off|true|false|yes|no"]
        "Down until the session is up for the first time.";
    }
    in FileCheck {
    SUPPORTED (1, 1) "track_file" "track_file NAME" ["required"] ["a track_file block"]
        "track_file to follow. There are no retries, and its first number counts at once.";
    SUPPORTED (1, 2) "weight" "weight INT [reverse|noreverse]" ["weight of the track_file (1)"] ["-2147483647..2147483647"]
        "0: another number than 0 is a failure (reverse: 0 is). Otherwise number times weight (negated by reverse) is added to the weight of the server; -2147483648 or less is a failure.";
    }
    in Ssl {
    NO_PASSWORD (0, MANY) "password" "password STRING" ["none"] [""]
        "Pass phrase offered when the private key is encrypted.";
    SUPPORTED (1, 1) "ca" "ca FILE" ["none"] ["PEM"]
        "Authorities that the certificates of the servers are verified against. keepalived loads it but never verifies.";
    SUPPORTED (0, 1) "verify" "verify [BOOL]" ["on with ca, else off"] ["on|off|true|false|yes|no"]
        "Verifies the certificates of the servers: against ca, or without it against the authorities that Mozilla trusts. keepalived has no such keyword.";
    SUPPORTED (1, 1) "certificate" "certificate FILE" ["none"] ["PEM chain"]
        "Client certificate sent if the real server asks for one.";
    SUPPORTED (1, 1) "key" "key FILE" ["none"] ["PEM, not encrypted"]
        "Private key of that certificate.";
    }
}
