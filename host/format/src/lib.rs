//! The file formats of ModularBase: what is read from files that others wrote.
//!
//! | module | file | entry |
//! |---|---|---|
//! | [`gguf`] | weights and their metadata | [`Gguf::parse`], [`GgufWriter`] |
//! | [`manifest`] | `pack.toml`, what a pack says of itself | [`Manifest::parse`] |
//! | [`safetensors`] | weights from elsewhere | [`Safetensors::parse`] |
//! | [`pack`] | `pack.wasm`, a component with weights and manifest | [`PackFile::open`], [`PackWriter`] |
//! | [`key`] | a publisher's private key | [`PrivateKey::from_pem`] |
//! | [`oci`] | index and manifests of an OCI image layout | [`oci::Index::parse`], [`oci::Image::parse`] |
//!
//! Third parties read and check packs with this crate alone, and fuzzers aim at it. It does not
//! compile or run components, does not compute with weights, and keeps no store: it knows neither
//! wasmtime nor candle.
//!
//! What stays true here: no input makes a reader panic, and nothing is allocated by a count that
//! the file claims before the count is checked against the bytes that are left.
//!
//! ```no_run
//! use modularbase_format::PackFile;
//!
//! let pack = PackFile::open("pack.wasm".as_ref())?;
//! println!("{} {}", pack.manifest().id, pack.manifest().version);
//! for tensor in pack.tensors() {
//!     println!("{} {:?} {}", tensor.info.name, tensor.info.shape, tensor.info.kind);
//! }
//! # Ok::<(), modularbase_format::PackFileError>(())
//! ```

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
pub mod key;
pub mod manifest;
pub mod oci;
pub mod pack;
pub mod safetensors;

mod digest;
mod hint;
mod mapping;
mod quote;

pub use digest::{Digest, DigestError};
pub use gguf::{Gguf, GgufError, GgufWriteError, GgufWriter, TensorInfo, WeightType};
pub use hint::Hint;
pub use key::{KeyError, PrivateKey};
pub use manifest::{Manifest, ManifestError, Role};
pub use mapping::Mapping;
pub use oci::OciError;
pub use pack::{PackFile, PackFileError, PackWriter, Tensor};
pub use safetensors::{Safetensors, SafetensorsError};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_small_enough_to_be_returned_and_wrapped() {
        assert!(size_of::<GgufError>() <= 96);
        assert!(size_of::<ManifestError>() <= 96);
        assert!(size_of::<PackFileError>() <= 104);
        assert!(size_of::<KeyError>() <= 96);
        assert!(size_of::<OciError>() <= 96);
    }
}
