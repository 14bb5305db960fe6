//! The formats from outside, through the public face of the crate only.

/// Largest single allocation, watched while hostile files are read.
mod allocations;
/// GGUF files: what is written is read again, and what is damaged never panics.
mod gguf;
/// Manifests: damaged ones never panic.
mod manifest;
/// Pack files: every rule about sections, damage at every byte, signatures, atomic writing.
mod pack;
