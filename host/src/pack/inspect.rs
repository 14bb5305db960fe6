//! What a pack file says of itself and holds. Runs and compiles nothing of it.
//!
//! `mbhost pack inspect` shows it. Texts are as the pack's author wrote them; whoever prints
//! them escapes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modularbase_format::PackFile;
use serde::Serialize;

use super::PackError;
use super::limits::Limits;
use super::measured::Measured;
use super::preflight::{Face, Judged, Objection};

/// What a pack file says of itself and holds.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the manifest's own keys")]
pub struct Inspection {
    /// The file.
    #[serde(serialize_with = "super::build::path_text")]
    pub path: PathBuf,
    /// Its length.
    pub bytes: usize,
    /// Its SHA-256.
    pub digest: String,
    /// That of its component alone: packs of the same code share it.
    pub code_digest: String,
    pub id: String,
    pub name: String,
    pub version: String,
    pub description: String,
    pub license: String,
    pub authors: Vec<String>,
    pub roles: Vec<String>,
    pub contract: String,
    pub domain: Option<String>,
    /// Whose signature it carries; it was verified.
    pub signed_by: Option<String>,
    pub trained: bool,
    pub variants: Vec<String>,
    pub fallback: Vec<String>,
    pub conflicts: Vec<String>,
    pub dependencies: BTreeMap<String, String>,
    pub base: Base,
    pub keywords: Vec<String>,
    pub model: BTreeMap<String, String>,
    /// Bytes of memory that it asks for.
    pub memory: Option<u64>,
    /// Its code, or nothing when this host refuses it.
    pub code: Option<Code>,
    /// Why this host would refuse it.
    pub objection: Option<String>,
    /// Its weights.
    pub weights: WeightTotals,
    /// What its builder measured; empty when another tool made it.
    pub measured: Vec<Measured>,
}

/// What a pack asks of a base.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the manifest's own keys")]
pub struct Base {
    pub width: u32,
    pub tokenizer: Option<String>,
    pub accepts: BTreeMap<String, String>,
}

/// A pack's code.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Code {
    /// Bytes of the component, manifest and weights left out.
    pub bytes: usize,
    /// Functions in it.
    pub functions: usize,
    /// What it can do, in words.
    pub abilities: Vec<String>,
    /// Interfaces that the host lends it.
    pub imports: Vec<String>,
    /// Interfaces that it offers.
    pub exports: Vec<String>,
}

/// A pack's weights.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WeightTotals {
    /// Bytes of the sections that hold them.
    pub bytes: usize,
    /// How many numbers they are.
    pub parameters: u64,
    /// Them by type, as `Q8_0`.
    pub by_type: BTreeMap<String, TypeTotals>,
    /// Each of them, in the file's order.
    pub tensors: Vec<TensorEntry>,
}

/// The weights of one type.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TypeTotals {
    /// How many.
    pub tensors: usize,
    /// How many numbers.
    pub parameters: u64,
    /// Their bytes.
    pub bytes: usize,
}

/// A weight.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its bytes.
    pub bytes: usize,
}

/// Reads a pack file and tells what is in it.
///
/// # Errors
/// When the file is not a sound pack file. A pack that this host would refuse is no error.
pub fn inspect(path: &Path) -> Result<Inspection, PackError> {
    let file = PackFile::open(path)?;
    let judged = Judged::of(&file, &Limits::default());
    Ok(Inspection::of(&file, judged.as_ref().map(|it| &it.face)))
}

impl Inspection {
    /// What an open pack file says and holds, and what a host thinks of its code.
    pub(crate) fn of(file: &PackFile, judged: Result<&Face, &Objection>) -> Self {
        let manifest = file.manifest();
        let texts = |map: &BTreeMap<String, semver::VersionReq>| {
            let entry =
                |(id, range): (&String, &semver::VersionReq)| (id.clone(), range.to_string());
            map.iter().map(entry).collect()
        };
        let model = manifest.model.keys();
        Self {
            path: file.path().to_owned(),
            bytes: file.map().len(),
            digest: file.digest().to_string(),
            code_digest: file.code_digest().to_string(),
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            description: manifest.description.clone(),
            license: manifest.license.clone(),
            authors: manifest.authors.clone(),
            roles: manifest.roles.iter().map(ToString::to_string).collect(),
            contract: manifest.contract.to_string(),
            domain: manifest.domain.clone(),
            signed_by: file.signed_by().map(ToString::to_string),
            trained: manifest.trained,
            variants: manifest.variants.clone(),
            fallback: manifest.fallback.clone(),
            conflicts: manifest.conflicts.clone(),
            dependencies: texts(&manifest.dependencies),
            base: Base {
                width: manifest.base.width,
                tokenizer: manifest.base.tokenizer.map(|it| it.to_string()),
                accepts: texts(&manifest.base.accepts),
            },
            keywords: manifest.route.keywords.clone(),
            model: model
                .filter_map(|key| Some((key.clone(), manifest.config(key)?)))
                .collect(),
            memory: manifest.limits.memory,
            code: judged.ok().cloned().map(Code::from),
            objection: judged.err().map(ToString::to_string),
            weights: WeightTotals::of(file),
            measured: Measured::read(file),
        }
    }
}

impl From<Face> for Code {
    fn from(face: Face) -> Self {
        Self {
            bytes: face.code_bytes,
            functions: face.functions,
            abilities: face.abilities().into_iter().map(str::to_owned).collect(),
            imports: face.imports.into_iter().collect(),
            exports: face.exports.into_iter().collect(),
        }
    }
}

impl WeightTotals {
    fn of(file: &PackFile) -> Self {
        let mut totals = Self {
            bytes: file.weight_shards().map(|it| it.bytes.len()).sum(),
            ..Self::default()
        };
        for tensor in file.tensors() {
            let (kind, parameters) = (tensor.info.kind.to_string(), tensor.info.elements() as u64);
            let of_type = totals.by_type.entry(kind.clone()).or_default();
            of_type.tensors += 1;
            of_type.parameters += parameters;
            of_type.bytes += tensor.bytes.len();
            totals.parameters += parameters;
            totals.tensors.push(TensorEntry {
                name: tensor.info.name.clone(),
                shape: tensor.info.shape.clone(),
                kind,
                bytes: tensor.bytes.len(),
            });
        }
        totals
    }
}
