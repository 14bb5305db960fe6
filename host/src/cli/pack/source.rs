//! Which pack an argument means: a file, what a build left in a folder, or an installed one.

use std::path::{Path, PathBuf};

use modularbase::Error;
use modularbase::pack::PACK_FILE;
use modularbase::packs::{Name, PacksError, Source};

use crate::cli::Failed;

/// What is to be added. `ID@VERSION` is a name, whatever lies in the folder that one happens to be
/// in; of the rest, what is there is a file, and so is what is spelled like one.
pub fn to_add(given: &Path) -> Result<Source, Failed> {
    let is_file = given.symlink_metadata().is_ok() || given.extension().is_some();
    match parsed(given) {
        Some(name) if name.version.is_some() || !is_file => Ok(Source::Known(name)),
        _ if is_file || given.components().count() > 1 => Ok(Source::File(pack_of(given)?)),
        _ => Err(Error::from(PacksError::NotFound {
            found: given.to_string_lossy().into_owned(),
            similar: Vec::new(),
        })
        .into()),
    }
}

/// What is installed, or a file. What can be a name is one; files have separators or extensions.
pub fn installed_or_file(given: &Path) -> Result<Source, Failed> {
    match parsed(given) {
        Some(name) => Ok(Source::Known(name)),
        None => Ok(Source::File(pack_of(given)?)),
    }
}

fn parsed(given: &Path) -> Option<Name> {
    given.to_str()?.parse().ok()
}

/// The name of an installed pack.
pub fn name(given: &str) -> Result<Name, Failed> {
    given.parse().map_err(|error: PacksError| Failed {
        code: 2,
        ..Error::from(error).into()
    })
}

/// The pack file that a path means: itself, or the one that a build leaves in a folder.
pub fn pack_of(path: &Path) -> Result<PathBuf, Failed> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = pack_in(path);
    match file.exists() {
        true => Ok(file),
        false => Err(
            Failed::new(format!("{}: `{PACK_FILE}` is missing", path.display()))
                .hint("`mbhost pack build` makes it; or give a pack file"),
        ),
    }
}

/// Where a build of the crate in `folder` leaves its pack.
pub fn pack_in(folder: &Path) -> PathBuf {
    match folder == Path::new(".") {
        true => PathBuf::from(PACK_FILE),
        false => folder.join(PACK_FILE),
    }
}
