//! Descriptors: how one document refers to another, or to a blob of any kind.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::json::Value;
use super::{OciError, Other, put_annotations, read_annotations};
use crate::Digest;

/// What a blob is, how long it is, and its digest, by which it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: BlobDigest,
    /// Its length in bytes.
    pub size: u64,
    /// What is said about it here.
    pub annotations: BTreeMap<String, String>,
    /// What else stands here.
    pub other: Other,
}

impl Descriptor {
    pub(super) fn read(value: &Value<'_>) -> Result<Self, OciError> {
        let mut object = value.object()?;
        Ok(Self {
            media_type: object.need("mediaType")?.string()?,
            digest: object.need("digest")?.parsed(
                "`sha256:` and 64 lower-case hex digits, or another algorithm's digest",
                BlobDigest::read,
            )?,
            size: object.need("size")?.number()?,
            annotations: read_annotations(&mut object)?,
            other: object.other(),
        })
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mediaType", &self.media_type)?;
        map.serialize_entry("digest", &self.digest.to_string())?;
        map.serialize_entry("size", &self.size)?;
        put_annotations(&mut map, &self.annotations)?;
        self.other.put(&mut map)?;
        map.end()
    }
}

/// The digest of a blob: SHA-256 in all that ModularBase writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobDigest {
    /// A SHA-256.
    Sha256(Digest),
    /// Another algorithm's, as `algorithm:encoded`; carried, never a file name of ours.
    Other(Box<str>),
}

impl BlobDigest {
    /// The SHA-256, if it is one.
    pub const fn sha256(&self) -> Option<Digest> {
        match self {
            Self::Sha256(digest) => Some(*digest),
            Self::Other(_) => None,
        }
    }

    /// Reads a digest of any algorithm; nothing, where the text is not of its form.
    pub fn read(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix("sha256:") {
            return hex.parse().ok().map(Self::Sha256);
        }
        let (algorithm, encoded) = text.split_once(':')?;
        let part = |part: &str| {
            let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
            !part.is_empty() && part.bytes().all(plain)
        };
        let digit = |c: u8| c.is_ascii_alphanumeric() || b"=_-".contains(&c);
        let sound = algorithm.split(['+', '.', '_', '-']).all(part)
            && !encoded.is_empty()
            && encoded.bytes().all(digit);
        sound.then(|| Self::Other(text.into()))
    }
}

impl From<Digest> for BlobDigest {
    fn from(digest: Digest) -> Self {
        Self::Sha256(digest)
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "sha256:{digest}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_a_form_by_its_algorithm() {
        let hex = Digest::of(b"").to_string();
        let read = BlobDigest::read(&format!("sha256:{hex}")).unwrap();
        assert_eq!(read.sha256(), Some(Digest::of(b"")));
        assert_eq!(read.to_string(), format!("sha256:{hex}"));
        let other = BlobDigest::read("sha512:AbC_-=9").unwrap();
        assert_eq!(other.sha256(), None);
        assert_eq!(other.to_string(), "sha512:AbC_-=9");
        assert!(BlobDigest::read("multihash+base58:Qm1").is_some());
        for wrong in [
            "".to_string(),
            hex.clone(),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{hex}0"),
            "sha256:../../etc/passwd".to_string(),
            "sha512:../x".to_string(),
            "sha512:".to_string(),
            ":ab".to_string(),
            "SHA512:ab".to_string(),
            "a++b:ab".to_string(),
        ] {
            assert_eq!(BlobDigest::read(&wrong), None, "{wrong}");
        }
    }
}
