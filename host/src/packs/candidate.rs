//! A pack that may be added: copied, checked and judged, and nothing changed yet.

use std::path::PathBuf;

use modularbase_format::PackFile;
use modularbase_format::manifest::Publisher;
use serde::Serialize;

use super::trust::{self, Verdict};
use super::{Allow, Name, News, Packs, PacksError};
use crate::error::Result;
use crate::pack::{Inspection, Pack, PackError};
use crate::store::{self, Contents, Interfaces, Staged};

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
    pub(super) packs: Packs,
    pub(super) inspection: Inspection,
    pub(super) verdict: Verdict,
    pub(super) allow: Allow,
    pub(super) origin: Origin,
}

pub(super) enum Origin {
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
    /// Whether it was here already, missing or damaged, and is put right now.
    pub mended: bool,
    /// Whether it was the chosen router and is none any more: none is chosen now.
    pub was_router: bool,
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
        let id = &pack.id;
        match (self.verdict.pinned, self.verdict.key) {
            (Some(old), new) if new != Some(old) && self.is_kept() => warnings.push(format!(
                "it is not signed by `{old}`, whom the id `{id}` belongs to by now"
            )),
            (Some(old), Some(new)) if old != new => warnings.push(format!(
                "it is signed by `{new}`, no longer by `{old}`: from now on the id `{id}` belongs \
                 to the new key"
            )),
            (Some(old), None) => warnings.push(format!(
                "it is not signed, the id `{id}` belonged to `{old}`: from now on anybody may take \
                 it"
            )),
            _ => {}
        }
        warnings
    }

    /// The key that its id will belong to from now on, if it belonged to none before.
    pub fn new_key(&self) -> Option<Publisher> {
        self.verdict.key.filter(|_| self.verdict.pinned.is_none())
    }

    /// Whether it is signed by whom its id belongs to already.
    pub fn is_by_its_publisher(&self) -> bool {
        self.verdict.key.is_some() && self.verdict.key == self.verdict.pinned
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
    pub fn install(self, hooks_allowed: bool) -> Result<Added> {
        let hooks_allowed = hooks_allowed || self.question() == Question::Nothing;
        if self.has_hooks() && !hooks_allowed {
            return Err(self.hooks_refused().into());
        }
        let hooks_allowed = self.has_hooks();
        let interfaces = self.interfaces();
        self.prove()?;
        let mut change = self.packs.store.change()?;
        let now = self.judge_again(change.contents())?;
        let mut added = Added {
            id: self.inspection.id.clone(),
            version: self.inspection.version.clone(),
            news: now.news,
            digest: self.inspection.digest.clone(),
            bytes: self.inspection.bytes as u64,
            mended: false,
            was_router: false,
        };
        let manifest = self.file().manifest().clone();
        match self.origin {
            Origin::Kept(_) => change.put_in_use(&manifest.id, &manifest.version, hooks_allowed)?,
            Origin::Copy(copy) => {
                change.pin(&manifest.id, now.key)?;
                let how = change.add(copy, &interfaces, hooks_allowed)?;
                added.mended = how == store::Added::Mended;
            }
        }
        added.was_router = trust::drop_router(&mut change, &manifest)?;
        change.commit()?;
        Ok(added)
    }

    /// The rules once more, under the store's lock: the answer may have taken a while.
    fn judge_again(&self, contents: &Contents) -> Result<Verdict> {
        let file = self.file();
        let now = match self.origin {
            Origin::Copy(_) => trust::judge(contents, file.manifest(), file.digest(), self.allow)?,
            Origin::Kept(_) => trust::judge_kept(contents, file.manifest(), file.digest())?,
        };
        // That somebody added the same file meanwhile is all that was wanted.
        let same_news = now == self.verdict || matches!(now.news, News::Known { .. });
        let same_key = now.pinned == self.verdict.pinned || now.pinned == now.key;
        if !(same_news && same_key) {
            return Err(trust::changed(file.manifest()).into());
        }
        Ok(now)
    }

    /// Compiles it into the cache and has it describe its networks: what does not load here is
    /// not added. Runs before the store's lock is taken.
    fn prove(&self) -> Result<()> {
        let file = self.file();
        let again = PackFile::open_known(file.map(), file.path(), file.digest());
        let pack = Pack::from_file(again.map_err(PackError::from)?, &self.packs.sandbox)?;
        Ok(pack.describe_all()?)
    }

    fn file(&self) -> &PackFile {
        match &self.origin {
            Origin::Copy(copy) => copy.file(),
            Origin::Kept(file) => file,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self.origin, Origin::Kept(_))
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
