//! The root block `SSL`, and the global part of the checker process with mail.

use std::path::Path;

use kr_model::check::{CheckerGlobal, ClientIdentity, MailSettings};

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, fatal};
use super::global::Globals;
use super::walk::{Context, Seen};

const SSL: Context = Context {
    name: "SSL",
    blocks: &[Block::Ssl],
    also: &[],
    repeatable: &[],
};

/// Longest `certificate` and `key`: both travel in one message of 64 KiB together with the mail settings.
const MAX_FILE: usize = 15 * 1024;

/// Longest `ca`, which travels in pieces: many times what a distribution trusts.
const MAX_BUNDLE: usize = 4 << 20;

/// Contents of the files that `SSL` names.
#[derive(Default)]
pub(super) struct TlsFiles {
    authorities: Option<Vec<u8>>,
    certificates: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    verify: Option<bool>,
}

impl Build<'_> {
    pub(super) fn tls_files(&mut self, files: &mut TlsFiles, statement: &Statement) {
        let Some(block) = &statement.block else {
            return;
        };
        let mut seen = Seen::default();
        *files = TlsFiles::default();
        for line in &block.statements {
            let Some(keyword) = self.accept(&SSL, &mut seen, line) else {
                continue;
            };
            let (slot, most) = match keyword.name {
                "ca" => (&mut files.authorities, MAX_BUNDLE),
                "certificate" => (&mut files.certificates, MAX_FILE),
                "key" => (&mut files.key, MAX_FILE),
                "verify" => {
                    files.verify = self.switch(line);
                    continue;
                }
                _ => {
                    self.unbuilt(keyword, line);
                    continue;
                }
            };
            let word = line.arguments.first();
            *slot = word.and_then(|word| self.file(word, most));
            let encrypted = slot.as_ref().filter(|text| is_encrypted(text)).and(word);
            if let Some(word) = encrypted.filter(|_| keyword.name == "key") {
                self.report(
                    fatal(word.span, format!("the key in `{}` is encrypted", word.text)).help(
                        "write it out with `openssl pkey -in KEY -out PLAIN` into a file that only root can read, and name that",
                    ),
                );
            }
        }
        if files.certificates.is_some() != files.key.is_some() {
            self.report(
                error(
                    statement.keyword.span,
                    "a client certificate and its key belong together",
                )
                .help("give both `certificate` and `key`, or neither"),
            );
        }
    }

    /// The text of a file of at most `most` bytes.
    fn file(&mut self, word: &Word, most: usize) -> Option<Vec<u8>> {
        match self.host.read(Path::new(&word.text)) {
            Ok(text) if text.len() <= most => Some(text.into_bytes()),
            Ok(_) => {
                self.report(
                    fatal(
                        word.span,
                        format!("`{}` is longer than {most} bytes", word.text),
                    )
                    .help("name a file with only the certificates that are needed"),
                );
                None
            }
            Err(why) => {
                // Going on without it would check less than was asked for.
                self.report(
                    fatal(word.span, format!("`{}` cannot be read", word.text))
                        .label(why.to_string()),
                );
                None
            }
        }
    }

    /// The global settings of the checker process.
    pub(super) fn checker_global(&mut self, globals: &Globals) -> CheckerGlobal {
        let host = self.host.host_name();
        let mail = globals
            .mail_server
            .as_ref()
            .filter(|_| !globals.mail_to.is_empty());
        let identity = globals
            .tls
            .certificates
            .as_ref()
            .zip(globals.tls.key.as_ref());
        CheckerGlobal {
            mail: mail.map(|(server, port)| MailSettings {
                server: server.clone(),
                port: *port,
                helo: globals.mail_helo.clone().unwrap_or_else(|| host.clone()),
                from: globals
                    .mail_from
                    .clone()
                    .unwrap_or_else(|| format!("root@{host}")),
                to: globals.mail_to.clone(),
                timeout: globals
                    .mail_timeout
                    .unwrap_or(std::time::Duration::from_secs(30)),
            }),
            trusted_authorities: globals
                .tls
                .authorities
                .clone()
                .filter(|_| globals.tls.verify != Some(false)),
            verify: globals.tls.verify == Some(true),
            share: globals.share_checks,
            metrics_listen: globals.metrics_listen,
            client_identity: identity.map(|(certificates, key)| ClientIdentity {
                certificates: certificates.clone(),
                key: key.clone(),
            }),
        }
    }
}

/// A PEM text with an encrypted key, in the form of PKCS #8 or in the older one of RFC 1421.
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}
