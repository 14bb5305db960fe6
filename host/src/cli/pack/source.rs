//! Which pack an argument means: a file, what a build left in a folder, or an installed one.

use std::path::{Path, PathBuf};

use modularbase::Error;
use modularbase::pack::PACK_FILE;
use modularbase::packs::{Name, PacksError, Source};

use crate::cli::Failed;

/// What can be a name is one, whatever lies in the folder that one happens to be in. A file is
/// spelled like one: with a separator or an extension.
pub fn source(given: &Path) -> Result<Source, Failed> {
    match given.to_str().and_then(|text| text.parse().ok()) {
        Some(name) => Ok(Source::Known(name)),
        None => Ok(Source::File(pack_of(given)?)),
    }
}

/// Adds to an error about a name that there is a file of that name as well.
pub fn or_the_file(failed: Failed, given: &Path) -> Failed {
    let is_name = given.to_str().is_some_and(|text| text.parse::<Name>().is_ok());
    match is_name && given.exists() {
        true => failed.hint(format!("`./{0}` is what lies here as `{0}`", given.display())),
        false => failed,
    }
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
