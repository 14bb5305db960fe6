//! The folder of a pack's crate: what must be there before anything is built.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use modularbase_format::Manifest;
use modularbase_format::manifest::MANIFEST_LIMIT;

use super::BuildError;

/// The text of a folder's `pack.toml`, and what it says.
pub(super) fn read_manifest(folder: &Path) -> Result<(String, Manifest), BuildError> {
    let path = folder.join("pack.toml");
    let io = |path: &Path, source| BuildError::Io {
        path: path.to_owned(),
        source,
    };
    let is_folder = |it: fs::Metadata| it.is_dir();
    if !fs::metadata(folder)
        .map(is_folder)
        .map_err(|e| io(folder, e))?
    {
        return Err(BuildError::NotAFolder {
            path: folder.to_owned(),
        });
    }
    let missing = |file| BuildError::Missing {
        folder: folder.to_owned(),
        file,
    };
    let held = match fs::metadata(&path) {
        Ok(held) => held,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(missing("pack.toml"));
        }
        Err(error) => return Err(io(&path, error)),
    };
    if !folder.join("Cargo.toml").is_file() {
        return Err(missing("Cargo.toml"));
    }
    // A length is believed only so far as to refuse a file that is not worth reading.
    if !held.is_file() || held.len() > MANIFEST_LIMIT as u64 {
        let what = match held.is_file() {
            true => format!("{} bytes long", held.len()),
            false => "not a regular file".to_owned(),
        };
        let source = std::io::Error::other(format!(
            "it is {what}, expected a file of at most {MANIFEST_LIMIT} bytes"
        ));
        return Err(io(&path, source));
    }
    let text = fs::read_to_string(&path).map_err(|error| io(&path, error))?;
    let manifest = Manifest::parse(&text, &path.display().to_string())?;
    match manifest.publisher {
        Some(_) => Err(BuildError::Publisher { path }),
        None => Ok((text, manifest)),
    }
}
