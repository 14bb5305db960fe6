//! The formats from outside, through the public face of the crate only.

/// Largest single allocation, watched while hostile files are read.
mod allocations;
/// GGUF files: what is written is read again, and what is damaged never panics.
mod gguf;
/// Private keys: what OpenSSL writes is read, and the other way round.
mod key;
/// Manifests: damaged ones never panic.
mod manifest;
/// OCI documents: what is not known is kept, and what is damaged never panics.
mod oci;
/// Pack files: every rule about sections, damage at every byte, atomic writing.
mod pack;
/// Signed packs: whatever anybody does to one, it is refused.
mod signed;
