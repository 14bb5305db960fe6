//! Which pack an argument means: a file, what a build left in a folder, or an installed one.

use std::path::{Path, PathBuf};

use modularbase::Error;
use modularbase::pack::PACK_FILE;
use modularbase::packs::{Name, PacksError, Source};

use crate::cli::Failed;

/// What is there is a file, and so is what is spelled like one; anything else is a name.
pub fn source(given: &Path) -> Result<Source, Failed> {
    let text = given.to_string_lossy();
    let is_file = given.symlink_metadata().is_ok()
        || text.contains(std::path::is_separator)
        || given.extension().is_some_and(|it| it == "wasm");
    if is_file {
        return Ok(Source::File(pack_of(given)?));
    }
    match text.parse() {
        Ok(name) => Ok(Source::Known(name)),
        Err(_) => Err(Error::from(PacksError::NotFound {
            found: text.into_owned(),
            similar: Vec::new(),
        })
        .into()),
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
