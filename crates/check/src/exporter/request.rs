//! The request of a client: as little of HTTP/1.1 as monitoring needs.

use httparse::{EMPTY_HEADER, Error, Status};

/// Longest request line with its header fields, in bytes.
pub const MAX_REQUEST: usize = 8 * 1024;

/// Most header fields.
const MAX_FIELDS: usize = 64;

/// What the client has said so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not all of its request.
    Part,
    /// All of it.
    Request {
        /// What is asked for.
        target: Target,
        /// `HEAD`: only the header of the answer is wanted.
        head: bool,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// `/metrics`.
    Metrics(Format),
    /// `/status`.
    Status,
    /// `/healthz`.
    Health,
    /// Nothing that there is.
    Refused(Refusal),
}

/// Which of the two text formats of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Prometheus,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    NoSuchPage,
    Method,
    TooLong,
}

impl Target {
    /// Status line and header fields of the answer.
    pub(super) fn header(self) -> String {
        let (status, kind) = match self {
            Self::Metrics(Format::OpenMetrics) => (
                "200 OK",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            Self::Metrics(Format::Prometheus) => {
                ("200 OK", "text/plain; version=0.0.4; charset=utf-8")
            }
            Self::Status => ("200 OK", "application/json"),
            Self::Health => ("200 OK", "text/plain; charset=utf-8"),
            Self::Refused(refusal) => (refusal.status(), "text/plain; charset=utf-8"),
        };
        let allow = match self {
            Self::Refused(Refusal::Method) => "Allow: GET, HEAD\r\n",
            Self::Metrics(_) | Self::Status | Self::Health | Self::Refused(_) => "",
        };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
    }

    /// The body, when it is not one of the pages.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Metrics(_) | Self::Status => "",
            Self::Health => "ok\n",
            Self::Refused(Refusal::Malformed) => "This is not an HTTP request.\n",
            Self::Refused(Refusal::NoSuchPage) => "There are /metrics, /status and /healthz.\n",
            Self::Refused(Refusal::Method) => "Only GET and HEAD are answered.\n",
            Self::Refused(Refusal::TooLong) => "The request is too long.\n",
        }
    }
}

impl Refusal {
    const fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::NoSuchPage => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
        }
    }
}

/// Reads a request. `cut`: more came than is kept.
pub(super) fn parse(bytes: &[u8], cut: bool) -> Heard {
    let refused = |refusal| Heard::Request {
        target: Target::Refused(refusal),
        head: false,
    };
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if cut || bytes.len() >= MAX_REQUEST => {
            return refused(Refusal::TooLong);
        }
        Ok(Status::Partial) => return Heard::Part,
        Err(Error::TooManyHeaders) => return refused(Refusal::TooLong),
        Err(_) => return refused(Refusal::Malformed),
    }
    let head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        Some(_) | None => return refused(Refusal::Method),
    };
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let target = match path {
        "/metrics" => Target::Metrics(format(request.headers)),
        "/status" => Target::Status,
        "/healthz" => Target::Health,
        _ => Target::Refused(Refusal::NoSuchPage),
    };
    Heard::Request { target, head }
}

/// OpenMetrics for those who name it.
fn format(fields: &[httparse::Header<'_>]) -> Format {
    let named = fields.iter().any(|field| {
        field.name.eq_ignore_ascii_case("accept")
            && String::from_utf8_lossy(field.value).contains("application/openmetrics-text")
    });
    if named {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(request: &str) -> (Target, bool) {
        match parse(request.as_bytes(), false) {
            Heard::Request { target, head } => (target, head),
            Heard::Part => panic!("incomplete: {request}"),
        }
    }

    #[test]
    fn requests_name_a_page() {
        for (request, expected) in [
            ("GET /healthz HTTP/1.1\r\n\r\n", Target::Health),
            (
                "GET /status?a=b HTTP/1.0\r\nHost: x\r\n\r\n",
                Target::Status,
            ),
            (
                "GET /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n",
                Target::Metrics(Format::Prometheus),
            ),
            (
                "GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text;version=1.0.0;q=0.5,*/*\r\n\r\n",
                Target::Metrics(Format::OpenMetrics),
            ),
            (
                "GET / HTTP/1.1\r\n\r\n",
                Target::Refused(Refusal::NoSuchPage),
            ),
            (
                "POST /status HTTP/1.1\r\n\r\n",
                Target::Refused(Refusal::Method),
            ),
            ("\0\0\r\n\r\n", Target::Refused(Refusal::Malformed)),
        ] {
            assert_eq!(target(request), (expected, false), "{request:?}");
        }
        assert_eq!(
            target("HEAD /status HTTP/1.1\r\n\r\n"),
            (Target::Status, true)
        );
    }

    #[test]
    fn a_request_is_waited_for_until_it_is_too_long() {
        assert_eq!(parse(b"GET /metr", false), Heard::Part);
        let mut long = b"GET /metrics HTTP/1.1\r\nX: ".to_vec();
        long.resize(MAX_REQUEST - 1, b'a');
        assert_eq!(parse(&long, false), Heard::Part);
        let too_long = Heard::Request {
            target: Target::Refused(Refusal::TooLong),
            head: false,
        };
        assert_eq!(parse(&long, true), too_long);
        let fields = "A: b\r\n".repeat(MAX_FIELDS + 1);
        let many = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(parse(many.as_bytes(), false), too_long);
    }
}
