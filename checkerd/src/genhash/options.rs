//! The command line of `genhash`: short options may be combined (`-Sv`) and hold their value (`-p80`),
//! long ones take it after `=` or as the next word.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kr_model::check::HttpVersion;

/// The help.
pub(super) const USAGE: &str = "\
Usage: genhash -s ADDRESS [-p PORT] [-u PATH] [OPTION]...
Prints the digest of a page for `digest` of HTTP_GET and SSL_GET.

  -s, --server ADDRESS        address of the server (no name)
  -p, --port PORT             its port; 80, or 443 with -S
  -u, --url PATH              path of the page, or http://HOST/PATH of which PATH is used; /
  -S, --use-ssl               use TLS; certificates are not verified
  -I, --use-sni               send the name given with -V as TLS server name
  -V, --use-virtualhost NAME  value of the Host header; ADDRESS:PORT
  -P, --protocol VERSION      1.0, 1.0c or 1.1 (with Connection: close), 1.0k or 1.1k (keep-alive); 1.0
  -m, --fwmark MARK           firewall mark of the packets
  -t, --timeout SECONDS       time for the connection and for each answer; 60
  -H, --hash MD5|SHA1         which digest; MD5, the one that HTTP_GET compares
  -b, --bare                  print only the digest, as keepalived 2.2.3 and later do
  -v, --verbose               print header and body too
  -r, --release               print the version
  -h, --help                  print this
";

/// Default of `-t`.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Release,
    Hash(Box<Options>),
}

/// The page to fetch, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    /// The URL whose path is used, when a whole one was given.
    pub(super) cut_from: Option<String>,
    pub(super) host: String,
    pub(super) server_name: Option<String>,
    pub(super) tls: bool,
    pub(super) version: HttpVersion,
    pub(super) mark: u32,
    pub(super) timeout: Duration,
    pub(super) verbose: bool,
    pub(super) hash: Hash,
    pub(super) bare: bool,
}

/// `-H`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hash {
    #[default]
    Md5,
    Sha1,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadOption {
    Unknown(String),
    NoValue(&'static str),
    NeedlessValue(&'static str),
    BadValue {
        option: &'static str,
        value: String,
        expected: &'static str,
    },
    Missing(&'static str),
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => write!(f, "unknown argument `{word}`"),
            Self::NoValue(option) => write!(f, "--{option} needs a value"),
            Self::NeedlessValue(option) => write!(f, "--{option} takes no value"),
            Self::BadValue {
                option,
                value,
                expected,
            } => write!(f, "--{option} takes {expected}, not `{value}`"),
            Self::Missing(option) => write!(f, "--{option} is needed"),
        }
    }
}

/// Short and long name, and whether a value follows.
const OPTIONS: [(char, &str, bool); 14] = [
    ('s', "server", true),
    ('p', "port", true),
    ('u', "url", true),
    ('S', "use-ssl", false),
    ('I', "use-sni", false),
    ('V', "use-virtualhost", true),
    ('P', "protocol", true),
    ('m', "fwmark", true),
    ('t', "timeout", true),
    ('H', "hash", true),
    ('b', "bare", false),
    ('v', "verbose", false),
    ('r', "release", false),
    ('h', "help", false),
];

/// Reads the words after the program's name.
pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, BadOption> {
    let mut words: VecDeque<String> = arguments
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut given = Given::default();
    while let Some(word) = words.pop_front() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let &(short, name, takes_value) = OPTIONS
                .iter()
                .find(|(_, long, _)| *long == name)
                .ok_or_else(|| BadOption::Unknown(word.clone()))?;
            let value = match (takes_value, value) {
                (true, Some(value)) => value,
                (true, None) => words.pop_front().ok_or(BadOption::NoValue(name))?,
                (false, None) => String::new(),
                (false, Some(_)) => return Err(BadOption::NeedlessValue(name)),
            };
            given.set(short, value)?;
            continue;
        }
        let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            return Err(BadOption::Unknown(word));
        };
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let &(short, name, takes_value) = OPTIONS
                .iter()
                .find(|(short, _, _)| *short == letter)
                .ok_or_else(|| BadOption::Unknown(word.clone()))?;
            let mut value = String::new();
            if takes_value {
                value = rest.by_ref().collect();
                if value.is_empty() {
                    value = words.pop_front().ok_or(BadOption::NoValue(name))?;
                }
            }
            given.set(short, value)?;
        }
    }
    given.command()
}

/// The options as they were given.
#[derive(Debug, Default)]
struct Given {
    server: Option<IpAddr>,
    port: Option<u16>,
    url: Option<String>,
    virtual_host: Option<String>,
    version: Option<HttpVersion>,
    mark: u32,
    timeout: Option<Duration>,
    tls: bool,
    sni: bool,
    verbose: bool,
    hash: Hash,
    bare: bool,
    release: bool,
    help: bool,
}

impl Given {
    fn set(&mut self, short: char, value: String) -> Result<(), BadOption> {
        match short {
            's' => {
                let bare = value.trim_start_matches('[').trim_end_matches(']');
                let address = bare.parse();
                self.server = Some(address.map_err(|_| bad("server", &value, "an address"))?);
            }
            'p' => match value.parse() {
                Ok(port @ 1..) => self.port = Some(port),
                Ok(0) | Err(_) => return Err(bad("port", &value, "1 to 65535")),
            },
            'u' => self.url = Some(value),
            'V' => self.virtual_host = Some(value),
            'P' => {
                self.version = Some(match value.as_str() {
                    "1.0" => HttpVersion::V1_0,
                    "1.0c" | "1.0C" => HttpVersion::V1_0Close,
                    "1.1" => HttpVersion::V1_1,
                    "1.0k" | "1.0K" => HttpVersion::V1_0KeepAlive,
                    "1.1k" | "1.1K" => HttpVersion::V1_1KeepAlive,
                    _ => return Err(bad("protocol", &value, "1.0, 1.0c, 1.0k, 1.1 or 1.1k")),
                });
            }
            'm' => {
                let mark = value.parse();
                self.mark = mark.map_err(|_| bad("fwmark", &value, "0 to 4294967295"))?;
            }
            't' => match value.parse() {
                Ok(seconds @ 1..=4_294) => self.timeout = Some(Duration::from_secs(seconds)),
                Ok(_) | Err(_) => return Err(bad("timeout", &value, "1 to 4294 seconds")),
            },
            'H' if value.eq_ignore_ascii_case("md5") => self.hash = Hash::Md5,
            'H' if value.eq_ignore_ascii_case("sha1") => self.hash = Hash::Sha1,
            'H' => return Err(bad("hash", &value, "MD5 or SHA1")),
            'b' => self.bare = true,
            'S' => self.tls = true,
            'I' => self.sni = true,
            'v' => self.verbose = true,
            'r' => self.release = true,
            'h' => self.help = true,
            other => return Err(BadOption::Unknown(other.to_string())),
        }
        Ok(())
    }

    fn command(self) -> Result<Command, BadOption> {
        if self.help {
            return Ok(Command::Help);
        }
        if self.release {
            return Ok(Command::Release);
        }
        let server = self.server.ok_or(BadOption::Missing("server"))?;
        let port = self.port.unwrap_or(if self.tls { 443 } else { 80 });
        let address = SocketAddr::new(server, port);
        let url = self.url.unwrap_or_else(|| "/".to_owned());
        let path = path_of(&url).to_owned();
        Ok(Command::Hash(Box::new(Options {
            address,
            cut_from: (path != url).then_some(url),
            path,
            // A socket address prints as the checker writes it: brackets around IPv6.
            host: self
                .virtual_host
                .clone()
                .unwrap_or_else(|| address.to_string()),
            server_name: self.virtual_host.filter(|_| self.sni),
            tls: self.tls,
            version: self.version.unwrap_or(HttpVersion::V1_0),
            mark: self.mark,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            verbose: self.verbose,
            hash: self.hash,
            bare: self.bare,
        })))
    }
}

fn bad(option: &'static str, value: &str, expected: &'static str) -> BadOption {
    BadOption::BadValue {
        option,
        value: value.to_owned(),
        expected,
    }
}

/// The path of a whole URL, as tutorials give to `-u`; anything else is the path itself. `HTTP_GET`
/// with that path then sends the very request whose answer is hashed here.
fn path_of(url: &str) -> &str {
    let Some(rest) = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
    else {
        return url;
    };
    rest.find('/')
        .map_or("/", |at| rest.get(at..).unwrap_or("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        match parse(line.split(' ').map(OsString::from)) {
            Ok(Command::Hash(options)) => *options,
            other => panic!("{other:?}"),
        }
    }

    fn error(line: &str) -> String {
        parse(line.split(' ').map(OsString::from))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_tutorials_command_asks_for_the_path_of_its_url() {
        let options = options("-s 10.7.11.12 -p 80 -u http://10.7.11.40/index.html");
        assert_eq!(options.address, "10.7.11.12:80".parse().unwrap());
        assert_eq!(options.path, "/index.html");
        assert_eq!(options.host, "10.7.11.12:80");
        assert!(options.cut_from.is_some());
        assert!(!options.tls);
        assert_eq!(path_of("http://host"), "/");
    }

    #[test]
    fn short_combined_and_long_forms_mean_the_same() {
        let short = options("-SvI -s ::1 -p8443 -Vwww -u/x -P 1.1 -m7 -t 3");
        let long = options(
            "--use-ssl --verbose --use-sni --server=::1 --port 8443 --use-virtualhost=www --url /x \
             --protocol=1.1 --fwmark 7 --timeout=3",
        );
        assert_eq!(short, long);
        assert_eq!(short.server_name.as_deref(), Some("www"));
        assert_eq!(options("-s ::1 -S").host, "[::1]:443");
    }

    #[test]
    fn mistakes_are_told_by_name() {
        for (line, text) in [
            ("-p 80", "--server is needed"),
            (
                "-s www.example.org",
                "--server takes an address, not `www.example.org`",
            ),
            ("-s ::1 -p 0", "--port takes 1 to 65535, not `0`"),
            ("-s ::1 -H SHA2", "--hash takes MD5 or SHA1, not `SHA2`"),
            ("-s ::1 -x", "unknown argument `-x`"),
            ("-s ::1 more", "unknown argument `more`"),
            ("-s", "--server needs a value"),
            ("-s ::1 --verbose=1", "--verbose takes no value"),
        ] {
            assert_eq!(error(line), text);
        }
    }

    #[test]
    fn help_and_release_need_nothing_else() {
        let parse = |word: &str| parse([OsString::from(word)].into_iter());
        assert_eq!(parse("-h"), Ok(Command::Help));
        assert_eq!(parse("--release"), Ok(Command::Release));
    }
}
