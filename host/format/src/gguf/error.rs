//! What can be wrong with a GGUF file, and with what somebody asks the writer to write.
//!
//! Every message names the file, the place, what was found and what was expected. Names that come
//! from the file arrive here already quoted.

use std::io;

use super::WeightType;
use crate::Hint;

/// Why a file is not taken as GGUF.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file begins with something else.
    #[error("{file}: file begins with {found}, expected `GGUF`")]
    Magic {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The first bytes, escaped.
        found: Box<str>,
    },

    /// The file was written for big-endian machines.
    #[error("{file}: byte order is big-endian, expected little-endian")]
    BigEndian {
        /// The file, as the caller named it.
        file: Box<str>,
    },

    /// A version of the format that this reader does not know.
    #[error("{file}: GGUF version is {found}, expected 2 or 3")]
    Version {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The version it claims.
        found: u32,
    },

    /// The file ends before what it announces.
    #[error("{file}: {place}: {left} bytes are left at byte {offset}, expected {needed}")]
    Truncated {
        /// The file, as the caller named it.
        file: Box<str>,
        /// What was being read.
        place: Box<str>,
        /// Where in the file.
        offset: usize,
        /// Bytes from there to the end.
        left: usize,
        /// Bytes that the content would need, at least.
        needed: u64,
    },

    /// A number, length or text that no sound file has.
    #[error("{file}: {place}: {what} is {found} at byte {offset}, expected {expected}")]
    Unsound {
        /// The file, as the caller named it.
        file: Box<str>,
        /// What was being read: the header, a key, a tensor.
        place: Box<str>,
        /// Which property of it.
        what: &'static str,
        /// Where in the file.
        offset: usize,
        /// What stands there.
        found: Box<str>,
        /// What a sound file has there.
        expected: Box<str>,
    },

    /// Two metadata keys, or two tensors, of one name.
    #[error("{file}: {place} appears again at byte {offset}, expected once")]
    Duplicate {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The key or tensor.
        place: Box<str>,
        /// Where the second one stands.
        offset: usize,
    },

    /// A tensor of a type that no executor computes with.
    #[error("{file}: tensor {tensor} is of type {number}{}, expected one of {}", called(.number), known())]
    UnknownType {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The tensor's name, quoted.
        tensor: Box<str>,
        /// The type's number.
        number: u32,
    },

    /// Two tensors that share bytes.
    #[error("{file}: tensor {tensor} begins at byte {offset}, inside tensor {other}")]
    Overlap {
        /// The file, as the caller named it.
        file: Box<str>,
        /// The tensor that begins later.
        tensor: Box<str>,
        /// The one it runs into.
        other: Box<str>,
        /// Where the first of the two begins to be shared.
        offset: usize,
    },
}

impl GgufError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::BigEndian { .. } => {
                "convert it with `gguf_convert_endian.py` from llama.cpp's gguf-py"
            }
            Self::Version { found: 0 | 1, .. } => {
                "version 1 is from 2023; convert the model again with today's llama.cpp"
            }
            Self::Version { .. } => "a newer ModularBase may read it",
            Self::UnknownType { .. } => "quantise the model again, for example to `Q8_0` or `Q4_K`",
            Self::Truncated { .. } => "the file may be a download that was cut short",
            _ => return None,
        };
        Some(Hint::new(text))
    }
}

fn called(number: &u32) -> String {
    super::weight_type::foreign_name(*number)
        .map(|name| format!(" (`{name}`)"))
        .unwrap_or_default()
}

fn known() -> String {
    WeightType::ALL.map(|kind| format!("`{kind}`")).join(", ")
}

/// Why a GGUF file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufWriteError {
    /// A key, a tensor's name, shape or data that the reader would not take back.
    #[error("{place}: {what} is {found}, expected {expected}")]
    Unsound {
        /// The key or tensor.
        place: Box<str>,
        /// Which property of it.
        what: &'static str,
        /// What was given.
        found: Box<str>,
        /// What would be taken.
        expected: Box<str>,
    },

    /// The same key or tensor twice.
    #[error("{place} was given twice, expected once")]
    Duplicate {
        /// The key or tensor.
        place: Box<str>,
    },

    /// The bytes did not reach their file.
    #[error("{place}: {source}")]
    Io {
        /// What was being written.
        place: Box<str>,
        /// What the system said.
        source: io::Error,
    },
}
