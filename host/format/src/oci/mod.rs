//! The documents of an OCI image layout: what the store keeps its packs by, and what `skopeo` and
//! other tools read and write beside it.
//!
//! ```text
//! oci-layout              {"imageLayoutVersion":"1.0.0"}                  [`LAYOUT`]
//! index.json              which images there are                          [`Index`]
//! blobs/sha256/<hex>      an image: its config and its layers             [`Image`]
//! blobs/sha256/<hex>      configs and layers; for a pack, the pack file
//! ```
//!
//! Owns these three kinds of JSON and nothing on disk. What stays true of a document that was read:
//! no key stood twice, every digest is of its form, so that a SHA-256 can become a file name, and a
//! key that this version does not know, at any place, is carried through as the text that it was.

mod descriptor;
mod error;
mod image;
mod index;
mod json;

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde_json::value::RawValue;

pub use descriptor::{BlobDigest, Descriptor};
pub use error::OciError;
pub use image::Image;
pub use index::Index;
use json::Object;

/// The content of `oci-layout`.
pub const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The most bytes of an `oci-layout` that are read.
pub const LAYOUT_LIMIT: usize = 64 << 10;

/// The media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The media type of an image's manifest.
pub const IMAGE_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Refuses an `oci-layout` of another version than [`LAYOUT`]; `file` stands in messages.
///
/// # Errors
///
/// When the document is too long, no JSON, or names another version, or none.
pub fn check_layout(bytes: &[u8], file: &str) -> Result<(), OciError> {
    let mut layout = Object::document(bytes, file, LAYOUT_LIMIT)?;
    let version = layout.need("imageLayoutVersion")?;
    version.parsed("`1.0.0`", |text| (text == "1.0.0").then_some(()))
}

/// Keys that this version does not know, and what stands under them, word for word.
#[derive(Debug, Clone, Default)]
pub struct Other(BTreeMap<String, Box<RawValue>>);

impl Other {
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, raw)| (key.as_str(), raw.get()))
    }

    fn put<S: SerializeMap>(&self, map: &mut S) -> Result<(), S::Error> {
        self.0
            .iter()
            .try_for_each(|(key, value)| map.serialize_entry(key, value))
    }
}

impl PartialEq for Other {
    fn eq(&self, other: &Self) -> bool {
        self.texts().eq(other.texts())
    }
}

impl Eq for Other {}

/// Reads what every document begins with: the version of its schema, and its own media type, which
/// older tools leave out.
fn read_head(object: &mut Object<'_>, media_type: &str) -> Result<(), OciError> {
    let version = object.need("schemaVersion")?;
    let found = version.number()?;
    if found != 2 {
        return Err(version.bad(format!("{found}"), "2"));
    }
    match object.take("mediaType") {
        Some(value) => {
            let expected = format!("`{media_type}`");
            value.parsed(&expected, |text| (text == media_type).then_some(()))
        }
        None => Ok(()),
    }
}

fn put_head<S: SerializeMap>(map: &mut S, media_type: &str) -> Result<(), S::Error> {
    map.serialize_entry("schemaVersion", &2)?;
    map.serialize_entry("mediaType", media_type)
}

/// Reads an object's annotations; none is the same as an empty object.
fn read_annotations(object: &mut Object<'_>) -> Result<BTreeMap<String, String>, OciError> {
    match object.take("annotations") {
        Some(value) => value.strings(),
        None => Ok(BTreeMap::new()),
    }
}

fn put_annotations<S: SerializeMap>(
    map: &mut S,
    annotations: &BTreeMap<String, String>,
) -> Result<(), S::Error> {
    if annotations.is_empty() {
        return Ok(());
    }
    map.serialize_entry("annotations", annotations)
}
