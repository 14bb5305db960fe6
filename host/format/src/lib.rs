//! The file formats of ModularBase: what is read from files that others wrote.
//!
//! | module | file | entry |
//! |---|---|---|
//! | [`gguf`] | weights and their metadata | [`Gguf::parse`], [`GgufWriter`] |
//! //! //!
//! Third parties read and check packs with this crate alone, and fuzzers aim at it. It does not
//! compile or run components, does not compute with weights, and keeps no store: it knows neither
//! wasmtime nor candle.
//!
//! What stays true here: no input makes a reader panic, and nothing is allocated by a count that
//! the file claims before the count is checked against the bytes that are left.
//!

#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test that panics is a test that fails"
    )
)]

pub mod gguf;

mod digest;
mod hint;
mod mapping;
mod quote;

pub use digest::{Digest, DigestError};
pub use gguf::{Gguf, GgufError, GgufWriteError, GgufWriter, TensorInfo, WeightType};
pub use hint::Hint;
pub use mapping::Mapping;
