//! What the tests share: packs made of guests, and a host to load them into.
//!
//! `guests` builds `tests/guests` and `packs/` once for a run of the tests; `wat` makes
//! components of text; `packs` makes pack files of components, manifests and weights.

#![allow(dead_code, reason = "each test uses what it needs")]

mod guests;
mod packs;
mod wat;

use std::path::{Path, PathBuf};

pub use guests::guest;
pub use packs::{Gguf, Source, try_open};
pub use wat::{component, expert, misread};

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A pack of `packs/dense` for a base of `width`, with `model` as the text of `[model]`.
pub fn dense(width: usize, model: &str, weights: Gguf) -> Source {
    let source = Source::new("dense", guest("dense"));
    source.width(width).model(model).weights(weights)
}
