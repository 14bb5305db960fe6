//! Files that are being written, in `staging/`: each is locked by its maker for as long as it
//! lives, so what can be locked by somebody else was left behind by a crash.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use tempfile::TempPath;

use super::error::at;
use super::folder::Folder;
use super::lock::{self, is_at};
use super::sweep::Swept;
use super::{StoreError, file};

/// How the names begin; this many letters and digits follow.
const PREFIX: &str = "new-";
const LETTERS: usize = 12;

/// How often a file is made again that a sweep took between its making and its locking.
const TRIES: usize = 100;

/// A file that is being written. Dropped before it is published, it goes.
#[derive(Debug)]
pub(super) struct Draft {
    path: TempPath,
    file: File,
}

impl Draft {
    /// An empty file, locked.
    pub(super) fn new(folder: &Folder) -> Result<Self, StoreError> {
        let staging = folder.staging();
        for _ in 0..TRIES {
            let made = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(LETTERS)
                .make_in(&staging, file::make);
            let (file, path) = made.map_err(at(&staging))?.into_parts();
            lock::wait(&file).map_err(at(&path))?;
            if is_at(&file, &path) {
                return Ok(Self { path, file });
            }
        }
        Err(at(&staging)(ErrorKind::ResourceBusy.into()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Sets who may do what with the file; it ends as the store's files are, whatever the umask.
    pub(super) fn set_mode(&self, mode: u32) -> Result<(), StoreError> {
        system::set_mode(&self.file, mode).map_err(at(&self.path))
    }

    /// Gives the file its place, in place of what is there. What was written has to be synced, and
    /// the folder of `to` has to be then.
    pub(super) fn publish(self, to: &Path) -> Result<File, StoreError> {
        match self.path.persist(to) {
            Ok(()) => Ok(self.file),
            Err(error) => Err(at(to)(error.error)),
        }
    }
}

/// Removes what crashes left behind.
pub(super) fn sweep(folder: &Folder) -> Result<Swept, StoreError> {
    let staging = folder.staging();
    let mut swept = Swept::default();
    if !file::has_folder(&staging)? {
        return Ok(swept);
    }
    for entry in fs::read_dir(&staging).map_err(at(&staging))? {
        let entry = entry.map_err(at(&staging))?;
        if !entry.file_name().to_str().is_some_and(is_draft) {
            continue;
        }
        let path = entry.path();
        // Something else than a file is none of ours, and stays; so does another user's.
        let (file, metadata) = match file::open_to_lock(&path) {
            Ok(Some(opened)) => opened,
            Ok(None) | Err(StoreError::NotAFile { .. }) => continue,
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                continue;
            }
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => {
                file::remove(&path)?;
                swept.count(metadata.len());
            }
            // Its maker lives, or has published or removed it meanwhile.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                tracing::debug!(path = %path.display(), %error, "a staged file stays");
            }
        }
    }
    Ok(swept)
}

/// Whether a file of this name is one of ours.
fn is_draft(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == LETTERS && rest.bytes().all(|c| c.is_ascii_alphanumeric())
    })
}

#[cfg(unix)]
mod system {
    use std::fs::{File, Permissions};
    use std::io;
    use std::os::unix::fs::PermissionsExt;

    pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(mode & 0o200 == 0);
        file.set_permissions(permissions)
    }
}
