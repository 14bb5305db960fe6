//! Weights that an author brings: a GGUF file, a safetensors file, or another pack.
//!
//! Told apart by how the file begins, not by its name. A pack says whether its weights are trained;
//! of the others that is taken for granted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modularbase_format::{Gguf, Mapping, PackFile, Safetensors, WeightType};

use super::BuildError;
use crate::pack::PackError;

/// An open weights file.
pub(super) struct Given {
    pub(super) path: PathBuf,
    /// Whether these are the fruit of training, not of a seed.
    pub(super) trained: bool,
    kind: Kind,
}

enum Kind {
    Gguf(Mapping, Box<Gguf>),
    Safetensors(Mapping, Safetensors),
    Pack(Box<PackFile>),
}

/// A tensor of it.
pub(super) struct Tensor<'a> {
    pub(super) shape: Vec<usize>,
    /// How its numbers are stored, or what the file calls that, when packs do not have it.
    pub(super) kind: Result<WeightType, String>,
    pub(super) bytes: &'a [u8],
}

impl Given {
    pub(super) fn open(path: &Path) -> Result<Self, BuildError> {
        let map = Mapping::open(path).map_err(|source| BuildError::Io {
            path: path.to_owned(),
            source,
        })?;
        let name = path.display().to_string();
        let kind = if map.starts_with(b"GGUF") {
            let gguf = Gguf::parse(&map, &name)?;
            Kind::Gguf(map, Box::new(gguf))
        } else if map.starts_with(b"\0asm") {
            Kind::Pack(Box::new(PackFile::open(path).map_err(PackError::from)?))
        } else if Safetensors::begins(&map) {
            let header = Safetensors::parse(&map, &name)?;
            Kind::Safetensors(map, header)
        } else {
            let found = match map.get(..8).unwrap_or(&map) {
                [] => "nothing".to_owned(),
                head => format!("`{}`", head.escape_ascii()),
            };
            return Err(BuildError::NoWeights {
                path: path.to_owned(),
                found,
            });
        };
        let trained = match &kind {
            Kind::Pack(file) => file.manifest().trained,
            Kind::Gguf(..) | Kind::Safetensors(..) => true,
        };
        Ok(Self {
            path: path.to_owned(),
            trained,
            kind,
        })
    }

    /// Every tensor, by name.
    pub(super) fn tensors(&self) -> BTreeMap<String, Tensor<'_>> {
        match &self.kind {
            Kind::Gguf(map, gguf) => {
                let tensors = gguf.tensors().iter().map(|info| {
                    let tensor = Tensor {
                        shape: info.shape.clone(),
                        kind: Ok(info.kind),
                        bytes: map.get(info.range.clone()).unwrap_or_default(),
                    };
                    (info.name.clone(), tensor)
                });
                tensors.collect()
            }
            Kind::Pack(file) => {
                let tensors = file.tensors().map(|it| {
                    let tensor = Tensor {
                        shape: it.info.shape.clone(),
                        kind: Ok(it.info.kind),
                        bytes: it.bytes,
                    };
                    (it.info.name.clone(), tensor)
                });
                tensors.collect()
            }
            Kind::Safetensors(map, header) => {
                let tensors = header.tensors().iter().map(|info| {
                    let tensor = Tensor {
                        shape: info.shape.clone(),
                        kind: info.kind.clone(),
                        bytes: map.get(info.range.clone()).unwrap_or_default(),
                    };
                    (info.name.clone(), tensor)
                });
                tensors.collect()
            }
        }
    }
}
