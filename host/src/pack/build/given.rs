//! Weights that an author brings: a GGUF file, a safetensors file, or another pack.
//!
//! Told apart by how the file begins, not by its name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modularbase_format::{Gguf, Mapping, PackFile, WeightType};
use safetensors::{Dtype, SafeTensors};

use super::BuildError;
use crate::pack::PackError;

/// An open weights file.
pub(super) struct Given {
    pub(super) path: PathBuf,
    kind: Kind,
}

enum Kind {
    Gguf(Mapping, Box<Gguf>),
    Safetensors(Mapping),
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
        let kind = if map.starts_with(b"GGUF") {
            let gguf = Gguf::parse(&map, &path.display().to_string())?;
            Kind::Gguf(map, Box::new(gguf))
        } else if map.starts_with(b"\0asm") {
            Kind::Pack(Box::new(PackFile::open(path).map_err(PackError::from)?))
        } else if map.get(8) == Some(&b'{') {
            Kind::Safetensors(map)
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
        Ok(Self {
            path: path.to_owned(),
            kind,
        })
    }

    /// Every tensor, by name.
    pub(super) fn tensors(&self) -> Result<BTreeMap<String, Tensor<'_>>, BuildError> {
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
                Ok(tensors.collect())
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
                Ok(tensors.collect())
            }
            Kind::Safetensors(map) => {
                let file =
                    SafeTensors::deserialize(map).map_err(|error| BuildError::Safetensors {
                        path: self.path.clone(),
                        reason: error.to_string(),
                    })?;
                let tensors = file.tensors().into_iter().map(|(name, view)| {
                    let tensor = Tensor {
                        shape: view.shape().to_vec(),
                        kind: weight_type(view.dtype()),
                        bytes: view.data(),
                    };
                    (name, tensor)
                });
                Ok(tensors.collect())
            }
        }
    }
}

fn weight_type(dtype: Dtype) -> Result<WeightType, String> {
    match dtype {
        Dtype::F32 => Ok(WeightType::F32),
        Dtype::F16 => Ok(WeightType::F16),
        Dtype::BF16 => Ok(WeightType::Bf16),
        other => Err(format!("{other:?}")),
    }
}
