//! A pack that may be added: copied, checked and judged, and nothing changed yet.

use std::path::PathBuf;

use modularbase_format::manifest::Publisher;
use modularbase_format::{Manifest, PackFile};
use serde::Serialize;

use super::trust::{self, Continued, Verdict};
use super::{Allow, Name, News, Packs, PacksError};
use crate::error::{Error, Result};
use crate::pack::{Builtin, Inspection, PACK_FILE, Pack, PackError, Wrap};
use crate::store::{Entry, Interfaces, Staged};

/// Where a pack to be added comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A pack file.
    File(PathBuf),
    /// A version that is kept here, or that comes with the host.
    Known(Name),
}

/// A pack that may be added. Dropped, it leaves nothing behind.
pub struct Candidate {
    packs: Packs,
    inspection: Inspection,
    /// Whom its id belonged to when it was looked at.
    known_key: Option<Publisher>,
    verdict: Verdict,
    allow: Allow,
    origin: Origin,
}

enum Origin {
    /// A copy in the store's staging folder.
    Copy(Staged),
    /// A version that the store keeps.
    Kept(PackFile),
}

/// A pack that was added.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What it meant.
    #[serde(flatten)]
    pub news: News,
    /// Its file's SHA-256.
    pub digest: String,
    /// The size of its file.
    pub bytes: u64,
}

/// What the user is to be asked before a pack is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Nothing: it was answered before.
    Nothing,
    /// Whether to add it.
    Add,
    /// Whether to add it and to allow its hooks.
    AddWithHooks,
}

impl Packs {
    /// Copies and checks a pack that may be added; `watch` hears of bytes done and bytes in all.
    ///
    /// # Errors
    /// When the file is no sound pack, this host refuses its code, or the rules refuse it. What is
    /// installed stays as it was.
    pub fn consider(
        &self,
        source: &Source,
        allow: Allow,
        watch: &dyn Fn(u64, u64),
    ) -> Result<Candidate> {
        match source {
            Source::File(path) => self.consider_copy(self.store.stage(path, watch)?, allow),
            Source::Known(name) => match self.entry(name) {
                Ok(entry) => self.consider_kept(&entry, allow),
                Err(_) => self.consider_builtin(name, allow),
            },
        }
    }

    fn consider_copy(&self, copy: Staged, allow: Allow) -> Result<Candidate> {
        let file = copy.file();
        self.sandbox.judge(file)?;
        let contents = self.store.contents()?;
        let verdict = trust::judge(&contents, file.manifest(), file.digest(), allow)?;
        Ok(Candidate {
            packs: self.clone(),
            inspection: Inspection::of(file, self.sandbox.limits()),
            known_key: contents.key(&file.manifest().id),
            origin: Origin::Copy(copy),
            allow,
            verdict,
        })
    }

    /// A version that is kept was agreed to when it came.
    fn consider_kept(&self, entry: &Entry, allow: Allow) -> Result<Candidate> {
        let file = self.store.open_pack(entry)?;
        self.sandbox.judge(&file)?;
        Ok(Candidate {
            packs: self.clone(),
            inspection: Inspection::of(&file, self.sandbox.limits()),
            known_key: entry.publisher,
            verdict: Verdict {
                news: News::Known {
                    in_use: entry.in_use,
                },
                key: entry.publisher,
                continues: Some(Continued {
                    hooks_allowed: entry.hooks_allowed,
                }),
            },
            origin: Origin::Kept(file),
            allow,
        })
    }

    /// A pack that comes with the host goes the way of a stranger's: it is no exception.
    fn consider_builtin(&self, name: &Name, allow: Allow) -> Result<Candidate> {
        let Some(code) = Builtin::ALL.into_iter().find(|it| own_name(*it) == *name) else {
            return Err(self.unknown(name)?.into());
        };
        let folder = tempfile::tempdir().map_err(|source| Error::Io {
            path: std::env::temp_dir(),
            source,
        })?;
        let pack = Wrap::new(code).out(folder.path().join(PACK_FILE)).start()?;
        self.consider_copy(self.store.stage(&pack.path, &|_, _| {})?, allow)
    }
}

/// What a pack of code that comes with the host is called, when its own manifest names it.
pub(super) fn own_name(code: Builtin) -> Name {
    let manifest = Manifest::parse(code.manifest(), code.name());
    let manifest = manifest.expect("code comes with a sound manifest");
    Name {
        id: manifest.id,
        version: Some(manifest.version),
    }
}

impl Candidate {
    /// What it is and can do.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// What adding it would mean.
    pub fn news(&self) -> &News {
        &self.verdict.news
    }

    /// What a user should know besides, in sentences.
    pub fn warnings(&self) -> Vec<String> {
        let pack = &self.inspection;
        let mut warnings = Vec::new();
        if !pack.trained {
            warnings.push("its weights are not trained: it was built with made-up ones".into());
        }
        match (self.known_key, self.verdict.key) {
            (Some(old), Some(new)) if old != new => warnings.push(format!(
                "it is signed by `{new}`, no longer by `{old}`: from now on the id `{}` belongs to \
                 the new key",
                pack.id
            )),
            (Some(old), None) => warnings.push(format!(
                "it is not signed, the id `{}` belonged to `{old}`: from now on anybody may take it",
                pack.id
            )),
            _ => {}
        }
        warnings
    }

    /// The key that its id will belong to from now on, if it belonged to none before.
    pub fn new_key(&self) -> Option<Publisher> {
        self.verdict.key.filter(|_| self.known_key.is_none())
    }

    /// What the user is to be asked, once, after all of the above was said.
    pub fn question(&self) -> Question {
        match (self.has_hooks(), self.verdict.continues) {
            (false, Some(_)) => Question::Nothing,
            (true, Some(before)) if before.hooks_allowed => Question::Nothing,
            (false, None) => Question::Add,
            (true, _) => Question::AddWithHooks,
        }
    }

    /// Adds it, or puts it in use when it is there. `hooks_allowed` is the user's yes to its
    /// hooks; what a publisher's earlier version was allowed is allowed still.
    ///
    /// # Errors
    /// When it has hooks that were not allowed, its code does not compile, it does not load, or
    /// the store cannot be changed or was changed by somebody else so that the rules now say
    /// something else. What is installed stays as it was.
    pub fn add(self, hooks_allowed: bool) -> Result<Added> {
        let hooks_allowed = hooks_allowed || self.question() == Question::Nothing;
        if self.has_hooks() && !hooks_allowed {
            return Err(self.hooks_refused().into());
        }
        let added = Added {
            id: self.inspection.id.clone(),
            version: self.inspection.version.clone(),
            news: self.verdict.news.clone(),
            digest: self.inspection.digest.clone(),
            bytes: self.inspection.bytes as u64,
        };
        let interfaces = self.interfaces();
        self.prove()?;
        let mut change = self.packs.store.change()?;
        let hooks_allowed = self.has_hooks() && hooks_allowed;
        match self.origin {
            Origin::Kept(file) => {
                let manifest = file.manifest();
                change.put_in_use(&manifest.id, &manifest.version, hooks_allowed)?;
            }
            Origin::Copy(copy) => {
                let manifest = copy.file().manifest().clone();
                let digest = copy.file().digest();
                let now = trust::judge(change.contents(), &manifest, digest, self.allow)?;
                let same = now == self.verdict || matches!(now.news, News::Known { .. });
                if !same {
                    return Err(PacksError::Changed {
                        id: manifest.id,
                        version: manifest.version,
                    }
                    .into());
                }
                change.pin(&manifest.id, now.key)?;
                // What is kept already is mended where it was damaged.
                change.add(copy, &interfaces, hooks_allowed)?;
            }
        }
        change.commit()?;
        Ok(added)
    }

    /// Compiles it into the cache and has it describe its networks: what does not load here is
    /// not added. Runs on the copy, before the store's lock is taken.
    fn prove(&self) -> Result<()> {
        let file = match &self.origin {
            Origin::Copy(copy) => copy.file(),
            Origin::Kept(file) => file,
        };
        let again = PackFile::open_known(file.map(), file.path(), file.digest());
        let pack = Pack::from_file(again.map_err(PackError::from)?, &self.packs.sandbox)?;
        pack.describe(None)?;
        Ok(())
    }

    /// What its component imports and exports, as tools that know no packs call it.
    fn interfaces(&self) -> Interfaces {
        let contract = &self.inspection.contract;
        let full = |names: &[String]| {
            let names = names.iter();
            names
                .map(|it| format!("modularbase:pack/{it}@{contract}"))
                .collect()
        };
        let code = self.inspection.code.as_ref();
        code.map_or_else(Interfaces::default, |code| Interfaces {
            imports: full(&code.imports),
            exports: full(&code.exports),
        })
    }

    fn has_hooks(&self) -> bool {
        let code = self.inspection.code.as_ref();
        code.is_some_and(|it| it.exports.iter().any(|name| name == "hooks"))
    }

    fn hooks_refused(&self) -> PacksError {
        let pack = &self.inspection;
        PacksError::Hooks {
            id: pack.id.clone(),
            version: pack.version.clone(),
            abilities: pack
                .code
                .iter()
                .flat_map(|it| it.abilities.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }
}
