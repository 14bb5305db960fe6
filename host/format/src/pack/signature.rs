//! The signature at the end of a pack. Owns what is signed and how the section is laid out.
//!
//! ```text
//! data of `modularbase:signature`:  01 | Ed25519 signature, 64 bytes
//! signed message:                   "modularbase pack v1" | SHA-256 of all before the section
//! ```
//!
//! The first byte is the layout's version. The key is not here: it stands in the manifest, which
//! is signed with the rest, so nobody can swap it without breaking the signature.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::manifest::Publisher;
use crate::{Digest, PrivateKey};

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"modularbase pack v1";

/// The bytes that a publisher signs, given the digest of all before the signature section.
fn message(before: &Digest) -> Vec<u8> {
    [CONTEXT, before.as_bytes()].concat()
}

/// The signature inside the section's data; otherwise what is wrong with it.
pub(super) fn read(data: &[u8]) -> Result<[u8; 64], String> {
    match data.split_first() {
        Some((&VERSION, signature)) => signature
            .try_into()
            .map_err(|_| format!("{} bytes long", signature.len())),
        Some((version, _)) => Err(format!("of version {version}")),
        None => Err("empty".to_string()),
    }
}

/// The section's data: `key` signs everything before it.
pub(super) fn write(key: &PrivateKey, before: &Digest) -> Vec<u8> {
    let signature = key.sign(&message(before));
    [&[VERSION], &signature[..]].concat()
}

/// Whether `publisher` signed everything before the signature section.
pub(super) fn is_valid(publisher: &Publisher, signature: &[u8; 64], before: &Digest) -> bool {
    VerifyingKey::from_bytes(publisher.as_bytes()).is_ok_and(|key| {
        key.verify_strict(&message(before), &Signature::from_bytes(signature))
            .is_ok()
    })
}
