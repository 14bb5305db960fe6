//! A change of the store, under its lock: begun, made, committed.

use modularbase_format::manifest::Publisher;
use semver::Version;

use super::{Contents, Entry, Staged, StoreError};

/// A change that is being made. Nobody else changes the store meanwhile; dropped without
/// [`commit`](Self::commit), it leaves the store as it was.
#[derive(Debug)]
pub struct Change {
    contents: Contents,
}

/// What [`Change::add`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// This version of the pack is new here.
    New,
    /// The same file was kept already.
    Again,
}

/// What a pack's component imports and exports, by the full names (`modularbase:pack/tensors@0.1.0`):
/// other tools read it in the pack's config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

impl Change {
    /// What is kept, with what was changed so far.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Adds a pack and puts it in use. Adding what is kept already puts it in use again.
    ///
    /// # Errors
    /// When other bytes are kept under the same id and version.
    pub fn add(
        &mut self,
        staged: Staged,
        interfaces: &Interfaces,
        hooks_allowed: bool,
    ) -> Result<Added, StoreError> {
        let _ = (staged, interfaces, hooks_allowed);
        todo!()
    }

    /// Puts a version that is kept in use, instead of another of the same id.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn put_in_use(
        &mut self,
        id: &str,
        version: &Version,
        hooks_allowed: bool,
    ) -> Result<(), StoreError> {
        let _ = (id, version, hooks_allowed);
        todo!()
    }

    /// Removes one version of a pack, or all; gives what was removed. When the version in use goes
    /// and others stay, the newest of them is put in use; when the router goes, there is none.
    pub fn remove(&mut self, id: &str, version: Option<&Version>) -> Vec<Entry> {
        let _ = (id, version);
        todo!()
    }

    /// Chooses the router.
    ///
    /// # Errors
    /// When no version of it is kept.
    pub fn set_router(&mut self, id: Option<&str>) -> Result<(), StoreError> {
        let _ = id;
        todo!()
    }

    /// Notes who publishes a pack, or that nobody is known to. The note outlives the pack.
    pub fn pin(&mut self, id: &str, publisher: Option<Publisher>) {
        let _ = (id, publisher);
        todo!()
    }

    /// Makes the change: blobs first, the index last.
    ///
    /// # Errors
    /// When the store cannot be written; then it is as it was.
    pub fn commit(self) -> Result<(), StoreError> {
        todo!()
    }
}
