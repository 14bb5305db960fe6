//! What can go wrong, for whoever embeds the host: one variant a door.
//!
//! Each door has its own error with the facts; this gathers them, so that `?` works across
//! doors, and hands out the hint that is printed last.

use std::path::PathBuf;

pub use modularbase_format::Hint;

use crate::pack::{BuildError, PackError};
use crate::packs::PacksError;
use crate::roles::Failure;
use crate::store::StoreError;
use crate::tensor::TensorError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pack is not let in.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A pack was not built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A pack refused, breached, or could not be served.
    #[error(transparent)]
    Role(#[from] Failure),
    /// A plan was not loaded or not run.
    #[error(transparent)]
    Device(#[from] TensorError),
    /// The store cannot be read, or was not changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pack was not added, found or removed.
    #[error(transparent)]
    Packs(#[from] PacksError),
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What the library's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to try next, where there is something. Printed apart from the message, and last.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Pack(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Packs(error) => error.hint(),
            Self::Role(_) | Self::Device(_) | Self::Io { .. } => None,
        }
    }
}
