use std::path::PathBuf;
use std::time::Duration;

use kr_model::signing::{AntiReplay, Signing, SigningMode};
use kr_model::vrrp::Authentication;

use super::*;

const HEX: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn signing(lines: &str) -> Signing {
    let authentication = instance(&instance_with(lines)).authentication;
    let Authentication::Signed(signing) = authentication else {
        panic!("{authentication:?}");
    };
    *signing
}

fn refusal(block: &str) -> Vec<String> {
    messages(&instance_with(block))
}

#[test]
fn two_blocks_are_one_and_the_window_follows_the_interval() {
    let text = "this is a key of thirty-two bytes";
    let signing = signing(&format!(
        "advert_int 4\nauth_hmac {{\n key 1 {HEX}\n active_key 1\n}}\nauth_hmac {{\n key 2 \"{text}\"\n}}"
    ));
    assert_eq!(signing.keys[&1].as_bytes(), (0..32).collect::<Vec<u8>>());
    assert_eq!(signing.keys[&2].as_bytes(), text.as_bytes());
    assert_eq!(signing.replay, AntiReplay::Time(Duration::from_secs(12)));
    assert!(matches!(&signing.mode, SigningMode::Enforce(active) if active.id == 1));
}

#[test]
fn each_word_has_its_meaning() {
    let with = |lines: &str| {
        signing(&format!(
            "auth_hmac {{\n key 1 {HEX}\n active_key 1\n{lines}\n}}"
        ))
    };
    assert_eq!(with("").replay, AntiReplay::Time(Duration::from_secs(5)));
    assert_eq!(
        with("time_window 300").replay,
        AntiReplay::Time(Duration::from_secs(300))
    );
    assert_eq!(with("anti_replay monotonic").replay, AntiReplay::Monotonic);
    assert!(matches!(
        with("mode permissive").mode,
        SigningMode::Permissive(_)
    ));
    assert_eq!(with("mode receive-only").mode, SigningMode::ReceiveOnly);
}

#[test]
fn key_comes_from_a_file_or_a_credential() {
    let block =
        |value: &str| instance_with(&format!("auth_hmac {{\n key 1 {value}\n active_key 1\n}}"));
    let load_with = |value: &str, open: bool| {
        let mut host = MemoryHost::with_file("/k.conf", &block(value))
            .and_file("/etc/hmac", &format!("{HEX}\n"))
            .and_file(
                "/run/credentials/k/hmac",
                "0123456789abcdef0123456789abcdef\n",
            );
        host.environment.insert(
            "CREDENTIALS_DIRECTORY".to_owned(),
            "/run/credentials/k".to_owned(),
        );
        if open {
            host.readable_by_others.push(PathBuf::from("/etc/hmac"));
        }
        load(&host, Path::new("/k.conf"), &ParseOptions::default())
    };
    for (value, first, open) in [
        ("file:/etc/hmac", 0, false),
        ("credential:hmac", b'0', false),
        ("file:/etc/hmac", 0, true),
    ] {
        let loaded = load_with(value, open);
        let said: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| d.message.as_str())
            .collect();
        let expected: &[&str] = if open {
            &["others can read `/etc/hmac`"]
        } else {
            &[]
        };
        assert_eq!(said, expected);
        let config = loaded.config.unwrap();
        let Authentication::Signed(signing) = &config
            .instances
            .values()
            .next()
            .unwrap()
            .instance
            .authentication
        else {
            panic!("not signed");
        };
        assert_eq!(signing.keys[&1].as_bytes().len(), 32);
        assert_eq!(signing.keys[&1].as_bytes()[0], first);
    }
}

#[test]
fn what_would_leave_adverts_unsigned_is_refused() {
    let rows = [
        (
            "auth_hmac {\n active_key 1\n}".to_owned(),
            "auth_hmac has no key",
        ),
        (
            format!("auth_hmac {{\n key 1 {HEX}\n}}"),
            "auth_hmac has no active key",
        ),
        (
            format!("auth_hmac {{\n key 1 {HEX}\n active_key 2\n}}"),
            "there is no key 2",
        ),
        (
            "auth_hmac {\n key 1 file:/none\n active_key 1\n}".to_owned(),
            "`/none` cannot be read",
        ),
        (
            "auth_hmac {\n key 1 credential:none\n active_key 1\n}".to_owned(),
            "there are no credentials: $CREDENTIALS_DIRECTORY is not set",
        ),
    ];
    for (block, message) in rows {
        let loaded = loaded(&instance_with(&block));
        let found: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| (d.class, d.message.as_str()))
            .collect();
        assert!(
            found.contains(&(Class::Fatal, message)),
            "{block}: {found:?}"
        );
        assert!(loaded.config.is_none(), "{block}");
    }
}

#[test]
fn wrong_values_are_named() {
    let with = |line: &str| {
        refusal(&format!(
            "auth_hmac {{\n key 1 {HEX}\n active_key 1\n{line}\n}}"
        ))
    };
    assert_eq!(
        with("key 2 short"),
        ["a key of 5 bytes, where 32 to 64 are needed"]
    );
    assert_eq!(with("key 2 hex:0g"), ["this key is not hexadecimal"]);
    assert_eq!(with(&format!("key 1 {HEX}")), ["key 1 is given twice"]);
    assert_eq!(with("mode always"), ["`always` is not known here"]);
    assert_eq!(with("anti_replay never"), ["`never` is not known here"]);
    assert_eq!(with("time_window 0").len(), 1);
    assert_eq!(
        refusal(&format!(
            "authentication {{\n auth_type PASS\n auth_pass a\n}}\nauth_hmac {{\n key 1 {HEX}\n active_key 1\n}}"
        )),
        ["`authentication` and `auth_hmac` exclude each other; this block is off"]
    );
}
