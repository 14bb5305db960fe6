//! The lock that a change holds. It is the kernel's, on an open file: it ends with its process, and
//! a file that lies there says nothing.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::error::at;
use super::folder::Folder;
use super::{StoreError, file};

/// How often the lock is taken anew that somebody replaced meanwhile.
const TRIES: usize = 100;

/// The store's lock, held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock. The store's folder is there.
    pub(super) fn take(folder: &Folder) -> Result<Self, StoreError> {
        let path = folder.lock();
        for _ in 0..TRIES {
            let file = file::open_or_make(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let shown = path.display();
                    tracing::warn!(path = %shown, "waiting for another process that is changing the store");
                    wait(&file).map_err(at(&path))?;
                }
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
            }
            // Somebody may have put another file in its place, and others lock that one.
            if is_at(&file, &path) {
                return Ok(Self { _file: file });
            }
        }
        Err(at(&path)(ErrorKind::ResourceBusy.into()))
    }

    /// Takes the lock if nobody has it.
    pub(super) fn try_take(folder: &Folder) -> Result<Option<Self>, StoreError> {
        let path = folder.lock();
        let file = file::open_or_make(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(is_at(&file, &path).then_some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }
}

/// Locks a file, and waits for whoever has it.
pub(super) fn wait(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

/// Whether an open file is the one that a path leads to.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    system::is_at(file, path).unwrap_or(false)
}

#[cfg(unix)]
mod system {
    use std::fs::{self, File};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
        let (ours, there) = (file.metadata()?, fs::symlink_metadata(path)?);
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// A file that is open cannot be removed or replaced there.
    pub(super) fn is_at(_: &File, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }
}
