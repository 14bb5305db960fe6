//! What can be believed of a pack that is kept: opening its file, and reading all that there is
//! of it.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;

use modularbase_format::manifest::Publisher;
use modularbase_format::oci::{Descriptor, Image};
use modularbase_format::{Digest, Mapping, PackFile};
use sha2::{Digest as _, Sha256};

use super::contents::{Entry, STAMP_KEY};
use super::error::at;
use super::folder::Folder;
use super::image::CONFIG_LIMIT;
use super::lock::Lock;
use super::stamp::Stamp;
use super::{StoreError, file};

/// What messages call a pack's blobs.
const PACK_FILE: &str = "pack file";
const MANIFEST: &str = "image manifest";
const CONFIG: &str = "config";

/// Bytes that are hashed before somebody is told.
const CHUNK: usize = 1 << 20;

/// Opens the pack file of an entry; see [`Store::open_pack`](super::Store::open_pack).
pub(super) fn open_pack(folder: &Folder, entry: &Entry) -> Result<PackFile, StoreError> {
    if let Some(opened) = Blob::find(folder, entry)?
        && opened.is_known(entry)
    {
        return opened.known(entry);
    }
    // The entry may be older than the file: both are replaced when a pack is added again.
    settled(folder, entry, |entry| {
        let blob = Blob::find(folder, entry)?;
        let blob = blob.ok_or_else(|| missing(folder, entry, PACK_FILE))?;
        if blob.is_known(entry) {
            return blob.known(entry);
        }
        let file = blob.checked(entry, &|_, _| {})?;
        note(folder, entry, blob.stamp_still()?);
        Ok(file)
    })
}

/// Reads all that is kept of an entry; see [`Store::verify`](super::Store::verify).
pub(super) fn verify(
    folder: &Folder,
    entry: &Entry,
    watch: &dyn Fn(u64, u64),
) -> Result<(), StoreError> {
    settled(folder, entry, |entry| verify_once(folder, entry, watch))
}

/// Does something with an entry as the index has it now. What is not found right, somebody may have
/// removed since, and added again; so that counts only when the index still says the same after it.
fn settled<T>(
    folder: &Folder,
    entry: &Entry,
    read: impl Fn(&Entry) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut now = again(folder, entry)?;
    loop {
        let done = read(&now);
        let Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) = done else {
            return done;
        };
        let then = std::mem::replace(&mut now, again(folder, entry)?);
        // Whoever adds a pack again gives it another file, and so another stamp.
        if (then.manifest, then.stamp) == (now.manifest, now.stamp) {
            return done;
        }
    }
}

fn verify_once(folder: &Folder, entry: &Entry, watch: &dyn Fn(u64, u64)) -> Result<(), StoreError> {
    let image = image(folder, entry)?;
    check_config(folder, entry, &image)?;
    let blob = Blob::find(folder, entry)?.ok_or_else(|| missing(folder, entry, PACK_FILE))?;
    blob.checked(entry, watch)?;
    if !blob.is_known(entry) {
        note(folder, entry, blob.stamp_still()?);
    }
    Ok(())
}

/// The image manifest of an entry, which has to be what was written for it.
pub(super) fn image(folder: &Folder, entry: &Entry) -> Result<Image, StoreError> {
    let (digest, size) = entry.manifest;
    let bytes = document(folder, entry, MANIFEST, digest, size, Image::LIMIT)?;
    let path = folder.blob(&digest);
    let image = Image::parse(&bytes, &path.display().to_string())?;
    let is_pack = |layer: &Descriptor| {
        layer.digest.sha256() == Some(entry.digest) && layer.size == entry.size
    };
    match image.layers.as_slice() {
        [layer] if is_pack(layer) => Ok(image),
        _ => Err(StoreError::Damaged {
            pack: entry.who(),
            what: MANIFEST,
            found: "other layers".into(),
            expected: "the pack file alone".into(),
            path,
        }),
    }
}

fn check_config(folder: &Folder, entry: &Entry, image: &Image) -> Result<(), StoreError> {
    let Some(digest) = image.config.digest.sha256() else {
        return Err(StoreError::Damaged {
            pack: entry.who(),
            what: MANIFEST,
            found: "a config by another digest".into(),
            expected: "a SHA-256".into(),
            path: folder.blob(&entry.manifest.0),
        });
    };
    document(
        folder,
        entry,
        CONFIG,
        digest,
        image.config.size,
        CONFIG_LIMIT,
    )
    .map(drop)
}

/// Whether an entry's documents are there, and its pack file is by its stamp what was added.
pub(super) fn is_whole(folder: &Folder, entry: &Entry) -> Result<bool, StoreError> {
    let checked = image(folder, entry).and_then(|image| check_config(folder, entry, &image));
    match checked {
        Ok(()) => {}
        Err(error @ StoreError::Io { .. }) => return Err(error),
        Err(_) => return Ok(false),
    }
    match Blob::find(folder, entry) {
        // What is in its place gives way.
        Err(StoreError::NotAFile { .. }) => Ok(false),
        found => Ok(found?.is_some_and(|blob| blob.is_known(entry))),
    }
}

/// A small blob of an entry, checked.
fn document(
    folder: &Folder,
    entry: &Entry,
    what: &'static str,
    digest: Digest,
    size: u64,
    limit: usize,
) -> Result<Vec<u8>, StoreError> {
    let path = folder.blob(&digest);
    let bytes = match folder.has_blobs()? {
        true => file::read(&path, limit)?,
        false => None,
    };
    let bytes = bytes.ok_or_else(|| StoreError::Missing {
        pack: entry.who(),
        what,
        path: path.clone(),
    })?;
    check_size(entry, what, path.clone(), bytes.len() as u64, size)?;
    check_digest(entry, what, path, Digest::of(&bytes), digest)?;
    Ok(bytes)
}

/// The pack file of an entry, open.
struct Blob {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl Blob {
    fn find(folder: &Folder, entry: &Entry) -> Result<Option<Self>, StoreError> {
        if !folder.has_blobs()? {
            return Ok(None);
        }
        let path = folder.blob(&entry.digest);
        let opened = file::open(&path)?;
        Ok(opened.map(|(file, metadata)| Self {
            path,
            file,
            metadata,
        }))
    }

    /// Whether this very file was checked when the entry's stamp was taken.
    fn is_known(&self, entry: &Entry) -> bool {
        entry.stamp == Some(Stamp::of(&self.metadata)) && self.metadata.len() == entry.size
    }

    /// Its stamp, if nobody has touched the file since it was opened.
    fn stamp_still(&self) -> Result<Stamp, StoreError> {
        let stamp = Stamp::of(&self.metadata);
        let now = self.file.metadata().map_err(at(&self.path))?;
        match Stamp::of(&now) == stamp {
            true => Ok(stamp),
            false => Err(StoreError::Touched {
                path: self.path.clone(),
            }),
        }
    }

    /// The pack file, which is known to be what was added.
    fn known(&self, entry: &Entry) -> Result<PackFile, StoreError> {
        let map = Mapping::of_file(&self.file).map_err(at(&self.path))?;
        let file = PackFile::open_known(Arc::new(map), &self.path, entry.digest)?;
        self.check_face(entry, &file)?;
        Ok(file)
    }

    /// The pack file, after all of it was hashed, and its signature checked anew.
    fn checked(&self, entry: &Entry, watch: &dyn Fn(u64, u64)) -> Result<PackFile, StoreError> {
        let (path, found) = (self.path.clone(), self.metadata.len());
        check_size(entry, PACK_FILE, path.clone(), found, entry.size)?;
        check_digest(entry, PACK_FILE, path, self.hash(watch)?, entry.digest)?;
        let file = self.known(entry)?;
        match file.signed_by() {
            Some(_) => Ok(PackFile::from_map(file.map(), &self.path)?),
            None => Ok(file),
        }
    }

    /// Hashes what is read: a map of bytes that the disk cannot give would end the process.
    fn hash(&self, watch: &dyn Fn(u64, u64)) -> Result<Digest, StoreError> {
        let (mut hasher, mut done) = (Sha256::new(), 0);
        let mut buffer = vec![0; CHUNK];
        let total = self.metadata.len();
        watch(done, total);
        loop {
            let count = match (&self.file).read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(&self.path)(error)),
            };
            hasher.update(buffer.get(..count).unwrap_or_default());
            done += count as u64;
            watch(done, total);
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }

    /// Holds what the file says of itself against what the index says of it: a digest alone is no
    /// more than the index's word.
    fn check_face(&self, entry: &Entry, file: &PackFile) -> Result<(), StoreError> {
        let says = |what: &str, says: &dyn std::fmt::Display| format!("{what} `{says}`").into();
        let signed = |by: Option<&Publisher>| match by {
            Some(by) => says("publisher", by),
            None => "no publisher".into(),
        };
        let manifest = file.manifest();
        let (found, expected): (Box<str>, Box<str>) = match () {
            () if manifest.id != entry.id => (says("id", &manifest.id), says("id", &entry.id)),
            () if manifest.version != entry.version => (
                says("version", &manifest.version),
                says("version", &entry.version),
            ),
            () if file.signed_by() != entry.publisher.as_ref() => {
                (signed(file.signed_by()), signed(entry.publisher.as_ref()))
            }
            () => return Ok(()),
        };
        Err(StoreError::Damaged {
            pack: entry.who(),
            what: PACK_FILE,
            found,
            expected,
            path: self.path.clone(),
        })
    }
}

fn check_size(
    entry: &Entry,
    what: &'static str,
    path: PathBuf,
    found: u64,
    expected: u64,
) -> Result<(), StoreError> {
    let bytes = |count: u64| format!("{count} bytes").into();
    match found == expected {
        true => Ok(()),
        false => Err(StoreError::Damaged {
            pack: entry.who(),
            what,
            found: bytes(found),
            expected: bytes(expected),
            path,
        }),
    }
}

fn check_digest(
    entry: &Entry,
    what: &'static str,
    path: PathBuf,
    found: Digest,
    expected: Digest,
) -> Result<(), StoreError> {
    match found == expected {
        true => Ok(()),
        false => Err(StoreError::Damaged {
            pack: entry.who(),
            what,
            found: format!("digest {found}").into(),
            expected: format!("{expected}").into(),
            path,
        }),
    }
}

fn missing(folder: &Folder, entry: &Entry, what: &'static str) -> StoreError {
    StoreError::Missing {
        pack: entry.who(),
        what,
        path: folder.blob(&entry.digest),
    }
}

/// The same entry as the index has it now.
fn again(folder: &Folder, entry: &Entry) -> Result<Entry, StoreError> {
    let (_, contents) = folder.read()?;
    let found = contents.find(&entry.id, &entry.version);
    let same = found.filter(|it| it.digest == entry.digest);
    same.cloned().ok_or_else(|| StoreError::NotKept {
        pack: entry.who(),
        path: folder.root().to_path_buf(),
    })
}

/// Notes the stamp of a pack file whose bytes were found right, so that they are not hashed again.
/// A store that cannot be written, or that somebody changes just now, does without.
fn note(folder: &Folder, entry: &Entry, stamp: Stamp) {
    let noted = || -> Result<(), StoreError> {
        let Some(_lock) = Lock::try_take(folder)? else {
            return Ok(());
        };
        let (mut index, contents) = folder.read()?;
        let found = contents.find(&entry.id, &entry.version);
        if let Some(found) = found.filter(|it| it.digest == entry.digest)
            && let Some(descriptor) = index.manifests.get_mut(found.at)
        {
            let annotation = (STAMP_KEY.to_owned(), stamp.to_string());
            descriptor.annotations.extend([annotation]);
            folder.write_index(&index)?;
        }
        Ok(())
    };
    if let Err(error) = noted() {
        tracing::debug!(%error, "the stamp of a pack file was not noted");
    }
}
