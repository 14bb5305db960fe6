//! What is referred to, and the removal of what is not.
//!
//! Of our own packs that is exact: manifest, config, pack file. What other tools refer to, this
//! does not judge: whatever looks like a digest in the index counts, and so on in the documents
//! that it leads to.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Seek};

use modularbase_format::Digest;
use modularbase_format::oci::{BlobDigest, Index};

use super::contents::{Contents, Entry, FORMAT_KEY};
use super::error::at;
use super::folder::Folder;
use super::lock::Lock;
use super::{StoreError, file, staging, verify};

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many files.
    pub files: usize,
    /// How many bytes they took.
    pub bytes: u64,
}

impl Swept {
    pub(super) fn count(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Removes what nothing refers to; see [`Store::sweep`](super::Store::sweep).
pub(super) fn sweep(folder: &Folder) -> Result<Swept, StoreError> {
    // Before it is known what this is, nothing is written or removed.
    folder.read()?;
    if !folder.is_begun()? {
        return Ok(Swept::default());
    }
    let _lock = Lock::take(folder)?;
    let (index, contents) = folder.read()?;
    // Whoever wrote the index may have died before it would last.
    file::sync_folder(folder.root())?;
    let mut swept = staging::sweep(folder)?;
    let kept = referred(folder, &index, &contents)?;
    // An index that nobody of us has written says nothing about what we put beside it.
    if !folder.has_blobs()? || !index.annotations.contains_key(FORMAT_KEY) {
        return Ok(swept);
    }
    let blobs = folder.blobs();
    for entry in fs::read_dir(&blobs).map_err(at(&blobs))? {
        let entry = entry.map_err(at(&blobs))?;
        // What has no digest for a name, or is no file, was not put there by a store.
        let name = entry.file_name();
        let digest = name.to_str().and_then(|it| it.parse::<Digest>().ok());
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found.map_err(at(&blobs))?,
        };
        if metadata.is_file() && digest.is_some_and(|it| !kept.contains(&it)) {
            file::remove(&entry.path())?;
            swept.count(metadata.len());
        }
    }
    Ok(swept)
}

/// Removes the blobs of entries that were removed, as far as nothing else refers to them. The lock
/// is held, and the index is without them. A crash leaves them for a sweep.
pub(super) fn free(folder: &Folder, index: &Index, removed: &[Digest]) -> Result<(), StoreError> {
    let contents = Contents::read(index, &folder.index())?;
    let kept = referred(folder, index, &contents)?;
    for digest in removed.iter().filter(|it| !kept.contains(it)) {
        file::remove(&folder.blob(digest))?;
    }
    Ok(())
}

/// The blobs of an entry, as far as they can be told.
pub(super) fn blobs_of(folder: &Folder, entry: &Entry) -> Vec<Digest> {
    // Without its manifest nobody knows its config; a sweep finds it.
    let image = verify::image(folder, entry).ok();
    let config = image.and_then(|it| it.config.digest.sha256());
    let known = [entry.manifest.0, entry.digest];
    known.into_iter().chain(config).collect()
}

/// Every blob that something in the index refers to.
fn referred(
    folder: &Folder,
    index: &Index,
    contents: &Contents,
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut kept = BTreeSet::new();
    for entry in contents.entries() {
        // Where the manifest is damaged nobody knows what it refers to, so nothing can go.
        let image = verify::image(folder, entry)?;
        kept.extend([entry.manifest.0, entry.digest]);
        kept.extend(image.config.digest.sha256());
    }
    // All of ours is known by now; the rest is followed from wherever it stands.
    let mut seen: BTreeSet<BlobDigest> = kept.iter().copied().map(BlobDigest::from).collect();
    let mut next = digests_in(&index.to_bytes());
    while let Some(digest) = next.pop() {
        if !seen.contains(&digest) {
            next.extend(named_in(folder, &digest)?);
            kept.extend(digest.sha256());
            seen.insert(digest);
        }
    }
    Ok(kept)
}

/// Everything in a document that looks like a digest; nothing in other blobs.
fn named_in(folder: &Folder, digest: &BlobDigest) -> Result<Vec<BlobDigest>, StoreError> {
    let Some(path) = folder.foreign_blob(digest)? else {
        return Ok(Vec::new());
    };
    let Some((mut file, metadata)) = file::open(&path)? else {
        return Ok(Vec::new());
    };
    // Nobody writes documents longer than an index; longer ones are content.
    if metadata.len() > Index::LIMIT as u64 {
        return Ok(Vec::new());
    }
    let mut head = Vec::new();
    let read = (&mut file).take(64).read_to_end(&mut head);
    read.map_err(at(&path))?;
    if !head.trim_ascii_start().starts_with(b"{") {
        return Ok(Vec::new());
    }
    file.rewind().map_err(at(&path))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(at(&path))?;
    Ok(digests_in(&bytes))
}

/// Everything that looks like a digest of some algorithm; much of it is none, and names no blob.
fn digests_in(bytes: &[u8]) -> Vec<BlobDigest> {
    const SHA256: &[u8] = b"sha256";
    let is_algorithm = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+._-".contains(c);
    let is_encoded = |c: &u8| c.is_ascii_alphanumeric() || b"=_-".contains(c);
    let digest = |(at, _): (usize, &u8)| {
        let (before, after) = (bytes.get(..at)?, bytes.get(at + 1..)?);
        // Whatever else touches it.
        if before.ends_with(SHA256) {
            let hex = std::str::from_utf8(after.get(..64)?).ok()?;
            return hex.parse().ok().map(BlobDigest::Sha256);
        }
        let name = before.iter().rev().take_while(|c| is_algorithm(c)).count();
        let rest = after.iter().take_while(|c| is_encoded(c)).count();
        let text = bytes.get(at - name..=at + rest)?;
        BlobDigest::read(std::str::from_utf8(text).ok()?)
    };
    let colons = bytes.iter().enumerate().filter(|(_, c)| **c == b':');
    colons.filter_map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_wherever_they_stand() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let text = format!(r#"{{"x":["sha256:{a}"],"subject":{{"digest":"sha256:{b}"}},"sha256:0"#);
        let both = [a, b].map(BlobDigest::from);
        assert_eq!(digests_in(text.as_bytes()), both);
        assert_eq!(digests_in(b"sha256:sha256:"), []);
        let other = digests_in(b"{\"https://x\": \"sha512:AbC\"}");
        assert_eq!(other, [BlobDigest::Other("sha512:AbC".into())]);
    }
}
