//! What each reader of `modularbase-format` promises of any bytes, as a function that panics where
//! a promise is broken, and sound files to begin with.
//!
//! The targets call the functions; `seeds` writes the files.

pub mod gguf;
pub mod manifest;
pub mod oci;
pub mod pack;
pub mod private_key;
pub mod safetensors;

/// What readers are told that the file is called.
const FILE: &str = "the-file";

/// Holds a refusal to what messages look like: the file first, and nothing that moves a cursor.
fn refused(error: &impl std::fmt::Display) {
    let said = error.to_string();
    assert!(said.starts_with(FILE), "{said}");
    assert!(!said.contains(char::is_control), "{said:?}");
    assert!(said.len() < 4096, "{said}");
}
