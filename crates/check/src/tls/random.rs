//! Random bytes for handshakes. The TLS library asks for a few at a time, several times per handshake, and each
//! time would be a system call: so some are fetched at once, and wiped as they are given out.

use std::sync::{Mutex, PoisonError};

use rustls::crypto::{GetRandomFailed, SecureRandom, ring};

/// Bytes fetched at a time; the kernel gives so many without being interrupted.
const STOCK: usize = 256;

/// Gives out what it fetched.
#[derive(Debug)]
pub(super) struct Stocked(Mutex<Stock>);

#[derive(Clone, Copy)]
struct Stock {
    bytes: [u8; STOCK],
    given: usize,
}

impl std::fmt::Debug for Stock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stock(********)")
    }
}

/// The one of this process.
pub(super) static STOCKED: Stocked = Stocked(Mutex::new(Stock {
    bytes: [0; STOCK],
    given: STOCK,
}));

impl SecureRandom for Stocked {
    fn fill(&self, wanted: &mut [u8]) -> Result<(), GetRandomFailed> {
        let source = ring::default_provider().secure_random;
        if wanted.len() > STOCK {
            return source.fill(wanted);
        }
        let mut stock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if STOCK.saturating_sub(stock.given) < wanted.len() {
            source.fill(&mut stock.bytes)?;
            stock.given = 0;
        }
        let from = stock.given;
        let to = from.saturating_add(wanted.len());
        let given = stock.bytes.get_mut(from..to).ok_or(GetRandomFailed)?;
        wanted.copy_from_slice(given);
        given.fill(0);
        stock.given = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_bytes_are_given_twice_and_given_ones_are_wiped() {
        let stocked = Stocked(Mutex::new(Stock {
            bytes: [0; STOCK],
            given: STOCK,
        }));
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            let mut bytes = [0; 32];
            stocked.fill(&mut bytes).unwrap();
            assert!(seen.insert(bytes));
            let stock = *stocked.0.lock().unwrap();
            assert!(stock.bytes.iter().take(stock.given).all(|byte| *byte == 0));
        }
        let mut many = [0; 2 * STOCK];
        stocked.fill(&mut many).unwrap();
        assert!(many.iter().any(|byte| *byte != 0));
    }
}
