//! Compiled code on disk: a pack that was compiled once opens without compiling again.
//!
//! [`Sandbox`](super::Sandbox) asks here before it compiles and leaves here what it compiled.
//! `entry` knows what an entry looks like, `folder` whom it may come from. What stays true: code
//! that is run from here was written by this user, by an engine of this very version and these
//! settings, for these very bytes of a component; and whatever is wrong with folder or file
//! costs time and a warning, never an error: the pack is compiled and opens.
//!
//! One entry serves every pack of the same code, since weights and manifest are no part of it.

mod entry;
mod folder;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use modularbase_format::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::log::escaped;
use super::sandbox;
use entry::{Key, Named};
use folder::Folder;

/// A folder of compiled code, this user's alone. Clones share it.
#[derive(Clone, Debug)]
pub struct CodeCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    warned: AtomicBool,
}

/// What a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freed {
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl CodeCache {
    /// A cache in `folder`, which need not be there: it is made when there is something to keep.
    ///
    /// A folder that others may read or write, that is another user's or is a link is not used;
    /// a warning in the log says so, once.
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        // Without a slash at the end, behind which a link would be followed after all.
        let folder = folder.into().components().collect();
        Self {
            shared: Arc::new(Shared {
                folder,
                warned: AtomicBool::new(false),
            }),
        }
    }

    /// Removes what no pack of this host opens: entries of code that is not among `keep` (the
    /// [code digests](modularbase_format::PackFile::code_digest) of the packs that are kept) or
    /// of other settings, and what writers that died have left. Other files stay.
    pub fn sweep(&self, keep: &BTreeSet<Digest>) -> Freed {
        let mut freed = Freed::default();
        let folder = match Folder::open(&self.shared.folder) {
            Ok(Some(folder)) => folder,
            Ok(None) => return freed,
            Err(error) => {
                self.warn("nothing is swept", &error);
                return freed;
            }
        };
        let settings = settings(&sandbox::engine());
        let is_kept = |named: &Named| match named {
            Named::Entry(code, of) => keep.contains(code) && *of == entry::short(&settings),
            Named::Unfinished => false,
        };
        let swept = folder.each(|name, file| {
            let gone = match Named::parse(name) {
                Some(Named::Unfinished) => file.is_old,
                Some(named) => !is_kept(&named),
                None => false,
            };
            // What cannot be removed is a folder by that name, or was just removed by another.
            if gone && folder.remove(name).is_ok() {
                freed.files += 1;
                freed.bytes += file.bytes;
            }
        });
        if let Err(error) = swept {
            self.warn("nothing is swept", &error);
        }
        freed
    }

    /// The component of that code: as it was compiled before, or compiled now and kept.
    ///
    /// # Errors
    /// When it does not compile.
    pub(super) fn component(
        &self,
        engine: &Engine,
        settings: Digest,
        code: &[u8],
    ) -> wasmtime::Result<Component> {
        let key = Key {
            // Told from the very bytes that would be compiled: a file that changes while it is
            // read cannot bring one code under another's name.
            code: Digest::of(code),
            settings,
        };
        if let Some(component) = self.find(engine, &key) {
            return Ok(component);
        }
        let component = Component::new(engine, code)?;
        if let Err(error) = self.keep(&key, &component) {
            self.warn("code that is compiled is not kept", &error);
        }
        Ok(component)
    }

    fn find(&self, engine: &Engine, key: &Key) -> Option<Component> {
        let read = || match Folder::open(&self.shared.folder)? {
            Some(folder) => folder.read(&key.name(), entry::MOST),
            None => Ok(None),
        };
        let found = read().and_then(|bytes| match bytes {
            Some(bytes) => restore(engine, key, &bytes).map(Some),
            None => Ok(None),
        });
        found.unwrap_or_else(|error| {
            self.warn("code is compiled anew", &error);
            None
        })
    }

    fn keep(&self, key: &Key, component: &Component) -> io::Result<()> {
        // The image of the code that was just made: what `Engine::precompile_component` would
        // give, without compiling twice or copying the code into place again.
        let payload = component.serialize().map_err(io::Error::other)?;
        if payload.len() as u64 > entry::MOST_PAYLOAD {
            return Err(io::Error::other("it is too large"));
        }
        let header = entry::header(key, &payload);
        Folder::make(&self.shared.folder)?.write(&key.name(), &[&header, &payload])
    }

    /// The first trouble is worth a user's attention; what follows is mostly the same.
    fn warn(&self, so: &str, error: &io::Error) {
        let folder = escaped(&self.shared.folder.display().to_string());
        let error = escaped(&error.to_string());
        match self.shared.warned.swap(true, Ordering::Relaxed) {
            false => tracing::warn!(target: "pack", "code cache `{folder}`: {error}; {so}"),
            true => tracing::debug!(target: "pack", "code cache `{folder}`: {error}; {so}"),
        }
    }
}

/// The component in an entry.
///
/// The bytes are copied into memory of wasmtime's own, a third of a millisecond for the code of a
/// pack with all else that loading it takes; judging the code again takes five times as long.
/// Mapping the file in place would save the copy, but the file could then change between the
/// checksum and the run, and after it; and `deserialize_raw` takes no native code at all.
fn restore(engine: &Engine, key: &Key, bytes: &[u8]) -> io::Result<Component> {
    let payload = entry::payload(key, bytes)?;
    // SAFETY: the payload must be what `Component::serialize` gave, unmodified, for an engine
    // that is compatible. The file was found in a folder and under an owner that let nobody but
    // this user write; it says that it holds code for this component, made by wasmtime of this
    // very version under these very settings (a hash of all that wasmtime counts as compatible,
    // with the processor's features), and its checksum holds. The checked bytes are in our
    // memory, so that they are what wasmtime copies. A user who forges an entry with a checksum
    // of its own could as well replace this program.
    unsafe { Component::deserialize(engine, payload) }.map_err(io::Error::other)
}

/// The digest of all that decides whether an engine can run what another has compiled.
///
/// wasmtime's own check of an entry compares no more than its major version; this has all of it.
pub(super) fn settings(engine: &Engine) -> Digest {
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest::from_bytes(hasher.0.finalize().into())
}

/// SHA-256 for what only knows `std::hash`, whose own hashers may change with Rust.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Config;

    use super::*;

    #[test]
    fn settings_tell_engines_apart_that_compile_differently() {
        let one = settings(&sandbox::engine());
        assert_eq!(settings(&sandbox::engine()), one);
        let mut other = Config::new();
        other.consume_fuel(false);
        let other = Engine::new(&other).expect("an engine");
        assert_ne!(settings(&other), one);
    }
}
