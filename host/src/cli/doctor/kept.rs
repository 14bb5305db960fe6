//! Where packs and compiled code are kept, and whether they can be.

use std::path::{Path, PathBuf};

use modularbase::packs::{Installed, Packs};
use modularbase::store::Places;

use super::{Finding, State, good, missing};
use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{bytes, shown};

/// The store and the code cache.
pub fn look(home: &Home) -> Vec<Finding> {
    match home.places() {
        Ok(places) => vec![store(&places), cache(&places.code())],
        Err(nowhere) => vec![broken(nowhere)],
    }
}

fn store(places: &Places) -> Finding {
    let packs = match Packs::open(places).and_then(|it| it.list()) {
        Ok(packs) => packs,
        Err(error) => return broken(error.into()),
    };
    let path = places.store();
    let detail = format!("{}, {}", text(&path), content(&packs));
    let hint = match (can_be_written(&path), packs.iter().all(is_sound)) {
        (true, true) => return good("store", detail),
        (false, _) => "packs run, but none can be added or removed: the folder is not writable",
        (true, false) => "`mbhost pack list` says what is wrong",
    };
    missing("store", detail, hint)
}

fn is_sound(pack: &Installed) -> bool {
    pack.problem.is_none()
}

fn content(packs: &[Installed]) -> String {
    // An index may claim anything.
    let size = packs
        .iter()
        .fold(0_u64, |sum, it| sum.saturating_add(it.bytes));
    let size = bytes(size);
    let sound = packs.iter().filter(|it| is_sound(it)).count();
    match (packs.len(), packs.len() - sound) {
        (0, _) => "no packs yet".to_owned(),
        (1, 0) => format!("1 pack, {size}"),
        (all, 0) => format!("{all} packs, {size}"),
        (all, broken) => format!("{all} packs, {size}, {broken} broken"),
    }
}

fn broken(failed: Failed) -> Finding {
    Finding {
        state: State::Broken,
        hint: failed.hint.map(|it| shown(&it).into()),
        ..good("store", shown(&failed.message))
    }
}

fn cache(path: &Path) -> Finding {
    match can_be_written(path) {
        true => good("code cache", text(path)),
        false => missing(
            "code cache",
            text(path),
            "the folder is not writable: packs are compiled whenever they are opened",
        ),
    }
}

fn text(path: &Path) -> String {
    shown(&path.display().to_string())
}

/// Whether a folder can be written, or made where it is missing.
#[cfg(unix)]
fn can_be_written(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    let there: Option<PathBuf> = path
        .ancestors()
        .find(|it| it.symlink_metadata().is_ok())
        .map(Path::to_owned);
    there.is_some_and(|it| it.is_dir() && access(&it, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

#[cfg(not(unix))]
fn can_be_written(_: &Path) -> bool {
    true
}
