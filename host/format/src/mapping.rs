//! Read-only maps of whole files. Owns the one `unsafe` of this crate.
//!
//! Readers of pack and base files hold a [`Mapping`] and hand out slices of it; executors keep it
//! alive through an `Arc` and compute straight from its bytes.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, MmapMut};

/// A whole file as bytes in memory, never written to. Its first byte lies on a page border.
pub struct Mapping(Mmap);

impl Mapping {
    /// Maps the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening: opening a FIFO would wait for a writer.
        if !path.metadata()?.is_file() {
            let kind = io::ErrorKind::InvalidInput;
            return Err(io::Error::new(kind, "not a regular file"));
        }
        Self::of_file(&File::open(path)?)
    }

    /// Maps an open file. Nobody may write to it, or cut it, while the map is there.
    ///
    /// # Errors
    ///
    /// When the file cannot be mapped.
    pub fn of_file(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private and read-only, and nothing of ours writes to a file that may
        // be mapped: the store's blobs are 0444, and both they and the packs that are built are
        // replaced by renaming, never in place. What is installed was copied into the store first;
        // inspecting, testing and building map the user's own files, which the caller promises
        // to leave alone meanwhile. Whoever rewrites or cuts a file under us all the same is
        // outside this promise, as for every mapped file: all that we do about it is to hold each
        // range against the length of the map, so that no access leaves it.
        unsafe { Mmap::map(file) }.map(Self)
    }

    /// Page-aligned bytes with the same face, for those who have no file: tests and fuzzers.
    ///
    /// # Errors
    ///
    /// When the system has no memory left.
    pub fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        let mut map = MmapMut::map_anon(bytes.len())?;
        map.copy_from_slice(bytes);
        map.make_read_only().map(Self)
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_bytes_even_when_empty() {
        assert_eq!(&*Mapping::copy_of(b"abc").unwrap(), b"abc");
        assert_eq!(&*Mapping::copy_of(b"").unwrap(), b"");
    }

    #[test]
    fn a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Mapping::open(dir.path()).is_err());
    }
}
