//! Writes pack files: a component, a manifest, and any number of GGUF files as weights.
//!
//! The pack builder, the trainer and the importer call it. What stays true: the target is either
//! what it was before or a whole new pack, because everything goes to a file beside it, which is
//! synced, checked by the reader, and then renamed. A manifest with a publisher needs that
//! publisher's key, and a key needs a manifest that names it.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::section::{self, MANIFEST, PADDING, SIGNATURE, WEIGHTS};
use super::{PackFile, PackFileError, WEIGHTS_ALIGNMENT, layout, signature};
use crate::gguf::{Gguf, GgufWriter};
use crate::manifest::Manifest;
use crate::quote::quote;
use crate::{Digest, Mapping, PrivateKey};

/// A pack file to be written.
pub struct PackWriter<'a> {
    component: &'a [u8],
    manifest: &'a str,
    weights: Vec<Weights<'a>>,
    key: Option<&'a PrivateKey>,
}

enum Weights<'a> {
    Bytes(&'a [u8]),
    Writer(GgufWriter<'a>),
}

impl<'a> PackWriter<'a> {
    /// A pack of a component and the text of its `pack.toml`.
    pub fn new(component: &'a [u8], manifest: &'a str) -> Self {
        Self {
            component,
            manifest,
            weights: Vec::new(),
            key: None,
        }
    }

    /// Adds a GGUF file that is in memory as weights.
    pub fn weights_bytes(mut self, gguf: &'a [u8]) -> Self {
        self.weights.push(Weights::Bytes(gguf));
        self
    }

    /// Adds a GGUF file as weights that is made while the pack is written.
    pub fn weights(mut self, gguf: GgufWriter<'a>) -> Self {
        self.weights.push(Weights::Writer(gguf));
        self
    }

    /// Signs the pack with the key of the manifest's publisher.
    pub fn sign(mut self, key: &'a PrivateKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Writes the pack to `target`, in place of what may be there, and opens it.
    ///
    /// # Errors
    ///
    /// When the component is none or already carries sections of ours, the manifest or weights
    /// are not sound, the key is not the publisher's or there is one without the other, weights
    /// are too large for a section, or the system refuses. Up to the last
    /// step, the renaming, the target is then what it was.
    pub fn write(self, target: &Path) -> Result<PackFile, PackFileError> {
        let manifest = Manifest::parse(self.manifest, "pack.toml")?;
        check_key(&manifest, self.key, target)?;
        refuse_our_sections(self.component)?;
        let dir = match target.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let io = |source| PackFileError::Io {
            path: target.to_path_buf(),
            source,
        };
        let mut file = new_file(dir).map_err(io)?;
        let mut out = Counted {
            out: BufWriter::new(file.as_file_mut()),
            at: 0,
            hasher: self.key.map(|_| Sha256::new()),
        };
        out.write_all(&section::PREAMBLE).map_err(io)?;
        put_section(&mut out, MANIFEST, self.manifest.as_bytes()).map_err(io)?;
        let code = self.component.get(section::PREAMBLE.len()..);
        out.write_all(code.unwrap_or_default()).map_err(io)?;
        for weights in self.weights {
            put_weights(&mut out, weights, target)?;
        }
        if let Some((key, hasher)) = self.key.zip(out.hasher.take()) {
            let before = Digest::from_bytes(hasher.finalize().into());
            let data = signature::write(key, &before);
            put_section(&mut out, SIGNATURE, &data).map_err(io)?;
        }
        out.flush().map_err(io)?;
        drop(out);

        // The reader has the last word, under the name that the pack will have.
        let map = Mapping::of_file(file.as_file()).map_err(io)?;
        let checked = PackFile::from_map(map.into(), target)?;
        let known = checked.signed_by().map(|_| checked.digest());
        drop(checked);
        file.as_file().sync_all().map_err(io)?;
        let file = file.persist(target).map_err(|error| io(error.error))?;
        sync_dir(dir).map_err(io)?;
        let map = Mapping::of_file(&file).map_err(io)?.into();
        match known {
            Some(digest) => PackFile::open_known(map, target, digest),
            None => PackFile::from_map(map, target),
        }
    }
}

/// A file beside the target that is gone again if it is not kept. Its permissions are those that
/// the target would get from an ordinary write.
fn new_file(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pack-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir)
}

/// Makes the new name last through a crash, where directories can be synced.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match std::fs::File::open(dir)?.sync_all() {
        // Some file systems have no way to.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// Key and publisher are one, or there is neither.
fn check_key(
    manifest: &Manifest,
    key: Option<&PrivateKey>,
    target: &Path,
) -> Result<(), PackFileError> {
    let path = || target.to_path_buf();
    match (manifest.publisher, key.map(PrivateKey::publisher)) {
        (None, None) => Ok(()),
        (Some(publisher), None) => Err(PackFileError::Unsigned {
            path: path(),
            publisher,
        }),
        (Some(publisher), Some(key)) if publisher == key => Ok(()),
        (publisher, Some(found)) => Err(PackFileError::WrongKey {
            path: path(),
            found,
            expected: match publisher {
                Some(publisher) => format!("`{publisher}`").into(),
                None => "which is missing".into(),
            },
        }),
    }
}

fn refuse_our_sections(component: &[u8]) -> Result<(), PackFileError> {
    let path = Path::new("component");
    let with_path = |fault| layout::with_path(fault, path);
    for section in section::sections(component).map_err(with_path)? {
        let section = section.map_err(with_path)?;
        if let Some((name, _)) = section.ours() {
            return Err(PackFileError::Misplaced {
                path: path.to_path_buf(),
                section: quote(name),
                offset: section.range.start,
                found: "there already".into(),
                expected: "a component without sections of ours".into(),
            });
        }
    }
    Ok(())
}

fn put_weights<W: Write>(
    out: &mut Counted<W>,
    weights: Weights<'_>,
    target: &Path,
) -> Result<(), PackFileError> {
    let io = |source| PackFileError::Io {
        path: target.to_path_buf(),
        source,
    };
    match weights {
        Weights::Bytes(bytes) => {
            Gguf::parse(bytes, "weights")?;
            put_weights_head(out, bytes.len() as u64, target)?;
            out.write_all(bytes).map_err(io)
        }
        Weights::Writer(gguf) => {
            put_weights_head(out, gguf.size(), target)?;
            gguf.write_to(&mut *out)
                .map(drop)
                .map_err(|source| PackFileError::Writer {
                    path: target.to_path_buf(),
                    source,
                })
        }
    }
}

/// Padding, and the head of a weights section whose data begins at a multiple of 64.
fn put_weights_head<W: Write>(
    out: &mut Counted<W>,
    size: u64,
    path: &Path,
) -> Result<(), PackFileError> {
    let limit = section::data_limit(WEIGHTS);
    let data = u32::try_from(size)
        .ok()
        .filter(|_| size <= limit)
        .ok_or_else(|| PackFileError::ShardTooLarge {
            path: path.to_path_buf(),
            found: size,
            limit,
        })?;
    let head = section::head(WEIGHTS, data);
    // The padding's own head has one length, because 63 zeros and a name need no second byte.
    let before = out.at + section::head(PADDING, 0).len() as u64 + head.len() as u64;
    let alignment = WEIGHTS_ALIGNMENT as u64;
    let zeros = vec![0; (before.next_multiple_of(alignment) - before) as usize];
    put_section(out, PADDING, &zeros)
        .and_then(|()| out.write_all(&head))
        .map_err(|source| PackFileError::Io {
            path: path.to_path_buf(),
            source,
        })
}

/// A custom section whose data is known to be short.
fn put_section(out: &mut impl Write, name: &str, data: &[u8]) -> io::Result<()> {
    out.write_all(&section::head(name, data.len() as u32))?;
    out.write_all(data)
}

/// Knows how far into the file it is, and hashes what will be signed.
struct Counted<W> {
    out: W,
    at: u64,
    hasher: Option<Sha256>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.at += written as u64;
        if let (Some(hasher), Some(written)) = (&mut self.hasher, bytes.get(..written)) {
            hasher.update(written);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
