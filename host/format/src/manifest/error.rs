//! What can be wrong with a `pack.toml`: the place, what was found, and what was expected.
//!
//! Messages begin as compilers' do, with `file:line:column`; the nearest known key and other
//! advice are a [`Hint`], apart from the message.

use crate::Hint;

/// Why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// More text than any manifest has.
    #[error("{file}: manifest is {found} bytes long, expected at most {limit}")]
    TooLong {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Its length in bytes.
        found: usize,
        /// The most that is read.
        limit: usize,
    },

    /// The text is no TOML.
    #[error("{file}:{line}:{column}: {detail}")]
    Syntax {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What the TOML parser says.
        detail: Box<str>,
    },

    /// A key that manifests do not have.
    #[error("{file}:{line}:{column}: key {key} is unknown{}", in_table(.table))]
    UnknownKey {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The key, quoted.
        key: Box<str>,
        /// The table it stands in; empty for the manifest itself.
        table: Box<str>,
        /// How to put it right.
        hint: Hint,
    },

    /// A key that every manifest needs.
    #[error("{file}:{line}:{column}: key `{key}` is missing{}", in_table(.table))]
    MissingKey {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The line of the table's head.
        line: usize,
        /// The column of the table's head.
        column: usize,
        /// The key.
        key: &'static str,
        /// The table it belongs to; empty for the manifest itself.
        table: Box<str>,
    },

    /// A value of another type than its key takes.
    #[error("{file}:{line}:{column}: key {key} is {found}, expected {expected}")]
    WrongType {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The key with its table, quoted.
        key: Box<str>,
        /// The type it has.
        found: &'static str,
        /// The type it should have.
        expected: &'static str,
    },

    /// A value of the right type that says something impossible.
    #[error("{file}:{line}:{column}: key {key} is {found}, expected {expected}")]
    BadValue {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The key with its table, quoted.
        key: Box<str>,
        /// What stands there.
        found: Box<str>,
        /// What might stand there.
        expected: Box<str>,
    },

    /// A hyper-parameter of a name that the host answers itself.
    #[error("{file}:{line}:{column}: key {key} is the host's to answer, expected another name")]
    Reserved {
        /// The file, as the caller named it.
        file: Box<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The key with its table, quoted.
        key: Box<str>,
    },
}

impl ManifestError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::UnknownKey { hint, .. } => Some(hint.clone()),
            Self::TooLong { .. } => Some(Hint::new("weights and long texts belong elsewhere")),
            Self::MissingKey { table, .. } if table.is_empty() => Some(Hint::new(
                "keys of the manifest itself stand above the first `[table]`",
            )),
            Self::Reserved { .. } => Some(Hint::new(
                "packs are told the variant that is loaded; `variants`, above the first \
                 `[table]`, lists them",
            )),
            _ => None,
        }
    }
}

fn in_table(table: &str) -> String {
    match table {
        "" => String::new(),
        table => format!(" in `[{table}]`"),
    }
}
