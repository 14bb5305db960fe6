//! A publisher's private key: what signs packs. Owns how it stands in a file.
//!
//! `pack keygen` makes one, `pack build --sign` reads it, and [`PackWriter::sign`] signs with it.
//! The file is PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it and `openssl pkey`
//! reads it:
//!
//! ```text
//! -----BEGIN PRIVATE KEY-----
//! 48 bytes in base64: version 0, the algorithm Ed25519, 32 secret bytes
//! -----END PRIVATE KEY-----
//! ```
//!
//! What stays true: the secret is wiped from memory when the key is dropped, and no message and no
//! `Debug` shows any of it.
//!
//! [`PackWriter::sign`]: crate::PackWriter::sign

use std::fmt;
use std::ops::Deref;

use ed25519::pkcs8::{
    ALGORITHM_OID, EncodePrivateKey, KeypairBytes, PrivateKeyInfo, SecretDocument,
};
use ed25519_dalek::{Signer, SigningKey};

use crate::Hint;
use crate::manifest::Publisher;
use crate::quote::quote;

/// An Ed25519 private key.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    ///
    /// When the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut pair = KeypairBytes {
            secret_key: [0; 32],
            public_key: None,
        };
        getrandom::fill(&mut pair.secret_key).map_err(|error| KeyError::Randomness {
            detail: error.to_string().into(),
        })?;
        Ok(Self(SigningKey::from_bytes(&pair.secret_key)))
    }

    /// Reads a key from the text of a PEM file; `file` stands in messages. What stands around the
    /// key in the file, such as what `openssl pkey -text` adds, is passed over.
    ///
    /// # Errors
    ///
    /// When the text holds no private key, one under a passphrase or of another algorithm, or one
    /// that cannot be read.
    pub fn from_pem(text: &str, file: &str) -> Result<Self, KeyError> {
        let block = Block::find(text).ok_or_else(|| KeyError::NotPem { file: file.into() })?;
        if block.label != "PRIVATE KEY" {
            return Err(KeyError::OtherPem {
                file: file.into(),
                found: quote(block.label),
            });
        }
        let broken = |detail: String| KeyError::Broken {
            file: file.into(),
            detail: detail.into(),
        };
        let whole = block.text.ok_or_else(|| {
            let detail = "line `-----END PRIVATE KEY-----` is missing";
            broken(detail.to_string())
        })?;
        let (_, document) =
            SecretDocument::from_pem(whole).map_err(|error| broken(error.to_string()))?;
        let info = PrivateKeyInfo::try_from(document.as_bytes())
            .map_err(|error| broken(error.to_string()))?;
        if info.algorithm.oid != ALGORITHM_OID {
            return Err(KeyError::OtherAlgorithm {
                file: file.into(),
                found: algorithm(&info.algorithm.oid.to_string()).into(),
            });
        }
        let pair = KeypairBytes::try_from(info).map_err(|error| broken(error.to_string()))?;
        SigningKey::try_from(&pair)
            .map(Self)
            .map_err(|_| broken("public half is not the secret's".to_string()))
    }

    /// The key as the text of a PEM file; wiped when dropped.
    pub fn to_pem(&self) -> impl Deref<Target = String> + use<> {
        // Without the public half: with it this is PKCS#8 version 2, which OpenSSL 3 cannot read.
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        pair.to_pkcs8_pem(Default::default())
            .expect("32 bytes fit into every document")
    }

    /// The public half: who signs with this key.
    pub fn publisher(&self) -> Publisher {
        Publisher::from_bytes(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.publisher())
    }
}

/// The first thing in a PEM file that can be meant.
struct Block<'t> {
    label: &'t str,
    /// From its first dash to its last, if it ends.
    text: Option<&'t str>,
}

impl<'t> Block<'t> {
    /// The private key, where there is one; the first block of any kind otherwise.
    fn find(text: &'t str) -> Option<Self> {
        const BEGIN: &str = "-----BEGIN ";
        let mut first = None;
        let mut rest = text;
        while let Some(start) = rest.find(BEGIN) {
            let block = rest.get(start..)?;
            rest = block.get(BEGIN.len()..)?;
            let Some((label, _)) = rest.split_once("-----") else {
                break;
            };
            // Ends are looked for twice at most, or many beginnings would cost their square.
            let meant = label == "PRIVATE KEY";
            if label.contains('\n') || (first.is_some() && !meant) {
                continue;
            }
            let end = format!("-----END {label}-----");
            let end = block.find(&end).map(|at| at + end.len());
            let found = Self {
                label,
                text: end.and_then(|end| block.get(..end)),
            };
            if meant {
                return Some(found);
            }
            first.get_or_insert(found);
        }
        first
    }
}

/// What people call the algorithm of a number.
fn algorithm(oid: &str) -> String {
    match oid {
        "1.2.840.113549.1.1.1" => "an RSA key".to_string(),
        "1.2.840.10045.2.1" => "an elliptic-curve key (ECDSA)".to_string(),
        "1.2.840.10040.4.1" => "a DSA key".to_string(),
        "1.3.101.110" => "an X25519 key".to_string(),
        "1.3.101.111" => "an X448 key".to_string(),
        "1.3.101.113" => "an Ed448 key".to_string(),
        other => format!("a key of algorithm {other}"),
    }
}

/// Why there is no private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The system gives no randomness to make a key of.
    #[error("random numbers for a key: {detail}")]
    Randomness {
        /// What the system said.
        detail: Box<str>,
    },

    /// No PEM at all.
    #[error("{file}: line `-----BEGIN PRIVATE KEY-----` is missing")]
    NotPem {
        /// The file, as the caller named it.
        file: Box<str>,
    },

    /// PEM of something else.
    #[error("{file}: PEM block is {found}, expected `PRIVATE KEY`")]
    OtherPem {
        /// The file, as the caller named it.
        file: Box<str>,
        /// What the block calls itself, quoted.
        found: Box<str>,
    },

    /// A private key that signs in another way.
    #[error("{file}: key is {found}, expected an Ed25519 key")]
    OtherAlgorithm {
        /// The file, as the caller named it.
        file: Box<str>,
        /// What kind of key it is.
        found: Box<str>,
    },

    /// A private key that cannot be read.
    #[error("{file}: private key is damaged: {detail}")]
    Broken {
        /// The file, as the caller named it.
        file: Box<str>,
        /// What is wrong; nothing of the key.
        detail: Box<str>,
    },
}

impl KeyError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Randomness { .. } => return None,
            Self::OtherPem { found, .. } => match &**found {
                "`ENCRYPTED PRIVATE KEY`" => {
                    "keys under a passphrase are not read; `openssl pkey -in KEY` takes it off"
                }
                "`PUBLIC KEY`" => "the public half cannot sign; the private one is another file",
                "`OPENSSH PRIVATE KEY`" => {
                    "keys of `ssh-keygen` are not read; `mbhost pack keygen --out KEY` makes one"
                }
                _ => MAKE_ONE,
            },
            Self::NotPem { .. } | Self::OtherAlgorithm { .. } | Self::Broken { .. } => MAKE_ONE,
        };
        Some(Hint::new(text))
    }
}

const MAKE_ONE: &str =
    "`mbhost pack keygen --out KEY` makes a key, and so does `openssl genpkey -algorithm ed25519`";
