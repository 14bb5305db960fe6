//! `index.json`: which images there are.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::descriptor::Descriptor;
use super::json::Object;
use super::{INDEX_TYPE, OciError, Other};
use super::{put_annotations, put_head, read_annotations, read_head};

/// An image index; the empty one is its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Where the manifest of each image is.
    pub manifests: Vec<Descriptor>,
    /// What is said about the whole.
    pub annotations: BTreeMap<String, String>,
    /// What else stands there.
    pub other: Other,
}

impl Index {
    /// The most bytes of an index that are read.
    pub const LIMIT: usize = 16 << 20;

    /// Reads and checks an index; `file` stands in messages.
    ///
    /// # Errors
    ///
    /// When the document is too long or no JSON, is no index of schema 2, has a key twice or one
    /// missing, or a value is not what its key takes.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, OciError> {
        let mut object = Object::document(bytes, file, Self::LIMIT)?;
        read_head(&mut object, INDEX_TYPE)?;
        let manifests = object.need("manifests")?;
        Ok(Self {
            manifests: manifests.list(|value| Descriptor::read(&value))?,
            annotations: read_annotations(&mut object)?,
            other: object.other(),
        })
    }

    /// The document: the same bytes for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are always JSON")
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_head(&mut map, INDEX_TYPE)?;
        map.serialize_entry("manifests", &self.manifests)?;
        put_annotations(&mut map, &self.annotations)?;
        self.other.put(&mut map)?;
        map.end()
    }
}
