//! Where a pack goes: nothing there is lost by accident, nothing is left there half done.

use std::io::ErrorKind;
use std::path::Path;

use modularbase_format::{PackFile, PackFileError, PackWriter};

use super::BuildError;
use crate::pack::PackError;

/// A folder for what is not finished yet, on the disk of the target, gone when it is dropped.
pub(super) fn scratch_beside(target: &Path) -> Result<tempfile::TempDir, BuildError> {
    let io = |source| BuildError::Io {
        path: target.to_owned(),
        source,
    };
    if target.is_dir() {
        return Err(io(ErrorKind::IsADirectory.into()));
    }
    let beside = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".pack-build-")
        .suffix(".tmp")
        .tempdir_in(beside)
        // Not the temporary path, which says nothing to anybody.
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => io(std::io::Error::new(
                error.kind(),
                "the folder it should stand in is missing",
            )),
            kind => io(kind.into()),
        })
}

/// Writes a pack to `path`, which is a step on the way to `target`: errors speak of the latter.
pub(super) fn write(
    pack: PackWriter<'_>,
    path: &Path,
    target: &Path,
) -> Result<PackFile, BuildError> {
    pack.write(path).map_err(|error| match error {
        PackFileError::Io { source, .. } => BuildError::Io {
            path: target.to_owned(),
            source,
        },
        PackFileError::Writer { source, .. } => BuildError::Write(source),
        other => PackError::from(other).into(),
    })
}

/// Training takes long; made-up weights do not replace its result by accident.
pub(super) fn keep_what_was_trained(target: &Path) -> Result<(), BuildError> {
    match PackFile::open(target) {
        Ok(old) if old.manifest().trained && old.tensors().next().is_some() => {
            Err(BuildError::Trained {
                path: target.to_owned(),
            })
        }
        _ => Ok(()),
    }
}
