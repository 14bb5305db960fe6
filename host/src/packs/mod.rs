//! The packs that are installed here: how a stranger's file becomes one of them, and how it goes.
//!
//! Ties the store (files), the sandbox (code) and the trust rules together. `mbhost pack` and
//! embedders call [`Packs`]. Adding goes through a [`Candidate`]: a copy that was checked as a
//! whole, of which everything can be said before anything happens.
//!
//! What stays true: a file is copied before it is judged, and what is judged is what is kept;
//! whoever may sign an id is decided under the store's lock; listing and showing run no guest
//! code; a pack is compiled when it is added, not when it is needed.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod candidate;
mod consider;
mod error;
mod export;
mod installed;
mod name;
mod trust;

pub use candidate::{Added, Candidate, Question, Source};
pub use error::PacksError;
pub use installed::{Installed, Removed, Verified};
pub use name::Name;
pub use trust::{Allow, News};

use std::collections::BTreeSet;
use std::path::Path;

use modularbase_format::manifest::Publisher;
use modularbase_format::{Digest, PackFile, Role};

use crate::error::Result;
use crate::pack::{Builtin, CodeCache, Inspection, Limits, Pack, PackError, Sandbox};
use crate::store::{Contents, Entry, Places, Store, StoreError, Swept};

/// The packs that are installed here. Cheap to clone; several processes may have the same.
///
/// ```no_run
/// use modularbase::packs::{Allow, Name, Packs, Source};
/// use modularbase::store::Places;
///
/// let packs = Packs::open(&Places::from_env()?)?;
/// let source = Source::File("pack.wasm".into());
/// let candidate = packs.consider(&source, Allow::default(), &|_, _| {})?;
/// println!("{:?}", candidate.inspection().code);
/// let added = candidate.install(false)?;
/// let pack = packs.load(&added.id.parse::<Name>()?)?;
/// # Ok::<(), modularbase::Error>(())
/// ```
#[derive(Clone)]
pub struct Packs {
    store: Store,
    sandbox: Sandbox,
    code: CodeCache,
}

impl Packs {
    /// The packs at these places; none, where there is nothing yet.
    ///
    /// # Errors
    /// When what is there is no store, or one of a newer format.
    pub fn open(places: &Places) -> Result<Self> {
        let code = CodeCache::open(places.code());
        Ok(Self {
            store: Store::open(places.store())?,
            sandbox: Sandbox::new(Limits::default()).code_cache(code.clone()),
            code,
        })
    }

    /// Everything that is installed: by id, the newest version first.
    ///
    /// # Errors
    /// When the store cannot be read. A pack that cannot be opened is listed with its problem.
    pub fn list(&self) -> Result<Vec<Installed>> {
        let contents = self.store.contents()?;
        let mut list = Vec::new();
        for entry in contents.entries() {
            match self.store.open_pack(entry) {
                // Somebody has just removed it.
                Err(StoreError::NotKept { .. }) => {}
                opened => list.push(Installed::new(entry, contents.router(), &opened)),
            }
        }
        Ok(list)
    }

    /// One of them, and all that its file says and holds.
    ///
    /// # Errors
    /// When it is not installed or cannot be opened.
    pub fn show(&self, name: &Name) -> Result<(Installed, Inspection)> {
        let contents = self.store.contents()?;
        let entry = self.entry_of(&contents, name)?;
        let file = self.store.open_pack(&entry)?;
        let judged = self.sandbox.judge(&file);
        let inspection = Inspection::of(&file, judged.as_ref());
        let router = contents.router();
        Ok((
            Installed::new(&entry, router, &Ok::<_, StoreError>(file)),
            inspection,
        ))
    }

    /// Opens one for use: its weights are mapped, its code comes from the cache.
    ///
    /// # Errors
    /// When it is not installed, is damaged, or this host refuses its code.
    pub fn load(&self, name: &Name) -> Result<Pack> {
        Ok(Pack::from_file(self.file(name)?, &self.sandbox)?)
    }

    /// The file of one.
    ///
    /// # Errors
    /// When it is not installed or is damaged.
    pub fn file(&self, name: &Name) -> Result<PackFile> {
        let entry = self.entry_of(&self.store.contents()?, name)?;
        Ok(self.store.open_pack(&entry)?)
    }

    /// Reads every byte of one version, of all versions of an id, or of all packs; `watch` hears of bytes done and bytes in all.
    ///
    /// # Errors
    /// When the store cannot be read or the pack is not installed. What is wrong with a pack is
    /// said in its place.
    pub fn verify(&self, name: Option<&Name>, watch: &dyn Fn(u64, u64)) -> Result<Vec<Verified>> {
        let contents = self.store.contents()?;
        let entries = match name {
            Some(name) => {
                self.entry_of(&contents, name)?;
                let is_meant = |it: &&Entry| {
                    it.id == name.id && name.version.as_ref().is_none_or(|only| it.version == *only)
                };
                contents
                    .entries()
                    .iter()
                    .filter(is_meant)
                    .cloned()
                    .collect()
            }
            None => contents.entries().to_vec(),
        };
        let all = bytes_of(&entries);
        let mut before = 0_u64;
        let mut verified = Vec::new();
        for entry in entries {
            let problem = self
                .store
                .verify(&entry, &|done, _| watch(before.saturating_add(done), all))
                .err();
            before = before.saturating_add(entry.size);
            match problem {
                // Somebody has just removed it.
                Some(StoreError::NotKept { .. }) if name.is_none() => continue,
                Some(error @ StoreError::NotKept { .. }) => return Err(error.into()),
                _ => {}
            }
            verified.push(Verified {
                id: entry.id,
                version: entry.version.to_string(),
                bytes: entry.size,
                problem: problem.map(|it| it.to_string()),
            });
        }
        Ok(verified)
    }

    /// Removes a version, or all of an id. Its publisher's key stays pinned.
    ///
    /// # Errors
    /// When it is not installed or the store cannot be changed.
    pub fn remove(&self, name: &Name) -> Result<Removed> {
        let mut change = self.store.change()?;
        self.entry_of(change.contents(), name)?;
        let was_router = change.contents().router() == Some(&*name.id);
        let used_to_be = change
            .contents()
            .in_use(&name.id)
            .map(|it| it.version.clone());
        let gone = change.remove(&name.id, name.version.as_ref())?;
        let now = change
            .contents()
            .in_use(&name.id)
            .map(|it| it.version.clone());
        let mut other_key = false;
        if let Some(entry) = change.contents().in_use(&name.id).cloned() {
            other_key = entry.publisher != change.contents().key(&name.id);
            let file = self.store.open_pack(&entry);
            if let Ok(file) = file {
                trust::drop_router(&mut change, file.manifest())?;
            }
        }
        let was_router = was_router && change.contents().router().is_none();
        change.commit()?;
        let in_use = now.filter(|it| Some(it) != used_to_be.as_ref());
        Ok(Removed {
            id: name.id.clone(),
            versions: gone.iter().map(|it| it.version.to_string()).collect(),
            bytes: bytes_of(&gone),
            other_key: other_key && in_use.is_some(),
            now_in_use: in_use.map(|it| it.to_string()),
            was_router,
        })
    }

    /// Whose an id is: the key that the first signed pack of it brought along. It stays when the
    /// packs go.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn publisher(&self, id: &str) -> Result<Option<Publisher>> {
        Ok(self.store.contents()?.key(id))
    }

    /// The router that was chosen, if one was.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn router(&self) -> Result<Option<Installed>> {
        let contents = self.store.contents()?;
        let entry = contents.router().and_then(|id| contents.in_use(id));
        Ok(entry.map(|it| self.installed(it, &contents)))
    }

    /// Makes an installed pack the one that chooses packs for turns.
    ///
    /// # Errors
    /// When it is not installed, is no router, or the store cannot be changed.
    pub fn use_router(&self, id: &str) -> Result<Installed> {
        let name = Name {
            id: id.parse::<Name>()?.id,
            version: None,
        };
        let mut change = self.store.change()?;
        let entry = self.entry_of(change.contents(), &name)?;
        let file = self.store.open_pack(&entry)?;
        let manifest = file.manifest();
        if !manifest.roles.contains(&Role::Router) {
            let roles: Vec<String> = manifest.roles.iter().map(ToString::to_string).collect();
            return Err(PacksError::NotARouter {
                id: entry.id,
                version: entry.version,
                roles: roles.join(", "),
            }
            .into());
        }
        change.set_router(Some(&entry.id))?;
        change.commit()?;
        Ok(Installed::new(
            &entry,
            Some(&entry.id),
            &Ok::<_, StoreError>(file),
        ))
    }

    /// Writes the weights of a pack as a plain GGUF file, where nothing may be yet; gives their
    /// length. The source is an installed pack or a file.
    ///
    /// # Errors
    /// When the pack is not there, is damaged or has no weights, or the file cannot be written.
    pub fn export_weights(&self, source: &Source, target: &Path) -> Result<u64> {
        let file = match source {
            Source::File(path) => PackFile::open(path).map_err(PackError::from)?,
            Source::Known(name) => self.file(name)?,
        };
        export::weights(&file, target)
    }

    /// Removes what nothing refers to any more: files that a crash left, compiled code of packs
    /// that are gone or of another host.
    ///
    /// # Errors
    /// When the store cannot be changed.
    pub fn sweep(&self) -> Result<Swept> {
        let mut swept = self.store.sweep()?;
        let contents = self.store.contents()?;
        let code = |entry| match self.store.open_pack(entry) {
            // Somebody has just removed it.
            Err(StoreError::NotKept { .. }) => None,
            opened => Some(opened.map(|it| it.code_digest())),
        };
        let entries = contents.entries().iter();
        let codes: Result<BTreeSet<Digest>, StoreError> = entries.filter_map(code).collect();
        match codes {
            Ok(codes) => {
                let freed = self.code.sweep(&codes);
                swept.files += freed.files;
                swept.bytes += freed.bytes;
            }
            // Which code it has, nobody knows.
            Err(error) => tracing::warn!(%error, "compiled code is not swept"),
        }
        Ok(swept)
    }

    fn installed(&self, entry: &Entry, contents: &Contents) -> Installed {
        Installed::new(entry, contents.router(), &self.store.open_pack(entry))
    }

    fn entry_of(&self, contents: &Contents, name: &Name) -> Result<Entry> {
        let found = match &name.version {
            Some(version) => contents.find(&name.id, version),
            None => contents.in_use(&name.id),
        };
        found.cloned().ok_or_else(|| {
            let similar = similar(contents, name);
            let mut along = Builtin::ALL.into_iter().filter(|it| it.is(&name.id, None));
            PacksError::NotInstalled {
                name: name.clone(),
                comes_along: along
                    .next()
                    .filter(|_| similar.is_empty())
                    .map(Builtin::id_and_version),
                similar,
            }
            .into()
        })
    }
}

/// The bytes of all; an index may claim any number for each.
fn bytes_of(entries: &[Entry]) -> u64 {
    let sizes = entries.iter().map(|it| it.size);
    sizes.fold(0, u64::saturating_add)
}

/// What is installed and may have been meant: other versions of an id, or ids that read alike.
fn similar(contents: &Contents, name: &Name) -> Vec<String> {
    let same_id = |it: &&Entry| it.id == name.id;
    let versions = contents.entries().iter().filter(same_id);
    let versions: Vec<String> = versions
        .map(|it| format!("{}@{}", it.id, it.version))
        .collect();
    if !versions.is_empty() {
        return versions;
    }
    let mut ids: Vec<&str> = contents.entries().iter().map(|it| &*it.id).collect();
    ids.dedup();
    ids.retain(|id| strsim::jaro_winkler(id, &name.id) > 0.8);
    ids.into_iter().map(str::to_owned).collect()
}
