//! `auth_hmac` of an instance: keys, their files, and what is accepted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kr_model::signing::{ActiveKey, AntiReplay, Signing, SigningKey, SigningMode};
use kr_model::units::AdvertInterval;

use crate::registry::Block;
use crate::source::Span;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, fatal, warning};
use super::walk::{Context, Seen};

const AUTH_HMAC: Context = Context {
    name: "auth_hmac",
    blocks: &[Block::AuthHmac],
    also: &[],
    repeatable: &["key"],
};

/// Bounds of `time_window` in seconds; the lower one is that of the default.
const SHORTEST_DEFAULT: u64 = 5;
const LONGEST_WINDOW: u64 = 300;

/// The values of all `auth_hmac` blocks of an instance.
pub(super) struct SigningDraft {
    pub(super) at: Span,
    keys: BTreeMap<u8, SigningKey>,
    active: Option<(u8, Span)>,
    window: Option<Duration>,
    replay: Replay,
    mode: Mode,
}

#[derive(Default, Clone, Copy)]
enum Replay {
    #[default]
    Time,
    Monotonic,
}

#[derive(Default, Clone, Copy)]
enum Mode {
    #[default]
    Enforce,
    Permissive,
    ReceiveOnly,
}

impl SigningDraft {
    /// Strict mode: no advert without a signature. True when something else was asked for.
    pub(super) fn enforce(&mut self) -> bool {
        !matches!(
            std::mem::replace(&mut self.mode, Mode::Enforce),
            Mode::Enforce
        )
    }
}

impl Build<'_> {
    /// Reads a block; a second one of the same instance adds to the first.
    pub(super) fn signing(&mut self, draft: &mut Option<SigningDraft>, statement: &Statement) {
        let mut seen = Seen::default();
        let draft = draft.get_or_insert_with(|| SigningDraft {
            at: statement.keyword.span,
            keys: BTreeMap::new(),
            active: None,
            window: None,
            replay: Replay::default(),
            mode: Mode::default(),
        });
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&AUTH_HMAC, &mut seen, line) else {
                continue;
            };
            let Some(word) = line.arguments.first() else {
                continue;
            };
            match keyword.name {
                "key" => self.signing_key(draft, line),
                "active_key" => {
                    let id = self.key_id(word);
                    draft.active = id.map(|id| (id, word.span)).or(draft.active);
                }
                "time_window" => {
                    let seconds = self.number(line, 1, LONGEST_WINDOW);
                    draft.window = seconds.map(Duration::from_secs).or(draft.window);
                }
                "anti_replay" => match word.text.as_str() {
                    "time" => draft.replay = Replay::Time,
                    "monotonic" => draft.replay = Replay::Monotonic,
                    _ => self.expected(word, "expected `time` or `monotonic`"),
                },
                "mode" => match word.text.as_str() {
                    "enforce" => draft.mode = Mode::Enforce,
                    "permissive" => draft.mode = Mode::Permissive,
                    "receive-only" => draft.mode = Mode::ReceiveOnly,
                    _ => self.expected(word, "expected `enforce`, `permissive` or `receive-only`"),
                },
                _ => self.unbuilt(keyword, line),
            }
        }
    }

    fn expected(&mut self, word: &Word, expected: &str) {
        let text = format!("`{}` is not known here", word.text);
        self.report(error(word.span, text).label(expected));
    }

    fn key_id(&mut self, word: &Word) -> Option<u8> {
        let id = self.number_of(word, 1, 255)?;
        u8::try_from(id).ok()
    }

    fn signing_key(&mut self, draft: &mut SigningDraft, line: &Statement) {
        let [id_word, value] = line.arguments.as_slice() else {
            return;
        };
        let (Some(id), Some(bytes)) = (self.key_id(id_word), self.key_bytes(value)) else {
            return;
        };
        let key =
            match SigningKey::try_from(bytes) {
                Ok(key) => key,
                Err(length) => {
                    self.report(error(value.span, length.to_string()).help(
                        "make one with `openssl rand -hex 32` and write `hex:` in front of it",
                    ));
                    return;
                }
            };
        if draft.keys.contains_key(&id) {
            self.report(
                error(id_word.span, format!("key {id} is given twice"))
                    .help("give each key its own id, the same on all routers of this VRID"),
            );
            return;
        }
        draft.keys.insert(id, key);
    }

    /// The bytes of `hex:DIGITS`, `file:PATH`, `credential:NAME`, or of the word itself.
    fn key_bytes(&mut self, word: &Word) -> Option<Vec<u8>> {
        if let Some(path) = word.text.strip_prefix("file:") {
            return self.key_file(word, PathBuf::from(path));
        }
        if let Some(name) = word.text.strip_prefix("credential:") {
            let Some(directory) = self.host.environment("CREDENTIALS_DIRECTORY") else {
                self.report(
                    fatal(
                        word.span,
                        "there are no credentials: $CREDENTIALS_DIRECTORY is not set",
                    )
                    .help(
                        "start the daemon with `LoadCredential=` in its unit, or use `file:PATH`",
                    ),
                );
                return None;
            };
            return self.key_file(word, PathBuf::from(directory).join(name));
        }
        self.decoded(word, word.text.as_bytes())
    }

    fn key_file(&mut self, word: &Word, path: PathBuf) -> Option<Vec<u8>> {
        match self.host.read_secret(&path) {
            Ok(secret) => {
                if !secret.private {
                    self.report(
                        warning(word.span, format!("others can read `{}`", path.display()))
                            .help(format!("chmod 600 {}", path.display())),
                    );
                }
                let bytes = secret.bytes.strip_suffix(b"\n").unwrap_or(&secret.bytes);
                self.decoded(word, bytes)
            }
            Err(why) => {
                self.report(
                    fatal(word.span, format!("`{}` cannot be read", path.display()))
                        .label(why.to_string()),
                );
                None
            }
        }
    }

    fn decoded(&mut self, word: &Word, bytes: &[u8]) -> Option<Vec<u8>> {
        let Some(digits) = bytes.strip_prefix(b"hex:") else {
            return Some(bytes.to_vec());
        };
        let decoded = from_hex(digits);
        if decoded.is_none() {
            self.report(
                error(word.span, "this key is not hexadecimal")
                    .label("expected an even number of digits 0-9, a-f behind `hex:`"),
            );
        }
        decoded
    }

    /// The whole of `auth_hmac`. What cannot work is refused: adverts without a signature would be less than was
    /// asked for.
    pub(super) fn finish_signing(
        &mut self,
        draft: &SigningDraft,
        interval: AdvertInterval,
    ) -> Option<Signing> {
        if draft.keys.is_empty() {
            self.report(fatal(draft.at, "auth_hmac has no key").label("expected `key ID VALUE`"));
            return None;
        }
        let active = match draft.mode {
            Mode::ReceiveOnly => None,
            Mode::Enforce | Mode::Permissive => Some(self.active_key(draft)?),
        };
        let mode = match (draft.mode, active) {
            (Mode::Enforce, Some(key)) => SigningMode::Enforce(key),
            (Mode::Permissive, Some(key)) => SigningMode::Permissive(key),
            (Mode::ReceiveOnly, _) | (_, None) => SigningMode::ReceiveOnly,
        };
        let replay = match draft.replay {
            Replay::Monotonic => AntiReplay::Monotonic,
            Replay::Time => AntiReplay::Time(draft.window.unwrap_or_else(|| {
                let seconds = interval.as_duration().as_secs().saturating_mul(3);
                Duration::from_secs(seconds.clamp(SHORTEST_DEFAULT, LONGEST_WINDOW))
            })),
        };
        Some(Signing {
            keys: draft.keys.clone(),
            mode,
            replay,
        })
    }

    fn active_key(&mut self, draft: &SigningDraft) -> Option<ActiveKey> {
        let Some((id, at)) = draft.active else {
            self.report(
                fatal(draft.at, "auth_hmac has no active key").label("expected `active_key ID`"),
            );
            return None;
        };
        let Some(key) = draft.keys.get(&id) else {
            self.report(
                fatal(at, format!("there is no key {id}"))
                    .help("name one of the ids that `key` lines give"),
            );
            return None;
        };
        Some(ActiveKey {
            id,
            key: key.clone(),
        })
    }
}

/// Bytes of an even number of hexadecimal digits.
fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty()
        .then(|| pairs.iter().map(pair).collect())
        .flatten()
}
