//! Files and datagrams that say where a mail server is: `/etc/resolv.conf`, `/etc/hosts`, DNS answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use kr_check::Rng;
use kr_check::resolve::{Lookup, Search, from_hosts};
use kr_model::Instant;

use crate::pieces::frames;

/// Three servers are asked for the name and four domains, both families.
const MOST_QUESTIONS: usize = 3 * 5 * 2;

/// The first frame is the text of both files, each later one the answer to a question; its lowest bit of the
/// first byte says whether it gets the question's number. The search comes to an end, asks no more than its
/// bound, and finds only what an answer with the right number holds.
pub fn resolver_answer(data: &[u8]) {
    let frames = frames(data);
    let (text, answers) = frames
        .split_first()
        .map_or((&[][..], &[][..]), |(t, a)| (*t, a));
    let text = String::from_utf8_lossy(text);
    if let Some(address) = from_hosts(&text, "mail") {
        assert!(words_are(&text).contains(&address));
    }
    let mut lookup = Lookup::new("mail", &text, Rng::new(1));
    let mut answers = answers.iter();
    let mut now = Instant::from_micros(0);
    let mut given: Vec<Vec<u8>> = Vec::new();
    for _ in 0..=MOST_QUESTIONS {
        match lookup.poll(now) {
            Search::Ask(question) => {
                assert!(question.datagram.len() <= 12 + 255 + 4);
                assert_eq!(lookup.poll(now), Search::Wait);
                if let Some(answer) = answers.next() {
                    let answer = addressed(answer, &question.datagram);
                    lookup.answer(&answer);
                    given.push(answer);
                }
                now = now.saturating_add(Duration::from_secs(2));
            }
            Search::Found(address) => {
                let last = given.last().expect("something was answered");
                assert!(holds(last, address), "{address} is not in {last:?}");
                return;
            }
            Search::NotFound => return,
            Search::Wait => panic!("waits longer than an answer may take"),
        }
    }
    panic!("more than {MOST_QUESTIONS} questions");
}

/// The words of a text that are addresses.
fn words_are(text: &str) -> BTreeSet<IpAddr> {
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// The answer with the number of the question, if its first byte is odd.
fn addressed(answer: &[u8], question: &[u8]) -> Vec<u8> {
    let mut answer = answer.to_vec();
    if let ([high, low, ..], [first, second, ..]) = (answer.as_mut_slice(), question)
        && *high & 1 == 1
    {
        (*high, *low) = (*first, *second);
    }
    answer
}

fn holds(datagram: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => datagram.windows(4).any(|bytes| bytes == address.octets()),
        IpAddr::V6(address) => datagram.windows(16).any(|bytes| bytes == address.octets()),
    }
}
