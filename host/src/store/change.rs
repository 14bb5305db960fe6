//! A change of the store, under its lock: begun, made in memory, committed.
//!
//! What is changed is the index as it was read, in place, so that what this version does not know
//! in it stays. After each step it is read again as a stranger's would be: an index that could not
//! be read back is never written.

use std::time::{SystemTime, UNIX_EPOCH};

use modularbase_format::Digest;
use modularbase_format::manifest::Publisher;
use modularbase_format::oci::{Descriptor, IMAGE_TYPE, Index};
use semver::Version;

use super::contents::{
    ADDED_KEY, DIGEST_KEY, FORMAT, FORMAT_KEY, HOOKS_ALLOWED, HOOKS_KEY, IN_USE, IN_USE_KEY,
    PACK_KEY, PIN_KEY, PUBLISHER_KEY, ROUTER_KEY, SIZE_KEY, STAMP_KEY, VERSION_KEY, who,
};
use super::error::{at, quoted};
use super::folder::Folder;
use super::image::{Documents, Interfaces, descriptor};
use super::lock::Lock;
use super::stamp::Stamp;
use super::{Contents, Entry, Staged, StoreError, file, sweep, verify};

/// By what other tools find an image.
const REF_KEY: &str = "org.opencontainers.image.ref.name";

/// A change that is being made. Nobody else changes the store meanwhile; dropped without
/// [`commit`](Self::commit), it leaves the store as it was.
#[derive(Debug)]
pub struct Change {
    folder: Folder,
    before: Index,
    index: Index,
    contents: Contents,
    arriving: Vec<Arriving>,
    /// Blobs of what was removed.
    leaving: Vec<Digest>,
    /// Where there is no store there is nothing to lock until something is committed. The last, so
    /// that it is held until the others are gone.
    lock: Option<Lock>,
}

/// A pack whose blobs are not in their places yet.
#[derive(Debug)]
struct Arriving {
    staged: Staged,
    documents: Documents,
}

/// What [`Change::add`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// This version of the pack is new here.
    New,
    /// The same file was kept already.
    Again,
    /// The same file was kept, missing or damaged, and is put right.
    Mended,
}

impl Change {
    pub(super) fn begin(folder: &Folder) -> Result<Self, StoreError> {
        // Before it is known what this is, nothing is written, not even the lock's file.
        let mut now = folder.read()?;
        let mut lock = None;
        if folder.is_begun()? {
            lock = Some(Lock::take(folder)?);
            now = folder.read()?;
        }
        let (index, contents) = now;
        Ok(Self {
            folder: folder.clone(),
            before: index.clone(),
            index,
            contents,
            arriving: Vec::new(),
            leaving: Vec::new(),
            lock,
        })
    }

    /// What is kept, with what was changed so far.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Adds a pack and puts it in use. What is kept already is put in use again; where its blobs
    /// are missing or were touched, the new ones take their place.
    ///
    /// # Errors
    /// When other bytes are kept under the same id and version.
    pub fn add(
        &mut self,
        staged: Staged,
        interfaces: &Interfaces,
        hooks_allowed: bool,
    ) -> Result<Added, StoreError> {
        let pack = staged.file();
        let (id, version) = (pack.manifest().id.clone(), pack.manifest().version.clone());
        let kept = self.contents.find(&id, &version);
        if let Some(kept) = kept {
            if kept.digest != pack.digest() {
                return Err(StoreError::OtherContent {
                    pack: kept.who(),
                    found: pack.digest(),
                    expected: kept.digest,
                });
            }
            let is_told_right = kept.publisher.as_ref() == pack.signed_by();
            if is_told_right && verify::is_whole(&self.folder, kept)? {
                self.put_in_use(&id, &version, hooks_allowed)?;
                return Ok(Added::Again);
            }
        }
        let documents = Documents::of(pack, interfaces);
        if let Some(kept) = kept {
            // Its documents may be others now.
            self.leaving.extend(sweep::blobs_of(&self.folder, kept));
        }
        let added = kept.map_or_else(seconds_now, |it| it.added);
        let new = described(&staged, &documents, added);
        let (found, at) = (kept.is_some(), kept.map(|it| it.at));
        self.edit(
            |index| match at.and_then(|at| index.manifests.get_mut(at)) {
                Some(place) => {
                    (place.digest, place.size) = (new.digest, new.size);
                    for key in [STAMP_KEY, PUBLISHER_KEY] {
                        place.annotations.remove(key);
                    }
                    place.annotations.extend(new.annotations);
                }
                None => index.manifests.push(new),
            },
        )?;
        self.arriving.push(Arriving { staged, documents });
        self.put_in_use(&id, &version, hooks_allowed)?;
        Ok(if found { Added::Mended } else { Added::New })
    }

    /// Puts a version that is kept in use, instead of another of the same id.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn put_in_use(
        &mut self,
        id: &str,
        version: &Version,
        hooks_allowed: bool,
    ) -> Result<(), StoreError> {
        let chosen = self.contents.find(id, version).map(|it| it.at);
        let chosen = chosen.ok_or_else(|| self.not_kept(who(id, version)))?;
        let all = self.places_of(id);
        self.edit(|index| {
            for (at, place) in index.manifests.iter_mut().enumerate() {
                if at == chosen {
                    set(place, IN_USE_KEY, Some(IN_USE));
                    set(place, HOOKS_KEY, hooks_allowed.then_some(HOOKS_ALLOWED));
                } else if all.contains(&at) {
                    set(place, IN_USE_KEY, None);
                }
            }
        })
    }

    /// Removes one version of a pack, or all; gives what was removed. When the version in use goes
    /// and others stay, the newest of them is put in use; when the router goes, there is none.
    ///
    /// # Errors
    /// When the index would not be sound without it.
    pub fn remove(
        &mut self,
        id: &str,
        version: Option<&Version>,
    ) -> Result<Vec<Entry>, StoreError> {
        let leaves = |it: &&Entry| it.id == id && version.is_none_or(|only| it.version == *only);
        let removed: Vec<Entry> = self
            .contents
            .entries()
            .iter()
            .filter(leaves)
            .cloned()
            .collect();
        if removed.is_empty() {
            return Ok(removed);
        }
        for entry in &removed {
            self.leaving.extend(sweep::blobs_of(&self.folder, entry));
        }
        self.edit(|index| {
            let mut at = 0;
            index.manifests.retain(|_| {
                let stays = removed.iter().all(|it| it.at != at);
                at += 1;
                stays
            });
        })?;
        let newest = self.contents.entries().iter().find(|it| it.id == id);
        match newest.cloned() {
            Some(it) if removed.iter().any(|it| it.in_use) => {
                self.put_in_use(id, &it.version, it.hooks_allowed)?;
            }
            None if self.contents.router() == Some(id) => self.set_router(None)?,
            _ => {}
        }
        Ok(removed)
    }

    /// Chooses the router.
    ///
    /// # Errors
    /// When no version of it is kept.
    pub fn set_router(&mut self, id: Option<&str>) -> Result<(), StoreError> {
        if let Some(id) = id
            && self.places_of(id).is_empty()
        {
            return Err(self.not_kept(quoted(id)));
        }
        self.edit(|index| match id {
            Some(id) => index
                .annotations
                .extend([(ROUTER_KEY.to_owned(), id.to_owned())]),
            None => drop(index.annotations.remove(ROUTER_KEY)),
        })
    }

    /// Notes who publishes a pack, or that nobody is known to. The note outlives the pack.
    ///
    /// # Errors
    /// When `id` cannot be a pack's.
    pub fn pin(&mut self, id: &str, publisher: Option<Publisher>) -> Result<(), StoreError> {
        let key = format!("{PIN_KEY}{id}");
        self.edit(|index| match publisher {
            Some(publisher) => index.annotations.extend([(key, publisher.to_string())]),
            None => drop(index.annotations.remove(&key)),
        })
    }

    /// Makes the change: blobs first, the index last. What was removed goes after that.
    ///
    /// # Errors
    /// When the store cannot be written, or another program has changed it meanwhile; then it is
    /// as it was. [`StoreError::Unsynced`]: it is changed, but a loss of power may undo that.
    pub fn commit(mut self) -> Result<(), StoreError> {
        if self.arriving.is_empty() && self.index == self.before {
            return Ok(());
        }
        if self.lock.is_none() {
            self.folder.make_staging()?;
            self.lock = Some(Lock::take(&self.folder)?);
        }
        self.folder.make()?;
        let mut new = Vec::new();
        if let Err(error) = self.publish(&mut new).and_then(|()| self.write()) {
            // Where the old index stands, nothing knows them; what stays, a sweep removes.
            if self.stands(&self.before) {
                for digest in new {
                    let _ = file::remove(&self.folder.blob(&digest));
                }
            }
            return Err(error);
        }
        let synced = file::sync_folder(self.folder.root());
        synced.map_err(StoreError::unsynced)?;
        if self.leaving.is_empty() {
            return Ok(());
        }
        if let Err(error) = sweep::free(&self.folder, &self.index, &self.leaving) {
            tracing::warn!("removed packs still take space, which a sweep frees: {error}");
        }
        Ok(())
    }

    /// Replaces the index, unless that would undo what somebody wrote who takes no lock.
    fn write(&mut self) -> Result<(), StoreError> {
        if self.folder.read_index()? != self.before {
            let path = self.folder.index();
            return Err(StoreError::Touched { path });
        }
        let format = (FORMAT_KEY.to_owned(), FORMAT.to_string());
        self.index.annotations.extend([format]);
        match self.folder.write_index(&self.index) {
            // A file system far away may report a failure of a renaming that happened.
            Err(error) if !self.stands(&self.index) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether this is the index that is there now.
    fn stands(&self, index: &Index) -> bool {
        self.folder.read_index().is_ok_and(|now| now == *index)
    }

    /// Gives the blobs of new packs their places; `new` collects those that were not there.
    fn publish(&mut self, new: &mut Vec<Digest>) -> Result<(), StoreError> {
        let arriving = std::mem::take(&mut self.arriving);
        if arriving.is_empty() {
            return Ok(());
        }
        for Arriving { staged, documents } in arriving {
            let (digest, manifest) = (staged.file().digest(), staged.file().manifest());
            // Removed again in the same change, or replaced.
            let entry = self.contents.find(&manifest.id, &manifest.version);
            let Some(entry) = entry.filter(|it| it.digest == digest) else {
                continue;
            };
            for bytes in [&documents.config, &documents.manifest] {
                let digest = Digest::of(bytes);
                let to = self.folder.blob(&digest);
                let is_new = file::is_free(&to);
                self.folder.write(&to, bytes, 0o444)?;
                new.extend(is_new.then_some(digest));
            }
            let to = self.folder.blob(&digest);
            let is_new = file::is_free(&to);
            let published = staged.publish(&to)?;
            new.extend(is_new.then_some(digest));
            // Taken last: a new place and a new mode are changes of the inode.
            let stamp = Stamp::of(&published.metadata().map_err(at(&to))?);
            if let Some(place) = self.index.manifests.get_mut(entry.at) {
                set(place, STAMP_KEY, Some(&stamp.to_string()));
            }
        }
        file::sync_folder(&self.folder.blobs())
    }

    /// Changes the index in memory, unless nobody could read it then.
    fn edit(&mut self, change: impl FnOnce(&mut Index)) -> Result<(), StoreError> {
        let mut index = self.index.clone();
        change(&mut index);
        self.contents = Contents::read(&index, &self.folder.index())?;
        self.index = index;
        Ok(())
    }

    /// Where in the index the versions of a pack are.
    fn places_of(&self, id: &str) -> Vec<usize> {
        let entries = self.contents.entries().iter();
        entries.filter(|it| it.id == id).map(|it| it.at).collect()
    }

    fn not_kept(&self, pack: Box<str>) -> StoreError {
        StoreError::NotKept {
            pack,
            path: self.folder.root().to_path_buf(),
        }
    }
}

/// A pack's descriptor, without a stamp and not in use.
fn described(staged: &Staged, documents: &Documents, added: u64) -> Descriptor {
    let pack = staged.file();
    let manifest = pack.manifest();
    let bytes = &documents.manifest;
    let mut described = descriptor(IMAGE_TYPE, Digest::of(bytes), bytes.len() as u64);
    let (id, version) = (manifest.id.as_str(), manifest.version.to_string());
    set(&mut described, REF_KEY, Some(&format!("{id}@{version}")));
    set(&mut described, PACK_KEY, Some(id));
    set(&mut described, VERSION_KEY, Some(&version));
    let digest = pack.digest().to_string();
    set(&mut described, DIGEST_KEY, Some(&digest));
    let size = pack.map().len().to_string();
    set(&mut described, SIZE_KEY, Some(&size));
    let publisher = pack.signed_by().map(ToString::to_string);
    set(&mut described, PUBLISHER_KEY, publisher.as_deref());
    set(&mut described, ADDED_KEY, Some(&added.to_string()));
    described
}

fn set(descriptor: &mut Descriptor, key: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            let annotation = (key.to_owned(), value.to_owned());
            descriptor.annotations.extend([annotation]);
        }
        None => drop(descriptor.annotations.remove(key)),
    }
}

fn seconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 says nothing, and neither does this.
    since.map_or(0, |it| it.as_secs())
}
