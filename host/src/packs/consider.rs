//! Looking at what may be added: a file, a version that is kept, a pack that comes with the host.

use modularbase_format::PackFile;

use super::candidate::Origin;
use super::{Allow, Candidate, Name, Packs, PacksError, Source, similar, trust};
use crate::error::{Error, Result};
use crate::pack::{Builtin, Face, Inspection, PackError};
use crate::store::{Contents, Entry, Staged, StoreError};

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
        // Read first: a store that cannot be read takes no copies.
        let contents = self.store.contents()?;
        match source {
            Source::File(path) => {
                self.consider_copy(&contents, self.store.stage(path, watch)?, allow)
            }
            Source::Known(name) => match self.entry_of(&contents, name) {
                Ok(entry) => match self.consider_kept(&contents, &entry, allow) {
                    // What comes with the host is its own file to be added again.
                    Err(Error::Store(StoreError::Missing { .. } | StoreError::Damaged { .. }))
                        if Builtin::ALL
                            .iter()
                            .any(|it| it.is(&entry.id, Some(&entry.version))) =>
                    {
                        self.consider_builtin(&contents, name, allow)
                    }
                    considered => considered,
                },
                Err(Error::Packs(_)) => self.consider_builtin(&contents, name, allow),
                Err(error) => Err(error),
            },
        }
    }

    fn consider_copy(&self, contents: &Contents, copy: Staged, allow: Allow) -> Result<Candidate> {
        let file = copy.file();
        let verdict = trust::judge(contents, file.manifest(), file.digest(), allow)?;
        let face = self.judge(file)?;
        Ok(Candidate {
            packs: self.clone(),
            inspection: Inspection::of(file, Ok(&face)),
            verdict,
            allow,
            origin: Origin::Copy(copy),
        })
    }

    /// A version that is kept was agreed to when it came.
    fn consider_kept(&self, contents: &Contents, entry: &Entry, allow: Allow) -> Result<Candidate> {
        let file = self.store.open_pack(entry)?;
        let face = self.judge(&file)?;
        Ok(Candidate {
            packs: self.clone(),
            inspection: Inspection::of(&file, Ok(&face)),
            verdict: trust::judge_kept(contents, file.manifest(), file.digest())?,
            allow,
            origin: Origin::Kept(file),
        })
    }

    fn judge(&self, file: &PackFile) -> Result<Face> {
        let judged = self.sandbox.judge(file);
        Ok(judged.map_err(|objection| PackError::objection(file, objection))?)
    }

    /// A pack that comes with the host goes the way of a stranger's: it is no exception.
    fn consider_builtin(
        &self,
        contents: &Contents,
        name: &Name,
        allow: Allow,
    ) -> Result<Candidate> {
        let mut all = Builtin::ALL.into_iter();
        let Some(code) = all.find(|it| it.is(&name.id, name.version.as_ref())) else {
            let mut similar = similar(contents, name);
            for known in Builtin::ALL.into_iter().filter(|it| it.is(&name.id, None)) {
                let known = known.id_and_version();
                if !similar.contains(&known) {
                    similar.push(known);
                }
            }
            return Err(PacksError::NotFound {
                found: name.to_string(),
                similar,
            }
            .into());
        };
        let pack = code
            .pack()?
            .ok_or(PacksError::NeedsWeights { code: code.name() })?;
        let copy = self.store.stage_bytes(&pack, code.name().as_ref())?;
        self.consider_copy(contents, copy, allow)
    }
}
