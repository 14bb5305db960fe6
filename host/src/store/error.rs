//! Why the store did not do what it was asked: the file, what was found, what was expected.

use std::io;
use std::path::PathBuf;

use modularbase_format::{Hint, PackFileError};

/// Why the store cannot be read, or was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no sound pack.
    #[error(transparent)]
    Pack(#[from] PackFileError),
}

impl StoreError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Pack(error) => error.hint(),
            Self::Io { .. } => None,
        }
    }
}
