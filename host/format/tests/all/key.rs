use modularbase_format::{KeyError, PrivateKey};
use proptest::prelude::*;

use crate::allocations::largest;

/// By `openssl genpkey -algorithm ed25519`.
pub const OPENSSL: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGOczSvFugKv95aiPF8AH3fPu73yYDISaVwcIx6kS1PR
-----END PRIVATE KEY-----
";

/// What `openssl pkey -text` says of it.
const PUBLIC: &str = "ed25519:7e20044ba1dbfa9b8359d3b1c5c1897d27b6ac9304a7f8126b178b675d5eb882";

/// What `openssl pkey -text` writes after the key.
const TEXT: &str = "\
ED25519 Private-Key:
priv:
    63:9c:cd:2b:c5:ba:02:af:f7:96:a2:3c:5f:00:1f:
    77:cf:bb:bd:f2:60:32:12:69:5c:1c:23:1e:a4:4b:
    53:d1
";

/// The same key's public half.
const PUBLIC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAfiAES6Hb+puDWdOxxcGJfSe2rJMEp/gSaxeLZ11euII=
-----END PUBLIC KEY-----
";

/// The same key under a passphrase.
const ENCRYPTED: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjm/l6SRGv56AICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKOiiPu67U4ngKa8Sr++r7MEQInp
zMmPcpx59qpzh/f05ApM/fdFgHZkIKgEIjVDzS6gU6wet4WdPfsRU5eWDT9r8TNF
LS3XIYwvuptB07MtQFQ=
-----END ENCRYPTED PRIVATE KEY-----
";

const RSA: &str = "\
-----BEGIN PRIVATE KEY-----
MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAuzuCyHg7K22WpvXd
nAY+o+K01CPYrjI9jltgCh/jErymede3ulasrK3znX/R3I9S9xcoyVE8WLLQoH6n
KD5m+wIDAQABAkEAjdYcUh96u4BuYxbYhazZYS+JyzdIm1Xl+eTQ0Xqse3DwYVuL
605Vz4QbKw7R6wB4m9Ir5S4abt64WH6R/ikDqQIhAOBwCdefAziG001pxcPJKCFg
r5mjhXHt6aZ7Shpf/N2vAiEA1ZANMyVvtyFdATeG8I5pirg4qxVOTnJulLojXHKP
ynUCIB3NAqGMzaKt1FTNHKNYjGmSKv7dhZSRIJsod7h00mClAiEAp2GIxu5veaOf
hkWj8ERd+gha+dPwFNHhU5X0AxATHMUCIQCWVBeXPsuzmTvhghMMaEfJDrhR9jnv
ZUujdo+xsf4VrA==
-----END PRIVATE KEY-----
";

const EC: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrgvSX3Mnto2MlEiC
C6MtlStcSlDf120GFxnCgCYPbZKhRANCAASTA55xY0Y5o8P2wKpfNuO+U4EzgrRU
YKn35/zr/8paaoSz7yZs1o5xEgQFgPmDV+feMKvavOQ90HnBSuxyZqg0
-----END PRIVATE KEY-----
";

const X25519: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIGgZGXI2pEiSvbI7lY0JII+gUKGrRIR2lGI3+zXnXoVK
-----END PRIVATE KEY-----
";

const ED448: &str = "\
-----BEGIN PRIVATE KEY-----
MEcCAQAwBQYDK2VxBDsEOTY+4oVknlcl+NRfyyyVsbx9XMC44K8hlnZBWqWvkmwY
porYig/JEUYiNc9eXhBM6zXIOdzWBtC40w==
-----END PRIVATE KEY-----
";

fn read(text: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(text, "k.pem")
}

/// A version 2 document: the key above with some public half beside it.
fn with_public_half(publisher: &str) -> String {
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<_> = text.chars().filter(char::is_ascii_hexdigit).collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    };
    let secret = hex(TEXT.split("priv:").nth(1).unwrap());
    let public = hex(publisher.split(':').nth(1).unwrap());
    let head = b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let der = [head, &*secret, b"\x81\x21\0", &public].concat();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        base64(&der)
    )
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut lines = String::new();
    for (index, group) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 16 == 0 {
            lines.push('\n');
        }
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - group.len()));
        for at in 0..4 {
            lines.push(match at <= group.len() {
                true => DIGITS[bits >> (18 - 6 * at) & 63] as char,
                false => '=',
            });
        }
    }
    lines
}

#[test]
fn a_key_of_openssl_is_read_and_written_alike() {
    let key = read(OPENSSL).unwrap();
    assert_eq!(key.publisher().to_string(), PUBLIC);
    assert_eq!(&**key.to_pem(), OPENSSL);
}

#[test]
fn what_stands_around_the_key_is_passed_over() {
    for text in [
        OPENSSL.replace('\n', "\r\n"),
        format!("{OPENSSL}{TEXT}"),
        format!("Bag Attributes\n    friendlyName: me\n{OPENSSL}\n\n"),
        format!("{PUBLIC_PEM}{OPENSSL}"),
        OPENSSL.trim_end().to_string(),
    ] {
        let key = read(&text).unwrap();
        assert_eq!(key.publisher().to_string(), PUBLIC, "{text}");
    }
}

#[test]
fn a_public_half_beside_the_secret_is_held_against_it() {
    let key = read(&with_public_half(PUBLIC)).unwrap();
    assert_eq!(&**key.to_pem(), OPENSSL);
    let other = PrivateKey::generate().unwrap().publisher().to_string();
    let refused = read(&with_public_half(&other)).unwrap_err().to_string();
    assert_eq!(
        refused,
        "k.pem: private key is damaged: public half is not the secret's"
    );
}

#[test]
fn a_new_key_reads_back_and_is_nobody_elses() {
    let [one, two] = [(); 2].map(|()| PrivateKey::generate().unwrap());
    assert_ne!(one.publisher(), two.publisher());
    let again = read(&one.to_pem()).unwrap();
    assert_eq!(again.publisher(), one.publisher());
    assert_eq!(again.to_pem().lines().count(), 3);
}

#[test]
fn what_is_no_such_key_is_refused_by_name() {
    let cut = OPENSSL.split("-----END").next().unwrap();
    for (text, words, hint) in [
        (
            "",
            "k.pem: line `-----BEGIN PRIVATE KEY-----` is missing",
            "keygen",
        ),
        (
            PUBLIC_PEM,
            "k.pem: PEM block is `PUBLIC KEY`, expected `PRIVATE KEY`",
            "cannot sign",
        ),
        (
            ENCRYPTED,
            "is `ENCRYPTED PRIVATE KEY`, expected",
            "openssl pkey -in KEY",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n",
            "is `RSA PRIVATE KEY`, expected",
            "genpkey",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "is `OPENSSH PRIVATE KEY`, expected",
            "ssh-keygen",
        ),
        (
            "-----BEGIN \u{1b}[2J-----\n",
            "is `\\u{1b}[2J`, expected",
            "keygen",
        ),
        (
            RSA,
            "k.pem: key is an RSA key, expected an Ed25519 key",
            "keygen",
        ),
        (EC, "key is an elliptic-curve key (ECDSA), exp", "keygen"),
        (X25519, "key is an X25519 key, expected", "keygen"),
        (ED448, "key is an Ed448 key, expected", "keygen"),
        (
            cut,
            "damaged: line `-----END PRIVATE KEY-----` is missing",
            "keygen",
        ),
        (
            &OPENSSL.replace("MC4C", "MC5C"),
            "k.pem: private key is damaged: ",
            "keygen",
        ),
        (
            &OPENSSL.replace("MC4C", "M!4C"),
            "k.pem: private key is damaged: ",
            "keygen",
        ),
    ] {
        let refused = read(text).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
        let hints = refused.hint().unwrap().to_string();
        assert!(hints.contains(hint), "{hints}");
    }
}

#[test]
fn no_message_shows_the_secret() {
    let key = read(OPENSSL).unwrap();
    assert_eq!(format!("{key:?}"), format!("PrivateKey({PUBLIC})"));
    let secret = OPENSSL.lines().nth(1).unwrap();
    for at in 0..OPENSSL.len() {
        for new in ["", "\n", "!", "A", "=", "-"] {
            let damaged = [&OPENSSL[..at], new, &OPENSSL[at + 1..]].concat();
            if let Err(refused) = read(&damaged) {
                let said = format!("{refused:?} {refused} {:?}", refused.hint());
                let shown = (0..secret.len() - 8).any(|at| said.contains(&secret[at..at + 8]));
                assert!(!shown, "{said}");
            }
        }
    }
}

/// Reads what may be a key: it is refused in words, or a key that survives being written.
fn read_safely(text: &str) {
    let (key, largest) = largest(|| read(text));
    assert!(
        largest <= 1024 + 2 * text.len(),
        "asked for {largest} bytes"
    );
    match key {
        Ok(key) => {
            let again = read(&key.to_pem()).unwrap();
            assert_eq!(again.publisher(), key.publisher());
        }
        Err(refused) => {
            let said = refused.to_string();
            assert!(said.starts_with("k.pem: "), "{said}");
            assert!(!said.contains(char::is_control), "{said:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_key_or_refused(text in ".{0,200}", label in "[A-Z -]{0,20}", at in any::<prop::sample::Index>()) {
        read_safely(&text);
        read_safely(&format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"));
        read_safely(&format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"));
        let at = at.index(OPENSSL.len());
        read_safely(&[&OPENSSL[..at], &text, &OPENSSL[at..]].concat());
    }
}
