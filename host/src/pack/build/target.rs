//! Where a pack goes: nothing there is lost by accident, and what stands there is never half done.
//!
//! A build takes the place of a pack, of an empty file, or of nothing. It does not take the place
//! of what is no pack, because that was never its own; of the very file that it takes weights
//! from, because fewer bits or fewer weights than that file has would be all that is left of
//! them; of trained weights, when those it brings are made up. Trained weights do take the place
//! of older ones: that is what training again is for.
//!
//! Up to the last step everything stands in a folder `.pack-build-*.tmp` beside the target. It
//! goes when the build ends; a build that was killed leaves it, and it may be removed.

use std::io::ErrorKind;
use std::path::Path;

use modularbase_format::{PackFile, PackFileError, PackWriter};

use super::BuildError;
use super::given::Given;
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

/// Refuses a target whose loss nobody asked for; `given` is where the weights come from, when they
/// come from a file.
pub(super) fn keep_what_counts(target: &Path, given: Option<&Given>) -> Result<(), BuildError> {
    let path = || target.to_owned();
    match std::fs::metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(found) if found.is_file() && found.len() == 0 => return Ok(()),
        // Whatever else the system says of it, it says again when it is opened.
        _ => {}
    }
    if given.is_some_and(|given| is_same(&given.path, target)) {
        return Err(BuildError::SourceIsTarget { path: path() });
    }
    let old = PackFile::open(target).map_err(|source| BuildError::NotAPack { source })?;
    let brings_trained = given.is_some_and(|given| given.trained);
    let has_trained = old.manifest().trained && old.tensors().next().is_some();
    match has_trained && !brings_trained {
        true => Err(BuildError::Trained { path: path() }),
        false => Ok(()),
    }
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
