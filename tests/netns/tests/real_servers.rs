//! Every checker against the servers that it is there for: nginx, stunnel, postfix and unbound as the
//! distribution has them, each started by its test in a namespace, with a directory of its own.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use kr_testkit::binaries;
use kr_testkit::netns::run;
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;

use crate::stage::{SOON, Stage, service};

const NGINX: &str = "
daemon off;
user root;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error;
worker_processes 1;
events { worker_connections 64; }
http {
    access_log {dir}/nginx.access;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    root {dir}/www;
    ssl_certificate {dir}/site.pem;
    ssl_certificate_key {dir}/site.key;
    server { listen 127.0.0.1:8080; server_name _; location = /chunked { ssi on; ssi_types *; alias {dir}/www/index.html; } }
    server { listen 127.0.0.1:8080; server_name b.test; return 203 'this is b\\n'; }
    server { listen 127.0.0.1:8442 ssl; ssl_protocols TLSv1.2; }
    server { listen 127.0.0.1:8443 ssl; ssl_protocols TLSv1.3; }
    server { listen 127.0.0.1:8443 ssl; server_name b.test; return 200 'this is secret b\\n'; }
    server { listen 127.0.0.1:8444 ssl; ssl_client_certificate {dir}/client.pem; ssl_verify_client on; }
    server { listen 127.0.0.1:8445 ssl; ssl_certificate {dir}/other.pem; ssl_certificate_key {dir}/other.key; }
}
";

const PAGE: &str = "<html>state: UP</html>\n";

fn nginx(stage: &Stage) -> Process {
    stage.write("www/index.html", PAGE);
    stage.certificate("site", "IP:127.0.0.1,DNS:b.test");
    stage.certificate("other", "DNS:other.test");
    stage.certificate("client", "DNS:client.test");
    let file = stage.write("nginx.conf", NGINX);
    let directory = stage.directory.path().to_str().unwrap();
    let error_log = stage.path("nginx.error");
    stage.serve(
        "nginx",
        &[
            "-p",
            directory,
            "-e",
            error_log.to_str().unwrap(),
            "-c",
            file.to_str().unwrap(),
        ],
    )
}

#[test]
fn http_get_and_ssl_get_judge_nginx() {
    let mut stage = Stage::new();
    let server = nginx(&stage);
    let genhash = binaries::path("genhash").unwrap();
    let arguments = ["-s", "127.0.0.1", "-p", "8080", "-u", "/"];
    eventually(SOON, "nginx", || {
        stage.genhash(&genhash, &arguments).status.success()
    })
    .unwrap();
    let digest = hex_of(&stage.genhash(&genhash, &arguments));
    let ssl = "SSL {
        ca {dir}/authorities.pem
        certificate {dir}/client.pem
        key {dir}/client.key
    }\n";
    let authorities = fs::read_to_string(stage.path("site.pem")).unwrap();
    stage.write("authorities.pem", &authorities);
    for name in ["authorities.pem", "client.pem", "client.key"] {
        fs::set_permissions(stage.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let page = |lines: &str| format!("url {{\n path /\n {lines}\n }}\n");
    let http = |more: &str, lines: &str| format!("HTTP_GET {{\n{more}\n{}}}", page(lines));
    let https = |more: &str, lines: &str| format!("SSL_GET {{\n{more}\n{}}}", page(lines));
    let wrong = "00000000000000000000000000000001";
    let text = ssl.to_owned()
        + &service(1, 8080, &http("", &format!("digest {digest}")))
        + &service(2, 8080, &http("http_protocol 1.0C", "status_code 200"))
        + &service(
            3,
            8080,
            &http(
                "http_protocol 1.1",
                "regex \"state: (up|ok)<\"\n regex_options caseless",
            ),
        )
        + &service(
            4,
            8080,
            &http(
                "virtualhost b.test",
                "status_code 203\n regex \"^this is b$\"",
            ),
        )
        + &service(5, 8080, &http("", &format!("digest {wrong}")))
        + &service(6, 8080, "HTTP_GET {\n url {\n path /missing\n }\n}")
        + &service(
            7,
            8080,
            "HTTP_GET {\n url {\n path /missing\n status_code 404\n }\n}",
        )
        + &service(8, 8442, &https("", &format!("digest {digest}")))
        + &service(9, 8443, &https("", "regex state"))
        + &service(
            10,
            8443,
            &https("enable_sni\n virtualhost b.test", "regex \"secret b\""),
        )
        + &service(11, 8444, &https("", "status_code 200"))
        + &service(12, 8445, &https("", ""))
        + &service(13, 8080, &https("", ""))
        + &service(14, 8080, "TCP_CHECK {\n}")
        + &service(15, 8080, "PING_CHECK {\n}")
        + &service(
            16,
            8080,
            &http("", "regex DOWN\n regex_no_match\n regex_max_offset 100"),
        )
        + &service(17, 8442, &https("tls_compliant", ""))
        + &service(
            19,
            8080,
            "HTTP_GET {\n http_protocol 1.1K\n url {\n path /chunked\n regex \"^<html>.*</html>$\"\n }\n}",
        )
        + &service(
            18,
            8080,
            "MISC_CHECK {\n misc_path \"/usr/bin/curl -sf http://127.0.0.1:8080/\"\n misc_timeout 3\n}",
        );
    stage.check(&text);
    for passes in [1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18] {
        stage.until(passes, "succeeded");
    }
    stage.until(5, &format!("failed: digest {digest}, expected {wrong}"));
    stage.until(6, "failed: status 404, expected 200-299");
    stage.until(12, "failed: certificate refused");
    stage.until(13, "failed: the server does not speak TLS on this port");
    drop(server);
    for gone in [1, 4, 8, 11, 14] {
        stage.until(gone, "failed: connection refused; now down");
    }
    stage.until(18, "failed: exit code 7; now down");
    let _server = nginx_again(&stage);
    for back in [1, 4, 14, 18] {
        stage.until(back, "succeeded");
    }
}

/// The same files once more: the certificates are those that are trusted.
fn nginx_again(stage: &Stage) -> Process {
    let file = stage.path("nginx.conf");
    let directory = stage.directory.path().to_str().unwrap();
    let error_log = stage.path("nginx.error");
    stage.serve(
        "nginx",
        &[
            "-p",
            directory,
            "-e",
            error_log.to_str().unwrap(),
            "-c",
            file.to_str().unwrap(),
        ],
    )
}

/// The digest in what a `genhash` printed: the bare one of newer versions, or that of `MD5SUM = `.
fn hex_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim()
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn genhash_agrees_with_the_distributions() {
    let stage = Stage::new();
    let _server = nginx(&stage);
    let ours = binaries::path("genhash").unwrap();
    let theirs = Path::new("/usr/bin/genhash");
    let plain = ["-s", "127.0.0.1", "-p", "8080", "-u", "/"];
    eventually(SOON, "nginx", || {
        stage.genhash(&ours, &plain).status.success()
    })
    .unwrap();
    let mut digests = Vec::new();
    for more in [
        &["-p", "8080", "-u", "/"][..],
        &["-p", "8080", "-u", "/missing"],
        &["-p", "8080", "-u", "/", "-V", "b.test"],
        &["-p", "8080", "-u", "/", "-P", "1.0c"],
        &["-p", "8080", "-u", "/", "-P", "1.1"],
        // In chunks, which are hashed as they come.
        &["-p", "8080", "-u", "/chunked", "-P", "1.1"],
        &["-S", "-p", "8442", "-u", "/"],
        &[
            "--use-ssl",
            "--use-sni",
            "--use-virtualhost",
            "b.test",
            "--port",
            "8443",
            "--url",
            "/",
        ],
        &["-m", "7", "-t", "5", "-p", "8080", "-u", "/"],
    ] {
        let arguments = [&["-s", "127.0.0.1"], more].concat();
        let (our, their) = (
            stage.genhash(&ours, &arguments),
            stage.genhash(theirs, &arguments),
        );
        let digest = hex_of(&our);
        assert_eq!(digest.len(), 32, "{arguments:?}: {our:?}");
        assert_eq!(digest, hex_of(&their), "{arguments:?}: {their:?}");
        digests.push(digest);
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 5, "pages that differ");
}

#[test]
fn ssl_get_passes_stunnel_with_both_versions_and_says_that_an_old_one_is_old() {
    let mut stage = Stage::new();
    let _web = nginx(&stage);
    let section = |name: &str, port: u16, version: &str| {
        format!(
            "[{name}]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:8080\ncert = {{dir}}/site.pem\n\
             key = {{dir}}/site.key\nsslVersion = {version}\nciphers = ALL:@SECLEVEL=0\n"
        )
    };
    let text = "foreground = yes\npid =\nsyslog = no\ndebug = err\n".to_owned()
        + &section("two", 9442, "TLSv1.2")
        + &section("three", 9443, "TLSv1.3")
        + &section("old", 9441, "TLSv1.1");
    let file = stage.write("stunnel.conf", &text);
    let _server = stage.serve("stunnel4", &[file.to_str().unwrap()]);
    let get = "SSL_GET {\n url {\n path /\n regex \"state: UP\"\n }\n}";
    let text = service(1, 9442, get) + &service(2, 9443, get) + &service(3, 9441, get);
    stage.check(&text);
    stage.until(1, "succeeded");
    stage.until(2, "succeeded");
    stage.until(3, "failed: the server speaks only TLS older than 1.2");
}

const POSTFIX_MAIN: &str = "
compatibility_level = 3.6
config_directory = {dir}/postfix
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/maillog
maillog_file_prefixes = /
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_helo_restrictions = reject_invalid_helo_hostname
smtpd_delay_reject = no
smtpd_helo_required = yes
";

const POSTFIX_MASTER: &str = "
127.0.0.1:2525 inet n - n - - smtpd
127.0.0.1:2526 inet n - n - - smtpd -o smtpd_client_restrictions=reject
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
";

#[test]
fn smtp_check_judges_postfix() {
    let mut stage = Stage::new();
    stage.write("postfix/main.cf", POSTFIX_MAIN);
    stage.write("postfix/master.cf", POSTFIX_MASTER);
    for name in ["queue", "data"] {
        fs::create_dir(stage.path(name)).unwrap();
    }
    run(Command::new("chown").arg("postfix").arg(stage.path("data"))).unwrap();
    let settings = stage.path("postfix");
    let arguments = ["-c", settings.to_str().unwrap(), "start-fg"];
    let server = stage.serve("postfix", &arguments);
    let listens = || {
        stage
            .host
            .enter(|| TcpStream::connect("127.0.0.1:2526").is_ok())
            .unwrap()
    };
    eventually(SOON, "postfix", listens).unwrap();
    let host = "SMTP_CHECK {\n host {\n connect_port 2525\n }\n host {\n connect_ip 127.0.0.1\n connect_port 2525\n }\n}";
    let text = service(1, 2525, "SMTP_CHECK {\n helo_name director.test\n}")
        + &service(2, 2525, "SMTP_CHECK {\n helo_name \"-not a name-\"\n}")
        + &service(3, 2526, "SMTP_CHECK {\n}")
        + &service(4, 25, host);
    stage.check(&text);
    stage.until(1, "succeeded");
    stage.until(2, "failed: answer to HELO: 501 5.5.2");
    stage.until(3, "failed: answer to the connection: 554 5.7.1");
    stage.until(4, "succeeded");
    drop(server);
    stage.until(1, "failed: connection refused; now down");
    let _server = stage.serve("postfix", &arguments);
    stage.until(1, "succeeded");
}

const UNBOUND: &str = "
server:
    directory: {dir}
    username: \"\"
    chroot: \"\"
    pidfile: \"\"
    use-syslog: no
    do-daemonize: no
    interface: 127.0.0.1@5353
    access-control: 127.0.0.0/8 allow
    access-control: 127.0.0.3/32 refuse
    module-config: iterator
    local-zone: test. static
    local-data: \"test. SOA ns.test. root.test. 1 2 3 4 5\"
    local-data: \"www.test. A 192.0.2.1\"
    local-data: \"www.test. AAAA 2001:db8::1\"
    local-data: \"www.test. TXT x\"
remote-control:
    control-enable: no
";

#[test]
fn dns_check_judges_unbound_for_every_record_type() {
    let mut stage = Stage::new();
    let file = stage.write("unbound.conf", UNBOUND);
    let server = stage.serve("unbound", &["-d", "-c", file.to_str().unwrap()]);
    let ask = |lines: &str| format!("DNS_CHECK {{\n {lines}\n}}");
    let types = [
        "A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY",
    ];
    let mut text = String::new();
    for (number, name) in (1..).zip(types) {
        text += &service(number, 5353, &ask(&format!("type {name}\n name www.test")));
    }
    text += &service(20, 5353, &ask("type a\n name absent.test."));
    text += &service(21, 5353, &ask("bindto 127.0.0.3\n name www.test"));
    // A question for www.test, and the beginning of its answer: the same id, an answer, one of each.
    let question = "payload \"1234 0100 0001 0000 0000 0000 03 777777 04 74657374 00 0001 0001\"";
    let reply = |answers: &str| format!("require_reply \"1234 8XXX 0001 {answers} XXXX\"");
    let udp = |answers: &str| format!("UDP_CHECK {{\n {question}\n {}\n}}", reply(answers));
    text += &service(22, 5353, &udp("0001"));
    text += &service(23, 5353, &udp("0002"));
    stage.check(&text);
    stage.until(22, "succeeded");
    stage.until(23, "failed: reply differs from require_reply at byte 7");
    for number in 1..=9 {
        stage.until(number, "succeeded");
    }
    stage.until(20, "failed: the name server answers NXDOMAIN");
    stage.until(21, "failed: the name server answers REFUSED");
    drop(server);
    stage.until(1, "failed: connection refused; now down");
}
