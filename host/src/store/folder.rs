//! The store's folder: what is where in it, whether it is a store at all, and how one is made.
//!
//! Owns the paths and the two documents at the top, `oci-layout` and `index.json`. A store that is
//! being made has no `oci-layout` yet: it comes last, so one that has it is whole.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use modularbase_format::Digest;
use modularbase_format::oci::{self, BlobDigest, Index};

use super::StoreError;
use super::contents::{Contents, FORMAT, FORMAT_KEY};
use super::error::{at, quoted};
use super::file;
use super::staging::Draft;

/// What a store that is being made may hold before it has its `oci-layout`.
const UNFINISHED: &[&str] = &["staging", "lock", "blobs", "index.json"];

/// Paths inside of a store.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Where the blobs are.
    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    /// Where a blob is. A [`Digest`] is shown as 64 hex digits, whatever it was read from.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.to_string())
    }

    /// Where a blob is that other tools may refer to by another algorithm's digest, whose parts are
    /// letters, digits and a few signs that no path is made of; nothing, where no such are kept.
    pub(super) fn foreign_blob(&self, digest: &BlobDigest) -> Result<Option<PathBuf>, StoreError> {
        let text = digest.to_string();
        let Some((algorithm, encoded)) = text.split_once(':') else {
            return Ok(None);
        };
        let all = self.root.join("blobs");
        let blobs = all.join(algorithm);
        // Most of what looks like a digest is none, so what is no folder means nothing.
        let has_blobs =
            file::has_folder(&all)? && blobs.symlink_metadata().is_ok_and(|it| it.is_dir());
        Ok(has_blobs.then(|| blobs.join(encoded)))
    }

    /// Whether there is a store; a folder that is missing, empty or unfinished is none yet.
    ///
    /// # Errors
    /// When there is something else, or a layout of another version.
    pub(super) fn is_made(&self) -> Result<bool, StoreError> {
        let metadata = match fs::metadata(&self.root) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match fs::symlink_metadata(&self.root) {
                    Ok(_) => Err(StoreError::NotAFolder {
                        path: self.root.clone(),
                        found: "a link to nothing",
                    }),
                    Err(_) => Ok(false),
                };
            }
            Err(error) => return Err(at(&self.root)(error)),
        };
        if !metadata.is_dir() {
            return Err(StoreError::NotAFolder {
                path: self.root.clone(),
                found: file::kind(metadata.file_type()),
            });
        }
        let layout = self.root.join("oci-layout");
        if let Some(bytes) = file::read(&layout, oci::LAYOUT_LIMIT)? {
            oci::check_layout(&bytes, &layout.display().to_string())?;
            return Ok(true);
        }
        for entry in fs::read_dir(&self.root).map_err(at(&self.root))? {
            let name = entry.map_err(at(&self.root))?.file_name();
            if name == OsStr::new("oci-layout") {
                // Somebody has just finished making it.
                return self.is_made();
            }
            if !UNFINISHED.iter().any(|known| name == OsStr::new(known)) {
                return Err(StoreError::NotAStore {
                    path: self.root.clone(),
                    found: quoted(&name.to_string_lossy()),
                });
            }
        }
        Ok(false)
    }

    /// Whether there is a store, or the begin of one.
    pub(super) fn is_begun(&self) -> Result<bool, StoreError> {
        Ok(self.is_made()? || file::has_folder(&self.staging())?)
    }

    /// Makes what a staged file needs: the folder itself, and `staging` in it.
    pub(super) fn make_staging(&self) -> Result<(), StoreError> {
        file::make_root(&self.root)?;
        file::make_folder(&self.staging(), 0o700)
    }

    /// Makes what is still missing of a store. The lock is held.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        self.make_staging()?;
        file::make_folder(&self.root.join("blobs"), 0o777)?;
        file::make_folder(&self.blobs(), 0o777)?;
        if self.is_made()? {
            return Ok(());
        }
        if file::open(&self.index())?.is_none() {
            self.write_index(&empty())?;
        }
        self.write(&self.root.join("oci-layout"), oci::LAYOUT, 0o644)?;
        file::sync_folder(&self.root)
    }

    /// Whether the blobs' folder is there; it has to be one.
    pub(super) fn has_blobs(&self) -> Result<bool, StoreError> {
        Ok(file::has_folder(&self.root.join("blobs"))? && file::has_folder(&self.blobs())?)
    }

    /// The index as it is now, and what it says.
    pub(super) fn read(&self) -> Result<(Index, Contents), StoreError> {
        let index = self.read_index()?;
        let contents = Contents::read(&index, &self.index())?;
        Ok((index, contents))
    }

    /// The index as it is now; that of a store that was not made yet is empty.
    pub(super) fn read_index(&self) -> Result<Index, StoreError> {
        let path = self.index();
        let is_made = self.is_made()?;
        match file::read(&path, Index::LIMIT)? {
            Some(bytes) => Ok(Index::parse(&bytes, &path.display().to_string())?),
            None if is_made => Err(StoreError::NoIndex { path }),
            None => Ok(empty()),
        }
    }

    /// Replaces the index with one that can be read back; an error leaves the old one. The lock is
    /// held.
    pub(super) fn write_index(&self, index: &Index) -> Result<(), StoreError> {
        let (path, bytes) = (self.index(), index.to_bytes());
        Index::parse(&bytes, &path.display().to_string())?;
        self.write(&path, &bytes, 0o644)
    }

    /// Writes a small file to its place, as a whole. Its folder has to be synced then.
    pub(super) fn write(&self, to: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
        let mut draft = Draft::new(self)?;
        let written = draft.file().write_all(bytes);
        written.map_err(at(draft.path()))?;
        draft.set_mode(mode)?;
        draft.file().sync_all().map_err(at(draft.path()))?;
        draft.publish(to).map(drop)
    }
}

/// The index of a store without packs.
fn empty() -> Index {
    let mut index = Index::default();
    let format = (FORMAT_KEY.to_owned(), FORMAT.to_string());
    index.annotations.extend([format]);
    index
}
