//! An image's manifest: its config and its layers. A pack is an image of one layer.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::descriptor::Descriptor;
use super::json::Object;
use super::{IMAGE_TYPE, OciError, Other};
use super::{put_annotations, put_head, read_annotations, read_head};

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where the description of the layers is, for those who run them.
    pub config: Descriptor,
    /// Where the content is.
    pub layers: Vec<Descriptor>,
    /// What is said about the image.
    pub annotations: BTreeMap<String, String>,
    /// What else stands there.
    pub other: Other,
}

impl Image {
    /// The most bytes of a manifest that are read.
    pub const LIMIT: usize = 1 << 20;

    /// Reads and checks an image's manifest; `file` stands in messages.
    ///
    /// # Errors
    ///
    /// When the document is too long or no JSON, is no image manifest of schema 2, has a key twice
    /// or one missing, or a value is not what its key takes.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, OciError> {
        let mut object = Object::document(bytes, file, Self::LIMIT)?;
        read_head(&mut object, IMAGE_TYPE)?;
        let layers = object.need("layers")?;
        Ok(Self {
            config: Descriptor::read(&object.need("config")?)?,
            layers: layers.list(|value| Descriptor::read(&value))?,
            annotations: read_annotations(&mut object)?,
            other: object.other(),
        })
    }

    /// The document: the same bytes for the same image.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are always JSON")
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_head(&mut map, IMAGE_TYPE)?;
        map.serialize_entry("config", &self.config)?;
        map.serialize_entry("layers", &self.layers)?;
        put_annotations(&mut map, &self.annotations)?;
        self.other.put(&mut map)?;
        map.end()
    }
}
