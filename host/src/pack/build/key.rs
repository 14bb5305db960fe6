//! A publisher's private key in a file.
//!
//! `mbhost pack keygen` makes one, `--sign` reads it. What stays true: a file that is there is never
//! written over, for nobody can make a lost key again; a new one is its owner's alone; what is read
//! of it is wiped from memory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use modularbase_format::PrivateKey;
use modularbase_format::manifest::Publisher;
use serde::Serialize;
use zeroize::Zeroizing;

use super::BuildError;

/// The most bytes of a key file that are read: a key takes some hundred, the rest is comment.
const KEY_LIMIT: usize = 16 << 10;

/// A publisher's private key, and the file that holds it.
///
/// ```no_run
/// use modularbase::{Build, KeyFile};
///
/// let key = KeyFile::create("publisher.pem".as_ref())?;
/// println!("signed by {}", key.publisher());
/// Build::new("packs/dense").sign("publisher.pem").start()?;
/// # Ok::<(), modularbase::BuildError>(())
/// ```
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    key: PrivateKey,
    warning: Option<String>,
}

impl KeyFile {
    /// Makes a new key and a file for it, which only its owner may read.
    ///
    /// # Errors
    /// When something of that name is there already, whatever it is, or when the system refuses.
    pub fn create(path: &Path) -> Result<Self, BuildError> {
        let key = PrivateKey::generate()?;
        let io = |source| BuildError::Io {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => BuildError::KeyThere {
                path: path.to_owned(),
            },
            ErrorKind::NotFound | ErrorKind::NotADirectory => io(std::io::Error::new(
                error.kind(),
                "the folder it should stand in is missing",
            )),
            _ => io(error),
        })?;
        let text = key.to_pem();
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a key is none, and would stand in the way of the next.
            let _ = std::fs::remove_file(path);
            return Err(io(error));
        }
        Ok(Self {
            path: path.to_owned(),
            key,
            warning: None,
        })
    }

    /// Reads the key in a file.
    pub(super) fn open(path: &Path) -> Result<Self, BuildError> {
        let io = |source| BuildError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        // Room for all of it from the start, so that no part is left behind where it grew.
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LIMIT + 1));
        let limit = KEY_LIMIT as u64 + 1;
        let read = (&file).take(limit).read_to_end(&mut bytes);
        read.map_err(io)?;
        if bytes.len() > KEY_LIMIT {
            return Err(io(std::io::Error::other(format!(
                "it is longer than {KEY_LIMIT} bytes, expected a private key"
            ))));
        }
        // What is no text holds no PEM, and the reader of PEM says so.
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Ok(Self {
            key: PrivateKey::from_pem(text, &path.display().to_string())?,
            warning: exposed(path, &file),
            path: path.to_owned(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public half: who signs with it.
    pub fn publisher(&self) -> Publisher {
        self.key.publisher()
    }

    pub(super) fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// What its owner should know.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// Whether others may use the key.
#[cfg(unix)]
fn exposed(path: &Path, file: &File) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().ok()?.permissions().mode() & 0o777;
    let path = path.display();
    (mode & 0o077 != 0).then(|| {
        format!(
            "{path}: its mode is {mode:04o}, so it is not its owner's alone; `chmod 600` makes \
             it so"
        )
    })
}

#[cfg(not(unix))]
fn exposed(_: &Path, _: &File) -> Option<String> {
    None
}

impl Serialize for KeyFile {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = out.serialize_map(Some(2))?;
        map.serialize_entry("path", &self.path.display().to_string())?;
        map.serialize_entry("publisher", &self.publisher().to_string())?;
        map.end()
    }
}
