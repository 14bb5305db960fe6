//! GGUF: weights and metadata in one file. Owns the parsed header; the weights stay where they are.
//!
//! The pack file reads its weight sections through [`Gguf::parse`], the base file is one of these,
//! and the importer reads foreign ones. [`GgufWriter`] writes what the reader takes.
//!
//! ```text
//! magic "GGUF" | version u32 | tensor count u64 | key count u64
//! key:    name string | kind u32 | value                                  (times key count)
//! tensor: name string | dims u32 | dim u64 (times dims) | type u32 | offset u64  (times count)
//! zeros up to a multiple of `general.alignment` (32 where the file does not say)
//! tensor data; offsets count from here, each a multiple of the alignment
//! ```
//!
//! Everything is little-endian; a string is a u64 length and UTF-8. The innermost dimension comes
//! first in the file and last in [`TensorInfo::shape`].
//!
//! What stays true of a parsed file: every tensor's range lies inside it, at a multiple of at
//! least 8 bytes, with exactly the bytes its shape needs, and shares none with another tensor;
//! names and keys are unique. No count is believed before it is held against the bytes left.

mod cursor;
mod error;
mod reader;
mod value;
mod weight_type;
mod writer;

use std::collections::HashMap;
use std::ops::Range;

pub use error::{GgufError, GgufWriteError};
pub use value::{Array, Value, ValueKind};
pub use weight_type::{WeightType, WeightTypeError};
pub use writer::GgufWriter;

/// The metadata key that says where tensors may begin; the writer sets it itself.
pub const ALIGNMENT_KEY: &str = "general.alignment";

/// The longest key, in bytes: GGUF's own limit.
const KEY_LIMIT: usize = 65_535;

/// The longest tensor name, in bytes. GGUF says 64, but packs name their tensors themselves.
const NAME_LIMIT: usize = 255;

/// The most dimensions a tensor has.
const DIMS_LIMIT: usize = 4;

/// How deep arrays of arrays may go.
const DEPTH_LIMIT: usize = 4;

/// Metadata keys in one file; real ones have fewer than a hundred.
const KEYS_LIMIT: u64 = 1 << 16;

/// Tensors in one file; the largest known models have some thousands.
const TENSORS_LIMIT: u64 = 1 << 18;

/// Values in all arrays of a file together, a pack with all its weights being one file. A vocabulary of 256K tokens takes about a million; a
/// value takes more in memory than in the file, so the file's length alone is no bound.
pub(crate) const VALUES_LIMIT: u64 = 1 << 22;

/// The longest text: embedded tokenizers run to some ten megabytes.
const TEXT_LIMIT: usize = 256 << 20;

/// A parsed GGUF header.
#[derive(Debug, Clone)]
pub struct Gguf {
    version: u32,
    alignment: usize,
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    by_key: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

impl Gguf {
    /// Reads the header of a GGUF file that is in memory, or mapped; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// When the bytes are no sound GGUF file of version 2 or 3, or a tensor is of a type that no
    /// executor knows.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, GgufError> {
        Self::parse_within(bytes, name, &mut { VALUES_LIMIT })
    }

    /// Reads one of several files that come together: what their arrays hold is counted off
    /// `values_left`, so that many files are not worth more memory than one.
    pub(crate) fn parse_within(
        bytes: &[u8],
        name: &str,
        values_left: &mut u64,
    ) -> Result<Self, GgufError> {
        reader::parse(bytes, name, values_left)
    }

    /// The version of the format.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What every tensor's offset in the data is a multiple of.
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    /// Keys and values, in the file's order.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.metadata.iter().map(|(key, value)| (&**key, value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (_, value) = self.metadata.get(*self.by_key.get(key)?)?;
        Some(value)
    }

    /// The tensors, in the file's order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(*self.by_name.get(name)?)
    }
}

/// Where a tensor lies and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The tensor's name, unique in its file.
    pub name: String,
    /// Row-major: outermost dimension first. One to four, none of them zero.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub kind: WeightType,
    /// Its bytes inside the GGUF file.
    pub range: Range<usize>,
}

impl TensorInfo {
    /// How many elements the tensor has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What is wrong with a shape: the same rules for reader and writer.
struct ShapeFault {
    what: &'static str,
    found: String,
    expected: String,
}

/// The bytes that a row-major shape takes.
fn shape_bytes(kind: WeightType, shape: &[u64]) -> Result<u64, ShapeFault> {
    let fault = |what, found: String, expected: &str| ShapeFault {
        what,
        found,
        expected: expected.to_string(),
    };
    if shape.is_empty() || shape.len() > DIMS_LIMIT {
        let found = shape.len().to_string();
        return Err(fault("number of dimensions", found, "1 to 4"));
    }
    if shape.contains(&0) {
        return Err(fault("shape", format!("{shape:?}"), "no zeros"));
    }
    let row = shape.last().copied().unwrap_or_default();
    if !row.is_multiple_of(kind.block_len() as u64) {
        let expected = format!("a multiple of {}, the block of `{kind}`", kind.block_len());
        return Err(fault("row length", row.to_string(), &expected));
    }
    shape
        .iter()
        .try_fold(1u64, |product, dim| product.checked_mul(*dim))
        .and_then(|elements| kind.bytes(elements))
        .filter(|bytes| *bytes <= isize::MAX as u64)
        .ok_or_else(|| fault("shape", format!("{shape:?}"), "fewer than 2^63 bytes"))
}

/// `offset` moved up to a multiple of `alignment`.
fn align_up(offset: u64, alignment: u64) -> Option<u64> {
    offset.checked_next_multiple_of(alignment)
}
