//! `pack.toml`, and the folder of a pack's crate around it: what must be there before anything is
//! built.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use modularbase_format::Manifest;
use modularbase_format::manifest::{MANIFEST_LIMIT, set_publisher};

use super::{BuildError, KeyFile};

/// A manifest that was read: what the author wrote, and what it says.
pub(super) struct PackToml {
    /// Where it stands, as messages begin.
    pub(super) file: String,
    pub(super) text: String,
    pub(super) manifest: Manifest,
}

impl PackToml {
    /// That of a crate's folder, which must be one.
    pub(super) fn of_crate(folder: &Path) -> Result<Self, BuildError> {
        let is_folder = |it: fs::Metadata| it.is_dir();
        if !fs::metadata(folder)
            .map(is_folder)
            .map_err(|source| io(folder, source))?
        {
            return Err(BuildError::NotAFolder {
                path: folder.to_owned(),
            });
        }
        let missing = |file| BuildError::Missing {
            folder: folder.to_owned(),
            file,
        };
        let path = folder.join("pack.toml");
        if matches!(fs::metadata(&path), Err(error) if error.kind() == ErrorKind::NotFound) {
            return Err(missing("pack.toml"));
        }
        if !folder.join("Cargo.toml").is_file() {
            return Err(missing("Cargo.toml"));
        }
        Self::read(&path)
    }

    /// The one at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, BuildError> {
        let held = fs::metadata(path).map_err(|source| io(path, source))?;
        // A length is believed only so far as to refuse a file that is not worth reading.
        if !held.is_file() || held.len() > MANIFEST_LIMIT as u64 {
            let what = match held.is_file() {
                true => format!("{} bytes long", held.len()),
                false => "not a regular file".to_owned(),
            };
            let source = std::io::Error::other(format!(
                "it is {what}, expected a file of at most {MANIFEST_LIMIT} bytes"
            ));
            return Err(io(path, source));
        }
        let text = fs::read_to_string(path).map_err(|error| io(path, error))?;
        Self::of_text(text, path.display().to_string())
    }

    /// A text that is no file's, or not only; `file` stands in messages.
    pub(super) fn of_text(text: String, file: String) -> Result<Self, BuildError> {
        let manifest = Manifest::parse(&text, &file)?;
        Ok(Self {
            file,
            text,
            manifest,
        })
    }

    /// The manifest of a pack that is signed with this key, or with none.
    pub(super) fn signed_with(self, key: Option<&KeyFile>) -> Result<Self, BuildError> {
        let path = || PathBuf::from(&self.file);
        match (self.manifest.publisher, key) {
            (None, None) => Ok(self),
            (Some(named), Some(key)) if named == key.publisher() => Ok(self),
            (Some(named), None) => Err(BuildError::Publisher {
                path: path(),
                named,
            }),
            (Some(named), Some(key)) => Err(BuildError::OtherPublisher {
                path: path(),
                named,
                key: key.path().to_owned(),
                found: key.publisher(),
            }),
            (None, Some(key)) => {
                let text = set_publisher(&self.text, &self.file, &key.publisher())?;
                Self::of_text(text, self.file)
            }
        }
    }
}

fn io(path: &Path, source: std::io::Error) -> BuildError {
    BuildError::Io {
        path: path.to_owned(),
        source,
    }
}
