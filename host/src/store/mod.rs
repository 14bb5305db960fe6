//! The store: the packs that are kept on this machine, as an OCI image layout.
//!
//! Owns the folder, who may change it when, and what of it can be believed. `packs` asks it for
//! pack files and hands it new ones; which pack is trusted is decided there, not here.
//!
//! ```text
//! store/
//!   oci-layout            says that this is an OCI image layout; written last when a store is made
//!   index.json            what is kept; the one file that changes, replaced as a whole
//!   blobs/sha256/<digest> pack files, and an image manifest and a config for each; 0444
//!   staging/              files on their way in, each locked by its maker
//!   lock                  locked while the index changes
//! ```
//!
//! Every pack is one descriptor of the index: an image manifest with one layer, the pack file.
//! Descriptors of other tools, and what they refer to, are carried through.
//!
//! What stays true, whenever a process or the power dies: the index is the old one or the new one;
//! what it names was written and synced before it; what else there is, [`Store::sweep`] removes.
//! Locks are the kernel's and end with their process. Readers take none, and see a whole index.
//! Bytes of a blob are hashed when they come in, and again whenever its stamp is not the one that
//! was noted then. Nothing that stands in the index becomes part of a path before it was checked,
//! and no link inside of the store is followed; the folder itself may be one.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod change;
mod contents;
mod error;
mod file;
mod folder;
mod image;
mod lock;
mod places;
mod stage;
mod staging;
mod stamp;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};

use modularbase_format::PackFile;

pub use change::{Added, Change};
pub use contents::{Contents, Entry};
pub use error::StoreError;
use folder::Folder;
pub use image::Interfaces;
pub use places::Places;
pub use stage::Staged;
pub use sweep::Swept;

/// The packs that are kept on this machine. Cheap to clone; holds no lock and no open file.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Folder,
}

impl Store {
    /// The store in the folder `root`. One that does not exist yet is an empty store, and is made
    /// by the first change.
    ///
    /// # Errors
    /// When there is something else in its place.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = Folder::new(root.into());
        folder.is_made()?;
        Ok(Self { folder })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    /// What is kept now.
    ///
    /// # Errors
    /// When the index is missing, damaged, or of a newer format.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        Ok(self.folder.read()?.1)
    }

    /// Copies a pack file into the store's staging and checks the copy. `watch` is told the bytes
    /// that are done, and how many there are. Copies whose makers are gone make room for it.
    ///
    /// # Errors
    /// When the file cannot be read, changes meanwhile, or is no sound pack, or when the store
    /// cannot take it.
    pub fn stage(&self, source: &Path, watch: &dyn Fn(u64, u64)) -> Result<Staged, StoreError> {
        Staged::copy(&self.folder, source, watch)
    }

    /// Takes a pack file that is in memory; `name` stands in messages.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage).
    pub fn stage_bytes(&self, bytes: &[u8], name: &Path) -> Result<Staged, StoreError> {
        Staged::write(&self.folder, bytes, name)
    }

    /// Waits until nobody else changes the store, and begins a change. Whoever has begun one and
    /// asks for another, or for a sweep, waits for itself.
    ///
    /// # Errors
    /// When the store cannot be written, or its index cannot be read.
    pub fn change(&self) -> Result<Change, StoreError> {
        Change::begin(&self.folder)
    }

    /// Opens the pack file of an entry. Hashes nothing when the file is, by its stamp, the one that
    /// was checked when it came in; otherwise all of it, and notes the new stamp.
    ///
    /// # Errors
    /// When the file is missing, is not what was added, or the entry was removed meanwhile.
    pub fn open_pack(&self, entry: &Entry) -> Result<PackFile, StoreError> {
        verify::open_pack(&self.folder, entry)
    }

    /// Reads every byte that is kept of an entry, and compares. `watch` is told the bytes that are
    /// done, and how many there are.
    ///
    /// # Errors
    /// When a blob is missing, or is not what was added.
    pub fn verify(&self, entry: &Entry, watch: &dyn Fn(u64, u64)) -> Result<(), StoreError> {
        verify::verify(&self.folder, entry, watch)
    }

    /// Removes blobs that nothing refers to, and staged files whose makers are gone.
    ///
    /// # Errors
    /// When the store cannot be written, or it cannot be known what is referred to.
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        sweep::sweep(&self.folder)
    }
}
