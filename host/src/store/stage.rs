//! A pack file's way in: copied first, and everything that is said of it afterwards is said of the
//! copy. So nobody can swap the file between check and use.
//!
//! The bytes are written to the disk in the background from the first of them on, and are hashed
//! once.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use modularbase_format::{Mapping, PackFile, PackFileError};

use super::error::{at, at_source};
use super::folder::Folder;
use super::staging::{self, Draft};
use super::stamp::Stamp;
use super::{StoreError, file};

/// Bytes that are copied at a time.
///
/// The kernel keeps what is written at once in memory as one piece, and maps it by one page fault:
/// a pack that it copied itself, in pieces of 64 KiB, has four times as many, which shows in the
/// first row that is computed over it. Larger pieces than this one are hard to come by in a memory
/// that is full of other files, and copying takes longer now and then.
const PIECE: usize = 256 << 10;

/// Bytes that are copied before they are sent to the disk.
const SYNC_CHUNK: u64 = 64 << 20;

/// A pack file's checked copy inside the store, which nothing refers to yet. Dropped, it goes.
#[derive(Debug)]
pub struct Staged {
    file: PackFile,
    draft: Draft,
    /// The copy's, from before it was hashed.
    stamp: Stamp,
    syncing: Syncing,
}

impl Staged {
    /// The copy. Its path in messages is that of the file it was made of.
    pub fn file(&self) -> &PackFile {
        &self.file
    }

    /// Copies a file.
    pub(super) fn copy(
        folder: &Folder,
        source: &Path,
        watch: &dyn Fn(u64, u64),
    ) -> Result<Self, StoreError> {
        let (mut from, before) = file::open_source(source)?;
        let total = before.len();
        let mut draft = begin(folder)?;
        let syncing = Syncing::begin(&mut draft)?;
        let mut piece = vec![0; PIECE];
        let (mut done, mut synced) = (0, 0);
        watch(done, total);
        while done <= total {
            let read = match from.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(at_source(source))?,
            };
            let Some(bytes) = piece.get(..read).filter(|it| !it.is_empty()) else {
                break;
            };
            if done == 0 {
                refuse_what_is_no_pack(bytes, source)?;
            }
            let written = draft.file().write_all(bytes);
            written.map_err(at(draft.path()))?;
            done += bytes.len() as u64;
            watch(done, total);
            if done - synced >= SYNC_CHUNK {
                syncing.more();
                synced = done;
            }
        }
        let after = from.metadata().map_err(at_source(source))?;
        let there = fs::metadata(source).ok();
        let is_same = |now: &Metadata| Source::of(now) == Source::of(&before);
        if done != total || !is_same(&after) || !there.is_some_and(|it| is_same(&it)) {
            return Err(StoreError::Changed {
                path: source.to_path_buf(),
            });
        }
        Self::check(draft, syncing, source)
    }

    /// Writes bytes.
    pub(super) fn write(folder: &Folder, bytes: &[u8], name: &Path) -> Result<Self, StoreError> {
        let mut draft = begin(folder)?;
        let syncing = Syncing::begin(&mut draft)?;
        let written = draft.file().write_all(bytes);
        written.map_err(at(draft.path()))?;
        Self::check(draft, syncing, name)
    }

    fn check(mut draft: Draft, syncing: Syncing, name: &Path) -> Result<Self, StoreError> {
        // The rest goes to the disk while the whole is hashed.
        syncing.finish();
        let stamp = stamp_of(&mut draft)?;
        let map = Mapping::of_file(draft.file()).map_err(at(draft.path()))?;
        let file = PackFile::from_map(Arc::new(map), name)?;
        // Hashes a pack that is not signed; the signature's check has hashed the others.
        file.digest();
        Ok(Self {
            file,
            draft,
            stamp,
            syncing,
        })
    }

    /// Gives the copy its place and its mode, when all of it is on the disk. What is published will
    /// be believed without being read, so nobody may have touched it since it was.
    pub(super) fn publish(self, to: &Path) -> Result<File, StoreError> {
        let Self {
            mut draft,
            stamp,
            syncing,
            ..
        } = self;
        syncing.wait().map_err(at(draft.path()))?;
        if stamp_of(&mut draft)? != stamp {
            return Err(StoreError::Touched {
                path: draft.path().to_path_buf(),
            });
        }
        draft.set_mode(0o444)?;
        draft.publish(to)
    }
}

/// Looks at how a file begins, before gigabytes of something else are copied.
fn refuse_what_is_no_pack(bytes: &[u8], source: &Path) -> Result<(), StoreError> {
    let head = bytes.get(..8).unwrap_or(bytes);
    match PackFile::from_bytes(head, source) {
        Err(error @ PackFileError::NotAComponent { .. }) => Err(error.into()),
        _ => Ok(()),
    }
}

/// An empty file in the staging of a sound store.
fn begin(folder: &Folder) -> Result<Draft, StoreError> {
    // Before it is known what this is, nothing is written.
    folder.read()?;
    folder.make_staging()?;
    // Whole copies are left behind when somebody answers the question with Ctrl-C.
    if let Err(error) = staging::sweep(folder) {
        tracing::debug!(%error, "what others left in the staging stays");
    }
    Draft::new(folder)
}

fn stamp_of(draft: &mut Draft) -> Result<Stamp, StoreError> {
    let metadata = draft.file().metadata().map_err(at(draft.path()))?;
    Ok(Stamp::of(&metadata))
}

/// A thread that sends a file's bytes to the disk. Once this is dropped it has ended, and let go of
/// the file: the room of one that is not wanted is free then.
#[derive(Debug)]
struct Syncing {
    /// Until there are no more.
    orders: Option<Sender<Order>>,
    /// Until it has ended.
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What is to be sent to the disk.
enum Order {
    /// What is written by now.
    More,
    /// The same, and nothing comes after it.
    Last,
}

impl Syncing {
    fn begin(draft: &mut Draft) -> Result<Self, StoreError> {
        let file = draft.file().try_clone().map_err(at(draft.path()))?;
        let (orders, told) = mpsc::channel();
        let sync = move || {
            while let Ok(order) = told.recv() {
                // However many there are, once is enough.
                let order = told.try_iter().last().unwrap_or(order);
                file.sync_data()?;
                if matches!(order, Order::Last) {
                    break;
                }
            }
            Ok(())
        };
        let thread = thread::Builder::new().name("store-sync".to_owned());
        let thread = thread.spawn(sync).map_err(at(draft.path()))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// There is more to be sent.
    fn more(&self) {
        self.order(Order::More);
    }

    /// All of it is written.
    fn finish(&self) {
        self.order(Order::Last);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // When the thread has ended, it ended with an error, which `wait` gives.
            let _ = orders.send(order);
        }
    }

    /// Waits until all of it is on the disk; after [`finish`](Self::finish).
    fn wait(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.orders = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(io::Error::other("the thread that syncs it has panicked")),
        }
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        // Nobody wants the file any more, so nobody minds what became of it.
        let _ = self.end();
    }
}

/// By what a file that is being read is seen to stay the same.
#[derive(PartialEq, Eq)]
struct Source {
    place: (u64, u64),
    size: u64,
    modified: Option<std::time::SystemTime>,
}

impl Source {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;

        Self {
            #[cfg(unix)]
            place: (metadata.dev(), metadata.ino()),
            #[cfg(not(unix))]
            place: (0, 0),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}
