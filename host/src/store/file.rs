//! How the files and folders of a store are opened: never through a link, never something else
//! than what should be there, and never with a wait.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::StoreError;
use super::error::{at, at_source};

/// Opens a regular file of the store to read it; `None` when there is none.
pub(super) fn open(path: &Path) -> Result<Option<(File, Metadata)>, StoreError> {
    match open_as(path, OpenOptions::new().read(true), false) {
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Opens a regular file of the store to lock it, which some file systems allow only to those who
/// may write to it; `None` when there is none.
pub(super) fn open_to_lock(path: &Path) -> Result<Option<(File, Metadata)>, StoreError> {
    match open_as(path, OpenOptions::new().read(true).write(true), false) {
        // It was about to be published, or is another user's.
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            open(path)
        }
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Opens a file of the store to lock it, and makes it when there is none, for its owner alone.
pub(super) fn open_or_make(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    system::set_mode(&mut options, 0o600);
    open_as(path, &options, false).map(|(file, _)| file)
}

/// Makes a file where nothing may be yet, for its owner alone.
pub(super) fn make(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    system::set_mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file of the user's, who may well have given a link.
pub(super) fn open_source(path: &Path) -> Result<(File, Metadata), StoreError> {
    match open_as(path, OpenOptions::new().read(true), true) {
        Err(StoreError::Io { source, .. }) => Err(at_source(path)(source)),
        opened => opened,
    }
}

/// Whether nothing stands at a path, not even a link.
pub(super) fn is_free(path: &Path) -> bool {
    let found = fs::symlink_metadata(path);
    found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Reads a small file of the store; `None` when there is none.
pub(super) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
    let Some((file, metadata)) = open(path)? else {
        return Ok(None);
    };
    let limit = limit as u64;
    let too_long = |found| StoreError::TooLong {
        path: path.to_path_buf(),
        found,
        limit,
    };
    if metadata.len() > limit {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::new();
    let mut reader = file.take(limit + 1);
    reader.read_to_end(&mut bytes).map_err(at(path))?;
    match bytes.len() as u64 {
        found if found > limit => Err(too_long(found)),
        _ => Ok(Some(bytes)),
    }
}

fn open_as(
    path: &Path,
    options: &OpenOptions,
    through_links: bool,
) -> Result<(File, Metadata), StoreError> {
    let not_a_file = |found| StoreError::NotAFile {
        path: path.to_path_buf(),
        found,
    };
    let file = match system::open(path, options, through_links) {
        Ok(file) => file,
        Err(error) => {
            // A link is not opened, and a socket or a folder perhaps not; say what it is.
            let metadata = match through_links {
                true => fs::metadata(path),
                false => fs::symlink_metadata(path),
            };
            return Err(match metadata {
                Ok(metadata) if !metadata.is_file() => not_a_file(kind(metadata.file_type())),
                _ => at(path)(error),
            });
        }
    };
    let metadata = file.metadata().map_err(at(path))?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(not_a_file(kind(metadata.file_type()))),
    }
}

/// Whether there is a folder; anything else in its place is an error, and so is a link.
pub(super) fn has_folder(path: &Path) -> Result<bool, StoreError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(at(path)(error)),
    };
    if metadata.is_dir() {
        return Ok(true);
    }
    Err(StoreError::NotAFolder {
        path: path.to_path_buf(),
        found: kind(metadata.file_type()),
    })
}

/// Makes a folder of the store when it is not there; its name survives a loss of power then.
pub(super) fn make_folder(path: &Path, mode: u32) -> Result<(), StoreError> {
    if has_folder(path)? {
        return Ok(());
    }
    match system::make_folder(path, mode) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        // Somebody else was quicker; it still has to be a folder.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => has_folder(path).map(drop),
        Err(error) => Err(at(path)(error)),
    }
}

/// Makes the store's own folder when it is not there, and those that it is in.
pub(super) fn make_root(path: &Path) -> Result<(), StoreError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|it| !it.exists()).collect();
    fs::create_dir_all(path).map_err(at(path))?;
    for parent in missing.iter().filter_map(|it| it.parent()) {
        // It may be one that we may not open.
        let _ = sync_folder(parent);
    }
    Ok(())
}

/// Has the names in a folder survive a loss of power, where the file system can be told to.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    match system::sync_folder(path) {
        Err(error) if !is_unsupported(error.kind()) => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// What file systems answer that have no way to sync a folder.
fn is_unsupported(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// Removes a file; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// What something is, as messages call it.
pub(super) fn kind(of: FileType) -> &'static str {
    match () {
        () if of.is_file() => "a file",
        () if of.is_symlink() => "a link",
        () if of.is_dir() => "a folder",
        () => "a device, pipe or socket",
    }
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    use std::path::Path;

    use rustix::fs::OFlags;

    pub(super) fn open(
        path: &Path,
        options: &OpenOptions,
        through_links: bool,
    ) -> io::Result<File> {
        // A pipe without a writer would be waited for; regular files do not mind.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, !through_links);
        let flags = i32::try_from(flags.bits()).map_err(|_| io::ErrorKind::Unsupported)?;
        options.clone().custom_flags(flags).open(path)
    }

    pub(super) fn set_mode(options: &mut OpenOptions, mode: u32) {
        options.mode(mode);
    }

    pub(super) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(super) fn open(
        path: &Path,
        options: &OpenOptions,
        through_links: bool,
    ) -> io::Result<File> {
        let is_link = fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
        if is_link && !through_links {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        options.open(path)
    }

    pub(super) fn set_mode(_: &mut OpenOptions, _: u32) {}

    pub(super) fn make_folder(path: &Path, _: u32) -> io::Result<()> {
        fs::create_dir(path)
    }

    /// Folders cannot be opened to be synced; the file system's journal has to do.
    pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
