//! The pack file, `pack.wasm`: a component that carries its manifest and its weights.
//!
//! Owns the map of the file and the knowledge of what lies where in it; runs no code. The host's
//! `pack` and `store` open packs here, the pack builder writes them with [`PackWriter`].
//!
//! ```text
//! 00 61 73 6d 0d 00 01 00             a component, to any tool
//! modularbase:manifest                `pack.toml`, UTF-8; the first section
//! ... the component's own sections ...
//! modularbase:padding                 0 to 63 zeros, so that what follows is aligned
//! modularbase:weights                 a GGUF file; its first byte at a multiple of 64
//! ... padding and weights again, a pair a shard ...
//! modularbase:signature               the last section; only with a publisher in the manifest
//! ```
//!
//! All are custom sections at the top level (`section.rs` draws one); padding may be missing where
//! weights are aligned without it. The component's own sections may also stand after weights. A
//! weights section holds at most 4 GiB, so larger weights come as several, each tensor in one.
//!
//! What stays true of an open pack: the manifest and every GGUF header were checked; every tensor
//! lies inside the map, at a multiple of at least 8 bytes; a pack with a publisher was signed by
//! that publisher, and a pack without one carries no signature; no `modularbase:` section was
//! ignored, and padding hides nothing.

mod error;
mod layout;
mod section;
mod signature;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

use crate::gguf::{Gguf, TensorInfo, Value};
use crate::manifest::{Manifest, Publisher};
use crate::{Digest, Mapping};
pub use error::PackFileError;
use layout::Layout;
pub use writer::PackWriter;

/// The first byte of weights stands at a multiple of this in the file.
const WEIGHTS_ALIGNMENT: usize = 64;

/// An open, checked pack file.
#[derive(Debug)]
pub struct PackFile {
    path: PathBuf,
    map: Arc<Mapping>,
    layout: Layout,
    digest: OnceLock<Digest>,
    code_digest: OnceLock<Digest>,
}

impl PackFile {
    /// Maps and checks the pack at `path`. A signed pack is hashed as a whole to do so.
    ///
    /// # Errors
    ///
    /// When the file cannot be mapped, is no component, has sections of ours missing, unknown,
    /// misplaced or unsound, or its signature does not hold.
    pub fn open(path: &Path) -> Result<Self, PackFileError> {
        let map = Mapping::open(path).map_err(|source| PackFileError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_map(Arc::new(map), path)
    }

    /// Checks a pack that is in memory; `path` stands in messages only.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, PackFileError> {
        let map = Mapping::copy_of(bytes).map_err(|source| PackFileError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_map(Arc::new(map), path)
    }

    /// Checks a pack that is mapped; `path` stands in messages only.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn from_map(map: Arc<Mapping>, path: &Path) -> Result<Self, PackFileError> {
        let layout = Layout::read(&map, path)?;
        let digest = layout.verify_signature(&map, path)?;
        Ok(Self::new(map, path, layout, digest))
    }

    /// Opens a pack without hashing it, for those who vouch that these bytes have that digest and
    /// that [`open`](Self::open) or [`from_map`](Self::from_map) took them before: the store, of
    /// files that are as it left them. Everything but the signature's truth is checked.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), short of a signature that is not valid.
    pub fn open_known(
        map: Arc<Mapping>,
        path: &Path,
        digest: Digest,
    ) -> Result<Self, PackFileError> {
        let layout = Layout::read(&map, path)?;
        Ok(Self::new(map, path, layout, Some(digest)))
    }

    fn new(map: Arc<Mapping>, path: &Path, layout: Layout, digest: Option<Digest>) -> Self {
        Self {
            path: path.to_path_buf(),
            map,
            layout,
            digest: digest.map_or_else(OnceLock::new, OnceLock::from),
            code_digest: OnceLock::new(),
        }
    }

    /// Where the pack was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the pack says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.layout.manifest
    }

    /// The manifest as the author wrote it, comments and all.
    pub fn manifest_text(&self) -> &str {
        &self.layout.manifest_text
    }

    /// Who signed the pack, if anybody did. The signature holds, or the pack would not be open.
    pub fn signed_by(&self) -> Option<&Publisher> {
        self.layout.manifest.publisher.as_ref()
    }

    /// The tensor of a name, in whichever shard it is.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        self.weight_shards()
            .find_map(|shard| shard.gguf.tensor(name).map(|info| shard.tensor(info)))
    }

    /// Every tensor, in the file's order.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.weight_shards().flat_map(|shard| {
            shard
                .gguf
                .tensors()
                .iter()
                .map(move |info| shard.tensor(info))
        })
    }

    /// The weights sections, in order; each is a whole GGUF file.
    pub fn weight_shards(&self) -> impl ExactSizeIterator<Item = WeightShard<'_>> {
        self.layout.shards.iter().map(|(range, gguf)| WeightShard {
            gguf,
            bytes: self.map.get(range.clone()).unwrap_or_default(),
            start: range.start,
        })
    }

    /// A metadata value of the first shard.
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        let (_, gguf) = self.layout.shards.first()?;
        gguf.get(key)
    }

    /// The component without any section of ours: what is compiled.
    pub fn component(&self) -> Vec<u8> {
        let mut component = section::PREAMBLE.to_vec();
        for code in self.code() {
            component.extend(code);
        }
        component
    }

    /// The length of [`component`](Self::component), without making it.
    pub fn code_len(&self) -> usize {
        section::PREAMBLE.len() + self.code().map(<[u8]>::len).sum::<usize>()
    }

    /// The digest of [`component`](Self::component): packs that share their code share this.
    pub fn code_digest(&self) -> Digest {
        *self.code_digest.get_or_init(|| {
            let mut hasher = Sha256::new_with_prefix(section::PREAMBLE);
            for code in self.code() {
                hasher.update(code);
            }
            Digest::from_bytes(hasher.finalize().into())
        })
    }

    /// The digest of the whole file, computed when first asked for.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.map))
    }

    /// The map of the file, for those who must keep it alive longer than this.
    pub fn map(&self) -> Arc<Mapping> {
        Arc::clone(&self.map)
    }

    fn code(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = |range: &Range<usize>| self.map.get(range.clone()).unwrap_or_default();
        self.layout.code.iter().map(bytes)
    }
}

/// A weights section.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WeightShard<'a> {
    /// Its header.
    pub gguf: &'a Gguf,
    /// The whole GGUF file.
    pub bytes: &'a [u8],
    /// Where in the pack file it begins.
    pub start: usize,
}

impl<'a> WeightShard<'a> {
    fn tensor(self, info: &'a TensorInfo) -> Tensor<'a> {
        Tensor {
            info,
            bytes: self.bytes.get(info.range.clone()).unwrap_or_default(),
            range: self.start + info.range.start..self.start + info.range.end,
        }
    }
}

/// A tensor of a pack, where it lies in the map.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tensor<'a> {
    /// Name, shape and type; its range counts from the start of its shard.
    pub info: &'a TensorInfo,
    /// Its data.
    pub bytes: &'a [u8],
    /// Where its data is in the pack file, and so in [`PackFile::map`].
    pub range: Range<usize>,
}
