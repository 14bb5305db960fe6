//! Private keys: what is read survives being written, and no refusal repeats what stands in a key.

use modularbase_format::PrivateKey;

use crate::{FILE, refused};

/// Reads any bytes as the text of a key's file.
pub fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match PrivateKey::from_pem(text, FILE) {
        Ok(key) => {
            let pem = key.to_pem();
            let again = PrivateKey::from_pem(&pem, FILE).expect("what was written");
            assert_eq!(again.publisher(), key.publisher());
            assert_eq!(*again.to_pem(), *pem);
            let shown = format!("{key:?}");
            assert_eq!(shown, format!("PrivateKey({})", key.publisher()));
        }
        Err(error) => {
            refused(&error);
            // A block of another name has that name in its message, whatever it may be.
            if text.starts_with("-----BEGIN PRIVATE KEY-----\n") {
                let said = error.to_string();
                let digit = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
                let secret = |line: &&str| line.len() > 40 && line.chars().all(digit);
                let mut lines = text.lines().filter(secret);
                assert!(!lines.any(|line| said.contains(line)), "{said}");
            }
        }
    }
}

/// A key as OpenSSL writes it.
pub const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGOczSvFugKv95aiPF8AH3fPu73yYDISaVwcIx6kS1PR
-----END PRIVATE KEY-----
";

/// A key, one with a public half, one among other text, one of another algorithm, an encrypted one.
pub fn seeds() -> Vec<Vec<u8>> {
    const WITH_PUBLIC_HALF: &str = "-----BEGIN PRIVATE KEY-----
MFECAQEwBQYDK2VwBCIEIGOczSvFugKv95aiPF8AH3fPu73yYDISaVwcIx6kS1PR
gSEAfiAES6Hb+puDWdOxxcGJfSe2rJMEp/gSaxeLZ11euII=
-----END PRIVATE KEY-----
";
    const X25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIGgZGXI2pEiSvbI7lY0JII+gUKGrRIR2lGI3+zXnXoVK
-----END PRIVATE KEY-----
";
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjm/l6SRGv56AICCAAw
-----END ENCRYPTED PRIVATE KEY-----
";
    let among = format!("Bag Attributes\n{ENCRYPTED}{KEY}ED25519 Private-Key:\n");
    [
        KEY,
        WITH_PUBLIC_HALF,
        X25519,
        ENCRYPTED,
        &among,
        &KEY.replace('\n', "\r\n"),
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
