//! What can be wrong with the JSON of an OCI image layout.
//!
//! Messages name the file, the key with the way to it, what was found and what was expected. Keys
//! and values from the file arrive here already quoted.

use crate::Hint;

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// More text than such a document has.
    #[error("{file}: document is {found} bytes long, expected at most {limit}")]
    TooLong {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Its length in bytes.
        found: usize,
        /// The most that is read.
        limit: usize,
    },

    /// The text is no JSON.
    #[error("{file}:{line}:{column}: {detail}")]
    Syntax {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        detail: Box<str>,
    },

    /// One key twice in an object.
    #[error("{file}: key {key} appears again, expected once")]
    Duplicate {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The key and the way to it, quoted.
        key: Box<str>,
    },

    /// A key that must be there.
    #[error("{file}: key {key} is missing")]
    MissingKey {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The key and the way to it, quoted.
        key: Box<str>,
    },

    /// A value of another type than its key takes.
    #[error("{file}: key {key} is {found}, expected {expected}")]
    WrongType {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The key and the way to it, quoted.
        key: Box<str>,
        /// The type it has.
        found: &'static str,
        /// The type it should have.
        expected: &'static str,
    },

    /// A value of the right type that says something impossible.
    #[error("{file}: key {key} is {found}, expected {expected}")]
    BadValue {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The key and the way to it, quoted.
        key: Box<str>,
        /// What stands there.
        found: Box<str>,
        /// What might stand there.
        expected: Box<str>,
    },
}

impl OciError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::BadValue { key, .. }
                if matches!(&**key, "`imageLayoutVersion`" | "`schemaVersion`") =>
            {
                Some(Hint::new("a newer ModularBase may read it"))
            }
            _ => None,
        }
    }
}
