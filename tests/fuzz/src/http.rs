//! The answer of a web server, after a byte that says in which pieces it comes and what is kept of it.

use kr_check::http::{Answer, Expectation, Fetch, Keep, MAX_HEADER, judge};
use md5::{Digest as _, Md5};

use crate::pieces::choice_and_size;
use crate::talk::{Course, lead};

/// The result does not depend on the pieces; header and body are those received; the digest is that of the
/// body; only 200 to 299 pass.
pub fn http_response(data: &[u8]) {
    let Some((choice, size, bytes)) = choice_and_size(data) else {
        return;
    };
    let keep = match choice {
        0 => Keep::Nothing,
        1 => Keep::Digest,
        _ => Keep::Body,
    };
    let fetch = || Fetch::new("GET / HTTP/1.0\r\n\r\n", keep);
    let whole = lead(fetch(), [bytes]);
    let Course { result, said } = lead(fetch(), bytes.chunks(size));
    assert_eq!(result, whole.result);
    assert_eq!(said, b"GET / HTTP/1.0\r\n\r\n");
    if let Ok(answer) = result {
        is_what_came(&answer, bytes, keep);
        let expect = Expectation {
            digest: answer.digest,
            ..Expectation::default()
        };
        let passes = judge(&answer, &expect).is_ok();
        assert_eq!(passes, (200..300).contains(&answer.status));
    }
}

fn is_what_came(answer: &Answer, bytes: &[u8], keep: Keep) {
    assert!(answer.header.len() <= MAX_HEADER);
    let body = bytes
        .strip_prefix(answer.header.as_slice())
        .expect("the header came first");
    match keep {
        Keep::Nothing => assert_eq!((answer.digest, answer.body.len()), (None, 0)),
        Keep::Digest => assert!(answer.digest.is_some() && answer.body.is_empty()),
        Keep::Body => {
            assert!(body.starts_with(&answer.body));
            assert_eq!(answer.digest, Some(Md5::digest(&answer.body).into()));
        }
    }
}
