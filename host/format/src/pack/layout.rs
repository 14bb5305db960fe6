//! What lies where in a pack file: the reader behind `PackFile`.
//!
//! Owns the rules about our sections, and reads manifest and GGUF headers. Everything is a range
//! into the file; the file's bytes stay where they are.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::section::{self, Fault, MANIFEST, PADDING, SIGNATURE, Section, WEIGHTS};
use super::{PackFileError, WEIGHTS_ALIGNMENT, signature};
use crate::Digest;
use crate::gguf::{Gguf, VALUES_LIMIT};
use crate::manifest::{MANIFEST_LIMIT, Manifest, ManifestError, Publisher};
use crate::quote::quote;

/// Weights sections in one pack: 4 TiB, if they are full.
const SHARDS_LIMIT: usize = 1024;

/// A checked pack file, as ranges.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    /// The component's own sections; neighbours are one range.
    pub(super) code: Vec<Range<usize>>,
    /// Weights sections' data, and what is in them.
    pub(super) shards: Vec<(Range<usize>, Gguf)>,
    signed: Option<Signed>,
}

impl Layout {
    /// Reads everything but the signature's truth.
    pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Self, PackFileError> {
        let found = Found::walk(bytes, path)?;
        let Some(manifest) = found.manifest else {
            return Err(PackFileError::MissingManifest {
                path: path.to_path_buf(),
            });
        };
        let manifest_text = read_manifest(slice(bytes, &manifest), path)?;
        let manifest = Manifest::parse(&manifest_text, &format!("{}: pack.toml", path.display()))?;

        let mut shards = Vec::with_capacity(found.weights.len());
        let mut values_left = VALUES_LIMIT;
        for (index, range) in found.weights.into_iter().enumerate() {
            let name = format!("{}: weights {index}", path.display());
            let gguf = Gguf::parse_within(slice(bytes, &range), &name, &mut values_left)?;
            shards.push((range, gguf));
        }
        refuse_shared_tensors(&shards, path)?;
        let signature = found.signature.as_ref();
        let signature = signature.map(|(start, data)| (*start, slice(bytes, data)));
        let signed = Signed::read(&manifest, signature, path)?;
        Ok(Self {
            manifest,
            manifest_text,
            code: found.code,
            shards,
            signed,
        })
    }

    /// Whether the publisher signed all before the signature; without a publisher there is
    /// nothing to hold. The file's digest falls off on the way, if it was needed.
    pub(super) fn verify_signature(
        &self,
        bytes: &[u8],
        path: &Path,
    ) -> Result<Option<Digest>, PackFileError> {
        let Some(Signed {
            publisher,
            start,
            signature,
        }) = &self.signed
        else {
            return Ok(None);
        };
        let mut hasher = Sha256::new_with_prefix(slice(bytes, &(0..*start)));
        let before = Digest::from_bytes(hasher.clone().finalize().into());
        if !signature::is_valid(publisher, signature, &before) {
            return Err(wrong_signature(path, "not valid", publisher));
        }
        hasher.update(slice(bytes, &(*start..bytes.len())));
        Ok(Some(Digest::from_bytes(hasher.finalize().into())))
    }
}

/// A signature and whose it claims to be.
#[derive(Debug)]
struct Signed {
    publisher: Publisher,
    /// Where its section begins: the end of what is signed.
    start: usize,
    signature: [u8; 64],
}

impl Signed {
    /// Holds the manifest's publisher against the section: both are there, or none.
    fn read(
        manifest: &Manifest,
        section: Option<(usize, &[u8])>,
        path: &Path,
    ) -> Result<Option<Self>, PackFileError> {
        match (manifest.publisher, section) {
            (None, None) => Ok(None),
            (Some(publisher), Some((start, data))) => {
                let signature = signature::read(data)
                    .map_err(|found| wrong_signature(path, &found, &publisher))?;
                Ok(Some(Self {
                    publisher,
                    start,
                    signature,
                }))
            }
            (Some(publisher), None) => Err(PackFileError::Unsigned {
                path: path.to_path_buf(),
                publisher,
            }),
            (None, Some(_)) => Err(PackFileError::Signature {
                path: path.to_path_buf(),
                found: "there".into(),
                expected: "none, because the manifest names no `publisher`".into(),
            }),
        }
    }
}

fn wrong_signature(path: &Path, found: &str, publisher: &Publisher) -> PackFileError {
    PackFileError::Signature {
        path: path.to_path_buf(),
        found: found.into(),
        expected: format!("a valid one by `{publisher}`").into(),
    }
}

/// The sections of ours, as the walk over the file meets them.
struct Found<'p> {
    path: &'p Path,
    manifest: Option<Range<usize>>,
    code: Vec<Range<usize>>,
    /// A padding section that still waits for its weights.
    padding: Option<usize>,
    weights: Vec<Range<usize>>,
    signature: Option<(usize, Range<usize>)>,
}

impl<'p> Found<'p> {
    fn walk(bytes: &[u8], path: &'p Path) -> Result<Self, PackFileError> {
        let mut found = Self {
            path,
            manifest: None,
            code: Vec::new(),
            padding: None,
            weights: Vec::new(),
            signature: None,
        };
        for section in section::sections(bytes).map_err(|fault| with_path(fault, path))? {
            let section = section.map_err(|fault| with_path(fault, path))?;
            found.take(bytes, &section)?;
        }
        match found.padding {
            Some(offset) => Err(found.stray_padding(offset)),
            None => Ok(found),
        }
    }

    fn take(&mut self, bytes: &[u8], section: &Section<'_>) -> Result<(), PackFileError> {
        let offset = section.range.start;
        let ours = section.ours();
        let name = ours.as_ref().map(|(name, _)| *name);
        if let Some((signature, _)) = self.signature {
            if name == Some(SIGNATURE) {
                return Err(self.duplicate(SIGNATURE, offset));
            }
            return Err(self.misplaced(SIGNATURE, signature, "not the last section", "to be last"));
        }
        if let Some(padding) = self.padding.take()
            && name != Some(WEIGHTS)
        {
            return Err(self.stray_padding(padding));
        }
        let Some((name, data)) = ours else {
            match self.code.last_mut() {
                Some(last) if last.end == offset => last.end = section.range.end,
                _ => self.code.push(section.range.clone()),
            }
            return Ok(());
        };
        match name {
            MANIFEST if self.manifest.is_some() => return Err(self.duplicate(MANIFEST, offset)),
            MANIFEST if offset != section::PREAMBLE.len() => {
                return Err(self.misplaced(
                    MANIFEST,
                    offset,
                    "after other sections",
                    "to be the first section",
                ));
            }
            MANIFEST => self.manifest = Some(data),
            PADDING => {
                let zeros = slice(bytes, &data);
                if zeros.len() >= WEIGHTS_ALIGNMENT || zeros.iter().any(|byte| *byte != 0) {
                    return Err(self.misplaced(PADDING, offset, "no padding", "at most 63 zeros"));
                }
                self.padding = Some(offset);
            }
            WEIGHTS if self.weights.len() == SHARDS_LIMIT => {
                let expected = format!("at most {SHARDS_LIMIT} of them");
                return Err(self.misplaced(WEIGHTS, offset, "one too many", &expected));
            }
            WEIGHTS if !data.start.is_multiple_of(WEIGHTS_ALIGNMENT) => {
                let found = format!("not aligned (its data is at byte {})", data.start);
                let expected = format!("a multiple of {WEIGHTS_ALIGNMENT}");
                return Err(self.misplaced(WEIGHTS, offset, &found, &expected));
            }
            WEIGHTS => self.weights.push(data),
            SIGNATURE => self.signature = Some((offset, data)),
            unknown => {
                return Err(PackFileError::UnknownSection {
                    path: self.path.to_path_buf(),
                    section: quote(unknown),
                    offset,
                });
            }
        }
        Ok(())
    }

    fn stray_padding(&self, offset: usize) -> PackFileError {
        self.misplaced(
            PADDING,
            offset,
            "not before weights",
            "to be right before them",
        )
    }

    fn duplicate(&self, section: &'static str, offset: usize) -> PackFileError {
        PackFileError::Duplicate {
            path: self.path.to_path_buf(),
            section,
            offset,
        }
    }

    fn misplaced(
        &self,
        section: &str,
        offset: usize,
        found: &str,
        expected: &str,
    ) -> PackFileError {
        PackFileError::Misplaced {
            path: self.path.to_path_buf(),
            section: quote(section),
            offset,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

/// Says which file a fault of the walk is in.
pub(super) fn with_path(fault: Fault, path: &Path) -> PackFileError {
    let path = path.to_path_buf();
    match fault {
        Fault::NotAComponent { found } => PackFileError::NotAComponent { path, found },
        Fault::Section {
            offset,
            what,
            found,
            expected,
        } => PackFileError::Section {
            path,
            offset,
            what,
            found,
            expected,
        },
    }
}

/// The manifest's text, copied out of the map before anybody trusts it to be UTF-8.
fn read_manifest(bytes: &[u8], path: &Path) -> Result<String, PackFileError> {
    let file = || format!("{}: pack.toml", path.display());
    if bytes.len() > MANIFEST_LIMIT {
        return Err(PackFileError::Manifest(ManifestError::TooLong {
            file: file().into(),
            found: bytes.len(),
            limit: MANIFEST_LIMIT,
        }));
    }
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(slice(bytes, &(0..valid)));
        let (line, column) = crate::manifest::place(&before, valid);
        PackFileError::Manifest(ManifestError::Syntax {
            file: file().into(),
            line,
            column,
            detail: "text is not UTF-8".into(),
        })
    })
}

fn refuse_shared_tensors(
    shards: &[(Range<usize>, Gguf)],
    path: &Path,
) -> Result<(), PackFileError> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (second, (_, gguf)) in shards.iter().enumerate() {
        for tensor in gguf.tensors() {
            if let Some(first) = seen.insert(&tensor.name, second) {
                return Err(PackFileError::DuplicateTensor {
                    path: path.to_path_buf(),
                    tensor: quote(&tensor.name),
                    first,
                    second,
                });
            }
        }
    }
    Ok(())
}

/// Bytes at a range that the walk found inside the file.
fn slice<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}
