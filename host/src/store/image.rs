//! A pack as an image: the two documents that stand beside a pack file, so that other tools can
//! show it, and copy it to and from registries.
//!
//! ```text
//! image manifest   config and one layer; title, version, description and licence as annotations
//! config           application/vnd.wasm.config.v0+json, as the CNCF's wasm artifacts have it
//! layer            application/wasm: the pack file
//! ```
//!
//! What stays true: the same pack gives the same documents, byte for byte, wherever and whenever it
//! is added.

use modularbase_format::oci::{Descriptor, Image, Other};
use modularbase_format::{Digest, PackFile};
use serde::Serialize;

const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";

/// The most bytes of a config that are read.
pub(super) const CONFIG_LIMIT: usize = 1 << 20;

/// What a pack's component imports and exports, by the full names (`modularbase:pack/expert@0.1.0`);
/// other tools read it in the pack's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

/// The documents of a pack.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    /// Readers insist on a date; it says nothing here, so that it never differs.
    created: &'static str,
    architecture: &'static str,
    /// What components are filed under, whether they ask for WASI or not.
    os: &'static str,
    layer_digests: [String; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
}

impl Documents {
    pub(super) fn of(pack: &PackFile, interfaces: &Interfaces) -> Self {
        let config = Config {
            created: "1970-01-01T00:00:00Z",
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [format!("sha256:{}", pack.digest())],
            component: Component {
                exports: &interfaces.exports,
                imports: &interfaces.imports,
            },
        };
        let config = serde_json::to_vec(&config).expect("texts are always JSON");
        let says = pack.manifest();
        let annotations = [
            ("title", says.name.clone()),
            ("version", says.version.to_string()),
            ("description", says.description.clone()),
            ("licenses", says.license.clone()),
        ];
        let image = Image {
            config: descriptor(CONFIG_TYPE, Digest::of(&config), config.len() as u64),
            layers: vec![descriptor(
                LAYER_TYPE,
                pack.digest(),
                pack.map().len() as u64,
            )],
            annotations: annotations
                .into_iter()
                .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value))
                .collect(),
            other: Other::default(),
        };
        Self {
            config,
            manifest: image.to_bytes(),
        }
    }
}

/// A descriptor without annotations.
pub(super) fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.into(),
        size,
        annotations: std::collections::BTreeMap::new(),
        other: Other::default(),
    }
}
