use super::*;
use crate::outcome::Hex;

fn fetch(parts: &[&[u8]], keep: Keep) -> Result<Answer, Failure> {
    let mut fetch = Fetch::new("GET / HTTP/1.0\r\n\r\n", keep);
    assert!(fetch.opened().is_continue());
    for part in parts {
        if let ControlFlow::Break(end) = fetch.received(part) {
            return end;
        }
    }
    fetch.ended()
}

fn hex(answer: &Answer) -> String {
    Hex(&answer.digest.unwrap()).to_string()
}

#[test]
fn the_request_is_keepaliveds() {
    assert_eq!(
        request("/a?b", "10.0.0.2:80", HttpVersion::V1_0),
        "GET /a?b HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.0.2:80\r\n\r\n"
    );
    assert_eq!(
        request("/", "www", HttpVersion::V1_1),
        "GET / HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www\r\n\r\n"
    );
    assert!(
        request("/", "www", HttpVersion::V1_0Close)
            .contains("HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n")
    );
}

#[test]
fn the_digest_covers_the_body_up_to_content_length() {
    // md5sum of "hello\n"
    let hello = "b1946ac92492d2347c6235b4d2611184";
    let whole: &[u8] = b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello\n";
    assert_eq!(hex(&fetch(&[whole], Keep::Digest).unwrap()), hello);
    let with_length: &[u8] = b"HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nhello\nrest";
    let answer = fetch(&[with_length], Keep::Body).unwrap();
    assert_eq!(hex(&answer), hello);
    assert_eq!(answer.body, b"hello\n");
    // A byte at a time is the same.
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(hex(&fetch(&bytes, Keep::Digest).unwrap()), hello);
}

#[test]
fn an_answer_with_a_length_is_over_without_the_end_of_the_connection() {
    let mut fetch = Fetch::new("", Keep::Digest);
    assert!(
        fetch
            .received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            .is_continue()
    );
    assert!(fetch.received(b"b").is_break());
    let mut fetch = Fetch::new("", Keep::Digest);
    assert!(
        fetch
            .received(b"HTTP/1.1 204 No Content\r\n\r\n")
            .is_break()
    );
}

#[test]
fn chunked_framing_is_part_of_the_body_and_its_length_unknown() {
    let answer = fetch(
        &[b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"],
        Keep::Body,
    )
    .unwrap();
    assert_eq!(answer.body, b"2\r\nab\r\n0\r\n\r\n");
}

#[test]
fn status_lines_are_read_leniently() {
    let cases: [(&[u8], Option<u16>); 9] = [
        (b"HTTP/1.0 200 OK\r\n", Some(200)),
        (b"HTTP/1.0 200\r\n", Some(200)),
        (b"HTTP/1.0 200\n", Some(200)),
        (b"ICY 404 nope\r\n", Some(404)),
        (b"HTTP/1.0 2000 OK\r\n", None),
        (b"HTTP/1.0 20 OK\r\n", None),
        (b"HTTP/1.0  200 OK\r\n", None),
        (b"nonsense\r\n", None),
        (b"", None),
    ];
    for (line, code) in cases {
        assert_eq!(
            status_code(line),
            code,
            "{:?}",
            String::from_utf8_lossy(line)
        );
    }
}

#[test]
fn a_header_beyond_the_bound_fails_and_one_within_it_passes() {
    let mut long = b"HTTP/1.0 200 OK\r\nX: ".to_vec();
    long.resize(MAX_HEADER - 4, b'x');
    long.extend_from_slice(b"\r\n\r\n");
    assert_eq!(fetch(&[&long, b"body"], Keep::Body).unwrap().body, b"body");
    long.insert(30, b'x');
    assert!(matches!(
        fetch(&[&long], Keep::Body),
        Err(Failure::TooLong {
            what: "response header",
            ..
        })
    ));
}

#[test]
fn an_endless_body_is_cut_off() {
    let mut fetch = Fetch::new("", Keep::Nothing);
    assert!(fetch.received(b"HTTP/1.0 200 OK\r\n\r\n").is_continue());
    let block = vec![0; 1 << 20];
    let blocks = (0..100).take_while(|_| fetch.received(&block).is_continue());
    assert_eq!(blocks.count(), 64);
}

#[test]
fn a_connection_that_closes_early_or_talks_nonsense_fails() {
    assert_eq!(
        fetch(&[b"HTTP/1.0 200 OK\r\n"], Keep::Nothing).unwrap_err(),
        Failure::ClosedBefore("end of the response header")
    );
    assert_eq!(
        fetch(&[b"SSH-2.0-OpenSSH\r\n\r\n"], Keep::Nothing).unwrap_err(),
        Failure::NotHttp
    );
}

#[test]
fn status_is_judged_before_the_digest() {
    let answer = Answer {
        status: 503,
        header: Vec::new(),
        digest: Some([1; 16]),
        body: Vec::new(),
        missing: 0,
        matches: None,
    };
    let judge = |status: &[StatusRange], digest| {
        let expect = Expectation {
            status: status.to_vec(),
            digest,
            matches: false,
        };
        judge(&answer, &expect)
    };
    let ranges = [
        StatusRange {
            first: 200,
            last: 200,
        },
        StatusRange {
            first: 301,
            last: 302,
        },
    ];
    assert_eq!(
        judge(&[], Some([2; 16])).unwrap_err().to_string(),
        "status 503, expected 200-299"
    );
    assert_eq!(
        judge(&ranges, None).unwrap_err().to_string(),
        "status 503, expected 200 301-302"
    );
    let unavailable = [StatusRange {
        first: 503,
        last: 503,
    }];
    assert!(matches!(
        judge(&unavailable, Some([2; 16])),
        Err(Failure::Digest { .. })
    ));
    assert_eq!(judge(&unavailable, Some([1; 16])), Ok(()));
}

fn url(pattern: Option<BodyPattern>) -> Url {
    Url {
        path: "/".to_owned(),
        host: "h".to_owned(),
        server_name: None,
        digest: None,
        status: Vec::new(),
        close_notify: false,
        pattern,
    }
}

fn pattern(text: &str, wanted: bool) -> BodyPattern {
    BodyPattern {
        text: text.to_owned(),
        options: PatternOptions::empty(),
        wanted,
        min_offset: 0,
        max_offset: None,
    }
}

/// What a check with this pattern says of an answer that comes in two parts.
fn searched(wanted: BodyPattern, first: &[u8], second: &[u8]) -> Result<(), Failure> {
    let mut patterns = Patterns::default();
    patterns.add(&wanted);
    let mut check = HttpCheck::new(&url(Some(wanted)), HttpVersion::V1_0, &patterns)?;
    for part in [first, second] {
        if let ControlFlow::Break(end) = check.received(part) {
            return end;
        }
    }
    check.ended()
}

#[test]
fn a_pattern_is_searched_in_the_body_only() {
    let answer: (&[u8], &[u8]) = (b"HTTP/1.0 200 up\r\nX: up\r\n\r\nit is o", b"k\n");
    for (text, wanted, expected) in [
        ("is ok$", true, Ok(())),
        ("is ok$", false, Err(Failure::Match)),
        ("up", true, Err(Failure::NoMatch)),
        ("up", false, Ok(())),
        ("^it", true, Ok(())),
    ] {
        assert_eq!(
            searched(pattern(text, wanted), answer.0, answer.1),
            expected,
            "{text}"
        );
    }
    assert_eq!(
        searched(pattern("x", true), b"HTTP/1.0 500 x\r\n\r\nx", b"")
            .unwrap_err()
            .to_string(),
        "status 500, expected 200-299",
        "the status comes first"
    );
    let cut = searched(
        pattern("ab", true),
        b"HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\nab",
        b"",
    );
    assert_eq!(
        cut,
        Err(Failure::NoMatch),
        "what follows Content-Length is no body"
    );
}

#[test]
fn a_body_in_chunks_ends_with_the_last_and_its_content_is_searched() {
    let head = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = b"5\r\nis up\r\n4\r\n now\r\n0\r\n\r\n";
    for (text, expected) in [("^is up now$", Ok(())), ("^5", Err(Failure::NoMatch))] {
        // The connection stays open: `ended` is not what ends it.
        let mut patterns = Patterns::default();
        let wanted = pattern(text, true);
        patterns.add(&wanted);
        let mut check = HttpCheck::new(&url(Some(wanted)), HttpVersion::V1_1, &patterns).unwrap();
        assert!(check.received(head).is_continue());
        assert_eq!(check.received(body), ControlFlow::Break(expected), "{text}");
    }
    // The digest is that of the bytes as they came.
    let answer = fetch(&[head, body, b"of another answer"], Keep::Digest).unwrap();
    assert_eq!(answer.digest, Some(Md5::digest(body).into()));
}

#[test]
fn a_page_whose_pattern_is_not_compiled_fails() {
    let page = url(Some(pattern("x", true)));
    let check = HttpCheck::new(&page, HttpVersion::V1_0, &Patterns::default());
    assert_eq!(check.unwrap_err(), Failure::NoPattern);
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_the_same_result(
        bytes in proptest::collection::vec(proptest::sample::select(b"HTP/1. 20\r\n:ctl-x".to_vec()), 0..200),
        cut in 0_usize..200,
    ) {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        proptest::prop_assert_eq!(fetch(&[a, b], Keep::Body), fetch(&[&bytes], Keep::Body));
    }
}
