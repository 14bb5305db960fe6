//! Why the store did not do what it was asked: the file, what was found, what was expected.
//!
//! What stands in the index, or came as a file's name, is quoted here before it becomes part of a
//! message.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use modularbase_format::{Digest, Hint, OciError, PackFileError};

/// Why the store cannot be read, or was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused to read the file that was to be added.
    #[error("{}: {source}", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The environment says neither where packs are kept nor where home is.
    #[error("`HOME` is not set, or no absolute path, so there is no place to keep packs in")]
    NoHome,
    /// Something else where a folder should be.
    #[error("{}: is {found}, expected a folder", .path.display())]
    NotAFolder {
        /// What should be a folder.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Something else where a file should be.
    #[error("{}: is {found}, expected a regular file", .path.display())]
    NotAFile {
        /// What should be a file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A folder of somebody else's.
    #[error("{}: holds {found} and no `oci-layout`, expected a store or an empty folder", .path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// One of the things in it, quoted.
        found: Box<str>,
    },
    /// A document of the layout that is not sound.
    #[error(transparent)]
    Document(#[from] OciError),
    /// A store without its index.
    #[error("{}: is missing, expected the store's index", .path.display())]
    NoIndex {
        /// Where it should be.
        path: PathBuf,
    },
    /// A store that a newer version wrote.
    #[error("{}: store has format {found}, expected at most {known}", .path.display())]
    Newer {
        /// The index.
        path: PathBuf,
        /// The format it names, quoted.
        found: Box<str>,
        /// The newest that is known here.
        known: u64,
    },
    /// A file that is longer than any of its kind.
    #[error("{}: file is {found} bytes long, expected at most {limit}", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The index says something of a pack that cannot be.
    #[error("{}: {entry}: {what} is {found}, expected {expected}", .path.display())]
    Entry {
        /// The index.
        path: PathBuf,
        /// Which pack, quoted.
        entry: Box<str>,
        /// Which of its annotations.
        what: &'static str,
        /// What stands there, quoted.
        found: Box<str>,
        /// What might stand there.
        expected: &'static str,
    },
    /// One version of a pack twice.
    #[error("{}: pack {entry} is there twice, expected once", .path.display())]
    Twice {
        /// The index.
        path: PathBuf,
        /// The pack and its version.
        entry: Box<str>,
    },
    /// Two versions of a pack that are both in use.
    #[error("{}: pack {first} and pack {second} are both in use, expected one version", .path.display())]
    TwoInUse {
        /// The index.
        path: PathBuf,
        /// The pack and its newest version in use.
        first: Box<str>,
        /// The next.
        second: Box<str>,
    },
    /// A blob that the index refers to is not there.
    #[error("pack {pack}: {what} is missing: {}", .path.display())]
    Missing {
        /// The pack and its version.
        pack: Box<str>,
        /// What the blob is to the pack.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A blob that is not what was added.
    #[error("pack {pack}: {what} has {found}, expected {expected}: {}", .path.display())]
    Damaged {
        /// The pack and its version.
        pack: Box<str>,
        /// What the blob is to the pack.
        what: &'static str,
        /// What is wrong with it.
        found: Box<str>,
        /// What it should have.
        expected: Box<str>,
        /// Where it is.
        path: PathBuf,
    },
    /// A file that is to be added, and changes while it is read.
    #[error("{}: changed while it was read", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file of the store that somebody changes who takes no lock.
    #[error("{}: was changed by another program meanwhile", .path.display())]
    Touched {
        /// The file.
        path: PathBuf,
    },
    /// The store was changed, but the system refused to have that survive a loss of power.
    #[error("{}: store is changed, but a loss of power may undo it: {source}", .path.display())]
    Unsynced {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A pack that is not kept, or not any more.
    #[error("pack {pack} is not kept in {}", .path.display())]
    NotKept {
        /// The pack, and its version where one was asked for.
        pack: Box<str>,
        /// The store.
        path: PathBuf,
    },
    /// Other bytes under the same id and version.
    #[error("pack {pack} is kept with other content: found {found}, expected {expected}")]
    OtherContent {
        /// The pack and its version.
        pack: Box<str>,
        /// The digest of the file that was to be added.
        found: Digest,
        /// The digest of the file that is kept.
        expected: Digest,
    },
    /// The file is no sound pack.
    #[error(transparent)]
    Pack(#[from] PackFileError),
}

/// What is left to do about an index that is gone or cannot be read.
const BACK: &str = "put it back from a backup; or remove the store, and add its packs again";

impl StoreError {
    /// The same error of the system, of a change that happened.
    pub(super) fn unsynced(self) -> Self {
        match self {
            Self::Io { path, source } => Self::Unsynced { path, source },
            other => other,
        }
    }

    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "free some space, or move the store with `MBHOST_HOME`; nothing was changed"
                }
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                    "`MBHOST_HOME` names a folder of your own to keep packs in"
                }
                _ => return None,
            },
            Self::NoHome => "set `MBHOST_HOME` to the folder to keep packs in",
            Self::NotAStore { .. } => "`MBHOST_HOME` names the folder that `store` is made in",
            Self::NoIndex { .. } => BACK,
            Self::Newer { .. } => "a newer `mbhost` reads it",
            Self::Entry { .. } | Self::Twice { .. } | Self::TwoInUse { .. } => {
                "the index was not written by `mbhost`, or was changed since"
            }
            Self::Missing { .. } | Self::Damaged { .. } => {
                "adding the same file again puts it right, with `--downgrade` where a newer version is in \
                 use; `mbhost pack rm` removes it"
            }
            Self::OtherContent { .. } => {
                "raise the version, or remove the one that is kept with `mbhost pack rm`"
            }
            Self::NotKept { .. } => "`mbhost pack list` shows what is kept",
            Self::Changed { .. } => "try again when nobody writes to it any more",
            Self::Touched { .. } => "try again when no other program writes to the store",
            Self::Document(error) => match error.hint() {
                Some(hint) => return Some(hint),
                None => BACK,
            },
            Self::Pack(error) => return error.hint(),
            Self::Source { .. }
            | Self::Unsynced { .. }
            | Self::NotAFolder { .. }
            | Self::NotAFile { .. }
            | Self::TooLong { .. } => return None,
        };
        Some(Hint::new(text))
    }
}

/// An error of the system about `path`.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io {
        path: path.to_path_buf(),
        source,
    }
}

/// An error of the system about the file that was to be added.
pub(super) fn at_source(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Source {
        path: path.to_path_buf(),
        source,
    }
}

/// Characters of a stranger's text that a message repeats.
const SHOWN: usize = 80;

/// A stranger's text in backticks: escaped, and cut when it is long.
pub(super) fn quoted(text: &str) -> Box<str> {
    let shown = text.chars().take(SHOWN).flat_map(char::escape_debug);
    let more = text.chars().nth(SHOWN).map_or("", |_| "…");
    format!("`{}{more}`", shown.collect::<String>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_cannot_steer_a_terminal_or_fill_a_log() {
        assert_eq!(&*quoted("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), SHOWN + 3);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_reason_to_move_the_store() {
        let denied = || ErrorKind::PermissionDenied.into();
        let path = Path::new("a.wasm");
        assert!(at(path)(denied()).hint().is_some());
        assert!(at_source(path)(denied()).hint().is_none());
    }

    #[test]
    fn errors_are_small_enough_to_be_returned() {
        assert!(
            size_of::<StoreError>() <= 112,
            "{}",
            size_of::<StoreError>()
        );
    }
}
