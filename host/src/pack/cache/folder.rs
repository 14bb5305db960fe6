//! A folder that this user alone can read and write, and the files in it.
//!
//! Whose a folder or a file is, is asked of what was opened, never of a path that may lead
//! elsewhere a moment later; and all that is done in the folder is done from its descriptor. What
//! is read is a regular file of this user's that nobody else may write. What is written is either
//! there as a whole or not at all: it is made under another name and renamed.

use std::io;
use std::path::Path;

/// What is known of a file without opening it.
pub(super) struct Seen {
    pub(super) bytes: u64,
    /// Whether it was last written so long ago that nobody can still be at it.
    pub(super) is_old: bool,
}

#[cfg(unix)]
pub(super) use unix::Folder;

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File};
    use std::hash::{BuildHasher, RandomState};
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::DirBuilderExt;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
    use rustix::io::Errno;

    use super::{Path, Seen, io};

    /// Writing takes milliseconds.
    const OLD: Duration = Duration::from_secs(3600);

    /// A folder of this user's.
    pub(in super::super) struct Folder(OwnedFd);

    impl Folder {
        /// Opens a folder; nothing when it is not there.
        ///
        /// # Errors
        /// When it is a link or no folder, when others may look into it, when it is another's.
        pub(in super::super) fn open(path: &Path) -> io::Result<Option<Self>> {
            let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = match rustix::fs::open(path, how, Mode::empty()) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(io::Error::other("it is a link or no folder"));
                }
                Err(error) => return Err(error.into()),
            };
            let stat = rustix::fs::fstat(&folder)?;
            is_ours(&stat)?;
            let mode = Mode::from_raw_mode(stat.st_mode);
            if mode.intersects(Mode::RWXG | Mode::RWXO) {
                return Err(io::Error::other(format!(
                    "others may use the folder (mode {:03o}, expected 700)",
                    mode.bits() & 0o777
                )));
            }
            Ok(Some(Self(folder)))
        }

        /// Opens a folder and makes it before, where it is missing.
        ///
        /// # Errors
        /// As for [`open`](Self::open), and when it cannot be made.
        pub(in super::super) fn make(path: &Path) -> io::Result<Self> {
            if let Some(folder) = Self::open(path)? {
                return Ok(folder);
            }
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            Self::open(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        /// The bytes of a file; nothing when it is not there.
        ///
        /// # Errors
        /// When it is no file of this user's alone, when it is larger than `most`, when it cannot
        /// be read.
        pub(in super::super) fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
            // NONBLOCK: a pipe by that name would make us wait for its writer.
            let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&self.0, name, how, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP) => return Err(io::Error::other("an entry is a link")),
                Err(error) => return Err(error.into()),
            };
            let stat = rustix::fs::fstat(&file)?;
            is_ours(&stat)?;
            if !FileType::from_raw_mode(stat.st_mode).is_file() {
                return Err(io::Error::other("an entry is not a regular file"));
            }
            if Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
                return Err(io::Error::other("others may write an entry"));
            }
            let length = Seen::of(&stat).bytes;
            if length > most {
                return Err(io::Error::other("an entry is too large"));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            File::from(file).take(most).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }

        /// Writes a file of these parts, in place of what was there by that name. A file that a
        /// crash leaves torn is its reader's to notice, so that nothing waits for the disk.
        ///
        /// # Errors
        /// When it cannot be written; nothing has changed then.
        pub(in super::super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
            let random = RandomState::new().hash_one(name);
            let part = format!("{name}.{random:016x}.part");
            let how =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&self.0, &part, how, Mode::RUSR | Mode::WUSR)?;
            let mut file = File::from(file);
            let written = parts.iter().try_for_each(|part| file.write_all(part));
            let renamed =
                written.and_then(|()| Ok(rustix::fs::renameat(&self.0, &part, &self.0, name)?));
            if renamed.is_err() {
                // The first error says more than that of cleaning up.
                let _ = self.remove(&part);
            }
            renamed
        }

        /// Removes a file, or a link by that name.
        ///
        /// # Errors
        /// When it cannot be removed, as a folder cannot.
        pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
        }

        /// Shows every file by its name; those that vanish meanwhile and those whose names are no
        /// text are left out.
        ///
        /// # Errors
        /// When the folder cannot be listed.
        pub(in super::super) fn each(&self, mut see: impl FnMut(&str, Seen)) -> io::Result<()> {
            for entry in Dir::read_from(&self.0)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else {
                    continue;
                };
                let how = AtFlags::SYMLINK_NOFOLLOW;
                let Ok(stat) = rustix::fs::statat(&self.0, name, how) else {
                    continue;
                };
                see(name, Seen::of(&stat));
            }
            Ok(())
        }
    }

    impl Seen {
        fn of(stat: &Stat) -> Self {
            let written = u64::try_from(stat.st_mtime).unwrap_or_default();
            let written = UNIX_EPOCH + Duration::from_secs(written);
            let age = SystemTime::now().duration_since(written);
            Self {
                bytes: u64::try_from(stat.st_size).unwrap_or_default(),
                is_old: age.is_ok_and(|age| age > OLD),
            }
        }
    }

    fn is_ours(stat: &Stat) -> io::Result<()> {
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        Ok(())
    }
}

/// Where a file's owner cannot be asked for, nothing is kept.
#[cfg(not(unix))]
pub(super) enum Folder {}

#[cfg(not(unix))]
impl Folder {
    pub(super) fn open(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn make(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn read(&self, _: &str, _: u64) -> io::Result<Option<Vec<u8>>> {
        match *self {}
    }

    pub(super) fn write(&self, _: &str, _: &[&[u8]]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn remove(&self, _: &str) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn each(&self, _: impl FnMut(&str, Seen)) -> io::Result<()> {
        match *self {}
    }
}
