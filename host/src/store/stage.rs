//! Files on their way into the store.

use modularbase_format::PackFile;

/// A pack file's checked copy inside the store, which nothing refers to yet. Dropped, it goes.
#[derive(Debug)]
pub struct Staged {
    file: PackFile,
}

impl Staged {
    /// The copy. Its path in messages is that of the file it was made of.
    pub fn file(&self) -> &PackFile {
        &self.file
    }
}
