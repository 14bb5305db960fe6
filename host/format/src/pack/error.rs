//! What can be wrong with a pack file, reading or writing it.
//!
//! Every message begins with the file. What the manifest or a weights section says of itself
//! comes from its own error.

use std::io;
use std::path::PathBuf;

use crate::gguf::GgufWriteError;
use crate::manifest::Publisher;
use crate::{GgufError, Hint, ManifestError};

/// Why a file is not taken as a pack, or was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackFileError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The file is something else than a WebAssembly component.
    #[error("{}: file begins with {found}, expected a WebAssembly component", .path.display())]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: Box<str>,
    },

    /// A section that cannot be read.
    #[error("{}: section at byte {offset}: {what} is {found}, expected {expected}", .path.display())]
    Section {
        /// The file.
        path: PathBuf,
        /// Where the section begins.
        offset: usize,
        /// Which part of it.
        what: &'static str,
        /// What stands there.
        found: Box<str>,
        /// What might stand there.
        expected: Box<str>,
    },

    /// A section of ours in the wrong place.
    #[error("{}: section {section} at byte {offset} is {found}, expected {expected}", .path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// The section's name, quoted.
        section: Box<str>,
        /// Where it begins.
        offset: usize,
        /// Where it stands.
        found: Box<str>,
        /// Where it belongs.
        expected: Box<str>,
    },

    /// A second section of a name that stands once.
    #[error("{}: section `{section}` appears again at byte {offset}, expected once", .path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The section's name.
        section: &'static str,
        /// Where the second one begins.
        offset: usize,
    },

    /// A `modularbase:` section that this version does not know.
    #[error("{}: section {section} at byte {offset} is unknown", .path.display())]
    UnknownSection {
        /// The file.
        path: PathBuf,
        /// Its name, quoted.
        section: Box<str>,
        /// Where it begins.
        offset: usize,
    },

    /// A component without a manifest.
    #[error("{}: section `modularbase:manifest` is missing", .path.display())]
    MissingManifest {
        /// The file.
        path: PathBuf,
    },

    /// The manifest is not sound.
    #[error(transparent)]
    Manifest(#[from] ManifestError),

    /// A weights section is no sound GGUF file.
    #[error(transparent)]
    Weights(#[from] GgufError),

    /// One tensor in two weights sections.
    #[error("{}: tensor {tensor} is in weights {first} and {second}, expected in one", .path.display())]
    DuplicateTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name, quoted.
        tensor: Box<str>,
        /// The first section that has it, from 0.
        first: usize,
        /// The second.
        second: usize,
    },

    /// The signature and the manifest's publisher do not go together.
    #[error("{}: signature is {found}, expected {expected}", .path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// What stands there.
        found: Box<str>,
        /// What the manifest asks for.
        expected: Box<str>,
    },

    /// A manifest with a publisher in a pack that nobody signed.
    #[error("{}: signature is missing, expected one by `{publisher}`", .path.display())]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// Whom the manifest names.
        publisher: Publisher,
    },

    /// A key to sign with that is not the manifest's publisher.
    #[error("{}: key is `{found}`, expected that of the manifest's `publisher`, {expected}", .path.display())]
    WrongKey {
        /// The file that was to be written.
        path: PathBuf,
        /// Who signs with the key.
        found: Publisher,
        /// Whom the manifest names.
        expected: Box<str>,
    },

    /// Weights that do not fit into one section.
    #[error("{}: weights are {found} bytes, expected at most {limit} in one section", .path.display())]
    ShardTooLarge {
        /// The file that was to be written.
        path: PathBuf,
        /// Their length.
        found: u64,
        /// The most that a section holds.
        limit: u64,
    },

    /// Weights that could not be written.
    #[error("{}: {source}", .path.display())]
    Writer {
        /// The file that was to be written.
        path: PathBuf,
        /// Why.
        source: GgufWriteError,
    },
}

impl PackFileError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Manifest(error) => return error.hint(),
            Self::Weights(error) => return error.hint(),
            Self::NotAComponent { found, .. } if found.contains("core module") => {
                "`mbhost pack build` makes a component of it"
            }
            Self::MissingManifest { .. } => "a component becomes a pack with `mbhost pack build`",
            Self::UnknownSection { .. } => "a newer ModularBase may read it",
            Self::Section { .. } => "the file may be a download that was cut short",
            Self::Signature { .. } => {
                "the file was changed after it was signed, or signed by somebody else"
            }
            Self::Unsigned { .. } => {
                "`mbhost pack build --sign KEY` signs; from elsewhere, its signature was taken off"
            }
            Self::WrongKey { .. } => "`publisher` in `pack.toml` names whose key signs",
            Self::ShardTooLarge { .. } => "split them into several GGUF files",
            _ => return None,
        };
        Some(Hint::new(text))
    }
}
