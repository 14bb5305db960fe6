//! Files onto the disk: all of them or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Writes files, each with its path below `target`, which is not there yet or an empty folder.
///
/// # Errors
/// When there is something already, or the system refuses. Nothing is left behind then.
pub fn put(files: &[(PathBuf, String)], target: &Path) -> io::Result<()> {
    let is_empty = match fs::read_dir(target) {
        Ok(mut entries) => match entries.next() {
            None => true,
            Some(_) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let beside = match target.parent() {
        _ if is_empty => target,
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Dropped, it takes with it whatever was not moved out of it.
    let stage = stage(beside)?;
    for (path, text) in files {
        let path = stage.path().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
    }
    match is_empty {
        false => fs::rename(stage.path(), target),
        // A folder that somebody stands in keeps its identity: what is in it moves up.
        true => move_up(stage.path(), target),
    }
}

/// A folder that others may look into, as if it was made the ordinary way.
fn stage(beside: &Path) -> io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pack-init-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(beside)
}

fn move_up(stage: &Path, target: &Path) -> io::Result<()> {
    let mut moved = Vec::new();
    for entry in fs::read_dir(stage)? {
        let entry = entry?;
        let to = target.join(entry.file_name());
        if let Err(error) = fs::rename(entry.path(), &to) {
            for (from, to) in moved {
                // Back to where it goes away with the rest; when even that fails, the first
                // error says more.
                let _ = fs::rename(to, from);
            }
            return Err(error);
        }
        moved.push((entry.path(), to));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<(PathBuf, String)> {
        ["Cargo.toml", "src/lib.rs", "vendor/sdk/Cargo.toml"]
            .map(|path| (PathBuf::from(path), path.to_owned()))
            .to_vec()
    }

    #[test]
    fn what_is_there_is_not_touched_and_nothing_is_left_half_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("new");
        put(&files(), &target).expect("it is written");
        assert!(target.join("src/lib.rs").is_file());
        assert!(put(&files(), &target).is_err());
        let count = |path: &Path| fs::read_dir(path).expect("a folder").count();
        assert_eq!(count(dir.path()), 1);

        let empty = dir.path().join("empty");
        fs::create_dir(&empty).expect("a folder");
        put(&files(), &empty).expect("an empty folder will do");
        assert_eq!(count(&empty), count(&target));

        let file = dir.path().join("file");
        fs::write(&file, "mine").expect("a file");
        assert!(put(&files(), &file).is_err());
        assert!(put(&files(), &file.join("below")).is_err());
        assert_eq!(fs::read_to_string(&file).expect("a file"), "mine");
        assert_eq!(count(dir.path()), 3);
    }
}
